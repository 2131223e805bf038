"""Compiled loops over voxels, from sums over time to what ``newton`` minimises and to the fit.

A bin of voxels is one call, which does not hold Python's lock: threads do not wait for each other.
"""

from typing import NamedTuple

import numpy as np

from bidsapp.stats.autoregression import vectorised

# Voxels whose sums are worked on at a time: they stay in the processor's cache.
CHUNK = 256


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
    lags : ndarray, shape (p + 1,)
    head : ndarray, shape (p, p)
        As of ``whitening.Precision``.
    ends : ndarray, shape (n_ends, rank)
        Of the basis.
    gram, covariance : ndarray, shape (rank, rank)
        G and G^-1.
    """

    lags: np.ndarray
    head: np.ndarray
    ends: np.ndarray
    gram: np.ndarray
    covariance: np.ndarray


@vectorised
def fit_residuals(products, departures, ends, voxels, process):
    """Return a fit to the least-squares residuals, what it leaves, and Q'Pr of some voxels.

    Returns
    -------
    solution : ndarray, shape (n_chosen, rank)
    rest : ndarray, shape (n_chosen,)
        The weighted residual sum of squares.
    """
    rank, size = departures.shape[2], len(process.head)
    change = np.empty((len(voxels), rank), np.float32)
    weigh_lags(departures, voxels, process.lags.astype(np.float32), change)
    own = ends[voxels].astype(np.float64)
    weighted = np.zeros_like(own)
    for i in range(len(voxels)):
        for first in range(0, own.shape[1], size):
            for j in range(size):
                for k in range(size):
                    weighted[i, first + j] += process.head[j, k] * own[i, first + k]
    cross = change - np.dot(weighted, process.ends)
    solution = np.dot(cross, process.covariance)
    rest = np.dot(products[voxels], process.lags)
    for i in range(len(voxels)):
        for j in range(own.shape[1]):
            rest[i] -= weighted[i, j] * own[i, j]
        for j in range(rank):
            rest[i] -= solution[i, j] * cross[i, j]
    return solution, rest


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
