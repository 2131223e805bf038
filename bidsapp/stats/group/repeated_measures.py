"""Within-subject tests of several rows, from one map a subject and row ("scores").

* Wilks' lambda with Rao's F: no assumption about the covariance of the rows (within-subject MANOVA).
  With one row between subjects it is Hotelling's T2.
* The univariate F with its own error term, and Greenhouse-Geisser's and Huynh-Feldt's degrees of freedom.

A between-subject design may stand beside: the test is then about combinations of its coefficients.
Hotelling 1931; Wilks 1932; Rao 1951; Greenhouse and Geisser 1959; Huynh and Feldt 1976.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np

from bidsapp.records.arrays import Labels, Map, Maps, Matrices, Matrix, Numbers
from bidsapp.records.maps import GroupDesign
from bidsapp.stats.distributions import f_to_z, z_to_log_p
from bidsapp.stats.group.ols import f_from
from bidsapp.stats.linear import find_rank, find_regular, invert_gram, make_basis, unless_perfect

# A difference below this part of its terms is rounding.
ROUNDING = 1e-14
# Directions of weights that were computed, not given, are rounding below this part of the longest: looser
# than the rank of a design (``stats.linear``), for an inverse was among what they were computed by.
SAME = 1e-8


@dataclass(frozen=True, slots=True)
class WithinTest:
    """A within-subject test; arrays have shape (n_voxels,), ``effect`` (n_rows, n_voxels).

    ``epsilon_gg`` and ``epsilon_hf`` are the sphericity estimates that ``dof`` was corrected by (None for
    Hotelling's); ``dof_numerator`` and ``dof`` are those of the F that ``p`` and ``z`` come from.
    """

    effect: Maps
    statistic: Map
    z: Map
    p: Map
    dof_numerator: float | Map
    dof: float | Map
    epsilon_gg: Map | None = None
    epsilon_hf: Map | None = None


def orthonormalise_rows(weights: Matrix) -> Matrix:
    """Return orthonormal rows that span those of weights, (n_rows, n_cells), which are independent."""
    return np.linalg.qr(np.asarray(weights, float).T)[0].T


def make_scores(weights: Matrix, cells: Matrices) -> Matrices:
    """Return the contrast maps of every subject, shape (n_rows, n_subjects, n_voxels).

    Parameters
    ----------
    weights : ndarray, shape (n_rows, n_cells)
    cells : ndarray, shape (n_cells, n_subjects, n_voxels)

    Differences of equal cells are exactly 0, not rounding.
    """
    scores: Matrices = np.einsum("rc,civ->riv", weights, cells)
    size = np.einsum("rc,civ->riv", np.abs(weights), np.abs(cells))
    scores[np.abs(scores) <= ROUNDING * size] = 0.0
    return scores


@dataclass(frozen=True, slots=True, eq=False)
class Collapsed:
    """A contrast over several inputs a subject as one over scores, the same combinations of every subject's.

    Attributes
    ----------
    within : ndarray, shape (n_scores, n_inputs of a subject)
        What makes the scores, orthonormal rows.
    matrix : ndarray, shape (n_subjects, n_columns)
        The design of the scores, orthonormal columns.
    between : ndarray, shape (n_rows, n_columns)
        The contrast of the scores, which has the effect of the whole.
    """

    within: Matrix
    matrix: Matrix
    between: Matrix


def collapse_contrast(matrix: Matrix, weights: Matrix, subjects: Labels) -> Collapsed | None:
    """Return the `Collapsed` form of a contrast, whose least-squares effect is the same.

    A subject adds a_i m'y_i to an effect with weights a_i m. What m'y_i are expected to be is a design
    between subjects, in which the contrast is estimated where a lies in it.

    Parameters
    ----------
    matrix : ndarray, shape (n_inputs, n_columns)
    weights : ndarray, shape (n_rows, n_columns)
    subjects : ndarray of int, shape (n_inputs,)

    Returns
    -------
    Collapsed or None
        None where subjects differ in how many inputs they have or in how these are weighed, or where there
        are several rows within and between.
    """
    order = np.argsort(subjects, kind="stable")
    counts = np.unique(subjects, return_counts=True)[1]
    if np.ptp(counts):
        return None
    rows = matrix[order].reshape(len(counts), -1, matrix.shape[1])
    effective = (np.atleast_2d(weights) @ invert_gram(matrix) @ matrix[order].T).reshape(-1, *rows.shape[:2])
    within = _row_basis(effective.reshape(-1, rows.shape[1]))
    between = _row_basis(effective.transpose(0, 2, 1).reshape(-1, len(counts)))
    if min(len(within), len(between)) > 1:
        return None
    # In units of the columns, so that what is nothing but rounding stays so.
    lengths = np.linalg.norm(rows, axis=(0, 1))
    expected = np.einsum("qk,nkp->nqp", within, rows / np.where(lengths > 0, lengths, 1.0))
    design = _row_basis(expected.reshape(len(counts), -1).T).T
    if np.abs(between - between @ design @ design.T).max() > SAME:
        return None
    tested = effective @ within[0] if len(within) == 1 else between
    return Collapsed(within, design, tested @ design)


def _row_basis(rows: Matrix) -> Matrix:
    """Return orthonormal rows that span those given."""
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    basis: Matrix = directions[sizes > SAME * sizes[0]]
    return basis


def fit_wilks(scores: Matrices, matrix: Matrix, between: Numbers) -> WithinTest:
    """Return the multivariate test that all rows within subjects are zero in all rows between them.

    Wilks' lambda, |E| / |E + H|, was chosen among the four statistics of a MANOVA because its F is exact
    where there are up to two rows within or between (Rao 1951), which Pillai's is not; with one row
    between it is Hotelling's T2, with one within the usual F.

    Parameters
    ----------
    scores : ndarray, shape (n_rows, n_subjects, n_voxels)
        One contrast map a subject and row, linearly independent; without NaN.
    matrix : ndarray, shape (n_subjects, n_columns)
        The between-subject design; a column of ones for one group.
    between : ndarray, shape (n_columns,) or (n_tested, n_columns)
        The independent combinations of its coefficients that are tested, which it can estimate.

    Returns
    -------
    WithinTest
        NaN where the covariance of the rows is singular, or the subjects are too few to estimate it.
    """
    effect, cross, factor, nu = _fit_rows(scores, matrix, between)
    n_between, n_rows, n_voxels = effect.shape
    scale = np.sqrt(_known_squares(cross, scores).T)
    whitener = np.linalg.inv(np.linalg.cholesky(factor))
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.moveaxis(cross, -1, 0) / scale[:, :, None] / scale[:, None, :]
        scaled = np.einsum("hk,krv->vrh", whitener, effect) / scale[:, :, None]
    good = find_regular(correlation) & (nu >= n_rows)
    explained = np.einsum("vrh,vrk->vhk", scaled[good], np.linalg.solve(correlation[good], scaled[good]))
    log_lambda = np.full(n_voxels, np.nan)
    log_lambda[good] = -np.log1p(np.linalg.eigvalsh(explained)).sum(axis=1)
    statistic, dof = rao_f(log_lambda, n_rows, n_between, nu)
    return _finish(effect.reshape(-1, n_voxels), statistic, dof)


def fit_unequal_covariances(scores: Matrices, design: GroupDesign, between: Matrix) -> WithinTest:
    """Return the multivariate test of `fit_wilks` where groups of subjects have covariances of their own.

    The effect is the least-squares one, its covariance the sum of what each group contributes, and T2 is
    referred to F. With one row between subjects its degrees of freedom are Nel and van der Merwe's (1986,
    Communications in Statistics 15:3719-3735), which take traces: the rows within subjects should be
    orthonormal. With one row within it is then Welch's t. With several rows between they are those of
    Krishnamoorthy and Yu (2004, Statistics and Probability Letters 66:161-169), traces of V_g V^-1, because
    the others become conservative; Johansen's F (1980) is the most liberal of the three for small groups.
    The covariance of a group is that about its own least-squares fit: residuals of columns that groups share
    (a covariate) would go with the effect where covariances differ, and the test be conservative (size .02).

    Parameters
    ----------
    scores : ndarray, shape (n_rows, n_subjects, n_voxels)
    design : GroupDesign
        Between subjects, with ``variance_groups``.
    between : ndarray, shape (n_tested, n_columns)

    Returns
    -------
    WithinTest
        NaN where a group that takes part has as many columns of its own as subjects or no residual variation
        in a row, or the covariance of the rows is singular.
    """
    basis, to_basis = make_basis(design.matrix)
    rows = orthonormalise_rows(np.atleast_2d(between) @ to_basis)
    scores = np.asarray(scores, float)
    effect = np.einsum("hp,ip,riv->hrv", rows, basis, scores, optimize=True)
    size = len(rows) * len(scores)
    pieces = []
    assert design.variance_groups is not None
    for group in np.unique(design.variance_groups):
        mine = design.variance_groups == group
        weight = rows @ (basis[mine].T @ basis[mine]) @ rows.T
        if np.trace(weight) <= ROUNDING:
            continue
        covariance, free = _covariance_of_group(scores[:, mine], own_columns(basis[mine]))
        pieces.append((np.einsum("hk,vrq->vhrkq", weight, covariance).reshape(-1, size, size), free))
    return _refer_to_hotelling(effect.reshape(size, -1), pieces, traces=len(rows) == 1)


def own_columns(part: Matrix) -> Matrix:
    """Return orthonormal columns that span those that a group's rows of an orthonormal basis have."""
    left, values, _ = np.linalg.svd(part, full_matrices=False)
    return left[:, values > SAME]


def _covariance_of_group(scores: Matrices, own: Matrix) -> tuple[Matrices, int]:
    """Return the covariance (n_voxels, n_rows, n_rows) of scores about a group's own columns, and its dof."""
    rest = scores - np.einsum("ip,jp,rjv->riv", own, own, scores, optimize=True)
    cross = np.einsum("riv,qiv->rqv", rest, rest)
    free = len(own) - own.shape[1]
    known = np.isfinite(_known_squares(cross, scores)).all(axis=0) & (free > 0)
    return np.moveaxis(np.where(known, cross / max(free, 1), np.nan), -1, 0), free


def _refer_to_hotelling(effect: Maps, pieces: Sequence[tuple[Matrices, int]], *, traces: bool) -> WithinTest:
    """Return T2 as a WithinTest; its covariance is the sum of pieces (n_voxels, n, n), each with its dof."""
    size, total = len(effect), reduce(add, (piece for piece, _ in pieces))
    scale = np.sqrt(np.einsum("vrr->vr", total))
    with np.errstate(divide="ignore", invalid="ignore"):
        good = find_regular(total / scale[:, :, None] / scale[:, None, :])
    metric = np.eye(size) if traces else np.linalg.inv(total[good])
    spread = sum(_spread(metric @ piece[good]) / free for piece, free in pieces)
    nu = np.full(effect.shape[1], np.nan)
    nu[good] = _spread(metric @ total[good]) / spread
    dof = np.where(nu > size, nu - size + 1, np.nan)
    statistic = np.full(effect.shape[1], np.nan)
    statistic[good] = f_from(effect[:, good], np.moveaxis(total[good], 0, -1)) * (dof / nu)[good]
    return _finish(effect, statistic, (float(size), dof))


def _spread(matrices: Matrices) -> Map:
    """Return tr(V V) + tr(V)^2 of every matrix: how much an estimated covariance varies, times its dof."""
    spread: Map = np.einsum("vrq,vqr->v", matrices, matrices) + np.square(np.einsum("vrr->v", matrices))
    return spread


def rao_f(log_lambda: Map, n_rows: int, n_between: int, nu: int) -> tuple[Map, tuple[float, float]]:
    """Return Rao's F of the logarithm of Wilks' lambda, and its degrees of freedom (Rao 1951)."""
    size = n_rows * n_between
    squares = n_rows**2 + n_between**2
    root = np.sqrt((size**2 - 4) / (squares - 5)) if squares > 5 else 1.0
    dof = (nu - (n_rows - n_between + 1) / 2) * root - (size - 2) / 2
    return np.expm1(-log_lambda / root) * (dof / size), (float(size), float(dof))


def fit_greenhouse_geisser(scores: Matrices, matrix: Matrix, between: Numbers) -> WithinTest:
    """Return the univariate F that all rows are zero, with Greenhouse-Geisser's degrees of freedom.

    Parameters and shapes as in ``fit_wilks``, with one row between; the rows must come from orthonormal
    weights (``orthonormalise_rows``). The error is that of these rows alone; NaN where there is none.
    """
    (effect,), cross, factor, nu = _fit_rows(scores, matrix, between)
    n_rows = len(effect)
    error = np.einsum("rrv->v", cross)
    error = unless_perfect(error, np.einsum("riv,riv->v", scores, scores))
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.square(effect).sum(axis=0) / factor[0, 0]
        statistic = squares / (error / nu)
        gg = error**2 / (n_rows * np.einsum("rqv,rqv->v", cross, cross))
        hf = ((nu + 1) * n_rows * gg - 2.0) / (n_rows * (nu - n_rows * gg))
    found = _finish(effect, statistic, (gg * n_rows, gg * n_rows * nu))
    return replace(found, epsilon_gg=gg, epsilon_hf=hf)


def _fit_rows(scores: Matrices, matrix: Matrix, between: Numbers) -> tuple[Matrices, Matrices, Matrix, int]:
    """Return effects (n_tested, n_rows, n_voxels), residual cross-products, C (X'X)^- C' and nu."""
    inverse = invert_gram(matrix)
    scores, between = np.asarray(scores, float), np.atleast_2d(np.asarray(between, float))
    effect = np.einsum("hi,riv->hrv", between @ inverse @ matrix.T, scores)
    residuals = scores - np.einsum("ij,rjv->riv", matrix @ inverse @ matrix.T, scores, optimize=True)
    cross = np.einsum("riv,qiv->rqv", residuals, residuals)
    nu = len(matrix) - find_rank(matrix)
    return effect, cross, between @ inverse @ between.T, nu


def _known_squares(cross: Matrices, scores: Matrices) -> Maps:
    """Return the residual squares of every row, (n_rows, n_voxels); NaN where the fit of a row is perfect."""
    return unless_perfect(np.einsum("rrv->rv", cross), np.einsum("riv,riv->rv", scores, scores))


def _finish(effect: Maps, statistic: Map, dof: tuple[float | Map, float | Map]) -> WithinTest:
    z = f_to_z(statistic, *dof)
    return WithinTest(effect, statistic, z, np.exp(z_to_log_p(z, tail="positive")), *dof)
