"""What the data tell of an AR process, in expectation, and what its uncertainty does to a contrast.

The noise is estimated, so the variance of an effect is larger than the plug-in one, and known less well than
T - r degrees of freedom say. Kenward and Roger (1997, Biometrics 53:983-997), Satterthwaite's approximation,
and for several rows Fai and Cornelius (1996, J Stat Comput Simul 54:363-378); all expectations are taken at
the centre of a bin of voxels with similar noise. With W the inverse restricted information of the
coefficients a, its profile over the variance s2, and G_i, P_i derivatives by a_i, for noise of variance 1:

    g  = d/da [log(c'G^-1c)] - d/da [log|V| + log|G|] / n,   n = T - r
    k  = sum_ij W_ij c'G^-1 (Q'P_i V P_j Q - G_i G^-1 G_j) G^-1 c / (c'G^-1c)
    variance = s2 c'G^-1c (1 + 2 k),   dof = 2 / (2 / n + g'Wg).

k is what the estimated noise adds to the variance of the effect (Kackar & Harville 1984, JASA 79:853-862);
the plug-in variance is too small by about as much again (the term with second derivatives of V is left out).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded

from bidsapp.stats import residual_kernels
from bidsapp.stats.autoregression import (
    curve_of_log_determinant,
    make_autocovariance,
    make_bins,
    slope_of_log_determinant,
    to_coefficients,
)
from bidsapp.stats.lagged_design import make_form, make_local_design, weigh_precision, weigh_slopes

# k and dof are smooth in the noise: so many bins suffice.
N_BINS = 60
# Second derivatives of the deviance below this, in either direction, are no curvature to go by.
LEAST_CURVE = 2.0
# Fai and Cornelius' expectation of F exists above two degrees of freedom.
LEAST_DOF = 2.001


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """What the estimated noise does to contrasts, for bins of voxels.

    Attributes
    ----------
    bins : ndarray of int, shape (n_voxels,)
        -1 where a voxel has no noise to model.
    covariances, excess : ndarray, shape (n_bins, rank, rank)
        G^-1; and the matrix whose c'Ec is k c'G^-1c.
    slopes : ndarray, shape (n_bins, p, rank, rank)
        G^-1 G_i G^-1.
    inverse_information : ndarray, shape (n_bins, p, p)
        W.
    offset : ndarray, shape (n_bins, p)
        The second term of g.
    dof : float
        T - r.
    share : float or ndarray, shape (n_voxels,)
        What is left of W where the coefficients were smoothed over voxels.
    """

    bins: np.ndarray
    covariances: np.ndarray
    excess: np.ndarray
    slopes: np.ndarray
    inverse_information: np.ndarray
    offset: np.ndarray
    dof: float
    share: float | np.ndarray = 1.0


def assess_noise(design, z, usable, *, share=1.0, n_threads=1):
    """Return the Uncertainty of voxels.

    Parameters
    ----------
    design : LaggedDesign
    z : ndarray, shape (n_usable, p)
    usable : ndarray of bool, shape (n_voxels,)
    """
    centres, found = make_bins(z, N_BINS)
    partials = np.tanh(centres)
    coefficients = to_coefficients(partials)

    def assess(number):
        return _assess_process(design, make_local_design(design, coefficients[number]), partials[number])

    with ThreadPoolExecutor(n_threads) as pool:
        made = [np.stack(values) for values in zip(*pool.map(assess, range(len(centres))), strict=True)]
    bins = np.full(len(usable), -1)
    bins[usable] = found
    return Uncertainty(bins, *made, dof=float(design.dof), share=share)


def _assess_process(design, local, partials):
    """Return the fields of Uncertainty for one process."""
    form, moved, through = expect_form(design, local, partials)
    coefficients = -local.filter[1:]
    expected = 2 * form[1:, 1:] - np.outer(form[0, 1:], form[0, 1:])
    n_runs = len(design.runs)
    logs = local.log_curve + n_runs * curve_of_log_determinant(coefficients)
    w = 2 * invert_curve(logs + design.dof * expected)
    # sum_ij W_ij X_i'VX_j = sum_m (sum_i R_im X_i)'V(sum_j R_jm X_j) with W = RR'.
    root = np.linalg.cholesky(w)
    mixed, mixed_through, mixed_slopes = (
        np.tensordot(root.T, part, axes=1) for part in (moved, through, local.slopes)
    )
    excess = np.tensordot(mixed, mixed_through, axes=((0, 1), (0, 1)))
    excess -= np.tensordot(mixed_slopes, mixed_slopes, axes=((0, 1), (0, 1)))
    back = local.inverse
    offset = (n_runs * slope_of_log_determinant(coefficients) + local.log_slope) / design.dof
    return local.covariance, back.T @ excess @ back, back.T @ local.slopes @ back, w, offset


def expect_form(design, local, partials):
    """Return the expected form of e'Pe for one process, see ``newton.minimise``, and what it is made of.

    E[ee'] = V - QG^-1Q' for the generalised least-squares residuals e.

    Returns
    -------
    form : ndarray, shape (p + 1, p + 1)
        As of a voxel with q of 1.
    moved, through : ndarray, shape (p, n_volumes, rank)
        P_i QL^-T and V times it.
    """
    products, of_ends = design.count_pairs(make_autocovariance(partials))
    fitted, of_fitted_ends = design.trace(local.covariance)
    form = make_form(products - fitted, of_ends - of_fitted_ends)[None]
    moved = multiply_basis(design, *weigh_slopes(local.filter)) @ local.inverse.T
    order, n_volumes, rank = moved.shape
    flat = moved.transpose(1, 0, 2).reshape(n_volumes, -1)
    through = multiply_covariance(design.runs, local.filter, flat).reshape(n_volumes, order, rank)
    through = through.transpose(1, 0, 2)
    adapted = np.tensordot(moved, through, axes=((1, 2), (1, 2)))
    flat = local.slopes.reshape(order, -1)
    residual_kernels.centre_forms(form, local.filter)
    form[0, 1:, 1:] -= adapted - flat @ flat.T
    return form[0] / form[0, 0, 0], moved, through


def expect_residual(design, partials):
    """Return E[r'D_kr] of the least-squares residuals r, shape (p + 1,)."""
    autocovariance, basis = make_autocovariance(partials), design.basis
    filter_ = np.concatenate([[1.0], -to_coefficients(partials[None])[0]])
    moved = multiply_covariance(design.runs, filter_, basis)
    inner = basis.T @ moved
    expected = design.count_pairs(autocovariance)[0]
    for k in range(len(expected)):
        expected[k] += np.sum(design.inner[k] * inner) - 2 * np.sum(design.shifted[k] * moved)
    return expected


def multiply_basis(design, lags, corners):
    """Return MQ, shape (n, n_volumes, rank), for n matrices M of these lags and corners in every run."""
    p = corners.shape[-1]
    result = np.tensordot(lags, design.shifted, axes=1)
    for run in design.runs:
        part, rows = result[:, run], design.basis[run]
        part[:, :p] -= corners @ rows[:p]
        part[:, ::-1][:, :p] -= corners @ rows[::-1][:p]
    return result


def multiply_covariance(runs, filter_, matrix):
    """Return V times a matrix over time, by solving with its banded inverse."""
    p = len(filter_) - 1
    lags, corner = weigh_precision(filter_)
    bands = np.zeros((p + 1, len(matrix)))
    for run in runs:
        part = bands[:, run]
        for k in range(p + 1):
            part[k, : part.shape[1] - k] = lags[k]
            # The corner's k-th diagonal at the start, and reversed at the end of the run.
            diagonal = np.diagonal(corner, k)
            part[k, : p - k] -= diagonal
            part[k, part.shape[1] - p : part.shape[1] - k] -= diagonal[::-1]
    return solveh_banded(bands, matrix, lower=True, check_finite=False)


def invert_curve(matrix):
    """Return the inverse of a symmetric matrix with its eigenvalues made positive."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors / np.maximum(np.abs(values), LEAST_CURVE)) @ vectors.T


def inflate_t(uncertainty, rows, directions):
    """Return what the estimated noise does to contrasts d'R of each voxel.

    Parameters
    ----------
    rows : ndarray, shape (n_rows, rank)
        R, over the parameters of the basis.
    directions : ndarray, shape (n_rows, n_voxels)
        d.

    Returns
    -------
    k, dof : ndarray, shape (n_voxels,)
        The variance is to be multiplied by 1 + 2 k.
    """
    k, dof = np.full((2, directions.shape[1]), np.nan)
    excess, spread = np.zeros_like(k), np.zeros_like(k)
    project = lambda matrices: rows @ matrices @ rows.T  # noqa: E731
    covariances, extra, slopes = map(
        project, (uncertainty.covariances, uncertainty.excess, uncertainty.slopes)
    )
    for number, w in enumerate(uncertainty.inverse_information):
        voxels = np.flatnonzero(uncertainty.bins == number)
        d = directions[:, voxels]
        size = np.einsum("iv,ij,jv->v", d, covariances[number], d)
        excess[voxels] = np.einsum("iv,ij,jv->v", d, extra[number], d) / size
        g = -np.einsum("iv,pij,jv->pv", d, slopes[number], d) / size - uncertainty.offset[number][:, None]
        spread[voxels] = np.einsum("pv,pq,qv->v", g, w, g)
    known = uncertainty.bins >= 0
    k[known] = (uncertainty.share * np.maximum(excess, 0.0))[known]
    dof[known] = (2.0 / (2.0 / uncertainty.dof + uncertainty.share * spread))[known]
    return k, dof


def inflate_f(uncertainty, rows):
    """Return k and dof of an F test of several rows R, as ``inflate_t``.

    k is the mean along the eigenvectors of R G^-1 R'; the denominator's degrees of freedom are Fai and
    Cornelius', from those along the eigenvectors.
    """
    vectors = np.linalg.eigh(rows @ uncertainty.covariances @ rows.T)[1]
    found = [inflate_t(uncertainty, rows, vectors[uncertainty.bins, :, i].T) for i in range(len(rows))]
    k, dof = np.mean([k for k, _ in found], axis=0), np.stack([dof for _, dof in found])
    if len(rows) == 1:
        return k, dof[0]
    dof = np.maximum(dof, LEAST_DOF)
    expected = np.sum(dof / (dof - 2.0), axis=0)
    return k, 2.0 * expected / (expected - len(rows))
