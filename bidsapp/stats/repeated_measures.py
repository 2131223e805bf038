"""Within-subject tests of several rows, from one map a subject and row ("scores").

* Hotelling's T2: no assumption about the covariance of the rows (within-subject MANOVA).
* The univariate F with its own error term, and Greenhouse-Geisser's and Huynh-Feldt's degrees of freedom.

A between-subject design may stand beside: the test is then about one combination of its coefficients.
statistics.md, section 6.D (Hotelling 1931; Greenhouse and Geisser 1959; Huynh and Feldt 1976).
"""

from dataclasses import dataclass

import numpy as np

from bidsapp.stats.distributions import f_to_z, z_to_log_p
from bidsapp.stats.estimability import find_rank, invert_gram

# A difference below this part of its terms is rounding.
ROUNDING = 1e-14


@dataclass(frozen=True, slots=True)
class WithinTest:
    """A within-subject test; arrays have shape (n_voxels,), ``effect`` (n_rows, n_voxels).

    ``epsilon_gg`` and ``epsilon_hf`` are the sphericity estimates that ``dof`` was corrected by (None for
    Hotelling's); ``dof_numerator`` and ``dof`` are those of the F that ``p`` and ``z`` come from.
    """

    effect: np.ndarray
    statistic: np.ndarray
    z: np.ndarray
    p: np.ndarray
    dof_numerator: float | np.ndarray
    dof: float | np.ndarray
    epsilon_gg: np.ndarray | None = None
    epsilon_hf: np.ndarray | None = None


def orthonormalise_rows(weights):
    """Return orthonormal rows that span those of weights, (n_rows, n_cells), which are independent."""
    return np.linalg.qr(np.asarray(weights, float).T)[0].T


def make_scores(weights, cells):
    """Return the contrast maps of every subject, shape (n_rows, n_subjects, n_voxels).

    Parameters
    ----------
    weights : ndarray, shape (n_rows, n_cells)
    cells : ndarray, shape (n_cells, n_subjects, n_voxels)

    Differences of equal cells are exactly 0, not rounding.
    """
    scores = np.einsum("rc,civ->riv", weights, cells)
    size = np.einsum("rc,civ->riv", np.abs(weights), np.abs(cells))
    scores[np.abs(scores) <= ROUNDING * size] = 0.0
    return scores


def balanced_weights(matrix, weights, subjects):
    """Return what a contrast weighs the inputs of each subject by, (n_rows, n_inputs of a subject).

    Parameters
    ----------
    matrix : ndarray, shape (n_inputs, n_columns)
    weights : ndarray, shape (n_rows, n_columns)
    subjects : ndarray of int, shape (n_inputs,)

    Returns
    -------
    ndarray or None
        None where the weights differ between subjects, or do not add to zero within them: then the
        contrast is not one within subjects of a balanced design.
    """
    order = np.argsort(subjects, kind="stable")
    counts = np.unique(subjects, return_counts=True)[1]
    if np.ptp(counts) or counts[0] == 1:
        return None
    effective = np.atleast_2d(weights) @ invert_gram(matrix) @ matrix[order].T * len(counts)
    parts = effective.reshape(len(effective), len(counts), counts[0])
    size = 1e-8 * np.abs(parts).max()
    if np.ptp(parts, axis=1).max() > size or np.abs(parts.sum(axis=2)).max() > size:
        return None
    return parts[:, 0]


def fit_hotelling(scores, matrix, between):
    """Return Hotelling's test that all rows are zero.

    Parameters
    ----------
    scores : ndarray, shape (n_rows, n_subjects, n_voxels)
        One contrast map a subject and row, linearly independent; without NaN.
    matrix : ndarray, shape (n_subjects, n_columns)
        The between-subject design; a column of ones for one group.
    between : ndarray, shape (n_columns,)
        The combination of its coefficients that is tested.

    Returns
    -------
    WithinTest
        F = (nu - q + 1) / (nu q) T2 with q and nu - q + 1 degrees of freedom; NaN where the covariance of
        the rows is singular.
    """
    effect, cross, factor, nu = _fit_rows(scores, matrix, between)
    n_rows = len(effect)
    if nu < n_rows:
        raise ValueError(f"{nu} degrees of freedom cannot estimate the covariance of {n_rows} rows")
    covariance = np.moveaxis(cross, -1, 0) / nu * factor
    scale = np.sqrt(np.einsum("vrr->vr", covariance))
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = covariance / scale[:, :, None] / scale[:, None, :]
        scaled = effect.T / scale
    good = np.isfinite(correlation).all(axis=(1, 2))
    good[good] = np.linalg.eigvalsh(correlation[good])[:, 0] > 1e-10
    t_squared = np.full(effect.shape[1], np.nan)
    solved = np.linalg.solve(correlation[good], scaled[good][:, :, None])[:, :, 0]
    t_squared[good] = np.einsum("vr,vr->v", scaled[good], solved)
    dof = nu - n_rows + 1
    return _finish(effect, dof / (nu * n_rows) * t_squared, (n_rows, dof))


def fit_greenhouse_geisser(scores, matrix, between):
    """Return the univariate F that all rows are zero, with Greenhouse-Geisser's degrees of freedom.

    Parameters and shapes as in ``fit_hotelling``; the rows must come from orthonormal weights
    (``orthonormalise_rows``). The error is that of these rows alone.
    """
    effect, cross, factor, nu = _fit_rows(scores, matrix, between)
    n_rows = len(effect)
    error = np.einsum("rrv->v", cross)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.square(effect).sum(axis=0) / factor
        statistic = np.where(error > 0, squares / (error / nu), np.nan)
        gg = error**2 / (n_rows * np.einsum("rqv,rqv->v", cross, cross))
        hf = ((nu + 1) * n_rows * gg - 2.0) / (n_rows * (nu - n_rows * gg))
    found = _finish(effect, statistic, (gg * n_rows, gg * n_rows * nu))
    return WithinTest(*(getattr(found, name) for name in WithinTest.__slots__[:6]), gg, hf)


def _fit_rows(scores, matrix, between):
    """Return effects, residual cross-products (n_rows, n_rows, n_voxels), c (X'X)^- c' and nu."""
    inverse = invert_gram(matrix)
    scores = np.asarray(scores, float)
    projector = np.asarray(between, float) @ inverse @ matrix.T
    effect = np.einsum("i,riv->rv", projector, scores)
    residuals = scores - np.einsum("ij,rjv->riv", matrix @ inverse @ matrix.T, scores, optimize=True)
    cross = np.einsum("riv,qiv->rqv", residuals, residuals)
    nu = len(matrix) - find_rank(matrix)
    return effect, cross, float(between @ inverse @ between), nu


def _finish(effect, statistic, dof):
    z = f_to_z(statistic, *dof)
    return WithinTest(effect, statistic, z, np.exp(z_to_log_p(z, tail="positive")), *dof)
