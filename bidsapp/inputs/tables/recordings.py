"""Recordings beside a run: pulse, breathing, stimulus series (``*_physio.tsv.gz``, ``*_stim.tsv.gz``).

The table has no header: its sidecar names the columns and says when the recording began and how often it
was sampled. ``n/a`` is missing.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.errors import InputError
from bidsapp.inputs.dataset.index import IndexedFile, inherited_metadata, is_finite, most_specific
from bidsapp.inputs.fetched import check_fetched
from bidsapp.inputs.tables.read import MISSING
from bidsapp.records.arrays import Numbers
from bidsapp.records.collect import collect
from bidsapp.records.maps import RecordingFile

SUFFIXES = ("physio", "stim")


@dataclass(frozen=True, slots=True)
class Recording:
    """What the sidecar of a recording says.

    Attributes
    ----------
    columns : tuple of str
    sampling_frequency : float
        In Hz.
    start_time : float
        Seconds from the first volume to the first sample; negative where the recording began before.
    notes : tuple of str
    """

    path: Path
    columns: tuple[str, ...]
    sampling_frequency: float
    start_time: float
    notes: tuple[str, ...] = ()


def find_recordings(files: Iterable[IndexedFile], entities: dict[str, str]) -> tuple[RecordingFile, ...]:
    """Return the recordings of a run: those that apply best, for each suffix and ``recording`` label.

    Parameters
    ----------
    files : iterable of IndexedFile
        Tables and sidecars.
    """
    kinds = collect(
        ((file.suffix, file.entities.get("recording")), file) for file in files if file.extension != ".json"
    )
    found = []
    for (suffix, label), members in sorted(kinds.items(), key=str):
        sidecars = [file for file in files if file.extension == ".json" and file.suffix == suffix]
        labels = entities | ({"recording": label} if label else {})
        best = most_specific(members, labels)
        metadata = inherited_metadata(sidecars, labels) if best else {}
        found += [RecordingFile(file.path, metadata) for file in best]
    return tuple(found)


def columns_of(file: RecordingFile) -> tuple[str, ...]:
    """Return the names of the columns of a recording; none where its sidecar has no list of them."""
    columns = file.metadata.get("Columns")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        return ()
    return tuple(columns)


def describe_recording(file: RecordingFile) -> Recording:
    """Return what is known of a recording before it is read.

    Raises
    ------
    InputError
        A sidecar that lacks what is needed.
    """
    rate, start = (file.metadata.get(key) for key in ("SamplingFrequency", "StartTime"))
    where = f"{file.path}: in its JSON sidecar"
    if not is_finite(rate) or rate <= 0:
        raise InputError(f"{where}, SamplingFrequency is {rate!r}. Write the samples a second.")
    if start is not None and not is_finite(start):
        raise InputError(f"{where}, StartTime is {start!r}. Write the seconds from the first volume.")
    notes = () if start is not None else (f"{file.path.name}: no StartTime in its sidecar, taken as 0",)
    return Recording(file.path, columns_of(file), float(rate), float(start or 0), notes)


def read_recording(recording: Recording, columns: list[str]) -> pd.DataFrame:
    """Return these columns of a recording as numbers, NaN where a value is missing.

    Raises
    ------
    InputError
        Damaged; another number of columns than its sidecar names; a text.
    """
    path = recording.path
    check_fetched(path)
    try:
        table = pd.read_csv(path, sep="\t", header=None, dtype=str, na_filter=False)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}. Get it again.") from error
    if table.shape[1] != len(recording.columns):
        raise InputError(
            f"{path} has {table.shape[1]} columns, its JSON sidecar names {len(recording.columns)}. "
            "Correct one of them."
        )
    table.columns = list(recording.columns)
    return pd.DataFrame({name: _numbers(table[name], path) for name in columns})


def _numbers(texts: pd.Series, path: Path) -> Numbers:
    texts = texts.str.strip()
    values = pd.to_numeric(texts, errors="coerce").to_numpy(float)
    wrong = np.flatnonzero(np.isinf(values) | (np.isnan(values) & ~texts.isin(MISSING).to_numpy()))
    if wrong.size:
        raise InputError(
            f"{path}, column {texts.name}, line {wrong[0] + 1}: {texts.iloc[wrong[0]]!r} is not a number. "
            "Correct it, or write n/a."
        )
    return values
