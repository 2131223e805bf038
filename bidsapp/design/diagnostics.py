"""What can be known of a design before any data is read: conditioning, reasons, inflation of variance."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from bidsapp.errors import some_names
from bidsapp.records.arrays import Mask, Matrix, Numbers
from bidsapp.stats.linear import RANK_TOLERANCE, are_directions, are_told, find_null_space, scale_columns

# Shares of a null vector below this are rounding error.
SHARE_TOLERANCE = 1e-6
# A column whose squares about its mean are less than this part of its squares does not vary.
CONSTANT = 1e-12


def condition_number(matrix: Matrix) -> float:
    """Return the condition number of a design with columns scaled to length 1; inf when deficient."""
    if not matrix.size:
        return float("nan")
    values = np.linalg.svd(scale_columns(matrix)[0], compute_uv=False)
    if len(values) < matrix.shape[1] or not are_directions(values).all():
        return float("inf")
    return float(values[0] / values[-1])


def dependent_columns(matrix: Matrix, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the groups of columns that depend on each other, as tuples of names; zero columns alone."""
    there = scale_columns(matrix)[0].any(axis=0)
    groups: list[tuple[str, ...]] = [(columns[index],) for index in np.flatnonzero(~there).tolist()]
    null = find_null_space(matrix[:, there])
    involved = np.abs(null).max(axis=1, initial=0.0) > SHARE_TOLERANCE
    return groups + _components(null, involved, np.array(columns)[there].tolist())


class Diagnosis:
    """What a design says of its contrasts; it is decomposed once for all of them.

    Parameters
    ----------
    matrix : ndarray, shape (n_volumes or n_inputs, n_columns)
    columns : sequence of str
        Their names, for reasons.
    """

    def __init__(self, matrix: Matrix, columns: Sequence[str] = ()) -> None:
        self.matrix = matrix
        self.columns = columns or [""] * matrix.shape[1]
        scaled, scale = scale_columns(matrix)
        self._kept = scaled.any(axis=0)
        self._scaled, self._scale = scaled[:, self._kept], scale[self._kept]

    def inestimable_reason(self, weights: Matrix) -> str | None:
        """Return why a contrast can not be estimated, or None when it can.

        Parameters
        ----------
        weights : ndarray, shape (n_rows, n_columns)
        """
        zero = np.array(self.columns)[~self._kept & np.any(weights, axis=0)]
        if len(zero):
            return f"{some_names(zero)} {'is' if len(zero) == 1 else 'are'} zero at every volume or input"
        rows = weights[:, self._kept] / self._scale
        if are_told(rows, self._null).all():
            return None
        shares = rows @ self._null
        direction = self._null @ shares[np.abs(shares).max(axis=1).argmax()]
        involved = np.abs(direction) > SHARE_TOLERANCE * np.abs(direction).max()
        names = np.array(self.columns)[self._kept][involved]
        return f"it can not be told apart: {some_names(names)} depend on each other"

    def variance_inflation(self, weights: Matrix) -> float:
        """Return how much the correlation between columns inflates the variance of a contrast.

        The variance under this design over that with the same columns, centred and mutually orthogonal
        (the largest over the rows of an F contrast). Differences of columns that correlate positively have
        less than 1. NaN where the contrast can not be estimated.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            actual = np.diagonal(self._covariance(weights))
            ideal = np.nansum(np.where(weights != 0, np.square(weights) / self._sizes, 0.0), axis=1)
            ratio = actual / ideal
        return float(ratio.max()) if np.isfinite(ratio).all() else float("nan")

    def efficiency(self, weights: Matrix) -> float:
        """Return 1 / trace(C (X'X)^- C'): the larger, the smaller the variance; in the units of the columns.

        NaN where the contrast can not be estimated.
        """
        if self.inestimable_reason(weights):
            return float("nan")
        return float(1.0 / np.trace(self._covariance(weights)))

    @cached_property
    def _null(self) -> Matrix:
        return find_null_space(self._scaled)

    @cached_property
    def _inverse(self) -> Matrix:
        """The generalised inverse, taken of columns of equal length."""
        return np.linalg.pinv(self._scaled, rcond=RANK_TOLERANCE)

    @cached_property
    def _sizes(self) -> Numbers:
        """Sums of squares of the columns, centred where they vary."""
        centred: Numbers = np.square(self.matrix - self.matrix.mean(axis=0)).sum(axis=0)
        plain: Numbers = np.square(self.matrix).sum(axis=0)
        return np.where(centred > CONSTANT * plain, centred, plain)

    def _covariance(self, weights: Matrix) -> Matrix:
        """Return C (X'X)^- C'."""
        rows = (weights[:, self._kept] / self._scale) @ self._inverse
        covariance: Matrix = rows @ rows.T
        return covariance


def _components(null: Matrix, involved: Mask, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Group columns that stand together in a null direction."""
    projector = null @ null.T
    linked = (np.abs(projector) > SHARE_TOLERANCE) & involved & involved[:, np.newaxis]
    left, groups = set(np.flatnonzero(involved).tolist()), []
    while left:
        group, frontier = set(), {min(left)}
        while frontier:
            group |= frontier
            frontier = {int(k) for index in frontier for k in np.flatnonzero(linked[index])} - group
        left -= group
        groups.append(tuple(names[index] for index in sorted(group)))
    return groups
