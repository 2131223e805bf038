"""Wilks' lambda of several maps a subject, under every shuffle of whole subjects (Wilks 1932; Rao 1951).

Shuffles keep the subjects' vectors whole, so the inner products of the data are the same under all of them.
With data whitened by these, b the coefficients of the effect (one column a map) and a those of the nuisance,
lambda is ``|1 - a'a - b'b| / |1 - a'a|``. With one effect it is Hotelling's T2.
"""

import numba
import numpy as np

from bidsapp.errors import ModelError
from bidsapp.inference.fast.screening import SMALLEST_REST
from bidsapp.inference.shuffles.make import Shuffles
from bidsapp.inference.shuffles.partition import Partition
from bidsapp.inference.voxels.linear import CONSTANT
from bidsapp.inference.voxels.test import VoxelTest
from bidsapp.records.arrays import Maps, Mask, Matrix, Numbers
from bidsapp.stats.blocks import STRETCH, cut
from bidsapp.stats.group.repeated_measures import rao_f

compiled = numba.njit(cache=True, nogil=True)


class WilksTest(VoxelTest):
    """Rao's F of lambda; ``data`` are whitened, and ``nuisance`` lacks what shuffles do not change."""

    __slots__ = ()

    def maps(self, shuffles: Shuffles, which: slice) -> Maps:
        """Return the F of some shuffles."""
        weights = shuffles.apply(np.hstack([self.partition.effect, self.nuisance]), which)
        log_lambda = np.zeros((len(weights), self.data.shape[2]))
        for points in cut(log_lambda.shape[1], STRETCH):
            data = self.data[:, :, points]
            found = (weights.reshape(-1, len(data)) @ data.reshape(len(data), -1)).reshape(
                *weights.shape[:2], *data.shape[1:]
            )
            fill_log_lambda(found, self.partition.n_rows, log_lambda, points.start)
        n_maps, n_rows = self.data.shape[1], self.partition.n_rows
        return rao_f(log_lambda, n_maps, n_rows, self.partition.dof)[0]


@compiled
def fill_log_lambda(coefficients: Numbers, n_effects: int, log_lambda: Maps, start: int) -> None:
    """Fill the logarithm of lambda from the point ``start``.

    Parameters
    ----------
    coefficients : ndarray, shape (n_shuffles, n_effects + n_nuisance, n_maps, n_points)
    log_lambda : ndarray, shape (n_shuffles, all points)
    """
    n_shuffles, n_weights, n_maps, n_points = coefficients.shape
    rest, kept = np.empty((n_maps, n_maps)), np.empty((n_maps, n_maps))
    for j in range(n_shuffles):
        for v in range(n_points):
            # 1 - a'a, what the nuisance leaves, and 1 - a'a - b'b, what the effects leave of that.
            found = coefficients[j, :, :, v]
            for q in range(n_maps):
                for r in range(q + 1):
                    rest[q, r] = 1.0 if q == r else 0.0
                    for k in range(n_effects, n_weights):
                        rest[q, r] -= found[k, q] * found[k, r]
                    kept[q, r] = rest[q, r]
                    for k in range(n_effects):
                        kept[q, r] -= found[k, q] * found[k, r]
            log_lambda[j, start + v] = log_determinant(kept) - log_determinant(rest)


@compiled
def log_determinant(matrix: Matrix) -> float:
    """Return the logarithm of the determinant of a positive matrix; its lower triangle is used up."""
    # The pivots of an elimination multiply to the determinant.
    total = 0.0
    for k in range(len(matrix)):
        pivot = max(matrix[k, k], SMALLEST_REST)
        total += np.log(pivot)
        for q in range(k + 1, len(matrix)):
            factor = matrix[q, k] / pivot
            for r in range(k + 1, q + 1):
                matrix[q, r] -= factor * matrix[r, k]
    return total


def prepare_wilks_test(effects: Maps, partition: Partition, nuisance: Matrix) -> WilksTest:
    """Return the test of a partition on data of shape (n_subjects, n_maps, n_points)."""
    data, usable = residuals_of_maps(effects, partition)
    n_maps = data.shape[1]
    products = np.einsum("iqv,irv->vqr", data, data)
    products[~usable] = np.eye(n_maps)
    whitened = np.linalg.solve(np.linalg.cholesky(products), data.transpose(2, 1, 0))
    data = np.ascontiguousarray(whitened.transpose(2, 1, 0))
    data[:, :, ~usable] = 0.0
    _, dof = rao_f(np.zeros(1), n_maps, partition.n_rows, partition.dof)
    name = "T2" if partition.n_rows == 1 else "Wilks"
    return WilksTest(name, partition, nuisance, data, usable, dof, 1)


def residuals_of_maps(effects: Maps, partition: Partition) -> tuple[Maps, Mask]:
    """Return the residuals of several maps a subject on the nuisance, and where they can be tested.

    Raises
    ------
    ModelError
        Too few subjects for the covariance of the maps.
    """
    data = np.array(effects, float)
    n_subjects, n_maps, _ = data.shape
    if partition.dof < n_maps:
        raise ModelError(f"a test of {n_maps} maps a subject needs more subjects than {n_subjects}.")
    finite = np.isfinite(data).all(axis=(0, 1))
    data[:, :, ~finite] = 0.0
    length = np.sqrt(np.square(data).sum(axis=0))
    flat = data.reshape(n_subjects, -1)
    data = (flat - partition.nuisance @ (partition.nuisance.T @ flat)).reshape(data.shape)
    explained = np.einsum("ik,iqv->kqv", partition.effect, data)
    rest = np.einsum("iqv,irv->vqr", data, data) - np.einsum("kqv,krv->vqr", explained, explained)
    # In units of the maps, so that none counts as rounding of another.
    unit = np.where(length > 0, length, 1.0).T
    shares = rest / unit[:, :, None] / unit[:, None, :]
    return data, finite & (np.linalg.eigvalsh(shares)[:, 0] > CONSTANT)
