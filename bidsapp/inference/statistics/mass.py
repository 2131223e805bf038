"""The mass of a cluster: the sum of its statistic, above the threshold or whole.

``fast.kernels.largest_clusters`` sums it in shuffles, ``clusters.find_clusters`` in the observed map.
"""

import numpy as np

from bidsapp.inference.statistics.clusters import Clusters
from bidsapp.inference.statistics.statistic import Batch, Space, Statistic
from bidsapp.records.arrays import Map, Numbers
from bidsapp.vocabulary.statistics import STATISTICS


def maxima(batch: Batch, space: Space) -> Numbers:
    """Return the mass of the heaviest cluster of each map, which the engine summed."""
    return batch.clusters[:, 1]


def enhance(statistic: Map, clusters: Clusters, space: Space) -> Map:
    """Return the mass of each point's cluster, with the sign of the cluster."""
    return np.append(0.0, clusters.mass * clusters.sign)[clusters.labels]


MASS = Statistic(STATISTICS["mass"], maxima, enhance)
