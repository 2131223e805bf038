"""Threshold-free cluster enhancement (Smith & Nichols 2009), by the exact integral."""

import numpy as np

from bidsapp.inference.kernels import enhance_sweep
from bidsapp.inference.statistics.statistic import Statistic
from bidsapp.inference.sweep import largest_enhanced


def maxima(batch, space):
    """Return the largest enhanced value of each map."""
    return largest_enhanced(
        batch.maps, space.tfce_table, space.size_powers, space.tfce_powers[1], space.two_tailed
    )


def enhance(statistic, clusters, space):
    """Return the enhanced map, with the sign of the statistic; 0 where the statistic is of no tail."""
    values = np.nan_to_num(statistic, nan=0.0, posinf=np.inf, neginf=-np.inf)
    if not space.two_tailed:
        values = np.maximum(values, 0.0)
    order = np.argsort(-np.abs(values), kind="stable")
    order = order[: np.count_nonzero(values)]
    return np.sign(values) * enhance_sweep(values, order, space.tfce_neighbours, *space.tfce_powers)


TFCE = Statistic("tfce", "threshold-free cluster enhancement", "maxTFCE", "maps", maxima, enhance)
