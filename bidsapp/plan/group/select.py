"""Which contrasts of the subjects the group analyses: those asked for, and no automatic mirrored twins."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from bidsapp.errors import SettingsError, near_or_there
from bidsapp.model.wildcards import is_wildcard, match_name
from bidsapp.names import make_label
from bidsapp.plan.automatic import minus_name
from bidsapp.plan.nodes import Entry
from bidsapp.records.collect import collect
from bidsapp.records.documents import Document
from bidsapp.records.model import Model
from bidsapp.records.plan import DatasetFit
from bidsapp.settings.parts import Settings

E = TypeVar("E", bound=Entry)


def select_contrasts(entries: Sequence[E], wanted: Sequence[str]) -> list[E]:
    """Return the estimates of the contrasts asked for, by name, label in file names or wildcard; () is all.

    Raises
    ------
    SettingsError
        A word that no contrast has.
    """
    names = dict.fromkeys(entry.key.contrast for entry in entries)
    chosen: set[str] = set()
    for word in wanted:
        found = [name for name in names if _is_meant(word, name)]
        if not found:
            raise SettingsError(
                f"--select-contrasts: there is no contrast {word!r}. {near_or_there(word, names)}"
            )
        chosen.update(found)
    return [entry for entry in entries if not wanted or entry.key.contrast in chosen]


def _is_meant(word: str, name: str) -> bool:
    if is_wildcard(word):
        return match_name(word, name) or match_name(word, make_label(name))
    return name == word or make_label(name) == word


def find_twins(entries: Sequence[Entry], named: Collection[str]) -> dict[str, str]:
    """Return automatic contrasts that are another one with its weights negated -> that one, which stays.

    Known from the sidecars; both must be of the same runs of all subjects. A contrast that has a name of its
    own, not that of the automatic model for its conditions, was asked for and stays.

    Parameters
    ----------
    entries : list of Entry
    named : collection of str
        Contrasts that are asked for by name, which stay, too.
    """
    weights: dict[str, list[Mapping[str, float]]] = {}
    places: dict[str, set[object]] = {}
    for entry in entries:
        name, said = entry.key.contrast, _read_weights(entry.metadata)
        places.setdefault(name, set()).add((entry.key.node, entry.key.entities))
        if said not in weights.setdefault(name, []):
            weights[name].append(said)
    one = {name: found[0] for name, found in weights.items() if len(found) == 1 and found[0]}
    twins: dict[str, str] = {}
    alike = collect((frozenset(one[name].items()), name) for name in sorted(one))
    mirrors = {name: frozenset((key, -weight) for key, weight in one[name].items()) for name in one}
    pairs = [(name, other) for name in sorted(one) for other in alike.get(mirrors[name], ()) if name < other]
    # Of two automatic ones the first by name stays.
    for first, second in pairs:
        if places[first] != places[second]:
            continue
        for other, kept in ((second, first), (first, second)):
            if other not in named and kept not in twins and _is_automatic(other, one[other]):
                twins.setdefault(other, kept)
                break
    return twins


def _is_automatic(name: str, weights: Mapping[str, float]) -> bool:
    """Whether a contrast has the name that the automatic model gives a difference of two conditions."""
    up, down = (
        [one.removeprefix("trial_type.") for one, w in weights.items() if w == sign] for sign in (1, -1)
    )
    return len(weights) == 2 and len(up) == len(down) == 1 and make_label(name) == minus_name(up[0], down[0])


def _read_weights(metadata: Document) -> dict[str, float]:
    """Return condition -> weight of a t contrast, as a sidecar has them; empty where it does not."""
    names, weights = metadata.get("ConditionList") or (), metadata.get("Weights") or ()
    if len(names) != len(weights) or any(not isinstance(weight, int | float) for weight in weights):
        return {}
    return {name: float(weight) for name, weight in zip(names, weights, strict=True) if weight}


def tell_twin(other: str, kept: str) -> str:
    """Return in words which contrast stands for its mirrored twin."""
    return (
        f"{kept} stands for {other}, which has the same weights with the other sign and would give the same "
        f"tests the other way round; --select-contrasts with both names makes both"
    )


def note_twins(fit: DatasetFit, twins: Mapping[str, str]) -> DatasetFit:
    """Return a fit with a note of the contrast that its own stands for."""
    own = {entry.key.contrast for entry in fit.inputs}
    notes = [tell_twin(other, kept) for other, kept in twins.items() if kept in own]
    return replace(fit, notes=(*fit.notes, *notes))


def without_twins(
    entries: Sequence[E], settings: Settings, models: Iterable[Model]
) -> tuple[list[E], dict[str, str]]:
    """Return the estimates without mirrored twins that nobody names, and which contrast stands for each."""
    twins = find_twins(entries, _find_named(settings, models))
    return [entry for entry in entries if entry.key.contrast not in twins], twins


def _find_named(settings: Settings, models: Iterable[Model]) -> set[str]:
    """Return the words by which settings and models may ask for a contrast."""
    group, wanted = settings.group, settings.permutation.across_contrasts
    words = {word for text in (*group.conjunction, *wanted) for word in _split(text)}
    words.update((*group.select_contrasts, *wanted))
    for model in models:
        words.update(map(str, model.input.get("contrast", ())))
        words.update(value for edge in model.edges for value in edge.filter.get("contrast", ()))
        for node in model.nodes:
            if node.level == "Dataset":
                items = node.own.get("SubjectContrasts", ())
                words.update(cell for item in items for cell in item["Cells"] if isinstance(cell, str))
                words.update([*map(str, node.x), *_split(node.formula or "")])
    return words


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.replace("=", ",").replace("+", ",").replace("~", ",").split(",")]
