"""Settings that a file holds: those of a record, as they were when its results were made."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from bidsapp.settings.parts import PARTS, Choices, Part


def read_saved(saved: Mapping[str, Mapping[str, Any]]) -> Choices:
    """Return the settings that a record keeps under ``settings``, part -> name -> value.

    What an older record lacks has its default; what is not known any more is left out.
    """
    return Choices(**{name: _read_part(part, saved.get(name, {})) for name, part in PARTS.items()})


def _read_part(part: type[Part], saved: Mapping[str, Any]) -> Any:
    known = {setting.name: setting.metadata["kind"] for setting in fields(part) if setting.name in saved}
    return part(**{name: _as_held(saved[name], kind) for name, kind in known.items()})


def _as_held(value: Any, kind: str) -> Any:
    """Return a value of JSON as settings hold it."""
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if kind == "path" and value is not None else value
