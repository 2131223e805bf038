"""What can be known of a design before any data is read: rank, estimability, inflation of variance."""

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from bidsapp.records.arrays import Mask, Matrix, Numbers

# Columns that depend on each other do so to rounding error, about 1e-15; real designs stay above 1e-8.
RANK_TOLERANCE = 1e-9
# Shares of a null vector below this are rounding error.
SHARE_TOLERANCE = 1e-6
# A convolved regressor of events outside its run is below this.
ROUNDING = 1e-12


def design_rank(matrix: Matrix) -> int:
    """Return the rank of a design, whatever the units of its columns."""
    return len(_basis(matrix)[0])


def condition_number(matrix: Matrix) -> float:
    """Return the condition number of a design with columns scaled to length 1; inf when deficient."""
    if not matrix.size:
        return float("nan")
    values = np.linalg.svd(_scaled(matrix)[0], compute_uv=False)
    if len(values) < matrix.shape[1] or values[-1] <= RANK_TOLERANCE * values[0]:
        return float("inf")
    return float(values[0] / values[-1])


def dependent_columns(matrix: Matrix, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the groups of columns that depend on each other, as tuples of names; zero columns alone."""
    scaled, norms = _scaled(matrix)
    groups: list[tuple[str, ...]] = [(columns[index],) for index in np.flatnonzero(norms == 0).tolist()]
    null = _null_space(scaled[:, norms > 0])
    kept = [name for name, norm in zip(columns, norms, strict=True) if norm > 0]
    if null.shape[1]:
        involved = np.abs(null).max(axis=1) > SHARE_TOLERANCE
        groups += _components(null, involved, kept)
    return groups


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
        self._scaled, self._norms = _scaled(matrix)
        self._kept = self._norms > 0

    def inestimable_reason(self, weights: Matrix) -> str | None:
        """Return why a contrast can not be estimated, or None when it can.

        Parameters
        ----------
        weights : ndarray, shape (n_rows, n_columns)
        """
        used = np.abs(weights).max(axis=0) > 0
        zero = [
            name for name, kept, use in zip(self.columns, self._kept, used, strict=True) if use and not kept
        ]
        if zero:
            return f"{_listed(zero)} {'is' if len(zero) == 1 else 'are'} zero at every volume or input"
        if not self._null.shape[1]:
            return None
        rows = weights[:, self._kept] / self._norms[self._kept]
        shares = rows @ self._null
        if (np.abs(shares) <= SHARE_TOLERANCE * np.linalg.norm(rows, axis=1, keepdims=True)).all():
            return None
        direction = self._null @ shares[np.abs(shares).max(axis=1).argmax()]
        involved = np.abs(direction) > SHARE_TOLERANCE * np.abs(direction).max()
        names = np.array(self.columns)[self._kept][involved]
        return f"it can not be told apart: {_listed(names)} depend on each other"

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
        return _null_space(self._scaled[:, self._kept])

    @cached_property
    def _inverse(self) -> Matrix:
        """The generalised inverse, taken of columns of equal length."""
        return np.linalg.pinv(self._scaled[:, self._kept], rcond=RANK_TOLERANCE)

    @cached_property
    def _sizes(self) -> Numbers:
        """Sums of squares of the columns, centred where they vary."""
        centred: Numbers = np.square(self.matrix - self.matrix.mean(axis=0)).sum(axis=0)
        plain: Numbers = np.square(self.matrix).sum(axis=0)
        return np.where(centred > 1e-12 * np.maximum(plain, 1e-300), centred, plain)

    def _covariance(self, weights: Matrix) -> Matrix:
        """Return C (X'X)^- C'."""
        rows = (weights[:, self._kept] / self._norms[self._kept]) @ self._inverse
        covariance: Matrix = rows @ rows.T
        return covariance


def independent_rows(weights: ArrayLike) -> Matrix:
    """Return the rows of a contrast without those that follow from the rows before them."""
    kept: list[Numbers] = []
    for row in np.asarray(weights, float):
        if design_rank(np.array([*kept, row]).T) > len(kept):
            kept.append(row)
    return np.array(kept)


def _scaled(matrix: Matrix) -> tuple[Matrix, Numbers]:
    """Return the columns at length 1, and their lengths, 0 where a column is rounding error.

    That is measured by values of 1 at most: a column in large units makes no other one zero.
    """
    norms = np.linalg.norm(matrix, axis=0)
    longest = min(norms.max(initial=0.0), np.sqrt(len(matrix)))
    norms = np.where(norms > ROUNDING * longest, norms, 0.0)
    return matrix / np.where(norms > 0, norms, 1.0), norms


def _basis(matrix: Matrix) -> tuple[Numbers, Matrix]:
    if not matrix.size:
        return np.zeros(0), np.zeros((0, matrix.shape[1]))
    _, values, vectors = np.linalg.svd(_scaled(matrix)[0], full_matrices=False)
    keep = values > RANK_TOLERANCE * values.max(initial=0.0)
    return values[keep], vectors[keep]


def _null_space(scaled: Matrix) -> Matrix:
    """Return an orthonormal basis of what the columns can not tell, shape (n_columns, n_directions)."""
    if not scaled.shape[1]:
        return np.zeros((0, 0))
    # All directions need the full matrices where columns are more than rows; else these only cost time.
    wide = scaled.shape[0] < scaled.shape[1]
    _, values, vectors = np.linalg.svd(scaled, full_matrices=wide)
    rank = int((values > RANK_TOLERANCE * values.max(initial=0.0)).sum())
    return vectors[rank:].T


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


def _listed(names: Iterable[str]) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
