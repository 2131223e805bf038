"""The tables of clusters and peaks of a group contrast, one pair a threshold."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle
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
from bidsapp.records.arrays import Labels, Map
from bidsapp.records.documents import Document
from bidsapp.records.maps import EffectStack, Inference, Threshold
from bidsapp.records.plan import DatasetFit
from bidsapp.settings.parts import GroupOptions
from bidsapp.tables.atlas import add_labels, describe_atlases, read_atlases
from bidsapp.tables.clusters import describe_columns, make_cluster_table
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
        self._where = {"node": result.fit.node, "contrast": result.contrast.name}
        self._listed = {name: maps[name] for name in LISTED if name in maps}
        self._maps = maps
        discoveries = find_discoveries(result.estimate.p, options.alpha)
        self._measures = {"tdp": discoveries.proportion}
        self._atlases = read_atlases(options.atlas) if is_template(result.fit.entities) else []

    def write(self, threshold: Threshold, record: ThresholdRecord) -> ThresholdRecord:
        """Write the tables of a threshold where anything survives; return its record with them."""
        if threshold.reason:
            return record
        geometry, inference = self._result.stack.geometry, self._result.inference
        statistic = record.statistic
        listed = {statistic: self._maps[statistic], **self._listed}
        own = THRESHOLDS[threshold.name].column
        if own and threshold.adjusted is not None:
            listed[own] = threshold.adjusted
        table = make_cluster_table(
            listed, threshold.surviving, geometry, measures=self._measures, connectivity=self._connectivity
        )
        if not len(table.clusters):
            return record
        clusters, peaks = add_labels(table, geometry, self._atlases)
        frames = {
            kind: add_limits(put_first(frame, own, statistic), threshold.name, inference)
            for kind, frame in (("clusters", clusters), ("peaks", peaks))
        }
        about = describe_atlases(self._atlases) | _describe_own(own, threshold)
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


def _describe_own(own: str | None, threshold: Threshold) -> Document:
    return {own: {"Description": f"p of this table's threshold: {threshold.description}"}} if own else {}


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
    pairs = zip(stack.labels, cycle(fit.within.cells), strict=False)
    return tuple(f"{label} {cell}" for label, cell in pairs)


def is_template(entities: Mapping[str, str]) -> bool:
    """Tell whether maps are in a space that the atlases are drawn in."""
    return entities.get("space", "MNI").startswith("MNI")
