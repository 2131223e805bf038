"""Ordinary least squares at the group level: y = X b + e, one variance for all inputs.

t = c b / sqrt(s2 c (X'X)^- c'), F = b'C' (C (X'X)^- C')^-1 C b / (q s2).
"""

from dataclasses import dataclass, field

import numpy as np

from bidsapp.records.arrays import Map, Maps, Mask, Matrices, Matrix
from bidsapp.records.maps import GroupDesign
from bidsapp.stats.linear import find_rank, invert_gram, sum_squares, unless_perfect


@dataclass(frozen=True, slots=True)
class Fit:
    """What an estimator found for one contrast, before it is turned into z and p.

    ``effect`` has shape (n_rows, n_voxels), ``covariance`` (n_rows, n_rows, n_voxels) is that of the
    effect; ``statistic`` and ``dof`` have shape (n_voxels,) (``dof`` may be a number).
    """

    effect: Maps
    covariance: Matrices
    statistic: Map
    dof: float | Map
    maps: dict[str, Map] = field(default_factory=dict)


def make_fit(
    test: str, effect: Maps, covariance: Matrices, dof: float | Map, maps: dict[str, Map] | None = None
) -> Fit:
    """Return the Fit of an effect and its covariance: t of one row, F of more."""
    statistic = effect[0] / np.sqrt(covariance[0, 0]) if test == "t" else f_from(effect, covariance)
    return Fit(effect, covariance, statistic, dof, maps or {})


def fit_ols(effects: Maps, variances: Maps | None, design: GroupDesign) -> list[Fit]:
    """Return the least-squares Fit of every contrast.

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_voxels)
        Without NaN.
    variances : ignored
    design : GroupDesign
        Its contrasts are estimable and of full row rank.

    Returns
    -------
    list of Fit
        NaN where the residuals are zero. Map of t contrasts: unit_error, the standard error for residuals of
        variance 1.
    """
    coefficients, residual_variance, inverse = solve_ols(effects, design.matrix)
    dof = len(effects) - find_rank(design.matrix)
    fits = []
    for contrast in design.contrasts:
        weights = np.atleast_2d(contrast.weights)
        effect = weights @ coefficients
        unscaled = weights @ inverse @ weights.T
        covariance = unscaled[:, :, None] * residual_variance
        if contrast.test == "t":
            maps = {"unit_error": np.sqrt(unscaled[0, 0])}
            fits.append(make_fit("t", effect, covariance, dof, maps))
            continue
        # One matrix for all voxels: solved once.
        wald = np.einsum("rv,rv->v", effect, np.linalg.solve(unscaled, effect))
        fits.append(Fit(effect, covariance, wald / (len(effect) * residual_variance), dof))
    return fits


def solve_ols(effects: Maps, matrix: Matrix) -> tuple[Maps, Map, Matrix]:
    """Return the coefficients (n_columns, n_voxels), the residual variance (n_voxels,) and (X'X)^-.

    The residual variance is NaN where the model fits perfectly, or has as many columns as inputs.
    """
    inverse = invert_gram(matrix)
    coefficients = inverse @ (matrix.T @ effects)
    residuals = effects - matrix @ coefficients
    dof = len(effects) - find_rank(matrix)
    squares = unless_perfect(sum_squares(residuals), sum_squares(effects))
    return coefficients, squares / (dof if dof > 0 else np.nan), inverse


def f_from(effect: Maps, covariance: Matrices) -> Map:
    """Return F, shape (n_voxels,): the Wald statistic over its number of rows.

    NaN where the covariance is, or is singular.
    """
    known: Mask = np.all(np.isfinite(covariance), axis=(0, 1))
    known[known] = np.linalg.slogdet(np.moveaxis(covariance[:, :, known], -1, 0))[0] > 0
    wald = np.full(effect.shape[1], np.nan)
    solved = np.linalg.solve(np.moveaxis(covariance[:, :, known], -1, 0), effect[:, known].T[:, :, None])
    wald[known] = np.einsum("rv,vr->v", effect[:, known], solved[:, :, 0])
    return wald / len(effect)
