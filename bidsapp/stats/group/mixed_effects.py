"""Mixed effects with known variances: y = X b + u + e, var(u) = tau2, var(e_i) = s_i^2 (the variance maps).

W = 1 / (s^2 + tau2), P = W - W X (X'WX)^-1 X'W (DerSimonian and Laird 1986, Raudenbush 2009).

* ``reml``: tau2 by restricted maximum likelihood, Knapp-Hartung standard errors, t(N - p). With a tau2 for
  each group of inputs, the covariance of Kenward and Roger (1997, Biometrics 53:983-997) with Satterthwaite's
  degrees of freedom (for several rows with a scale, as in ``variance_groups``) in its stead.
* ``flame1``: the same tau2, standard errors as if it were known, t(N - p); FSL's FLAME 1. Groups as reml.
* ``dl``: tau2 by DerSimonian and Laird, Knapp-Hartung standard errors, t(N - p).
* ``fixed``: tau2 = 0, normal distribution; says nothing about other subjects than these.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from scipy import special

from bidsapp.records.arrays import Labels, Map, Maps, Matrices, Matrix
from bidsapp.records.maps import GroupDesign
from bidsapp.stats.blocks import members_of
from bidsapp.stats.group.ols import Fit, make_fit
from bidsapp.stats.group.tau2 import estimate_tau2, estimate_tau2_by_group, project, project_groups
from bidsapp.stats.group.variance_groups import NOTHING, bound_error, find_freedom, fit_with_bound
from bidsapp.stats.linear import (
    carry_covariance,
    invert_all,
    make_basis,
    solve_weighted,
    unless_perfect,
    weighted_gram,
)

# What estimates tau2, shape (n_voxels,), from effects, variances and the basis.
Tau2: TypeAlias = Callable[[Maps, Maps, Matrix], Map]
# What scales the covariance, shape (n_voxels,), from weights, effects, fitted effects and their dof.
Scale: TypeAlias = Callable[[Maps, Maps, Maps, int], Map]


def fit_reml(effects: Maps, variances: Maps, design: GroupDesign) -> list[Fit]:
    """Return the REML Fit of every contrast, with Knapp-Hartung standard errors.

    Parameters
    ----------
    effects, variances : ndarray, shape (n_inputs, n_voxels)
        Without NaN; variances above 0.
    design : GroupDesign
        With ``variance_groups``, each group has a tau2 of its own.

    Returns
    -------
    list of Fit
        NaN where the residuals are zero. Maps: tau2 (with groups: tau2_1, tau2_2, ...), isquared (percent),
        cochranq and its p-value, pcochranq.
    """
    return _fit(effects, variances, design, tau2=estimate_tau2, scale=_knapp_hartung)


def fit_flame1(effects: Maps, variances: Maps, design: GroupDesign) -> list[Fit]:
    """Return the Fit of every contrast as FLAME 1: REML tau2 and t(N - p) (Woolrich et al. 2004)."""
    return _fit(effects, variances, design, tau2=estimate_tau2, scale=_unscaled)


def fit_dl(effects: Maps, variances: Maps, design: GroupDesign) -> list[Fit]:
    """Return the Fit of every contrast with tau2 by moments (DerSimonian and Laird 1986)."""
    return _fit(effects, variances, design, tau2=estimate_dersimonian_laird, scale=_knapp_hartung)


def fit_fixed(effects: Maps, variances: Maps, design: GroupDesign) -> list[Fit]:
    """Return the fixed-effects Fit of every contrast: tau2 is 0, the variances are taken as known."""
    return _fit(effects, variances, design, tau2=None, scale=None)


def _fit(
    effects: Maps, variances: Maps, design: GroupDesign, *, tau2: Tau2 | None, scale: Scale | None
) -> list[Fit]:
    if design.variance_groups is not None and scale is not None:
        return _fit_groups(effects, variances, design, scale)
    basis, to_basis = make_basis(design.matrix)
    dof = len(effects) - basis.shape[1]
    spread = np.zeros(effects.shape[1]) if tau2 is None else tau2(effects, variances, basis)
    weights = 1.0 / (variances + spread)
    coefficients, inverse = solve_weighted(basis, effects, weights)
    if scale is not None:
        inverse = inverse * scale(weights, effects, basis @ coefficients, dof)[:, None, None]
    maps = {} if tau2 is None else {"tau2": spread}
    maps |= _heterogeneity(effects, variances, basis, spread)
    fits = []
    for contrast in design.contrasts:
        rows = np.atleast_2d(contrast.weights) @ to_basis
        found = rows @ coefficients, carry_covariance(rows, inverse)
        fits.append(make_fit(contrast.test, *found, np.inf if scale is None else dof, maps))
    return fits


def _fit_groups(effects: Maps, variances: Maps, design: GroupDesign, scale: Scale) -> list[Fit]:
    """Return the Fit of every contrast with a tau2 for each variance group.

    NaN where a group has as many columns of its own as inputs: it says nothing of its tau2.
    """
    basis, to_basis = make_basis(design.matrix)
    assert design.variance_groups is not None
    values, index = np.unique(design.variance_groups, return_inverse=True)
    members = members_of(index)
    if find_freedom(basis, index).min() < NOTHING:
        tau2 = np.full((len(values), effects.shape[1]), np.nan)
    else:
        tau2 = estimate_tau2_by_group(effects, variances, basis, index)
    spread = variances + tau2[index]
    weights = 1.0 / spread
    coefficients, inverse = solve_weighted(basis, effects, weights)
    errors = invert_all(project_groups(effects, spread, basis, members)[1])
    covariance, pieces = _kenward_roger(basis, weights, inverse, (members, errors))
    dof = len(basis) - basis.shape[1]
    covariance *= scale(weights, effects, basis @ coefficients, dof)[:, None, None]
    maps = {f"tau2_{value}": tau2[place] for place, value in enumerate(values)}
    maps |= _heterogeneity(effects, variances, basis, tau2[index])
    fits = []
    for contrast in design.contrasts:
        rows = np.atleast_2d(contrast.weights) @ to_basis
        carried = np.stack([carry_covariance(rows, piece) for piece in pieces])
        bounds = bound_error(carry_covariance(rows, inverse), carried, np.moveaxis(errors, 0, -1))
        found = rows @ coefficients, carry_covariance(rows, covariance)
        fits.append(fit_with_bound(contrast.test, found, bounds, maps=maps))
    return fits


def _kenward_roger(
    basis: Matrix, weights: Maps, inverse: Matrices, groups: tuple[Sequence[Labels], Matrices]
) -> tuple[Matrices, Matrices]:
    """Return the covariance of the coefficients, allowing for estimated weights, and its derivatives.

    Parameters
    ----------
    weights : ndarray, shape (n_inputs, n_voxels)
    inverse : ndarray, shape (n_voxels, rank, rank)
        (X'WX)^-1.
    groups : tuple
        The rows of each group, and half of the covariance of their tau2, (n_voxels, n_groups, n_groups).

    Returns
    -------
    covariance : ndarray, shape (n_voxels, rank, rank)
    pieces : ndarray, shape (n_groups, n_voxels, rank, rank)
        Derivatives of ``inverse`` by the tau2 of each group.
    """
    members, errors = groups
    second = np.stack([weighted_gram(basis[rows], weights[rows] ** 2) for rows in members])
    third = np.stack([weighted_gram(basis[rows], weights[rows] ** 3) for rows in members])
    pieces = inverse @ second @ inverse
    own = np.einsum("vgg,gvij->vij", errors, inverse @ third @ inverse)
    shared = np.einsum("vgh,gvij,hvjk->vik", errors, pieces, second @ inverse)
    return inverse + 4.0 * (own - shared), pieces


def _knapp_hartung(weights: Maps, effects: Maps, fitted: Maps, dof: int) -> Map:
    """Return q = y'Py / (N - p) (Knapp and Hartung 2003); NaN where the fit is perfect."""
    squares, total = (np.einsum("iv,iv,iv->v", weights, part, part) for part in (effects - fitted, effects))
    return unless_perfect(squares, total) / dof


def _unscaled(weights: Maps, effects: Maps, fitted: Maps, dof: int) -> Map:
    return np.ones(weights.shape[1])


def estimate_dersimonian_laird(effects: Maps, variances: Maps, basis: Matrix) -> Map:
    """Return tau2 by moments, shape (n_voxels,), for a design with this orthonormal basis."""
    state = project(effects, variances, basis)
    dof = len(effects) - basis.shape[1]
    tau2: Map = np.maximum(0.0, (state.q - dof) / state.trace)
    return tau2


def _heterogeneity(effects: Maps, variances: Maps, basis: Matrix, spread: Map | Maps) -> dict[str, Map]:
    """Return Cochran's Q with its p-value, and I2 by the typical variance (Higgins and Thompson 2002)."""
    state = project(effects, variances, basis)
    dof = len(effects) - basis.shape[1]
    typical = dof / state.trace
    tau2 = spread.mean(axis=0) if np.ndim(spread) == 2 else spread
    maps = {"cochranq": state.q, "pcochranq": special.chdtrc(dof, state.q)}
    return maps | {"isquared": 100.0 * tau2 / (tau2 + typical)}
