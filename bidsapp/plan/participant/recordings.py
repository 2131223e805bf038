"""Which columns of physiological and stimulus recordings enter the design of a run."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bidsapp.design.resampling import resample_at
from bidsapp.design.run import find_confounds
from bidsapp.errors import InputError
from bidsapp.inputs.tables.recordings import Recording, columns_of, describe_recording, read_recording
from bidsapp.records.arrays import Numbers
from bidsapp.records.maps import RecordingFile, Run
from bidsapp.records.model import Node


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """Columns of recordings at the volumes, the files they are from, and what to know of them.

    ``nameless`` says which recordings have no names for their columns: one may be what a model asks for.
    """

    table: pd.DataFrame
    files: tuple[RecordingFile, ...]
    notes: tuple[str, ...]
    nameless: tuple[str, ...]


def choose_recordings(node: Node, run: Run, frame_times: Numbers, known: Collection[str]) -> Recorded:
    """Return the columns that a node names and neither the events nor the confounds of a run have.

    Parameters
    ----------
    known : collection of str
        The columns of events and confounds.

    Raises
    ------
    InputError
        A column that two recordings have; a recording that is wanted and damaged.
    """
    named = {file.path: columns_of(file) for file in run.recordings}
    names = [name for columns in named.values() for name in columns if name not in known]
    columns, used, notes = {}, {}, []
    for name in dict.fromkeys(find_confounds(node, names)):
        if names.count(name) > 1:
            paths = ", ".join(str(path) for path, columns in named.items() if name in columns)
            raise InputError(
                f"the column {name!r} stands more than once in {paths}. Rename one in its JSON's Columns."
            )
        file = next(file for file in run.recordings if name in named[file.path])
        columns[name], more = _at_volumes(describe_recording(file), name, frame_times)
        used[file.path] = file
        notes += more
    return Recorded(
        pd.DataFrame(columns),
        tuple(used.values()),
        tuple(dict.fromkeys(notes)),
        tuple(f"{path}: not used, for its JSON sidecar has no Columns" for path in named if not named[path]),
    )


def _at_volumes(recording: Recording, name: str, frame_times: Numbers) -> tuple[Numbers, list[str]]:
    """Return a column at the volumes, shape (n_volumes,), and notes."""
    values = read_recording(recording, [name])[name].to_numpy()
    missing = int(np.isnan(values).sum())
    if missing == len(values):
        raise InputError(f"{recording.path}: the column {name!r} holds no number. Leave it out of the model.")
    times = recording.start_time + np.arange(len(values)) / recording.sampling_frequency
    before, after = times[0] - frame_times[0], frame_times[-1] - times[-1]
    if times[-1] < frame_times[0] or times[0] > frame_times[-1]:
        raise InputError(
            f"{recording.path}: the recording lasts from {times[0]:.6g} to {times[-1]:.6g} s, the volumes "
            f"from {frame_times[0]:.6g} to {frame_times[-1]:.6g} s. Correct StartTime or SamplingFrequency."
        )
    notes = [*recording.notes, f"{name!r} comes from {recording.path.name}, low-passed to the volumes' rate"]
    if missing:
        notes.append(f"{name!r}: {missing:,} of {len(values):,} samples are missing and bridged by lines")
    step = float(np.min(np.diff(frame_times)))
    for span, words in (
        (before, "begins {:.4g} s after the first"),
        (after, "ends {:.4g} s before the last"),
    ):
        if span > step:
            notes.append(f"{name!r}: the recording {words.format(span)} volume; its nearest value is held")
    return resample_at(values, times, frame_times), notes
