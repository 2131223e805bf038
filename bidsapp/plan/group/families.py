"""Which contrasts of a group model form a family, over which errors are controlled together."""

from collections.abc import Sequence
from dataclasses import replace

from bidsapp.errors import SettingsError, near_names, tell_names
from bidsapp.names import make_label
from bidsapp.records.plan import DatasetFit

ALL = "all"


def add_family(fits: Sequence[DatasetFit], wanted: Sequence[str]) -> list[DatasetFit]:
    """Return fits with the contrasts of theirs that are in the family.

    Parameters
    ----------
    fits : list of DatasetFit
    wanted : tuple of str
        Names of contrasts or their labels in file names, also several in a word with commas; ``all``:
        everything but what is descriptive.

    Raises
    ------
    SettingsError
        A name that no fit has.
    """
    known = {contrast.name: None for fit in fits for contrast in fit.contrasts}
    if tuple(wanted) == (ALL,) and ALL not in known:
        return [replace(fit, family=_hypotheses(fit)) for fit in fits]
    chosen = {name for word in wanted for name in _find(word, known)}
    return [
        replace(fit, family=tuple(one.name for one in fit.contrasts if one.name in chosen)) for fit in fits
    ]


def _hypotheses(fit: DatasetFit) -> tuple[str, ...]:
    return tuple(one.name for one in fit.contrasts if one.name not in fit.descriptive)


def _find(word: str, known: dict[str, None]) -> list[str]:
    """Return the contrasts that a word names: one, or several between commas."""
    labels = {make_label(name): name for name in reversed(known)} | {name: name for name in known}
    parts = [word] if word in labels else [part.strip() for part in word.split(",") if part.strip()]
    for part in parts:
        if part not in labels:
            near = near_names(part, labels, cutoff=0.4)
            hint = f", did you mean {labels[near[0]]!r}?" if near else "."
            raise SettingsError(
                f"--across-contrasts: no group model tests a contrast {part!r}{hint} {tell_names(known)}"
            )
    return [labels[part] for part in parts]
