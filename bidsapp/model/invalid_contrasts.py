"""Leave out the contrasts of a model that have faults, where the user asks for it."""

from typing import Any

from bidsapp.model.faults import Faults
from bidsapp.model.json_text import JsonPath, Place
from bidsapp.model.notes import Notes
from bidsapp.records.documents import Document


def drop_contrasts(document: Document, faults: Faults, notes: Notes) -> bool:
    """Leave out the contrasts that have faults, with a warning on each.

    Parameters
    ----------
    document : dict
        A model in today's form; it is changed in place.
    faults : Faults
        What was found in it; taken away where they are all of contrasts.

    Returns
    -------
    bool
        Whether every fault was of a contrast; otherwise nothing is changed.
    """
    reasons: dict[Place, list[str]] = {}
    for path, _, message in faults.found:
        contrast_path = _contrast_of(path)
        if contrast_path is None:
            return False
        reasons.setdefault(contrast_path, []).append(message)
    if not reasons:
        return False
    for path, messages in reasons.items():
        *_, index = path
        contrast = _value_at(document, path)
        name = contrast.get("Name", index) if isinstance(contrast, dict) else contrast
        notes.forget(path)
        notes.warn(path, f"contrast {name!r:.60} is left out, by --invalid-contrasts: {' '.join(messages)}")
    for path in sorted(reasons, reverse=True):
        del _value_at(document, path[:-1])[path[-1]]
    faults.found.clear()
    return True


def _contrast_of(path: Place) -> Place | None:
    """Return the path of the contrast that a fault is in, or None."""
    for keys in (("Contrasts",), ("DummyContrasts", "Contrasts")):
        end = 2 + len(keys)
        if path[:1] == ("Nodes",) and path[2:end] == keys and path[end : end + 1] and type(path[end]) is int:
            return path[: end + 1]
    return None


def _value_at(document: Any, path: JsonPath) -> Any:
    for part in path:
        document = document[part]
    return document
