"""Linear algebra of designs: their rank, what they can estimate, and weighted least squares in many voxels.

All that asks whether columns or rows depend on each other asks here: plan, fit, smoothness, regions and
shuffles count the same rank. A design is turned into an orthonormal basis of its columns; that takes care of
collinear columns and of units, and contrasts are carried over, ``weights @ to_basis``.
"""

from collections.abc import Sequence

import numpy as np

from bidsapp.errors import ModelError
from bidsapp.records.arrays import Map, Maps, Mask, Matrices, Matrix, Numbers
from bidsapp.records.maps import GroupDesign

# A direction of the design or of a contrast shorter than this part of the longest one is rounding: columns
# that depend on each other do so to about 1e-15, real designs stay above 1e-8.
RANK_TOLERANCE = 1e-9
# A column below this part of the others, such as a response to events outside its run, is rounding.
ROUNDING = 1e-12
# A weight vector of which more than this part lies along what the design does not tell cannot be estimated
# (Searle 1971, section 5.4). Thirds may be written with six digits.
ESTIMABLE_TOLERANCE = 1e-6
# A symmetric matrix with ones on the diagonal and an eigenvalue below this is that of dependent rows.
SINGULAR = 1e-10
# Residual sums of squares below this part of the total are rounding: the voxel is fitted perfectly, for
# example because all inputs are the same, and has no statistic.
PERFECT_FIT = 1e-20


def scale_columns(matrix: Matrix) -> tuple[Matrix, Numbers]:
    """Return a design with columns of length 1, and their lengths.

    A column that is rounding is zero, and its length 1. That is measured by values of 1 at most: a column in
    large units makes no other one zero.
    """
    lengths = np.linalg.norm(matrix, axis=0)
    there = lengths > ROUNDING * min(lengths.max(initial=0.0), np.sqrt(len(matrix)))
    scale = np.where(there, lengths, 1.0)
    scaled = matrix / scale
    scaled[:, ~there] = 0.0
    return scaled, scale


def are_directions(values: Numbers) -> Mask:
    """Return which singular values, the largest first, are more than rounding."""
    return values > RANK_TOLERANCE * values[:1]


def find_rank(matrix: Matrix) -> int:
    """Return the rank of a design, whatever the units of its columns."""
    return int(np.sum(are_directions(np.linalg.svd(scale_columns(matrix)[0], compute_uv=False))))


def find_null_space(matrix: Matrix) -> Matrix:
    """Return orthonormal directions that a design does not tell, (n_columns, n), of columns at length 1."""
    # All directions need the full matrices where columns are more than rows; else these only cost time.
    scaled, wide = scale_columns(matrix)[0], len(matrix) < matrix.shape[1]
    _, values, directions = np.linalg.svd(scaled, full_matrices=wide)
    return directions[np.count_nonzero(are_directions(values)) :].T


def are_told(rows: Matrix, null: Matrix) -> Mask:
    """Return which rows of weights, for columns at length 1, are combinations of rows of the design."""
    told: Mask = np.linalg.norm(rows @ null, axis=1) <= ESTIMABLE_TOLERANCE * np.linalg.norm(rows, axis=1)
    return told


def is_estimable(matrix: Matrix, weights: Matrix) -> bool:
    """Return whether all rows of weights, (n_rows, n_columns), are combinations of rows of the design."""
    return bool(are_told(weights / scale_columns(matrix)[1], find_null_space(matrix)).all())


def find_independent(matrix: Matrix) -> list[int]:
    """Return the indices of the columns that the columns before them do not make up."""
    kept: list[int] = []
    for index in range(matrix.shape[1]):
        if find_rank(matrix[:, [*kept, index]]) > len(kept):
            kept.append(index)
    return kept


def reduce_rows(weights: Matrix) -> Matrix:
    """Return the first linearly independent rows of weights, shape (n_rows, n_columns)."""
    return weights[find_independent(weights.T)]


def find_redundant_columns(matrix: Matrix, columns: Sequence[str]) -> list[str]:
    """Return the names of columns that the columns before them make up; a column of zeros is one of them."""
    kept = find_independent(matrix)
    return [name for index, name in enumerate(columns) if index not in kept]


def check_contrasts(design: GroupDesign) -> None:
    """Raise ModelError naming every contrast that the design cannot estimate, or that is empty."""
    faults = []
    for contrast in design.contrasts:
        if not np.any(contrast.weights):
            faults.append(f"contrast {contrast.name!r} has no weight other than 0")
        elif not is_estimable(design.matrix, np.atleast_2d(contrast.weights)):
            redundant = find_redundant_columns(design.matrix, contrast.columns)
            why = f" (collinear: {', '.join(redundant)})" if redundant else ""
            faults.append(f"contrast {contrast.name!r} cannot be estimated with this design{why}")
    if faults:
        raise ModelError("; ".join(faults) + ". Change the contrast, or leave collinear columns out.")


def orthonormalise(columns: Matrix) -> Matrix:
    """Return orthonormal columns that span those given, as they are scaled."""
    left, values, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, are_directions(values)]


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


def invert_gram(matrix: Matrix) -> Matrix:
    """Return a generalised inverse of X'X, (n_columns, n_columns), whatever the units of the columns."""
    scaled, scale = scale_columns(matrix)
    inverse = np.linalg.pinv(scaled, rcond=RANK_TOLERANCE)
    return inverse @ inverse.T / np.outer(scale, scale)


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


def find_regular(matrices: Matrices) -> Mask:
    """Return where symmetric matrices, (n_voxels, n, n) with ones on the diagonal, can be inverted."""
    good: Mask = np.all(np.isfinite(matrices), axis=(1, 2))
    good[good] = np.linalg.eigvalsh(matrices[good])[:, 0] > SINGULAR
    return good


def carry_covariance(weights: Matrix, covariance: Matrices) -> Matrices:
    """Return C V C' of every voxel, shape (n_rows, n_rows, n_voxels), of V (n_voxels, rank, rank)."""
    carried: Matrices = np.einsum("ri,vij,sj->rsv", weights, covariance, weights, optimize=True)
    return carried


def sum_squares(values: Maps) -> Map:
    """Return the sum of squares over inputs, shape (n_voxels,)."""
    squares: Map = np.einsum("iv,iv->v", values, values)
    return squares


def unless_perfect(squares: Numbers, total: Numbers) -> Numbers:
    """Return residual sums of squares, NaN where they are rounding of the sums of squares of the data.

    Parameters
    ----------
    squares, total : ndarray
        Of shapes that go together.
    """
    return np.where(squares > PERFECT_FIT * total, squares, np.nan)
