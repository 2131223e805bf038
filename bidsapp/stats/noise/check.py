"""Is the noise model right for a run? What is left in the whitened residuals of a sample of its voxels.

With F the filter of a process (its first p volumes of a run left out), V its covariance, Q the basis of the
design and G = Q'V^-1Q, the whitened residuals u of the right model have the covariance (in units of the
innovations' variance)

    E[uu'] = F V F' - F Q G^-1 Q'F' = I - WW',   W = F Q L^-T,  G = LL'.

Autocorrelation, spectrum and portmanteau statistic are compared with what that expects, for residuals are
less correlated than noise. Where F meets a dropped volume u is not used. Pairs of volumes lie within a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc, ndtri

from bidsapp.records.arrays import Labels, Maps, Mask, Matrix, Numbers
from bidsapp.stats.noise.models import WATCHED_VOXELS
from bidsapp.stats.noise.time_model import lagged

if TYPE_CHECKING:
    from bidsapp.stats.run.glm import FittedRun

# Lags that are looked at: so many, at least some above the order, and a part of the volumes at most.
N_LAGS, LAGS_ABOVE_ORDER, PART_OF_VOLUMES = 20, 8, 6
# Dropped volumes may leave fewer pairs at a lag: lags from there on are not looked at.
FEWEST_PAIRS = 20
# Of frequencies, each the mean of some ordinates: a periodogram alone is too rough to be read.
N_BANDS = 40
ALPHA = 0.05
WITHIN = ndtri(1 - ALPHA / 2)
# With fewer voxels nothing is said of a tissue.
FEWEST = 10


@dataclass(frozen=True, slots=True, eq=False)
class LeftOver:
    """What is left in the whitened residuals of one group of voxels, beside what the right model leaves.

    Attributes
    ----------
    n_voxels : int
    autocorrelation, autocorrelation_band : ndarray, shape (n_lags,)
        Mean over the voxels, lags 1 to n_lags; 95 % of such means lie within the band of the expected one.
    spectrum, spectrum_band : ndarray, shape (n_bands,)
        Mean periodogram, 1 where white; and the same.
    outside : float
        Share of the voxels whose portmanteau test has p < .05.
    """

    n_voxels: int
    autocorrelation: Numbers
    autocorrelation_band: Numbers
    spectrum: Numbers
    spectrum_band: Numbers
    outside: float


@dataclass(frozen=True, slots=True, eq=False)
class NoiseCheck:
    """What the right model leaves, and what each group of voxels has.

    Attributes
    ----------
    autocorrelation : ndarray, shape (n_lags,)
        Expected, lags 1 to n_lags.
    frequencies, spectrum : ndarray, shape (n_bands,)
        In cycles a volume; the expected periodogram, 1 where white.
    groups : dict of str to LeftOver
    """

    autocorrelation: Numbers
    frequencies: Numbers
    spectrum: Numbers
    groups: dict[str, LeftOver]


@dataclass(frozen=True, slots=True, eq=False)
class _Expected:
    """What the right model leaves of sums over time.

    Attributes
    ----------
    used : ndarray, shape (n_times,)
        1 for volumes with a whitened residual, 0 for others and between runs.
    design : ndarray, shape (n_times, rank)
        W.
    products : ndarray, shape (n_lags + 1,)
        Of sum_t u_t u_(t+k).
    covariance : ndarray, shape (n_lags, n_lags)
        Of these less their expectation, where lag 0 is as expected.
    """

    used: Numbers
    design: Matrix
    products: Numbers
    covariance: Matrix


def choose_sample(n_voxels: int) -> Labels:
    """Return the indices of the voxels that are looked at, evenly over the mask."""
    return np.unique(np.linspace(0, n_voxels - 1, min(WATCHED_VOXELS, n_voxels)).astype(int))


def check_noise(
    residuals: Maps, fitted: "FittedRun", voxels: Labels, groups: Mapping[str, Mask], keep: Mask
) -> NoiseCheck | None:
    """Return the NoiseCheck of a fit, or None where it is too short.

    Parameters
    ----------
    residuals : ndarray, shape (n_volumes, n_chosen)
        Before whitening, in the unit of the effects.
    fitted : FittedRun
    voxels : ndarray of int, shape (n_chosen,)
    groups : dict of str to ndarray of bool, shape (n_chosen,)
    keep : ndarray of bool, shape (n_volumes,)
        False in dropped volumes.
    """
    order, runs = fitted.noise.coefficients.shape[1], fitted.model.runs
    shortest = min(run.stop - run.start for run in runs)
    gap = min(max(N_LAGS, order + LAGS_ABOVE_ORDER), shortest // PART_OF_VOLUMES)
    used = _find_used(keep, order, runs, gap)
    n_lags = next((k for k in range(gap) if _count_pairs(used, k + 1) < FEWEST_PAIRS), gap)
    known = np.isfinite(fitted.sigma_square[voxels])
    if n_lags <= order or not known.any():
        return None
    coefficients = fitted.autocorrelation[:, voxels[known]]
    expected = _expect(used, _whiten_design(fitted, voxels[known], coefficients, gap), n_lags)
    white = used[:, None] * _whiten(residuals[:, known], coefficients, runs, gap)
    white /= np.sqrt(np.square(white).sum(axis=0) / expected.products[0])
    frequencies, bands = _make_bands(len(white))
    found = {name: _look(white[:, inside[known]], expected, order, bands) for name, inside in groups.items()}
    return NoiseCheck(
        autocorrelation=expected.products[1:] / expected.products[0],
        frequencies=frequencies,
        spectrum=_find_spectrum(expected, bands),
        groups={name: left for name, left in found.items() if left},
    )


def _whiten(rows: Maps, coefficients: Maps, runs: Sequence[slice], gap: int) -> Maps:
    """Return rows over time, whitened, each run followed by a gap of zeros; so are its first p volumes."""
    parts, order = [], len(coefficients)
    for run in runs:
        own = rows[run]
        part = np.zeros((len(own) + gap, own.shape[1]))
        inner = part[order : len(own)]
        inner[:] = own[order:]
        for k, coefficient in enumerate(coefficients, 1):
            inner -= coefficient * own[order - k : len(own) - k]
        parts.append(part)
    return np.concatenate(parts)


def _find_used(keep: Mask, order: int, runs: Sequence[slice], gap: int) -> Numbers:
    """Return 1 where the filter meets kept volumes of one run only, 0 elsewhere, (n_times,)."""
    kept, there = (
        _whiten(rows[:, None], np.full(order, -1.0), runs, gap)[:, 0]
        for rows in (keep * 1.0, np.ones(len(keep)))
    )
    return np.where((there > 0) & (kept == there), 1.0, 0.0)


def _count_pairs(used: Numbers, k: int) -> float:
    return float(used[k:] @ used[: len(used) - k])


def _whiten_design(fitted: "FittedRun", voxels: Labels, coefficients: Maps, gap: int) -> Matrix:
    """Return W at the process nearest to the mean of the voxels', shape (n_times, rank)."""
    distance = np.square(coefficients - coefficients.mean(axis=1, keepdims=True)).sum(axis=0)
    middle = np.argmin(distance)
    covariance = fitted.covariances[fitted.noise.bins[voxels[middle]]]
    rows = fitted.model.basis @ np.linalg.cholesky(covariance)
    return _whiten(rows, coefficients[:, middle], fitted.model.runs, gap)


def _expect(used: Numbers, design: Matrix, n_lags: int) -> _Expected:
    """Return what is expected of sums over pairs of volumes that are used."""
    # u'A_ku, A_k = D_k / 2 and A_0 = I, is the sum over pairs; its covariances are 2 tr(A_k M A_l M).
    design = used[:, None] * design
    halves = np.stack([0.5 * lagged(design, k) if k else design for k in range(n_lags + 1)])
    inner = (design.T @ halves).reshape(n_lags + 1, -1)
    pairs = [_count_pairs(used, k) * (0.5 if k else 1.0) for k in range(n_lags + 1)]
    flat = (used[:, None] * halves).reshape(n_lags + 1, -1)
    of_products = 2 * (np.diag(pairs) - 2 * flat @ flat.T + inner @ inner.T)
    products = -inner[:, :: design.shape[1] + 1].sum(axis=1)
    products[0] += used.sum()
    scaled = np.column_stack([-products[1:] / products[0], np.eye(n_lags)])
    return _Expected(used, design, products, scaled @ of_products @ scaled.T)


def _look(white: Maps, expected: _Expected, order: int, bands: Sequence[Labels]) -> LeftOver | None:
    """Return the LeftOver of some voxels, None of too few."""
    n_lags, n_voxels = len(expected.covariance), white.shape[1]
    if n_voxels < FEWEST:
        return None
    pairs = [white[k:] * white[: len(white) - k] for k in range(1, n_lags + 1)]
    products = np.stack([pair.sum(axis=0) for pair in pairs])
    apart = products - expected.products[1:, None]
    statistic = np.einsum("kv,kv->v", apart, np.linalg.solve(expected.covariance, apart))
    # How many independent voxels have a mean that varies over time as much as that of these.
    varies = sum(np.sum(np.square(pair.mean(axis=1) - pair.mean())) for pair in pairs)
    n_independent = np.trace(expected.covariance) / varies
    variance = np.diag(expected.covariance) / n_independent
    power = np.square(np.abs(np.fft.rfft(white, axis=0))).mean(axis=1)
    spectrum = _average(power, bands) / expected.used.sum()
    ordinates = np.array([len(band) for band in bands]) * expected.used.mean()
    return LeftOver(
        n_voxels=n_voxels,
        autocorrelation=products.mean(axis=1) / expected.products[0],
        autocorrelation_band=WITHIN * np.sqrt(variance) / expected.products[0],
        spectrum=spectrum,
        spectrum_band=WITHIN * _find_spectrum(expected, bands) / np.sqrt(ordinates * n_independent),
        outside=float(np.mean(chdtrc(n_lags - order, statistic) < ALPHA)),
    )


def _make_bands(n_times: int) -> tuple[Numbers, Sequence[Labels]]:
    """Return the centres of bands of frequencies, in cycles a volume, and the numbers of their members."""
    numbers = np.arange(1, n_times // 2 + 1)
    bands = np.array_split(numbers, min(N_BANDS, len(numbers)))
    return np.array([band.mean() for band in bands]) / n_times, bands


def _average(power: Numbers, bands: Sequence[Labels]) -> Numbers:
    return np.array([power[band].mean() for band in bands])


def _find_spectrum(expected: _Expected, bands: Sequence[Labels]) -> Numbers:
    """Return the expected periodogram, 1 where white."""
    n_used = expected.used.sum()
    taken = np.square(np.abs(np.fft.rfft(expected.design, axis=0))).sum(axis=1)
    spectrum: Numbers = 1.0 - _average(taken, bands) / n_used
    return spectrum
