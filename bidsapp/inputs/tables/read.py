"""Read tab-separated tables as text, saying what is wrong with a file and where."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from bidsapp.errors import EXIT_NO_INPUT, InputError
from bidsapp.inputs.fetched import check_fetched
from bidsapp.records.collect import collect

# The only list of words for a missing value, of every table. Others ("None", "null", ".") are values.
MISSING = frozenset(("n/a", "N/A", "na", "NA", "nan", "NaN", ""))

# No program writes a line of a hundredth of these signs.
LONGEST_LINE = 10_000_000
# Those that might be meant as a name (no action, North America).
DOUBTFUL = ("na", "NA")
Cell = TypeVar("Cell", str, None)


def read_table(path: Path, columns: Collection[str] | None = None) -> pd.DataFrame:
    """Return a table as text; None where a value is missing (``n/a``, empty, or another of MISSING).

    ``attrs["doubtful"]`` counts the values that might be names: (column, word) -> number; ``attrs["short"]``
    the lines with fewer cells than columns.

    Blank lines are skipped, and the cells that a short line lacks are missing.

    Parameters
    ----------
    path : Path
    columns : sequence of str, optional
        Only these, in the order of the file.

    Raises
    ------
    InputError
        No such file, not text, other signs than tabs, a line with more cells than columns, two columns of
        one name.
    """
    lines = _read_rows(path)
    if not lines:
        return pd.DataFrame()
    header = _strip_names(path, lines[0][1])
    wanted = [index for index, name in enumerate(header) if columns is None or name in columns]
    names = [header[index] for index in wanted]
    doubled = [name for name in names if names.count(name) > 1]
    if doubled:
        raise InputError(f"{path} has several columns {doubled[0]!r}. Rename one.")
    doubtful: Counter[tuple[str, str]] = Counter()
    short = 0
    cells = np.full((len(lines) - 1, len(wanted)), None, dtype=object)
    for row, (number, line) in enumerate(lines[1:]):
        if len(line) > len(header) and any(cell.strip() for cell in line[len(header) :]):
            raise InputError(
                f"{path} is not a tab-separated table: line {number} has {len(line)} cells, the first line "
                f"{len(header)}. Correct it."
            )
        short += len(line) < len(header)
        for column, index in enumerate(wanted):
            value = line[index].strip() if index < len(line) else ""
            cells[row, column] = None if value in MISSING else value
            if value in DOUBTFUL:
                doubtful[names[column], value] += 1
    table = pd.DataFrame(cells, columns=pd.Index(names, dtype=object), dtype=object)
    table.attrs |= {"doubtful": dict(doubtful), "short": short}
    return table


def _strip_names(path: Path, header: Sequence[str]) -> list[str]:
    """Return the names of the columns; raise where another sign than a tab separates them."""
    names = [name.strip() for name in header]
    if len(names) == 1 and any(mark in names[0] for mark in ",; "):
        raise InputError(f"{path} is not tab-separated: its first line is {names[0]!r}. Save it with tabs.")
    return names


def spell(value: Cell) -> Cell:
    """Return a text with the decimals taken away that a number does not need: "1.0" is "1", "2.50" is "2.5".

    Programs that write tables turn whole numbers into 1.0 as soon as one value is missing.
    """
    if value is None or "." not in value or not re.fullmatch(r"[-+]?\d+\.\d*", value):
        return value
    return value.rstrip("0").removesuffix(".")


def spell_levels(values: Iterable[str | None]) -> dict[str, str]:
    """Return value -> spelling, one for values that are the same number: "1" of "01", "1" and "1.0"."""
    spelled = {spell(value) for value in values if value is not None}
    numbers = collect((_number(value), value) for value in spelled)
    shortest = {number: min(found, key=lambda text: (len(text), text)) for number, found in numbers.items()}
    return {value: shortest[_number(spell(value))] for value in values if value is not None}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def read_header(path: Path) -> list[str]:
    """Return the names of the columns of a table, reading no further; none where the file is empty."""
    check_fetched(path)
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            lines = iter(lambda: file.readline(LONGEST_LINE), "")
            line = next((line.rstrip("\r\n") for line in lines if line.strip()), "")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    rows = _split_lines(path, [line]) if line else [[]]
    return _strip_names(path, rows[0])


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines that are not blank, each with its number and its cells."""
    check_fetched(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    rows = _split_lines(path, text.split("\n"))
    return [(number, row) for number, row in enumerate(rows, start=1) if any(cell.strip() for cell in row)]


def _split_lines(path: Path, lines: Sequence[str]) -> list[list[str]]:
    """Return the cells of every line; quotes are undone where there are any."""
    number, longest = max(enumerate(lines, start=1), key=lambda item: len(item[1]))
    if len(longest) >= LONGEST_LINE:
        raise InputError(f"{path} is no table: line {number} has {LONGEST_LINE:,} signs or more. Correct it.")
    if not any('"' in line for line in lines):
        return [line.split("\t") for line in lines]
    try:
        return list(csv.reader(lines, delimiter="\t", strict=True))
    except csv.Error as error:
        raise InputError(f"{path} is not a tab-separated table: {error}. Check its quotes.") from error


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} is missing.", exit_code=EXIT_NO_INPUT)
    if isinstance(error, UnicodeDecodeError):
        return InputError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.")
    return InputError(f"{path} cannot be read: {error}.")
