"""The design of a node above the run level: one row for each input."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bidsapp.design.coding import FormulaDesign, fit_formula
from bidsapp.design.formula import formula_words, parse_formula
from bidsapp.design.transformers.transform import transform
from bidsapp.design.transformers.variables import (
    Namespace,
    Variable,
    aliases,
    as_values,
    factor_levels,
    is_missing,
    is_number,
    level_name,
)
from bidsapp.errors import ModelError
from bidsapp.model.wildcards import is_wildcard
from bidsapp.records.arrays import Numbers
from bidsapp.records.maps import Design
from bidsapp.records.model import INTERCEPT, SHORT_NAMES, Node


@dataclass(frozen=True, slots=True)
class GroupDesign:
    """A design over inputs.

    Attributes
    ----------
    design : Design
    kept : tuple of int
        The rows of the table that are in the design.
    excluded : dict of int to str
        The rows that are not, and why.
    covariates : tuple of str
        Columns of X other than the intercept.
    missing : dict of str to str
        Names that the model asks for and the table does not have, and where the model asks.
    formula : FormulaDesign or None
        What the columns of a formula are made of; None where the node has X, and where nobody is left.
    """

    design: Design
    kept: tuple[int, ...]
    excluded: dict[int, str]
    covariates: tuple[str, ...]
    missing: dict[str, str]
    notes: tuple[str, ...]
    formula: FormulaDesign | None = None


def make_group_design(node: Node, table: pd.DataFrame, rows: Sequence[str]) -> GroupDesign:
    """Return the design of a node over its inputs.

    An input whose covariate is missing is left out, before anything is centred or scaled; the reason
    names the covariate.

    Parameters
    ----------
    node : Node
    table : DataFrame
        One row an input: its entities (long names), its contrast, and the columns of the participants
        table or of the tables of the node's level.
    rows : sequence of str
        The name of each input.

    Raises
    ------
    ModelError
        A transformation or formula that can not be applied.
    """
    kept = list(range(len(table)))
    excluded: dict[int, str] = {}
    table = table.set_axis(list(rows))
    while True:
        columns, namespace, formula = _columns(node, table.iloc[kept])
        for position, row in enumerate(kept):
            holes = [name for name, values in columns.items() if np.isnan(values[position])]
            if holes:
                excluded[row] = f"no value for {', '.join(_sources(holes))}"
        left = [row for row in kept if row not in excluded]
        # Without the rows that lack a value others are centred anew; without any there is nothing to centre.
        if left and left != kept:
            kept = left
            continue
        columns, kept = {name: values[: len(left)] for name, values in columns.items()}, left
        break
    matrix = np.column_stack(list(columns.values())) if columns else np.zeros((len(kept), 0))
    return GroupDesign(
        design=Design(matrix, tuple(columns), tuple(rows[row] for row in kept)),
        kept=tuple(kept),
        excluded=excluded,
        covariates=tuple(name for name in columns if name != INTERCEPT),
        missing=dict(namespace.missing),
        notes=tuple(dict.fromkeys(namespace.notes)),
        formula=formula,
    )


def _columns(node: Node, table: pd.DataFrame) -> tuple[dict[str, Numbers], Namespace, FormulaDesign | None]:
    """Return the columns of X or of the formula over these rows, by name; NaN where a value is missing."""
    variables = {name: Variable(name, as_values(table[name].to_numpy())) for name in table.columns}
    namespace = Namespace(dict(variables), rows=tuple(table.index))
    transform(namespace, node.transformations)
    _make_labels(namespace, variables)
    if node.formula:
        made, formula = _fit_formula(namespace, node, node.formula, len(table))
        return made, namespace, formula
    columns: dict[str, Numbers] = {}
    for word in node.x:
        if word == INTERCEPT:
            columns[INTERCEPT] = np.ones(len(table))
            continue
        for name in _names_of(namespace, node, word, variables):
            columns.setdefault(name, namespace.variables[name].values)
    _drop_spare_intercept(columns, node, namespace)
    return columns, namespace, None


def _names_of(namespace: Namespace, node: Node, word: str, given: Mapping[str, Variable]) -> list[str]:
    """Return the variables of a word of X; a text column stands for its levels.

    With an intercept in X, the first level is the reference and has no column, unless a contrast names it.
    """
    if is_wildcard(word):
        return [name for name in namespace.find(word) if not namespace.variables[name].is_text]
    levels = _levels_of(namespace, node, word, given)
    if not levels:
        return namespace.require(word, f"{node.where}.Model.X")
    if INTERCEPT in node.x and len(levels) > 1 and not _is_named(levels[0], word, node):
        namespace.notes.append(f"{word!r} is a factor; {levels[0]!r} is its reference level")
        return levels[1:]
    return levels


def _levels_of(namespace: Namespace, node: Node, word: str, given: Mapping[str, Variable]) -> list[str]:
    """Return the levels of a word of X that is a text column, or that a Factor has put in its place."""
    if word in given and word not in namespace.variables:
        return [level.name for level in factor_levels(given[word]) if level.name in namespace.variables]
    names = namespace.find(word)
    if not names or not namespace.variables[names[0]].is_text:
        return []
    _check_factor(namespace, names[0], node)
    return namespace.make_levels(names[0])


def _check_factor(namespace: Namespace, name: str, node: Node) -> None:
    """Refuse to make a factor of a column of numbers with a few texts, such as an age of 89+."""
    values = namespace.variables[name].values
    there = ~is_missing(values)
    texts = [row for row in np.flatnonzero(there) if not is_number(values[row])]
    if name in SHORT_NAMES or name == "contrast" or not 0 < len(texts) < there.sum() / 2:
        return
    whose = [f"{namespace.rows[row]}: {values[row]!r}" for row in texts]
    raise ModelError(
        f"{node.where}.Model.X: {name!r} is a number, but not for {', '.join(whose[:8])}. Write a number, or "
        "n/a to leave a participant out; if it is a factor, say so by Factor (in a formula: C)."
    )


def _make_labels(namespace: Namespace, given: Mapping[str, Variable]) -> None:
    """Turn the entities (session 1, 2, ...) that no transformation took as numbers into texts."""
    for name in given.keys() & SHORT_NAMES.keys():
        variable = given[name]
        if namespace.variables.get(name) is variable and not variable.is_text:
            labels = [None if value != value else level_name(value) for value in variable.values]
            namespace.variables[name] = replace(variable, values=np.array(labels, object))


def _is_named(level: str, factor: str, node: Node) -> bool:
    """Whether a contrast names a level of a factor, with or without the name of the factor."""
    conditions = [name for rule in node.contrasts for name in rule.conditions]
    said = {other for name in conditions for other in (name, name.lstrip("0"), *aliases(name))}
    return not said.isdisjoint((level, level.removeprefix(f"{factor}.")))


def _drop_spare_intercept(columns: dict[str, Numbers], node: Node, namespace: Namespace) -> None:
    """Take the intercept out where a factor has a column for every level, as its contrasts ask for."""
    used = node.dummy is not None or any(INTERCEPT in rule.conditions for rule in node.contrasts)
    if used or INTERCEPT not in columns:
        return
    for word in node.x:
        levels = [name for name in columns if name.startswith(f"{word}.")]
        if levels and (np.sum([columns[name] for name in levels], axis=0) == 1).all():
            del columns[INTERCEPT]
            namespace.notes.append(
                f"the contrasts name every level of {word!r}: each has a column, and there is no intercept"
            )
            return


def _fit_formula(
    namespace: Namespace, node: Node, formula: str, n_rows: int
) -> tuple[dict[str, Numbers], FormulaDesign | None]:
    """Return the columns of a formula, and what they are made of.

    While rows lack a variable, the columns are these variables, NaN where they are missing: what is scaled
    or coded over the rows waits for those that stay.
    """
    words = dict.fromkeys([*formula_words(formula), *(word for word in node.x if word != INTERCEPT)])
    found = [name for word in words for name in namespace.require(word, f"{node.where}.Model.Formula")]
    coded = {atom.variable for atom in parse_formula(formula).atoms if atom.function == "C"}
    lacking: dict[str, Numbers] = {}
    for name in found:
        variable = namespace.variables[name]
        if variable.is_text and name not in coded:
            _check_factor(namespace, name, node)
        missing = is_missing(variable.values)
        if missing.any():
            lacking[name] = np.where(missing, np.nan, 0.0)
    if lacking:
        return lacking, None
    made = fit_formula(
        formula, {name: namespace.variables[name].values for name in found}, n_rows, namespace.rows
    )
    return dict(zip(made.names, made.matrix.T, strict=True)), made


def _sources(names: Iterable[str]) -> list[str]:
    """Return the covariates behind columns of a factor, and of products (``age:group.a``), each once."""
    return list(dict.fromkeys(name.partition(":")[0].partition(".")[0] for name in names))
