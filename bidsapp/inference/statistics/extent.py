"""The number of points of a cluster."""

import numpy as np

from bidsapp.inference.statistics.clusters import Clusters
from bidsapp.inference.statistics.statistic import Batch, Space, Statistic
from bidsapp.records.arrays import Map, Numbers
from bidsapp.vocabulary.statistics import STATISTICS


def maxima(batch: Batch, space: Space) -> Numbers:
    """Return the size of the largest cluster of each map."""
    return batch.clusters[:, 0]


def enhance(statistic: Map, clusters: Clusters, space: Space) -> Map:
    """Return the size of each point's cluster, with the sign of the cluster."""
    return np.append(0, clusters.size * clusters.sign)[clusters.labels].astype(float)


EXTENT = Statistic(STATISTICS["extent"], maxima, enhance)
