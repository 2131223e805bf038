"""Noise models: the autocorrelation of each voxel's noise, estimated from the sums over time.

Voxels with (nearly) the same coefficients share a bin, so that a model is prepared once a bin.
"""

import re
from dataclasses import dataclass

import numpy as np

from bidsapp.errors import SettingsError
from bidsapp.stats import whitening
from bidsapp.stats.autoregression import find_partials, make_bins, to_coefficients
from bidsapp.stats.reml import REML_GRID, find_reml_bins

MAX_ORDER = 6
# nilearn cuts AR(1) coefficients to this many bins a unit (towards zero).
NILEARN_BINS = 100
# Voxels treated at a time.
CHUNK = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """The noise of every voxel.

    Attributes
    ----------
    coefficients : ndarray, shape (n_bins, order)
    bins : ndarray of int, shape (n_voxels,)
        Which row of the coefficients a voxel has; -1 where it has no noise to model (constant voxels).
    precisions : tuple of whitening.Precision
        One a bin.
    """

    coefficients: np.ndarray
    bins: np.ndarray
    precisions: tuple


def parse_noise_model(name):
    """Return the kind ("ols", "nilearn", "reml" or "corrected") and the order of a noise model.

    ``ols``; ``ar1``: nilearn's estimator; ``ar1-reml``: restricted likelihood; ``ar2`` to ``ar6``:
    bias-corrected autocovariances.
    """
    if name == "ols":
        return "ols", 0
    if name in ("ar1", "ar1-reml"):
        return ("nilearn" if name == "ar1" else "reml"), 1
    match = re.fullmatch(r"ar(\d)", name)
    if match and 2 <= int(match[1]) <= MAX_ORDER:
        return "corrected", int(match[1])
    message = f"Unknown noise model {name!r}. Use ar1-reml, ar1, ar2 to ar{MAX_ORDER}, or ols."
    raise SettingsError(message)


def count_lags(name):
    """Return the number of lags that a noise model needs the sums for."""
    return parse_noise_model(name)[1]


def estimate_noise(sums, name, *, smooth=None, n_threads=1):
    """Return the noise of the usable voxels.

    Parameters
    ----------
    sums : SeriesSums
    name : str
        As in ``parse_noise_model``.
    smooth : callable or None
        Smooths a map (n_voxels,), NaN where there is no value; applied to the coefficients of first-order
        models and to the partial autocorrelations of the others.
    """
    kind, order = parse_noise_model(name)
    if kind == "ols":
        return _share_bins(sums, np.zeros((1, 0)), np.zeros(np.count_nonzero(sums.usable), int))
    if kind == "nilearn":
        return estimate_like_nilearn(sums, smooth)
    if kind == "corrected":
        return estimate_corrected(sums, order, smooth)
    found = find_reml_bins(sums, np.flatnonzero(sums.usable), n_threads=n_threads)
    if smooth is not None:
        smoothed = _smooth_usable(sums, REML_GRID[found], smooth)
        found = np.abs(REML_GRID[:, None] - smoothed).argmin(axis=0)
    return _share_bins(sums, REML_GRID[:, None], found)


def estimate_like_nilearn(sums, smooth=None):
    """Return AR(1) noise by nilearn's estimator: Yule-Walker on the residuals, cut to bins of 0.01."""
    n_volumes = sums.model.n_volumes
    none, one = residual_autocovariances(sums)
    if not sums.model.has_constant:
        change = _without_grand_mean(sums)
        none, one = none + change[0], one + change[1]
    rho = (one[sums.usable] / (n_volumes - 1)) / (none[sums.usable] / n_volumes)
    rho = _smooth_usable(sums, rho, smooth)
    levels, bins = np.unique(np.trunc(rho * NILEARN_BINS).astype(int), return_inverse=True)
    return _share_bins(sums, levels[:, None] / NILEARN_BINS, bins, whitening.make_plain_precision)


def estimate_corrected(sums, order, smooth=None):
    """Return AR(p) noise from bias-corrected autocovariances; voxels share bins of coefficients."""
    partials = find_partials(residual_autocovariances(sums, order)[:, sums.usable], sums.model)
    partials = np.stack([_smooth_usable(sums, partial, smooth) for partial in partials])
    centres, bins = make_bins(partials.T)
    return _share_bins(sums, to_coefficients(centres), bins)


def _smooth_usable(sums, values, smooth):
    """Return the values of the usable voxels smoothed as a map."""
    if smooth is None:
        return values
    full = np.full(len(sums.usable), np.nan)
    full[sums.usable] = values
    return smooth(full)[sums.usable]


def _share_bins(sums, coefficients, found, make_precision=whitening.make_precision):
    bins = np.full(len(sums.usable), -1)
    bins[sums.usable] = found
    return Noise(coefficients, bins, tuple(map(make_precision, coefficients)))


def residual_autocovariances(sums, n_lags=1):
    """Return the sum of r_t r_(t+k) of the least-squares residuals r, shape (n_lags + 1, n_voxels)."""
    basis = sums.model.basis
    result = np.empty((n_lags + 1, len(sums.cross)))
    for k in range(n_lags + 1):
        inner = basis.T @ sums.model.lagged(k)
        for start in range(0, len(sums.cross), CHUNK):
            chunk = slice(start, start + CHUNK)
            beta = sums.cross[chunk, 0]
            fitted = np.einsum("vr,vr->v", beta @ inner - 2 * sums.cross[chunk, k], beta)
            result[k, chunk] = (sums.squares[k, chunk] + fitted) * (0.5 if k else 1.0)
    return result


def _without_grand_mean(sums):
    """Return how lags 0 and 1 change when the mean of all residuals of all voxels is taken away."""
    basis, beta, n_volumes = sums.model.basis, sums.cross[:, 0], sums.model.n_volumes
    total = sums.totals - beta @ basis.sum(axis=0)
    ends = sums.head[0, 0] + sums.tail[-1, -1] - beta @ (basis[0] + basis[-1])
    mean = total[sums.usable].mean() / n_volumes
    return mean * (n_volumes * mean - 2 * total), mean * ((n_volumes - 1) * mean - 2 * total + ends)
