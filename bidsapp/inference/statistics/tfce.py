"""Threshold-free cluster enhancement (Smith & Nichols 2009) by the exact integral, or on PALM's grid."""

import numpy as np

from bidsapp.inference.fast.kernels import enhance_on_grid, enhance_sweep
from bidsapp.inference.fast.sweep import largest_enhanced
from bidsapp.inference.statistics.clusters import Clusters
from bidsapp.inference.statistics.statistic import Batch, Space, Statistic
from bidsapp.records.arrays import Map, Numbers
from bidsapp.vocabulary.statistics import STATISTICS


def maxima(batch: Batch, space: Space) -> Numbers:
    """Return the largest enhanced value of each map."""
    if space.tfce_steps:
        return np.array([np.abs(_enhance(one, space)).max() for one in batch.maps])
    return largest_enhanced(
        batch.maps, space.tfce_table, space.size_powers, space.tfce_powers[1], space.two_tailed
    )


def enhance(statistic: Map, clusters: Clusters, space: Space) -> Map:
    """Return the enhanced map, with the sign of the statistic; 0 where the statistic is of no tail."""
    return _enhance(statistic, space)


def _enhance(statistic: Map, space: Space) -> Map:
    values = np.nan_to_num(statistic, nan=0.0, posinf=np.inf, neginf=-np.inf)
    if not space.two_tailed:
        values = np.maximum(values, 0.0)
    if space.tfce_steps:
        steps = (space.tfce_neighbours, space.tfce_steps, *space.tfce_powers)
        return enhance_on_grid(np.maximum(values, 0.0), *steps) - enhance_on_grid(
            np.maximum(-values, 0.0), *steps
        )
    order = np.argsort(-np.abs(values), kind="stable")
    order = order[: np.count_nonzero(values)]
    return np.sign(values) * enhance_sweep(values, order, space.tfce_neighbours, *space.tfce_powers)


TFCE = Statistic(STATISTICS["tfce"], maxima, enhance)
