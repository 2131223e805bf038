"""Which of the files found are analysed: labels, space, resolution, and what is said about it."""

import math
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from bidsapp.errors import EXIT_NOTHING_SELECTED, InputError, SettingsError, near_or_known, some_names
from bidsapp.inputs.dataset.index import IndexedFile, same_label
from bidsapp.records.collect import collect
from bidsapp.settings.parts import Selection

DEFAULT_SPACE = "MNI152NLin2009cAsym"
# Grids of one subject; ``native`` stands for images without a space in their name.
NATIVE_SPACES = ("native", "T1w", "T2w", "anat", "individual", "orig", "func", "bold", "boldref", "scanner")
NO_SPACE = "native"
# Words for "no space entity" that users know from fMRIPrep's --output-spaces.
WORDS_FOR_NO_SPACE = ("native", "func", "bold", "run", "boldref", "sbref", "scanner")
WORDS_FOR_NO_RESOLUTION = ("none", "native")
# Subjects that a note names, of those with images of one resolution.
MAX_NAMED = 5
# The parts of a text: numbers, before all else, with their spelling.
NaturalKey: TypeAlias = list[tuple[float, str]]
File = TypeVar("File", bound=IndexedFile)


def is_native(space: str | None) -> bool:
    """Whether images in this space can not be compared across subjects."""
    return space is None or space in NATIVE_SPACES or space.startswith("fsnative")


def space_of(file: IndexedFile) -> str:
    """Return the space of a file as users name it, the cohort of a template included."""
    space = file.entities.get("space", NO_SPACE)
    cohort = file.entities.get("cohort")
    return f"{space}:cohort-{cohort}" if cohort else space


def natural_key(text: str) -> NaturalKey:
    """Return a sort key that puts run-2 before run-10."""
    parts = re.split(r"(\d+)", str(text))
    return [(int(part) if part.isdecimal() else math.inf, part) for part in parts]


def keep_labels(
    files: list[File], entity: str, labels: Sequence[str], what: str = "preprocessed BOLD"
) -> list[File]:
    """Return the files with one of these labels (all files when there are none).

    Raises
    ------
    InputError
        A label that no file has.
    """
    if not labels:
        return files
    there = sorted({file.entities[entity] for file in files if entity in file.entities}, key=natural_key)
    missing = [label for label in labels if not any(same_label(entity, label, other) for other in there)]
    if missing:
        raise unknown_labels(entity, missing, there, what)
    return [
        file
        for file in files
        if entity in file.entities
        and any(same_label(entity, file.entities[entity], label) for label in labels)
    ]


def keep_selected(files: list[File], selection: Selection, what: str = "preprocessed BOLD") -> list[File]:
    """Return the files with the sessions, tasks and runs asked for, as `keep_labels`."""
    labels = {"ses": selection.session_label, "task": selection.task_label, "run": selection.run_label}
    for entity, wanted in labels.items():
        files = keep_labels(files, entity, wanted, what)
    return files


def unknown_labels(
    entity: str, missing: Sequence[str], there: Sequence[str], what: str = "preprocessed BOLD"
) -> InputError:
    """Return the error about labels that do not exist."""
    names = ", ".join(f"{entity}-{label}" for label in missing)
    known = ", ".join(there) if there else "none"
    hint = near_or_known(missing[0], there) if len(missing) == 1 else ""
    if not hint.startswith("; did"):
        hint = f"; there are: {known}."
    return InputError(f"No {what} of {names}{hint}", exit_code=EXIT_NOTHING_SELECTED)


def choose_space(
    files: Iterable[IndexedFile], wanted: str | None, what: str = "preprocessed BOLD"
) -> tuple[str, str]:
    """Return the space to analyse and a note about the choice."""
    spaces = sorted({space_of(file) for file in files})
    if wanted:
        name = NO_SPACE if wanted in WORDS_FOR_NO_SPACE and wanted not in spaces else wanted
        if name not in spaces:
            raise SettingsError(
                f"--space {wanted}: no {what} in this space. There are: {', '.join(spaces)}.",
                exit_code=EXIT_NOTHING_SELECTED,
            )
        return name, f"space {name}, as asked"
    if len(spaces) == 1:
        return spaces[0], f"space {spaces[0]}, the only one there"
    if DEFAULT_SPACE in spaces:
        return DEFAULT_SPACE, f"space {DEFAULT_SPACE}, the default, of {', '.join(spaces)}"
    standard = [space for space in spaces if not is_native(space)]
    if len(standard) == 1:
        return standard[0], f"space {standard[0]}, the only standard one of {', '.join(spaces)}"
    raise SettingsError(f"There are images in several spaces: {', '.join(spaces)}. Choose one with --space.")


def choose_resolution(
    files: list[File],
    wanted: str | None,
    identity: Callable[[IndexedFile], Hashable],
    what: str = "preprocessed BOLD",
) -> tuple[list[File], str]:
    """Return the files of the resolution to analyse and a note about the choice.

    Batches of one study may be named differently: where every run has one image only, it is taken, whatever
    its label; that grids are the same is checked where images are read together.

    Parameters
    ----------
    files : list of IndexedFile
    wanted : str or None
        A label; one of WORDS_FOR_NO_RESOLUTION for images without one.
    identity : callable
        Gives what tells the runs (or maps) of files apart.
    what : str
        How messages name the files.
    """
    by_label = collect((file.entities.get("res", ""), file) for file in files)
    by_label = {label: by_label[label] for label in sorted(by_label, key=natural_key)}
    shown = ", ".join(label or "none (images without res)" for label in by_label)
    if wanted:
        label = "" if wanted in WORDS_FOR_NO_RESOLUTION and wanted not in by_label else wanted
        if label not in by_label:
            raise SettingsError(
                f"--res {wanted}: no {what} of this resolution. There are: {shown}.",
                exit_code=EXIT_NOTHING_SELECTED,
            )
        return by_label[label], f"resolution {label or 'none'}"
    if len(by_label) == 1:
        label = next(iter(by_label))
        return files, f"resolution {label}" if label else ""
    if len({identity(file) for file in files}) == len(files):
        said = "; ".join(f"{label or 'none'}: {_subjects(some)}" for label, some in by_label.items())
        return files, f"names give different resolutions ({said}), one image a run: all are analysed together"
    raise SettingsError(f"There are images of several resolutions: {shown}. Choose one with --res.")


def _subjects(files: Iterable[IndexedFile]) -> str:
    labels = sorted({file.entities.get("sub", "") for file in files}, key=natural_key)
    return some_names(labels, MAX_NAMED)
