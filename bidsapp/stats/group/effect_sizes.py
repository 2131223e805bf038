"""Standardised effect sizes of t and F contrasts, with confidence intervals from the noncentral t.

d = t sqrt(c (X'X)^- c'), g = J d (Hedges 1981), partial R2. The interval of d
holds the noncentralities that make the observed t their 2.5th or 97.5th percentile (Steiger and Fouladi
1997), that of g is J times it, as in R's effectsize.
"""

from dataclasses import dataclass

import numpy as np
from scipy import interpolate, special
from scipy.optimize import elementwise

from bidsapp.records.arrays import Map

# Of the intervals that are reported, as is usual.
CONFIDENCE = 0.95
# Nodes of the curve of confidence limits over t, evenly spaced on asinh(t); the spline through them is
# within 1e-6 of the limits themselves (tested).
N_NODES = 401
# Beyond this t, of either sign, an expansion in 1/t takes the place of scipy's noncentral t: up to 2,000
# degrees of freedom within 1e-7 of it (tested).
LARGE = 1000.0


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
    """Return the noncentrality at which P(T < t) is level.

    Chandrupatla's method finds it to the last digits of a double, with 15 values of scipy's distribution,
    which far from zero takes time that grows with the noncentrality, and loses digits. There the expansion
    in 1/t takes its place.
    """
    t, dof = np.broadcast_arrays(np.asarray(t, float), np.asarray(dof, float))
    found = np.empty(t.shape)
    far = np.abs(t) > LARGE
    found[far] = _expand(t[far], dof[far], level)
    t, dof = t[~far], dof[~far]
    width = 12.0 + 12.0 * np.abs(t) / np.sqrt(2.0 * dof)
    roots = elementwise.find_root(
        _excess,
        (t - width, t + width),
        args=(t, dof, level),
        tolerances={"xatol": 0.0, "xrtol": 1e-14, "fatol": 0.0, "frtol": 0.0},
    )
    found[~far] = roots.x
    return found


def _excess(noncentrality: Map, t: Map, dof: Map, level: Map) -> Map:
    """Return P(T < t) - level, which falls as the noncentrality grows."""
    p = special.nctdtr(dof, noncentrality, t)
    # Far from t it is 0 or 1, and scipy sometimes NaN.
    below: Map = np.where(np.isnan(p), noncentrality < t, p)
    return below - level


def _expand(t: Map, dof: Map, level: float) -> Map:
    """Return the noncentrality at which P(T < t) is level, for large t.

    T = (Z + noncentrality) / S, S the chi of dof over its root. Without Z the ratio noncentrality / t is a
    quantile s of S; the variance of Z moves it by (log of the density of S)' / (2 t^2).
    """
    s = np.sqrt(special.chdtri(dof, np.where(t > 0, level, 1.0 - level)) / dof)
    expanded: Map = t * (s - ((dof - 1.0) / s - dof * s) / (2.0 * t**2))
    return expanded
