"""Read the columns of a confounds file that are needed, and choose them by a named strategy.

Missing values: fMRIPrep leaves the first rows of temporal differences (``*_derivative1``, framewise
displacement, DVARS) n/a. Leading n/a are set to the mean of the column's other rows, where they say nothing
about the first volumes. A column that is missing anywhere else, or everywhere, is an error, whether it is
a regressor or decides which volumes are censored.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.errors import Caution, InputError, near_or_known
from bidsapp.inputs.tables.read import read_header, read_table
from bidsapp.model.strategy import MOTION, NAMED, NUMBERED, Strategy, motion_columns, parse_strategy
from bidsapp.model.text import table_at
from bidsapp.records.arrays import Numbers
from bidsapp.records.documents import Document

# Columns of fMRIPrep before 1.2, by today's names.
OLD_NAMES = {
    "trans_x": "X",
    "trans_y": "Y",
    "trans_z": "Z",
    "rot_x": "RotX",
    "rot_y": "RotY",
    "rot_z": "RotZ",
    "csf": "CSF",
    "white_matter": "WhiteMatter",
    "global_signal": "GlobalSignal",
    "framewise_displacement": "FramewiseDisplacement",
    "std_dvars": "stdDVARS",
}
# Head motion that a report shows, whether the model uses it or not.
SHOWN_MOTION = ("framewise_displacement", *MOTION)
# fMRIPrep 1.x keeps six of each; later versions as many as explain half of the variance.
DEFAULT_COMPONENTS = 6


def select_confounds(columns: Sequence[str], metadata: Document, strategy: str | Strategy) -> list[str]:
    """Return the columns of a confounds file that a strategy asks for, as regressors.

    Censored volumes are no columns of the file; see `find_outliers`.

    Parameters
    ----------
    columns : sequence of str
        The header of the file, of any version of fMRIPrep since 1.0.
    metadata : dict
        Its JSON sidecar; says which mask a CompCor component is from ({}: the first ones are taken).
    strategy : str or Strategy

    Raises
    ------
    SettingsError, InputError
        The strategy is unknown; a column is not in the file.
    """
    strategy = strategy if isinstance(strategy, Strategy) else parse_strategy(strategy)
    chosen = []
    for name, number in strategy.parts.items():
        if name in NUMBERED:
            chosen += _numbered(name, number, columns, metadata)
        else:
            wanted = NAMED[name] if name in NAMED else motion_columns(name)
            chosen += [_spelled(column, columns, name) for column in wanted]
    return chosen


def _spelled(wanted: str, columns: Sequence[str], part: str) -> str:
    """Return a column as this version of fMRIPrep names it."""
    for name in (wanted, OLD_NAMES.get(wanted, wanted)):
        if name in columns:
            return name
    raise InputError(
        f"the confounds file has no column {wanted!r}, which {part} needs{near_or_known(wanted, columns)} "
        "Choose another --confounds strategy, or run a later version of fMRIPrep."
    )


def _numbered(part: str, number: int | None, columns: Sequence[str], metadata: Document) -> list[str]:
    found = [name for name in columns if re.fullmatch(NUMBERED[part], name)]
    if part in ("acompcor", "tcompcor"):
        groups = _by_mask(found, metadata) if part == "acompcor" else [found]
        fewest = min((len(group) for group in groups), default=0)
        if fewest < (number or 1):
            raise InputError(
                f"the confounds file has {fewest} components for {part}{number or ''}. "
                "Ask for fewer in --confounds."
            )
        return [name for group in groups for name in group[: number or DEFAULT_COMPONENTS]]
    if part == "aroma" and not found:
        raise InputError(
            "the confounds file has no ICA-AROMA columns (aroma_motion_*). Run fMRIPrep up to 23.0 with "
            "--use-aroma, or choose another --confounds strategy."
        )
    return found


def describe_components(names: Collection[str]) -> list[Caution]:
    """Return a caution where components of separate masks stand for those of the combined one."""
    parts = [
        f"{mask}_comp_cor" for mask in "cw" if any(name.startswith(f"{mask}_comp_cor") for name in names)
    ]
    if not parts:
        return []
    return [
        Caution(
            "the confounds file has no a_comp_cor columns: acompcor takes as many of "
            f"{' and of '.join(parts)} each"
        )
    ]


def _by_mask(names: Iterable[str], metadata: Document) -> list[list[str]]:
    """Return the components of aCompCor: of the combined mask, else those of each mask.

    A mask is known by the sidecar, or by the name of the column: a_comp_cor (combined), c_comp_cor (CSF),
    w_comp_cor (white matter).
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        about = table_at(metadata, name)
        if about.get("Retained") is not False:
            mask = str(about.get("Mask") or {"c": "csf", "w": "wm"}.get(name[0], "combined"))
            groups.setdefault(mask.lower(), []).append(name)
    return [groups["combined"]] if "combined" in groups else list(groups.values())


def expand_patterns(
    patterns: Iterable[str], columns: Sequence[str], where: str = "the confounds file"
) -> list[str]:
    """Return the columns that names and patterns (``*``, ``?``) stand for, each once.

    Raises
    ------
    InputError
        A name, not a pattern, that is not there. A pattern may match nothing.
    """
    chosen = []
    for pattern in patterns:
        if pattern in columns:
            chosen.append(pattern)
        elif any(mark in pattern for mark in "*?"):
            chosen += [name for name in columns if fnmatchcase(name, pattern)]
        else:
            raise InputError(f"{where} has no column {pattern!r}{near_or_known(pattern, columns)}")
    return list(dict.fromkeys(chosen))


def read_confounds(path: Path, patterns: Sequence[str], n_volumes: int | None = None) -> pd.DataFrame:
    """Return columns of a confounds file as numbers; only they are read.

    Parameters
    ----------
    path : Path
    patterns : sequence of str
        Names, or patterns with ``*`` and ``?``.
    n_volumes : int, optional
        The number of rows that the file must have.

    Returns
    -------
    DataFrame of float
        Leading n/a set to the mean of the column.

    Raises
    ------
    InputError
    """
    table = read_numbers(path, expand_patterns(patterns, read_header(path), str(path)), n_volumes)
    for name in table.columns:
        _check_missing(table[name], path, "Leave the column out of the model")
    return table.fillna(table.mean())


def find_outliers(path: Path, strategy: Strategy, n_volumes: int | None = None) -> tuple[int, ...]:
    """Return the volumes (from 0) whose displacement or standardised DVARS exceeds the strategy's thresholds.

    The first values may be n/a, and exceed nothing.

    Raises
    ------
    InputError
        A column without values, or with n/a after its first value.
    """
    if strategy.scrub is None:
        return ()
    header = read_header(path)
    names = [_spelled(name, header, "scrub") for name in ("framewise_displacement", "std_dvars")]
    table = read_numbers(path, names, n_volumes)
    for name in names:
        _check_missing(table[name], path, "Censor without it: leave scrub out of --confounds")
    with np.errstate(invalid="ignore"):
        above = table.to_numpy() > np.array(strategy.scrub)
    return tuple(int(volume) for volume in np.flatnonzero(above.any(axis=1)))


def read_motion(path: Path | None) -> dict[str, list[float | None]]:
    """Return the motion columns of a confounds file as lists by today's names, None where n/a.

    Raises
    ------
    InputError
        A value that is no number.
    """
    if path is None:
        return {}
    names = {OLD_NAMES[name]: name for name in SHOWN_MOTION} | {name: name for name in SHOWN_MOTION}
    table = read_numbers(path, [name for name in read_header(path) if name in names])
    return {
        names[name]: [None if np.isnan(value) else value for value in table[name].tolist()]
        for name in table.columns
    }


def read_numbers(path: Path, names: Sequence[str], n_volumes: int | None = None) -> pd.DataFrame:
    """Return columns as numbers in the order of ``names``, NaN where n/a; check the number of rows.

    Raises
    ------
    InputError
    """
    if not names:
        return pd.DataFrame()
    table = read_table(path, names)
    if n_volumes is not None and len(table) != n_volumes:
        raise InputError(
            f"{path} has {len(table)} rows and the images have {n_volumes} volumes. "
            "Run the preprocessing of this run again."
        )
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise InputError(f"{path} has no column {absent[0]!r}. Check the quotes in its first line.")
    return pd.DataFrame({name: _as_numbers(table[name], path) for name in names})


def _as_numbers(column: pd.Series, path: Path) -> Numbers:
    """Return a column of text as numbers, NaN where a value is missing."""
    text = column.to_numpy()
    values = np.full(len(text), np.nan)
    there = text != None  # noqa: E711 - elementwise
    try:
        values[there] = text[there].astype(float)
        wrong = np.isinf(values)
    except ValueError:
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(float)
        wrong = there & ~np.isfinite(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{path}, column {column.name}, line {row + 2}: {text[row]!r} is not a number. "
            "Correct it, or leave the column out."
        )
    return values


def _check_missing(column: pd.Series, path: Path, remedy: str) -> None:
    """Raise InputError where more than the first values of a column are missing."""
    there = column.notna().to_numpy()
    if not there.any():
        raise InputError(f"{path}: all values of column {column.name} are missing. {remedy}.")
    first = int(there.argmax())
    later = np.flatnonzero(~there[first:])
    if later.size:
        line = int(later[0]) + first + 2
        raise InputError(
            f"{path}, column {column.name}, line {line}: a value is missing after the first ones. "
            f"{remedy}, or correct the file."
        )
