"""The tables of clusters and peaks of a group contrast, one pair a threshold."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bidsapp import names
from bidsapp.inference.across import HOLM
from bidsapp.inference.ari import find_discoveries
from bidsapp.inference.pvalues import p_interval
from bidsapp.outputs.files import write_json
from bidsapp.outputs.images import write_labels
from bidsapp.outputs.saved.group import ThresholdRecord
from bidsapp.outputs.tables import write_table
from bidsapp.records.arrays import Labels, Map, Mask
from bidsapp.records.documents import Document
from bidsapp.records.maps import EffectStack, GroupEstimate, Inference, Threshold
from bidsapp.records.plan import DatasetFit
from bidsapp.settings.parts import GroupOptions
from bidsapp.stats.distributions import p_to_t
from bidsapp.stats.group.effect_sizes import CONFIDENCE
from bidsapp.tables.atlas import add_labels, describe_atlases, read_atlases
from bidsapp.tables.clusters import FORMED, ClusterTable, Measures, describe_columns, make_cluster_table
from bidsapp.tables.peaks import make_peak_effects
from bidsapp.vocabulary.quantities import LISTED
from bidsapp.vocabulary.statistics import STATISTICS
from bidsapp.vocabulary.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from bidsapp.group.write import GroupResult

# Columns that readers look for in tables of a statistic of whole maps, whose rows are no clusters at the
# cluster-forming p.
OF_MAPS = {name for name, row in STATISTICS.items() if row.needs == "maps"}
OF_CLUSTERS = {name: row.column for name, row in STATISTICS.items() if row.needs == "clusters"}
NO_CLUSTER = "n/a: rows are no clusters at the cluster-forming p. The table of {} has the p of these."
# Of the whole map, where nothing survives.
N_STRONGEST = 5
STRONGEST = (
    "The strongest peaks of the whole map: none survives the main threshold. For planning and meta-analysis."
)
EFFECT_COLUMNS = {
    "Description": "Effect of every participant at every peak, in the unit of the effect maps",
    "cluster_id": {"Description": "Cluster number, as in the table of clusters"},
    "peak": {"Description": "Rank of the peak in its cluster"},
}


class TableWriter:
    """Writes the tables of a contrast; prepared once for all of its thresholds.

    Parameters
    ----------
    result : GroupResult
    maps : dict of str to ndarray, shape (n_points,)
    options : GroupOptions
    connectivity : int
        Of clusters.
    output_dir : Path
    """

    def __init__(
        self,
        result: "GroupResult",
        maps: Mapping[str, Map],
        options: GroupOptions,
        connectivity: int,
        output_dir: Path,
    ) -> None:
        self._result, self._connectivity, self._out = result, connectivity, output_dir
        self._tail = options.tail if result.estimate.test in ("t", "z") else "two"
        self._where = {"node": result.fit.node, "contrast": result.contrast.name}
        self._listed = {name: maps[name] for name in LISTED if name in maps}
        self._listed |= make_interval(result.estimate)
        # Of all thresholds, at the peaks; a cluster may lie in clusters of others, or in none.
        self._adjusted = {
            column_beside(one): one.adjusted
            for one in result.thresholds
            if THRESHOLDS[one.name].column and one.adjusted is not None
        }
        self._formed = _sizes_of_formed(result.inference)
        self._maps = maps
        discoveries = find_discoveries(result.estimate.p, options.alpha)
        self._measures = {"tdp": discoveries.proportion}
        self._atlases = read_atlases(options.atlas) if is_template(result.fit.entities) else []

    def write(self, threshold: Threshold, record: ThresholdRecord) -> ThresholdRecord:
        """Write the tables of a threshold where anything survives; return its record with them."""
        if threshold.reason:
            return record
        inference = self._result.inference
        table = self._find(threshold, record.statistic, threshold.surviving, self._measures)
        if not len(table.clusters):
            return record
        frames = self._label(table, threshold, record.statistic)
        about = self._describe(threshold)
        if THRESHOLDS[threshold.name].statistic in OF_MAPS and inference is not None:
            elsewhere = [name for name in OF_CLUSTERS if name in inference.statistics]
            empty = dict.fromkeys((OF_CLUSTERS[name] for name in elsewhere), np.nan)
            frames["clusters"] = frames["clusters"].assign(**empty)
            about |= {
                OF_CLUSTERS[name]: {"Description": NO_CLUSTER.format(STATISTICS[name].threshold)}
                for name in elsewhere
            }
        paths = {
            kind: self._write_table(kind, frame, describe_columns(frame, about), threshold)
            for kind, frame in frames.items()
        }
        effects = None
        if len(self._result.stack.effect):
            stack = replace(self._result.stack, labels=name_inputs(self._result.fit, self._result.stack))
            frame = make_peak_effects(table.peaks, stack)
            effects = self._write_table("effects", frame, EFFECT_COLUMNS, threshold)
        return replace(
            record,
            n_clusters=len(table.clusters),
            clusters=paths["clusters"],
            peaks=paths["peaks"],
            labels=self._write_labels(table.labels, threshold),
            peak_effects=effects,
        )

    def write_strongest(self, statistic: str) -> str | None:
        """Write the strongest peaks of the whole map where nothing survives the main threshold.

        Returns
        -------
        str or None
            The path of the table; None where anything survives, or the map is empty.
        """
        main, values = self._result.thresholds[0], self._maps[statistic]
        if main.surviving.any() or not np.isfinite(values).any():
            return None
        height = {"positive": values, "negative": -values}.get(self._tail, np.abs(values))
        # The weak rest of a map has many more peaks, which take longer to find.
        for lowest in (np.nanquantile(height, 0.9), 0.0):
            table = self._find(main, statistic, height > lowest)
            if len(table.peaks) >= N_STRONGEST:
                break
        order = table.peaks[statistic].abs().sort_values(ascending=False, kind="stable").index[:N_STRONGEST]
        peaks = table.peaks.loc[order].assign(peak=np.arange(len(order)) + 1)
        few = ClusterTable(table.clusters.iloc[:0], peaks, table.labels)
        frame = self._label(few, main, statistic)["peaks"].drop(columns="cluster_id")
        path = names.table_path(self._result.fit.entities, "strongest", **self._where)
        about = self._describe(main) | {"peak": {"Description": "Rank of the peak in the map"}}
        write_table(self._out / path, frame, describe_columns(frame, about) | {"Description": STRONGEST})
        return path

    def _find(
        self, threshold: Threshold, statistic: str, surviving: Mask, measures: Measures | None = None
    ) -> ClusterTable:
        """Return clusters and peaks of some points, with all values at their peaks."""
        own = THRESHOLDS[threshold.name].column
        listed = {statistic: self._maps[statistic], **self._listed}
        if own and threshold.adjusted is not None:
            listed[own] = threshold.adjusted
        listed |= {name: p for name, p in self._adjusted.items() if name != column_beside(threshold)}
        listed |= {} if THRESHOLDS[threshold.name].is_formed else self._formed
        geometry = self._result.stack.geometry
        return make_cluster_table(
            listed, surviving, geometry, measures=measures, connectivity=self._connectivity
        )

    def _label(self, table: ClusterTable, threshold: Threshold, statistic: str) -> dict[str, pd.DataFrame]:
        """Return the tables of clusters and peaks with the labels of the atlases."""
        own = THRESHOLDS[threshold.name].column
        clusters, peaks = add_labels(table, self._result.stack.geometry, self._atlases)
        clusters = clusters.drop(columns=[*self._adjusted, *self._formed], errors="ignore")
        return {
            kind: add_limits(put_first(frame, own, statistic), threshold.name, self._result.inference)
            for kind, frame in (("clusters", clusters), ("peaks", peaks))
        }

    def _describe(self, threshold: Threshold) -> Document:
        """Return the descriptions of the columns that depend on the threshold and the atlases."""
        others = {
            column_beside(one): {"Description": f"At the peak, of another threshold: {one.description}"}
            for one in self._result.thresholds
        }
        own = THRESHOLDS[threshold.name].column
        if own:
            others[own] = {"Description": f"p of this table's threshold: {threshold.description}"}
        return describe_atlases(self._atlases) | others

    def _write_table(
        self, kind: str, frame: pd.DataFrame, descriptions: Document, threshold: Threshold
    ) -> str:
        path = names.table_path(self._result.fit.entities, kind, desc=threshold.name, **self._where)
        write_table(self._out / path, frame, descriptions)
        return path

    def _write_labels(self, labels: Labels, threshold: Threshold) -> str:
        entities, folder = self._result.fit.entities, self._out
        path = names.clusters_label_path(entities, desc=threshold.name, **self._where)
        write_labels(folder / path, labels, self._result.stack.geometry, space=entities.get("space"))
        write_json(folder / names.sidecar_path(path), {"Description": threshold.description})
        return path


def column_beside(threshold: Threshold) -> str:
    """Return the column of the p (or q) of a threshold in the tables of peaks of the others."""
    return f"{'q' if THRESHOLDS[threshold.name].controls == 'FDR' else 'p'}_{threshold.name}"


def _sizes_of_formed(inference: Inference | None) -> dict[str, Map]:
    """Return the size of the cluster of each voxel by shuffling; empty where sizes were not followed."""
    extent = inference.statistics.get("extent") if inference else None
    return {} if extent is None else {FORMED: np.abs(extent.observed)}


def make_interval(estimate: GroupEstimate) -> dict[str, Map]:
    """Return the standard error of an effect and its 95 % limits (t); empty for tests without an effect."""
    if estimate.variance is None:
        return {}
    error = np.sqrt(np.maximum(estimate.variance, 0))
    half = p_to_t((1 - CONFIDENCE) / 2, estimate.dof) * error
    return {
        "effect_se": error,
        "effect_low": estimate.effect - half,
        "effect_high": estimate.effect + half,
    }


def put_first(frame: pd.DataFrame, own: str | None, statistic: str) -> pd.DataFrame:
    """Return a table with the p of its own threshold, where it has one, before the statistic."""
    columns = [name for name in frame.columns if name != own]
    if own:
        columns.insert(columns.index(statistic), own)
    return frame[columns]


def add_limits(frame: pd.DataFrame, label: str, inference: Inference | None) -> pd.DataFrame:
    """Return a table with the limits of the p that its own threshold goes by, beside that p.

    All shuffles together give p itself, and a fitted tail is no count of shuffles: then there are none.
    """
    column = THRESHOLDS[label].column if THRESHOLDS[label].statistic else None
    if column is None or column not in frame or inference is None:
        return frame
    # Of Holm's procedure p is no share of shuffles.
    is_stepwise = HOLM in inference.conventions.get("Family", "")
    if inference.exact or is_stepwise or inference.options.tail_approximation != "none":
        return frame
    lower, upper = p_interval(frame[column].to_numpy(float), inference.n_shuffles)
    place = list(frame.columns).index(column) + 1
    limits = frame.copy()
    limits.insert(place, "p_fwe_low", lower)
    limits.insert(place + 1, "p_fwe_high", upper)
    return limits


def name_inputs(fit: DatasetFit, stack: EffectStack) -> tuple[str, ...]:
    """Return a name for every input of a fit: the subject, and the cell where a subject has several maps."""
    if fit.within is None or len(fit.design.rows) == len(stack.labels):
        return tuple(fit.design.rows)
    pairs = zip(stack.labels, fit.input_cells, strict=True)
    return tuple(f"{label} {cell}" for label, cell in pairs)


def is_template(entities: Mapping[str, str]) -> bool:
    """Tell whether maps are in a space that the atlases are drawn in."""
    return entities.get("space", "MNI").startswith("MNI")
