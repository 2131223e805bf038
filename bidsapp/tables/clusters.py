"""Clusters and peaks of a thresholded map.

A cluster is a set of surviving points of one sign that hang together. Clusters are numbered from the
largest, both signs in one sequence. A peak is a local extreme (away from zero) of its cluster.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from bidsapp.inference.statistics.clusters import find_clusters, label_clusters
from bidsapp.records.arrays import Labels, Map, Mask, Matrix
from bidsapp.records.maps import Geometry
from bidsapp.vocabulary.thresholds import MIN_DISTANCE_MM

# Column of the clusters -> its value, from the point indices of a cluster.
Measures: TypeAlias = Mapping[str, Callable[[Labels], float]]
# Column -> its fields in the JSON sidecar.
Descriptions: TypeAlias = Mapping[str, Mapping[str, Any]]

# Of peaks: the size of the cluster around it that is formed otherwise than those of the table.
FORMED = "k_formed"
COLUMNS: Descriptions = {
    "cluster_id": {"Description": "Cluster number, from the largest; the same in clusters and peaks"},
    "sign": {
        "Description": "Direction of the effect",
        "Levels": {"positive": "above 0", "negative": "below 0"},
    },
    "n_voxels": {"Description": "Number of voxels of the cluster"},
    FORMED: {
        "Description": "Voxels of the cluster, formed at the cluster-forming p, around the peak; 0 where "
        "there is none. p_maxSize and p_maxMass are of it"
    },
    "volume_mm3": {"Description": "Volume of the cluster", "Units": "mm^3"},
    "centre_x": {"Description": "Centre of gravity of |statistic|, from left to right", "Units": "mm"},
    "centre_y": {"Description": "Centre of gravity, from posterior to anterior", "Units": "mm"},
    "centre_z": {"Description": "Centre of gravity, from inferior to superior", "Units": "mm"},
    "peak": {"Description": "Rank of the peak in its cluster, from the most extreme"},
    "peak_x": {"Description": "Position of the peak, from left to right", "Units": "mm"},
    "peak_y": {"Description": "Position of the peak, from posterior to anterior", "Units": "mm"},
    "peak_z": {"Description": "Position of the peak, from inferior to superior", "Units": "mm"},
    "t": {"Description": "t statistic at the peak"},
    "F": {"Description": "F statistic at the peak"},
    "z": {"Description": "Statistic at the peak as a z value of the same p"},
    "effect": {"Description": "Effect at the peak, in the unit of the effect map"},
    "g": {"Description": "Standardised effect at the peak (Hedges' g)"},
    "partialrsquare": {"Description": "Share of the remaining variance that the contrast explains (peak)"},
    "dof": {"Description": "Degrees of freedom of the statistic at the peak"},
    "effect_se": {"Description": "Standard error of the effect at the peak"},
    "effect_low": {"Description": "Lower 95 % limit of the effect at the peak (t)"},
    "effect_high": {"Description": "Upper 95 % limit of the effect at the peak (t)"},
    "p_fwe_low": {"Description": "Lower 95 % limit (Clopper-Pearson) of the p of this table's threshold"},
    "p_fwe_high": {"Description": "Upper 95 % limit (Clopper-Pearson) of the p of this table's threshold"},
    "tdp": {"Description": "Lower bound of the share of truly active voxels in the cluster"},
}


@dataclass(frozen=True, slots=True, eq=False)
class ClusterTable:
    """The clusters of a thresholded map.

    Attributes
    ----------
    clusters, peaks : DataFrame
        One row a cluster, one row a peak; columns as in ``COLUMNS``.
    labels : ndarray of int32, shape (n_points,)
        The cluster of each point, 0 where none.
    """

    clusters: pd.DataFrame
    peaks: pd.DataFrame
    labels: Labels


def make_cluster_table(
    maps: Mapping[str, Map],
    surviving: Mask,
    geometry: Geometry,
    *,
    measures: Measures | None = None,
    connectivity: int = 26,
    min_distance_mm: float = MIN_DISTANCE_MM,
) -> ClusterTable:
    """Return the clusters and peaks of the surviving points.

    Parameters
    ----------
    maps : dict of str to ndarray, shape (n_points,)
        The values to list at each peak; the first decides about sign and peaks.
    surviving : ndarray of bool, shape (n_points,)
    geometry : Geometry
    measures : dict of str to function, optional
        Further columns of the clusters: each is called with the point indices of a cluster.
    connectivity : {6, 18, 26}
        Which voxels of a cluster hang together.
    min_distance_mm : float
        Peaks of a cluster are at least this far apart.

    Returns
    -------
    ClusterTable
    """
    statistic = np.asarray(next(iter(maps.values())), float)
    points = np.flatnonzero(surviving & np.isfinite(statistic) & (statistic != 0))
    local = _subset(geometry, points)
    values, neighbours = statistic[points], local.neighbours(connectivity)
    lowest = np.abs(values).min(initial=np.inf)
    members = find_clusters(values, lowest, neighbours, two_tailed=True, offset=0.0).labels
    labels = np.zeros(len(statistic), np.int32)
    labels[points] = members
    peaks = _find_peaks(values, members, local, min_distance_mm)
    at = points[peaks]
    ids, positions = labels[at], local.coordinates()[peaks]
    shown = {f"peak_{axis}": positions[:, i].round(3) for i, axis in enumerate("xyz")}
    shown |= {name: np.asarray(values)[at] for name, values in maps.items()}
    signs = np.where(statistic[at] > 0, "positive", "negative")
    rank = np.arange(len(ids)) - np.searchsorted(ids, ids) + 1
    listed = pd.DataFrame({"cluster_id": ids, "peak": rank, **shown, "sign": signs})
    # One row a cluster, with the values of its highest peak.
    ids, main = np.unique(ids, return_index=True)
    sizes = np.bincount(labels)[ids]
    weighted = local.coordinates() * np.abs(values)[:, None]
    totals = [np.bincount(members, column)[ids] for column in (*weighted.T, np.abs(values))]
    clusters = pd.DataFrame(
        {
            "cluster_id": ids,
            "sign": signs[main],
            "n_voxels": sizes,
            "volume_mm3": np.round(sizes * geometry.voxel_volume_mm3, 3),
            **{f"centre_{axis}": (totals[i] / totals[3]).round(3) for i, axis in enumerate("xyz")},
            **{name: values[main] for name, values in shown.items()},
        }
    )
    for name, measure in (measures or {}).items():
        clusters[name] = [measure(np.flatnonzero(labels == i)) for i in ids]
    return ClusterTable(clusters, listed, labels)


def describe_columns(frame: pd.DataFrame, more: Descriptions | None = None) -> dict[str, Mapping[str, Any]]:
    """Return the descriptions of a table's columns, for its JSON sidecar; ``more`` adds to ``COLUMNS``."""
    known = {**COLUMNS, **(more or {})}
    return {name: known[name] for name in frame.columns if name in known}


def _subset(geometry: Geometry, points: Labels) -> Geometry:
    """Return the geometry of some of the points (in ascending order)."""
    chosen = np.zeros(geometry.n_points, bool)
    chosen[points] = True
    return Geometry(geometry.volume(chosen, fill=False), geometry.affine)


def _find_peaks(values: Map, members: Labels, geometry: Geometry, min_distance_mm: float) -> Labels:
    """Return the indices of the peaks, by cluster, then by height.

    A plateau is one peak: its point nearest to its centre.
    """
    height = np.abs(values)
    neighbours = geometry.neighbours(26)
    same = (neighbours >= 0) & (members[neighbours] == members[:, None])
    highest = np.where(same, height[neighbours], -np.inf).max(axis=1, initial=-np.inf)
    # Touching points of equal height form a plateau; it is a peak when nothing around it is higher.
    kinds = np.unique(members + 1j * height, return_inverse=True)[1] + 1
    plateau = label_clusters(kinds, neighbours)
    above = np.full(plateau.max(initial=0) + 1, -np.inf)
    np.maximum.at(above, plateau, highest)
    candidates = np.flatnonzero(above[plateau] <= height)
    positions = geometry.coordinates()
    single = [_middle(group, positions) for group in _split(candidates, plateau[candidates])]
    ordered = np.array(sorted(single, key=lambda i: (members[i], -height[i], i)), dtype=int)
    return _thin_out(ordered, members, positions, min_distance_mm)


def _split(items: Labels, keys: Labels) -> Iterator[Labels]:
    """Yield the items of each key."""
    order = np.argsort(keys, kind="stable")
    if len(order):
        yield from np.split(items[order], np.flatnonzero(np.diff(keys[order])) + 1)


def _middle(points: Labels, positions: Matrix) -> int:
    """Return the point nearest to the centre of some points."""
    distance = np.linalg.norm(positions[points] - positions[points].mean(axis=0), axis=1)
    # Rounding keeps the choice among equally near points independent of the last bit.
    return int(points[np.argmin(distance.round(6))])


def _thin_out(peaks: Labels, members: Labels, positions: Matrix, min_distance_mm: float) -> Labels:
    """Return the peaks without those too near to a higher one of their cluster that stays."""
    kept: list[int] = []
    for group in _split(peaks, members[peaks]):
        stay: list[int] = []
        for peak in group:
            distance = np.linalg.norm(positions[stay] - positions[peak], axis=1)
            if np.all(distance >= min_distance_mm):
                stay.append(int(peak))
        kept.extend(stay)
    return np.array(kept, dtype=int)
