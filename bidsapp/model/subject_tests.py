"""F tests of a Dataset node over contrasts of the runs: Hotelling's T2 over what subjects have of each row.

An F of a mean has one row, so that one of several conditions is about several estimates of every subject.
Its rows are made in each run and combined, as any contrast, and the node tests them together.
"""

from collections.abc import Callable

from bidsapp.model.text import list_at, read_number
from bidsapp.model.wildcards import is_wildcard, match_name
from bidsapp.records.documents import Document


def is_column(name: str, run: Document) -> bool:
    """Whether a condition may be a column of a Run node."""
    columns = [column for column in run["Model"]["X"] if isinstance(column, str)]
    return any(
        column == name or column.endswith(f".{name}") or match_name(column, name) for column in columns
    )


def own_contrasts(run: Document) -> Document:
    """Return the contrasts of a Run node by their names."""
    rules = run.get("Contrasts") or ()
    return {rule["Name"]: rule for rule in rules if isinstance(rule.get("Name"), str)}


def find_tested(node: Document, moved: list[Document]) -> Callable[[str], bool]:
    """Return what tells whether a Dataset node tests an incoming contrast by itself."""
    names, dummy = {rule["Name"] for rule in moved}, node.get("DummyContrasts")
    wanted = dummy.get("Contrasts", ["*"]) if isinstance(dummy, dict) else []
    listed = [str(item) for item in wanted] if isinstance(wanted, list) else ["*"]

    def is_tested(name: str) -> bool:
        return name in names or any(
            match_name(item, name) if is_wildcard(item) else item == name for item in listed
        )

    return is_tested


def make_subject_test(
    rule: Document, run: Document, is_tested: Callable[[str], bool]
) -> tuple[Document, list[Document]] | None:
    """Return an F test as a contrast within subjects (``SubjectContrasts``), and the run contrasts it needs.

    A row is a contrast of the runs; one over contrasts of the runs is made of these. What the node tests by
    itself as well gets a copy, for the parts of a test within subjects are not tested by themselves.

    Returns
    -------
    tuple or None
        None where the test names anything else, or its weights are at fault.
    """
    own = {name: item for name, item in own_contrasts(run).items() if item.get("Test") != "F"}
    rows = _read_rows(rule)
    if rows is None or not all(name in own or is_column(name, run) for name in rule["ConditionList"]):
        return None
    made: dict[str, Document] = {}
    weights: list[dict[str, float]] = []
    for number, row in enumerate(rows, 1):
        parts = [(_of_columns(row), 1.0)] if len(row) > 1 and not own.keys() & row.keys() else None
        parts = parts or [(own.get(name) or _of_columns({name: 1}), weight) for name, weight in row.items()]
        weights.append({})
        for part, weight in parts:
            name = part["Name"] or f"{rule['Name']} row {number}"
            if part["Name"] and is_tested(name):
                name = f"{rule['Name']} {name}"
            made[name] = part | {"Name": name}
            weights[-1][name] = weight
    table = [[row.get(name, 0) for name in made] for row in weights]
    return {"Name": rule["Name"], "Cells": list(made), "Weights": table}, list(made.values())


def _read_rows(rule: Document) -> list[dict[str, float]] | None:
    """Return the rows of a contrast as condition -> weight, without zeros; None where one is at fault."""
    conditions, weights = list_at(rule, "ConditionList"), list_at(rule, "Weights")
    if (
        not conditions
        or not weights
        or not all(isinstance(name, str) for name in [rule.get("Name"), *conditions])
    ):
        return None
    rows = []
    for row in weights if all(isinstance(item, list) for item in weights) else [weights]:
        numbers = [read_number(item) for item in row]
        if len(row) != len(conditions) or None in numbers or not any(numbers):
            return None
        rows.append({name: number for name, number in zip(conditions, numbers, strict=True) if number})
    return rows


def _of_columns(row: dict[str, float]) -> Document:
    """Return a contrast of columns; one of a single column is named as that, as a dummy contrast is."""
    name = next(iter(row)) if len(row) == 1 else ""
    return {"Name": name, "ConditionList": list(row), "Weights": list(row.values()), "Test": "t"}
