"""From a preprocessed BOLD image to a `Run`: the files that belong to it, and its timing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
from bids.layout import BIDSLayout

from bidsapp.errors import InputError
from bidsapp.inputs.dataset.folders import walk_files
from bidsapp.inputs.dataset.index import (
    INDICES,
    IndexedFile,
    find,
    inherited_metadata,
    most_specific,
    parse_name,
)
from bidsapp.inputs.dataset.selection import space_of
from bidsapp.inputs.dataset.timing import read_timing
from bidsapp.inputs.images.read import Header, check_grid, read_header, whole_grid
from bidsapp.inputs.tables.events import BEHAVIOUR, has_times
from bidsapp.inputs.tables.recordings import SUFFIXES, find_recordings
from bidsapp.names import ENTITY_ORDER
from bidsapp.records.collect import collect
from bidsapp.records.documents import Document
from bidsapp.records.maps import Run, run_label

VOLUMES = (".nii.gz", ".nii")
SURFACES = (".func.gii", ".dtseries.nii", ".gii")
# Names as fMRIPrep writes them now, and before version 1.2 (the second of each).
BOLD_QUERIES = ({"suffix": "bold", "desc": "preproc"}, {"suffix": "preproc"})
MASK_QUERIES = (
    {"suffix": "mask", "desc": "brain"},
    {"suffix": "mask", "label": "brain"},
    {"suffix": "brainmask"},
)
# In order of preference: since 20.2, since 1.2, before, and the interim draft of BIDS derivatives.
CONFOUNDS_QUERIES = (
    {"suffix": "timeseries", "desc": "confounds"},
    {"suffix": "regressors", "desc": "confounds"},
    {"suffix": "confounds"},
    {"suffix": "timeseries", "desc": None},
)
# Entities that tell versions of one run apart, not runs.
VERSION_ENTITIES = ("space", "cohort", "res", "den", "desc", "label")
# By subject label; None: of all subjects.
BySubject: TypeAlias = dict[str | None, list[IndexedFile]]


class Fault(str):
    """A fault that a user can fix; ``entities`` are those of the run it is about ({}: the dataset)."""

    __slots__ = ("entities",)
    entities: dict[str, str]

    def __new__(cls, message: str, entities: Mapping[str, str] | None = None) -> Self:
        """Make a message that knows its run."""
        fault = super().__new__(cls, message)
        fault.entities = dict(entities or {})
        return fault


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one dataset that runs may need."""

    root: Path
    bold: tuple[IndexedFile, ...]
    surfaces: tuple[IndexedFile, ...]
    masks: BySubject
    confounds: tuple[BySubject, ...]
    events: BySubject
    sidecars: BySubject
    recordings: BySubject


def find_files(layout: BIDSLayout, filters: Mapping[str, Document]) -> Files:
    """Return the files of an indexed dataset; ``filters`` as from `read_filters`."""

    def search(kind: str, queries: Iterable[Document], extensions: Iterable[str]) -> tuple[IndexedFile, ...]:
        common = {"extension": list(extensions)}
        wanted = [common | query | filters.get(kind, {}) for query in queries]
        found = [file for query in wanted for file in find(layout, **query)]
        return tuple({file.path: file for file in found}.values())

    confounds = (search("confounds", (query,), (".tsv",)) for query in CONFOUNDS_QUERIES)
    return Files(
        root=Path(layout.root),
        bold=search("bold", [{"datatype": "func"} | query for query in BOLD_QUERIES], VOLUMES),
        surfaces=tuple(find(layout, suffix="bold", extension=list(SURFACES))),
        masks=_by_subject(search("mask", [{"datatype": "func"} | query for query in MASK_QUERIES], VOLUMES)),
        confounds=tuple(map(_by_subject, confounds)),
        events=_by_subject(search("events", ({"suffix": "events"},), (".tsv",))),
        sidecars=_by_subject(find(layout, suffix=["bold", "preproc"], extension=".json")),
        recordings=_by_subject(find(layout, suffix=list(SUFFIXES), extension=[".tsv.gz", ".tsv", ".json"])),
    )


def _by_subject(files: Iterable[IndexedFile]) -> BySubject:
    return collect((file.entities.get("sub"), file) for file in files)


def of_subject(table: BySubject, subject: str | None) -> list[IndexedFile]:
    """Return the files of a subject and those of all subjects."""
    return table.get(None, []) + table.get(subject, [])


def identity(file: IndexedFile) -> tuple[tuple[str, str], ...]:
    """Return what tells runs apart: all entities but space, resolution and the like, run-01 as run-1."""
    return tuple(
        (key, str(int(label)) if key in INDICES and label.isdecimal() else label)
        for key, label in file.entities.items()
        if key not in VERSION_ENTITIES
    )


def run_entities(file: IndexedFile) -> dict[str, str]:
    """Return the entities that a `Run` keeps."""
    return {key: label for key, label in file.entities.items() if key not in ("desc", "label")}


def fault_of(entities: Mapping[str, str], words: str) -> Fault:
    """Return the fault of a run of which something is said."""
    return Fault(f"{run_label(entities)} {words}", entities)


def events_name(entities: Mapping[str, str]) -> str:
    """Return the name that the events file of a run is expected to have."""
    shown = ("sub", "ses", "task", "acq", "dir", "run")
    return "_".join([*(f"{key}-{entities[key]}" for key in shown if key in entities), "events.tsv"])


def find_events(bold: IndexedFile, sources: Sequence[Files]) -> list[IndexedFile]:
    """Return the events files that apply best to a BOLD image, looked for in each dataset in turn.

    Where there is none, those are tables of behaviour (``_beh.tsv``) that have onsets and durations.
    """
    subject = bold.entities["sub"]
    for files in sources:
        found = most_specific(of_subject(files.events, subject), bold.entities)
        if found:
            return found
    for files in sources:
        tables = walk_files(files.root / f"sub-{subject}", BEHAVIOUR, kind="sub-")
        found = most_specific(map(parse_name, filter(has_times, tables)), bold.entities)
        if found:
            return found
    return []


def make_run(bold: IndexedFile, derivative: Files, raw: Files, events: Path | None) -> Run:
    """Return the `Run` of a BOLD image.

    Parameters
    ----------
    bold : IndexedFile
    derivative, raw : Files
        The dataset of the image, and the raw one, whose sidecars count where the derivative has none.
    events : Path or None

    Raises
    ------
    InputError
        The fault, without the name of the run.
    """
    unknown = sorted(set(run_entities(bold)) - set(ENTITY_ORDER))
    if unknown:
        raise InputError(
            f"has {unknown[0]!r} in its name, which no output name can carry. Rename {bold.path}."
        )
    subject = bold.entities["sub"]
    metadata = inherited_metadata(of_subject(raw.sidecars, subject), bold.entities)
    # Only the derivative's own sidecar says how its slice times were treated.
    metadata = {key: metadata[key] for key in metadata if key not in ("StartTime", "SliceTimingCorrected")}
    metadata |= inherited_metadata(of_subject(derivative.sidecars, subject), bold.entities)
    header = read_header(bold.path)
    if len(header.shape) != 4:
        shape = " x ".join(map(str, header.shape))
        raise InputError(f"is not a series of volumes: {bold.path} has the shape {shape}.")
    timing = read_timing(metadata, header.time_step, header.time_unit)
    mask = _find_mask(bold, derivative)
    _check_mask(mask, header)
    return Run(
        entities=run_entities(bold),
        bold=bold.path,
        mask=mask,
        events=events,
        confounds=_find_confounds(bold, derivative),
        repetition_time=timing.repetition_time,
        start_time=timing.start_time,
        start_time_source=timing.source,
        n_volumes=header.shape[3],
        metadata=metadata,
        recordings=find_recordings(of_subject(raw.recordings, subject), bold.entities),
        notes=(*timing.notes, *_note_on_behaviour(events)),
        grid=(header.shape[:3], tuple(map(tuple, header.affine.tolist()))),
    )


def _note_on_behaviour(events: Path | None) -> tuple[str, ...]:
    if events is None or not events.name.endswith(BEHAVIOUR):
        return ()
    return (f"the events come from {events.name}, for there is no events file",)


def _find_mask(bold: IndexedFile, files: Files) -> Path:
    """Return the brain mask in the image's own space (and resolution, where the mask says it)."""
    masks = [
        file for file in of_subject(files.masks, bold.entities["sub"]) if space_of(file) == space_of(bold)
    ]
    found = most_specific(masks, bold.entities, ignoring=("desc", "label"))
    if not found:
        expected = bold.path.name.replace("desc-preproc_bold", "desc-brain_mask")
        raise InputError(
            f"has no brain mask (expected {expected} beside the image). Add it, or name one with "
            "--bids-filter-file."
        )
    return found[0].path


def _check_mask(mask: Path, header: Header) -> None:
    about = read_header(mask)
    if np.prod(about.shape[3:]) != 1:
        raise InputError(f"has a mask of {np.prod(about.shape[3:])} volumes where one is needed: {mask}.")
    try:
        check_grid(
            mask,
            about.shape,
            about.affine,
            whole_grid(header.shape, header.affine),
            reference="its BOLD image",
        )
    except InputError as error:
        raise InputError(f"has a mask that does not fit: {error}") from error


def check_same_grid(runs: Sequence[Run]) -> None:
    """Raise InputError where runs that are to be put together are on different grids."""
    known = [(run.bold, *run.grid) for run in runs if run.grid is not None]
    for bold, shape, affine in known[1:]:
        check_grid(bold, shape, affine, whole_grid(*known[0][1:]), reference=str(known[0][0]))


def _find_confounds(bold: IndexedFile, files: Files) -> Path | None:
    for table in files.confounds:
        found = most_specific(of_subject(table, bold.entities["sub"]), bold.entities, ignoring=("desc",))
        if found:
            return found[0].path
    return None
