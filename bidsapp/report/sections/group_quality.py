"""Influence and quality: one row a subject, a bar in every cell, unusual values marked."""

import numpy as np
import pandas as pd
from markupsafe import Markup

from bidsapp.report.drawing.distributions import draw_spark
from bidsapp.report.render import Section, render
from bidsapp.report.sections.about import anchor

# More than this many scaled median deviations from the median: worth a look.
UNUSUAL = 3.5
WORDS = {
    "cooks_distance": "how far the subject alone moves the result (Cook's distance, mean over voxels)",
    "mean_effect": "mean effect over the mask",
}


def make_section(results, book):
    """Return the table of subjects, or None where nothing was measured."""
    frame = _collect(results)
    if frame is None:
        return None
    columns = [c for c in frame.columns[1:] if frame[c].dtype.kind in "iuf"]
    marks = {c: unusual(frame[c].to_numpy(float)) for c in columns}
    rows = [
        {"label": str(row.iloc[0]), "cells": [_cell(frame, c, i, marks[c][i]) for c in columns]}
        for i, (_, row) in enumerate(frame.iterrows())
    ]
    content = render("group_quality.html", columns=columns, rows=rows, words=WORDS)
    return Section("Influence and quality", f"quality-{anchor(results)}", content)


def unusual(values):
    """Return which values lie far from the others (modified z score, Iglewicz and Hoaglin 1993)."""
    known = values[np.isfinite(values)]
    if len(known) < 4:
        return np.zeros(len(values), bool)
    middle = np.median(known)
    spread = np.median(np.abs(known - middle))
    with np.errstate(invalid="ignore"):
        return np.abs(values - middle) * 0.6745 > UNUSUAL * spread if spread else np.zeros(len(values), bool)


def _collect(results):
    """Return the tables of quality and of influence on every contrast, side by side."""
    record, frames = results.record, []
    if results.has(record.get("qc")):
        frames.append(results.read_table(record["qc"]).set_index("participant_id"))
    for contrast in record["contrasts"]:
        if results.has(contrast.get("influence")):
            frame = results.read_table(contrast["influence"]).set_index("participant_id")
            suffix = f" ({contrast['name']})" if len(record["contrasts"]) > 1 else ""
            frames.append(frame.rename(columns=lambda name, end=suffix: name + end))
    return pd.concat(frames, axis=1).reset_index() if frames else None


def _cell(frame, column, row, marked):
    values = frame[column].to_numpy(float)
    value = values[row]
    if not np.isfinite(value):
        return {"value": None, "marked": False, "spark": ""}
    known = values[np.isfinite(values)]
    low, high = known.min(), known.max()
    spark = draw_spark(value, low, high, alt=f"{value:.3g}; the column goes from {low:.3g} to {high:.3g}")
    return {"value": value, "marked": bool(marked), "spark": Markup(spark.inline("spark"))}
