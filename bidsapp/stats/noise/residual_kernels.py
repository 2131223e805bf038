"""Compiled loops over voxels, from sums over time to what ``newton`` minimises and to the fit.

A bin of voxels is one call, which does not hold Python's lock: threads do not wait for each other. Voxels
come last where they are worked on, so that the compiler makes vectors over them. Kernels are plain loops in
memory that they are given: the expressions of numpy take the compiler seconds.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bidsapp.records.arrays import Labels, Maps, Matrices, Matrix, Numbers
from bidsapp.stats.noise.autoregression import vectorised
from bidsapp.stats.noise.lagged_design import LaggedDesign, make_hankel

# Voxels whose sums are worked on at a time: they stay in the processor's cache.
CHUNK = 128
# Conjugate gradients from the centre of a bin to the noise of a voxel (docs/noise.md has what they leave).
STEPS = 3


@vectorised
def take_fit(beta: Matrix, departures: Matrices, fitted: Matrix, products: Matrix) -> None:
    """Turn y'D_ky into r'D_kr of the residuals r = y - Qb; ``fitted`` is b'Q'D_kQ of lags 1 to p."""
    order, rank = departures.shape[1:]
    for v in range(len(beta)):
        # The basis is orthonormal: Q'D_0Q is the identity.
        for j in range(rank):
            products[v, 0] -= beta[v, j] * beta[v, j]
        for k in range(order):
            for j in range(rank):
                products[v, k + 1] -= (fitted[v, k * rank + j] + 2.0 * departures[v, k, j]) * beta[v, j]


class Chosen(NamedTuple):
    """The ResidualSums, and which of their voxels are meant, shape (n_chosen,)."""

    products: Matrix
    departures: Matrices
    ends: Matrix
    voxels: Labels


class Process(NamedTuple):
    """The process of the centre of a bin and the design there, in single precision but for the filter.

    Attributes
    ----------
    filter : ndarray, shape (p + 1,)
    covariance : ndarray, shape (rank, rank)
        G^-1.
    ends : ndarray, shape (rank, n_ends)
        Of the basis.
    through : ndarray, shape (p * rank + 2 n_ends, rank)
        Rows that take parameters to Q'D_kQ of them, lags 1 to p; to the ends of their fit; and to H times
        these, see ``add_hankel``.
    """

    filter: Numbers
    covariance: Matrix
    ends: Matrix
    through: Matrix


class Slopes(NamedTuple):
    """Derivatives by the coefficients at the centre of a bin, in single precision.

    Attributes
    ----------
    lags : ndarray, shape (p, p + 1)
        Of the lags of the precision.
    corners : ndarray, shape (p * rank, n_ends)
        Of the precision's corners, times the ends of the basis.
    inverse : ndarray, shape (rank, rank)
        L^-1, with G = LL'.
    """

    lags: Matrix
    corners: Matrix
    inverse: Matrix


def make_process(design: LaggedDesign, filter_: Numbers, covariance: Matrix) -> Process:
    """Return the Process of a LaggedDesign."""
    rank = design.ends.shape[-1]
    rows = design.inner[1:], design.ends, make_hankel(filter_) @ design.ends
    through = np.concatenate([part.reshape(-1, rank) for part in rows])
    parts = covariance, design.ends.reshape(-1, rank).T, through
    return Process(filter_, *(np.ascontiguousarray(part, np.float32) for part in parts))


# Rows of ``Room``.
CROSS, SOLUTION, LEFT, TOWARDS, ALONG, PASSED, CHANGE = range(7)
SLOPES, WHITE = range(2)
REST, TOTAL, SHARE = range(3)


class Room(NamedTuple):
    """The sums of a chunk of voxels, which come last, and room to work in.

    Few arrays: what every kernel unpacks takes time to compile.

    Attributes
    ----------
    products : ndarray, shape (p + 1, CHUNK)
    lagged : ndarray of float32, shape (p * rank, CHUNK)
        Departures.
    ends : ndarray of float32, shape (n_ends, CHUNK)
    filters, lags : ndarray, shape (2, p + 1, CHUNK)
        Of the process of the centre and of each voxel's own; lags of the precision.
    moved : ndarray of float32, shape (p * rank + 2 n_ends, CHUNK)
        ``Process.through`` times parameters.
    turned : ndarray of float32, shape (2 n_ends, CHUNK)
        H times ends, and H times that.
    vectors : ndarray of float32, shape (7, rank, CHUNK)
        Q'Pr; parameters; and what conjugate gradients go by: what is left of Q'Pr, the inverse at the centre
        times that, the direction, and G of the centre and of the voxel times the direction.
    matrices : ndarray of float32, shape (2, p * rank, CHUNK)
        Q'(dP/da_i)e, and L^-1 times that.
    numbers : ndarray, shape (3, CHUNK)
        r'Pr; and two to work with.
    """

    products: Maps
    lagged: Maps
    ends: Maps
    filters: Matrices
    lags: Matrices
    moved: Maps
    turned: Maps
    vectors: Matrices
    matrices: Matrices
    numbers: Maps


def make_room(chosen: Chosen) -> Room:
    """Return the Room for some sums."""
    (_, order, rank), n_ends = chosen.departures.shape, chosen.ends.shape[1]

    def single(*shape: int) -> NDArray[np.float32]:
        return np.empty((*shape, CHUNK), np.float32)

    filters, lags = np.empty((2, 2, order + 1, CHUNK))
    return Room(
        np.empty((order + 1, CHUNK)),
        single(order * rank),
        single(n_ends),
        filters,
        lags,
        single(order * rank + 2 * n_ends),
        single(2 * n_ends),
        single(7, rank),
        single(2, order * rank),
        np.empty((3, CHUNK)),
    )


def expand_products(chosen: Chosen, process: Process, slopes: Slopes) -> Matrices:
    """Return q, its slope and second derivatives about a centre, see ``newton.minimise``.

    With e the generalised least-squares residuals at the centre and u_i = L^-1 Q'(dP/da_i) e, q is
    e'P(a)e - |sum_i d_i u_i|^2 + O(d^3).
    """
    size = len(process.filter)
    forms = np.empty((len(chosen.voxels), size, size))
    _expand(chosen, process, slopes, make_room(chosen), forms)
    return forms


@vectorised
def _expand(chosen: Chosen, process: Process, slopes: Slopes, room: Room, forms: Matrices) -> None:
    rank = room.vectors.shape[1]
    for k in range(len(process.filter)):
        for i in range(CHUNK):
            room.filters[0, k, i] = process.filter[k]
    for start in range(0, len(forms), CHUNK):
        take_voxels(chosen, start, room)
        find_lags(room.filters[0], room.lags[0])
        weigh_residuals(room, process.ends, room.filters[0], room.lags[0])
        np.dot(process.covariance, room.vectors[CROSS], room.vectors[SOLUTION])
        np.dot(process.through, room.vectors[SOLUTION], room.moved)
        leave_fit(room)
        np.dot(slopes.corners, room.ends, room.matrices[SLOPES])
        mix_lags(room, slopes.lags)
        for first in range(0, len(room.lagged), rank):
            np.dot(
                slopes.inverse,
                room.matrices[SLOPES, first : first + rank],
                room.matrices[WHITE, first : first + rank],
            )
        some = forms[start : start + CHUNK]
        make_forms(room, some)
        centre_forms(some, process.filter)
        take_cross(room, some)


def fit_residuals(chosen: Chosen, coefficients: Matrix, process: Process) -> tuple[Matrices, Maps]:
    """Return fits to the least-squares residuals, by the process of a centre and by each voxel's own.

    Parameters
    ----------
    coefficients : ndarray, shape (n_chosen, p)
        Of each voxel.

    Returns
    -------
    solutions : ndarray, shape (2, n_chosen, rank)
    rests : ndarray, shape (2, n_chosen)
        The weighted residual sums of squares.
    """
    rank, n_chosen = len(process.covariance), len(coefficients)
    solutions, rests = np.empty((2, n_chosen, rank)), np.empty((2, n_chosen))
    _fit(chosen, coefficients, process, make_room(chosen), solutions, rests)
    return solutions, rests


@vectorised
def _fit(
    chosen: Chosen, coefficients: Matrix, process: Process, room: Room, solutions: Matrices, rests: Maps
) -> None:
    n_chosen = len(coefficients)
    for start in range(0, n_chosen, CHUNK):
        take_voxels(chosen, start, room)
        for i in range(CHUNK):
            v = min(start + i, n_chosen - 1)
            room.filters[0, 0, i] = room.filters[1, 0, i] = 1.0
            for k in range(coefficients.shape[1]):
                room.filters[0, k + 1, i] = process.filter[k + 1]
                room.filters[1, k + 1, i] = -coefficients[v, k]
        for own in range(2):
            find_lags(room.filters[own], room.lags[own])
            weigh_residuals(room, process.ends, room.filters[own], room.lags[own])
            weigh_products(room, room.lags[own])
            if own:
                solve_near(room, process)
            else:
                np.dot(process.covariance, room.vectors[CROSS], room.vectors[SOLUTION])
            for i in range(min(CHUNK, n_chosen - start)):
                rests[own, start + i] = room.numbers[REST, i]
                for j in range(room.vectors.shape[1]):
                    rests[own, start + i] -= room.vectors[SOLUTION, j, i] * room.vectors[CROSS, j, i]
                    solutions[own, start + i, j] = room.vectors[SOLUTION, j, i]


@vectorised
def take_voxels(chosen: Chosen, start: int, room: Room) -> None:
    """Write the sums of a chunk of the voxels; beyond their end the last one stands in."""
    order, rank = chosen.departures.shape[1:]
    for i in range(CHUNK):
        v = chosen.voxels[min(start + i, len(chosen.voxels) - 1)]
        for k in range(order + 1):
            room.products[k, i] = chosen.products[v, k]
        for k in range(order):
            for j in range(rank):
                room.lagged[k * rank + j, i] = chosen.departures[v, k, j]
        for j in range(len(room.ends)):
            room.ends[j, i] = chosen.ends[v, j]


@vectorised
def find_lags(filters: Maps, lags: Maps) -> None:
    """Write the lags of the precision of each filter."""
    for k in range(len(filters)):
        for i in range(CHUNK):
            lags[k, i] = 0.0
        for j in range(len(filters) - k):
            for i in range(CHUNK):
                lags[k, i] += filters[j, i] * filters[j + k, i]


@vectorised
def weigh_residuals(room: Room, ends_of_design: Matrix, filters: Maps, lags: Maps) -> None:
    """Write the corners of the precision P times the ends, and Q'Pr.

    The corner is HH', H_ij = f_(i + j + 1); see ``lagged_design``.
    """
    n_ends, rank = len(room.ends), room.vectors.shape[1]
    room.turned[:] = 0.0
    add_hankel(filters, room.ends, room.turned[:n_ends])
    add_hankel(filters, room.turned[:n_ends], room.turned[n_ends:])
    np.dot(ends_of_design, room.turned[n_ends:], room.vectors[CROSS])
    for j in range(rank):
        for i in range(CHUNK):
            room.vectors[CROSS, j, i] = -room.vectors[CROSS, j, i]
        for k in range(1, len(lags)):
            for i in range(CHUNK):
                room.vectors[CROSS, j, i] += np.float32(lags[k, i]) * room.lagged[(k - 1) * rank + j, i]


@vectorised
def add_hankel(filters: Maps, values: Maps, result: Maps) -> None:
    """Add H of each filter times the values of every end, in place."""
    order = len(filters) - 1
    for first in range(0, len(values), order):
        for j in range(order):
            for k in range(order - j):
                for i in range(CHUNK):
                    result[first + j, i] += np.float32(filters[j + k + 1, i]) * values[first + k, i]


@vectorised
def weigh_products(room: Room, lags: Maps) -> None:
    """Write r'Pr as ``rest``; after ``weigh_residuals``."""
    n_ends = len(room.ends)
    room.numbers[REST, :] = 0.0
    for k in range(len(lags)):
        for i in range(CHUNK):
            room.numbers[REST, i] += lags[k, i] * room.products[k, i]
    for j in range(n_ends):
        for i in range(CHUNK):
            room.numbers[REST, i] -= room.turned[n_ends + j, i] * room.ends[j, i]


@vectorised
def solve_near(room: Room, process: Process) -> None:
    """Write the solutions of G(a)x = cross by conjugate gradients that begin with G^-1 of the centre.

    What G(a) differs by from that of the centre is small: single precision is enough. Filters and lags of
    the centre are left as these differences.
    """
    for k in range(room.lags.shape[1]):
        for i in range(CHUNK):
            room.filters[0, k, i] = room.filters[1, k, i] - room.filters[0, k, i]
            room.lags[0, k, i] = room.lags[1, k, i] - room.lags[0, k, i]
    # At the start nothing is solved and all of the cross products is left; ``passed`` goes with ``along``.
    room.vectors[SOLUTION, :] = 0.0
    room.vectors[ALONG, :] = 0.0
    room.vectors[PASSED, :] = 0.0
    room.numbers[TOTAL, :] = 0.0
    for j in range(room.vectors.shape[1]):
        for i in range(CHUNK):
            room.vectors[LEFT, j, i] = room.vectors[CROSS, j, i]
    for _ in range(STEPS):
        np.dot(process.covariance, room.vectors[LEFT], room.vectors[TOWARDS])
        turn_direction(room)
        np.dot(process.through, room.vectors[ALONG], room.moved)
        weigh_direction(room, process.ends)
        step_along(room)


@vectorised
def turn_direction(room: Room) -> None:
    """Make the next direction ``along`` of what is ``left``, and G of the centre times it, ``passed``.

    ``total`` is the squared length of what is left, before and after.
    """
    for i in range(CHUNK):
        room.numbers[SHARE, i], room.numbers[TOTAL, i] = room.numbers[TOTAL, i], 0.0
    for j in range(room.vectors.shape[1]):
        for i in range(CHUNK):
            room.numbers[TOTAL, i] += room.vectors[LEFT, j, i] * room.vectors[TOWARDS, j, i]
    for i in range(CHUNK):
        room.numbers[SHARE, i] = (
            room.numbers[TOTAL, i] / room.numbers[SHARE, i] if room.numbers[SHARE, i] > 0.0 else 0.0
        )
    for j in range(room.vectors.shape[1]):
        for i in range(CHUNK):
            keep = np.float32(room.numbers[SHARE, i])
            room.vectors[ALONG, j, i] = room.vectors[TOWARDS, j, i] + keep * room.vectors[ALONG, j, i]
            room.vectors[PASSED, j, i] = room.vectors[LEFT, j, i] + keep * room.vectors[PASSED, j, i]


@vectorised
def weigh_direction(room: Room, ends_of_design: Matrix) -> None:
    """Write G of the voxel times the direction as ``change``."""
    rank, n_ends, order = room.vectors.shape[1], len(room.ends), room.lags.shape[1] - 1
    # With a change D of H the corner HH' changes by D times H of the centre, and H of the voxel times D.
    room.turned[:] = 0.0
    half, whole = room.turned[:n_ends], room.turned[n_ends:]
    add_hankel(room.filters[0], room.moved[order * rank :], room.turned)
    add_hankel(room.filters[1], half, whole)
    np.dot(ends_of_design, whole, room.vectors[CHANGE])
    for j in range(rank):
        for i in range(CHUNK):
            change = room.vectors[PASSED, j, i] - room.vectors[CHANGE, j, i]
            room.vectors[CHANGE, j, i] = change + np.float32(room.lags[0, 0, i]) * room.vectors[ALONG, j, i]
        for k in range(order):
            for i in range(CHUNK):
                lag = np.float32(room.lags[0, k + 1, i])
                room.vectors[CHANGE, j, i] += lag * room.moved[k * rank + j, i]


@vectorised
def step_along(room: Room) -> None:
    """Go along a direction to where the least is left."""
    room.numbers[SHARE, :] = 0.0
    for j in range(room.vectors.shape[1]):
        for i in range(CHUNK):
            room.numbers[SHARE, i] += room.vectors[ALONG, j, i] * room.vectors[CHANGE, j, i]
    for i in range(CHUNK):
        room.numbers[SHARE, i] = (
            room.numbers[TOTAL, i] / room.numbers[SHARE, i] if room.numbers[SHARE, i] > 0.0 else 0.0
        )
    for j in range(room.vectors.shape[1]):
        for i in range(CHUNK):
            step = np.float32(room.numbers[SHARE, i])
            room.vectors[SOLUTION, j, i] += step * room.vectors[ALONG, j, i]
            room.vectors[LEFT, j, i] -= step * room.vectors[CHANGE, j, i]


@vectorised
def leave_fit(room: Room) -> None:
    """Take a fit, which is in ``moved``, out of the sums."""
    rank, n_lagged = room.vectors.shape[1], len(room.lagged)
    for j in range(rank):
        for i in range(CHUNK):
            room.products[0, i] += room.vectors[SOLUTION, j, i] * room.vectors[SOLUTION, j, i]
    # r'D_kr falls by b'(Q'D_kr + Q'D_ke), e = r - Qb: what the lag was before and is after.
    for j in range(n_lagged):
        for i in range(CHUNK):
            rest = room.lagged[j, i] - room.moved[j, i]
            room.products[j // rank + 1, i] -= (room.lagged[j, i] + rest) * room.vectors[
                SOLUTION, j % rank, i
            ]
            room.lagged[j, i] = rest
    for j in range(len(room.ends)):
        for i in range(CHUNK):
            room.ends[j, i] -= room.moved[n_lagged + j, i]


@vectorised
def mix_lags(room: Room, slopes: Matrix) -> None:
    """Turn corners into the slopes Q'(dP/da_i)e: the sum of slopes[i, k] Q'D_ke less the corners."""
    rank, order = room.vectors.shape[1], len(slopes)
    for row in range(order * rank):
        i, j = row // rank, row % rank
        for v in range(CHUNK):
            # Lag 0 of what is left is -solution.
            room.matrices[SLOPES, row, v] = (
                -slopes[i, 0] * room.vectors[SOLUTION, j, v] - room.matrices[SLOPES, row, v]
            )
        for k in range(order):
            for v in range(CHUNK):
                room.matrices[SLOPES, row, v] += slopes[i, k + 1] * room.lagged[k * rank + j, v]


@vectorised
def make_forms(room: Room, forms: Matrices) -> None:
    """Write the form B of e'P(a)e = f'Bf of every voxel, see ``lagged_design.make_form``."""
    order = len(room.products) - 1
    for k in range(order + 1):
        for i in range(CHUNK):
            room.numbers[TOTAL, i] = room.products[k, i] * (0.5 if k else 1.0)
        for j in range(order + 1 - k):
            for i in range(len(forms)):
                forms[i, j + k, j] = forms[i, j, j + k] = room.numbers[TOTAL, i]
            # What the lags count too much, along each diagonal: pairs at the ends, before the next one.
            for first in range(j, len(room.ends) - k, order):
                for i in range(CHUNK):
                    room.numbers[TOTAL, i] -= room.ends[first + k, i] * room.ends[first, i]


@vectorised
def centre_forms(forms: Matrices, filter_: Numbers) -> None:
    """Turn forms B of the filter into q and its slope at one filter, in the first row; the rest stays."""
    size = forms.shape[1]
    for v in range(len(forms)):
        q = 0.0
        for i in range(size - 1, -1, -1):
            product = 0.0
            for j in range(size):
                product += forms[v, max(i, j), min(i, j)] * filter_[j]
            q += product * filter_[i]
            forms[v, 0, i] = -2.0 * product
        forms[v, 0, 0] = q


@vectorised
def take_cross(room: Room, forms: Matrices) -> None:
    """Take products of the white slopes from the forms: what the fit adapts when the coefficients change."""
    rank, order = room.vectors.shape[1], len(room.products) - 1
    for a in range(order):
        for b in range(a + 1):
            room.numbers[TOTAL, :] = 0.0
            for k in range(rank):
                for i in range(CHUNK):
                    room.numbers[TOTAL, i] += (
                        room.matrices[WHITE, a * rank + k, i] * room.matrices[WHITE, b * rank + k, i]
                    )
            for i in range(len(forms)):
                forms[i, a + 1, b + 1] -= room.numbers[TOTAL, i]
                forms[i, b + 1, a + 1] = forms[i, a + 1, b + 1]
