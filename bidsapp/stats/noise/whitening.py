"""The precision matrix of an AR process, applied to sums over time instead of to the series."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bidsapp.records.arrays import Labels, Map, Matrices, Matrix, Numbers
from bidsapp.stats.noise.lagged_design import weigh_precision
from bidsapp.stats.noise.time_model import TimeModel

if TYPE_CHECKING:
    from bidsapp.stats.run.sums import SeriesSums


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """The precision matrix of an AR(p) process with innovations of variance 1.

    It is sum_k lags[k] D_k, less ``head`` in its first p rows and columns and ``tail`` in its last.

    Attributes
    ----------
    lags : ndarray, shape (p + 1,)
    head, tail : ndarray, shape (p, p)
    """

    lags: Numbers
    head: Matrix
    tail: Matrix


def make_precision(coefficients: ArrayLike) -> Precision:
    """Return the exact precision of a stationary AR process; no coefficients: white noise."""
    lags, corner = weigh_precision(np.concatenate([[1.0], -np.asarray(coefficients, float)]))
    return Precision(lags, head=corner, tail=corner[::-1, ::-1])


def make_plain_precision(coefficients: ArrayLike) -> Precision:
    """Return the precision of nilearn's whitening, which filters as if zeros came before the first volume."""
    exact = make_precision(coefficients)
    return Precision(exact.lags, head=np.zeros_like(exact.head), tail=exact.tail)


def grams(model: TimeModel, precisions: Sequence[Precision]) -> Matrices:
    """Return Q'PQ of several precisions of the same order, shape (n_precisions, rank, rank)."""
    basis, p = model.basis, len(precisions[0].head)
    of_lags = np.stack([basis.T @ model.lagged(k) for k in range(p + 1)])
    result = np.empty((len(precisions), model.rank, model.rank))
    for number, precision in enumerate(precisions):
        result[number] = np.tensordot(precision.lags, of_lags, axes=1)
        for head, tail in _ends(model, p):
            result[number] -= head.T @ precision.head @ head + tail.T @ precision.tail @ tail
    return result


def cross(sums: "SeriesSums", precision: Precision, voxels: Labels) -> Matrix:
    """Return Q'Py of some voxels, shape (n, rank)."""
    p = len(precision.head)
    rows = sums.cross[voxels]
    result: Matrix = precision.lags[0] * rows[:, 0]
    for k in range(1, p + 1):
        result += precision.lags[k] * rows[:, k]
    for number, (head, tail) in enumerate(_ends(sums.model, p)):
        result -= sums.head[number, :p, voxels] @ (precision.head @ head)
        result -= sums.tail[number, -p:, voxels] @ (precision.tail @ tail)
    return result


def square(sums: "SeriesSums", precision: Precision, voxels: Labels) -> Map:
    """Return y'Py of some voxels, shape (n,)."""
    p = len(precision.head)
    result = precision.lags @ sums.squares[: p + 1, voxels]
    for number in range(len(sums.head) if p else 0):
        head, tail = sums.head[number, :p, voxels], sums.tail[number, -p:, voxels]
        for ends, corner in ((head, precision.head), (tail, precision.tail)):
            taken: Map = np.einsum("vi,ij,vj->v", ends, corner, ends)
            result -= taken
    return result


def _ends(model: TimeModel, p: int) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield the first and last p rows of the basis in every run."""
    for run in model.runs if p else ():
        rows = model.basis[run]
        yield rows[:p], rows[-p:]
