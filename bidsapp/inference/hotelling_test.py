"""Hotelling's T2 of several maps a subject, under every shuffle of whole subjects (Hotelling 1931).

Shuffles keep the subjects' vectors whole, so the inner products of the data are the same under all of them.
With data whitened by these, b the coefficients of the effect (one per map) and a those of the nuisance,
``w**2 = b' (1 - a a')**-1 b`` and T2 is ``dof * w**2 / (1 - w**2)``.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from bidsapp.errors import ModelError
from bidsapp.inference.linear_test import CONSTANT, SMALLEST_REST
from bidsapp.inference.partition import Partition
from bidsapp.stats.distributions import f_to_z


@dataclass(frozen=True, slots=True, eq=False)
class HotellingTest:
    """A one-row contrast between subjects of several maps each, ready to be shuffled.

    The statistic is T2 turned into F: ``(dof - q + 1) / (dof * q) * T2`` for q maps.

    Attributes
    ----------
    nuisance : ndarray, shape (n_subjects, n)
        Without the directions that shuffles do not change.
    data : ndarray of float64, shape (n_subjects, n_maps, n_points)
        Residuals on the nuisance, whitened; zero where the test cannot be made.
    usable : ndarray of bool, shape (n_points,)
    """

    partition: Partition
    nuisance: np.ndarray
    data: np.ndarray
    usable: np.ndarray
    direction: int = 1

    name = "T2"
    is_signed = False

    @property
    def dof(self):
        """Numerator and residual degrees of freedom of the F."""
        n_maps = self.data.shape[1]
        return float(n_maps), float(self.partition.dof - n_maps + 1)

    def maps(self, shuffles, which):
        """Return the F of some shuffles, shape (n, n_points)."""
        basis = np.hstack([self.partition.effect, self.nuisance])
        weights = shuffles.apply(basis, which)
        n_maps, dof = self.dof
        coefficients = np.einsum("jki,iqv->jkvq", weights, self.data, optimize=True)
        effect, rest = coefficients[:, 0], np.eye(int(n_maps))
        explained = np.square(effect).sum(axis=-1)
        if self.nuisance.shape[1]:
            rest = rest - np.einsum("jkvq,jkvr->jvqr", coefficients[:, 1:], coefficients[:, 1:])
            explained = np.einsum("jvq,jvq->jv", effect, np.linalg.solve(rest, effect[..., None])[..., 0])
        return explained / np.maximum(1.0 - explained, SMALLEST_REST) * (dof / n_maps)

    def observed(self, shuffles):
        """Return the observed F, shape (n_points,)."""
        return self.maps(shuffles, slice(0, 1))[0]

    def cutoff(self, p):
        """Return F with an upper-tail p."""
        return float(special.fdtri(*self.dof, 1 - p))

    def z(self, statistic):
        """Return z-values of the same p."""
        return f_to_z(statistic, *self.dof)


def prepare_hotelling_test(effects, partition, nuisance):
    """Return the test of a partition on data of shape (n_subjects, n_maps, n_points)."""
    data = np.array(effects, float)
    n_subjects, n_maps, _ = data.shape
    if partition.n_rows > 1:
        raise ModelError("Hotelling's T2 needs a contrast of one row between subjects.")
    if partition.dof < n_maps:
        raise ModelError(f"Hotelling's T2 of {n_maps} maps needs more subjects than {n_subjects}.")
    finite = np.isfinite(data).all(axis=(0, 1))
    data[:, :, ~finite] = 0.0
    flat = data.reshape(n_subjects, -1)
    data = (flat - partition.nuisance @ (partition.nuisance.T @ flat)).reshape(data.shape)
    products = np.einsum("iqv,irv->vqr", data, data)
    sizes = np.linalg.eigvalsh(products)
    usable = finite & (sizes[:, 0] > CONSTANT * sizes[:, -1]) & (sizes[:, -1] > 0)
    products[~usable] = np.eye(n_maps)
    whitened = np.linalg.solve(np.linalg.cholesky(products), data.transpose(2, 1, 0))
    data = np.ascontiguousarray(whitened.transpose(2, 1, 0))
    data[:, :, ~usable] = 0.0
    return HotellingTest(partition, nuisance, data, usable)
