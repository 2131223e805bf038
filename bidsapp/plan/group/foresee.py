"""What the group level will say of a model, before anything is fitted.

Columns and levels of participants.tsv are known when the participants are planned; a name that a Dataset node
looks for in vain there is told then, not after hours of fitting.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bidsapp.errors import Caution, ModelError, SettingsError
from bidsapp.inputs.estimates import estimate_folders
from bidsapp.inputs.images.group_masks import GREY_MATTER, check_mask
from bidsapp.plan.group.make import (
    design_of_group,
    entering_flows,
    known_names,
    make_flow,
    nothing_enters,
)
from bidsapp.plan.group.models import command_model, has_command
from bidsapp.plan.group.options import check_column, check_declared, read_conjunctions
from bidsapp.plan.group.people import (
    People,
    asks_participants,
    find_orders,
    find_people,
    names_columns,
)
from bidsapp.plan.group.select import select_contrasts
from bidsapp.plan.group.within import collapse_flows
from bidsapp.plan.nodes import Entry, Flow, find_levels, group_flows, leave_out_unplaced, make_outputs
from bidsapp.plan.participant.combine import flows_of
from bidsapp.records.documents import Document
from bidsapp.records.maps import EstimateKey
from bidsapp.records.model import Model, Node
from bidsapp.records.plan import SubjectPlan
from bidsapp.settings.parts import Settings


@dataclass(frozen=True, slots=True)
class Expected:
    """An estimate that is not made yet, as the group level will find it."""

    key: EstimateKey
    metadata: Document = field(default_factory=dict)


def check_dataset_nodes(
    model: Model,
    subjects: Iterable[SubjectPlan],
    bids_dir: Path,
    estimates: Iterable[Path],
    of_others: Callable[[], Collection[str]] = frozenset,
) -> list[Caution]:
    """Look for the names of the Dataset nodes in participants.tsv, as the group level will.

    Everybody in the table counts, also who is not analysed now: a job of an array knows all levels.

    Parameters
    ----------
    bids_dir : Path
    estimates : list of Path
        Folders of maps that the group level is given.
    of_others : callable, optional
        Gives the conditions and levels of the whole dataset; asked where a name is missing here.

    Returns
    -------
    list of Caution
        Contrasts that will not be made; a table that cannot be read and is not needed.

    Raises
    ------
    ModelError
        As the group level would.
    """
    nodes = [node for node in model.nodes if node.level == "Dataset" and _is_more_than_means(model, node)]
    if not nodes:
        return []
    people, notes = find_people(bids_dir, estimates, lambda: asks_participants(model))
    if not people:
        return notes
    names = known_names(model)
    flows = [make_flow(Expected(key), people, names) for key in _expected_keys(subjects, people)]
    return [caution for node in nodes for caution in _check_node(model, node, flows, of_others)]


def check_group_options(settings: Settings, subjects: Sequence[SubjectPlan]) -> None:
    """Look for the names in the options of the group level, in a call that goes on to it.

    Raises
    ------
    InputError, SettingsError
        As the group level would, when the participants are finished.
    """
    group, shuffling, folders = settings.group, settings.permutation, estimate_folders(settings.selection)
    check_declared(group.main_threshold, shuffling)
    read_conjunctions(group.conjunction)
    if group.mask not in (None, GREY_MATTER):
        check_mask(group.mask, ())
    people, _ = find_people(settings.bids_dir, folders, lambda: has_command(group))
    columns = {
        "--variance-groups": group.variance_groups,
        "--exchangeability-blocks": shuffling.exchangeability_blocks,
    }
    for flag, column in columns.items():
        if column:
            check_column(people, column, flag)
    if folders:
        return
    select_contrasts([Expected(key) for key in _expected_keys(subjects, people)], group.select_contrasts)
    if not has_command(group):
        return
    orders = find_orders(settings.bids_dir, ()) if group.formula is not None else {}
    everybody, planned = (
        [Expected(key) for key in _expected_keys(subjects, table)] for table in (people, {})
    )
    try:
        command_model(group, everybody, people, orders)
    except (ModelError, SettingsError):
        # The table may hold odd values of those who are not analysed, who may also have levels of their own.
        command_model(group, planned, people, orders)


def _is_more_than_means(model: Model, node: Node) -> bool:
    """Whether a node has more than the mean of each contrast that comes in."""
    filtered = any(edge.filter for edge in model.edges_into(node.name))
    return filtered or "contrast" not in node.group_by or names_columns(model, node)


def _expected_keys(subjects: Iterable[SubjectPlan], people: People) -> list[EstimateKey]:
    """Return the keys of what the planned subjects make, and as many for the others of the table."""
    made = {subject.subject: flows_of(*subject.fits) for subject in subjects}
    keys = {
        label: [flow.item for flow in flows if flow.test != "F"] for label, flows in made.items() if flows
    }
    pattern = next(iter(keys.values()), [])
    for label in people:
        keys.setdefault(label, [_of_subject(key, label) for key in pattern])
    return [key for own in keys.values() for key in own]


def _of_subject(key: EstimateKey, label: str) -> EstimateKey:
    entities = tuple((name, label if name == "sub" else value) for name, value in key.entities)
    return replace(key, entities=entities)


def _check_node(
    model: Model, node: Node, flows: Sequence[Flow[Entry]], of_others: Callable[[], Collection[str]]
) -> list[Caution]:
    entering, _ = entering_flows(model, node, flows)
    if not entering:
        return [Caution(nothing_enters(model, node, flows))]
    members, _ = collapse_flows(node, entering)
    members, _ = leave_out_unplaced(node, members)
    # Groups of the same participants differ in their contrast only, which has no part in the names.
    groups = {
        frozenset(flow.labels["subject"] for flow in group): group for _, group in group_flows(node, members)
    }
    lost: dict[str, str] = {}
    levels = find_levels(members, node)
    for group in groups.values():
        try:
            made, contrast = design_of_group(node, group)
            if made.kept:
                lost |= make_outputs(node, made, contrast, "drop", levels)[2]
        except ModelError:
            # Who is not planned now may have it: no fault, and nothing is known to be lost.
            made, contrast = design_of_group(node, group, of_others())
            make_outputs(node, made, contrast, "drop", levels.union(of_others()))
    return [Caution(f"{node.name}: {name} will not be made: {reason}") for name, reason in lost.items()]
