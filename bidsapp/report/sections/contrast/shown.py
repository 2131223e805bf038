"""What the sections of the page of a contrast share: its record, maps, tables and anatomy, read once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from bidsapp.names import figure_path
from bidsapp.outputs.results import GroupResults, Volume, read_all_subject_results
from bidsapp.outputs.saved.group import GroupContrastRecord, ThresholdRecord
from bidsapp.records.arrays import Numbers
from bidsapp.report.drawing import background
from bidsapp.report.drawing.background import Background
from bidsapp.report.drawing.slices import Slicer
from bidsapp.report.numbers import count, readable
from bidsapp.report.sections.brains import average_under
from bidsapp.report.sections.contrast.hypothesis import Hypothesis, find_hypothesis
from bidsapp.report.sections.group_design import group_node
from bidsapp.report.sections.peak_effects import Row, read_effects
from bidsapp.report.sections.subject_contrasts import colour_limit
from bidsapp.tables.atlas import NO_LABEL, first_label
from bidsapp.vocabulary.thresholds import THRESHOLDS

# Columns of tables of clusters and peaks that say which row it is; the others are values and labels.
KEYS = ("cluster_id", "peak", "sign", "n_voxels", "volume_mm3", "peak_x", "peak_y", "peak_z")


@dataclass(frozen=True, eq=False)
class Shown:
    """A contrast of a group model as its page shows it.

    Attributes
    ----------
    results, contrast
        The record, and the contrast of it.
    min_cluster : int
        Tables and still pictures leave out clusters of fewer voxels.
    """

    results: GroupResults
    contrast: GroupContrastRecord
    min_cluster: int = 1

    @property
    def underlays(self) -> Sequence[Background]:
        """What it can be drawn on; still pictures are on the first."""
        return anatomies(self.results)

    @property
    def under(self) -> Background:
        """What still pictures are drawn on."""
        return self.underlays[0]

    @property
    def mni(self) -> bool:
        """Whether the contrast is in MNI space."""
        return in_mni(self.results)

    @property
    def main(self) -> ThresholdRecord | None:
        """The main threshold, None where there is none or nothing survives it."""
        return self.contrast.main if self.contrast.main and self.contrast.main.n_voxels else None

    @property
    def statistic(self) -> str:
        """The key of the map that is drawn and cut."""
        return self.contrast.main.statistic if self.contrast.main else "z"

    @property
    def signed(self) -> bool:
        """Whether the statistic has a direction, as F has not."""
        return self.statistic != "F"

    @cached_property
    def hypothesis(self) -> Hypothesis:
        """What is asked, in words."""
        return find_hypothesis(self.contrast)

    @property
    def lead(self) -> str:
        """The model in words; of a conjunction first what it is made from."""
        contrast, model = self.contrast, self.results.record.description
        made = f"Conjunction of {contrast.group_contrast} by the minimum statistic. " * (contrast.test == "z")
        return f"{made}{model}"

    @cached_property
    def whole(self) -> Volume:
        """The map of the statistic."""
        return self.results.read_map(self.contrast.maps[self.statistic])

    def toward(self, values: Numbers) -> Numbers:
        """Return how far values of the map lie in a direction that is tested."""
        tail = self.contrast.main.tail if self.contrast.main and self.signed else "two"
        return values if tail == "positive" else -values if tail == "negative" else np.abs(values)

    @cached_property
    def n_tested(self) -> int:
        """How many voxels were tested."""
        inside = self.results.read_map(self.results.record.mask).values > 0
        return int(np.count_nonzero(inside & np.isfinite(self.whole.values)))

    @cached_property
    def limit(self) -> float:
        """The value of the strongest colour."""
        return colour_limit(self.whole)

    @cached_property
    def kept(self) -> dict[str, Volume]:
        """By method of each threshold its map with everything that does not survive set to 0."""
        return {threshold.method: self._surviving(threshold) for threshold in self.contrast.thresholds}

    @cached_property
    def peaks(self) -> pd.DataFrame | None:
        """The peaks of the main threshold, None where nothing survives."""
        return self.read(self.main, "peaks") if self.main else None

    @cached_property
    def strongest(self) -> Row | None:
        """The strongest peak that survives the main threshold; where none does, of the whole map."""
        peaks = self.peaks
        if peaks is None and self.results.has(self.contrast.strongest):
            peaks = self.results.read_table(self.contrast.strongest)
        if peaks is None or not len(peaks):
            return None
        row: Row = peaks.iloc[int(self.toward(peaks[self.statistic].to_numpy(float)).argmax())].to_dict()
        return row

    @cached_property
    def effects(self) -> pd.DataFrame | None:
        """The effect of every input at every peak, a row a peak; None where it is not known."""
        return read_effects(self.results, self.contrast, self.peaks)

    @cached_property
    def drawn(self) -> dict[str, Volume]:
        """As ``kept``, without the clusters that are left out."""
        return {threshold.method: self._drawn(threshold) for threshold in self.contrast.thresholds}

    @cached_property
    def overlaps(self) -> dict[str, tuple[str, str]]:
        """The overlap (Dice) of what survives each threshold with what survives the main one.

        By method: the name of the threshold, and the share. Without those that nothing survives; empty where
        nothing survives the main one.
        """
        if self.main is None:
            return {}
        survives = {method: np.nan_to_num(volume.values) != 0 for method, volume in self.kept.items()}
        mine = survives[self.main.method]
        found = {}
        for threshold in self.contrast.usable[1:]:
            theirs = survives[threshold.method]
            if theirs.any():
                both, total = (
                    np.count_nonzero(mine & theirs),
                    np.count_nonzero(mine) + np.count_nonzero(theirs),
                )
                row = THRESHOLDS.get(threshold.method)
                found[threshold.method] = (row.short if row else threshold.title, f"{2 * both / total:.2f}")
        return found

    def read(self, threshold: ThresholdRecord, kind: str) -> pd.DataFrame | None:
        """Return the table of ``clusters`` or ``peaks`` of a threshold, None where there is none."""
        path: str | None = getattr(threshold, kind)
        return self.results.read_table(path) if self.results.has(path) else None

    def read_listed(self, threshold: ThresholdRecord, kind: str) -> pd.DataFrame | None:
        """As ``read``, without the clusters that are left out."""
        table = self.read(threshold, kind)
        if table is None:
            return None
        return table[~table["cluster_id"].isin(self._small(threshold))].reset_index(drop=True)

    def left_out(self, threshold: ThresholdRecord) -> str:
        """Return which clusters of a threshold are left out, in words; empty where none is."""
        n = len(self._small(threshold))
        if not n:
            return ""
        verb = "is" if n == 1 else "are"
        return (
            f"{count(n, 'cluster')} below {self.min_cluster:,} voxels {verb} not shown here "
            "(--report-min-cluster); "
            f"all are in {threshold.clusters}."
        )

    def _small(self, threshold: ThresholdRecord) -> list[int]:
        """Return the numbers of the clusters that are left out."""
        if self.min_cluster <= 1 or not self.results.has(threshold.clusters):
            return []
        table = self.results.read_table(threshold.clusters)
        small: list[int] = table["cluster_id"][table["n_voxels"] < self.min_cluster].tolist()
        return small

    def _drawn(self, threshold: ThresholdRecord) -> Volume:
        kept, small = self.kept[threshold.method], self._small(threshold)
        if not small or not self.results.has(threshold.labels):
            return kept
        labels = self.results.read_map(threshold.labels).values
        return Volume(np.where(np.isin(labels, small), 0, kept.values), kept.affine)

    def start(self) -> list[float]:
        """Return where the cross-hair stands first, in mm: at the strongest peak, else value."""
        if self.strongest is not None:
            return [float(self.strongest[f"peak_{axis}"]) for axis in "xyz"]
        values = self.toward(np.nan_to_num(self.whole.values))
        voxel = np.unravel_index(np.argmax(values), values.shape)
        place: list[float] = (self.whole.affine[:3, :3] @ voxel + self.whole.affine[:3, 3]).tolist()
        return place

    def path(self, kind: str, *, extension: str = ".svg", **more: str) -> str:
        """Return the path of a figure of the contrast; ``more`` are entities, as ``stat`` and ``desc``."""
        more = {"node": group_node(self.results), "contrast": self.contrast.name, **more}
        return figure_path(self.results.record.entities, kind, extension=extension, **more)

    def words(self, threshold: ThresholdRecord) -> str:
        """Return contrast and threshold as the text of a picture names them."""
        return f"{self.contrast.name}, {threshold.title}"

    def searched(self, threshold: ThresholdRecord) -> str:
        """Return a threshold in words with its tail, its error rate and over how many voxels it is."""
        return f"{threshold.words}, over {count(self.n_tested, 'voxel')}"

    def slicer(self, volume: Volume, step_mm: float = 1.0) -> Slicer:
        """Return what cuts slices through a map, in the colours of the contrast."""
        return Slicer(self.under, volume, limit=self.limit, step_mm=step_mm, signed=self.signed)

    def _surviving(self, threshold: ThresholdRecord) -> Volume:
        if self.results.has(threshold.surviving):
            return self.results.read_map(threshold.surviving)
        is_whole = threshold.statistic == self.statistic
        volume = self.whole if is_whole else self.results.read_map(self.contrast.maps[threshold.statistic])
        values = np.nan_to_num(volume.values)
        # Where anything survives, its clusters have labels.
        labels = threshold.labels
        kept = self.results.read_map(labels).values > 0 if self.results.has(labels) else False
        return Volume(np.where(kept, values, 0), volume.affine)


def in_mni(results: GroupResults) -> bool:
    """Whether a group model is in MNI space, as maps are that do not say."""
    return background.is_mni(results.record.entities.get("space", "MNI"))


@lru_cache(maxsize=1)
def anatomies(results: GroupResults) -> list[Background]:
    """Return what contrasts can be drawn on: the MNI template, the subjects' mean, or the mask.

    Still pictures are on the first.
    """
    record, given = results.record, []
    if results.has(record.background):
        n = results.describe(record.background).get("NumberOfSubjects")
        name = f"mean T1w of {n} subjects" if n else "mean anatomical image"
        given = [background.from_volume(results.read_map(record.background), name)]
    if in_mni(results):
        return [background.template(), *given]
    if given:
        return given
    found = average_under(read_all_subject_results(results.folder), record.entities["space"])
    return [found or background.from_volume(results.read_map(record.mask), "analysis mask")]


def first_region(label: str) -> str:
    """Return the first region of a label as a sentence names it; empty for none."""
    region = readable(re.sub(r"^\d+% ", "", label.split("; ")[0]))
    return "" if label == NO_LABEL else region


def label_of(row: Row) -> str:
    """Return the label of a row, of the first atlas of its table that has one; empty without any atlas."""
    labels = [v for k, v in row.items() if isinstance(v, str) and k not in KEYS]
    return labels[first_label(labels)] if labels else ""
