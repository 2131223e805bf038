"""Tests that let groups of inputs have different variances: Aspin-Welch v and Winkler's G.

statistics.md, section 6.C (Winkler et al. 2014, appendix on the G statistic; Welch 1951). The effect is the
least-squares one; only its standard error is weighted by group. With two groups and no covariate v is
Welch's t, degrees of freedom included.
"""

import numpy as np

from bidsapp.stats.group_glm import PERFECT_FIT, Fit
from bidsapp.stats.weighted_solve import make_basis


def fit_variance_groups(effects, variances, design):
    """Return the Fit of every contrast: v for t contrasts, G for F contrasts.

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_voxels)
        Without NaN.
    variances : ignored
    design : GroupDesign
        With ``variance_groups``.

    Returns
    -------
    list of Fit
        NaN where a group has no residual variation, or as many columns of its own as inputs.
    """
    basis, to_basis = make_basis(design.matrix)
    coefficients = basis.T @ effects
    residuals = np.square(effects - basis @ coefficients)
    total = np.einsum("iv,iv->v", effects, effects)
    kept = 1.0 - np.einsum("ir,ir->i", basis, basis)
    gram, leftover, precision, sizes = [], [], [], []
    for group in np.unique(design.variance_groups):
        rows = design.variance_groups == group
        squares = residuals[rows].sum(axis=0)
        leftover.append(kept[rows].sum() if kept[rows].sum() > 1e-9 else np.nan)
        precision.append(leftover[-1] / np.where(squares > PERFECT_FIT * total, squares, np.nan))
        gram.append(basis[rows].T @ basis[rows])
        sizes.append(rows.sum())
    precision = np.array(precision)
    inverse = np.full((effects.shape[1], *gram[0].shape), np.nan)
    known = np.isfinite(precision).all(axis=0)
    inverse[known] = np.linalg.inv(np.einsum("gv,gij->vij", precision[:, known], np.array(gram)))
    spread = _spread(precision, np.array(sizes), np.array(leftover))
    return [_fit(contrast, to_basis, coefficients, (inverse, spread)) for contrast in design.contrasts]


def _spread(precision, sizes, leftover):
    """Return sum over groups of (1 - share of the group in tr W)^2 / sum of R_nn, shape (n_voxels,)."""
    mass = precision * sizes[:, None]
    return (np.square(1.0 - mass / mass.sum(axis=0)) / leftover[:, None]).sum(axis=0)


def _fit(contrast, to_basis, coefficients, found):
    inverse, spread = found
    rows = np.atleast_2d(contrast.weights) @ to_basis
    effect = rows @ coefficients
    covariance = np.einsum("ri,vij,sj->rsv", rows, inverse, rows, optimize=True)
    if contrast.test == "t":
        # 1 / spread is Welch-Satterthwaite's; PALM divides it by 3.
        return Fit(effect, covariance, effect[0] / np.sqrt(covariance[0, 0]), 1.0 / spread)
    return _fit_g(effect, covariance, spread)


def _fit_g(effect, covariance, spread):
    n_rows = len(effect)
    known = np.isfinite(covariance).all(axis=(0, 1))
    wald = np.full(effect.shape[1], np.nan)
    solved = np.linalg.solve(np.moveaxis(covariance[:, :, known], -1, 0), effect[:, known].T[:, :, None])
    wald[known] = np.einsum("rv,vr->v", effect[:, known], solved[:, :, 0])
    scale = 1.0 + 2.0 * (n_rows - 1) / (n_rows * (n_rows + 2)) * spread
    dof = 1.0 / spread if n_rows == 1 else n_rows * (n_rows + 2) / (3.0 * spread)
    return Fit(effect, covariance, wald / (scale * n_rows), dof)
