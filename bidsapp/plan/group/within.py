"""Contrasts within subjects at a Dataset node: several maps of a subject become one row of the design."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from bidsapp.design.contrasts import near_match
from bidsapp.errors import ModelError
from bidsapp.model.text import read_number
from bidsapp.plan.nodes import AnyFlow, Entry, Flow
from bidsapp.records.arrays import Mask, Matrix
from bidsapp.records.collect import collect
from bidsapp.records.documents import Document
from bidsapp.records.maps import EstimateKey
from bidsapp.records.model import Node, name_cell
from bidsapp.records.plan import Within
from bidsapp.stats.linear import reduce_rows

E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, slots=True)
class Cells(Generic[E]):
    """The estimates of one subject that a contrast within subjects is made from, in the order of cells."""

    entries: tuple[E, ...]
    within: Within

    @property
    def key(self) -> EstimateKey:
        """The key of the first cell, which shares what names the outputs."""
        return self.entries[0].key

    @property
    def metadata(self) -> Document:
        """The fields that the sidecars of the cells have."""
        return {name: value for entry in self.entries for name, value in entry.metadata.items()}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A contrast within subjects as a node asks for it.

    Attributes
    ----------
    places : tuple of dict
        What each cell has: ``{"contrast": "A"}``, ``{"session": "pre"}``, or several of these.
    weights : ndarray, shape (n_rows, n_cells)
    """

    places: tuple[dict[str, str], ...]
    weights: Matrix

    @property
    def names(self) -> tuple[str, ...]:
        """What tells cells apart: ``contrast``, or entities by their long names."""
        return tuple(self.places[0])

    def is_cell(self, flow: AnyFlow) -> bool:
        """Whether an estimate is one of the cells."""
        return _place(flow, self.names) in self.places

    def within(self, contrast: str | None = None) -> Within:
        """Return it with the names of its cells; ``contrast``: the one that all cells are of."""
        return Within(tuple(name_cell(place, contrast) for place in self.places), self.weights)


def subject_contrasts(node: Node) -> dict[str, Within]:
    """Return the contrasts within subjects that a node asks for: name -> Within.

    Cells without a weight are left out, so that a subject who lacks one of them is not; so are rows that
    the others make up.
    """
    return {name: one.within() for name, one in _find_wanted(node).items()}


def _find_wanted(node: Node) -> dict[str, Wanted]:
    return {item["Name"]: _wanted(item, node) for item in node.own.get("SubjectContrasts", ())}


def _wanted(item: Document, node: Node) -> Wanted:
    weights = np.array([[read_number(weight) for weight in row] for row in item["Weights"]])
    used: Mask = np.any(weights, axis=0)
    if not used.any():
        raise ModelError(f"{node.where}: contrast {item['Name']!r} has no weight other than 0.")
    places = [cell if isinstance(cell, dict) else {"contrast": cell} for cell in item["Cells"]]
    kept = tuple(place for place, is_used in zip(places, used, strict=True) if is_used)
    return Wanted(kept, reduce_rows(weights[:, used]))


def _place(flow: AnyFlow, names: Iterable[str]) -> dict[str, object]:
    return {name: flow.labels.get(name) for name in names}


# A row of a design: an estimate, or those that it is made from.
Row: TypeAlias = E | Cells[E]


def collapse_flows(
    node: Node, flows: Sequence[Flow[E]]
) -> tuple[list[Flow[Row[E]]], dict[str, dict[str, str]]]:
    """Return one flow a subject and within-subject contrast, and who lacks a cell.

    Returns
    -------
    flows : list of Flow
        Unchanged where the node asks for no such contrasts; with them, what is no cell of any passes too.
    lacking : dict of str to dict
        Contrast -> subject label -> reason.

    Raises
    ------
    ModelError
        A cell that no subject has, or one has several times.
    """
    wanted = _find_wanted(node)
    if not wanted:
        return list(flows), {}
    collapsed: list[Flow[Row[E]]] = [
        flow for flow in flows if not any(one.is_cell(flow) for one in wanted.values())
    ]
    lacking: dict[str, dict[str, str]] = {}
    for name, one in wanted.items():
        for place in one.places:
            _check_place(node, name, place, flows)
        alike = [other for other in wanted.values() if other.names == one.names]
        used = [flow for flow in flows if any(other.is_cell(flow) for other in alike)]
        for unit, cells in _units(node, used, one.names):
            of_all = None if "contrast" in one.names else str(unit["contrast"])
            within, own = one.within(of_all), name if of_all is None else f"{of_all} {name}"
            missing = [cell for cell in within.cells if cell not in cells]
            if missing:
                lacking.setdefault(own, {})[f"sub-{unit['subject']}"] = f"no estimate of {', '.join(missing)}"
                continue
            first = cells[within.cells[0]]
            shared = {key: label for key, label in first.labels.items() if key not in one.names}
            item = Cells(tuple(cells[cell].item for cell in within.cells), within)
            collapsed.append(Flow(item, first.test, shared | {"contrast": own}))
    return collapsed, lacking


def _check_place(node: Node, name: str, place: Mapping[str, str], flows: Sequence[AnyFlow]) -> None:
    """Raise ModelError where no estimate is of a cell."""
    there = dict.fromkeys(name_cell(_place(flow, place)) for flow in flows)
    cell = name_cell(place)
    if cell not in there:
        raise ModelError(
            f"{node.where}.SubjectContrasts {name!r}: no estimate of {cell!r} comes in. "
            f"{near_match(cell, there)}"
        )


def entries_of(item: Row[E]) -> tuple[E, ...]:
    """Return the estimates that a row of a design is made from: one, or those of its cells."""
    return item.entries if isinstance(item, Cells) else (item,)


def is_vector(item: Entry) -> bool:
    """Whether a row of a design has several contrasts of its cells, which are tested together."""
    return isinstance(item, Cells) and item.within.test == "F"


def _units(
    node: Node, flows: Sequence[Flow[E]], told_apart: Sequence[str]
) -> Iterator[tuple[Document, dict[str, Flow[E]]]]:
    """Yield what the cells of a subject share, itself and values of GroupBy, and its flow of each cell."""
    names = [name for name in dict.fromkeys(("subject", *node.group_by)) if name not in told_apart]
    for unit, members in collect((tuple(map(flow.labels.get, names)), flow) for flow in flows).items():
        shared = dict(zip(names, unit, strict=True))
        cells: dict[str, Flow[E]] = {}
        for flow in members:
            cell = name_cell(_place(flow, told_apart), shared.get("contrast"))
            if cell in cells:
                raise ModelError(
                    f"{node.where}.SubjectContrasts: sub-{shared['subject']} has {cell!r} several times. "
                    "Combine runs and sessions in a Subject node before, or group by what differs."
                )
            cells[cell] = flow
        yield shared, cells
