"""Regions of interest: a figure and a table for each atlas and contrast of the subjects."""

import numpy as np
import pandas as pd

from bidsapp.names import figure_path
from bidsapp.outputs.results import GroupResults
from bidsapp.report.drawing.distributions import draw_strip
from bidsapp.report.drawing.svg import Figure
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.about import anchor
from bidsapp.report.sections.group_design import group_node

# The tables on disk hold all regions and every subject; a figure with more rows than this is unreadable.
MAX_ROWS, MAX_DRAWN = 60, 40
COLUMNS = ["contrast", "region", "n_voxels", "n", "effect", "low", "high", "statistic", "p", "q", "g"]


def make_section(results: GroupResults, book: FigureBook) -> Section | None:
    """Return the region-of-interest analyses, or None where there are none."""
    found = [entry for entry in results.record.regions if results.has(entry.table)]
    if not found:
        return None
    parts = []
    for entry in found:
        frame = results.read_table(entry.table)
        # Tests of several rows within subjects have no effect of a subject to draw.
        drawn = any(subject.label in frame for subject in results.record.subjects)
        path = figure_path(
            results.record.entities,
            "regions",
            desc=entry.atlas,
            node=group_node(results),
            contrast=entry.contrast or "all",
        )
        shown = frame.sort_values("p", kind="stable")
        rows = shown[[name for name in COLUMNS if name in frame]].head(MAX_ROWS).to_dict("records")
        title = entry.title or entry.atlas
        svg = book.add(draw_regions(results, frame, title), path) if drawn else None
        parts.append({"entry": entry, "rows": rows, "n_rows": len(frame), "svg": svg})
    content = render("group_regions.html", parts=parts, columns=COLUMNS)
    return Section("Regions of interest", f"regions-{anchor(results)}", content)


def draw_regions(results: GroupResults, frame: pd.DataFrame, title: str) -> Figure:
    """Return the effects of the subjects in the regions with the smallest p-values, mean and interval.

    Of the first contrast in the table.
    """
    contrast = frame["contrast"].iloc[0]
    table = frame[frame["contrast"] == contrast].dropna(subset="p").sort_values("p", kind="stable")
    labels = [s.label for s in results.record.subjects if s.label in frame]
    groups = {}
    for _, row in table.head(MAX_DRAWN).iterrows():
        values = row[labels].dropna().astype(float)
        summary = tuple(row[["effect", "low", "high"]].astype(float))
        if not np.isfinite(summary[0]):
            summary = (values.mean(), np.nan, np.nan)
        groups[f"{row['region']} {'*' if row['q'] < 0.05 else ''}".strip()] = (list(values.items()), summary)
    words = f"{contrast}: regions of {title} by p-value (* q < 0.05)"
    alt = (
        f"Effect of each subject in {len(groups)} regions of {title}, with mean and 95 % confidence interval"
    )
    units = [c.input_units for c in results.record.contrasts if c.name == contrast]
    return draw_strip(groups, unit=next(iter(units), None) or "effect", title=words, alt=alt)
