"""Conditions that a model names without their column's prefix, or in another case."""

from dataclasses import replace

from bidsapp.inputs.model_notes import Notes
from bidsapp.model_records import INTERCEPT, Node
from bidsapp.wildcards import is_wildcard


def respell_conditions(node: Node, known, path: list, faults, notes: Notes) -> Node:
    """Return a node whose contrasts name its columns as X does.

    Parameters
    ----------
    known : container of str
        What the entries of X may become.
    """
    columns = [name for name in node.x if not is_wildcard(name) and name != INTERCEPT]
    table = {}

    def respell(names, where):
        for index, name in enumerate(names):
            if name in known or name in table or name == INTERCEPT:
                continue
            found = _spellings(name, columns)
            if len(found) > 1:
                faults.add([*where, index], f"{name!r} may be {' or '.join(map(repr, found))}. Write which.")
            elif found:
                table[name] = found[0]
                notes.correct([*where, index], found[0], f"{node.name}: {name!r} is read as {found[0]!r}")
        return tuple(table.get(name, name) for name in names)

    contrasts = [
        replace(rule, conditions=respell(rule.conditions, [*path, "Contrasts", index, "ConditionList"]))
        for index, rule in enumerate(node.contrasts)
    ]
    dummy = node.dummy
    if dummy is not None and dummy.contrasts:
        dummy = replace(dummy, contrasts=respell(dummy.contrasts, [*path, "DummyContrasts", "Contrasts"]))
    return replace(node, contrasts=tuple(contrasts), dummy=dummy)


def _spellings(name, columns):
    """Return the columns that a name may stand for: one that ends in it, or differs in case only."""
    plain, (stem, dot, level) = name.casefold(), name.partition(".")
    found = [column for column in columns if f".{column}".casefold().endswith(f".{plain}")]
    if dot and not found:
        found = [f"{column}.{level}" for column in columns if column.casefold() == stem.casefold()]
    return found
