"""Influence and quality: one row a subject, a bar in every cell, unusual values marked."""

import numpy as np
import pandas as pd
from markupsafe import Markup

from bidsapp.outputs.results import GroupResults
from bidsapp.records.arrays import Mask, Numbers
from bidsapp.records.documents import Document
from bidsapp.report.drawing.distributions import draw_spark
from bidsapp.report.drawing.scale import short
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.about import anchor

# More than this many scaled median deviations from the median: worth a look.
UNUSUAL = 3.5
SHORT = {
    "cooks_distance": "Cook's distance",
    "residual_rms": "residual RMS",
    "residual_large": "large residuals",
    "mean_fd": "mean FD (mm)",
}


def make_section(results: GroupResults, book: FigureBook) -> Section | None:
    """Return the tables of subjects, or None where nothing was measured."""
    tables = [_table(results, title, path) for path, title in _paths(results).items()]
    if not tables:
        return None
    words = {c["name"]: c["words"] for table in tables for c in table["columns"] if c["words"]}
    content = render("group_quality.html", tables=tables, words=words)
    return Section("Influence and quality", f"quality-{anchor(results)}", content)


def _paths(results: GroupResults) -> dict[str, str]:
    """Return the tables and what each is about: quality, then influence; contrasts may share one."""
    record, about = results.record, {}
    if results.has(record.qc):
        about[record.qc] = ["Quality"]
    for contrast in record.contrasts:
        if results.has(contrast.influence):
            about.setdefault(contrast.influence, []).append(contrast.name)
    return {path: ", ".join(names) for path, names in about.items()}


def _table(results: GroupResults, title: str, path: str) -> Document:
    frame, described = results.read_table(path), results.describe(path)
    values = [c for c in frame.columns[1:] if frame[c].dtype.kind in "iuf" and frame[c].notna().any()]
    columns = [
        {"name": SHORT.get(c, c.replace("_", " ")), "words": described.get(c, {}).get("Description", "")}
        for c in values
    ]
    marks = {c: unusual(frame[c].to_numpy(float)) for c in values}
    flags = frame["flag"] if "flag" in frame else [None] * len(frame)
    rows = [
        {
            "label": str(label),
            "cells": [_cell(frame, c, i, marks[c][i]) for c in values],
            "flag": flag if isinstance(flag, str) else "",
        }
        for i, (label, flag) in enumerate(zip(frame.iloc[:, 0], flags, strict=True))
    ]
    return {"title": title, "columns": columns, "rows": rows}


def unusual(values: Numbers) -> Mask:
    """Return which values lie far from the others (modified z score, Iglewicz and Hoaglin 1993)."""
    known = values[np.isfinite(values)]
    if len(known) < 4:
        return np.zeros(len(values), bool)
    middle = np.median(known)
    spread = np.median(np.abs(known - middle))
    with np.errstate(invalid="ignore"):
        return np.abs(values - middle) * 0.6745 > UNUSUAL * spread if spread else np.zeros(len(values), bool)


def _cell(frame: pd.DataFrame, column: str, row: int, marked: bool) -> Document:
    values = frame[column].to_numpy(float)
    value = values[row]
    if not np.isfinite(value):
        return {"value": None, "marked": False, "spark": ""}
    known = values[np.isfinite(values)]
    low, high = known.min(), known.max()
    spark = draw_spark(
        value, low, high, alt=f"{short(value)}; the column goes from {short(low)} to {short(high)}"
    )
    return {"value": value, "marked": bool(marked), "spark": Markup(spark.inline("spark"))}
