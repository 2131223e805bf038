"""Tests that let groups of inputs have different variances, and their degrees of freedom.

The effect is the least-squares one, a'y with a = c (X'X)^- X', and its variance the exact one of a linear
estimator, sum over groups g of s_g^2 times the squares of a in g; s_g^2 are the squared residuals of a group
over their expectation for a variance of 1. Tests follow Johansen (1980, Biometrika 67:85-92), which for one
row is Satterthwaite's and for means of groups Welch's (1951): with two groups and no covariate t is Welch's,
degrees of freedom included. Where groups share columns (a covariate, one mean) and differ in variance, the
least-squares effect goes with the residuals: a large t has a large error below it, and extremes are rarer
than t's. For one row the degrees of freedom allow for it (`find_dependence`).
"""

import numpy as np

from bidsapp.stats.group_glm import PERFECT_FIT, Fit, f_from, t_from
from bidsapp.stats.weighted_solve import make_basis

# Residual degrees of freedom, or squared weights against their sum, below this are rounding.
NOTHING = 1e-9
# Squared quantiles to the second order are z^2 (1 + (z^2 + 1) / 2 dof - c (z^2 - 1)): at z of .025 as with
# 1 / dof less this times c. More than a thousand degrees of freedom are a normal distribution.
AT_FIVE_PERCENT = 2.0 * (1.96**2 - 1.0) / (1.96**2 + 1.0)
SMALLEST_BOUND = 1e-3


def fit_variance_groups(effects, variances, design):
    """Return the Fit of every contrast.

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
        NaN where a group that the effect depends on has no residual variation, or as many columns of its own
        as inputs.
    """
    basis, to_basis = make_basis(design.matrix)
    index = np.unique(design.variance_groups, return_inverse=True)[1]
    freedom = find_freedom(basis, index)
    coefficients = basis.T @ effects
    squares = sum_by_group(np.square(effects - basis @ coefficients), index)
    total = np.einsum("iv,iv->v", effects, effects)
    known = (squares > PERFECT_FIT * total) & (freedom > NOTHING)[:, None]
    spread = np.where(known, squares, np.nan) / np.where(freedom > NOTHING, freedom, np.nan)[:, None]
    grams = np.stack([basis[index == group].T @ basis[index == group] for group in range(len(freedom))])
    fits = []
    for contrast in design.contrasts:
        rows = np.atleast_2d(contrast.weights) @ to_basis
        parts = np.einsum("ri,gij,sj->grs", rows, grams, rows)
        sizes = np.trace(parts, axis1=1, axis2=2)
        used = np.flatnonzero(sizes > NOTHING * sizes.sum())
        pieces = parts[used][..., None] * spread[used][:, None, None]
        # Relative to the variances themselves, whose errors are 1 / freedom then.
        errors = np.diag(1.0 / freedom[used])[..., None]
        covariance = pieces.sum(axis=0)
        bound = bound_error(covariance, pieces, errors)
        if len(rows) == 1:
            shares = pieces[:, 0, 0] / covariance[0, 0]
            dependence = find_dependence(basis, (rows @ basis.T)[0], index, (used, shares))
            bound = np.maximum(bound - AT_FIVE_PERCENT * dependence, SMALLEST_BOUND)
        fits.append(fit_with_bound(contrast.test, rows @ coefficients, covariance, bound))
    return fits


def find_freedom(basis, index):
    """Return the residual degrees of freedom of every group, the trace of its part of I - H, (n_groups,).

    Parameters
    ----------
    basis : ndarray, shape (n_inputs, rank)
        Orthonormal columns.
    index : ndarray of int, shape (n_inputs,)
        The group of each input, 0, 1, ...
    """
    return np.bincount(index, 1.0 - np.einsum("ir,ir->i", basis, basis))


def find_dependence(basis, estimator, index, shares):
    """Return the share of an effect's own squared error in its estimated variance, shape (n_voxels,).

    Residuals are e = b u + rest, with u = a'y the effect, b = M S a / a'S a, M = I - H and S the variances of
    the inputs; the estimate sum_g w_g |e_g|^2 has the part c u^2 with c = sum_g w_g |b_g|^2, and quantiles of
    t are smaller for it (as in Rothenberg 1988, Econometrica 56:997-1019). It is 0 where S a lies in the
    design, as with means of the groups.

    Parameters
    ----------
    basis : ndarray, shape (n_inputs, rank)
        Orthonormal columns.
    estimator : ndarray, shape (n_inputs,)
        a.
    index : ndarray of int, shape (n_inputs,)
    shares : tuple
        Groups that the effect depends on, (n,), and the share of each in its variance, (n, n_voxels).
    """
    used, parts = shares
    weights = np.zeros(len(basis))
    turned = []
    for group in used:
        rows = index == group
        own = np.where(rows, estimator, 0.0)
        size = own @ own
        turned.append((own - basis @ (basis.T @ own)) / size)
        weights[rows] = size / np.sum(1.0 - np.square(basis[rows]).sum(axis=1))
    turned = np.array(turned)
    products = (turned * weights) @ turned.T
    return np.einsum("gv,gh,hv->v", parts, products, parts)


def sum_by_group(values, index):
    """Return sums over the inputs of each group, shape (n_groups, n_voxels)."""
    return (index == np.arange(index.max() + 1)[:, None]).astype(float) @ values


def bound_error(covariance, pieces, errors):
    """Return A of Johansen (1980), shape (n_voxels,): 1 / dof of Satterthwaite for one row.

    Parameters
    ----------
    covariance : ndarray, shape (n_rows, n_rows, n_voxels)
        Of an effect, a function of variances that are estimated by group.
    pieces : ndarray, shape (n_groups, n_rows, n_rows, n_voxels)
        Its derivatives by the variance of each group.
    errors : ndarray, shape (n_groups, n_groups, n_voxels or 1)
        Half of the covariance of the estimated variances.
    """
    if len(covariance) == 1:
        shares = pieces[:, 0, 0] / covariance[0, 0]
        return np.einsum("gv,ghv,hv->v", shares, errors, shares)
    known = np.isfinite(covariance).all(axis=(0, 1)) & np.isfinite(pieces).all(axis=(0, 1, 2))
    bound = np.full(len(known), np.nan)
    inverse = np.linalg.inv(np.moveaxis(covariance[..., known], -1, 0))
    turned = np.einsum("vrs,gstv->gvrt", inverse, pieces[..., known])
    traces = np.einsum("gvrr->gv", turned)
    products = np.einsum("gvrs,hvsr->ghv", turned, turned) + traces[:, None] * traces
    spread = errors if errors.shape[-1] == 1 else errors[..., known]
    bound[known] = 0.5 * (products * spread).sum(axis=(0, 1))
    return bound


def fit_with_bound(test, effect, covariance, bound, maps=None):
    """Return the Fit of an effect with `bound_error` of its covariance: t, or F with Johansen's scale."""
    n_rows = len(effect)
    if test == "t":
        return Fit(effect, covariance, t_from(effect, covariance), 1.0 / bound, maps or {})
    scale = 1.0 + 2.0 * (n_rows - 1) / (n_rows * (n_rows + 2)) * bound
    dof = n_rows * (n_rows + 2) / (3.0 * bound) if n_rows > 1 else 1.0 / bound
    return Fit(effect, covariance, f_from(effect, covariance) / scale, dof, maps or {})
