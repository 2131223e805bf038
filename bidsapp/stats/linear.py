"""Which contrasts a design can estimate, and which rows of a contrast say something new."""

from collections.abc import Sequence

import numpy as np
from scipy import linalg

from bidsapp.errors import ModelError
from bidsapp.records.arrays import Map, Maps, Mask, Matrix, Numbers
from bidsapp.records.maps import GroupDesign

# A direction of the design or of a contrast shorter than this part of the longest one is rounding.
RANK_TOLERANCE = 1e-9
# A weight vector that changes by more than this part of its length when projected on the rows of the
# design is not a combination of them (Searle 1971, section 5.4).
ESTIMABLE_TOLERANCE = 1e-7
# Residual sums of squares below this part of the total are rounding: the voxel is fitted perfectly, for
# example because all inputs are the same, and has no statistic.
PERFECT_FIT = 1e-20


def scale_columns(matrix: Matrix) -> tuple[Matrix, Numbers]:
    """Return a design with columns of length 1, and their lengths; 1 for a column of zeros."""
    lengths = np.linalg.norm(matrix, axis=0)
    scale = np.where(lengths > 0, lengths, 1.0)
    return matrix / scale, scale


def are_directions(values: Numbers) -> Mask:
    """Return which singular values, the largest first, are more than rounding."""
    return values > RANK_TOLERANCE * values[:1]


def find_rank(matrix: Matrix) -> int:
    """Return the rank of a design, whatever the units of its columns."""
    scaled, _ = scale_columns(matrix)
    return int(np.sum(are_directions(np.linalg.svd(scaled, compute_uv=False))))


def invert_gram(matrix: Matrix) -> Matrix:
    """Return a generalised inverse of X'X, (n_columns, n_columns), whatever the units of the columns."""
    scaled, scale = scale_columns(matrix)
    inverse = np.linalg.pinv(scaled, rcond=RANK_TOLERANCE)
    return inverse @ inverse.T / np.outer(scale, scale)


def is_estimable(matrix: Matrix, weights: Matrix) -> bool:
    """Return whether all rows of weights, (n_rows, n_columns), are combinations of rows of the design."""
    scaled, scale = scale_columns(matrix)
    _, values, directions = np.linalg.svd(scaled, full_matrices=False)
    basis, rows = directions[are_directions(values)], weights / scale
    outside = rows - rows @ basis.T @ basis
    return bool(np.all(np.linalg.norm(outside, axis=1) <= ESTIMABLE_TOLERANCE * np.linalg.norm(rows, axis=1)))


def reduce_rows(weights: Matrix) -> Matrix:
    """Return the first linearly independent rows of weights, shape (n_rows, n_columns)."""
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    scaled = weights / np.where(lengths > 0, lengths, 1.0)
    kept: list[int] = []
    for row in range(len(weights)):
        if np.linalg.matrix_rank(scaled[[*kept, row]], tol=RANK_TOLERANCE) == len(kept) + 1:
            kept.append(row)
    return weights[kept]


def find_redundant_columns(matrix: Matrix, columns: Sequence[str]) -> list[str]:
    """Return the names of columns that the columns before them make up.

    A column of zeros is one of them.
    """
    scaled, _ = scale_columns(matrix)
    kept: list[int] = []
    redundant = []
    for index, name in enumerate(columns):
        tried = scaled[:, [*kept, index]]
        if linalg.svdvals(tried).min(initial=np.inf) > RANK_TOLERANCE and tried.shape[0] >= tried.shape[1]:
            kept.append(index)
        else:
            redundant.append(name)
    return redundant


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
