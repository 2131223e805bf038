"""Contrasts within subjects at a Dataset node: several maps of a subject become one row of the design."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from bidsapp.design.contrasts import near_match
from bidsapp.errors import ModelError
from bidsapp.model.text import read_number
from bidsapp.plan.nodes import Entry, Flow
from bidsapp.records.arrays import Mask
from bidsapp.records.documents import Document
from bidsapp.records.maps import EstimateKey
from bidsapp.records.model import Node
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


def subject_contrasts(node: Node) -> dict[str, Within]:
    """Return the contrasts within subjects that a node asks for: name -> Within.

    Cells without a weight are left out, so that a subject who lacks one of them is not; so are rows that
    the others make up.
    """
    return {item["Name"]: _within(item, node) for item in node.own.get("SubjectContrasts", ())}


def _within(item: Document, node: Node) -> Within:
    weights = np.array([[read_number(weight) for weight in row] for row in item["Weights"]])
    used: Mask = np.any(weights, axis=0)
    if not used.any():
        raise ModelError(f"{node.where}: contrast {item['Name']!r} has no weight other than 0.")
    cells = tuple(cell for cell, is_used in zip(item["Cells"], used, strict=True) if is_used)
    return Within(cells, reduce_rows(weights[:, used]))


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
    wanted = subject_contrasts(node)
    if not wanted:
        return list(flows), {}
    used = {cell for within in wanted.values() for cell in within.cells}
    there = dict.fromkeys(flow.labels["contrast"] for flow in flows)
    collapsed: list[Flow[Row[E]]] = [flow for flow in flows if flow.labels["contrast"] not in used]
    lacking: dict[str, dict[str, str]] = {}
    units = _units(node, [flow for flow in flows if flow.labels["contrast"] in used])
    for name, within in wanted.items():
        for cell in within.cells:
            if cell not in there:
                raise ModelError(
                    f"{node.where}.SubjectContrasts {name!r}: no estimate of {cell!r} comes in. "
                    f"{near_match(cell, there)}"
                )
        for unit, cells in units.items():
            missing = [cell for cell in within.cells if cell not in cells]
            if missing:
                lacking.setdefault(name, {})[f"sub-{unit[0]}"] = f"no estimate of {', '.join(missing)}"
                continue
            first = cells[within.cells[0]]
            item = Cells(tuple(cells[cell].item for cell in within.cells), within)
            collapsed.append(Flow(item, first.test, {**first.labels, "contrast": name}))
    return collapsed, lacking


def entries_of(item: Row[E]) -> tuple[E, ...]:
    """Return the estimates that a row of a design is made from: one, or those of its cells."""
    return item.entries if isinstance(item, Cells) else (item,)


def is_vector(item: Entry) -> bool:
    """Whether a row of a design has several contrasts of its cells, which are tested together."""
    return isinstance(item, Cells) and item.within.test == "F"


def _units(node: Node, flows: Sequence[Flow[E]]) -> dict[tuple[object, ...], dict[str, Flow[E]]]:
    """Return (subject, other values of GroupBy) -> contrast -> flow."""
    names = ["subject", *(name for name in node.group_by if name not in ("contrast", "subject"))]
    units: dict[tuple[object, ...], dict[str, Flow[E]]] = {}
    for flow in flows:
        unit, contrast = tuple(flow.labels.get(name) for name in names), flow.labels["contrast"]
        if contrast in units.setdefault(unit, {}):
            raise ModelError(
                f"{node.where}.SubjectContrasts: sub-{unit[0]} has {contrast!r} several times. Combine runs "
                "and sessions in a Subject node before, or group by what differs."
            )
        units[unit][contrast] = flow
    return units
