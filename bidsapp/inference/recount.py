"""How much of another map survives the cut-off that was found for a contrast. Nothing is shuffled again."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from bidsapp.inference.fast.sweep import count_enhanced
from bidsapp.inference.pvalues import TIE
from bidsapp.inference.statistics import STATISTICS
from bidsapp.inference.statistics.clusters import find_clusters
from bidsapp.inference.statistics.statistic import Space
from bidsapp.records.arrays import Map
from bidsapp.records.maps import Geometry, Inference, Threshold
from bidsapp.vocabulary.thresholds import THRESHOLDS

# The number of points of a t or F map, (n_points,), that survive; NaN does not.
Counter: TypeAlias = Callable[[Map], int]
# What a cut-off of the statistic of a voxel is a value of.
HEIGHTS = ("t", "F")


def make_counter(
    threshold: Threshold, geometry: Geometry, tail: str, inference: Inference | None
) -> tuple[Counter | None, str]:
    """Return what counts the points of a map that survive a cut-off; None, and why, if nothing can.

    Parameters
    ----------
    threshold : Threshold
        Of a t or F map that was not fitted with variance groups.
    tail : {"two", "positive", "negative"}
        Of t; F has the upper tail.
    inference : Inference or None
        The shuffles that the cut-off is from.
    """
    if threshold.reason or not np.isfinite(threshold.cutoff):
        return None, "no value of its statistic survives, so there is no cut-off to hold other maps against"
    if threshold.scale in HEIGHTS:
        tail = "positive" if threshold.scale == "F" else tail
        return lambda statistic: _count(statistic, tail, threshold.cutoff), ""
    name = THRESHOLDS[threshold.name].statistic
    if name is None or inference is None or inference.test != "t" or inference.options.scale != "t":
        return None, "this threshold has no cut-off of a t map, or of its clusters by t"
    space = _make_space(name, geometry, inference)
    sides = {"two": (1, -1), "positive": (1,), "negative": (-1,)}[tail]

    def count(statistic: Map) -> int:
        known = np.where(np.isfinite(statistic), statistic, 0.0)
        return sum(_count_enhanced(name, side * known, space, threshold.cutoff) for side in sides)

    return count, ""


def _count(statistic: Map, tail: str, cutoff: float) -> int:
    values = {"two": np.abs(statistic), "positive": statistic, "negative": -statistic}[tail]
    return int(np.count_nonzero(values >= cutoff * (1 - TIE)))


def _make_space(name: str, geometry: Geometry, inference: Inference) -> Space:
    """Return the space of one tail of t for a statistic, formed at the cut-off of the shuffles."""
    options = inference.options
    whole = STATISTICS[name].words.needs == "maps"
    neighbours = geometry.neighbours(options.tfce_connectivity if whole else options.connectivity)
    forming = np.inf if inference.forming is None else inference.forming
    return Space(
        neighbours=neighbours,
        tfce_neighbours=neighbours,
        cutoff=forming,
        statistic_cutoff=forming,
        scale=np.asarray,
        offset=forming if options.mass == "excess" else 0.0,
        two_tailed=False,
        tfce_powers=options.tfce_powers,
        tfce_steps=options.tfce_steps,
    )


def _count_enhanced(name: str, values: Map, space: Space, cutoff: float) -> int:
    """Return how many points of the upper tail have an enhanced value of at least a cut-off."""
    lowest = cutoff * (1 - TIE)
    if name == "tfce" and not space.tfce_steps:
        return count_enhanced(values, space.tfce_table, space.size_powers, space.tfce_powers[1], lowest)
    clusters = find_clusters(values, space.cutoff, space.neighbours, two_tailed=False, offset=space.offset)
    return int(np.count_nonzero(STATISTICS[name].enhance(values, clusters, space) >= lowest))
