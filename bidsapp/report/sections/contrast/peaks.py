"""Slices through the highest peaks with the effects of the subjects there, and a picture of each cluster."""

import numpy as np
import pandas as pd
from markupsafe import Markup

from bidsapp.outputs.results import Volume
from bidsapp.outputs.saved.group import ThresholdRecord
from bidsapp.records.arrays import Numbers
from bidsapp.records.documents import Document
from bidsapp.report.drawing.slices import COARSE_MM, Slicer, draw_cut
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.contrast.shown import Shown, label_of
from bidsapp.report.sections.peak_effects import KEYS, Row, draw_strips, find_cells, place_key

N_PEAKS, N_CLUSTERS = 5, 8


def make_section(shown: Shown, book: FigureBook) -> Section | None:
    """Return the pictures of peaks and clusters, None where nothing survives or is listed."""
    peaks = shown.read_listed(shown.main, "peaks") if shown.main else None
    if shown.main is None or peaks is None or not len(peaks):
        return None
    content = render(
        "contrast_peaks.html",
        cuts=_cuts(shown, book, shown.main, peaks),
        clusters=_clusters(shown, book, shown.main),
        left_out=shown.left_out(shown.main),
        cells=_has_cells(shown),
    )
    return Section("Highest peaks", "peaks", content)


def _has_cells(shown: Shown) -> bool:
    """Whether subjects have several effects, which are drawn over cells."""
    return shown.effects is not None and bool(find_cells(shown.effects.columns[len(KEYS) :]))


def _cuts(shown: Shown, book: FigureBook, main: ThresholdRecord, peaks: pd.DataFrame) -> list[Document]:
    """Return slices through the highest peaks, with the effects of the subjects there."""
    strips = {} if shown.effects is None else draw_strips(shown.results, shown.contrast, shown.effects)
    look = "" if _has_cells(shown) else "strip"
    order = peaks[shown.statistic].abs().sort_values(ascending=False, kind="stable").index[:N_PEAKS]
    slicer = shown.slicer(shown.drawn[main.method])
    found = []
    for i, peak in enumerate(peaks.loc[order].to_dict("records"), start=1):
        strip, desc = strips.get(place_key(peak)), f"{main.method}Peak{i}"
        drawn: Document = {
            "peak": peak,
            "value": peak[shown.statistic],
            "statistic": shown.statistic,
            "label": label_of(peak),
            "drawing": _cut(shown, book, slicer, peak, (f"the peak at {place_key(peak)} mm", desc)),
            "strip": strip and book.add(strip, shown.path("effects", desc=desc), look),
        }
        found.append(drawn)
    return found


def _clusters(shown: Shown, book: FigureBook, main: ThresholdRecord) -> list[Document]:
    """Return a picture of each of the largest clusters by itself, through its peak."""
    frame = shown.read_listed(main, "clusters")
    if frame is None or not shown.results.has(main.labels):
        return []
    labels: Numbers = shown.results.read_map(main.labels).values
    found = []
    for row in frame.head(N_CLUSTERS).to_dict("records"):
        values = np.where(labels == row["cluster_id"], np.nan_to_num(shown.whole.values), 0)
        slicer = shown.slicer(Volume(values, shown.whole.affine), COARSE_MM)
        words = f"cluster {row['cluster_id']} by itself", f"{main.method}Cluster{row['cluster_id']}"
        found.append({"row": row, "drawing": _cut(shown, book, slicer, row, words)})
    return found


def _cut(shown: Shown, book: FigureBook, slicer: Slicer, row: Row, words: tuple[str, str]) -> Markup:
    what, desc = words
    at = [row[f"peak_{axis}"] for axis in "xyz"]
    figure = draw_cut(slicer, at, alt=f"Slices of {shown.contrast.name} through {what}")
    return book.add(figure, shown.path("slices", stat=shown.statistic, desc=desc), "cut")
