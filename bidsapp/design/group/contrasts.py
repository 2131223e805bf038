"""Contrasts of a group design as a model file writes them, from names, groups and expressions."""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations, pairwise
from typing import TypeAlias

from bidsapp.design.transformers.expressions import linear_weights
from bidsapp.errors import ModelError, SettingsError
from bidsapp.records.documents import Document
from bidsapp.records.model import INTERCEPT, MEAN_OVER_GROUPS

# Condition -> weight.
Row: TypeAlias = dict[str, float]
# With more groups, only the F test of all of them is made.
MAX_PAIRS = 4


def group_contrasts(column: str, levels: Sequence[str]) -> list[Document]:
    """Return the mean of each group, all differences (up to 4 groups) and the F of no difference."""
    columns = {level: f"{column}.{level}" for level in levels}
    means = [make_t(name, {name: 1.0}) for name in columns.values()]
    return means + _comparisons(columns, "", column)


def slope_contrasts(name: str, column: str, levels: Sequence[str]) -> list[Document]:
    """Return the slope of a covariate in each group, all differences (up to 4 groups) and their F."""
    columns = {level: slope_of(name, column, level) for level in levels}
    slopes = [make_t(f"{name} in {level}", {slope: 1.0}) for level, slope in columns.items()]
    return slopes + _comparisons(columns, f"{name} ", f"{name} x {column}")


def slope_of(name: str, column: str, level: str) -> str:
    """Return the column that holds a covariate in one group and 0 in the others."""
    return f"{name}:{column}.{level}"


def _comparisons(columns: Mapping[str, str], prefix: str, joint: str) -> list[Document]:
    """Return all differences between levels (up to 4) and, of more than two, the F of none."""
    contrasts = []
    if len(columns) <= MAX_PAIRS:
        for first, second in combinations(columns, 2):
            row = {columns[first]: 1.0, columns[second]: -1.0}
            contrasts.append(make_t(f"{prefix}{first} vs {second}", row))
    if len(columns) > 2:
        names = list(columns.values())
        rows = [{first: 1.0, second: -1.0} for first, second in pairwise(names)]
        contrasts.append(make_f(joint, rows))
    return contrasts


def mean_over_groups(x: Sequence[str]) -> Document:
    """Return the contrast that averages an effect within subjects over groups, each with the same weight."""
    return make_t(MEAN_OVER_GROUPS, dict.fromkeys(x, 1.0 / len(x)))


def split_expression(text: str) -> tuple[str, str]:
    """Return name and expression of ``NAME=EXPRESSION``; without a name the expression is its own."""
    name, equals, expression = text.partition("=")
    if not equals:
        name, expression = " ".join(text.replace("`", "").split()), text
    if not name.strip() or not expression.strip():
        raise SettingsError(f"--group-contrast {text!r}: write NAME=EXPRESSION, or the expression alone.")
    return name.strip(), expression


def make_expressed(name: str, text: str, columns: Collection[str]) -> Document:
    """Return the contrast of an expression; rows of an F test are separated by semicolons."""
    rows = [read_weights(part, columns) for part in text.split(";")]
    return make_t(name, rows[0]) if len(rows) == 1 else make_f(name, rows)


def read_weights(text: str, names: Collection[str]) -> Row:
    """Return name -> weight of a linear expression."""
    try:
        return linear_weights(text.strip(), names)
    except ModelError as error:
        raise SettingsError(f"--group-contrast: {error}") from error


def make_t(name: str, row: Row) -> Document:
    """Return the t contrast of a row, a dict of conditions to weights."""
    return {
        "Name": "mean" if name == "1" else name,
        "ConditionList": list(row),
        "Weights": list(row.values()),
        "Test": "t",
    }


def make_f(name: str, rows: Sequence[Row]) -> Document:
    """Return the F contrast of rows, each a dict of conditions to weights."""
    conditions = list(dict.fromkeys(condition for row in rows for condition in row))
    weights = [[row.get(condition, 0.0) for condition in conditions] for row in rows]
    return {"Name": name, "ConditionList": conditions, "Weights": weights, "Test": "F"}


def with_intercept(contrast: Document) -> Document:
    """Return a contrast with the intercept as the number 1, as models write it."""
    conditions = [
        1 if condition in ("1", INTERCEPT) else condition for condition in contrast["ConditionList"]
    ]
    return {**contrast, "ConditionList": conditions}
