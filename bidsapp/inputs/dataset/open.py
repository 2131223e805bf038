"""Find the runs to analyse: preprocessed BOLD with its mask, confounds, events and timing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bidsapp.errors import EXIT_NO_INPUT, EXIT_NOTHING_SELECTED, InputError, by_reason
from bidsapp.inputs.dataset.candidates import Candidate, Choice, by_labels, of_one_grid, with_events
from bidsapp.inputs.dataset.index import (
    IndexedFile,
    close_index,
    find_stray_part,
    index_folder,
    is_label,
    read_filters,
)
from bidsapp.inputs.dataset.roots import find_roots, subject_labels
from bidsapp.inputs.dataset.runs import (
    Fault,
    Files,
    events_name,
    fault_of,
    find_events,
    find_files,
    make_run,
    run_entities,
)
from bidsapp.inputs.dataset.selection import natural_key, space_of, unknown_labels
from bidsapp.inputs.dataset.timing import find_doubtful_times
from bidsapp.inputs.tables.participants import find_participants
from bidsapp.records.maps import Run
from bidsapp.settings.parts import Selection

LABELS = "A label is of letters and digits; an underscore ends it. Rename folders and files."


@dataclass(frozen=True, slots=True)
class Dataset:
    """What was found.

    Attributes
    ----------
    runs : tuple of Run
        Every run with events that can be analysed, in natural order.
    notes : tuple of str
        What a user should know: the space chosen, runs left out and why.
    faults : tuple of Fault
        Faults that a user can fix; each is its message, and knows the entities of its run.
    unusable : dict of str
        Subjects asked for without any run that can be analysed -> the reason.
    """

    runs: tuple[Run, ...]
    participants: Path | None
    raw: Path
    derivatives: dict[str, Path]
    notes: tuple[str, ...]
    faults: tuple[Fault, ...]
    unusable: dict[str, str]

    @property
    def roots(self) -> tuple[Path, ...]:
        """The raw dataset, then its derivatives."""
        return (self.raw, *self.derivatives.values())


def open_dataset(
    bids_dir: Path, selection: Selection, *, needs_events: bool = True, for_group: bool = False
) -> Dataset:
    """Index the dataset and return its runs; no image data is read.

    Parameters
    ----------
    bids_dir : Path
    selection : Selection
    needs_events : bool
        Whether runs without events are left out, or are a fault beside others of their task.
    for_group : bool
        Whether a group is analysed too, which a native space does not allow.

    Raises
    ------
    InputError, SettingsError
        Nothing can be analysed: no such folder or label, no preprocessed BOLD, several resolutions and
        none chosen. Faults of single runs are collected in `Dataset.faults`.
    """
    raw, derivatives = find_roots(bids_dir, selection.derivatives)
    subjects, absent = choose_subjects(raw, derivatives, selection)
    files = {name: _index(root, name, subjects, selection) for name, root in derivatives.items()}
    same = [name for name, root in derivatives.items() if root == raw]
    raw_files = files[same[0]] if same else _index(raw, "raw", subjects, selection)
    found = _find_images(files.values(), subjects)
    if not found.images:
        raise _no_volumes(derivatives, files, subjects)
    choice = by_labels(found, selection)
    choice = with_events(choice, raw_files, selection) if needs_events else choice
    choice = of_one_grid(choice, selection, for_group=for_group)
    runs, faults = _make_runs(choice.images, raw_files, needs_events)
    faults = [*choice.faults, *faults, *choice.lost]
    unusable, idle = _unusable(subjects, runs, faults, found.images)
    left_out: list[str] = []
    if selection.participant_label:
        unusable |= idle | {label: "no preprocessed data." for label in absent}
    else:
        left_out += [
            f"participants left out, {why}: {', '.join(who)}" for why, who in by_reason(idle).items()
        ]
        if absent:
            left_out.append(f"participants without preprocessed data, left out: {', '.join(absent)}")
    return Dataset(
        runs=tuple(runs),
        participants=find_participants(raw, *derivatives.values()),
        raw=raw,
        derivatives={name: root for name, root in derivatives.items() if files[name].bold},
        notes=(*choice.notes, *left_out),
        faults=tuple(fault for fault in faults if fault.entities.get("sub") not in unusable),
        unusable=unusable,
    )


def _find_images(derivatives: Iterable[Files], subjects: Collection[str]) -> Choice:
    """Return the images that are of one of the subjects, by their names and their folders."""
    return Choice(
        tuple(
            Candidate(bold.path, bold.entities, bold.suffix, bold.extension, files)
            for files in derivatives
            for bold in files.bold
            if bold.entities.get("sub") in subjects and f"sub-{bold.entities['sub']}" in bold.path.parts
        )
    )


def choose_subjects(
    raw: Path, derivatives: Mapping[str, Path], selection: Selection
) -> tuple[list[str], list[str]]:
    """Return the labels to analyse, and those that only the raw dataset has."""
    there = sorted(
        {label for root in derivatives.values() for label in subject_labels(root)}, key=natural_key
    )
    known = sorted({*there, *subject_labels(raw)}, key=natural_key)
    for labels in (selection.participant_label, selection.exclude_participant_label):
        missing = [label for label in labels if label not in known]
        if missing:
            raise unknown_labels("sub", missing, known)
    wanted = [
        label
        for label in selection.participant_label or known
        if label not in selection.exclude_participant_label
    ]
    if not wanted:
        raise InputError("All participants are excluded.", exit_code=EXIT_NOTHING_SELECTED)
    return [label for label in wanted if label in there], [label for label in wanted if label not in there]


def _index(root: Path, name: str, subjects: Sequence[str], selection: Selection) -> Files:
    database = selection.bids_database_dir and Path(selection.bids_database_dir) / name
    layout = index_folder(root, subjects, database)
    try:
        return find_files(layout, read_filters(selection.bids_filter_file))
    finally:
        close_index(layout)


def _no_volumes(
    derivatives: Mapping[str, Path], files: Mapping[str, Files], subjects: Sequence[str]
) -> InputError:
    """Return the error for derivatives without any preprocessed volume."""
    where = ", ".join(str(root) for root in derivatives.values())
    surfaces = sorted({space_of(file) for found in files.values() for file in found.surfaces})
    if surfaces:
        message = (
            f"{where} holds BOLD only on surfaces ({', '.join(surfaces)}); this app reads volumes. "
            "Run fMRIPrep with --output-spaces MNI152NLin2009cAsym."
        )
    else:
        who = f" of sub-{', sub-'.join(subjects)}" if 0 < len(subjects) <= 5 else ""
        odd = "" if all(map(is_label, subjects)) else f" {LABELS}"
        message = (
            f"No preprocessed BOLD{who} in {where} (looked for *_desc-preproc_bold.nii.gz). "
            "Name the folder of fMRIPrep's output with --derivatives, or other names with --bids-filter-file."
            f"{odd}"
        )
    return InputError(message, exit_code=EXIT_NO_INPUT)


def _make_runs(
    images: Iterable[Candidate], raw_files: Files, needs_events: bool
) -> tuple[list[Run], list[Fault]]:
    """Return the runs that can be analysed, and the faults of the others."""
    runs, faults = [], []
    for image in images:
        events = find_events(image, (raw_files, image.files))
        try:
            part = find_stray_part(image)
            if part is not None:
                raise InputError(f"has {part!r} in the name {image.path.name}. {LABELS}")
            path = _only_events(events, image.entities) if events or needs_events else None
            runs.append(make_run(image, image.files, raw_files, path))
        except InputError as error:
            faults.append(fault_of(run_entities(image), str(error)))
    doubtful = find_doubtful_times(runs)
    faults += [fault_of(runs[number].entities, words) for number, words in doubtful.items()]
    return [run for number, run in enumerate(runs) if number not in doubtful], faults


def _only_events(found: Sequence[IndexedFile], entities: Mapping[str, str]) -> Path:
    if len(found) == 1:
        return found[0].path
    if found:
        paths = ", ".join(str(file.path) for file in found)
        raise InputError(f"has several events files that apply equally: {paths}. Keep one.")
    raise InputError(
        f"has no events file (expected {events_name(entities)} in the raw dataset). Add it, or leave the run "
        "out with --run-label, --task-label or the model's Input."
    )


def _unusable(
    subjects: Sequence[str], runs: Iterable[Run], faults: Iterable[Fault], files: Sequence[IndexedFile]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the subjects without any run, with the reasons: of faults, and of what they did not do.

    Parameters
    ----------
    files : list of IndexedFile
        All their images, those of other tasks, sessions and runs too.
    """
    usable = {run.entities["sub"] for run in runs}
    faulty, idle = {}, {}
    for subject in subjects:
        own = [str(fault) for fault in faults if fault.entities.get("sub") == subject]
        if not is_label(subject):
            own = [f"sub-{subject} has a label with other signs. {LABELS}"]
        if subject in usable:
            continue
        if own:
            faulty[subject] = " ".join(own)
        else:
            idle[subject] = _what_is_there(file for file in files if file.entities["sub"] == subject)
    return faulty, idle


def _what_is_there(files: Iterable[IndexedFile]) -> str:
    keys = ("ses", "task")
    there = {tuple(f"{k}-{file.entities[k]}" for k in keys if k in file.entities) for file in files}
    shown = ", ".join(" ".join(labels) for labels in sorted(there))
    return f"no run of what is analysed ({shown} only)" if there else "no preprocessed BOLD"
