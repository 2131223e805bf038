"""Standardised effect sizes of t and F contrasts, with confidence intervals from the noncentral t.

d = t sqrt(c (X'X)^- c'), g = J d (Hedges 1981), partial R2. The interval of d
holds the noncentralities that make the observed t their 2.5th or 97.5th percentile (Steiger and Fouladi
1997), that of g is J times it, as in R's effectsize.
"""

from dataclasses import dataclass

import numpy as np
from scipy import interpolate, special

from bidsapp.records.arrays import Map

# Of the intervals that are reported, as is usual.
CONFIDENCE = 0.95
# Nodes of the curve of confidence limits over t, evenly spaced on asinh(t); the spline through them is
# within 1e-6 of the limits themselves (tested).
N_NODES = 401


@dataclass(frozen=True, slots=True)
class EffectSize:
    """Standardised effects, each of shape (n_voxels,): Cohen's d, Hedges' g and the interval of g."""

    d: Map
    g: Map
    low: Map
    high: Map


def standardise(t: Map, dof: Map, factor: Map) -> EffectSize:
    """Return the EffectSize of a t contrast of a least-squares model with one variance.

    d is the effect over the residual standard deviation: for a difference of groups the weights must add to
    1 on each side, and the slope of a covariate is one for each unit of it.

    Parameters
    ----------
    t, dof : ndarray, shape (n_voxels,)
    factor : ndarray, shape (n_voxels,)
        The standard error for a residual standard deviation of 1, sqrt(c (X'X)^- c') of the voxel's inputs.
    """
    d = t * factor
    correction = correct_small_samples(dof)
    low, high = noncentral_limits(t, dof)
    return EffectSize(d, d * correction, low * factor * correction, high * factor * correction)


def correct_small_samples(dof: Map) -> Map:
    """Return Hedges' J of degrees of freedom (Hedges 1981, equation 6e)."""
    dof = np.asarray(dof, float)
    return np.exp(special.gammaln(dof / 2) - special.gammaln((dof - 1) / 2)) / np.sqrt(dof / 2)


def noncentral_limits(t: Map, dof: Map) -> tuple[Map, Map]:
    """Return the lower and upper confidence limit of the noncentrality, each of the shape of t.

    They are computed on a grid of t for each value of dof, and interpolated.
    """
    low, high = np.full(np.shape(t), np.nan), np.full(np.shape(t), np.nan)
    for value in np.unique(dof[np.isfinite(dof)]):
        place = (dof == value) & np.isfinite(t)
        for limits, level in ((low, 0.5 + CONFIDENCE / 2), (high, 0.5 - CONFIDENCE / 2)):
            limits[place] = _limits(t[place], value, level)
    return low, high


def partial_r2(statistic: Map, dof_numerator: int, dof: Map) -> Map:
    """Return the share of the variance left by the other columns that the contrast explains.

    ``statistic`` is F, or t squared with ``dof_numerator`` 1.
    """
    explained = statistic * dof_numerator
    return explained / (explained + dof)


def _limits(t: Map, dof: float, level: float) -> Map:
    if len(t) == 0:
        return t
    if len(t) <= N_NODES or np.ptp(t) == 0:
        return invert_noncentral(t, dof, level)
    nodes = np.sinh(np.linspace(np.arcsinh(t.min()), np.arcsinh(t.max()), N_NODES))
    nodes[[0, -1]] = t.min(), t.max()
    return interpolate.CubicSpline(np.arcsinh(nodes), invert_noncentral(nodes, dof, level))(np.arcsinh(t))


def invert_noncentral(t: Map, dof: Map | float, level: float) -> Map:
    """Return the noncentrality at which P(T < t) is level, by bisection."""
    width = 12.0 + 12.0 * np.abs(t) / np.sqrt(2.0 * dof)
    low, high = t - width, t + width
    # Each halves the interval: after 70 its width is below the last digit of a double.
    for _ in range(70):
        middle = 0.5 * (low + high)
        # P(T < t) falls as the noncentrality grows. Far from t it is 0 or 1, and scipy sometimes NaN.
        p = special.nctdtr(dof, middle, t)
        above = np.where(np.isnan(p), middle < t, p > level)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    limit: Map = 0.5 * (low + high)
    return limit
