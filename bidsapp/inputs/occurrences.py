"""What occurs in the events of a whole dataset, whichever participants are analysed now."""

import csv
import os
import re
from pathlib import Path

from bidsapp.errors import InputError
from bidsapp.inputs.tables import MISSING, read_table, spell

# A text column with more levels than this is a description of single trials, not a condition.
MAX_LEVELS = 300
MAX_HOLDERS = 3


def find_levels(raw, tasks=()):
    """Return the columns of all events files of a dataset, each with its levels.

    Parameters
    ----------
    raw : Path
    tasks : collection of str
        Task labels; empty for all.

    Returns
    -------
    dict of str to set of str
        Missing values are no level. A column with more than MAX_LEVELS levels has none.
    """
    found = {}
    for path in _events_files(Path(raw), tasks):
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file, delimiter="\t"))
        except (OSError, UnicodeDecodeError, csv.Error):
            # The reader of this run's events says what is wrong with it.
            continue
        for row in rows:
            for name, value in row.items():
                if name and isinstance(value, str) and len(found.setdefault(name, set())) <= MAX_LEVELS:
                    found[name].add(value.strip())
    return {name: set() if len(levels) > MAX_LEVELS else levels - MISSING for name, levels in found.items()}


def find_holders(raw, task, column, level):
    """Return, in words, whose events files have a level of a column, and how many."""
    found = {}
    for path in _events_files(Path(raw), (task,)):
        try:
            values = read_table(path, (column,)).get(column, ())
        except InputError:
            continue
        if level in map(spell, values):
            who = re.match(r"sub-[^_]+", path.name)
            found.setdefault(who[0] if who else "all participants", []).append(path)
    shown = list(found)[:MAX_HOLDERS] + (["..."] if len(found) > MAX_HOLDERS else [])
    n_files = sum(map(len, found.values()))
    return f"{', '.join(shown)}; {n_files} file{'s' if n_files != 1 else ''}"


def find_sessions(raw, task):
    """Return the sessions of a task in a whole dataset: those that its events files name, else its images."""
    paths = list(_events_files(Path(raw), (task,)))
    named = {match[1] for path in paths if (match := re.search(r"_ses-([^_]+)_", path.name))}
    # Events that stand above the sessions hold for each of them.
    images = [] if named else Path(raw).glob(f"sub-*/ses-*/func/*_task-{task}_*")
    return named or {path.parents[1].name.removeprefix("ses-") for path in images}


def _events_files(raw, tasks):
    wanted = {f"task-{task}" for task in tasks if task}
    for folder, folders, files in os.walk(raw):
        folders[:] = [name for name in folders if re.match(r"sub-|ses-|func$|beh$", name)]
        for name in sorted(files):
            if name.endswith("_events.tsv") and (not wanted or wanted & set(name.split("_"))):
                yield Path(folder) / name


def find_tasks(raw):
    """Return the labels of the tasks that have events files, sorted."""
    labels = {re.search(r"(?:^|_)task-([^_]+)_", path.name) for path in _events_files(Path(raw), ())}
    return sorted({match[1] for match in labels if match})
