"""Choose, among the preprocessed images found, one for each run to analyse."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

from bidsapp.errors import EXIT_NO_INPUT, EXIT_NOTHING_SELECTED, InputError, SettingsError
from bidsapp.inputs.dataset.index import IndexedFile, read_filters
from bidsapp.inputs.dataset.runs import (
    Fault,
    Files,
    events_name,
    fault_of,
    find_events,
    identity,
    run_entities,
)
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

# What tells runs apart.
Identity: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Candidate(IndexedFile):
    """A preprocessed image with the files of its derivative."""

    files: Files


@dataclass(frozen=True, slots=True)
class Choice:
    """The images that are left to analyse after a step, and what is said of the others.

    Attributes
    ----------
    images : tuple of Candidate
    notes : tuple of str
    faults, lost : tuple of Fault
        Of runs with images that cannot be used; of those without an image on the chosen grid.
    """

    images: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    lost: tuple[Fault, ...] = ()


def by_labels(choice: Choice, selection: Selection) -> Choice:
    """Keep the images with the sessions, tasks and runs asked for."""
    kept = keep_selected(list(choice.images), selection)
    if not kept:
        message = "No preprocessed BOLD has these participant, session, task and run labels together."
        raise InputError(message, exit_code=EXIT_NOTHING_SELECTED)
    return replace(choice, images=tuple(kept))


def with_events(choice: Choice, raw_files: Files, selection: Selection) -> Choice:
    """Leave out the tasks without any events file, and say so."""
    tasks: dict[str, bool] = {}
    for image in choice.images:
        task = image.entities.get("task", "")
        tasks[task] = tasks.get(task, False) or bool(find_events(image, (raw_files, image.files)))
    without = sorted(task for task, has_events in tasks.items() if not has_events)
    if len(without) == len(tasks):
        example = events_name(choice.images[0].entities)
        raise InputError(
            f"No events file for any run of task {', '.join(without)} (for example {example}). Add them "
            "to the raw dataset, or name the raw dataset as BIDS_DIR and the preprocessed one with "
            "--derivatives.",
            exit_code=EXIT_NO_INPUT,
        )
    asked = [task for task in tasks if task in without and task in selection.task_label]
    if asked:
        raise InputError(
            f"Task {', '.join(asked)} was asked for but has no events file. Leave it out of --task-label.",
            exit_code=EXIT_NO_INPUT,
        )
    notes = [f"task {task or '(none)'}: left out, for no run of it has events" for task in without]
    images = tuple(image for image in choice.images if image.entities.get("task", "") not in without)
    return replace(choice, images=images, notes=(*choice.notes, *notes))


def of_one_grid(choice: Choice, selection: Selection, *, for_group: bool) -> Choice:
    """Keep the images in the chosen space and resolution, combined echoes preferred, one a run."""
    space, note = choose_space(choice.images, selection.space)
    if for_group and is_native(space):
        raise SettingsError(
            f"Space {space} differs between participants, so a group cannot be analysed in it. Choose a "
            "standard space with --space, or run the participant level alone."
        )
    there = [image for image in choice.images if space_of(image) == space]
    images, resolution = choose_resolution(there, selection.res, identity)
    notes = [note, resolution] if resolution else [note]
    faults: list[Fault] = []
    if "bold" not in read_filters(selection.bids_filter_file):
        images, faults = _combined_echoes(images)
    images, doubled = _one_each(images)
    return Choice(
        images=tuple(images),
        notes=(*notes, *choice.notes),
        faults=(*faults, *doubled),
        lost=tuple(_without_image(choice.images, images, ", ".join(notes))),
    )


def _combined_echoes(images: Sequence[Candidate]) -> tuple[list[Candidate], list[Fault]]:
    """Leave out single echoes; a run without more is a fault."""
    combined = [image for image in images if "echo" not in image.entities]
    words = (
        "has single echoes only, not their combination. Combine them (as fMRIPrep does in standard spaces), "
        "or choose one with --bids-filter-file."
    )
    return combined, _faults_of_others(images, set(map(identity, combined)), lambda key: words)


def _one_each(images: Iterable[Candidate]) -> tuple[list[Candidate], list[Fault]]:
    """Return one image a run; where several are left, the run is a fault."""
    chosen, faults = [], []
    for _, group in groupby(sorted(images, key=lambda image: _run_order(image.entities)), key=identity):
        first, *others = group
        chosen.append(first)
        if others:
            paths = ", ".join(str(image.path) for image in (first, *others))
            hint = "Choose one with --derivatives or --bids-filter-file."
            words = f"has several preprocessed images: {paths}. {hint}"
            faults.append(fault_of(run_entities(first), words))
    return chosen, faults


def _run_order(entities: Mapping[str, str]) -> tuple[list[NaturalKey], list[tuple[str, str]]]:
    keys = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo")
    return [natural_key(entities.get(key, "")) for key in keys], sorted(entities.items())


def _without_image(images: Sequence[Candidate], chosen: Iterable[Candidate], note: str) -> list[Fault]:
    """Return a fault for every run that has images, but none in the chosen space and resolution."""

    def say(key: Identity) -> str:
        there = sorted({_grid_in_words(image) for image in images if _without_echo(image) == key})
        return f"has no image as chosen ({note}); it has {'; '.join(there)}."

    return _faults_of_others(images, set(map(_without_echo, chosen)), say)


def _faults_of_others(
    images: Iterable[Candidate], have: Collection[Identity], say: Callable[[Identity], str]
) -> list[Fault]:
    """Return a fault for every run of images that is not among those that have what is needed."""
    faults: dict[Identity, Fault] = {}
    for image in images:
        key = _without_echo(image)
        if key not in have and key not in faults:
            entities = {name: label for name, label in run_entities(image).items() if name != "echo"}
            faults[key] = fault_of(entities, say(key))
    return list(faults.values())


def _grid_in_words(image: Candidate) -> str:
    resolution = image.entities.get("res")
    return f"space {space_of(image)}" + (f", resolution {resolution}" if resolution else "")


def _without_echo(image: Candidate) -> Identity:
    return tuple(pair for pair in identity(image) if pair[0] != "echo")
