"""The plan: what will be computed from which files; every look-up and every fault comes first."""

from bidsapp.plan.participant import make_participant_plan

__all__ = ["make_participant_plan"]
