"""The smallest effect that a t test finds with a given power, from its standard error and its cut-off.

The t of an effect with standard error s has the noncentrality effect / s (Cohen 1988); the smallest effect is
that whose t lies beyond the cut-off with the power. It is said of a study as it was done, its sample and its
noise, and needs no guess of the effect: it is not the "observed power" of an effect that was found (Hoenig
and Heisey 2001).
"""

from collections.abc import Callable

import numpy as np
from scipy import interpolate, special

from bidsapp.records.arrays import Map
from bidsapp.stats.group.effect_sizes import invert_noncentral

POWER = 0.8
# Nodes of the curve over degrees of freedom, evenly spaced on their logarithm; the spline through them is
# within 1e-6 of the noncentrality itself (tested).
N_NODES = 129


def find_detectable(variance: Map, dof: Map, cutoff: Callable[[Map], Map]) -> Map:
    """Return the smallest effect that is found with a power of `POWER`, in each voxel.

    The other tail of a two-sided test is left aside: at cut-offs of maps it adds nothing to the power.

    Parameters
    ----------
    variance : ndarray, shape (n_voxels,)
        Sampling variance of the effect.
    dof : ndarray, shape (n_voxels,)
        Infinite where the variance is known.
    cutoff : function
        From degrees of freedom to the t that a voxel must reach with them.

    Returns
    -------
    ndarray, shape (n_voxels,)
        In the unit of the effect; NaN where variance or dof are unknown, there is no variance, or less than
        one degree of freedom, with which nothing is ever found.
    """
    known = np.isfinite(variance) & (variance > 0) & (dof >= 1)
    found = np.full(np.shape(variance), np.nan)
    values, place = np.unique(dof[known], return_inverse=True)
    if len(values) <= N_NODES:
        noncentrality = find_noncentrality(cutoff(values), values)[place]
    else:
        # It is a smooth function of dof: at nodes, and between them by a spline.
        finite = values[np.isfinite(values)]
        nodes = np.geomspace(finite[0], finite[-1], N_NODES)
        curve = interpolate.CubicSpline(np.log(nodes), np.log(find_noncentrality(cutoff(nodes), nodes)))
        noncentrality = np.exp(curve(np.log(np.clip(values, nodes[0], nodes[-1]))))
        normal = np.isinf(values)
        noncentrality[normal] = find_noncentrality(cutoff(values[normal]), values[normal])
        noncentrality = noncentrality[place]
    found[known] = noncentrality * np.sqrt(variance[known])
    return found


def find_noncentrality(cutoff: Map, dof: Map) -> Map:
    """Return the noncentrality at which P(T > cutoff) is `POWER`.

    Parameters
    ----------
    cutoff, dof : ndarray, shape (n,)
    """
    cutoff, dof = np.broadcast_arrays(np.asarray(cutoff, float), np.asarray(dof, float))
    found = cutoff + special.ndtri(POWER)
    known = np.isfinite(dof) & np.isfinite(cutoff)
    found[known] = invert_noncentral(cutoff[known], dof[known], 1 - POWER)
    return found
