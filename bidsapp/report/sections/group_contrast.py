"""One group contrast: maps, thresholds, linked view, null distributions, effects of subjects, tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from bidsapp.names import figure_path
from bidsapp.outputs.results import GroupResults, Volume, read_all_subject_results
from bidsapp.outputs.saved.group import GroupContrastRecord, ThresholdRecord
from bidsapp.records.arrays import Numbers
from bidsapp.records.documents import Document
from bidsapp.report.drawing import background
from bidsapp.report.drawing.background import Background
from bidsapp.report.drawing.distributions import draw_null
from bidsapp.report.drawing.slices import COARSE_MM, Slicer, choose_cuts, draw_cut, draw_mosaic
from bidsapp.report.drawing.surface import draw_surface
from bidsapp.report.linked.view import pack_view
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.brains import WEAKEST, average_under, draw_brain
from bidsapp.report.sections.group_design import group_node
from bidsapp.report.sections.group_findings import contrast_anchor
from bidsapp.report.sections.linked_view import Look, make_view
from bidsapp.report.sections.peak_effects import Row, draw_strips, place_key, read_effects
from bidsapp.report.sections.subject_contrasts import colour_limit

N_PEAKS, N_CLUSTERS, N_ROWS = 5, 8, 60
# Pages with more of them show fewer clusters, and stay below 15 MB.
MANY_CONTRASTS = 8
KNOWN = ("cluster_id", "peak", "sign", "n_voxels", "volume_mm3", "peak_x", "peak_y", "peak_z")


def make_sections(results: GroupResults, book: FigureBook) -> list[Section]:
    """Return a section for every contrast."""
    under = anatomies(results)
    return [_Maker(results, book, contrast, under).section() for contrast in results.record.contrasts]


def count_words(threshold: ThresholdRecord) -> str:
    """Return how much survives a threshold."""
    return f"{threshold.n_clusters} clusters, {threshold.n_voxels} voxels"


def in_mni(results: GroupResults) -> bool:
    """Whether a group model is in MNI space, as maps are that do not say."""
    return background.is_mni(results.record.entities.get("space", "MNI"))


def anatomy(results: GroupResults) -> Background:
    """Return what to draw slices on: the given image, the MNI template, the subjects' mean, or the mask."""
    record = results.record
    if results.has(record.background):
        return background.from_volume(results.read_map(record.background), "mean anatomical image")
    if in_mni(results):
        return background.template()
    found = average_under(read_all_subject_results(results.folder), record.entities["space"])
    return found or background.from_volume(results.read_map(record.mask), "analysis mask")


def anatomies(results: GroupResults) -> list[Background]:
    """Return what the linked view can be drawn on: the anatomy of the slices, the template of MNI space."""
    first = anatomy(results)
    others = [background.template()] if in_mni(results) else []
    return [first, *(under for under in others if under.name != first.name)]


class _Maker:
    """Makes the section of one contrast; holds what its parts share."""

    def __init__(
        self,
        results: GroupResults,
        book: FigureBook,
        contrast: GroupContrastRecord,
        underlays: Sequence[Background],
    ) -> None:
        self.results, self.book, self.contrast, self.underlays = results, book, contrast, underlays
        self.under = underlays[0]
        self.mni = in_mni(results)
        self.thresholds = contrast.thresholds
        self.anchor = contrast_anchor(results, contrast)
        self.main = contrast.main if contrast.main and contrast.main.n_voxels else None
        self.statistic = contrast.main.statistic if contrast.main else "z"
        self.whole = results.read_map(contrast.maps[self.statistic])
        self.limit = colour_limit(self.whole)
        # F has no direction.
        self.signed = self.statistic != "F"
        self.kept = self.surviving(self.main) if self.main else None
        self.peaks = self._read(self.main, "peaks") if self.main else None
        effects = read_effects(results, contrast, self.peaks)
        self.strips = {} if effects is None else draw_strips(results, contrast, effects)

    def section(self) -> Section:
        """Return the whole section; what its view needs goes to the book."""
        kept = [self.surviving(threshold) for threshold in self.thresholds]
        content = render(
            "group_contrast.html",
            contrast=self.contrast,
            signed=self.signed,
            weakest=None if self.mni else WEAKEST,
            discoveries=self._discoveries(),
            anchor=self.anchor,
            under=self.under.name,
            whole=self._glass(self.whole, "whole map, no threshold"),
            main=self.main,
            surface=self._surface(),
            nulls=self._nulls(),
            thresholds=[self._threshold(t, v) for t, v in zip(self.thresholds, kept, strict=True)],
            mosaic=self._mosaic(),
            cuts=self._cuts(),
            clusters=self._cluster_pictures(),
        )
        self._give_to_view(kept)
        return Section(self.contrast.name, self.anchor, content, level=2)

    def surviving(self, threshold: ThresholdRecord) -> Volume:
        """Return the map of a threshold with everything that does not survive set to 0."""
        if self.results.has(threshold.surviving):
            return self.results.read_map(threshold.surviving)
        volume = self.results.read_map(self.contrast.maps[threshold.statistic])
        values = np.nan_to_num(volume.values)
        # Where anything survives, its clusters have labels.
        labels = threshold.labels
        kept = self.results.read_map(labels).values > 0 if self.results.has(labels) else False
        return Volume(np.where(kept, values, 0), volume.affine)

    def _path(self, kind: str, *, extension: str = ".svg", **more: str) -> str:
        more = {"node": group_node(self.results), "contrast": self.contrast.name, **more}
        return figure_path(self.results.record.entities, kind, extension=extension, **more)

    def _words(self, threshold: ThresholdRecord | None = None) -> str:
        return f"{self.contrast.name}, {threshold.title}" if threshold else self.contrast.name

    def _glass(self, volume: Volume, what: str, faintest: float = 0.0, **more: str) -> Markup:
        alt = (
            f"{'Glass brain' if self.mni else 'Slices'} of {self.contrast.name}: {what}; "
            f"colours from {-self.limit if self.signed else 0:g} to {self.limit:g}"
        )
        under = None if self.mni else self.under
        figure = draw_brain(volume, under, limit=self.limit, alt=alt, faintest=faintest, signed=self.signed)
        kind, look = ("glass", "glass") if self.mni else ("map", "keep")
        return self.book.add(figure, self._path(kind, stat=self.statistic, **more), look)

    def _surface(self) -> Markup | None:
        if not self.main or self.kept is None or not self.mni:
            return None
        alt = f"Inflated cortex of {self._words(self.main)}, both hemispheres from outside and inside"
        figure = draw_surface(self.kept, limit=self.limit, alt=alt, signed=self.signed)
        path = self._path("surface", stat=self.statistic, desc=self.main.method)
        return self.book.add(figure, path)

    def _mosaic(self) -> Markup | None:
        if not self.main or self.kept is None:
            return None
        alt = f"Axial slices of {self._words(self.main)}"
        figure = draw_mosaic(self._slicer(self.kept, COARSE_MM), choose_cuts(self.whole, 8), alt=alt)
        path = self._path("slices", stat=self.statistic, desc=self.main.method)
        return self.book.add(figure, path, "keep")

    def _cuts(self) -> list[Document]:
        """Return slices through the highest peaks, with the effects of the subjects there."""
        if not self.main or self.kept is None or self.peaks is None or not len(self.peaks):
            return []
        method = self.main.method
        order = self.peaks[self.statistic].abs().sort_values(ascending=False, kind="stable").index[:N_PEAKS]
        slicer, rows = self._slicer(self.kept), self.peaks.loc[order].to_dict("records")
        return [self._cut(slicer, row, f"{method}Peak{i + 1}") for i, row in enumerate(rows)]

    def _slicer(self, volume: Volume, step_mm: float = 1.0) -> Slicer:
        return Slicer(self.under, volume, limit=self.limit, step_mm=step_mm, signed=self.signed)

    def _cut(self, slicer: Slicer, peak: Row, desc: str) -> Document:
        at = [peak[f"peak_{axis}"] for axis in "xyz"]
        alt = f"Slices of {self._words(self.main)} through the peak at {place_key(peak)} mm"
        figure = draw_cut(slicer, at, alt=alt)
        strip = self.strips.get(place_key(peak))
        return {
            "peak": peak,
            "value": peak[self.statistic],
            "statistic": self.statistic,
            "label": next((v for k, v in peak.items() if isinstance(v, str) and k not in KNOWN), ""),
            "drawing": self.book.add(figure, self._path("slices", stat=self.statistic, desc=desc)),
            "strip": strip and self.book.add(strip, self._path("effects", desc=desc)),
        }

    def _cluster_pictures(self) -> list[Document]:
        """Return a picture of each of the largest clusters by itself, through its peak."""
        main = self.main
        if not main or not self.results.has(main.labels):
            return []
        frame = self._read(main, "clusters")
        if frame is None:
            return []
        labels = self.results.read_map(main.labels).values
        n_contrasts = len(self.results.record.contrasts)
        number = N_CLUSTERS if n_contrasts <= MANY_CONTRASTS else N_CLUSTERS // 4
        rows = frame.head(number).to_dict("records")
        return [self._cluster_picture(row, labels, main) for row in rows]

    def _cluster_picture(self, row: Row, labels: Numbers, main: ThresholdRecord) -> Document:
        values = np.where(labels == row["cluster_id"], np.nan_to_num(self.whole.values), 0)
        at = [row[f"peak_{axis}"] for axis in "xyz"]
        alt = f"Cluster {row['cluster_id']} of {self._words(main)} by itself"
        volume = Volume(values, self.whole.affine)
        figure = draw_cut(self._slicer(volume, COARSE_MM), at, alt=alt)
        path = self._path("slices", stat=self.statistic, desc=f"{main.method}Cluster{row['cluster_id']}")
        return {"row": row, "drawing": self.book.add(figure, path)}

    def _nulls(self) -> list[Markup]:
        drawn = []
        for null in self.contrast.nulls or ():
            if not self.results.has(null.table):
                continue
            values = self.results.read_table(null.table)[null.column].to_numpy(float)
            alt = f"Null distribution of the {null.title}, observed {null.observed:.3g}"
            cutoff = next((t.cutoff for t in self.thresholds if t.method == null.statistic), None)
            figure = draw_null(values, null.observed, cutoff=cutoff, name=null.title, alt=alt)
            drawn.append(self.book.add(figure, self._path("nullmax", desc=null.statistic), "exact"))
        return drawn

    def _discoveries(self) -> Document | None:
        """Return the regions with any active voxel for the template, the most active first, or None."""
        if not self.results.has(self.contrast.discoveries):
            return None
        frame = self.results.read_table(self.contrast.discoveries)
        columns = [c for c in frame.columns if c.startswith("tdp")]
        frame = frame.assign(most=frame[columns].max(axis=1)).query("most > 0")
        rows = frame.sort_values("most", ascending=False, kind="stable").head(N_ROWS)
        return {"columns": columns, "n": len(frame), "rows": rows.to_dict("records")} if len(frame) else None

    def _threshold(self, threshold: ThresholdRecord, volume: Volume) -> Document:
        counts = threshold.reason or count_words(threshold)
        what = f"{threshold.title}, {counts}"
        found = threshold.n_voxels > 0
        drawing = self._glass(volume, what, 0.55, desc=threshold.method) if found else None
        tables = {kind: self._table(threshold, kind) for kind in ("clusters", "peaks")}
        return {"rule": threshold, "drawing": drawing, "tables": tables}

    def _read(self, threshold: ThresholdRecord, kind: str) -> pd.DataFrame | None:
        path: str | None = getattr(threshold, kind)
        return self.results.read_table(path) if self.results.has(path) else None

    def _table(self, threshold: ThresholdRecord, kind: str) -> Document | None:
        """Return a table for the template: columns of numbers, columns of labels, rows."""
        frame = self._read(threshold, kind)
        if frame is None:
            return None
        labels = [c for c in frame.columns if frame[c].dtype.kind not in "iuf" and c not in KNOWN]
        values = [c for c in frame.columns if c not in labels and c not in KNOWN]
        rows = frame.head(N_ROWS).to_dict("records")
        path = getattr(threshold, kind)
        columns = self.results.describe(path)
        return {
            "rows": rows,
            "n": len(frame),
            "values": values,
            "labels": labels,
            "path": path,
            "words": {c: columns.get(c, {}).get("Description", c) for c in values},
            "atlases": [columns[c] for c in labels if columns.get(c, {}).get("Citation")],
        }

    def _give_to_view(self, kept: Sequence[Volume]) -> None:
        position = [0.0, 0.0, 0.0]
        if self.peaks is not None and len(self.peaks):
            position = [self.peaks.iloc[0][f"peak_{axis}"] for axis in "xyz"]
        look = Look(self.anchor, self.statistic, self.limit, position, self.underlays, self.mni)
        view = make_view(self.results, self.contrast, kept, look)
        self.book.views.append((pack_view(view), self._path("view", extension=".js")))
