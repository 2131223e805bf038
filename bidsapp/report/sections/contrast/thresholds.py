"""All thresholds of a contrast side by side, each with its picture and its tables."""

from bidsapp.outputs.saved.group import ThresholdRecord
from bidsapp.records.documents import Document
from bidsapp.report.numbers import count
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.contrast.shown import Shown
from bidsapp.report.sections.contrast.table import make_table
from bidsapp.report.sections.contrast.where import draw_map
from bidsapp.vocabulary.thresholds import THRESHOLDS


def make_section(shown: Shown, book: FigureBook) -> Section | None:
    """Return the comparison of thresholds, None where there are none."""
    contrast = shown.contrast
    if not contrast.thresholds:
        return None
    # Of those that cannot be used "nothing survives" would say what is not so; remarks tell why they cannot.
    thresholds = [_threshold(shown, book, one) for one in contrast.usable]
    unusable = [one for one in contrast.thresholds if one not in contrast.usable]
    lacking = [THRESHOLDS[one.method].short if one.method in THRESHOLDS else one.title for one in unusable]
    content = render(
        "contrast_thresholds.html",
        contrast=contrast,
        thresholds=thresholds,
        lacking=lacking,
        overlaps={method: share for method, (_, share) in shown.overlaps.items()},
    )
    return Section("Other thresholds", "thresholds", content)


def _threshold(shown: Shown, book: FigureBook, threshold: ThresholdRecord) -> Document:
    what = (
        f"{threshold.title}, {count(threshold.n_clusters, 'cluster')}, {count(threshold.n_voxels, 'voxel')}"
    )
    volume = shown.drawn[threshold.method]
    found = threshold.n_voxels > 0
    drawing = draw_map(shown, book, volume, what, 0.55, desc=threshold.method) if found else None
    # The tables of the main threshold have a section of their own.
    tables = make_table(shown, threshold) if threshold.n_clusters and threshold != shown.main else None
    return {
        "rule": threshold,
        "drawing": drawing,
        "tables": tables,
        "left_out": shown.left_out(threshold),
    }
