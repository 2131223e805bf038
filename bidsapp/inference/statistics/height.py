"""The height of a point."""

from bidsapp.inference.statistics.clusters import Clusters
from bidsapp.inference.statistics.statistic import Batch, Space, Statistic
from bidsapp.records.arrays import Map, Numbers
from bidsapp.vocabulary.statistics import STATISTICS


def maxima(batch: Batch, space: Space) -> Numbers:
    """Return the highest point of each map."""
    return batch.height


def enhance(statistic: Map, clusters: Clusters, space: Space) -> Map:
    """Return the map itself."""
    return statistic


HEIGHT = Statistic(STATISTICS["height"], maxima, enhance)
