"""The AR(1) coefficient of each voxel by restricted maximum likelihood on a grid.

Minimises the deviance (T - p) log q + log|V| + log|Q'V^-1 Q|, with q the weighted residual sum of squares
(Patterson & Thompson 1971; per voxel on a grid in AFNI's 3dREMLfit). With V^-1 = (1 + r^2) I - r D_1 -
r^2 (first and last corner) and a basis in which Q'D_1Q is diagonal, Q'V^-1 Q is a diagonal matrix D less a
matrix of rank two, r^2 UU'. By the Woodbury identity

    q = (1 + r^2) y'y - r y'D_1y - c'D^-1c - r^2 w'K^-1w,
    c = (1 + r^2) a - r b,  w = U'D^-1c - e,  K = I - r^2 U'D^-1U,

so q costs two products of voxel sums with tables over the grid, and no solve.

Words: ``a`` = Q'y, ``b`` = Q'D_1y, ``e`` the first and the last volume, U the first and the last row of the
basis, r the coefficient.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bidsapp.records.arrays import Labels, Maps, Matrices, Matrix, Numbers
from bidsapp.stats.noise import whitening
from bidsapp.stats.noise.time_model import TimeModel

if TYPE_CHECKING:
    from bidsapp.stats.run.sums import SeriesSums

# Voxels and the values of the grid that are tried there.
Job: TypeAlias = tuple[Labels, Labels]
# The grid ends before +-1, where the process is no longer stationary.
REML_GRID = np.round(np.arange(-0.9, 0.98 + 0.005, 0.01), 10)
# Every fifth value is tried first, then all between the neighbours of the best: exact for a deviance
# with one minimum, and its width (about sqrt((1 - r^2) / T)) is more than a coarse step for T below 1,000.
COARSE = 5
# Voxels times a table at a time: the products stay in the processor's cache.
CHUNK = 2048


def find_reml_bins(sums: "SeriesSums", voxels: Labels, *, n_threads: int = 1) -> Labels:
    """Return the index into ``REML_GRID`` of the best coefficient of each voxel."""
    if len(sums.model.starts) > 1:
        return _find_by_solving(sums, voxels)
    table = make_table(sums.model)
    coarse = np.arange(0, len(REML_GRID), COARSE)
    best = np.empty(len(voxels), int)

    def choose(job: Job) -> None:
        members, grid = job
        best[members] = grid[np.argmin(penalised_square(sums, voxels[members], table, grid), axis=1)]

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(choose, [(members, coarse) for members in _chunks(np.arange(len(voxels)))]))
        list(pool.map(choose, _refinements(best, coarse)))
    return best


def _refinements(best: Labels, coarse: Labels) -> list[Job]:
    """Return the voxels of every coarse value, in chunks, with the grid between its neighbours."""
    jobs = []
    for centre in coarse:
        grid = np.arange(max(centre - COARSE + 1, 0), min(centre + COARSE, len(REML_GRID)))
        jobs += [(members, grid) for members in _chunks(np.flatnonzero(best == centre))]
    return jobs


def _chunks(indices: Labels) -> list[Labels]:
    return [indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What the squares need of the model at the coefficients r, one a column.

    Attributes
    ----------
    direct : ndarray, shape (3 rank + 2, n_grid)
        Weights of a^2, ab, b^2, y'y and y'D_1y in q without its last term.
    ends : ndarray, shape (2, 2 rank + 2, n_grid)
        Weights of a, b and e in two numbers whose squares sum to the last term of q.
    penalty : ndarray, shape (n_grid,)
        exp((log|V| + log|Q'V^-1Q|) / dof): times q, it is least where the deviance is.
    """

    direct: Matrix
    ends: Matrices
    penalty: Numbers


def make_table(model: TimeModel, rho: Numbers = REML_GRID) -> Table:
    """Return the table of a TimeModel."""
    basis, one = model.basis, 1.0 + np.square(rho)
    eigenvalues = np.einsum("tr,tr->r", basis, model.lagged(1))
    inverse = 1.0 / (one - np.outer(eigenvalues, rho))
    outer_rows = basis[[0, -1]]
    along = outer_rows[:, :, None] * inverse
    # r^2 w'K^-1w is the squared length of r L'w with K^-1 = LL'.
    inner = np.eye(2)[..., None] - np.square(rho) * np.einsum("irg,jr->ijg", along, outer_rows)
    factor = rho * np.moveaxis(np.linalg.cholesky(np.linalg.inv(np.moveaxis(inner, -1, 0))), 0, -1)
    w = np.concatenate([one * along, -rho * along, -np.eye(2)[..., None] * np.ones(len(rho))], axis=1)
    grams = whitening.grams(model, [whitening.make_precision([value]) for value in rho])
    constant = np.linalg.slogdet(grams)[1] - np.log(1.0 - np.square(rho))
    return Table(
        direct=np.concatenate(
            [-(one**2) * inverse, 2 * one * rho * inverse, -np.square(rho) * inverse, [one, -rho]]
        ),
        ends=np.einsum("ijg,ikg->jkg", factor, w),
        penalty=np.exp((constant - constant.min()) / model.dof),
    )


def penalised_square(sums: "SeriesSums", voxels: Labels, table: Table, grid: Labels) -> Maps:
    """Return q times the penalty, shape (n_voxels, n_grid): least where the restricted deviance is."""
    rows = sums.cross[voxels]
    a, b = rows[:, 0], rows[:, 1]
    q = np.concatenate([a * a, a * b, b * b, sums.squares[:2, voxels].T], axis=1) @ table.direct[:, grid]
    linear = np.column_stack([a, b, sums.head[0, 0, voxels], sums.tail[0, -1, voxels]])
    for weights in table.ends:
        last = linear @ weights[:, grid]
        q -= np.square(last, out=last)
    q *= table.penalty[grid]
    return q


def _find_by_solving(sums: "SeriesSums", voxels: Labels) -> Labels:
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
