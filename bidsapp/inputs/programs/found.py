"""What results of a program are read as: effect maps, each with what belongs to it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from bidsapp.inputs.dataset.index import IndexedFile
from bidsapp.records.documents import Document
from bidsapp.records.maps import Reading

# A file is a map.
PLAIN = Reading()


@dataclass(frozen=True, slots=True)
class FoundMap(IndexedFile):
    """An effect map with what belongs to it.

    Attributes
    ----------
    variance, dof_map : Path or None
        As of an `EstimateFile`.
    reading : Reading
    metadata : dict
        What the files of its program say of it, in the words of sidecars, before its own sidecar is read.
    """

    variance: Path | None = None
    dof_map: Path | None = None
    reading: Reading = PLAIN
    metadata: Document = field(default_factory=dict)


# The maps in one result of a program, and what is to be said of it.
Results: TypeAlias = tuple[list[FoundMap], list[str]]


@dataclass(frozen=True, slots=True)
class Program:
    """A program whose results are found and read by its name.

    Attributes
    ----------
    words : str
        Its name in messages and records.
    results : str
        What is looked for in a folder, in words.
    units : str
        The unit of its effects in a sentence, and how it becomes percent.
    find : callable
        Returns the results in a folder, or the one that the path itself is.
    read : callable
        Returns the maps of one result, without the entities of whom they are of, and notes; raises
        InputError.
    """

    words: str
    results: str
    units: str
    find: Callable[[Path], list[Path]]
    read: Callable[[Path], Results]


def make_found(
    path: Path,
    contrast: str,
    *,
    variance: Path | None = None,
    dof: float = math.nan,
    dof_map: Path | None = None,
    reading: Reading = PLAIN,
    **said: object,
) -> FoundMap:
    """Return an effect map of a contrast, with more that is ``said`` of it."""
    known = {"DegreesOfFreedom": dof} if math.isfinite(dof) else {}
    metadata = {"ContrastName": contrast, **known, **said}
    return FoundMap(path, {}, "", "", variance, dof_map, reading, metadata)
