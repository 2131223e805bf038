"""Regions of interest: a figure and a table for each atlas and contrast of the subjects."""

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from bidsapp.names import figure_path
from bidsapp.outputs.results import GroupResults
from bidsapp.report.drawing.cells import draw_cells
from bidsapp.report.drawing.distributions import draw_strip
from bidsapp.report.drawing.svg import Figure
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.about import anchor
from bidsapp.report.sections.group_design import group_node
from bidsapp.report.sections.peak_effects import find_cells, group_cells

# The tables on disk hold all regions and every subject; a figure with more rows than this is unreadable.
MAX_ROWS, MAX_DRAWN, MAX_CHARTS = 60, 40, 12
COLUMNS = ["contrast", "region", "n_voxels", "n", "effect", "low", "high", "statistic", "p", "q", "g"]


def make_section(results: GroupResults, book: FigureBook) -> Section | None:
    """Return the region-of-interest analyses, or None where there are none."""
    found = [entry for entry in results.record.regions if results.has(entry.table)]
    if not found:
        return None
    parts = []
    for entry in found:
        frame = results.read_table(entry.table).astype({"region": str})
        # Tables of earlier versions lack the subjects' effects where several rows were tested together.
        drawn = bool(find_inputs(results, frame))
        path = figure_path(
            results.record.entities,
            "regions",
            desc=entry.atlas,
            node=group_node(results),
            contrast=entry.contrast or "all",
        )
        shown = frame.sort_values("p", kind="stable")
        rows = shown[[name for name in COLUMNS if name in frame]].head(MAX_ROWS).to_dict("records")
        names = short_regions(frame["region"])
        rows = [row | {"short": names[row["region"]]} for row in rows]
        title = entry.title or entry.atlas
        svg = book.add(draw_regions(results, frame, title), path) if drawn else None
        cells = bool(find_cells(find_inputs(results, frame)))
        parts.append({"entry": entry, "rows": rows, "n_rows": len(frame), "svg": svg, "cells": cells})
    content = render("group_regions.html", parts=parts, columns=COLUMNS)
    return Section("Regions of interest", f"regions-{anchor(results)}", content)


def draw_regions(results: GroupResults, frame: pd.DataFrame, title: str) -> Figure:
    """Return the effects of the subjects in the regions with the smallest p-values, mean and interval.

    Of the first contrast in the table; where subjects have several conditions, a chart of these for each
    region.
    """
    contrast = frame["contrast"].iloc[0]
    table = frame[frame["contrast"] == contrast].dropna(subset="p").sort_values("p", kind="stable")
    labels = find_inputs(results, frame)
    cells, names = find_cells(labels), short_regions(table["region"])
    units = [c.input_units for c in results.record.contrasts if c.name == contrast]
    unit = next(iter(units), None) or "effect"
    words = f"{contrast}: regions of {title} by p-value (* q < 0.05)"
    if cells:
        charts = {
            _mark(names[row["region"]], row["q"]): group_cells(results, row, cells)
            for row in table[["region", "q", *labels]].head(MAX_CHARTS).to_dict("records")
        }
        alt = (
            f"Effect of each subject in each condition in {len(charts)} regions of {title}, with means and "
            "95 % intervals within subjects"
        )
        return draw_cells(charts, cells, unit=unit, title=words, alt=alt)
    groups = {}
    for _, row in table.head(MAX_DRAWN).iterrows():
        values = row[labels].dropna().astype(float)
        summary = tuple(row[["effect", "low", "high"]].astype(float))
        if not np.isfinite(summary[0]):
            summary = (values.mean(), np.nan, np.nan)
        groups[_mark(names[row["region"]], row["q"])] = (list(values.items()), summary)
    alt = (
        f"Effect of each subject in {len(groups)} regions of {title}, with mean and 95 % confidence interval"
    )
    return draw_strip(groups, unit=unit, title=words, alt=alt)


def find_inputs(results: GroupResults, frame: pd.DataFrame) -> list[str]:
    """Return the columns of a table that are the subjects' effects: ``sub-01``, ``sub-01 faces``."""
    subjects = {subject.label.split(" ")[0] for subject in results.record.subjects}
    return [name for name in frame.columns if name.split(" ")[0] in subjects]


def short_regions(names: Iterable[str]) -> dict[str, str]:
    """Return the short name of each region; of several that would be the same the whole one."""
    shorts = {name: short_region(name) for name in names}
    times = Counter(shorts.values())
    return {name: short if times[short] == 1 else name for name, short in shorts.items()}


def short_region(name: str) -> str:
    """Return a region without its remarks, the side behind it: ``Inferior Temporal Gyrus R``."""
    words = re.sub(r"_?\([^)]*\)", "", name).replace("_", " ").strip() or name
    side = re.match(r"(Left|Right) +(?=\S)", words)
    return f"{words[side.end() :]} {side[1][0]}" if side else words


def _mark(region: str, q: float) -> str:
    return f"{region} {'*' if q < 0.05 else ''}".strip()
