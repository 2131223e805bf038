"""Who a file ``exclude.json`` leaves out of the group analysis.

Forms that are read: a list of labels; an object of labels to reasons; a list of objects with entities
("sub", "ses", "task", "run") and optionally "reason" and "rating", of which those rated otherwise than "bad"
are passed over (HALFpipe's form).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bidsapp.errors import InputError
from bidsapp.inputs.fetched import check_fetched, is_named

FILE_NAME = "exclude.json"
ENTITIES = ("sub", "ses", "task", "run")


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Inputs with these entities (short names) are left out; ``reason`` is for the report."""

    entities: tuple[tuple[str, str], ...]
    reason: str

    def applies_to(self, entities: Mapping[str, str]) -> bool:
        """Whether an input with these entities is left out."""
        return all(entities.get(key) == label for key, label in self.entities)


def read_exclusions(*folders: Path) -> list[Exclusion]:
    """Return the exclusions of the ``exclude.json`` of all folders.

    Raises
    ------
    InputError
        A file that is not of one of the forms.
    """
    paths = dict.fromkeys(Path(folder) / FILE_NAME for folder in folders)
    return [entry for path in paths if is_named(path) for entry in _read(path)]


def _read(path: Path) -> list[Exclusion]:
    check_fetched(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not JSON: {error}. Mend it, or move it away.") from error
    if isinstance(content, dict):
        return [_of_label(path, label, str(reason)) for label, reason in content.items()]
    if isinstance(content, list):
        found = [_of_item(path, item) for item in content]
        return [entry for entry in found if entry is not None]
    raise InputError(f"{path} must hold a list of participants, or an object of labels to reasons.")


def _of_label(path: Path, label: object, reason: str) -> Exclusion:
    if not isinstance(label, str) or not label.removeprefix("sub-"):
        raise InputError(f"{path}: {label!r} is not a participant's label.")
    return Exclusion((("sub", label.removeprefix("sub-")),), reason or f"in {FILE_NAME}")


def _of_item(path: Path, item: object) -> Exclusion | None:
    if isinstance(item, str):
        return _of_label(path, item, f"in {FILE_NAME}")
    if not isinstance(item, dict) or "sub" not in item:
        raise InputError(f"{path}: {item!r} names no participant (a label, or an object with 'sub').")
    if item.get("rating", "bad") != "bad":
        return None
    entities = tuple((key, str(item[key]).removeprefix(f"{key}-")) for key in ENTITIES if key in item)
    return Exclusion(entities, str(item.get("reason") or f"in {FILE_NAME}"))
