"""The t or F statistic of every voxel under every shuffle (Freedman-Lane 1983, as in Winkler 2014).

Instead of the data, the rows of the orthonormal basis are shuffled. With e the residuals of the data on
the nuisance, scaled to length 1, b the coefficients of the effect's basis on shuffled e and a those of the
nuisance's basis, ``w**2 = |b|**2 / (1 - |a|**2)`` is the share of variance that the effect explains; t and F
are monotone functions of w.
"""

from dataclasses import dataclass

import numba
import numpy as np

from bidsapp.inference.fast.screening import GROUP, SMALLEST_REST
from bidsapp.inference.shuffles.make import Shuffles
from bidsapp.inference.shuffles.partition import Partition
from bidsapp.inference.voxels.test import VoxelTest
from bidsapp.records.arrays import Labels, Maps, Mask, Matrix, Numbers
from bidsapp.stats.blocks import STRETCH, cut

# A residual below this share of the data is rounding: the voxel is constant.
CONSTANT = 1e-10
# Entries of orthonormal columns, and sums of them, that differ by less are the same.
SAME = 1e-9
# Beyond this share of explained over residual squares w is 1.
LARGEST_RATIO = 1e300


@dataclass(frozen=True, slots=True, eq=False)
class LinearTest(VoxelTest):
    """t or F; ``data`` are of length 1, and ``nuisance`` lacks the directions that shuffles do not change."""

    def weights(self, shuffles: Shuffles, which: slice) -> Numbers:
        """Return the shuffled basis, shape (n, n_rows + n_nuisance, n_subjects)."""
        basis = np.hstack([self.partition.effect * self.direction, self.nuisance])
        return np.ascontiguousarray(shuffles.apply(basis, which))

    def sign_tables(self, shuffles: Shuffles, weights: Numbers) -> tuple[Labels, Numbers]:
        """Return rows of the tables of signed sums and the scale of each subject, where these suffice.

        That is so when the weights are a fixed scale times signs; a permuted regressor of two values is, up
        to a constant, which means nothing to residuals that sum to zero. Elsewhere there are no columns.
        """
        n_shuffles, n_subjects = len(weights), len(self.data)
        nothing = np.zeros((n_shuffles, 0), np.int32), np.ones(n_subjects)
        if weights.shape[1] > 1:
            return nothing
        if shuffles.scheme == "sign-flip":
            scale = self.partition.effect[:, 0] * self.direction
            return table_rows(weights[:, 0] * np.sign(scale) < 0), scale
        values = self.partition.effect[:, 0] * self.direction
        low, high = values.min(), values.max()
        is_high = values > (low + high) / 2
        two_valued = np.ptp(values[is_high]) < SAME and np.ptp(values[~is_high]) < SAME
        if shuffles.scheme != "permutation" or not two_valued or not self._sums_to_zero():
            return nothing
        return table_rows(weights[:, 0] < (low + high) / 2), np.full(n_subjects, (high - low) / 2)

    def _sums_to_zero(self) -> bool:
        ones = np.ones(len(self.data))
        nuisance = self.partition.nuisance
        return bool(np.abs(ones - nuisance @ (nuisance.T @ ones)).max() < SAME)

    def statistic(self, w: Maps) -> Maps:
        """Return t or F from w."""
        n_rows, dof = self.dof
        ratio = np.square(w) / np.maximum(1.0 - np.square(w), SMALLEST_REST) * (dof / n_rows)
        return np.copysign(np.sqrt(ratio), w) if n_rows == 1 else ratio

    def to_w(self, statistic: Maps | float) -> Maps:
        """Return w from t or F; infinity is 1."""
        n_rows, dof = self.dof
        ratio = np.minimum(np.square(statistic) if n_rows == 1 else statistic * n_rows, LARGEST_RATIO)
        return np.copysign(np.sqrt(ratio / (dof + ratio)), statistic)

    def maps(self, shuffles: Shuffles, which: slice) -> Maps:
        """Return t, with its sign, or F."""
        weights = self.weights(shuffles, which)
        n_shuffles, n_weights, n_subjects = weights.shape
        maps = np.empty((n_shuffles, self.data.shape[1]))
        for points in cut(maps.shape[1], STRETCH):
            product = weights.reshape(-1, n_subjects) @ self.data[:, points]
            fill_statistic(product.reshape(n_shuffles, n_weights, -1), self.dof, maps, points.start)
        return maps


@numba.njit(cache=True, nogil=True, error_model="numpy")
def fill_statistic(coefficients: Numbers, dof: tuple[float, float], maps: Maps, start: int) -> None:
    """Fill the points from ``start`` with t or F.

    Parameters
    ----------
    coefficients : ndarray, shape (n_shuffles, n_rows + n_nuisance, n_points)
    dof : tuple of float
        The number of effects and the residual degrees of freedom.
    maps : ndarray, shape (n_shuffles, all points)
    """
    n_shuffles, n_weights, n_points = coefficients.shape
    n_rows, scale = int(dof[0]), dof[1] / dof[0]
    explained, rest = np.empty(n_points), np.empty(n_points)
    # Effects add to what is explained, the nuisance takes from what is left: shares, of data of length 1.
    for j in range(n_shuffles):
        explained[:] = 0.0
        rest[:] = 1.0
        for k in range(n_weights):
            row, total, sign = (
                coefficients[j, k],
                explained if k < n_rows else rest,
                1.0 if k < n_rows else -1.0,
            )
            for v in range(n_points):
                total[v] += sign * row[v] * row[v]
        first, out = coefficients[j, 0], maps[j, start : start + n_points]
        for v in range(n_points):
            share = explained[v] / (rest[v] if rest[v] > SMALLEST_REST else SMALLEST_REST)
            left = 1.0 - share
            ratio = share / (left if left > SMALLEST_REST else SMALLEST_REST) * scale
            out[v] = np.copysign(np.sqrt(ratio), first[v]) if n_rows == 1 else ratio


def table_rows(is_minus: Mask) -> Labels:
    """Return the rows of the tables of signed sums (``screening.build_tables``) for patterns of signs."""
    columns = []
    for start in range(0, is_minus.shape[1], GROUP):
        bits = is_minus[:, start : start + GROUP]
        columns.append(bits @ (1 << np.arange(bits.shape[1])) + ((start // GROUP) << GROUP))
    return np.ascontiguousarray(np.stack(columns, axis=1), np.int32)


def prepare_linear_test(
    effects: Maps, partition: Partition, nuisance: Matrix, *, direction: int = 1
) -> LinearTest:
    """Return the test of a partition on data of shape (n_subjects, n_points)."""
    data: Maps = np.empty(effects.shape)
    usable = np.empty(data.shape[1], bool)
    for points in cut(data.shape[1], STRETCH):
        data[:, points], usable[points] = _standardise(effects[:, points], partition)
    name, dof = "t" if partition.n_rows == 1 else "F", (float(partition.n_rows), float(partition.dof))
    return LinearTest(name, partition, nuisance, data, usable, dof, direction)


def _standardise(effects: Maps, partition: Partition) -> tuple[Maps, Mask]:
    """Return the residuals on the nuisance, of length 1, and where the test can be made."""
    data = np.array(effects, float)
    finite = np.isfinite(data).all(axis=0)
    data[:, ~finite] = 0.0
    total = np.sqrt(np.square(data).sum(axis=0))
    if partition.nuisance.shape[1]:
        data -= partition.nuisance @ (partition.nuisance.T @ data)
    squares = np.square(data).sum(axis=0)
    length = np.sqrt(squares)
    rest = squares - np.square(partition.effect.T @ data).sum(axis=0)
    usable = finite & (length > CONSTANT * total) & (rest > CONSTANT * np.square(total))
    return data * np.where(usable, 1.0 / np.where(usable, length, 1.0), 0.0), usable
