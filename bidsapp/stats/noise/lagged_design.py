"""What a design over time is for an AR process: matrices Q'PQ, P the precision, and their derivatives.

With the filter f = (1, -a), a the coefficients, P = sum_k l_k D_k less a corner C in the first p rows and
columns of every run and, reversed, in the last, where l_k = sum_i f_i f_(i+k) and C = HH', H the Hankel
matrix of f_1 ... f_p (Gohberg-Semencul). So y'P(a)y = f'Bf is exactly quadratic in the coefficients; B is
what Box and Jenkins (Time Series Analysis, appendix A7.4) call D. Coefficients, not partials, are therefore
what the likelihood is expanded in.

Words: ``lags`` and ``corner`` are l and C, or their derivatives; ``ends`` the first p rows of every run and
the last p, the last row first: one corner then serves both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import toeplitz

from bidsapp.records.arrays import Matrices, Matrix, Numbers
from bidsapp.stats.noise.time_model import TimeModel


def weigh_precision(filter_: Numbers) -> tuple[Numbers, Matrix]:
    """Return lags, shape (p + 1,), and corner, shape (p, p), of the precision."""
    p = len(filter_) - 1
    lags = np.array([filter_[: p + 1 - k] @ filter_[k:] for k in range(p + 1)])
    inner = make_hankel(filter_)
    return lags, inner @ inner.T


def weigh_slopes(filter_: Numbers) -> tuple[Matrix, Matrices]:
    """Return the derivatives by each coefficient: lags, shape (p, p + 1), and corners, shape (p, p, p)."""
    p = len(filter_) - 1
    padded = np.concatenate([np.zeros(p), filter_, np.zeros(p)])
    by, lag = np.arange(p + 1, 2 * p + 1)[:, None], np.arange(p + 1)
    lags = -padded[by - lag] - padded[by + lag]
    # dH/df_(i + 1) has ones where row + column = i: row j of its product with H is row i - j of H.
    half = np.zeros((p, p, p))
    inner = make_hankel(filter_)
    for i in range(p):
        half[i, : i + 1] = inner[i::-1]
    return lags, -(half + half.transpose(0, 2, 1))


def make_hankel(filter_: Numbers) -> Matrix:
    """Return the matrix of f_(i + j + 1), zero beyond the last."""
    p = len(filter_) - 1
    padded = np.concatenate([filter_[1:], np.zeros(max(p - 1, 0))])
    return padded[np.add.outer(np.arange(p), np.arange(p))]


def make_form(products: Matrix, corner: Matrices) -> Matrices:
    """Return B, shape (..., p + 1, p + 1), from products y'D_ky (..., p + 1) and ends'ends (..., p, p)."""
    p = products.shape[-1] - 1
    halves = products * np.where(np.arange(p + 1) == 0, 1.0, 0.5)
    form = halves[..., np.abs(np.subtract.outer(np.arange(p + 1), np.arange(p + 1)))]
    passed = np.zeros_like(form)
    for i in range(1, p + 1):
        passed[..., i, 1:] = corner[..., i - 1, :] + passed[..., i - 1, :-1]
    return form - passed


def take_ends(rows: Matrix, runs: Sequence[slice], p: int) -> Matrices:
    """Return the ends of rows over time (n_volumes, ...), shape (2 n_runs, p, ...)."""
    return np.stack([part for run in runs for part in (rows[run][:p], rows[run][::-1][:p])])


@dataclass(frozen=True, slots=True, eq=False)
class LaggedDesign:
    """A design, prepared for AR processes of one order.

    Attributes
    ----------
    basis : ndarray, shape (n_volumes, rank)
    shifted : ndarray, shape (p + 1, n_volumes, rank)
        D_kQ.
    inner : ndarray, shape (p + 1, rank, rank)
        Q'D_kQ.
    ends : ndarray, shape (2 n_runs, p, rank)
        Of the basis.
    runs : tuple of slice
    """

    basis: Matrix
    shifted: Matrices
    inner: Matrices
    ends: Matrices
    runs: tuple[slice, ...]

    @property
    def dof(self) -> int:
        """Volumes less the rank."""
        return int(self.basis.shape[0] - self.basis.shape[1])

    def combine(self, lags: Numbers, corners: Matrices) -> Matrices:
        """Return Q'MQ, shape (..., rank, rank), for matrices M of these lags and corners."""
        order, rank = self.ends.shape[1:]
        result = np.tensordot(lags, self.inner, axes=1)
        moved = np.matmul(corners[..., None, :, :], self.ends).reshape(*corners.shape[:-2], -1, rank)
        combined: Matrices = result - self.ends.reshape(-1, rank).T @ moved
        return combined

    def count_pairs(self, autocovariance: Numbers) -> tuple[Numbers, Matrix]:
        """Return the expected products y'D_ky, shape (p + 1,), and ends'ends of the process itself."""
        order = len(autocovariance) - 1
        lengths = np.array([run.stop - run.start for run in self.runs])
        pairs = np.array([np.sum(lengths - k) * (2 if k else 1) for k in range(order + 1)])
        return pairs * autocovariance, 2 * len(self.runs) * toeplitz(autocovariance[:order])

    def trace(self, covariance: Matrix) -> tuple[Numbers, Matrix]:
        """Return tr(Q'D_kQ C) and the sum of ends C ends' for a covariance C of the basis' parameters."""
        of_ends = np.matmul(np.matmul(self.ends, covariance), self.ends.transpose(0, 2, 1)).sum(axis=0)
        return np.tensordot(self.inner, covariance, axes=2), of_ends


def make_lagged_design(model: TimeModel, order: int) -> LaggedDesign:
    """Return the design of a TimeModel."""
    shifted = np.stack([model.lagged(k) for k in range(order + 1)])
    ends = take_ends(model.basis, model.runs, order)
    return LaggedDesign(model.basis, shifted, model.basis.T @ shifted, ends, tuple(model.runs))


@dataclass(frozen=True, slots=True, eq=False)
class LocalDesign:
    """A design at one noise process, in coordinates where its Gram matrix G = Q'PQ = LL' is the identity.

    Attributes
    ----------
    filter : ndarray, shape (p + 1,)
    inverse : ndarray, shape (rank, rank)
        L^-1.
    slopes : ndarray, shape (p, rank, rank)
        L^-1 (dG/da_i) L^-T.
    log_slope, log_curve : ndarray, shape (p,) and (p, p)
        Derivatives of log|G| by the coefficients.
    """

    filter: Numbers
    inverse: Matrix
    slopes: Matrices
    log_slope: Numbers
    log_curve: Matrix

    @property
    def covariance(self) -> Matrix:
        """G^-1."""
        return self.inverse.T @ self.inverse


def make_local_design(design: LaggedDesign, coefficients: Numbers) -> LocalDesign:
    """Return the design at a process."""
    filter_ = np.concatenate([[1.0], -coefficients])
    gram = design.combine(*weigh_precision(filter_))
    inverse = np.linalg.inv(np.linalg.cholesky(gram))
    slopes = inverse @ design.combine(*weigh_slopes(filter_)) @ inverse.T
    curve = 2 * make_form(*design.trace(inverse.T @ inverse))[1:, 1:]
    flat = slopes.reshape(len(slopes), -1)
    return LocalDesign(filter_, inverse, slopes, np.trace(slopes, axis1=1, axis2=2), curve - flat @ flat.T)
