"""What occurs in the events of a whole dataset, whichever participants are analysed now.

The files are those that runs would use, and their reader is the same: the raw dataset's, those of the
derivatives for the participants without any in the raw dataset, and then tables of behaviour.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from bidsapp.errors import InputError
from bidsapp.inputs.dataset.folders import walk_files
from bidsapp.inputs.dataset.index import IndexedFile, parse_name
from bidsapp.inputs.dataset.runs import BOLD_QUERIES, VERSION_ENTITIES, VOLUMES
from bidsapp.inputs.dataset.selection import keep_selected
from bidsapp.inputs.tables.events import BEHAVIOUR, has_times, read_events
from bidsapp.settings.parts import Selection

# A text column with more levels than this is a description of single trials, not a condition.
MAX_LEVELS = 300
MAX_HOLDERS = 3
IMAGE_SUFFIXES = {query["suffix"] for query in BOLD_QUERIES}


def find_levels(roots: Sequence[Path], tasks: Collection[str] = ()) -> tuple[dict[str, set[str]], list[str]]:
    """Return the columns of all events files of a dataset, each with its levels.

    Parameters
    ----------
    roots : sequence of Path
        The raw dataset, then its derivatives.
    tasks : collection of str
        Task labels; empty for all.

    Returns
    -------
    levels : dict of str to set of str
        Missing values are no level. A column with more than MAX_LEVELS levels has only some of them.
    faults : list of str
        Why files can not be used, one message a file.
    """
    found: dict[str, set[str]] = {}
    faults = []
    for file in find_events_files(roots, tasks):
        try:
            table = read_events(file.path)
        except InputError as error:
            faults.append(str(error))
            continue
        for name in table.columns if len(table) else ():
            levels = found.setdefault(name, set())
            if len(levels) <= MAX_LEVELS:
                levels |= set(table[name]) - {None}
    return found, faults


def find_holders(roots: Sequence[Path], task: str, column: str, level: str) -> str:
    """Return, in words, whose events files have a level of a column, and how many."""
    found: dict[str, list[IndexedFile]] = {}
    for file in find_events_files(roots, (task,)):
        try:
            values = read_events(file.path).get(column, ())
        except InputError:
            continue
        if level in list(values):
            who = f"sub-{file.entities['sub']}" if "sub" in file.entities else "all participants"
            found.setdefault(who, []).append(file)
    shown = list(found)[:MAX_HOLDERS] + (["..."] if len(found) > MAX_HOLDERS else [])
    n_files = sum(map(len, found.values()))
    return f"{', '.join(shown)}; {n_files} file{'s' if n_files != 1 else ''}"


def find_sessions(roots: Sequence[Path], task: str) -> set[str]:
    """Return the sessions of a task in a whole dataset: those that its events files name, else its images."""
    named = {file.entities["ses"] for file in find_events_files(roots, (task,)) if "ses" in file.entities}
    # Events that stand above the sessions hold for each of them.
    images = [] if named else walk_files(roots[0], "")
    there = [parse_name(path).entities for path in images]
    return named or {labels["ses"] for labels in there if "ses" in labels and labels.get("task") == task}


def find_images(roots: Iterable[Path], selection: Selection) -> list[IndexedFile]:
    """Return the images of runs of all participants that have the sessions, tasks and runs asked for."""
    paths = [path for root in dict.fromkeys(roots) for path in walk_files(root, VOLUMES)]
    images = [file for file in map(parse_name, paths) if file.suffix in IMAGE_SUFFIXES]
    return keep_selected(images, selection)


def find_tasks(roots: Sequence[Path]) -> list[str]:
    """Return the labels of the tasks that have events files, sorted."""
    return sorted({file.entities["task"] for file in find_events_files(roots) if "task" in file.entities})


def find_events_files(roots: Sequence[Path], tasks: Collection[str] = ()) -> list[IndexedFile]:
    """Return the events files of tasks (empty: of all); later roots count for subjects without any so far."""
    found: list[IndexedFile] = []
    known: set[str | None] = set()
    different = {Path(root).resolve(): Path(root) for root in roots}.values()
    for root, ending in [(root, ending) for ending in ("_events.tsv", BEHAVIOUR) for root in different]:
        # Events that stand above the subjects hold for all of them.
        skip = {f"sub-{label}" for label in known}
        files = [] if None in known else map(parse_name, walk_files(root, ending, skip=skip))
        new = [
            file
            for file in files
            if (not tasks or file.entities.get("task", "") in tasks)
            and not any(key in file.entities for key in VERSION_ENTITIES)
            and (ending != BEHAVIOUR or has_times(file.path))
        ]
        known |= {file.entities.get("sub") for file in new}
        found += new
    return found
