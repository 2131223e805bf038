"""The least-squares statistic without each input, from the fit of all of them.

Taking a row off a design is a change of rank one: with r the residual of the input, h its leverage and
a = C (X'X)^- x, the effect moves by -a r / (1 - h), the residual squares by -r^2 / (1 - h), and C (X'X)^- C'
by a a' / (1 - h) (Cook and Weisberg 1982). Nothing is fitted again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bidsapp.records.arrays import Map, Maps, Matrix
from bidsapp.stats.blocks import find_patterns
from bidsapp.stats.group.influence import FULL_LEVERAGE
from bidsapp.stats.linear import find_rank, invert_gram, is_estimable, sum_squares, unless_perfect

# A weight below this is that of an input which the contrast does not use.
UNUSED = 1e-9


def leave_each_out(effects: Maps, matrix: Matrix, weights: Matrix) -> Iterator[Map]:
    """Yield the statistic of a contrast without the first input, without the second, ...

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_voxels)
        NaN where an input has no data: without it nothing changes there.
    matrix : ndarray, shape (n_inputs, n_columns)
    weights : ndarray, shape (n_rows, n_columns)
        Of full row rank.

    Yields
    ------
    ndarray, shape (n_voxels,)
        t where the contrast has one row, else F; NaN where the others do not estimate it.
    """
    weights = np.atleast_2d(weights)
    fits = [
        (rows, voxels, _fit(np.asarray(effects[np.ix_(rows, voxels)], float), matrix[rows], weights))
        for rows, voxels in find_patterns(np.isfinite(effects))
        if is_estimable(matrix[rows], weights)
    ]
    whole = np.full(effects.shape[1], np.nan)
    for _, voxels, fit in fits:
        whole[voxels] = fit.statistic
    for index in range(len(effects)):
        found = whole.copy()
        for rows, voxels, fit in fits:
            place = np.flatnonzero(rows == index)
            if len(place):
                found[voxels] = fit.without(int(place[0]))
        yield found


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """The fit of the inputs that some voxels have; ``weights`` are those of the contrast."""

    effects: Maps
    matrix: Matrix
    weights: Matrix
    inverse: Matrix
    coefficients: Maps
    squares: Map
    total: Map
    dof: int

    @property
    def statistic(self) -> Map:
        """Return the statistic of all inputs."""
        unscaled = self.weights @ self.inverse @ self.weights.T
        return _statistic(self.weights @ self.coefficients, unscaled, self.squares, self.dof)

    def without(self, index: int) -> Map:
        """Return the statistic without an input."""
        row, values = self.matrix[index], self.effects[index]
        kept = 1.0 - row @ self.inverse @ row
        carried = self.weights @ self.inverse @ row
        if kept < FULL_LEVERAGE:
            # The input alone tells one direction of the design; with it goes what it is told by.
            return self.statistic if np.abs(carried).max() < UNUSED else np.full(len(values), np.nan)
        residual = values - row @ self.coefficients
        effect = self.weights @ self.coefficients - carried[:, None] * (residual / kept)
        squares = unless_perfect(self.squares - np.square(residual) / kept, self.total)
        unscaled = self.weights @ self.inverse @ self.weights.T + np.outer(carried, carried) / kept
        return _statistic(effect, unscaled, squares, self.dof - 1)


def _fit(effects: Maps, matrix: Matrix, weights: Matrix) -> _Fit:
    inverse = invert_gram(matrix)
    coefficients = inverse @ (matrix.T @ effects)
    total = sum_squares(effects)
    squares = unless_perfect(sum_squares(effects - matrix @ coefficients), total)
    dof = len(matrix) - find_rank(matrix)
    return _Fit(effects, matrix, weights, inverse, coefficients, squares, total, dof)


def _statistic(effect: Maps, unscaled: Matrix, squares: Map, dof: int) -> Map:
    if dof <= 0:
        return np.full(len(squares), np.nan)
    if len(effect) == 1:
        t: Map = effect[0] / np.sqrt(unscaled[0, 0] * (squares / dof))
        return t
    wald: Map = np.einsum("rv,rv->v", effect, np.linalg.solve(unscaled, effect))
    return wald / (len(effect) * squares / dof)
