"""Compiled loops over voxels, from sums over time to what ``newton`` minimises and to the fit.

A bin of voxels is one call, which does not hold Python's lock: threads do not wait for each other.
"""

from typing import NamedTuple

import numpy as np

from bidsapp.stats.noise.autoregression import vectorised

# Voxels whose sums are worked on at a time: they stay in the processor's cache.
CHUNK = 64
# Conjugate gradients from the centre of a bin to the noise of a voxel (docs/noise.md has what they leave).
STEPS = 3


@vectorised
def take_fit(beta, departures, fitted, products):
    """Turn y'D_ky into r'D_kr of the residuals r = y - Qb; ``fitted`` is b'Q'D_kQ of lags 1 to p."""
    order, rank = departures.shape[1:]
    for v in range(len(beta)):
        # The basis is orthonormal: Q'D_0Q is the identity.
        for j in range(rank):
            products[v, 0] -= beta[v, j] * beta[v, j]
        for k in range(order):
            for j in range(rank):
                products[v, k + 1] -= (fitted[v, k * rank + j] + 2.0 * departures[v, k, j]) * beta[v, j]


class Centre(NamedTuple):
    """A process and the design there, in single precision but for the filter.

    Attributes
    ----------
    filter : ndarray, shape (p + 1,)
    lags : ndarray, shape (p + 1,)
        Of the precision.
    slopes : ndarray, shape (p, p + 1)
        Derivatives of the lags by the coefficients.
    ends : ndarray, shape (rank, n_ends)
        Of the basis.
    corner : ndarray, shape (n_ends, rank)
        The precision's corners times the ends.
    corner_slopes : ndarray, shape (n_ends, p * rank)
        Derivatives of that by each coefficient.
    inner : ndarray, shape (rank, p * rank)
        Q'D_kQ of lags 1 to p.
    covariance, back : ndarray, shape (rank, rank)
        G^-1; and L^-T, with G = LL'.
    """

    filter: np.ndarray
    lags: np.ndarray
    slopes: np.ndarray
    ends: np.ndarray
    corner: np.ndarray
    corner_slopes: np.ndarray
    inner: np.ndarray
    covariance: np.ndarray
    back: np.ndarray


@vectorised
def expand_products(products, departures, ends, voxels, centre):
    """Return q, its slope and second derivatives about a centre, see ``newton.minimise``.

    With e the generalised least-squares residuals at the centre and u_i = L^-1 Q'(dP/da_i) e, q is
    e'P(a)e - |sum_i d_i u_i|^2 + O(d^3). The sums are those of ``ResidualSums``.
    """
    order, rank = departures.shape[1:]
    forms = np.empty((len(voxels), order + 1, order + 1))
    for start in range(0, len(voxels), CHUNK):
        part = voxels[start : start + CHUNK]
        own, n_own = ends[part], len(part)
        cross = np.empty((n_own, rank), np.float32)
        weigh_lags(departures, part, centre.lags, cross)
        cross -= np.dot(own, centre.corner)
        solution = np.dot(cross, centre.covariance)
        rest = np.dot(solution, centre.inner).reshape(n_own, order, rank)
        change = leave_fit(departures, part, rest, solution)
        own -= np.dot(solution, centre.ends)
        along = np.dot(own, centre.corner_slopes).reshape(n_own, order, rank)
        mix_lags(rest, solution, centre.slopes, along)
        along = np.dot(along.reshape(n_own * order, rank), centre.back).reshape(n_own, order, rank)
        some = forms[start : start + n_own]
        make_forms(products[part] + change, own, some)
        centre_forms(some, centre.filter)
        take_cross(along, some)
    return forms


class Precise(NamedTuple):
    """A process and the design there, for the fit.

    Attributes
    ----------
    filter, lags : ndarray, shape (p + 1,)
        Lags of the precision.
    ends : ndarray, shape (n_ends, rank)
        Of the basis.
    inner : ndarray of float32, shape (rank, p * rank)
        Q'D_kQ of lags 1 to p.
    covariance : ndarray, shape (rank, rank)
        G^-1.
    """

    filter: np.ndarray
    lags: np.ndarray
    ends: np.ndarray
    inner: np.ndarray
    covariance: np.ndarray


@vectorised
def fit_residuals(products, departures, ends, voxels, coefficients, process):
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
    n_chosen, order = coefficients.shape
    solutions, rests = np.empty((2, n_chosen, departures.shape[2])), np.empty((2, n_chosen))
    for start in range(0, n_chosen, CHUNK):
        part = voxels[start : start + CHUNK]
        some = slice(start, start + len(part))
        # Voxels come last where loops over a few numbers of each can be made vectors of over voxels.
        centres, filters = np.ones((2, order + 1, len(part)))
        own = np.empty((ends.shape[1], len(part)))
        for i in range(len(part)):
            for k in range(order):
                centres[k + 1, i], filters[k + 1, i] = process.filter[k + 1], -coefficients[start + i, k]
            for j in range(len(own)):
                own[j, i] = ends[part[i], j]
        cross, rest = weigh_residuals(products, departures, own, part, centres, process.ends)
        solutions[0, some] = np.dot(cross, process.covariance)
        rests[0, some] = rest - (solutions[0, some] * cross).sum(axis=1)
        cross, rest = weigh_residuals(products, departures, own, part, filters, process.ends)
        solutions[1, some] = solve_near(cross, centres, filters, process)
        rests[1, some] = rest - (solutions[1, some] * cross).sum(axis=1)
    return solutions, rests


@vectorised
def weigh_residuals(products, departures, ends, voxels, filters, ends_of_design):
    """Return Q'Pr and r'Pr of some voxels, P of each one's filter, (n_chosen, rank) and (n_chosen,).

    ``ends`` (n_ends, n_chosen) and ``filters`` (p + 1, n_chosen) have the voxels last.
    """
    n_chosen, rank = len(voxels), departures.shape[2]
    cross, rest, lags = np.zeros((n_chosen, rank)), np.zeros(n_chosen), find_lags(filters)
    weighted = weigh_ends(filters, ends)
    for j in range(len(ends)):
        for i in range(n_chosen):
            rest[i] -= weighted[j, i] * ends[j, i]
    for i in range(n_chosen):
        v = voxels[i]
        rest[i] += lags[0, i] * products[v, 0]
        for k in range(1, len(lags)):
            rest[i] += lags[k, i] * products[v, k]
            for j in range(rank):
                cross[i, j] += lags[k, i] * departures[v, k - 1, j]
    return cross - np.dot(weighted.T, ends_of_design), rest


@vectorised
def find_lags(filters):
    """Return the lags of the precision of each filter, both (p + 1, n_chosen); see ``lagged_design``."""
    lags = np.zeros_like(filters)
    for k in range(len(filters)):
        for j in range(len(filters) - k):
            for i in range(filters.shape[1]):
                lags[k, i] += filters[j, i] * filters[j + k, i]
    return lags


@vectorised
def weigh_ends(filters, ends):
    """Return the corner of each filter times its ends, both (n_ends, n_chosen).

    The corner is HH', H_ij = f_(i + j + 1).
    """
    order = len(filters) - 1
    half, result = np.zeros_like(ends), np.zeros_like(ends)
    for first in range(0, len(ends), order):
        add_hankel(filters, ends[first : first + order], half[first : first + order])
        add_hankel(filters, half[first : first + order], result[first : first + order])
    return result


@vectorised
def add_hankel(filters, values, result):
    """Add H times the values of each voxel, in place."""
    for j in range(len(values)):
        for k in range(len(values) - j):
            for i in range(values.shape[1]):
                result[j, i] += filters[j + k + 1, i] * values[k, i]


@vectorised
def solve_near(cross, centres, filters, process):
    """Return the solutions of G(a)x = cross by conjugate gradients that begin with G^-1 of the centre."""
    x, left, along, through = np.zeros_like(cross), cross.copy(), np.zeros_like(cross), np.zeros_like(cross)
    lags, length = find_lags(filters) - find_lags(centres), np.zeros(len(cross))
    for _ in range(STEPS):
        # ``through`` is G of the centre times ``along``.
        turn_direction(left, np.dot(left, process.covariance), along, through, length)
        at_ends = np.dot(process.ends, along.T)
        corners = weigh_ends(filters, at_ends) - weigh_ends(centres, at_ends)
        change = through - np.dot(corners.T, process.ends)
        # What G(a) differs by from that of the centre is small: single precision is enough.
        moved = np.dot(along.astype(np.float32), process.inner)
        add_lags(lags, along, moved.reshape(len(cross), -1, cross.shape[1]), change)
        for i in range(len(cross)):
            curve = 0.0
            for j in range(cross.shape[1]):
                curve += along[i, j] * change[i, j]
            step = length[i] / curve if curve > 0.0 else 0.0
            for j in range(cross.shape[1]):
                x[i, j] += step * along[i, j]
                left[i, j] -= step * change[i, j]
    return x


@vectorised
def turn_direction(left, towards, along, through, length):
    """Make the next conjugate direction ``along`` of what is ``left``, in place, ``through`` alike."""
    for i in range(len(left)):
        before, length[i] = length[i], 0.0
        for j in range(left.shape[1]):
            length[i] += left[i, j] * towards[i, j]
        keep = length[i] / before if before > 0.0 else 0.0
        for j in range(left.shape[1]):
            along[i, j] = towards[i, j] + keep * along[i, j]
            through[i, j] = left[i, j] + keep * through[i, j]


@vectorised
def add_lags(lags, none, others, result):
    """Add the sum over k of lags[k] times the rows of lag ``none`` and of the ``others``, in place."""
    for i in range(len(result)):
        for j in range(result.shape[1]):
            result[i, j] += lags[0, i] * none[i, j]
        for k in range(others.shape[1]):
            for j in range(result.shape[1]):
                result[i, j] += lags[k + 1, i] * others[i, k, j]


@vectorised
def weigh_lags(departures, voxels, lags, cross):
    """Write the sum over k of lags[k] times departures[voxels, k - 1], shape (n_chosen, rank)."""
    order, rank = departures.shape[1:]
    for i in range(len(voxels)):
        v = voxels[i]
        for j in range(rank):
            cross[i, j] = lags[1] * departures[v, 0, j]
        for k in range(1, order):
            for j in range(rank):
                cross[i, j] += lags[k + 1] * departures[v, k, j]


@vectorised
def leave_fit(departures, voxels, fitted, solution):
    """Take a fit out of the sums, in ``fitted``; return how the products e'D_ke change, (n_chosen, p + 1).

    Parameters
    ----------
    departures : ndarray of float32, shape (n_voxels, p, rank)
        Of the residuals.
    voxels : ndarray of int, shape (n_chosen,)
    fitted : ndarray of float32, shape (n_chosen, p, rank)
        Of the fit to them.
    solution : ndarray of float32, shape (n_chosen, rank)
        The parameters of the fit.
    """
    n_chosen, order, rank = fitted.shape
    change = np.zeros((n_chosen, order + 1))
    for i in range(n_chosen):
        v = voxels[i]
        total = np.float32(0.0)
        for j in range(rank):
            total += solution[i, j] * solution[i, j]
        change[i, 0] = total
        for k in range(order):
            total = np.float32(0.0)
            for j in range(rank):
                rest = departures[v, k, j] - fitted[i, k, j]
                total += (departures[v, k, j] + rest) * solution[i, j]
                fitted[i, k, j] = rest
            change[i, k + 1] = -total
    return change


@vectorised
def mix_lags(rest, solution, slopes, along):
    """Write sum_k slopes[i, k] Q'D_ke less ``along``; ``rest`` has lags 1 to p, lag 0 is -solution."""
    n_voxels, order, rank = rest.shape
    for v in range(n_voxels):
        for i in range(order):
            for j in range(rank):
                along[v, i, j] = -slopes[i, 0] * solution[v, j] - along[v, i, j]
            for k in range(order):
                for j in range(rank):
                    along[v, i, j] += slopes[i, k + 1] * rest[v, k, j]


@vectorised
def make_forms(products, ends, forms):
    """Write the form B of e'P(a)e = f'Bf of every voxel, see ``lagged_design.make_form``."""
    n_voxels, order = products.shape[0], products.shape[1] - 1
    for v in range(n_voxels):
        for i in range(order + 1):
            forms[v, i, i] = products[v, 0]
            for j in range(i):
                forms[v, i, j] = 0.5 * products[v, i - j]
        # What the lags count too much, along each diagonal: pairs that lie before this one at the ends.
        for k in range(order):
            passed = 0.0
            for j in range(1, order + 1 - k):
                for first in range(j - 1, ends.shape[1], order):
                    passed += ends[v, first + k] * ends[v, first]
                forms[v, j + k, j] -= passed
    mirror(forms)


@vectorised
def mirror(forms):
    """Copy the lower triangle of every form to the upper one."""
    for v in range(forms.shape[0]):
        for i in range(forms.shape[1]):
            for j in range(i):
                forms[v, j, i] = forms[v, i, j]


@vectorised
def centre_forms(forms, filter_):
    """Turn forms B of the filter into q and its slope at one filter, in the first row; the rest stays."""
    n_voxels, size = forms.shape[0], forms.shape[1]
    products = np.empty(size)
    for v in range(n_voxels):
        for i in range(size):
            products[i] = 0.0
            for j in range(size):
                products[i] += forms[v, i, j] * filter_[j]
        forms[v, 0, 0] = 0.0
        for i in range(size):
            forms[v, 0, 0] += products[i] * filter_[i]
        for i in range(1, size):
            forms[v, 0, i] = -2.0 * products[i]


@vectorised
def take_cross(along, forms):
    """Take the products of ``along`` from the forms: what the fit adapts when the coefficients change."""
    n_voxels, order, rank = along.shape
    for v in range(n_voxels):
        for i in range(order):
            for j in range(i + 1):
                total = np.float32(0.0)
                for k in range(rank):
                    total += along[v, i, k] * along[v, j, k]
                forms[v, i + 1, j + 1] -= total
                forms[v, j + 1, i + 1] = forms[v, i + 1, j + 1]
