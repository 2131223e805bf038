"""The AR(1) coefficient of each voxel by restricted maximum likelihood on a grid.

Minimises the deviance (T - p) log q + log|V| + log|Q'V^-1 Q|, with q the weighted residual sum of squares
(Patterson & Thompson 1971; per voxel on a grid in AFNI's 3dREMLfit). With V^-1 = (1 + r^2) I - r D_1 -
r^2 (first and last corner) and a basis in which Q'D_1Q is diagonal, Q'V^-1 Q is a diagonal matrix less a
matrix of rank two; so q costs a few products of voxel sums with a table over the grid, and no solve.

Words: ``a`` = Q'y, ``b`` = Q'D_1 y, ``first`` and ``last`` the outer volumes, r the coefficient.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bidsapp.stats import whitening

# The grid ends before +-1, where the process is no longer stationary.
REML_GRID = np.round(np.arange(-0.9, 0.98 + 0.005, 0.01), 10)
# Every fifth value is tried first, then all between the neighbours of the best: exact for a deviance
# with one minimum, and its width (about sqrt((1 - r^2) / T)) is more than a coarse step for T below 1,000.
COARSE = 5
CHUNK = 4096


def find_reml_bins(sums, voxels, *, n_threads=1):
    """Return the index into ``REML_GRID`` of the best coefficient of each voxel."""
    chunks = [voxels[start : start + CHUNK] for start in range(0, len(voxels), CHUNK)]
    if len(sums.model.starts) > 1:
        return _find_by_solving(sums, voxels)
    table = make_table(sums.model)
    with ThreadPoolExecutor(n_threads) as pool:
        found = list(pool.map(lambda chunk: _find_chunk(sums, chunk, table), chunks))
    return np.concatenate([np.zeros(0, int), *found])


def _find_chunk(sums, voxels, table):
    """Return the best grid index of one chunk of voxels: coarse, then fine."""
    values = _gather(sums, voxels)
    coarse = np.arange(0, len(REML_GRID), COARSE)
    best = coarse[np.argmin(deviance(values, table.at(coarse)), axis=1)]
    order = np.argsort(best, kind="stable")
    starts = np.flatnonzero(np.diff(best[order], prepend=-1))
    for members in np.split(order, starts[1:]):
        centre = best[members[0]]
        fine = np.arange(max(centre - COARSE + 1, 0), min(centre + COARSE, len(REML_GRID)))
        best[members] = fine[np.argmin(deviance(values.take(members), table.at(fine)), axis=1)]
    return best


@dataclass(frozen=True, slots=True, eq=False)
class VoxelValues:
    """What the deviance needs of n voxels: a, b (n, rank); squares (n, 2); first, last (n, 1)."""

    a: np.ndarray
    b: np.ndarray
    squares: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def take(self, members):
        """Return the values of some of the voxels."""
        return VoxelValues(*(getattr(self, name)[members] for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What the deviance needs of the model at the coefficients r, one a row (or element).

    Attributes
    ----------
    inverse : ndarray, shape (n_grid, rank)
        1 / ((1 + r^2) - r eigenvalue of Q'D_1Q).
    first, last : ndarray, shape (n_grid, rank)
        The first and last row of the basis, times ``inverse``.
    ends : ndarray, shape (3, n_grid)
        Products of the outer rows weighted with ``inverse``: first-first, first-last, last-last.
    constant : ndarray, shape (n_grid,)
        The part of the deviance that is the same for all voxels.
    """

    rho: np.ndarray
    inverse: np.ndarray
    first: np.ndarray
    last: np.ndarray
    ends: np.ndarray
    constant: np.ndarray
    dof: int

    def at(self, index):
        """Return the table at some of the coefficients."""
        rows = (self.rho, self.inverse, self.first, self.last)
        return Table(*(row[index] for row in rows), self.ends[:, index], self.constant[index], self.dof)


def make_table(model, rho=REML_GRID):
    """Return the table of a TimeModel."""
    basis = model.basis
    eigenvalues = np.einsum("tr,tr->r", basis, model.lagged(1))
    inverse = 1.0 / (1.0 + np.square(rho)[:, None] - rho[:, None] * eigenvalues)
    first, last = basis[0] * inverse, basis[-1] * inverse
    grams = whitening.grams(model, [whitening.make_precision([value]) for value in rho])
    return Table(
        rho=rho,
        inverse=inverse,
        first=first,
        last=last,
        ends=np.stack([first @ basis[0], first @ basis[-1], last @ basis[-1]]),
        constant=np.linalg.slogdet(grams)[1] - np.log(1.0 - np.square(rho)),
        dof=model.dof,
    )


def deviance(values, table):
    """Return the restricted deviance, shape (n_voxels, n_grid)."""
    rest = _residual_square(values, table)
    return table.dof * np.log(np.maximum(rest, np.finfo(float).tiny)) + table.constant


def _residual_square(values, table):
    """Return q = y'V^-1y - (Q'V^-1y)'(Q'V^-1Q)^-1(Q'V^-1y), by the Woodbury identity."""
    r, square = table.rho, np.square(table.rho)
    one = 1.0 + square
    first, last = values.first, values.last
    ff, fl, ll = table.ends
    # Of c = (1 + r^2) a - r b: weighted length, and products with the outer rows.
    length = np.square(values.a) @ (one**2 * table.inverse.T)
    length -= (values.a * values.b) @ (2 * one * r * table.inverse.T)
    length += np.square(values.b) @ (square * table.inverse.T)
    along_first = values.a @ (one * table.first.T) - values.b @ (r * table.first.T)
    along_last = values.a @ (one * table.last.T) - values.b @ (r * table.last.T)
    # Q'V^-1y = c - r^2 (first q_first + last q_last).
    length -= 2 * square * (first * along_first + last * along_last)
    length += square**2 * (np.square(first) * ff + 2 * first * last * fl + np.square(last) * ll)
    along_first -= square * (first * ff + last * fl)
    along_last -= square * (first * fl + last * ll)
    # (D - r^2 U U')^-1 = D^-1 + D^-1 U (I / r^2 - U'D^-1U)^-1 U'D^-1, times r^2 so that r may be 0.
    uu, ul, vv = 1 - square * ff, square * fl, 1 - square * ll
    weight = square / (uu * vv - np.square(ul))
    length += weight * (
        vv * np.square(along_first) + 2 * ul * along_first * along_last + uu * np.square(along_last)
    )
    ends = np.square(first) + np.square(last)
    return values.squares @ np.stack([one, -r]) - ends * square - length


def _find_by_solving(sums, voxels):
    """Return the best grid indices of runs that are fitted together: every run adds corners to V^-1."""
    model, best = sums.model, np.full(len(voxels), np.inf)
    choice = np.zeros(len(voxels), int)
    precisions = [whitening.make_precision([rho]) for rho in REML_GRID]
    offsets = -len(model.starts) * np.log(1.0 - np.square(REML_GRID))
    for number, gram in enumerate(whitening.grams(model, precisions)):
        factor = np.linalg.cholesky(gram)
        offset = offsets[number] + 2 * np.log(np.diag(factor)).sum()
        for start in range(0, len(voxels), CHUNK):
            part = slice(start, start + CHUNK)
            cross = whitening.cross(sums, precisions[number], voxels[part])
            fitted = np.linalg.solve(factor, cross.T)
            rest = whitening.square(sums, precisions[number], voxels[part]) - np.square(fitted).sum(axis=0)
            values = model.dof * np.log(np.maximum(rest, np.finfo(float).tiny)) + offset
            better = values < best[part]
            choice[part][better], best[part][better] = number, values[better]
    return choice


def _gather(sums, voxels):
    rows = sums.cross[voxels]
    return VoxelValues(
        a=np.ascontiguousarray(rows[:, 0]),
        b=np.ascontiguousarray(rows[:, 1]),
        squares=sums.squares[:2, voxels].T,
        first=sums.head[0, 0, voxels][:, None],
        last=sums.tail[0, -1, voxels][:, None],
    )
