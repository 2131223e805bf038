"""Robust regression at the group level: Huber's M-estimator, which gives outlying inputs less weight.

Iterated weighted least squares with the scale from the median absolute residual (Huber 1981, section 7.8;
Wager et al. 2005). Standard errors are Huber's equation 6.5 ("H1" in statsmodels' RLM). Inputs that lose
weight say little of the error: the degrees of freedom are the inputs of full weight less the rank, and it is
these that the sum of squares is divided by, not a share of N - p, which matters with few inputs.
"""

import numpy as np

from bidsapp.records.arrays import Map, Maps, Matrix
from bidsapp.records.maps import GroupDesign
from bidsapp.stats.group.ols import Fit, make_fit
from bidsapp.stats.linear import PERFECT_FIT, make_basis, solve_weighted

# 95 % efficiency where the errors are normal (Huber 1981).
HUBER_LIMIT = 1.345
# Median absolute deviation of a standard normal variable.
NORMAL_MAD = 0.674489750196082
# Coefficients stand still when none moves by more than this part of the scale; where they never do there is
# no result.
MAX_ITERATIONS = 200
TOLERANCE = 1e-9


def fit_huber(effects: Maps, variances: Maps | None, design: GroupDesign) -> list[Fit]:
    """Return the Fit of every contrast by Huber's M-estimator.

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_voxels)
        Without NaN.
    variances : ignored
    design : GroupDesign

    Returns
    -------
    list of Fit
        NaN where half of the residuals are zero, but for rounding. Map: robustweight, the smallest weight of
        an input.
    """
    basis, to_basis = make_basis(design.matrix)
    coefficients, scale, weights = _iterate(effects, basis)
    covariance, dof = _covariance(effects - basis @ coefficients, scale, basis.shape[1])
    fits = []
    for contrast in design.contrasts:
        rows = np.atleast_2d(contrast.weights) @ to_basis
        effect = rows @ coefficients
        carried = (rows @ rows.T)[:, :, None] * covariance
        fits.append(make_fit(contrast.test, effect, carried, dof, {"robustweight": weights.min(axis=0)}))
    return fits


def _iterate(effects: Maps, basis: Matrix) -> tuple[Maps, Map, Maps]:
    """Return coefficients, scale and weights once they stand still; voxels that do are not iterated on."""
    coefficients = basis.T @ effects
    scale = np.full(effects.shape[1], np.nan)
    weights = np.ones(effects.shape)
    active = np.arange(effects.shape[1])
    rounding = np.sqrt(PERFECT_FIT * np.square(effects).mean(axis=0))
    for _ in range(MAX_ITERATIONS):
        values = effects[:, active]
        residuals = np.abs(values - basis @ coefficients[:, active])
        size = np.median(residuals, axis=0) / NORMAL_MAD
        scale[active] = np.where(size > rounding[active], size, np.nan)
        limit = HUBER_LIMIT * scale[active]
        weights[:, active] = np.minimum(1.0, limit / np.maximum(residuals, limit))
        found = solve_weighted(basis, values, weights[:, active])[0]
        moved = np.abs(found - coefficients[:, active]).max(axis=0)
        coefficients[:, active] = found
        active = active[moved > TOLERANCE * scale[active]]
        if not len(active):
            break
    coefficients[:, active] = np.nan
    return coefficients, scale, weights


def _covariance(residuals: Maps, scale: Map, rank: int) -> tuple[Map, Map]:
    """Return the variance by which the inverse of X'X is multiplied, and its degrees of freedom.

    Huber 1981, equation 6.5, with (inputs of full weight - rank) in place of their share of (N - rank).
    """
    limit = HUBER_LIMIT * scale
    clipped = np.clip(residuals, -limit, limit)
    inside = np.abs(residuals) <= limit
    share = inside.mean(axis=0)
    dof = np.maximum(inside.sum(axis=0) - rank, 1.0)
    correction = 1.0 + rank / len(residuals) * inside.var(axis=0) / share**2
    return correction**2 * np.square(clipped).sum(axis=0) / dof / share, dof
