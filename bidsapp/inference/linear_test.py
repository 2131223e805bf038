"""The t or F statistic of every voxel under every shuffle (Freedman-Lane 1983, as in Winkler 2014).

Instead of the data, the rows of the orthonormal basis are shuffled; so all shuffles of a voxel are one matrix
product. With e the residuals of the data on the nuisance, scaled to length 1, b the coefficients of
the effect's basis on shuffled e and a those of the nuisance's basis, ``|b|**2 / (1 - |a|**2)`` is the share
of the variance that the effect explains; t and F are monotone functions of it.
"""

from dataclasses import dataclass

import numpy as np

from bidsapp.inference.partition import Partition

# A residual below this share of the data is rounding: the voxel is constant.
CONSTANT = 1e-10
# Keeps t finite where a shuffle explains a voxel completely.
SMALLEST_REST = 1e-14


@dataclass(frozen=True, slots=True, eq=False)
class LinearTest:
    """A contrast with data, ready to be shuffled.

    Attributes
    ----------
    nuisance : ndarray, shape (n_subjects, n)
        Without the directions that shuffles do not change.
    data : ndarray of float64, shape (n_subjects, n_points)
        Residuals on the nuisance, of length 1; zero where the test cannot be made.
    usable : ndarray of bool, shape (n_points,)
    direction : {1, -1}
        -1 turns the sign of a t test, for the negative tail.
    """

    partition: Partition
    nuisance: np.ndarray
    data: np.ndarray
    usable: np.ndarray
    direction: int = 1

    @property
    def name(self):
        """What the statistic is called."""
        return "t" if self.partition.n_rows == 1 else "F"

    @property
    def dof(self):
        """Numerator and residual degrees of freedom."""
        return float(self.partition.n_rows), float(self.partition.dof)

    def maps(self, shuffles, which):
        """Return the statistic of some shuffles, shape (n, n_points); t has a sign."""
        n_rows = self.partition.n_rows
        basis = np.hstack([self.partition.effect * self.direction, self.nuisance])
        rows = shuffles.apply(basis, which)
        coefficients = (rows.reshape(-1, rows.shape[2]) @ self.data).reshape(*rows.shape[:2], -1)
        explained = np.square(coefficients[:, :n_rows]).sum(axis=1)
        rest = 1.0 - np.square(coefficients[:, n_rows:]).sum(axis=1) - explained
        ratio = explained / np.maximum(rest, SMALLEST_REST) * (self.partition.dof / n_rows)
        return np.copysign(np.sqrt(ratio), coefficients[:, 0]) if n_rows == 1 else ratio


def prepare_linear_test(effects, partition, nuisance, *, direction=1):
    """Return the test of a partition on data of shape (n_subjects, n_points)."""
    data = np.array(effects, float)
    finite = np.isfinite(data).all(axis=0)
    data[:, ~finite] = 0.0
    total = np.sqrt(np.square(data).sum(axis=0))
    data -= partition.nuisance @ (partition.nuisance.T @ data)
    length = np.sqrt(np.square(data).sum(axis=0))
    rest = np.square(data).sum(axis=0) - np.square(partition.effect.T @ data).sum(axis=0)
    usable = finite & (length > CONSTANT * total) & (rest > CONSTANT * np.square(total))
    data *= np.where(usable, 1.0 / np.where(usable, length, 1.0), 0.0)
    return LinearTest(partition, nuisance, data, usable, direction)
