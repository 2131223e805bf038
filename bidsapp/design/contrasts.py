"""From the contrasts that a model names to weights over the columns of a design."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from bidsapp.design.diagnostics import Diagnosis
from bidsapp.design.transformers.variables import aliases
from bidsapp.errors import near_or_there
from bidsapp.model.wildcards import is_wildcard, match_names
from bidsapp.records.arrays import Matrix
from bidsapp.records.maps import Contrast, Design
from bidsapp.records.model import INTERCEPT, ContrastRule, Node
from bidsapp.stats.linear import find_rank, reduce_rows


def expand_rules(node: Node, columns: Sequence[str]) -> list[ContrastRule]:
    """Return a node's contrasts as rules: those written out, then one for each dummy condition.

    Parameters
    ----------
    columns : tuple of str
        The columns that X gave; a dummy contrast without a list is made for each of them.
    """
    rules = list(node.contrasts)
    if node.dummy is None:
        return rules
    taken = {rule.name for rule in rules}
    wanted = columns if node.dummy.contrasts is None else node.dummy.contrasts
    for pattern in wanted:
        names = match_names(pattern, columns) if is_wildcard(pattern) else [pattern]
        for name in names:
            if name not in taken:
                taken.add(name)
                where = f"{node.where}.DummyContrasts"
                rules.append(ContrastRule(name, (name,), ((1.0,),), node.dummy.test, where))
    return rules


def make_contrasts(
    rules: Iterable[ContrastRule], design: Design, missing_condition: str = "drop"
) -> tuple[tuple[Contrast, ...], dict[str, str]]:
    """Return the contrasts that a design can make, and why it can not make the others.

    Parameters
    ----------
    rules : sequence of ContrastRule
    design : Design
    missing_condition : {"drop", "error", "zero"}
        "zero" counts an absent condition as zero; the other weights stay as they are. An F test that would
        then test fewer effects is not made: it would be another test than that of other runs.

    Returns
    -------
    contrasts : tuple of Contrast
    skipped : dict of str to str
        Contrast name to the reason.
    """
    contrasts, skipped = [], {}
    diagnosis = Diagnosis(design.matrix, design.columns)
    for rule in rules:
        weights, absent = _weights(rule, design.columns)
        rows = weights[np.any(weights, axis=1)]
        reason = _reason(rule, rows, absent, diagnosis, missing_condition)
        if reason:
            skipped[rule.name] = reason
        elif rule.test == "F":
            contrasts.append(Contrast(rule.name, "F", design.columns, reduce_rows(rows)))
        else:
            contrasts.append(Contrast(rule.name, "t", design.columns, rows))
    return tuple(contrasts), skipped


def without_absent(rule: ContrastRule, columns: Sequence[str]) -> ContrastRule:
    """Return an F rule without the rows that need an absent condition; unchanged where none is left."""
    absent = {name for name in rule.conditions if find_column(name, columns) is None}
    rows = tuple(
        row
        for row in rule.weights
        if not any(weight and name in absent for name, weight in zip(rule.conditions, row, strict=True))
    )
    return replace(rule, weights=rows) if rule.test == "F" and rows else rule


def find_column(name: str, columns: Collection[str]) -> str | None:
    """Return the column that a condition stands for, or None.

    A model may spell it otherwise (``g.1.0``, ``C(g)[T.x]``), or put the name of a factor before the
    name of a column (``trial_type.rt_reg.rt`` for ``rt_reg.rt``), as some published models do.
    """
    for spelling in (name, *aliases(name)):
        if spelling in columns:
            return spelling
    rest = name
    while "." in rest:
        rest = rest.partition(".")[2]
        if "." in rest and rest in columns:
            return rest
    return None


def near_match(name: str, names: Iterable[str]) -> str:
    """Return a hint: the nearest of the columns but the intercept, or which there are."""
    return near_or_there(name, [other for other in names if other != INTERCEPT])


def _weights(rule: ContrastRule, columns: Sequence[str]) -> tuple[Matrix, list[str]]:
    """Return weights over the columns, and the conditions with a weight that have no column."""
    weights, absent = np.zeros((len(rule.weights), len(columns))), []
    for index, condition in enumerate(rule.conditions):
        values = [row[index] for row in rule.weights]
        if not any(values):
            continue
        column = find_column(condition, columns)
        if column is None:
            absent.append(condition)
        else:
            weights[:, columns.index(column)] += values
    return weights, absent


def _reason(
    rule: ContrastRule, rows: Matrix, absent: list[str], diagnosis: Diagnosis, missing_condition: str
) -> str | None:
    """Return why a contrast with these rows, none of them zero, can not be made, or None."""
    gone = f"no {', '.join(absent)} here"
    if absent and (missing_condition != "zero" or not len(rows)):
        return gone
    if not len(rows):
        return "all its weights are zero"
    reason = diagnosis.inestimable_reason(rows)
    if not reason and absent and rule.test == "F" and find_rank(rows.T) < find_rank(np.array(rule.weights).T):
        return f"{gone}, which an F test can not count as zero"
    return reason
