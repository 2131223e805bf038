"""Marginal models of repeated measures: least squares with a bias-reduced sandwich covariance.

Every subject has rows of its own (visits, cells), any number of them; what their errors have in common is
not modelled, but allowed for. CR2 (Bell and McCaffrey 2002; the "C2" of the SwE toolbox) with Satterthwaite
degrees of freedom, and the HTZ test for several rows (Pustejovsky and Tipton 2018), under the working model
of independent errors.
"""

import numpy as np

from bidsapp.stats.group_glm import PERFECT_FIT, Fit, f_from, t_from
from bidsapp.stats.weighted_solve import make_basis

# Eigenvalues of I - H_ii below this are those of a subject that the design fits perfectly.
EIGENVALUE_TOLERANCE = 1e-10


def fit_sandwich(effects, variances, design):
    """Return the Fit of every contrast with CR2 standard errors.

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_voxels)
        Without NaN.
    variances : ignored
    design : GroupDesign
        With ``clusters``, the subject of each input.

    Returns
    -------
    list of Fit
    """
    basis, to_basis = make_basis(design.matrix)
    coefficients = basis.T @ effects
    residuals = effects - basis @ coefficients
    squares = np.einsum("iv,iv->v", residuals, residuals)
    residuals[:, squares <= PERFECT_FIT * np.einsum("iv,iv->v", effects, effects)] = np.nan
    adjusted = [_adjust(basis, rows) for rows in _find_clusters(design.clusters)]
    maker = np.eye(len(basis)) - basis @ basis.T
    fits = []
    for contrast in design.contrasts:
        weights = np.atleast_2d(contrast.weights) @ to_basis
        # The score of a subject is scores[row, subject] @ residuals.
        scores = np.einsum("rk,sik->rsi", weights, np.array(adjusted))
        fits.append(_fit(contrast.test, weights @ coefficients, scores, (residuals, maker)))
    return fits


def _find_clusters(clusters):
    return [np.flatnonzero(clusters == cluster) for cluster in np.unique(clusters)]


def _adjust(basis, rows):
    """Return A_i X_i of one subject in the rows of the design, zero elsewhere."""
    part = basis[rows]
    values, vectors = np.linalg.eigh(np.eye(len(rows)) - part @ part.T)
    good = values > EIGENVALUE_TOLERANCE
    root = (vectors[:, good] / np.sqrt(values[good])) @ vectors[:, good].T
    full = np.zeros(basis.shape)
    full[rows] = root @ part
    return full


def _fit(test, effect, scores, errors):
    residuals, maker = errors
    sums = np.einsum("rsi,iv->rsv", scores, residuals, optimize=True)
    covariance = np.einsum("rsv,qsv->rqv", sums, sums)
    freedom = _degrees_of_freedom(scores, maker)
    if test == "t":
        return Fit(effect, covariance, t_from(effect, covariance), freedom)
    n_rows = len(effect)
    dof = freedom - n_rows + 1
    if dof <= 0:
        return Fit(effect, covariance, np.full(effect.shape[1], np.nan), np.nan)
    return Fit(effect, covariance, dof / freedom * f_from(effect, covariance), dof)


def _degrees_of_freedom(scores, maker):
    """Return eta, the degrees of freedom of the Wishart matrix that the covariance resembles most.

    Pustejovsky and Tipton 2018, equations 11 and 12; for one row it is Satterthwaite's.
    """
    n_rows = len(scores)
    between = np.einsum("rsi,ij,qtj->rqst", scores, maker, scores, optimize=True)
    expected = np.einsum("rqss->rq", between)
    values, vectors = np.linalg.eigh(expected)
    root = (vectors / np.sqrt(values)) @ vectors.T
    between = np.einsum("ar,rqst,bq->abst", root, between, root, optimize=True)
    variance = np.einsum("aast,bbst->ab", between, between) + np.einsum("abst,bast->ab", between, between)
    return n_rows * (n_rows + 1) / variance.sum()
