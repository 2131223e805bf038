"""The transformers of bids-matlab, which bidspm and its ancestor cpp_spm use, where they differ from pybids'.

They work on the rows of the events table: a row that a filter leaves out is missing from then on, and
``onset`` and ``duration`` are columns whose changes move the events of all others. Checked against the
tables of bids-standard/variable-transform.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bidsapp.design.transformers.expressions import evaluate_query
from bidsapp.design.transformers.rearrange import MAX_PARTS, Transformer, each, find_pairs, select
from bidsapp.design.transformers.variables import (
    TIMES,
    Namespace,
    Values,
    Variable,
    as_values,
    is_missing,
    level_name,
    level_names,
)
from bidsapp.errors import ModelError
from bidsapp.model.wildcards import match_name
from bidsapp.records.arrays import Mask, Numbers
from bidsapp.records.documents import Document

# No part can give way to another, so that no query takes more time than its length.
COMPARISON = re.compile(r"([^=~!<>]+)(==|~=|!=|>=|<=|>|<)([^=~!<>&|]+)")
OPERATIONS = {
    "Add": np.add,
    "Subtract": np.subtract,
    "Multiply": np.multiply,
    "Divide": np.divide,
    "Power": np.power,
}
SIGNS = {
    "==": np.equal,
    "~=": np.not_equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}
# What a regular expression may hold beside plain characters, and the wildcard that it stands for.
REGULAR = ((r"\.", "."), (".*", "*"), (".+", "?*"), (".", "?"))
SPECIAL = re.compile(r"[\\\[\](){}+^$]")


def operate(function: Callable[[Numbers, float], Numbers]) -> Transformer:
    """Return a transformer that joins a value to each input, in the rows of Query."""

    def change(namespace: Namespace, variable: Variable, arguments: Document, where: str) -> Variable:
        before, rows = variable.numbers, _rows(namespace, arguments.get("Query"), variable, where)
        with np.errstate(divide="ignore", invalid="ignore"):
            after = np.asarray(function(before, float(arguments["Value"])), float)
        return variable.with_values(np.where(rows, after, before))

    return each(change, _store)


def _store(namespace: Namespace, variable: Variable) -> None:
    """Put a column into its place; onset and duration move the events of every column."""
    namespace.variables[variable.name] = variable
    if variable.name not in TIMES or not variable.is_sparse:
        return
    known = dict(zip(variable.table_rows.tolist(), variable.values.tolist(), strict=True))
    for name, other in list(namespace.variables.items()):
        if other.index is not None:
            old = getattr(other, variable.name)
            new = [known.get(row, time) for row, time in zip(other.index.tolist(), old.tolist(), strict=True)]
            moved = np.array(new, float)
            namespace.variables[name] = (
                replace(other, onset=moved) if variable.name == "onset" else replace(other, duration=moved)
            )


def _rows(namespace: Namespace, query: str | None, variable: Variable, where: str) -> Mask:
    """Return which rows of a variable satisfy a query; all without one."""
    if not query:
        return np.ones(len(variable.values), bool)
    columns, found = namespace.columns_at(variable), COMPARISON.fullmatch(query)
    left, sign, right = (part.strip() for part in found.groups()) if found else ("", "", "")
    if left.strip("`") in columns:
        passed = _compare(columns[left.strip("`")], sign, right.strip("'\""), query)
    else:
        passed = evaluate_query(query.replace("~=", "!="), columns)
    namespace.filtered.append((where, query, variable.name, int(passed.sum()), len(passed)))
    return passed


def _compare(values: Values, sign: str, right: str, query: str) -> Mask:
    if values.dtype == object:
        if sign not in ("==", "~=", "!="):
            raise ModelError(f"{query!r}: texts have no order; compare them by == or ~=.")
        same = match_texts(values, right)
        return same if sign == "==" else ~same
    try:
        return SIGNS[sign](values, float(right))
    except ValueError as error:
        raise ModelError(f"{query!r}: the column holds numbers, and {right!r} is none.") from error


def match_texts(values: Values, pattern: str) -> Mask:
    """Return which texts a regular expression stands for as a whole; missing values are none.

    Only ``.``, ``.*``, ``.+`` and ``|`` are special: others may take time without bound. A pattern that is
    one of the texts stands for itself.
    """
    there = ["" if value is None else str(value) for value in values.tolist()]
    if pattern in there:
        return np.array([text == pattern for text in there], bool)
    patterns = [_as_wildcard(part) for part in pattern.removeprefix("^").removesuffix("$").split("|")]
    found = {text: any(match_name(part, text) for part in patterns) for text in set(there) - {""}}
    return np.array([found.get(text, False) for text in there], bool)


def _as_wildcard(pattern: str) -> str:
    if "*" in pattern.replace(".*", "") or "?" in pattern:
        raise ModelError(f"the regular expression {pattern!r} is not known; there are ., .*, .+ and |.")
    made, rest = "", pattern
    while rest:
        old, new = next((pair for pair in REGULAR if rest.startswith(pair[0])), (rest[0], rest[0]))
        if old == new and SPECIAL.match(old):
            raise ModelError(f"the regular expression {pattern!r} is not known; there are ., .*, .+ and |.")
        made, rest = made + new, rest[len(old) :]
    return made


def filter_rows(namespace: Namespace, variable: Variable, arguments: Document, where: str) -> Variable:
    """Return a variable without the values of rows that do not satisfy a query."""
    return _only(variable, _rows(namespace, arguments["Query"], variable, where))


def _only(variable: Variable, rows: Mask, name: str | None = None) -> Variable:
    return variable.with_values(np.where(rows, variable.values, variable.nothing), name)


def concatenate(namespace: Namespace, arguments: Document, where: str) -> None:
    """Join the texts of columns with underscores; numbers as they print shortest."""
    columns = namespace.require_all(arguments["Input"], where)
    if not columns:
        return
    first = columns[0]
    cells = [_at_rows(column, first) for column in columns]
    texts = [["NaN" if value is None else _shortest(value) for value in column.tolist()] for column in cells]
    missing = np.all([is_missing(column) for column in cells], axis=0)
    joined = np.array(["_".join(parts) for parts in zip(*texts, strict=True)], object)
    joined[missing] = None
    name = arguments["Output"][0]
    namespace.variables[name] = first.with_values(joined, name)


def _at_rows(variable: Variable, other: Variable) -> Values:
    found = variable.at_rows_of(other)
    if found is None:
        raise ModelError(f"{variable.name!r} and {other.name!r} have different rows.")
    return found.values


def _shortest(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "NaN" if np.isnan(value) else level_name(value)


def make_constant(namespace: Namespace, arguments: Document, where: str) -> None:
    """Add a column of one value."""
    rows = _table(namespace)
    name = arguments["Output"][0]
    values = np.full(len(rows.values), float(arguments.get("Value", 1)))
    namespace.variables[name] = rows.with_values(values, name)


def _table(namespace: Namespace) -> Variable:
    """Return a variable that has every row of the table."""
    columns = list(namespace.variables.values())
    if not columns:
        raise ModelError("there is no table to add a column to.")
    return next((column for column in columns if column.name in TIMES), columns[0])


def label_identical_rows(namespace: Namespace, arguments: Document, where: str) -> None:
    """Count equal values that follow each other, or all of the column where Cumulative is true."""
    cumulative = arguments.get("Cumulative", False)
    for variable, _ in find_pairs(namespace, arguments, where):
        counts: dict[Any, int] = {}
        labels, last = [], None
        for value, missing in zip(variable.values.tolist(), is_missing(variable.values), strict=True):
            if missing:
                counts, last = counts if cumulative else {}, None
                labels.append(1)
                continue
            if not cumulative and value != last:
                counts = {}
            counts[value] = counts.get(value, 0) + 1
            labels.append(counts[value])
            last = value
        name = f"{variable.name}_label"
        namespace.variables[name] = variable.with_values(np.array(labels, float), name)


def merge_identical_rows(namespace: Namespace, arguments: Document, where: str) -> None:
    """Join rows of one value that follow each other in time; other columns are those of the last."""
    for name in [name for pattern in arguments["Input"] for name in namespace.require(pattern, where)]:
        column = namespace.variables[name]
        begins, lasts = column.events
        order = np.argsort(begins, kind="stable")
        values = column.values[order]
        same = (values[1:] == values[:-1]) & ~is_missing(values[1:])
        first, last = order[np.append(True, ~same)], order[np.append(~same, True)]
        onset, duration = begins[first], begins[last] + lasts[last] - begins[first]
        times = {"onset": onset, "duration": duration}
        for key, other in list(namespace.variables.items()):
            if other.onset is not None and np.array_equal(other.onset, begins):
                kept = replace(other.rows(last), onset=onset, duration=duration)
                namespace.variables[key] = kept.with_values(times[key], key) if key in TIMES else kept


def summarize(function: Callable[[Numbers], float], suffix: str) -> Transformer:
    """Return a transformer that gives one number a column, in every row."""

    def apply(namespace: Namespace, arguments: Document, where: str) -> None:
        for variable, target in find_pairs(namespace, arguments, where):
            values = variable.numbers
            there = values[~np.isnan(values)] if arguments.get("OmitNan", False) else values
            number = function(there) if len(there) else np.nan
            name = target if arguments.get("Output") else f"{variable.name}{suffix}"
            namespace.variables[name] = variable.with_values(np.full(len(values), number), name)

    return apply


def join_logically(join: Callable[[list[Mask]], Mask]) -> Transformer:
    """Return a transformer of truth values: texts and numbers but 0 are true, missing values are false."""

    def apply(namespace: Namespace, arguments: Document, where: str) -> None:
        columns = namespace.require_all(arguments["Input"], where)
        if not columns:
            return
        truths = [_truth(_at_rows(column, columns[0])) for column in columns]
        name = arguments["Output"][0] if arguments.get("Output") else columns[0].name
        namespace.variables[name] = columns[0].with_values(join(truths).astype(float), name)

    return apply


def _truth(values: Values) -> Mask:
    return ~is_missing(values) & ((values != 0) if values.dtype != object else True)


def threshold(namespace: Namespace, variable: Variable, arguments: Document, where: str) -> Variable:
    """Keep what is above (or below) a threshold, which itself does not pass; the rest is 0."""
    values, cut = variable.numbers, float(arguments.get("Threshold", 0.0))
    compared = values if arguments.get("Signed", True) else np.abs(values)
    passes = compared > cut if arguments.get("Above", True) else compared < cut
    kept = np.where(passes, 1.0 if arguments.get("Binarize", False) else values, 0.0)
    return variable.with_values(np.where(np.isnan(values), np.nan, kept))


def make_factor(namespace: Namespace, arguments: Document, where: str) -> None:
    """Add an indicator for every level: named by it where levels are numbers, else by its place."""
    for variable, _ in find_pairs(namespace, arguments, where):
        texts = np.array([level_name(value) for value in variable.values.tolist()], object)
        for place, level in enumerate(level_names(variable), start=1):
            name = _plain(f"{variable.name}_{place if variable.is_text else level}")
            namespace.add({name: variable.with_values((texts == level).astype(float), name)})


def _plain(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "", name)


def split(namespace: Namespace, arguments: Document, where: str) -> None:
    """Add a column for every combination of the levels of others, with the values of its rows."""
    others = sorted({name for by in arguments.get("By", ()) for name in namespace.require(by, where)})
    for variable, _ in find_pairs(namespace, arguments, where) if others else ():
        made = {variable.name: np.ones(len(variable.values), bool)}
        for by in others:
            levels = _levels(namespace.variables[by], variable)
            if len(made) * len(levels) > MAX_PARTS:
                raise ModelError(f"{variable.name!r} splits into more than {MAX_PARTS} parts.")
            made = {
                _plain(f"{name}_BY_{by}_{level}"): inside & rows
                for name, inside in made.items()
                for level, rows in levels.items()
            }
        namespace.add({name: _only(variable, rows, name) for name, rows in made.items()})


def _levels(column: Variable, variable: Variable) -> dict[str, Mask]:
    """Return level -> its rows; those without a value are the level NaN."""
    values = _at_rows(column, variable)
    missing = is_missing(values)
    names = np.array(
        ["NaN" if gone else level_name(v) for v, gone in zip(values, missing, strict=True)], object
    )
    return {level: names == level for level in sorted(set(names))}


def replace_values(namespace: Namespace, arguments: Document, where: str) -> None:
    """Replace values, or the onset and duration of their rows, one rule after the other."""
    attribute = arguments.get("Attribute", "value")
    attributes = ("value", *TIMES) if attribute == "all" else (attribute,)
    for variable, target in find_pairs(namespace, arguments, where):
        namespace.variables[target] = variable.with_values(variable.values, target)
        for key, value in arguments["Replace"]:
            made = namespace.variables[target]
            rows = _matching((made if target == variable.name else variable).values, key)
            for name in attributes:
                if name in TIMES:
                    _move(namespace, name, variable, rows, value)
                else:
                    _store(namespace, made.with_values(_put(made.values, rows, value), target))


def _matching(values: Values, key: str | float) -> Mask:
    if isinstance(key, str) and values.dtype == object:
        return match_texts(values, key)
    try:
        found: Mask = ~is_missing(values) & (as_values(values) == float(key))
        return found
    except ValueError:
        return np.zeros(len(values), bool)


def _put(values: Values, rows: Mask, value: Any) -> Values:
    mixed = values.astype(object)
    mixed[rows] = value
    return as_values(mixed)


def _move(namespace: Namespace, name: str, variable: Variable, rows: Mask, value: Any) -> None:
    if name not in namespace.variables or not isinstance(value, (int, float)):
        raise ModelError(f"the new {name} must be a number.")
    column = namespace.variables[name]
    moved = np.isin(column.table_rows, variable.table_rows[rows])
    _store(namespace, column.with_values(np.where(moved, float(value), column.values), name))


def select_columns(namespace: Namespace, arguments: Document, where: str) -> None:
    """Remove all columns but these, onset and duration."""
    times = {name: namespace.variables[name] for name in TIMES if name in namespace.variables}
    select(namespace, arguments, where)
    namespace.variables.update(times)


TRANSFORMERS = {
    **{name: operate(function) for name, function in OPERATIONS.items()},
    "And": join_logically(lambda truths: np.all(truths, axis=0)),
    "Concatenate": concatenate,
    "Constant": make_constant,
    "Factor": make_factor,
    "Filter": each(filter_rows, _store),
    "LabelIdenticalRows": label_identical_rows,
    "Mean": summarize(lambda values: float(np.mean(values)), "_mean"),
    "MergeIdenticalRows": merge_identical_rows,
    "Not": join_logically(lambda truths: ~truths[0]),
    "Or": join_logically(lambda truths: np.any(truths, axis=0)),
    "Replace": replace_values,
    "Select": select_columns,
    "Split": split,
    "StdDev": summarize(lambda values: float(np.std(values, ddof=1)), "_std"),
    "Threshold": each(threshold, _store),
}
