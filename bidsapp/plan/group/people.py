"""What the participants table says at the group level, and whether a model needs it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from bidsapp.errors import Caution, InputError
from bidsapp.inputs.tables.participants import (
    find_participants,
    read_level_orders,
    read_participants,
)
from bidsapp.plan.nodes import Entry
from bidsapp.records.documents import Document
from bidsapp.records.model import INTERCEPT, SHORT_NAMES, Model, Node

# Subject label -> columns of participants.tsv and phenotype tables.
People: TypeAlias = Mapping[str, Document]
# Column -> its levels in the order that the dataset gives them.
Orders: TypeAlias = Mapping[str, Sequence[str]]


def find_people(
    bids_dir: Path, estimates: Iterable[Path], is_needed: Callable[[], bool]
) -> tuple[People, list[Caution]]:
    """Return subject label -> columns of participants.tsv and phenotype tables, and notes.

    Parameters
    ----------
    bids_dir : Path
    estimates : list of Path
        Folders of maps, whose table may stand for that of the dataset.
    is_needed : callable
        Whether anything goes by these columns; asked where the table cannot be read.

    Returns
    -------
    people : dict
        Empty where there is no table, and where one that nothing goes by cannot be read.
    notes : list of Caution

    Raises
    ------
    InputError
        A table that is needed cannot be read.
    """
    path = find_participants(bids_dir, *estimates)
    if path is None:
        return {}, []
    try:
        table = read_participants(path).to_dict("index")
    except InputError as error:
        if is_needed():
            raise
        return {}, [Caution(f"{error} The model names no column of participants: it goes on without them")]
    return {str(label): {str(name): value for name, value in row.items()} for label, row in table.items()}, []


def find_orders(bids_dir: Path, estimates: Iterable[Path]) -> Orders:
    """Return the orders of levels that are beside the table of the participants."""
    path = find_participants(bids_dir, *estimates)
    return {} if path is None else read_level_orders(path)


def asks_participants(model: Model) -> bool:
    """Whether a Dataset node of a model names columns of participants."""
    return any(names_columns(model, node) for node in model.nodes if node.level == "Dataset")


def names_columns(model: Model, node: Node) -> bool:
    """Whether a Dataset node names columns: in X, Formula, GroupBy or the Filter of an edge to it."""
    names = {*node.group_by, *(key for edge in model.edges_into(node.name) for key in edge.filter)}
    return bool(node.formula) or node.x != (INTERCEPT,) or not names <= {*SHORT_NAMES, "contrast"}


def label_of(entry: Entry) -> str:
    """Return the label of the subject of an estimate; empty where it has none."""
    return entry.key.entity("sub") or ""
