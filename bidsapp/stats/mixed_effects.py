"""Mixed effects with known variances: y = X b + u + e, var(u) = tau2, var(e_i) = s_i^2 (the variance maps).

W = 1 / (s^2 + tau2), P = W - W X (X'WX)^-1 X'W; statistics.md, section 6.F.

* ``reml``: tau2 by restricted maximum likelihood, Knapp-Hartung standard errors, t(N - p).
* ``flame1``: the same tau2, standard errors as if it were known, t(N - p); FSL's FLAME 1.
* ``dl``: tau2 by DerSimonian and Laird, Knapp-Hartung standard errors, t(N - p).
* ``fixed``: tau2 = 0, normal distribution; says nothing about other subjects than these.
"""

import numpy as np
from scipy import special

from bidsapp.stats.group_glm import Fit, f_from, t_from
from bidsapp.stats.tau2 import estimate_tau2, estimate_tau2_by_group, project
from bidsapp.stats.weighted_solve import carry_covariance, make_basis, solve_weighted


def fit_reml(effects, variances, design):
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
        Maps: tau2 (with groups: tau2_1, tau2_2, ...), isquared (percent), cochranq and its p-value,
        pcochranq.
    """
    return _fit(effects, variances, design, tau2=_reml, scale=_knapp_hartung)


def fit_flame1(effects, variances, design):
    """Return the Fit of every contrast as FLAME 1: REML tau2 and t(N - p) (Woolrich et al. 2004)."""
    return _fit(effects, variances, design, tau2=_reml, scale=_unscaled)


def fit_dl(effects, variances, design):
    """Return the Fit of every contrast with tau2 by moments (DerSimonian and Laird 1986)."""
    return _fit(effects, variances, design, tau2=_dersimonian_laird, scale=_knapp_hartung)


def fit_fixed(effects, variances, design):
    """Return the fixed-effects Fit of every contrast: tau2 is 0, the variances are taken as known."""
    return _fit(effects, variances, design, tau2=_zero, scale=None)


def _fit(effects, variances, design, *, tau2, scale):
    basis, to_basis = make_basis(design.matrix)
    dof = len(effects) - basis.shape[1]
    spread, maps = tau2(effects, variances, basis, design.variance_groups)
    weights = 1.0 / (variances + spread)
    coefficients, inverse = solve_weighted(basis, effects, weights)
    if scale is not None:
        residuals = effects - basis @ coefficients
        inverse = inverse * scale(weights, residuals, dof)[:, None, None]
    maps |= _heterogeneity(effects, variances, basis, spread)
    fits = []
    for contrast in design.contrasts:
        rows = np.atleast_2d(contrast.weights) @ to_basis
        effect, covariance = rows @ coefficients, carry_covariance(rows, inverse)
        statistic = t_from(effect, covariance) if contrast.test == "t" else f_from(effect, covariance)
        fits.append(Fit(effect, covariance, statistic, np.inf if scale is None else dof, maps))
    return fits


def _knapp_hartung(weights, residuals, dof):
    """Return q = y'Py / (N - p) (Knapp and Hartung 2003)."""
    return np.einsum("iv,iv,iv->v", weights, residuals, residuals) / dof


def _unscaled(weights, residuals, dof):
    return np.ones(weights.shape[1])


def _reml(effects, variances, basis, groups):
    if groups is None:
        tau2 = estimate_tau2(effects, variances, basis)
        return tau2, {"tau2": tau2}
    values, index = np.unique(groups, return_inverse=True)
    tau2 = estimate_tau2_by_group(effects, variances, basis, index)
    return tau2[index], {f"tau2_{value}": tau2[place] for place, value in enumerate(values)}


def _dersimonian_laird(effects, variances, basis, groups):
    tau2 = estimate_dersimonian_laird(effects, variances, basis)
    return tau2, {"tau2": tau2}


def estimate_dersimonian_laird(effects, variances, basis):
    """Return tau2 by moments, shape (n_voxels,), for a design with this orthonormal basis."""
    state = project(effects, variances, basis)
    return np.maximum(0.0, (state.q - (len(effects) - basis.shape[1])) / state.trace)


def _zero(effects, variances, basis, groups):
    return np.zeros(effects.shape[1]), {}


def _heterogeneity(effects, variances, basis, spread):
    """Return Cochran's Q with its p-value, and I2 by the typical variance (Higgins and Thompson 2002)."""
    state = project(effects, variances, basis)
    dof = len(effects) - basis.shape[1]
    typical = dof / state.trace
    tau2 = spread.mean(axis=0) if np.ndim(spread) == 2 else spread
    maps = {"cochranq": state.q, "pcochranq": special.chdtrc(dof, state.q)}
    return maps | {"isquared": 100.0 * tau2 / (tau2 + typical)}
