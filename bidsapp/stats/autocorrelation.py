"""Noise models: the autocorrelation of each voxel's noise, estimated from the sums over time.

Voxels with (nearly) the same coefficients share a bin, so that a model is prepared once a bin.
"""

import re
from dataclasses import dataclass

import numpy as np

from bidsapp.errors import SettingsError
from bidsapp.stats import whitening

MAX_ORDER = 6
# nilearn cuts AR(1) coefficients to this many bins a unit (towards zero).
NILEARN_BINS = 100
# Coefficients that the restricted likelihood is compared at; +-1 is no stationary process.
REML_STEP = 0.01
REML_RANGE = (-0.9, 0.98)
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


def estimate_noise(sums, name, usable):
    """Return the noise of the usable voxels.

    Parameters
    ----------
    sums : SeriesSums
    name : str
        As in ``parse_noise_model``.
    usable : ndarray of bool, shape (n_voxels,)
    """
    kind, _ = parse_noise_model(name)
    return ESTIMATORS[kind](sums, usable)


def estimate_white(sums, usable):
    """Return white noise everywhere."""
    return Noise(np.zeros((1, 0)), np.where(usable, 0, -1), (whitening.make_precision([]),))


def estimate_like_nilearn(sums, usable):
    """Return AR(1) noise by nilearn's estimator: Yule-Walker on the residuals, cut to bins of 0.01."""
    n_volumes = sums.model.n_volumes
    with np.errstate(divide="ignore", invalid="ignore"):
        none, one = residual_autocovariances(sums, usable, demean=not sums.model.has_constant)
        rho = (one / (n_volumes - 1)) / (none / n_volumes)
    cut = np.trunc(rho[usable] * NILEARN_BINS).astype(int)
    levels, inverse = np.unique(cut, return_inverse=True)
    bins = np.full(len(usable), -1)
    bins[usable] = inverse
    coefficients = levels[:, None] / NILEARN_BINS
    return Noise(coefficients, bins, tuple(map(whitening.make_plain_precision, coefficients)))


def estimate_by_reml(sums, usable):
    """Return AR(1) noise whose coefficient has the greatest restricted likelihood on a grid.

    Minimises (T - p) log q + log|V| + log|X'V^-1 X|, q the weighted residual sum of squares (statistics:
    Patterson & Thompson 1971; used per voxel by AFNI's 3dREMLfit).
    """
    model = sums.model
    first, last = REML_RANGE
    grid = np.round(np.arange(first, last + REML_STEP / 2, REML_STEP), 10)
    precisions = tuple(whitening.make_precision([rho]) for rho in grid)
    factors, offsets = zip(
        *(_reml_terms(model, rho, p) for rho, p in zip(grid, precisions, strict=True)), strict=True
    )
    bins = np.full(len(usable), -1)
    voxels = np.flatnonzero(usable)
    for start in range(0, len(voxels), CHUNK):
        chunk = voxels[start : start + CHUNK]
        best = np.full(len(chunk), np.inf)
        choice = np.zeros(len(chunk), int)
        for number, precision in enumerate(precisions):
            fitted = whitening.cross(sums, precision, chunk) @ factors[number]
            rest = whitening.square(sums, precision, chunk) - np.einsum("vr,vr->v", fitted, fitted)
            deviance = model.dof * np.log(np.maximum(rest, np.finfo(float).tiny)) + offsets[number]
            better = deviance < best
            best[better], choice[better] = deviance[better], number
        bins[chunk] = choice
    return Noise(grid[:, None], bins, precisions)


def residual_autocovariances(sums, usable, *, demean=False, n_lags=1):
    """Return r'D_k r / 2 (lag 0: r'r) of the least-squares residuals r, shape (n_lags + 1, n_voxels).

    ``demean`` first takes the mean of all residuals of all voxels away.
    """
    model = sums.model
    beta = sums.cross[:, 0]
    result = np.empty((n_lags + 1, len(beta)))
    for k in range(n_lags + 1):
        inner = model.basis.T @ whitening.lagged(model.basis, k)
        result[k] = sums.squares[k] + np.einsum("vr,vr->v", beta @ inner - 2 * sums.cross[:, k], beta)
        result[k] *= 0.5 if k else 1.0
    if demean:
        total = sums.totals - beta @ model.basis.sum(axis=0)
        first = sums.head[0] - beta @ model.basis[0]
        last = sums.tail[-1] - beta @ model.basis[-1]
        mean = total[usable].sum() / (model.n_volumes * np.count_nonzero(usable))
        result[0] += mean * (model.n_volumes * mean - 2 * total)
        result[1] += mean * ((model.n_volumes - 1) * mean - 2 * total + first + last)
    return result


def _reml_terms(model, rho, precision):
    """Return the factor F with F F' = (Q'PQ)^-1, and the part of the deviance that no voxel changes."""
    factor = np.linalg.cholesky(whitening.gram(model, precision))
    log_volume = 2 * np.log(np.diag(factor)).sum() - np.log(1 - rho**2)
    return np.linalg.inv(factor).T, log_volume


ESTIMATORS = {
    "ols": estimate_white,
    "nilearn": estimate_like_nilearn,
    "reml": estimate_by_reml,
}
