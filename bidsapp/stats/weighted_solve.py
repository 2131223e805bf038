"""Weighted least squares in many voxels at once, each with weights of its own.

A design is first turned into an orthonormal basis of its columns; that takes care of collinear columns and
of units, and contrasts are carried over, ``weights @ to_basis``.
"""

import numpy as np

from bidsapp.records.arrays import Maps, Mask, Matrices, Matrix
from bidsapp.stats.linear import are_directions, scale_columns


def make_basis(matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Return an orthonormal basis of the columns of a design, and what takes contrasts to it.

    Returns
    -------
    basis : ndarray, shape (n_inputs, rank)
    to_basis : ndarray, shape (n_columns, rank)
        For every contrast that can be estimated, ``weights @ coefficients`` of the design equals
        ``weights @ to_basis @ coefficients`` of the basis.
    """
    scaled, scale = scale_columns(matrix)
    left, values, right = np.linalg.svd(scaled, full_matrices=False)
    kept = are_directions(values)
    return left[:, kept], right[kept].T / values[kept] / scale[:, None]


def weighted_gram(basis: Matrix, weights: Maps) -> Matrices:
    """Return X'WX of every voxel, shape (n_voxels, rank, rank)."""
    rank = basis.shape[1]
    products = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), rank * rank)
    return (weights.T @ products).reshape(weights.shape[1], rank, rank)


def solve_weighted(basis: Matrix, effects: Maps, weights: Maps) -> tuple[Maps, Matrices]:
    """Return the coefficients (rank, n_voxels) and (X'WX)^-1 (n_voxels, rank, rank) of every voxel.

    NaN where X'WX cannot be inverted.
    """
    inverse = invert_all(weighted_gram(basis, weights))
    right = basis.T @ (weights * effects)
    return np.einsum("vij,jv->iv", inverse, right), inverse


def invert_all(matrices: Matrices) -> Matrices:
    """Return the inverses of matrices (n_voxels, rank, rank); NaN where there is none."""
    if matrices.shape[1] == 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(matrices > 0, 1.0 / matrices, np.nan)
    good: Mask = np.all(np.isfinite(matrices), axis=(1, 2))
    good[good] = np.linalg.det(matrices[good]) > 0
    inverse = np.full(matrices.shape, np.nan)
    inverse[good] = np.linalg.inv(matrices[good])
    return inverse


def carry_covariance(weights: Matrix, covariance: Matrices) -> Matrices:
    """Return C V C' of every voxel, shape (n_rows, n_rows, n_voxels), of V (n_voxels, rank, rank)."""
    carried: Matrices = np.einsum("ri,vij,sj->rsv", weights, covariance, weights, optimize=True)
    return carried
