"""The table of results of a threshold: set, clusters, peaks; the strongest peaks where none survives."""

from itertools import groupby

import pandas as pd
from markupsafe import Markup

from bidsapp.outputs.saved.group import ThresholdRecord
from bidsapp.records.documents import Document
from bidsapp.report.numbers import count, percent
from bidsapp.report.render import FigureBook, Section, render, show_p
from bidsapp.report.sections.contrast.active import CONFIDENT
from bidsapp.report.sections.contrast.columns import (
    CENTRE,
    MORE,
    OF_CLUSTER,
    Column,
    Rows,
    find_labels,
    make_columns,
    name_p,
)
from bidsapp.report.sections.contrast.hypothesis import list_names
from bidsapp.report.sections.contrast.shown import Shown
from bidsapp.report.sections.contrast.verdict import verdict
from bidsapp.tables.clusters import FORMED
from bidsapp.vocabulary.thresholds import IN_EACH_TAIL, words_of_tail

N_PEAKS, N_ROWS = 3, 60


def make_section(shown: Shown, book: FigureBook) -> Section | None:
    """Return the table of the main threshold; of the strongest peaks where nothing survives it."""
    if shown.main:
        return Section("Clusters and peaks", "clusters", make_table(shown, shown.main))
    main, path = shown.contrast.main, shown.contrast.strongest
    if main is None or not shown.results.has(path):
        return None
    about = shown.results.describe(path)
    rows = Rows(shown.contrast, main, shown.results.read_table(path), shown.hypothesis, about)
    why = "The main threshold was not computed" if main.reason else "No row of this table survives"
    content = _render(shown, rows, paths=[path], title="Strongest peaks", strongest=why)
    known = "" if main.reason else " (none survives)"
    return Section(f"Strongest peaks{known}", "clusters", content)


def make_table(shown: Shown, threshold: ThresholdRecord) -> Markup:
    """Return the table of a threshold that something survives."""
    peaks, clusters = shown.read_listed(threshold, "peaks"), shown.read_listed(threshold, "clusters")
    if peaks is None or clusters is None or threshold.peaks is None or threshold.clusters is None:
        return Markup("")
    few = peaks[peaks["peak"] <= N_PEAKS].merge(_size_of(clusters), on="cluster_id")
    about = shown.results.describe(threshold.clusters) | shown.results.describe(threshold.peaks)
    rows = Rows(shown.contrast, threshold, few.head(N_ROWS), shown.hypothesis, about)
    return _render(
        shown,
        rows,
        paths=[threshold.clusters, threshold.peaks],
        title=f"Clusters and peaks, {threshold.title}",
        survive=f"{count(threshold.n_clusters, 'cluster')}, {count(threshold.n_voxels, 'voxel')} of "
        f"{shown.n_tested:,} survive {threshold.title}",
        left_out=shown.left_out(threshold),
        n_left=len(few) - len(rows.frame),
        sentence=verdict(shown).text if threshold == shown.main else None,
    )


def _size_of(clusters: pd.DataFrame) -> pd.DataFrame:
    """Return what a table of clusters says of their sizes and regions."""
    labels = find_labels(clusters)
    sizes = [c for c in ("n_voxels", "volume_mm3", "tdp", *CENTRE) if c in clusters]
    found = clusters[["cluster_id", *sizes, *labels]]
    return found.rename(columns={label: label + OF_CLUSTER for label in labels})


def _render(shown: Shown, rows: Rows, **more: object) -> Markup:
    columns = make_columns(rows)
    places = rows.frame[["peak_x", "peak_y", "peak_z"]].to_dict("records")
    cells = list(zip(*(column.cells for column in columns), strict=True))
    defaults: Document = {"survive": "", "left_out": "", "n_left": 0, "sentence": None, "strongest": ""}
    return render(
        "contrast_table.html",
        **defaults | more,
        method=rows.threshold.method,
        columns=columns,
        levels=_levels(columns),
        rows=list(zip(places, rows.is_sub, cells, strict=True)),
        notes=_notes(shown, rows),
        atlases=[rows.about[label] for label in rows.labels if rows.about.get(label, {}).get("Citation")],
    )


def _say_around(rows: Rows) -> str:
    """Return whose the p of clusters are that are not the clusters of the table."""
    named = list_names(map(name_p, rows.around))
    forming = next(
        (t.forming_p for t in rows.contrast.thresholds if t.method in rows.around and t.forming_p), None
    )
    at = f" at one-sided p ≤ {forming:g}" if forming else ""
    size = " (k voxels)" if FORMED in rows.frame else ""
    other = ", not of the cluster of this table" if "n_voxels" in rows.frame else ""
    return f"{named} are of the cluster{size} that is formed around the peak{at}{other}."


def _levels(columns: list[Column]) -> list[tuple[str, int, bool]]:
    """Return (level, how many columns, whether seen with all columns only) over the columns."""
    found: list[tuple[str, int, bool]] = []
    for (level, more), members in groupby(columns, key=lambda c: (c.level, MORE in c.looks)):
        repeats = bool(found) and found[-1][0] == level
        found.append(("" if repeats else level, len(list(members)), more))
    return found


def _notes(shown: Shown, rows: Rows) -> list[str]:
    """Return what a reader has to know of the numbers."""
    contrast, threshold, found = shown.contrast, rows.threshold, []
    if any(rows.is_sub):
        found.append(f"Up to {N_PEAKS} peaks a cluster (all in the file): indented rows are further ones.")
    if contrast.test != "F":
        each = f", uncorrected p {IN_EACH_TAIL}" if threshold.tail == "two" and rows.own == "p" else ""
        found.append(f"p are {words_of_tail(contrast.test, threshold.tail)}{each}.")
    permutation = contrast.permutation
    if permutation is not None and permutation.smallest_p:
        found.append(
            f"Corrected p by shuffling are family-wise, from {permutation.n_shuffles:,} shuffles "
            f"(smallest possible: {show_p(permutation.smallest_p)})."
        )
    if rows.around:
        found.append(_say_around(rows))
    if "tdp" in rows.frame:
        alpha = next((t.alpha for t in contrast.thresholds if t.share_map), threshold.alpha)
        sure = CONFIDENT.format(percent(1 - alpha))
        found.append(f"Active shares are lower bounds for the clusters of this table, {sure}.")
    if "g" in rows.frame:
        found.append("g is Hedges’ g.")
    found.append(f"Coordinates in {shown.results.record.entities.get('space', 'mm of the images')}.")
    return found
