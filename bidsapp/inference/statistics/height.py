"""The height of a point."""

from bidsapp.inference.statistics.statistic import Statistic
from bidsapp.vocabulary.statistics import STATISTICS


def maxima(batch, space):
    """Return the highest point of each map."""
    return batch.height


def enhance(statistic, clusters, space):
    """Return the map itself."""
    return statistic


HEIGHT = Statistic(STATISTICS["height"], maxima, enhance)
