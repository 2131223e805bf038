"""Conditions that a model names without their column's prefix, or in another case."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from typing import Any

from bidsapp.model.faults import Spot
from bidsapp.model.wildcards import is_wildcard
from bidsapp.records.model import INTERCEPT, Node

# Parts of a column that a condition may be the end of.
MAX_ENDINGS = 10


def respell_conditions(node: Node, known: Container[str], spot: Spot) -> Node:
    """Return a node whose contrasts name its columns as X does.

    Parameters
    ----------
    known : container of str
        What the entries of X may become.
    """
    endings = _endings([name for name in node.x if not is_wildcard(name) and name != INTERCEPT])
    table: dict[str, str] = {}

    def respell(names: Sequence[str], where: Spot) -> tuple[str, ...]:
        for index, name in enumerate(names):
            if name in known or name in table or name == INTERCEPT:
                continue
            near = _spellings(name, endings)
            if len(near) > 1:
                where.at(index).fault(f"{name!r} may be {' or '.join(map(repr, near))}. Write which.")
            elif near:
                table[name] = near[0]
                where.at(index).correct(near[0], f"{node.name}: {name!r} is read as {near[0]!r}")
        found = tuple(table.get(name, name) for name in names)
        if len(set(found)) < len(found) == len(set(names)):
            where.fault("names a condition twice, in two spellings.")
        return found

    contrasts = [
        replace(rule, conditions=respell(rule.conditions, spot.at("Contrasts", index, "ConditionList")))
        for index, rule in enumerate(node.contrasts)
    ]
    dummy = node.dummy
    if dummy is not None and dummy.contrasts:
        dummy = replace(dummy, contrasts=respell(dummy.contrasts, spot.at("DummyContrasts", "Contrasts")))
    node = replace(node, contrasts=tuple(contrasts), dummy=dummy)
    return _respell_response(node, known, endings, spot)


def _respell_response(node: Node, known: Container[str], endings: dict[str, list[str]], spot: Spot) -> Node:
    """Return a node whose HRF names columns as X does, but for what its Transformations make or take."""
    if node.hrf is None:
        return node
    arguments = [value for step in node.transformations for value in step.arguments.values()]
    own = {item for value in arguments for item in _items(value)}
    variables = list(node.hrf.variables)
    for index, name in enumerate(variables):
        found = _spellings(name, endings) if name not in known and name not in own else []
        if len(found) == 1:
            variables[index] = found[0]
            where = spot.at("Model", "HRF", "Variables", index)
            where.correct(found[0], f"{node.name}: {name!r} of HRF is read as {found[0]!r}")
    return replace(node, hrf=replace(node.hrf, variables=tuple(variables)))


def _items(value: Any) -> list[str]:
    items = value if isinstance(value, (list, tuple)) else [value]
    return [item for item in items if isinstance(item, str)]


def _endings(columns: Iterable[str]) -> dict[str, list[str]]:
    """Return what follows each of the last dots of a column, in small letters -> the columns."""
    found: dict[str, list[str]] = {}
    for column in columns:
        plain = column.casefold()
        starts = [0, *(place + 1 for place, letter in enumerate(plain) if letter == ".")]
        for start in {0, *starts[-MAX_ENDINGS:]}:
            found.setdefault(plain[start:], []).append(column)
    return found


def _spellings(name: str, endings: dict[str, list[str]]) -> list[str]:
    """Return the columns that a name may stand for: one that ends in it, or differs in case only."""
    plain, (stem, dot, level) = name.casefold(), name.partition(".")
    found = endings.get(plain, [])
    if dot and not found:
        same = [column for column in endings.get(stem.casefold(), []) if len(column) == len(stem)]
        found = [f"{column}.{level}" for column in same]
    return found
