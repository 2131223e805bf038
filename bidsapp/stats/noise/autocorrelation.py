"""Noise models: the autocorrelation of each voxel's noise, estimated from the sums over time.

Voxels with (nearly) the same coefficients share a bin, so that a model is prepared once a bin.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bidsapp.errors import InputError
from bidsapp.records.arrays import Labels, Map, Maps, Matrix
from bidsapp.stats.noise import whitening
from bidsapp.stats.noise.autoregression import make_bins, to_coefficients
from bidsapp.stats.noise.lagged_design import LaggedDesign, make_lagged_design
from bidsapp.stats.noise.newton import LARGEST_PARTIAL
from bidsapp.stats.noise.reml import REML_GRID, find_reml_bins
from bidsapp.stats.noise.residual_sums import ResidualSums, make_residual_sums
from bidsapp.stats.noise.restricted_likelihood import estimate_z
from bidsapp.stats.noise.uncertainty import Uncertainty, assess_noise
from bidsapp.vocabulary.noise import NOISE_MODELS

if TYPE_CHECKING:
    from bidsapp.stats.run.sums import SeriesSums

# Bins whose centres the fit of a voxel is expanded about.
N_BINS = 60
# A partial autocorrelation this near its limit is at it.
LIMIT_TOLERANCE = 1e-3
# nilearn cuts AR(1) coefficients to this many bins a unit (towards zero).
NILEARN_BINS = 100
# A residual sum of squares below this part of the total is rounding: the fit is perfect, the noise unknown.
PERFECT_FIT = 1e-13
# Voxels treated at a time.
CHUNK = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """The noise of every voxel.

    Attributes
    ----------
    coefficients : ndarray, shape (n_bins, order)
        Of all voxels of a bin, or of its centre where there is a likelihood.
    bins : ndarray of int, shape (n_voxels,)
        Which row of the coefficients a voxel has; -1 where it has no noise to model (constant voxels).
    precisions : tuple of whitening.Precision
        One a bin.
    likelihood : Likelihood or None
        What a fit by restricted likelihood leaves beside.
    """

    coefficients: Matrix
    bins: Labels
    precisions: tuple[whitening.Precision, ...]
    likelihood: "Likelihood | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Likelihood:
    """What the fit of an AR process by restricted likelihood works with.

    Attributes
    ----------
    design : LaggedDesign
    residuals : ResidualSums or None
        Of every voxel, for the fit; most of the memory of a run.
    uncertainty : Uncertainty
        Has the coefficients of each voxel.
    at_limit : float
        Share of the voxels with a partial autocorrelation at its limit: near a unit root.
    """

    design: LaggedDesign
    residuals: ResidualSums | None
    uncertainty: Uncertainty
    at_limit: float


class Smoother(Protocol):
    """What smooths a map (n_voxels,), NaN where there is no value."""

    @property
    def share(self) -> Map:
        """What is left of the variance of estimated coefficients."""

    def __call__(self, values: Map) -> Map:
        """Return the smoothed map."""


def estimate_noise(
    sums: "SeriesSums", name: str, *, smooth: Smoother | None = None, n_threads: int = 1
) -> Noise:
    """Return the noise of the usable voxels.

    Parameters
    ----------
    sums : SeriesSums
    name : str
        As in ``vocabulary.noise``; the order is that of the sums.
    smooth : Smoother or None
        Smooths a map (n_voxels,), NaN where there is no value; applied to the coefficients of first-order
        models and to z of the others, of whose uncertainty its ``share`` is left.
    """
    return METHODS[NOISE_MODELS[name].method](sums, smooth, n_threads)


def take_as_white(sums: "SeriesSums", _smooth: Smoother | None = None, _n_threads: int = 1) -> Noise:
    """Return noise without any correlation."""
    return _share_bins(sums, np.zeros((1, 0)), np.zeros(np.count_nonzero(sums.usable), int))


def estimate_on_grid(sums: "SeriesSums", smooth: Smoother | None = None, n_threads: int = 1) -> Noise:
    """Return AR(1) noise of the greatest restricted likelihood among some coefficients."""
    found = find_reml_bins(sums, np.flatnonzero(sums.usable), n_threads=n_threads)
    if smooth is not None:
        smoothed = _smooth_usable(sums, REML_GRID[found], smooth)
        found = np.abs(REML_GRID[:, None] - smoothed).argmin(axis=0)
    return _share_bins(sums, REML_GRID[:, None], found)


def estimate_like_nilearn(sums: "SeriesSums", smooth: Smoother | None = None, _n_threads: int = 1) -> Noise:
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


def estimate_by_likelihood(sums: "SeriesSums", smooth: Smoother | None = None, n_threads: int = 1) -> Noise:
    """Return AR(p) noise of the greatest restricted likelihood.

    Raises
    ------
    InputError
        Where the run is too short for the order.
    """
    order, model = len(sums.squares) - 1, sums.model
    shortest = min(run.stop - run.start for run in model.runs)
    if shortest < 2 * order or model.dof <= order:
        raise InputError(
            f"The noise model of order {order} needs runs of {2 * order} volumes and more than {order} "
            f"residual degrees of freedom; the shortest has {shortest}, the design leaves {model.dof}. "
            "Use --noise-model auto or fewer confounds."
        )
    design = make_lagged_design(model, order)
    residuals = make_residual_sums(sums, design, n_threads)
    # A voxel that the design explains has no noise: what single precision leaves of its lags is rounding.
    has_noise = sums.usable & (residuals.products[:, 0] > PERFECT_FIT * sums.squares[0])
    sums = replace(sums, usable=has_noise)
    z = estimate_z(residuals, design, np.flatnonzero(has_noise), n_threads)
    at_limit = float(np.mean(np.abs(np.tanh(z)).max(axis=1) > LARGEST_PARTIAL - LIMIT_TOLERANCE))
    z = np.stack([_smooth_usable(sums, column, smooth) for column in z.T], axis=1)
    centres, bins = make_bins(z, N_BINS, n_threads)
    centres = np.tanh(centres)
    noise = _share_bins(sums, to_coefficients(centres), bins)
    partials = np.full((len(has_noise), order), np.nan)
    partials[has_noise] = np.tanh(z)
    share = 1.0 if smooth is None else smooth.share
    uncertainty = assess_noise(design, noise.bins, partials, centres, share=share, n_threads=n_threads)
    return replace(noise, likelihood=Likelihood(design, residuals, uncertainty, at_limit))


METHODS: dict[str, Callable[["SeriesSums", Smoother | None, int], Noise]] = {
    "ols": take_as_white,
    "grid": estimate_on_grid,
    "nilearn": estimate_like_nilearn,
    "likelihood": estimate_by_likelihood,
}


def _smooth_usable(sums: "SeriesSums", values: Map, smooth: Smoother | None) -> Map:
    """Return the values of the usable voxels smoothed as a map."""
    if smooth is None:
        return values
    full = np.full(len(sums.usable), np.nan)
    full[sums.usable] = values
    return smooth(full)[sums.usable]


def _share_bins(
    sums: "SeriesSums",
    coefficients: Matrix,
    found: Labels,
    make_precision: Callable[[Map], whitening.Precision] = whitening.make_precision,
) -> Noise:
    bins = np.full(len(sums.usable), -1)
    bins[sums.usable] = found
    return Noise(coefficients, bins, tuple(map(make_precision, coefficients)))


def residual_autocovariances(sums: "SeriesSums", n_lags: int = 1) -> Maps:
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


def _without_grand_mean(sums: "SeriesSums") -> tuple[Map, Map]:
    """Return how lags 0 and 1 change when the mean of all residuals of all voxels is taken away."""
    basis, beta, n_volumes = sums.model.basis, sums.cross[:, 0], sums.model.n_volumes
    total = sums.totals - beta @ basis.sum(axis=0)
    ends = sums.head[0, 0] + sums.tail[-1, -1] - beta @ (basis[0] + basis[-1])
    mean = total[sums.usable].mean() / n_volumes
    return mean * (n_volumes * mean - 2 * total), mean * ((n_volumes - 1) * mean - 2 * total + ends)
