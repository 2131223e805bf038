"""What a statistic of a map is."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bidsapp.inference.statistics.clusters import Clusters
from bidsapp.records.arrays import Labels, Map, Maps, Matrix, Numbers
from bidsapp.vocabulary.statistics import StatisticWords


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Where the points are and what counts as a cluster.

    Attributes
    ----------
    neighbours, tfce_neighbours : ndarray of int32, shape (n_points, k)
    cutoff : float
        Cluster-forming threshold, on the scale that clusters are formed on.
    statistic_cutoff : float
        The same in units of the statistic of a voxel.
    scale : function
        From the statistic of a voxel to the scale of clusters and TFCE.
    offset : float
        Taken off each height before it is added to a cluster's mass.
    two_tailed : bool
    tfce_powers : tuple of float
        Of extent and of height.
    tfce_steps : int
        0: the exact integral.
    """

    neighbours: Labels
    tfce_neighbours: Labels
    cutoff: float
    statistic_cutoff: float
    scale: Callable[[Maps], Maps]
    offset: float
    two_tailed: bool
    tfce_powers: tuple[float, float]
    tfce_steps: int
    tfce_table: Labels = field(init=False)
    size_powers: Numbers = field(init=False)

    def __post_init__(self) -> None:
        """Prepare what every sweep reads: neighbours without negative numbers, sizes to their power."""
        n_points = len(self.tfce_neighbours)
        table = np.where(self.tfce_neighbours < 0, n_points, self.tfce_neighbours).astype(np.uint32)
        object.__setattr__(self, "tfce_table", table)
        object.__setattr__(self, "size_powers", np.arange(n_points + 1.0) ** self.tfce_powers[0])


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What the engine hands to the statistics of some shuffles.

    Attributes
    ----------
    height : ndarray, shape (n_shuffles,)
        The largest value of each map.
    clusters : ndarray, shape (n_shuffles, 2)
        The largest size and the largest mass (``fast.kernels.find_cluster_maxima``); without rows where no
        statistic needs them.
    maps : ndarray, shape (n_shuffles, n_points)
        Whole maps; negative values are of the other tail. Without rows where no statistic needs them.
    """

    height: Numbers
    clusters: Matrix = field(default_factory=lambda: np.empty((0, 2)))
    maps: Maps = field(default_factory=lambda: np.empty((0, 0)))


@dataclass(frozen=True, slots=True)
class Statistic:
    """One statistic of a map.

    Attributes
    ----------
    words : StatisticWords
        Its row of the vocabulary; ``words.needs`` is the field of ``Batch`` that it reads.
    maxima : function
        (Batch, Space) -> ndarray, shape (n_shuffles,): the maximum of each map.
    enhance : function
        (map, Clusters, Space) -> ndarray, shape (n_points,): the observed map, signed.
    """

    words: StatisticWords
    maxima: Callable[[Batch, Space], Numbers]
    enhance: Callable[[Map, Clusters, Space], Map]
