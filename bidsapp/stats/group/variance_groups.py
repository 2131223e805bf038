"""Tests that let groups of inputs have different variances, and their degrees of freedom.

The effect is the least-squares one, a'y with a = c (X'X)^- X', and its variance the exact one of a linear
estimator, sum over groups g of s_g^2 times the squares of a in g; s_g^2 are the squared residuals of a group
over their expectation for a variance of 1. The Wald statistic is referred to F with the scale and degrees of
freedom that give its quantiles to the first order in 1 / dof (as Kenward and Roger 1997, Biometrics
53:983-997): for one row Satterthwaite's, for means of groups Welch's (1951), for one group those of the
residuals. Where groups share columns (a covariate, one mean) and differ in variance, the least-squares effect
goes with the residuals: a large t or F has a large error below it, and extremes are rarer than theirs. The
degrees of freedom allow for it (`find_dependence`).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bidsapp.records.arrays import Labels, Map, Maps, Matrices, Matrix, Numbers
from bidsapp.records.maps import GroupDesign
from bidsapp.stats.group.ols import Fit, make_fit
from bidsapp.stats.linear import invert_all, make_basis, sum_squares, unless_perfect

# Residual degrees of freedom, or squared weights against their sum, below this are rounding.
NOTHING = 1e-9
# Of the tests by this error rate the quantiles are right.
ALPHA = 0.05
# More than a thousand degrees of freedom are a normal distribution.
SMALLEST_BOUND = 1e-3


def fit_variance_groups(effects: Maps, variances: Maps | None, design: GroupDesign) -> list[Fit]:
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
    assert design.variance_groups is not None
    index = np.unique(design.variance_groups, return_inverse=True)[1]
    freedom = find_freedom(basis, index)
    coefficients = basis.T @ effects
    squares = sum_by_group(np.square(effects - basis @ coefficients), index)
    squares = unless_perfect(squares, sum_squares(effects))
    spread = squares / np.where(freedom > NOTHING, freedom, np.nan)[:, None]
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
        shared = find_dependence(basis, rows @ basis.T, index, (used, spread))
        bounds = bound_error(covariance, pieces, errors)
        fits.append(fit_with_bound(contrast.test, (rows @ coefficients, covariance), bounds, shared=shared))
    return fits


def find_freedom(basis: Matrix, index: Labels) -> Numbers:
    """Return the residual degrees of freedom of every group, the trace of its part of I - H, (n_groups,).

    Parameters
    ----------
    basis : ndarray, shape (n_inputs, rank)
        Orthonormal columns.
    index : ndarray of int, shape (n_inputs,)
        The group of each input, 0, 1, ...
    """
    # Floating-point numbers, which numpy's types do not know of sums of weights.
    return np.bincount(index, 1.0 - np.einsum("ir,ir->i", basis, basis)).astype(float, copy=False)


def find_dependence(basis: Matrix, estimators: Matrix, index: Labels, spread: tuple[Labels, Maps]) -> Map:
    """Return by how much the quantile of a Wald statistic is smaller for effects that go with residuals.

    Residuals are e = B u + rest, with u = a'y the effects, V = a' S a their covariance, B = M S a V^-1,
    M = I - H and S the variances of the inputs; the estimated covariance sum_g s_g^2 G_g has the part
    sum_g (u' C_g u) G_g, C_g = B_g' B_g / freedom of g. For w = V^-1/2 u of length r and any direction this
    takes r^4 (D1 + 2 D2) / q (q + 2) - r^2 D1 / q from the statistic, on average, with
    D1 = sum_g tr(V C_g) tr(V^-1 G_g) and D2 = sum_g tr(C_g G_g) (for one row as in Rothenberg 1988,
    Econometrica 56:997-1019). It is 0 where S a lies in the design, as with means of the groups.

    Parameters
    ----------
    basis : ndarray, shape (n_inputs, rank)
        Orthonormal columns.
    estimators : ndarray, shape (n_rows, n_inputs)
        a'.
    index : ndarray of int, shape (n_inputs,)
    spread : tuple
        Groups that the effects depend on, (n,), and the variance of every group, (n_groups, n_voxels).

    Returns
    -------
    ndarray, shape (n_voxels,)
        The share of the quantile of ALPHA.
    """
    used, variances = spread
    variances, n_rows = variances[used], len(estimators)
    own = np.where(index == used[:, None, None], estimators, 0.0)
    grams = np.einsum("gri,gsi->grs", own, own)
    inverse = _invert(np.einsum("grs,gv->rsv", grams, variances))
    turned, both = own - own @ basis @ basis.T, variances[:, None] * variances
    traces, products = np.zeros((2, variances.shape[1]))
    for place, group in enumerate(used):
        rows = index == group
        pairs = np.einsum("hri,ksi->hkrs", turned[..., rows], turned[..., rows])
        freedom = np.sum(1.0 - np.square(basis[rows]).sum(axis=1))
        first = np.einsum("rsv,stv->rtv", inverse, np.einsum("hkrs,hkv->rsv", pairs, both) / freedom)
        second = np.einsum("rsv,st->rtv", inverse, grams[place])
        traces += np.einsum("rrv->v", first) * np.einsum("rrv->v", second)
        products += np.einsum("rsv,srv->v", first, second)
    quantile = special.chdtri(n_rows, ALPHA)
    return quantile * (traces + 2.0 * products) / (n_rows * (n_rows + 2)) - traces / n_rows


def _invert(matrices: Matrices) -> Matrices:
    """Return the inverses of matrices (n, n, n_voxels), in this shape; NaN where there is none."""
    return np.ascontiguousarray(np.moveaxis(invert_all(np.moveaxis(matrices, -1, 0)), 0, -1))


def sum_by_group(values: Maps, index: Labels) -> Maps:
    """Return sums over the inputs of each group, shape (n_groups, n_voxels)."""
    sums: Maps = (index == np.arange(index.max() + 1)[:, None]).astype(float) @ values
    return sums


def bound_error(covariance: Matrices, pieces: NDArray[np.floating], errors: Matrices) -> tuple[Map, Map]:
    """Return how much a Wald statistic varies for its estimated covariance: two arrays, (n_voxels,).

    With K_g the share of group g in the covariance, sums over g and h of half the covariance of the
    variances of both, times tr K_g tr K_h, and times tr K_g K_h: 1 / dof of Satterthwaite for one row.

    Parameters
    ----------
    covariance : ndarray, shape (n_rows, n_rows, n_voxels)
        Of an effect, a function of variances that are estimated by group.
    pieces : ndarray, shape (n_groups, n_rows, n_rows, n_voxels)
        Its derivatives by the variance of each group.
    errors : ndarray, shape (n_groups, n_groups, n_voxels or 1)
        Half of the covariance of the estimated variances.
    """
    shares = np.einsum("rsv,gstv->grtv", _invert(covariance), pieces)
    traces = np.einsum("grrv->gv", shares)
    products = np.einsum("grsv,hsrv->ghv", shares, shares)
    return tuple((found * errors).sum(axis=(0, 1)) for found in (traces[:, None] * traces, products))


def fit_with_bound(
    test: str,
    found: tuple[Maps, Matrices],
    bounds: tuple[Map, Map],
    *,
    shared: float | Map = 0.0,
    maps: dict[str, Map] | None = None,
) -> Fit:
    """Return the Fit of an effect and its covariance with `bound_error` of these.

    The quantile x of the Wald statistic is that of chi-square, times 1 + Eb + Ea (x - q - 2) / 4 to the
    first order, with Eb = 2 B2 / q and Ea = 2 (B1 + 2 B2) / q (q + 2) of the bounds B1 and B2; q F has
    1 + (x - q + 2) / 2 dof. So dof = 2 / Ea, and the scale 1 + Eb - Ea. ``shared`` (of `find_dependence`)
    is taken from this by more degrees of freedom, none by default.
    """
    effect, covariance = found
    traces, products = bounds
    n_rows = len(effect)
    bound = (traces + 2.0 * products) / (n_rows * (n_rows + 2))
    slope = 0.5 * (special.chdtri(n_rows, ALPHA) - n_rows + 2)
    dof = 1.0 / np.maximum(bound - shared / slope, np.minimum(bound, SMALLEST_BOUND))
    fit = make_fit(test, effect, covariance, dof, maps)
    scale = 1.0 + 2.0 * (n_rows * products - traces) / (n_rows * (n_rows + 2))
    return fit if test == "t" else replace(fit, statistic=fit.statistic / scale)
