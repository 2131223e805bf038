"""Contrasts by the noise of each voxel, expanded about the centre of its bin; voxels come last."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bidsapp.records.arrays import Labels, Map, Maps, Matrices, Matrix
from bidsapp.stats.noise.autoregression import fill_stages, split_bins, whiten_slopes
from bidsapp.stats.noise.newton import LEAST_PIVOT

# Voxels treated at a time: they stay in the processor's cache.
CHUNK = 4096


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


def weigh_voxels(expansion: Expansion, bins: Labels, partials: Matrix, directions: Maps) -> Maps:
    """Return d'N^-1d, k and g'Wg of directions d (n_rows, n_voxels), (3, n_voxels); NaN without a bin."""
    found, turned = np.full((3, len(bins)), np.nan), np.ascontiguousarray(partials.T)
    for number, voxels in split_bins(bins, CHUNK):
        own = turned.take(voxels, axis=1), directions.take(voxels, axis=1)
        found[:, voxels] = _weigh(expansion, number, *own)
    return found


def _weigh(expansion: Expansion, number: int, partials: Maps, directions: Maps) -> tuple[Map, Map, Map]:
    """Return the same of some voxels of a bin."""
    form, order, n_voxels = expansion.forms[number], *partials.shape
    distance, inverse = _place(expansion, number, partials)
    along = (inverse * directions).sum(axis=1)
    size = (along * directions).sum(axis=0)
    own, added = (
        (directions * (matrix @ directions)).sum(axis=0)
        for matrix in (expansion.sizes[number], expansion.excess[number])
    )
    # Derivatives of x'Nx, x = ``along``.
    weights = (along[:, None] * along).reshape(-1, n_voxels)
    curves = form[..., 1:, 1:].reshape(-1, order * order).T @ weights
    slopes = form[..., 0, 1:].reshape(-1, order).T @ weights
    slopes += 2.0 * (curves.reshape(order, order, n_voxels) * distance).sum(axis=1)
    slopes = -slopes / size - expansion.offset[number][:, None] - expansion.offset_slopes[number] @ distance
    white = whiten_slopes(partials, slopes)
    spread = (white * (expansion.information[number] @ white)).sum(axis=0)
    return size, np.maximum(added / own, 0.0), spread


def invert_information(expansion: Expansion, bins: Labels, partials: Matrix) -> Matrices:
    """Return N^-1 of every voxel, shape (n_rows, n_rows, n_voxels); NaN without a bin."""
    inverse = np.full((*expansion.sizes.shape[1:], len(bins)), np.nan)
    for number, voxels in split_bins(bins, CHUNK):
        inverse[..., voxels] = _place(expansion, number, np.ascontiguousarray(partials[voxels].T))[1]
    return inverse


def _place(expansion: Expansion, number: int, partials: Maps) -> tuple[Maps, Matrices]:
    """Return the distance of voxels from their centre, (p, n_voxels), and N^-1 there."""
    form, order, n_voxels = expansion.forms[number], *partials.shape
    distance = fill_stages(partials)[-1] - expansion.centres[number][:, None]
    squares = (distance[:, None] * distance).reshape(-1, n_voxels)
    information = form[..., 1:, 1:].reshape(-1, order * order) @ squares
    information += form[..., 0, 1:].reshape(-1, order) @ distance
    information += form[..., 0, 0].reshape(-1, 1)
    inverse, least_pivot = _invert(information.reshape(*form.shape[:2], n_voxels))
    too_far = ~(least_pivot > LEAST_PIVOT)
    # Too far for the expansion: the centre stands for the voxel.
    distance[:, too_far] = 0.0
    inverse[..., too_far] = expansion.sizes[number][..., None]
    return distance, inverse


def _invert(matrices: Matrices) -> tuple[Matrices, Map]:
    """Return the inverse of symmetric matrices (n, n, n_voxels) and their smallest pivots; replaces them."""
    least = np.full(matrices.shape[2], np.inf)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for k in range(len(matrices)):
            scale = 1.0 / matrices[k, k]
            least = np.minimum(least, matrices[k, k])
            column, row = matrices[:, k] * scale, matrices[k].copy()
            matrices -= column[:, None] * row
            matrices[k], matrices[:, k], matrices[k, k] = row * scale, -column, scale
    return matrices, least
