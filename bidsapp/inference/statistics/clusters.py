"""Clusters of a map: labels, sizes, masses."""

from dataclasses import dataclass

import numpy as np

from bidsapp.inference.fast.kernels import label_components
from bidsapp.records.arrays import Labels, Map, Mask, Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Clusters numbered from the largest (ties by height, then by first point), both signs together.

    Attributes
    ----------
    labels : ndarray of int32, shape (n_points,)
        0 outside clusters.
    sign, size, mass, peak : ndarray, shape (n_clusters,)
        ``peak`` is the point with the largest absolute value.
    """

    labels: Labels
    sign: Labels
    size: Labels
    mass: Numbers
    peak: Labels


def label_clusters(kinds: Labels | Mask, neighbours: Labels) -> Labels:
    """Return the cluster of each point, numbered from 1 by their first point; 0 where its kind is."""
    return label_components(np.ascontiguousarray(kinds, np.int32), neighbours)


def find_clusters(
    statistic: Map, cutoff: float, neighbours: Labels, *, two_tailed: bool, offset: float
) -> Clusters:
    """Return the clusters of the points at or above a cutoff, and at or below minus it if two-tailed.

    Parameters
    ----------
    statistic : ndarray, shape (n_points,)
        NaN is below every cutoff.
    offset : float
        Taken off every absolute value before it is added to the mass of its cluster.
    """
    statistic = np.nan_to_num(statistic, nan=0.0, posinf=np.inf, neginf=-np.inf)
    signs = np.where(statistic >= cutoff, 1, np.where(two_tailed & (statistic <= -cutoff), -1, 0))
    return _from_the_largest(label_clusters(signs, neighbours), statistic, offset)


def _from_the_largest(labels: Labels, statistic: Map, offset: float) -> Clusters:
    points = np.flatnonzero(labels)
    raw, heights = labels[points] - 1, np.abs(statistic[points])
    n_clusters = int(raw.max(initial=-1)) + 1
    size = np.bincount(raw, minlength=n_clusters)
    # Sums of weights are no counts, as the types of numpy have it.
    mass: Numbers = np.bincount(raw, heights - offset, minlength=n_clusters)  # type: ignore[assignment]
    by_height = np.lexsort((points, -heights, raw))
    first = np.searchsorted(raw[by_height], np.arange(n_clusters))
    peak = points[by_height[first]] if n_clusters else np.zeros(0, int)
    order = np.lexsort((np.arange(n_clusters), -np.abs(statistic[peak]), -size))
    rank = np.empty(n_clusters, np.int32)
    rank[order] = np.arange(1, n_clusters + 1)
    numbered = np.zeros(len(statistic), np.int32)
    numbered[points] = rank[raw]
    return Clusters(
        numbered, np.sign(statistic[peak[order]]).astype(int), size[order], mass[order], peak[order]
    )
