"""Read events files.

What becomes of missing values (``n/a`` or an empty cell):

* onset: the row is dropped, with a caution;
* duration: kept as missing; the design takes it as an impulse, with a note (a caution where others have one);
* trial_type, or any other column: the row makes no event of that column, and others may still use it.

Onsets may be negative (the event began before the first volume). A file without rows is a table
without rows. Rows of the same onset and trial type count as often as they stand there, with a caution.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.errors import Caution, InputError, near_or_known
from bidsapp.inputs.tables.read import read_table, spell
from bidsapp.records.arrays import Numbers

REQUIRED = ("onset", "duration")
# What a table of behaviour is called, which has the events where there is no events file.
BEHAVIOUR = "_beh.tsv"
TRIAL_TYPE = "trial_type"


def read_events(path: Path) -> pd.DataFrame:
    """Return the events of a run as text, None where a value is missing.

    Parameters
    ----------
    path : Path

    Returns
    -------
    DataFrame
        All columns of the file in their order; ``attrs["notes"]`` says what was dropped.

    Raises
    ------
    InputError
        Naming file, column and line.
    """
    table = read_table(path)
    if table.empty and not len(table.columns):
        return _noted(
            pd.DataFrame(columns=list(REQUIRED), dtype=object), [Caution("the events file is empty")]
        )
    absent = [name for name in REQUIRED if name not in table.columns]
    if absent:
        raise InputError(f"{path} has no column {absent[0]!r}{near_or_known(absent[0], table.columns)}")
    onset = _numbers(table, "onset", path)
    duration = _numbers(table, "duration", path)
    if (duration < 0).any():
        line = int(np.flatnonzero(duration < 0)[0]) + 2
        raise InputError(f"{path}, column duration, line {line}: a duration is negative. Correct it.")
    for name in table.columns.difference(list(REQUIRED)):
        table[name] = pd.Series([spell(value) for value in table[name]], dtype=object)
    notes = [
        Caution(
            f"{count} events have the {column} {word!r}, which means that it is missing: they are of no "
            "condition"
        )
        for (column, word), count in table.attrs.get("doubtful", {}).items()
        if column not in REQUIRED
    ]
    if table.attrs.get("short"):
        notes.append(
            Caution(
                f"{table.attrs['short']} lines of the events file have fewer cells than columns: those that "
                "they lack count as missing. Was the file cut off?"
            )
        )
    there = ~np.isnan(onset)
    if not there.all():
        notes.append(Caution(f"{(~there).sum()} events without an onset are left out"))
        table = table[there].reset_index(drop=True)
    if not len(table):
        notes.append(Caution("the events file has no event"))
    return _noted(table, [*notes, *_repeats(table)])


def has_times(path: Path) -> bool:
    """Whether a table has the columns of an events file, by its first line."""
    try:
        with Path(path).open(encoding="utf-8-sig", errors="replace") as file:
            names = file.readline().rstrip("\r\n").split("\t")
    except OSError:
        return False
    return set(REQUIRED) <= {name.strip() for name in names}


def _repeats(table: pd.DataFrame) -> list[Caution]:
    """Return a caution on rows that stand there several times."""
    if TRIAL_TYPE in table:
        # Two events of one condition that begin at once are one, whatever their durations.
        rows = table[table[TRIAL_TYPE].notna()]
        same = {"onset": pd.to_numeric(rows["onset"]), TRIAL_TYPE: rows[TRIAL_TYPE]}
    else:
        same = {name: pd.to_numeric(table[name]) for name in REQUIRED}
    count = int(pd.DataFrame(same).duplicated().sum())
    if not count:
        return []
    words = "row repeats" if count == 1 else "rows repeat"
    return [
        Caution(
            f"{count} {words} the {', '.join(same)} of another row of the events file: such an event counts "
            "as often as it stands there. Remove what stands there twice."
        )
    ]


def _numbers(table: pd.DataFrame, name: str, path: Path) -> Numbers:
    """Return a column as numbers, NaN where a value is missing."""
    values = pd.to_numeric(table[name], errors="coerce").to_numpy(float)
    wrong = np.flatnonzero((np.isnan(values) & table[name].notna().to_numpy()) | np.isinf(values))
    if wrong.size:
        row = int(wrong[0])
        raise InputError(
            f"{path}, column {name}, line {row + 2}: {table[name].iloc[row]!r} is not a number of seconds. "
            "Correct it, or write n/a."
        )
    return values


def _noted(table: pd.DataFrame, notes: Iterable[str]) -> pd.DataFrame:
    table.attrs["notes"] = tuple(notes)
    return table
