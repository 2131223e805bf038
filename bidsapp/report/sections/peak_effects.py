"""The effect of each subject at each peak, with the mean of each group and its confidence interval."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy.stats import t as student

from bidsapp.outputs.results import GroupResults, Volume
from bidsapp.outputs.saved.group import GroupContrastRecord
from bidsapp.records.arrays import Map
from bidsapp.report.drawing.distributions import Group, draw_strip
from bidsapp.report.drawing.svg import Figure

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
    values = {i.subject: _values_at(results.read_map(i.effect), peaks) for i in inputs}
    return pd.concat([peaks[KEYS].reset_index(drop=True), pd.DataFrame(values)], axis=1)


def draw_strips(
    results: GroupResults, contrast: GroupContrastRecord, effects: pd.DataFrame
) -> dict[str, Figure]:
    """Return the drawing of every row of effects by ``place_key``."""
    groups = find_groups(results, list(effects.columns[len(KEYS) :]))
    unit = contrast.input_units or "effect"
    strips = {}
    for row in effects.to_dict("records"):
        place = ", ".join(f"{row[k]:.0f}".replace("-", "−") for k in KEYS[2:])
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


def place_key(row: Row) -> str:
    """Return the name of a position, as a strip is found by it."""
    return ",".join(f"{row[k] + 0.0:.0f}" for k in KEYS[2:])


def find_groups(results: GroupResults, labels: list[str]) -> dict[str, list[str]]:
    """Return the names of inputs by group.

    Where a subject has several ("sub-01 faces"), those of each cell; else those of each 0/1 column of the
    design where these split everybody.
    """
    if all(" " in label for label in labels):
        cells = dict.fromkeys(label.split(" ", 1)[1] for label in labels)
        return {cell: [label for label in labels if label.endswith(f" {cell}")] for cell in cells}
    if not results.has(results.record.design):
        return {"": labels}
    table = results.read_table(results.record.design)
    columns = [c for c in table.columns[1:] if set(table[c].unique()) <= {0, 1} and table[c].nunique() == 2]
    if not columns or not (table[columns].sum(axis=1) == 1).all():
        return {"": labels}
    names = table.iloc[:, 0].astype(str)
    return {column: names[table[column] == 1].tolist() for column in columns}


def summarise(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean and 95 % confidence interval (t); no interval for a single value."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, np.nan, np.nan
    half = student.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
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
