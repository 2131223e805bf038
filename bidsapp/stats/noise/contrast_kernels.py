"""Compiled loops over voxels: contrasts by the noise of each voxel, expanded about the centre of its bin."""

from typing import NamedTuple

import numpy as np

from bidsapp.stats.noise.autoregression import fill_stages, vectorised, whiten_slopes
from bidsapp.stats.noise.newton import LEAST_PIVOT


class Expansion(NamedTuple):
    """Rows R about the centres of bins; see ``noise_uncertainty`` for the symbols.

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

    forms: np.ndarray
    sizes: np.ndarray
    excess: np.ndarray
    centres: np.ndarray
    information: np.ndarray
    offset: np.ndarray
    offset_slopes: np.ndarray


@vectorised
def weigh_voxels(expansion, bins, partials, directions):
    """Return d'N^-1d, k and g'Wg of directions d (n_voxels, n_rows), each (n_voxels,); NaN without a bin."""
    (n_voxels, order), n_rows = partials.shape, directions.shape[1]
    size, k, spread = np.full((3, n_voxels), np.nan)
    stages, distance, matrix = np.zeros((order, order)), np.empty(order), np.empty((n_rows, n_rows))
    along, slopes, white = np.empty(n_rows), np.empty(order), np.empty(order)
    for v in range(n_voxels):
        number = bins[v]
        if number < 0:
            continue
        form = place_voxel(expansion, number, partials[v], stages, distance, matrix)
        solve(matrix, directions[v], along)
        size[v] = 0.0
        for a in range(n_rows):
            size[v] += along[a] * directions[v, a]
        own, added = weigh_matrices(expansion.sizes[number], expansion.excess[number], directions[v])
        k[v] = max(added / own, 0.0)
        find_slopes(form, distance, along, slopes)
        for i in range(order):
            slopes[i] = -slopes[i] / size[v] - expansion.offset[number, i]
            for j in range(order):
                slopes[i] -= expansion.offset_slopes[number, i, j] * distance[j]
        whiten_slopes(partials[v], stages, slopes, white)
        spread[v] = 0.0
        for i in range(order):
            for j in range(order):
                spread[v] += white[i] * expansion.information[number, i, j] * white[j]
    return size, k, spread


@vectorised
def weigh_matrices(one, other, direction):
    """Return d'Md of two matrices."""
    first, second = 0.0, 0.0
    for a in range(len(direction)):
        for b in range(len(direction)):
            weight = direction[a] * direction[b]
            first += weight * one[a, b]
            second += weight * other[a, b]
    return first, second


@vectorised
def invert_information(expansion, bins, partials):
    """Return N^-1 of every voxel, shape (n_voxels, n_rows, n_rows); NaN without a bin."""
    (n_voxels, order), n_rows = partials.shape, expansion.forms.shape[1]
    inverse, unit = np.full((n_voxels, n_rows, n_rows), np.nan), np.eye(n_rows)
    stages, distance, matrix = np.zeros((order, order)), np.empty(order), np.empty((n_rows, n_rows))
    for v in range(n_voxels):
        if bins[v] >= 0:
            place_voxel(expansion, bins[v], partials[v], stages, distance, matrix)
            for a in range(n_rows):
                solve(matrix, unit[a], inverse[v, a])
    return inverse


@vectorised
def place_voxel(expansion, number, partials, stages, distance, matrix):
    """Write a voxel's distance from its centre and the factor of N there; return the form of its bin."""
    form = expansion.forms[number]
    fill_stages(partials, stages)
    for i in range(len(partials)):
        distance[i] = stages[len(partials) - 1, i] - expansion.centres[number, i]
    find_information(form, distance, matrix)
    if not factor(matrix):
        # Too far for the expansion: the centre stands for the voxel.
        distance[:] = 0.0
        find_information(form, distance, matrix)
        factor(matrix)
    return form


@vectorised
def find_information(form, distance, matrix):
    """Write the lower triangle of N so far from the centre."""
    order = len(distance)
    for a in range(len(matrix)):
        for b in range(a + 1):
            matrix[a, b] = form[a, b, 0, 0]
            for i in range(order):
                along = form[a, b, 0, i + 1]
                for j in range(order):
                    along += form[a, b, i + 1, j + 1] * distance[j]
                matrix[a, b] += along * distance[i]


@vectorised
def find_slopes(form, distance, along, slopes):
    """Write the derivatives of x'Nx so far from the centre, x = ``along``."""
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
def factor(matrix):
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
def solve(triangle, right, out):
    """Write the solution of LL'x = right."""
    p = len(right)
    for i in range(p):
        out[i] = right[i]
        for k in range(i):
            out[i] -= triangle[i, k] * out[k]
        out[i] /= triangle[i, i]
    for i in range(p - 1, -1, -1):
        for k in range(i + 1, p):
            out[i] -= triangle[k, i] * out[k]
        out[i] /= triangle[i, i]
