"""The precision matrix of an AR process, applied to sums over time instead of to the series."""

from dataclasses import dataclass

import numpy as np

from bidsapp.stats.series_sums import lagged


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """The precision matrix of an AR(p) process with innovations of variance 1.

    It is sum_k lags[k] D_k, less ``head`` in its first p rows and columns and ``tail`` in its last.

    Attributes
    ----------
    lags : ndarray, shape (p + 1,)
    head, tail : ndarray, shape (p, p)
    """

    lags: np.ndarray
    head: np.ndarray
    tail: np.ndarray


def make_precision(coefficients):
    """Return the exact precision of a stationary AR process; no coefficients: white noise.

    The corners follow from the Gohberg-Semencul form of the inverse of a Toeplitz matrix.
    """
    p = len(coefficients)
    filter_ = np.concatenate([[1.0], -np.asarray(coefficients, float)])
    lags = np.array([filter_[: p + 1 - k] @ filter_[k:] for k in range(p + 1)])
    corner = np.zeros((p, p))
    for i in range(p):
        for j in range(p):
            steps = np.arange(1, p + 1 - max(i, j))
            corner[i, j] = filter_[i + steps] @ filter_[j + steps]
    return Precision(lags, head=corner, tail=corner[::-1, ::-1])


def make_plain_precision(coefficients):
    """Return the precision of nilearn's whitening, which filters as if zeros came before the first volume."""
    exact = make_precision(coefficients)
    return Precision(exact.lags, head=np.zeros_like(exact.head), tail=exact.tail)


def grams(model, precisions):
    """Return Q'PQ of several precisions of the same order, shape (n_precisions, rank, rank)."""
    basis, p = model.basis, len(precisions[0].head)
    of_lags = np.stack([basis.T @ lagged(basis, k) for k in range(p + 1)])
    return np.stack([_gram(basis, of_lags, precision) for precision in precisions])


def cross(sums, precision, voxels):
    """Return Q'Py of some voxels, shape (n, rank)."""
    p = len(precision.head)
    rows = sums.cross[voxels]
    result = precision.lags[0] * rows[:, 0]
    for k in range(1, p + 1):
        result += precision.lags[k] * rows[:, k]
    if p:
        basis = sums.model.basis
        result -= sums.head[:p, voxels].T @ (precision.head @ basis[:p])
        result -= sums.tail[-p:, voxels].T @ (precision.tail @ basis[-p:])
    return result


def square(sums, precision, voxels):
    """Return y'Py of some voxels, shape (n,)."""
    p = len(precision.head)
    result = precision.lags @ sums.squares[: p + 1, voxels]
    if p:
        head, tail = sums.head[:p, voxels], sums.tail[-p:, voxels]
        result -= np.einsum("iv,ij,jv->v", head, precision.head, head)
        result -= np.einsum("iv,ij,jv->v", tail, precision.tail, tail)
    return result


def _gram(basis, of_lags, precision):
    p = len(precision.head)
    result = np.tensordot(precision.lags, of_lags, axes=1)
    if p:
        result = (
            result - basis[:p].T @ precision.head @ basis[:p] - basis[-p:].T @ precision.tail @ basis[-p:]
        )
    return result
