"""Marginal models of repeated measures: least squares with a bias-reduced sandwich covariance.

Every subject has rows of its own (visits, cells), any number of them; what their errors have in common is
not modelled, but allowed for. CR2 (Bell and McCaffrey 2002; the "C2" of the SwE toolbox) with Satterthwaite
degrees of freedom, and the HTZ test for several rows (Pustejovsky and Tipton 2018), under a working model of
independent errors whose variance is that of the subject's group: two groups with a row a subject have Welch's
test. With one variance for all, degrees of freedom would be too many where the smaller group varies more.
"""

from dataclasses import replace

import numpy as np

from bidsapp.records.arrays import Labels, Map, Maps, Matrices, Matrix
from bidsapp.records.maps import GroupDesign
from bidsapp.stats.blocks import members_of
from bidsapp.stats.group.ols import Fit, make_fit
from bidsapp.stats.group.variance_groups import NOTHING, find_freedom, sum_by_group
from bidsapp.stats.linear import invert_all, make_basis, sum_squares, unless_perfect

# Eigenvalues of I - H_ii below this are those of a subject that the design fits perfectly.
EIGENVALUE_TOLERANCE = 1e-10


def fit_sandwich(effects: Maps, variances: Maps | None, design: GroupDesign) -> list[Fit]:
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
        NaN where the residuals are zero.
    """
    basis, to_basis = make_basis(design.matrix)
    coefficients = basis.T @ effects
    residuals = effects - basis @ coefficients
    residuals[:, np.isnan(unless_perfect(sum_squares(residuals), sum_squares(effects)))] = np.nan
    assert design.clusters is not None
    adjusted = [_adjust(basis, rows) for rows in members_of(design.clusters)]
    working = _working_variances(residuals, basis, _find_groups(design.matrix, design.clusters))
    fits = []
    for contrast in design.contrasts:
        weights = np.atleast_2d(contrast.weights) @ to_basis
        # The score of a subject is scores[row, subject] @ residuals.
        scores = np.einsum("rk,sik->rsi", weights, np.array(adjusted))
        fits.append(_fit(contrast.test, weights @ coefficients, scores, (residuals, basis, *working)))
    return fits


def _find_groups(matrix: Matrix, clusters: Labels) -> Labels:
    """Return the group of each input: subjects alike in the columns of two values that they do not vary in.

    Groups of one subject, whose variance nobody knows, are one with all of their kind.
    """
    two = np.array([len(np.unique(column)) == 2 for column in matrix.T], bool)
    pairs = np.column_stack([clusters, matrix[:, two]])
    alike = np.unique(pairs, axis=0)
    steady = [
        len(np.unique(alike[:, [0, place]], axis=0)) == len(np.unique(clusters))
        for place in range(1, pairs.shape[1])
    ]
    index = np.unique(pairs[:, 1:][:, steady], axis=0, return_inverse=True)[1].ravel()
    members = np.array([len(np.unique(clusters[index == group])) for group in range(index.max() + 1)])
    return np.unique(np.where(members > 1, np.arange(len(members)), -1)[index], return_inverse=True)[1]


def _working_variances(residuals: Maps, basis: Matrix, index: Labels) -> tuple[Maps, Labels]:
    """Return the variance of each group, (n_groups, n_voxels), and the group of each input."""
    freedom = find_freedom(basis, index)
    if len(freedom) == 1 or freedom.min() < NOTHING:
        return np.ones((1, 1)), np.zeros_like(index)
    return sum_by_group(np.square(residuals), index) / freedom[:, None], index


def _adjust(basis: Matrix, rows: Labels) -> Matrix:
    """Return A_i X_i of one subject in the rows of the design, zero elsewhere."""
    part = basis[rows]
    values, vectors = np.linalg.eigh(np.eye(len(rows)) - part @ part.T)
    good = values > EIGENVALUE_TOLERANCE
    root = (vectors[:, good] / np.sqrt(values[good])) @ vectors[:, good].T
    full = np.zeros(basis.shape)
    full[rows] = root @ part
    return full


def _fit(test: str, effect: Maps, scores: Matrices, errors: tuple[Maps, Matrix, Maps, Labels]) -> Fit:
    residuals, basis, variances, index = errors
    covariance = _covariance(scores, residuals)
    freedom = _degrees_of_freedom(scores, basis, variances, index)
    fit = make_fit(test, effect, covariance, freedom)
    if test == "t":
        return fit
    # Hotelling's T2 of eta degrees of freedom as F.
    dof = freedom - len(effect) + 1
    dof = np.where(dof > 0, dof, np.nan)
    return replace(fit, statistic=dof / freedom * fit.statistic, dof=dof)


def _covariance(scores: Matrices, residuals: Maps) -> Matrices:
    """Return the covariance of the effects, the sum of the squared scores of the subjects."""
    if scores.shape[1] == len(residuals):
        # A row a subject: the squares of the residuals are all that is needed.
        own = scores.sum(axis=1)
        covariance: Matrices = (own[:, None] * own) @ np.square(residuals)
    else:
        sums = np.einsum("rsi,iv->rsv", scores, residuals, optimize=True)
        covariance = np.einsum("rsv,qsv->rqv", sums, sums)
    return covariance


def _degrees_of_freedom(scores: Matrices, basis: Matrix, variances: Maps, index: Labels) -> Map:
    """Return eta, the degrees of freedom of the Wishart matrix that the covariance resembles most.

    Pustejovsky and Tipton 2018, equations 11 and 12; for one row it is Satterthwaite's.

    Parameters
    ----------
    scores : ndarray, shape (n_rows, n_subjects, n_inputs)
    basis : ndarray, shape (n_inputs, rank)
    variances : ndarray, shape (n_groups, n_voxels or 1)
        Of the errors of the inputs of each group.
    index : ndarray of int, shape (n_inputs,)

    Returns
    -------
    ndarray, shape (n_voxels or 1,)
    """
    n_rows, made = len(scores), scores - scores @ basis @ basis.T
    parts = [made[..., index == group] for group in range(len(variances))]
    # The covariance of the scores of each pair of subjects for a variance of 1 in one group.
    between = np.stack([np.einsum("rsi,qti->rqst", part, part, optimize=True) for part in parts])
    expected = np.einsum("grq,gv->vrq", np.einsum("grqss->grq", between), variances)
    # Groups without variation may leave nothing to a row.
    flat = invert_all(expected).reshape(len(expected), -1).T
    products = np.einsum("grqst,habst->ghrqab", between, between, optimize=True)
    products = products + products.transpose(0, 1, 3, 4, 5, 2)
    products = products.reshape(*products.shape[:2], n_rows**2, n_rows**2)
    variance = np.zeros(len(expected))
    for g, h in np.ndindex(products.shape[:2]):
        variance += variances[g] * variances[h] * np.einsum("iv,iv->v", flat, products[g, h] @ flat)
    return n_rows * (n_rows + 1) / variance
