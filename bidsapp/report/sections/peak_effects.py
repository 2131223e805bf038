"""The effect of each subject at each peak, with the mean of each group and its confidence interval."""

from collections.abc import Hashable, Iterable, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy.stats import t as student

from bidsapp.outputs.results import GroupResults, Volume
from bidsapp.outputs.saved.group import GroupContrastRecord
from bidsapp.records.arrays import Map, Matrix, Numbers
from bidsapp.report.drawing.cells import CellGroup, draw_cells
from bidsapp.report.drawing.distributions import Group, draw_strip
from bidsapp.report.drawing.svg import Figure
from bidsapp.report.numbers import decimals

# Beyond it, pages grow large and nobody clicks.
MAX_PEAKS = 150
KEYS = ["cluster_id", "peak", "peak_x", "peak_y", "peak_z"]
# A row of a data frame.
Row: TypeAlias = dict[Hashable, Any]


def read_effects(
    results: GroupResults, contrast: GroupContrastRecord, peaks: pd.DataFrame | None
) -> pd.DataFrame | None:
    """Return one row a peak and one column a subject, or None.

    From the tables that the group stage wrote for its thresholds, each peak once; else from the subjects'
    maps, where they are there.
    """
    paths = [t.peak_effects for t in contrast.thresholds if results.has(t.peak_effects)]
    if paths:
        frame = pd.concat([results.read_table(path) for path in paths], ignore_index=True)
        return frame.drop_duplicates(KEYS[2:]).head(MAX_PEAKS)
    inputs = contrast.inputs
    if peaks is None or not inputs or not all(results.has(i.effect) for i in inputs):
        return None
    values = {
        label: _values_at(results.read_map(each.effect), peaks)
        for label, each in zip(label_inputs(contrast), inputs, strict=True)
    }
    return pd.concat([peaks[KEYS].reset_index(drop=True), pd.DataFrame(values)], axis=1)


def draw_strips(
    results: GroupResults, contrast: GroupContrastRecord, effects: pd.DataFrame
) -> dict[str, Figure]:
    """Return the drawing of every row of effects by ``place_key``."""
    labels = list(effects.columns[len(KEYS) :])
    groups, cells = find_groups(results, labels), find_cells(labels)
    unit = contrast.input_units or "effect"
    strips = {}
    for row in effects.to_dict("records"):
        place = say_place(row)
        if cells:
            title = f"Effect of each subject in each condition at {place} mm"
            alt = f"{title}, {contrast.name}, with means and 95 % intervals within subjects"
            charts = {"": group_cells(results, row, cells)}
            joined = find_joined(results, cells)
            strips[place_key(row)] = draw_cells(charts, cells, unit=unit, title=title, alt=alt, joined=joined)
            continue
        chosen = {name: group for name, subjects in groups.items() if (group := _group(row, subjects))}
        if chosen:
            title = f"Effect of each subject at {place} mm"
            alt = f"{title}, {contrast.name}, with mean and 95 % confidence interval"
            strips[place_key(row)] = draw_strip(chosen, unit=unit, title=title, alt=alt)
    return strips


def label_inputs(contrast: GroupContrastRecord) -> list[str]:
    """Return the label of each input: its subject, with the cell where subjects have several."""
    subjects = [each.subject for each in contrast.inputs]
    if len(set(subjects)) == len(subjects):
        return subjects
    cells = [
        each.contrast or str(subjects[:k].count(each.subject) + 1) for k, each in enumerate(contrast.inputs)
    ]
    return [f"{subject} {cell}" for subject, cell in zip(subjects, cells, strict=True)]


def say_place(row: Row) -> str:
    """Return the position of a peak in whole mm: ``−36, −52, −18``."""
    return ", ".join(decimals(row[k], 0) for k in KEYS[2:])


def place_key(row: Row) -> str:
    """Return the name of a position, as a strip is found by it."""
    return ",".join(f"{row[k] + 0.0:.0f}" for k in KEYS[2:])


def find_groups(results: GroupResults, labels: list[str]) -> dict[str, list[str]]:
    """Return the names of inputs by group: a formula's first factor, else 0/1 columns of the design.

    Only where these split all.
    """
    if results.record.groups:
        owners = {name: name.split(" ")[0] for name in labels}
        return {
            group: [name for name in labels if owners[name] in who]
            for group, who in results.record.groups.items()
        }
    if not results.has(results.record.design):
        return {"": labels}
    table = results.read_table(results.record.design)
    columns = [c for c in table.columns[1:] if set(table[c].unique()) <= {0, 1} and table[c].nunique() == 2]
    if not columns or not (table[columns].sum(axis=1) == 1).all():
        return {"": labels}
    names = table.iloc[:, 0].astype(str)
    return {column: names[table[column] == 1].tolist() for column in columns}


def find_cells(labels: Iterable[str]) -> list[str]:
    """Return the cells of labels such as "sub-01 faces"; empty where subjects have not several each."""
    pairs = [label.split(" ", 1) for label in labels]
    cells = list(dict.fromkeys(pair[1] for pair in pairs if len(pair) == 2))
    return cells if len(cells) > 1 and all(len(pair) == 2 for pair in pairs) else []


def find_joined(results: GroupResults, cells: Sequence[str]) -> int:
    """Return how many cells one after the other a line joins: of several factors the levels of the last."""
    words = results.record.settings.get("group", {}).get("group_design") or [""]
    levels = words[-1].partition("=")[2].split(",")
    # What is left of the names of cells that differ in their level of that factor alone.
    rests = [min((cell.replace(level, "", 1) for level in levels), key=len) for cell in cells]
    runs = [len(list(run)) for _, run in groupby(rests)]
    is_even = len(set(runs)) == 1 < runs[0] and len(runs) == len(set(rests))
    return runs[0] if words[0] == "repeated-measures" and is_even else len(cells)


def group_cells(results: GroupResults, row: Row, cells: Sequence[str]) -> dict[str, CellGroup]:
    """Return the subjects by group with what a row of a table has of each cell (column "sub-01 faces")."""
    columns = [str(name).split(" ", 1) for name in row]
    subjects = list(dict.fromkeys(pair[0] for pair in columns if len(pair) == 2 and pair[1] in cells))
    groups = find_groups(results, subjects)
    if sorted(name for members in groups.values() for name in members) != sorted(subjects):
        groups = {"": subjects}
    found = {}
    for group, members in groups.items():
        values = np.array([[float(row.get(f"{name} {cell}", np.nan)) for cell in cells] for name in members])
        if np.isfinite(values).any():
            found[group] = CellGroup(members, values, *summarise_within(values))
    return found


def summarise_within(values: Matrix) -> tuple[Numbers, Numbers]:
    """Return the mean of each cell, and half its 95 % interval within subjects.

    From the values without what a subject has in all cells alike (Cousineau 2005), with Morey's correction
    (2008) for the number of cells.

    Parameters
    ----------
    values : ndarray, shape (n_subjects, n_cells)
        NaN where a subject has none.

    Returns
    -------
    means, halves : ndarray, shape (n_cells,)
        NaN for an empty cell; halves also for a single subject.
    """
    n_cells = values.shape[1]
    there = np.isfinite(values)
    count = np.maximum(there.sum(axis=1), 1)
    centred = values - (np.where(there, values, 0).sum(axis=1) / count)[:, None]
    means, halves = np.full((2, n_cells), np.nan)
    for cell in range(n_cells):
        known = there[:, cell]
        if known.any():
            means[cell] = values[known, cell].mean()
        if known.sum() > 1:
            half = _half_interval(centred[known, cell])
            halves[cell] = half * np.sqrt(n_cells / (n_cells - 1))
    return means, halves


def _half_interval(values: Sequence[float] | Numbers) -> float:
    """Return half the 95 % confidence interval (t) of the mean of two values or more."""
    return float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def summarise(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean and 95 % confidence interval (t); no interval for a single value."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, np.nan, np.nan
    half = _half_interval(values)
    return mean, mean - half, mean + half


def _group(row: Row, subjects: Iterable[str]) -> Group | None:
    known = [(s, float(row[s])) for s in subjects if s in row and pd.notna(row[s])]
    return (known, summarise([v for _, v in known])) if known else None


def _values_at(volume: Volume, peaks: pd.DataFrame) -> Map:
    inverse = np.linalg.inv(volume.affine)
    positions = peaks[KEYS[2:]].to_numpy(float)
    voxels = np.rint(positions @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    found: Map = volume.values[tuple(voxels.T)]
    return found
