"""Compiled loops over voxels: contrasts by the noise of each voxel, expanded about the centre of its bin."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bidsapp.records.arrays import Labels, Maps, Matrices, Matrix, Numbers
from bidsapp.stats.noise.autoregression import fill_stages, vectorised, whiten_slopes
from bidsapp.stats.noise.newton import LEAST_PIVOT

# The bin of each voxel, and its partial autocorrelations.
Noise: TypeAlias = tuple[Labels, Matrix]


class Expansion(NamedTuple):
    """Rows R about the centres of bins; see ``noise.uncertainty`` for the symbols.

    Attributes
    ----------
    forms : ndarray, shape (n_bins, n_rows, n_rows, p + 1, p + 1)
        N in the corner, its slopes beside it, half its second derivatives in the rest.
    sizes, excess : ndarray, shape (n_bins, n_rows, n_rows)
        N^-1, and what times k it is the mean of, at the centres.
    centres : ndarray, shape (n_bins, p)
        The coefficients.
    information : ndarray, shape (n_bins, p, p)
        W, see ``autoregression.whiten_slopes``.
    offset, offset_slopes : ndarray, shape (n_bins, p) and (n_bins, p, p)
    """

    forms: NDArray[np.floating]
    sizes: Matrices
    excess: Matrices
    centres: Matrix
    information: Matrices
    offset: Matrix
    offset_slopes: Matrices


class Place(NamedTuple):
    """A voxel at its distance from the centre.

    Attributes
    ----------
    stages : ndarray, shape (p, p)
        The coefficients of every order.
    distance, slopes, white : ndarray, shape (p,)
        Of the coefficients; g, and R'g, see ``autoregression.whiten_slopes``.
    matrix : ndarray, shape (n_rows, n_rows)
        N, later its factor.
    along : ndarray, shape (n_rows,)
        N^-1 times a direction.
    """

    stages: Matrix
    distance: Numbers
    slopes: Numbers
    white: Numbers
    matrix: Matrix
    along: Numbers


def make_place(expansion: Expansion) -> Place:
    """Return a Place without a voxel."""
    order, n_rows = expansion.centres.shape[1], expansion.forms.shape[1]
    distance, slopes, white = np.empty((3, order))
    matrix, along = np.empty((n_rows, n_rows)), np.empty(n_rows)
    return Place(np.zeros((order, order)), distance, slopes, white, matrix, along)


def weigh_voxels(expansion: Expansion, bins: Labels, partials: Matrix, directions: Matrix) -> Maps:
    """Return d'N^-1d, k and g'Wg of directions d (n_voxels, n_rows), (3, n_voxels); NaN without a bin."""
    found = np.full((3, len(bins)), np.nan)
    _weigh(expansion, (bins, partials), directions, make_place(expansion), found)
    return found


@vectorised
def _weigh(expansion: Expansion, noise: Noise, directions: Matrix, place: Place, found: Maps) -> None:
    bins, partials = noise
    order, slopes, white = partials.shape[1], place.slopes, place.white
    for v in range(len(bins)):
        number = bins[v]
        if number < 0:
            continue
        form = expansion.forms[number]
        place_voxel(form, expansion.centres[number], partials[v], place)
        solve(place.matrix, directions[v], place.along)
        size, spread = 0.0, 0.0
        for a in range(len(place.along)):
            size += place.along[a] * directions[v, a]
        own, added = weigh_matrices(expansion.sizes[number], expansion.excess[number], directions[v])
        find_slopes(form, place)
        for i in range(order):
            slopes[i] = -slopes[i] / size - expansion.offset[number, i]
            for j in range(order):
                slopes[i] -= expansion.offset_slopes[number, i, j] * place.distance[j]
        whiten_slopes(partials[v], place.stages, slopes, white)
        for i in range(order):
            for j in range(order):
                spread += white[i] * expansion.information[number, i, j] * white[j]
        found[0, v], found[1, v], found[2, v] = size, max(added / own, 0.0), spread


@vectorised
def weigh_matrices(one: Matrix, other: Matrix, direction: Numbers) -> tuple[float, float]:
    """Return d'Md of two matrices."""
    first, second = 0.0, 0.0
    for a in range(len(direction)):
        for b in range(len(direction)):
            weight = direction[a] * direction[b]
            first += weight * one[a, b]
            second += weight * other[a, b]
    return first, second


def invert_information(expansion: Expansion, bins: Labels, partials: Matrix) -> Matrices:
    """Return N^-1 of every voxel, shape (n_voxels, n_rows, n_rows); NaN without a bin."""
    place = make_place(expansion)
    inverse = np.full((len(bins), *place.matrix.shape), np.nan)
    _invert(expansion, (bins, partials), np.eye(len(place.matrix)), place, inverse)
    return inverse


@vectorised
def _invert(expansion: Expansion, noise: Noise, unit: Matrix, place: Place, inverse: Matrices) -> None:
    bins, partials = noise
    for v in range(len(bins)):
        if bins[v] >= 0:
            place_voxel(expansion.forms[bins[v]], expansion.centres[bins[v]], partials[v], place)
            for a in range(len(unit)):
                solve(place.matrix, unit[a], inverse[v, a])


@vectorised
def place_voxel(form: NDArray[np.floating], centre: Numbers, partials: Numbers, place: Place) -> None:
    """Write a voxel's distance from its centre and the factor of N there."""
    fill_stages(partials, place.stages)
    for i in range(len(partials)):
        place.distance[i] = place.stages[len(partials) - 1, i] - centre[i]
    find_information(form, place)
    if not factor(place.matrix):
        # Too far for the expansion: the centre stands for the voxel.
        place.distance[:] = 0.0
        find_information(form, place)
        factor(place.matrix)


@vectorised
def find_information(form: NDArray[np.floating], place: Place) -> None:
    """Write the lower triangle of N so far from the centre."""
    distance, matrix, order = place.distance, place.matrix, len(place.distance)
    for a in range(len(matrix)):
        for b in range(a + 1):
            matrix[a, b] = form[a, b, 0, 0]
            for i in range(order):
                along = form[a, b, 0, i + 1]
                for j in range(order):
                    along += form[a, b, i + 1, j + 1] * distance[j]
                matrix[a, b] += along * distance[i]


@vectorised
def find_slopes(form: NDArray[np.floating], place: Place) -> None:
    """Write the derivatives of x'Nx so far from the centre, x = ``along``."""
    distance, along, slopes = place.distance, place.along, place.slopes
    slopes[:] = 0.0
    for a in range(len(along)):
        for b in range(len(along)):
            weight = along[a] * along[b]
            for i in range(len(distance)):
                slope = form[a, b, 0, i + 1]
                for j in range(len(distance)):
                    slope += 2.0 * form[a, b, i + 1, j + 1] * distance[j]
                slopes[i] += weight * slope


@vectorised
def factor(matrix: Matrix) -> bool:
    """Replace the lower triangle of a symmetric matrix by its Cholesky factor; False where it has none."""
    for j in range(len(matrix)):
        for k in range(j):
            matrix[j, j] -= matrix[j, k] * matrix[j, k]
        if not matrix[j, j] > LEAST_PIVOT:
            return False
        matrix[j, j] = np.sqrt(matrix[j, j])
        for i in range(j + 1, len(matrix)):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            matrix[i, j] /= matrix[j, j]
    return True


@vectorised
def solve(triangle: Matrix, right: Numbers, out: Numbers) -> None:
    """Write the solution of LL'x = right."""
    p = len(right)
    # Down the rows with L, and up again with its transpose.
    for i in range(p):
        out[i] = right[i]
        for k in range(i):
            out[i] -= triangle[i, k] * out[k]
        out[i] /= triangle[i, i]
    for i in range(p - 1, -1, -1):
        for k in range(i + 1, p):
            out[i] -= triangle[k, i] * out[k]
        out[i] /= triangle[i, i]
