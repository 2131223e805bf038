"""Which contrasts a design can estimate, and which rows of a contrast say something new."""

import numpy as np
from scipy import linalg

from bidsapp.errors import ModelError

# A direction of the design or of a contrast shorter than this part of the longest one is rounding.
RANK_TOLERANCE = 1e-9
# A weight vector that changes by more than this part of its length when projected on the rows of the
# design is not a combination of them (Searle 1971, section 5.4).
ESTIMABLE_TOLERANCE = 1e-7


def find_rank(matrix):
    """Return the rank of a design, whatever the units of its columns."""
    lengths = np.linalg.norm(matrix, axis=0)
    scaled = matrix / np.where(lengths > 0, lengths, 1.0)
    values = np.linalg.svd(scaled, compute_uv=False)
    return int(np.sum(values > RANK_TOLERANCE * max(values.max(initial=0.0), 1.0)))


def invert_gram(matrix):
    """Return a generalised inverse of X'X, (n_columns, n_columns), whatever the units of the columns."""
    lengths = np.linalg.norm(matrix, axis=0)
    scale = np.where(lengths > 0, lengths, 1.0)
    scaled = np.linalg.pinv(matrix / scale, rcond=RANK_TOLERANCE)
    return scaled @ scaled.T / np.outer(scale, scale)


def is_estimable(matrix, weights):
    """Return whether all rows of weights, (n_rows, n_columns), are combinations of rows of the design."""
    lengths = np.linalg.norm(matrix, axis=0)
    scale = np.where(lengths > 0, lengths, 1.0)
    _, values, directions = np.linalg.svd(matrix / scale, full_matrices=False)
    basis = directions[values > RANK_TOLERANCE * max(values.max(initial=0.0), 1.0)]
    scaled = weights / scale
    outside = scaled - scaled @ basis.T @ basis
    return bool(
        np.all(np.linalg.norm(outside, axis=1) <= ESTIMABLE_TOLERANCE * np.linalg.norm(scaled, axis=1))
    )


def reduce_rows(weights):
    """Return the first linearly independent rows of weights, shape (n_rows, n_columns)."""
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    scaled = weights / np.where(lengths > 0, lengths, 1.0)
    kept = []
    for row in range(len(weights)):
        if np.linalg.matrix_rank(scaled[[*kept, row]], tol=RANK_TOLERANCE) == len(kept) + 1:
            kept.append(row)
    return weights[kept]


def find_redundant_columns(matrix, columns):
    """Return the names of columns that the columns before them make up.

    A column of zeros is one of them.
    """
    lengths = np.linalg.norm(matrix, axis=0)
    scaled = matrix / np.where(lengths > 0, lengths, 1.0)
    kept, redundant = [], []
    for index, name in enumerate(columns):
        tried = scaled[:, [*kept, index]]
        if linalg.svdvals(tried).min(initial=np.inf) > RANK_TOLERANCE and tried.shape[0] >= tried.shape[1]:
            kept.append(index)
        else:
            redundant.append(name)
    return redundant


def check_contrasts(design):
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
