"""What the data tell of an AR process, in expectation; all is of a LaggedDesign and noise of variance 1."""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solveh_banded

from bidsapp.records.arrays import Matrices, Matrix, Numbers
from bidsapp.stats.noise import residual_kernels
from bidsapp.stats.noise.autoregression import make_autocovariance, to_coefficients
from bidsapp.stats.noise.lagged_design import (
    LaggedDesign,
    LocalDesign,
    make_form,
    weigh_precision,
    weigh_slopes,
)

# Second derivatives of the deviance below this, in either direction, are no curvature to go by.
LEAST_CURVE = 2.0


def expect_form(
    design: LaggedDesign, local: LocalDesign, partials: Numbers
) -> tuple[Matrix, Matrices, Matrices]:
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
    over_time = moved.transpose(1, 0, 2).reshape(n_volumes, -1)
    through = multiply_covariance(design.runs, local.filter, over_time).reshape(n_volumes, order, rank)
    through = through.transpose(1, 0, 2)
    adapted = np.tensordot(moved, through, axes=((1, 2), (1, 2)))
    flat = local.slopes.reshape(order, -1)
    residual_kernels.centre_forms(form, local.filter)
    form[0, 1:, 1:] -= adapted - flat @ flat.T
    return form[0] / form[0, 0, 0], moved, through


def expect_residual(design: LaggedDesign, partials: Numbers) -> Numbers:
    """Return E[r'D_kr] of the least-squares residuals r, shape (p + 1,)."""
    autocovariance, basis = make_autocovariance(partials), design.basis
    filter_ = np.concatenate([[1.0], -to_coefficients(partials[None])[0]])
    moved = multiply_covariance(design.runs, filter_, basis)
    inner = basis.T @ moved
    expected = design.count_pairs(autocovariance)[0]
    for k in range(len(expected)):
        expected[k] += np.sum(design.inner[k] * inner) - 2 * np.sum(design.shifted[k] * moved)
    return expected


def multiply_basis(design: LaggedDesign, lags: Matrix, corners: Matrices) -> Matrices:
    """Return MQ, shape (n, n_volumes, rank), for n matrices M of these lags and corners in every run."""
    p = corners.shape[-1]
    result = np.tensordot(lags, design.shifted, axes=1)
    for run in design.runs:
        part, rows = result[:, run], design.basis[run]
        part[:, :p] -= corners @ rows[:p]
        part[:, ::-1][:, :p] -= corners @ rows[::-1][:p]
    return result


def multiply_covariance(runs: Sequence[slice], filter_: Numbers, matrix: Matrix) -> Matrix:
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


def invert_curve(matrix: Matrix) -> Matrix:
    """Return the inverse of a symmetric matrix with its eigenvalues made positive."""
    values, vectors = np.linalg.eigh(matrix)
    inverse: Matrix = (vectors / np.maximum(np.abs(values), LEAST_CURVE)) @ vectors.T
    return inverse
