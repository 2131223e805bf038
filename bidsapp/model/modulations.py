"""Parametric modulations that a model asks SPM for, written as transformations that any program knows.

As bidspm has it: Software.SPM.ParametricModulations is a list of objects with Name, Conditions, Values and
PolynomialExpansion.
"""

from typing import Any

from bidsapp.model.notes import Notes
from bidsapp.model.text import find_only, table_at
from bidsapp.records.documents import Document

KEYS = {"Name", "Conditions", "Values", "PolynomialExpansion"}
PROGRAM, BLOCK = "SPM", "ParametricModulations"


def read_modulations(node: Document, notes: Notes) -> None:
    """Turn the modulations of a Run node into columns of its X.

    A column has the values at the events of one condition, minus their mean there. What has another
    meaning stays in its place, to be refused by `has_unread`.
    """
    block = table_at(node, "Model", "Software", PROGRAM)
    items = block.get(BLOCK)
    items = [items] if isinstance(items, dict) else items
    if not isinstance(items, list) or not items or not all(map(_is_simple, items)) or not _has_lists(node):
        return
    for item in items:
        _add_column(node, item["Name"], find_only(item["Conditions"]), find_only(item["Values"]))
    names = ", ".join(item["Name"] for item in items)
    notes.append(f"{BLOCK} of {PROGRAM} are read as columns of X: {names}", block, BLOCK)
    del block[BLOCK]
    if not block:
        del node["Model"]["Software"][PROGRAM]


def has_unread(software: Document) -> bool:
    """Whether there are modulations that could not be read."""
    return BLOCK in table_at(software, PROGRAM)


def _is_simple(item: Any) -> bool:
    """Whether a modulation is the first power of one column, at the events of one level of a column."""
    if not isinstance(item, dict) or not set(item) <= KEYS or not isinstance(item.get("Name"), str):
        return False
    condition, values = find_only(item.get("Conditions")), find_only(item.get("Values"))
    is_level = isinstance(condition, str) and "." in condition and not set(condition) & set("'\"*?")
    return is_level and isinstance(values, str) and item.get("PolynomialExpansion", 1) in (1, "1")


def _has_lists(node: Document) -> bool:
    """Whether a node has the lists that columns are added to; another one is refused later."""
    steps = node.get("Transformations")
    lists = [node["Model"].get("X"), table_at(node, "Model", "HRF").get("Variables")]
    lists.append(steps.get("Instructions") if isinstance(steps, dict) else [])
    return all(isinstance(item, list) for item in lists)


def _add_column(node: Document, name: str, condition: str, values: str) -> None:
    """Add instructions before all others, while the column of the condition still holds its levels."""
    column, _, level = condition.partition(".")
    steps = node.setdefault("Transformations", {"Transformer": "pybids-transforms-v1", "Instructions": []})
    query = {"Name": "Filter", "Input": [values], "Query": f"{column} == '{level}'", "Output": [name]}
    steps["Instructions"][:0] = [query, {"Name": "Demean", "Input": [name]}]
    node["Model"]["X"].append(name)
    node["Model"]["HRF"]["Variables"].append(name)
