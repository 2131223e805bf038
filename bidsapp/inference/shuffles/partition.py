"""Split a group design into the effect that a contrast tests and the nuisance around it.

The effect columns X and the nuisance columns Z are orthogonal and span the design together (Beckmann
2001; Ridgway 2009; Winkler 2014, appendix); a voxel's test depends on their orthonormal bases alone.
"""

from dataclasses import dataclass

import numpy as np

from bidsapp.errors import ModelError
from bidsapp.records.arrays import Matrix
from bidsapp.stats.linear import RANK_TOLERANCE, reduce_rows


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Orthonormal bases of the effect and of the nuisance of one contrast.

    Attributes
    ----------
    effect : ndarray, shape (n_subjects, n_rows)
        For one row the sign is such that a positive coefficient is a positive effect.
    nuisance : ndarray, shape (n_subjects, n_nuisance)
    effect_columns : ndarray, shape (n_subjects, n_rows)
        X itself: its coefficients are the contrast's effects.
    dof : int
        Residual degrees of freedom of the whole design.
    """

    effect: Matrix
    nuisance: Matrix
    effect_columns: Matrix
    dof: int

    @property
    def n_rows(self) -> int:
        """The rank of the contrast."""
        return int(self.effect.shape[1])

    @property
    def basis(self) -> Matrix:
        """Effect and nuisance side by side, shape (n_subjects, rank of the design)."""
        return np.hstack([self.effect, self.nuisance])


def partition_design(matrix: Matrix, weights: Matrix) -> Partition:
    """Return the partition of a design for a contrast.

    Parameters
    ----------
    matrix : ndarray, shape (n_subjects, n_columns)
    weights : ndarray, shape (n_rows, n_columns)
        Linearly dependent rows are reduced.

    Raises
    ------
    ModelError
        When the contrast cannot be estimated or no degrees of freedom remain.
    """
    matrix = np.asarray(matrix, float)
    # Columns of length 1, or the intercept beside a scan date in seconds would pass for rounding.
    lengths = np.linalg.norm(matrix, axis=0)
    lengths[lengths == 0] = 1.0
    matrix = matrix / lengths
    weights = _independent_rows(np.atleast_2d(np.asarray(weights, float)) / lengths)
    rank = np.linalg.matrix_rank(matrix, tol=RANK_TOLERANCE * np.linalg.norm(matrix, 2))
    dof = len(matrix) - rank
    if dof < 1:
        raise ModelError(
            f"the group design has {len(matrix)} rows and rank {rank}: no degrees of freedom remain. "
            "Add subjects or leave out columns."
        )
    pseudo_inverse = np.linalg.pinv(matrix, rcond=RANK_TOLERANCE)
    if not np.allclose(weights @ pseudo_inverse @ matrix, weights, atol=1e-7 * np.abs(weights).max()):
        raise ModelError("the contrast cannot be estimated from this design. Change its weights.")
    covariance = pseudo_inverse @ pseudo_inverse.T
    columns = matrix @ covariance @ weights.T @ np.linalg.inv(weights @ covariance @ weights.T)
    effect = _orthonormal(columns)
    if effect.shape[1] == 1:
        effect = effect * np.sign(effect[:, 0] @ columns[:, 0])
    design = _orthonormal(matrix)
    nuisance = _orthonormal(design - effect @ (effect.T @ design), scale=1.0)
    return Partition(effect, nuisance[:, : rank - effect.shape[1]], columns, int(dof))


def drop_fixed(nuisance: Matrix, fixed: Matrix) -> Matrix:
    """Return the basis of the nuisance without its directions that no shuffle changes.

    Residuals are orthogonal to the nuisance; along a direction that every shuffle maps to itself they stay
    so, and its coefficient need not be computed again. ``fixed`` spans the vectors that shuffles keep.
    """
    if nuisance.shape[1] == 0 or fixed.shape[1] == 0:
        return nuisance
    shared = _orthonormal(fixed)
    _, cosines, directions = np.linalg.svd(shared.T @ nuisance)
    n_shared = int(np.count_nonzero(cosines > 1 - 1e-9))
    changing: Matrix = nuisance @ directions[n_shared:].T
    return changing


def _independent_rows(weights: Matrix) -> Matrix:
    """Return rows that span the same contrast, as many as its rank."""
    rows = reduce_rows(weights[np.any(weights, axis=1)])
    if not len(rows):
        raise ModelError("the contrast has only zero weights.")
    return rows


def _orthonormal(columns: Matrix, scale: float | None = None) -> Matrix:
    """Return an orthonormal basis of the column space; values small against ``scale`` count as zero."""
    if columns.shape[1] == 0:
        return columns
    left, values, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, values > RANK_TOLERANCE * 10 * (values[0] if scale is None else scale)]
