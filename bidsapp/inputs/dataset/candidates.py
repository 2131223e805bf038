"""Choose, among the preprocessed images found, one for each run to analyse."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from bidsapp.errors import EXIT_NO_INPUT, EXIT_NOTHING_SELECTED, InputError, SettingsError
from bidsapp.inputs.dataset.index import IndexedFile, read_filters
from bidsapp.inputs.dataset.runs import Fault, Files, find_events, identity, run_entities, run_label
from bidsapp.inputs.dataset.selection import (
    NaturalKey,
    choose_resolution,
    choose_space,
    is_native,
    keep_selected,
    natural_key,
    space_of,
)
from bidsapp.settings.parts import Selection


@dataclass(frozen=True, slots=True)
class Candidate:
    """A preprocessed image with the files of its derivative."""

    file: IndexedFile
    files: Files


def by_labels(candidates: Sequence[Candidate], selection: Selection) -> list[Candidate]:
    """Return the images with the sessions, tasks and runs asked for."""
    kept = {id(file) for file in keep_selected([c.file for c in candidates], selection)}
    candidates = [candidate for candidate in candidates if id(candidate.file) in kept]
    if not candidates:
        message = "No preprocessed BOLD has these participant, session, task and run labels together."
        raise InputError(message, exit_code=EXIT_NOTHING_SELECTED)
    return candidates


def with_events(
    candidates: Sequence[Candidate], raw_files: Files, selection: Selection
) -> tuple[list[Candidate], list[str]]:
    """Leave out the tasks without any events file, and say so."""
    tasks: dict[str, bool] = {}
    for candidate in candidates:
        task = candidate.file.entities.get("task", "")
        tasks.setdefault(task, False)
        tasks[task] = tasks[task] or bool(find_events(candidate.file, (raw_files, candidate.files)))
    without = [task for task, has_events in tasks.items() if not has_events]
    if len(without) == len(tasks):
        example = candidates[0].file
        raise InputError(
            f"No events file for any run of task {', '.join(sorted(without))} (for example "
            f"{_expected_events(example)}). Add them to the raw dataset, or name the raw dataset as BIDS_DIR "
            "and the preprocessed one with --derivatives.",
            exit_code=EXIT_NO_INPUT,
        )
    asked = [task for task in without if task in selection.task_label]
    if asked:
        raise InputError(
            f"Task {', '.join(asked)} was asked for but has no events file. Leave it out of --task-label.",
            exit_code=EXIT_NO_INPUT,
        )
    notes = [f"task {task or '(none)'}: left out, for no run of it has events" for task in sorted(without)]
    return [c for c in candidates if c.file.entities.get("task", "") not in without], notes


def _expected_events(file: IndexedFile) -> str:
    shown = {
        key: file.entities[key] for key in ("sub", "ses", "task", "acq", "dir", "run") if key in file.entities
    }
    return "_".join(f"{key}-{label}" for key, label in shown.items()) + "_events.tsv"


def of_one_grid(
    candidates: Sequence[Candidate], selection: Selection, *, for_group: bool
) -> tuple[list[Candidate], list[str], list[Fault]]:
    """Return the images in the chosen space and resolution, combined echoes preferred, notes and faults."""
    space, note = choose_space([candidate.file for candidate in candidates], selection.space)
    if for_group and is_native(space):
        raise SettingsError(
            f"Space {space} differs between participants, so a group cannot be analysed in it. Choose a "
            "standard space with --space, or run the participant level alone."
        )
    chosen = [candidate for candidate in candidates if space_of(candidate.file) == space]
    files, resolution = choose_resolution([c.file for c in chosen], selection.res, identity)
    kept = {id(file) for file in files}
    chosen = [candidate for candidate in chosen if id(candidate.file) in kept]
    notes = [note, resolution] if resolution else [note]
    chosen, faults = _combined_echoes(chosen, "bold" in read_filters(selection.bids_filter_file))
    chosen, doubled = _one_each(chosen)
    return chosen, notes, [*faults, *doubled]


def _combined_echoes(candidates: list[Candidate], filtered: bool) -> tuple[list[Candidate], list[Fault]]:
    """Leave out single echoes; a run without more is a fault, unless a filter asks for it."""
    if filtered:
        return candidates, []
    single = [candidate for candidate in candidates if "echo" in candidate.file.entities]
    combined = [candidate for candidate in candidates if "echo" not in candidate.file.entities]
    have = {identity(candidate.file) for candidate in combined}
    faults = {}
    for candidate in single:
        without_echo = tuple(pair for pair in identity(candidate.file) if pair[0] != "echo")
        if without_echo not in have and without_echo not in faults:
            entities = {key: label for key, label in run_entities(candidate.file).items() if key != "echo"}
            faults[without_echo] = Fault(
                f"{run_label(entities)} has single echoes only, not their combination. Combine them (as "
                "fMRIPrep does in standard spaces), or choose one with --bids-filter-file.",
                entities,
            )
    return combined, list(faults.values())


def _one_each(candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Fault]]:
    """Return one image a run; where several are left, the run is a fault."""
    candidates = sorted(candidates, key=lambda candidate: _run_order(candidate.file.entities))
    chosen, faults = [], []
    for _, group in groupby(candidates, key=lambda candidate: identity(candidate.file)):
        same = list(group)
        chosen.append(same[0])
        if len(same) > 1:
            entities = run_entities(same[0].file)
            paths = ", ".join(str(candidate.file.path) for candidate in same)
            message = (
                f"{run_label(entities)} has several preprocessed images: {paths}. Choose one with "
                "--derivatives or --bids-filter-file."
            )
            faults.append(Fault(message, entities))
    return chosen, faults


def _run_order(entities: Mapping[str, str]) -> tuple[list[NaturalKey], list[tuple[str, str]]]:
    keys = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo")
    return [natural_key(entities.get(key, "")) for key in keys], sorted(entities.items())


def without_space(candidates: Sequence[Candidate], chosen: Iterable[Candidate], note: str) -> list[Fault]:
    """Return a fault for every run that has images, but none in the chosen space and resolution."""
    have = {_without_echo(candidate) for candidate in chosen}
    faults = {}
    for candidate in candidates:
        key = _without_echo(candidate)
        if key not in have and key not in faults:
            entities = {key: label for key, label in run_entities(candidate.file).items() if key != "echo"}
            there = sorted({_grid_in_words(other) for other in candidates if _without_echo(other) == key})
            message = f"{run_label(entities)} has no image as chosen ({note}); it has {'; '.join(there)}."
            faults[key] = Fault(message, entities)
    return list(faults.values())


def _grid_in_words(candidate: Candidate) -> str:
    resolution = candidate.file.entities.get("res")
    return f"space {space_of(candidate.file)}" + (f", resolution {resolution}" if resolution else "")


def _without_echo(candidate: Candidate) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in identity(candidate.file) if pair[0] != "echo")
