"""Split a group design into the effect that a contrast tests and the nuisance around it.

The effect columns X and the nuisance columns Z are orthogonal and span the design together (Beckmann
2001; Ridgway 2009; Winkler 2014, appendix); a voxel's test depends on their orthonormal bases alone.
"""

from dataclasses import dataclass

import numpy as np

from bidsapp.errors import ModelError
from bidsapp.records.arrays import Matrix
from bidsapp.stats.linear import (
    RANK_TOLERANCE,
    find_rank,
    is_estimable,
    orthonormalise,
    reduce_rows,
    scale_columns,
)

# Squared cosines (cosines) are below 1 by no more than this where directions lie in a space.
SAME_SPAN = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Orthonormal bases of the effect and of the nuisance of one contrast.

    Attributes
    ----------
    effect : ndarray, shape (n_subjects, n_rows)
        For one row the sign is such that a positive coefficient is a positive effect.
    nuisance : ndarray, shape (n_subjects, n_nuisance)
    dof : int
        Residual degrees of freedom of the whole design.
    """

    effect: Matrix
    nuisance: Matrix
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
    # Columns of length 1, or the intercept beside a scan date in seconds would pass for rounding.
    matrix, lengths = scale_columns(np.asarray(matrix, float))
    weights = reduce_rows(np.atleast_2d(np.asarray(weights, float)) / lengths)
    if not len(weights):
        raise ModelError("the contrast has only zero weights.")
    rank = find_rank(matrix)
    dof = len(matrix) - rank
    if dof < 1:
        raise ModelError(
            f"the group design has {len(matrix)} rows and rank {rank}: no degrees of freedom remain. "
            "Add subjects or leave out columns."
        )
    if not is_estimable(matrix, weights):
        raise ModelError("the contrast cannot be estimated from this design. Change its weights.")
    pseudo_inverse = np.linalg.pinv(matrix, rcond=RANK_TOLERANCE)
    covariance = pseudo_inverse @ pseudo_inverse.T
    columns = matrix @ covariance @ weights.T @ np.linalg.inv(weights @ covariance @ weights.T)
    effect = orthonormalise(columns)
    if effect.shape[1] == 1:
        effect = effect * np.sign(effect[:, 0] @ columns[:, 0])
    design = orthonormalise(matrix)
    # What is left has the length of directions of the nuisance, or is rounding: as many as the rank says.
    nuisance = orthonormalise(design - effect @ (effect.T @ design))
    return Partition(effect, nuisance[:, : rank - effect.shape[1]], dof)


def drop_fixed(nuisance: Matrix, fixed: Matrix) -> Matrix:
    """Return the basis of the nuisance without its directions that no shuffle changes.

    Residuals are orthogonal to the nuisance; along a direction that every shuffle maps to itself they stay
    so, and its coefficient need not be computed again. ``fixed`` spans the vectors that shuffles keep.
    """
    if nuisance.shape[1] == 0 or fixed.shape[1] == 0:
        return nuisance
    _, cosines, directions = np.linalg.svd(orthonormalise(fixed).T @ nuisance)
    n_shared = np.count_nonzero(cosines > 1 - SAME_SPAN)
    changing: Matrix = nuisance @ directions[n_shared:].T
    return changing
