"""Sums over time of the least-squares residuals: what the likelihood of an AR process needs of a voxel."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.records.arrays import Matrices, Matrix
from bidsapp.stats.noise.lagged_design import LaggedDesign
from bidsapp.stats.noise.residual_kernels import take_fit

if TYPE_CHECKING:
    from bidsapp.stats.run.sums import SeriesSums

# Voxels at a time, a task of a thread.
CHUNK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class ResidualSums:
    """Of the residuals r of some voxels.

    Attributes
    ----------
    products : ndarray, shape (n_voxels, p + 1)
        r'D_k r.
    departures : ndarray of float32, shape (n_voxels, p, rank)
        Q'D_k r of lags 1 to p; Q'r is zero.
    ends : ndarray of float32, shape (n_voxels, 2 n_runs * p)
        As ``lagged_design.take_ends`` has them.
    """

    products: Matrix
    departures: Matrices
    ends: Matrix


def make_residual_sums(sums: "SeriesSums", design: LaggedDesign, n_threads: int = 1) -> ResidualSums:
    """Return the ResidualSums of every voxel of a SeriesSums."""
    n_voxels, order = len(sums.cross), len(sums.squares) - 1
    departures = sums.departures
    if order == 1:  # these sums hold the lag itself
        departures = (sums.cross[:, 1] - sums.cross[:, 0] @ design.inner[1]).astype(np.float32)[:, None]
    products = np.empty((n_voxels, order + 1))
    inner = np.ascontiguousarray(design.inner[1:].transpose(1, 0, 2).reshape(len(design.inner[0]), -1))
    ends = np.empty((n_voxels, design.ends.shape[0] * order), np.float32)

    def fill(start: int) -> None:
        part = slice(start, start + CHUNK)
        beta = np.ascontiguousarray(sums.cross[part, 0])
        products[part] = sums.squares[:, part].T
        take_fit(beta, departures[part], beta @ inner, products[part])
        own = np.stack([sums.head[:, :, part], sums.tail[:, ::-1, part]], axis=1)
        fitted = beta @ design.ends.reshape(-1, beta.shape[1]).T
        ends[part] = own.reshape(ends.shape[1], -1).T - fitted

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(fill, range(0, n_voxels, CHUNK)))
    return ResidualSums(products, departures, ends)
