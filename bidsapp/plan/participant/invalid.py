"""Contrasts that name what occurs nowhere: a fault of the model, or left out where the user asks for it."""

from dataclasses import dataclass, replace

from bidsapp.errors import Caution
from bidsapp.records.model import Model, Node


@dataclass(frozen=True, slots=True)
class NameFault:
    """A name of a model that occurs nowhere, in words; ``contrasts`` are those that need it."""

    words: str
    contrasts: tuple[str, ...] = ()


def leave_out_invalid(node: Node, faults: list[NameFault]) -> tuple[Node, list[str], list[Caution]]:
    """Return a Run node without the contrasts that need what occurs nowhere, where it may lose them.

    Returns
    -------
    node : Node
    left : list of str
        The faults that are left.
    cautions : list of Caution
        One for each contrast that is left out.
    """
    if node.invalid_contrasts != "drop":
        return node, [fault.words for fault in faults], []
    reasons: dict[str, str] = {}
    for fault in faults:
        for name in fault.contrasts:
            reasons.setdefault(name, fault.words)
    dummy = node.dummy
    if dummy is not None and dummy.contrasts is not None:
        dummy = replace(dummy, contrasts=tuple(name for name in dummy.contrasts if name not in reasons))
    rules = tuple(rule for rule in node.contrasts if rule.name not in reasons)
    words = "contrast {!r} is left out, by --invalid-contrasts: {}"
    return (
        replace(node, contrasts=rules, dummy=dummy),
        [fault.words for fault in faults if not fault.contrasts],
        [Caution(words.format(name, reason)) for name, reason in reasons.items()],
    )


def without_notes_on(model: Model, node: Node) -> tuple[str, ...]:
    """Return the notes of a model but for those on contrasts that are left out of its Run node."""
    kept = {rule.name for rule in node.contrasts}
    lost = [rule.name for rule in model.nodes[0].contrasts if rule.name not in kept]
    about = [f"{node.name}: contrast {name!r} sums" for name in lost]
    return tuple(note for note in model.notes if not any(words in note for words in about))
