"""The plan: what will be computed from which files; every look-up and every fault comes first."""

from bidsapp.plan.group.make import make_group_plan
from bidsapp.plan.participant.make import make_participant_plan
from bidsapp.plan.show import show_plans

__all__ = ["make_group_plan", "make_participant_plan", "show_plans"]
