"""The run level: from sums over time to effects, variances, and the quality of the fit.

model = make_time_model(matrix, keep)
sums = accumulate(series.blocks(32), model, n_lags=count_lags(noise_model), slope=..., intercept=...)
fitted = fit_run_glm(sums, noise_model=noise_model, scaling="percent")
estimate = estimate_t(fitted, contrast)
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bidsapp.records.arrays import Labels, Map, Maps, Matrices, Matrix, Numbers
from bidsapp.records.maps import Contrast, Estimate, JointEstimate
from bidsapp.stats.linear import reduce_rows
from bidsapp.stats.noise import whitening
from bidsapp.stats.noise.autocorrelation import CHUNK, PERFECT_FIT, Noise, Smoother, estimate_noise
from bidsapp.stats.noise.autoregression import split_bins, to_coefficients
from bidsapp.stats.noise.residual_kernels import Chosen, fit_residuals, make_process
from bidsapp.stats.noise.time_model import TimeModel
from bidsapp.stats.noise.uncertainty import weigh_f, weigh_t
from bidsapp.stats.run.sums import SeriesSums

# A bin and some of its voxels.
Job: TypeAlias = tuple[int, Labels]


@dataclass(frozen=True, slots=True, eq=False)
class FittedRun:
    """A fitted run; NaN where a voxel is constant, or has no baseline to take percents of.

    Attributes
    ----------
    parameters : ndarray, shape (n_voxels, rank)
        Of the model's basis.
    covariances : ndarray, shape (n_bins, rank, rank)
        Of the parameters, for noise of variance 1.
    noise : autocorrelation.Noise
    dof : float
    sigma_square : ndarray, shape (n_voxels,)
        Variance of the innovations, in the squared unit of the effects.
    r_square : ndarray, shape (n_voxels,)
        Part of the variance about the mean that the design explains, after whitening, in the volumes that
        are kept.
    mean, tsnr : ndarray, shape (n_voxels,)
        Mean over the baseline volumes, and the mean over the standard deviation.
    unit, shift : ndarray, shape (n_runs, n_voxels)
        The fitted series is unit * series + shift.
    """

    model: TimeModel
    parameters: Matrix
    covariances: Matrices
    noise: Noise
    dof: float
    sigma_square: Map
    r_square: Map
    mean: Map
    tsnr: Map
    unit: Maps
    shift: Maps

    @property
    def autocorrelation(self) -> Maps:
        """The noise coefficients, shape (order, n_voxels); NaN where there is no noise to model."""
        if self.noise.likelihood is not None:
            coefficients: Matrix = to_coefficients(self.noise.likelihood.uncertainty.partials)
            return coefficients.T
        return _by_voxel(self, self.noise.coefficients).T

    def series_of(self, voxels: Labels) -> "FittedRun":
        """Return what ``make_residuals`` needs for the series of some voxels."""
        unit, shift = self.unit[:, voxels], self.shift[:, voxels]
        return replace(self, parameters=self.parameters[voxels], unit=unit, shift=shift)

    def without_parameters(self) -> "FittedRun":
        """Return what ``assess_variance`` needs, to be kept."""
        none, rows = np.zeros(0), np.zeros((0, 0))
        parameters = np.zeros((len(self.parameters), 0))
        return replace(
            self, parameters=parameters, r_square=none, mean=none, tsnr=none, unit=rows, shift=rows
        )

    def at(self, voxels: Labels) -> "FittedRun":
        """Return what contrasts of some voxels need; a voxel may be there several times."""
        noise = replace(self.noise, bins=self.noise.bins[voxels])
        if noise.likelihood is not None:
            uncertainty = noise.likelihood.uncertainty.at(voxels)
            noise = replace(noise, likelihood=replace(noise.likelihood, uncertainty=uncertainty))
        parameters, sigma_square = self.parameters[voxels], self.sigma_square[voxels]
        return replace(self, parameters=parameters, sigma_square=sigma_square, noise=noise)


def fit_run_glm(
    sums: SeriesSums, *, noise_model: str, smooth: Smoother | None = None, n_threads: int = 1
) -> FittedRun:
    """Return the fitted run.

    Parameters
    ----------
    noise_model : str
        See ``vocabulary.noise``; the order of ``auto`` is that of the sums.
    smooth : noise_smoothing.Smoother or None
        Smooths maps of noise coefficients, see ``autocorrelation.estimate_noise``.
    """
    model, n_voxels = sums.model, len(sums.usable)
    noise = estimate_noise(sums, noise_model, smooth=smooth, n_threads=n_threads)
    grams = whitening.grams(model, noise.precisions)
    covariances = np.linalg.inv(grams)
    parameters = np.full((n_voxels, model.rank), np.nan)
    sigma_square, r_square = np.full((2, n_voxels), np.nan)

    def fit(job: Job) -> None:
        number, voxels = job
        if noise.likelihood is None:
            found = _fit_bin(sums, noise, covariances[number], job)
        else:
            found = _fit_residuals(sums, noise, (grams[number], covariances[number]), job)
        parameters[voxels], sigma_square[voxels], r_square[voxels] = found

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(fit, split_bins(noise.bins, CHUNK)))
    if noise.likelihood is not None:
        noise = replace(noise, likelihood=replace(noise.likelihood, residuals=None))
    if sums.level.any():
        parameters += np.outer(sums.level, model.basis.sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        tsnr = np.where(sums.deviation > 0, sums.mean / sums.deviation, np.nan)
    return FittedRun(
        model=model,
        parameters=parameters,
        covariances=covariances,
        noise=noise,
        dof=float(model.dof),
        sigma_square=sigma_square,
        r_square=r_square,
        mean=sums.mean,
        tsnr=tsnr,
        unit=sums.unit,
        shift=sums.level - sums.unit * sums.offset,
    )


def make_residuals(
    blocks: Iterable[Maps], fitted: FittedRun, *, run: int = 0, stored: tuple[float, float] = (1.0, 0.0)
) -> Iterator[Maps]:
    """Yield the residuals of one run, before whitening, in the unit of the effects; dropped volumes: zero.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n_volumes_in_block, n_voxels)
        The series that was fitted.
    run : int
        Which of the runs that were fitted together.
    stored : tuple of float
        As in ``accumulate``.
    """
    start = fitted.model.starts[run]
    for block in blocks:
        part = slice(start, start + len(block))
        basis, keep = fitted.model.basis[part], fitted.model.keep[part]
        start += len(block)
        series = (stored[0] * fitted.unit[run]) * block
        series += stored[1] * fitted.unit[run] + fitted.shift[run]
        series -= basis @ fitted.parameters.T
        series[~keep] = 0.0
        yield series


def estimate_t(fitted: FittedRun, contrast: Contrast) -> Estimate:
    """Return the estimate of a contrast of one row, which the design can estimate."""
    weights = (np.atleast_2d(contrast.weights) @ fitted.model.to_basis)[0]
    dof: float | Map = fitted.dof
    if fitted.noise.likelihood is None:
        variance = fitted.sigma_square * _by_voxel(fitted, fitted.covariances @ weights @ weights)
    else:
        variance, dof = assess_variance(fitted, weights[None], np.ones((1, len(fitted.parameters))))
    return Estimate(contrast.name, fitted.parameters @ weights, variance, dof)


def assess_variance(fitted: FittedRun, rows: Matrix, directions: Maps) -> tuple[Map, float | Map]:
    """Return the variance and the degrees of freedom of contrasts that may differ between voxels.

    ``rows`` and ``directions`` are those of ``weigh_t``. Both results have shape (n_voxels,); where the
    noise model has no likelihood the degrees of freedom are a number.
    """
    if fitted.noise.likelihood is not None:
        variance, dof = weigh_t(fitted.noise.likelihood.uncertainty, rows, directions)
        return fitted.sigma_square * variance, np.where(np.isnan(fitted.sigma_square), np.nan, dof)
    covariances, variance = rows @ fitted.covariances @ rows.T, np.full(directions.shape[1], np.nan)
    for number, voxels in split_bins(fitted.noise.bins, CHUNK):
        along = directions[:, voxels]
        variance[voxels] = np.einsum("iv,ij,jv->v", along, covariances[number], along)
    return fitted.sigma_square * variance, fitted.dof


def estimate_curve(
    fitted: FittedRun, columns: Labels, effects: Numbers, shapes: Matrix, voxel: int
) -> Estimate:
    """Return the estimates of sums of columns at a voxel, with the sums in the place of voxels.

    Parameters
    ----------
    fitted : FittedRun
        Its parameters are not needed.
    columns : ndarray of int, shape (n_columns,)
        Of the design, which can estimate each of them.
    effects : ndarray, shape (n_columns,)
        Of the columns at the voxel.
    shapes : ndarray, shape (n_sums, n_columns)
        The weights of the sums, none of all zeros.
    voxel : int
    """
    there = fitted.at(np.full(len(shapes), voxel))
    variance, dof = assess_variance(there, fitted.model.to_basis[columns], shapes.T)
    return Estimate("", shapes @ effects, variance, dof)


def estimate_f(fitted: FittedRun, contrast: Contrast) -> JointEstimate:
    """Return the joint estimate of a contrast, which the design can estimate, of its independent rows."""
    rows = reduce_rows(np.atleast_2d(contrast.weights)) @ fitted.model.to_basis
    effect = rows @ fitted.parameters.T
    dof: float | Map = fitted.dof
    if fitted.noise.likelihood is None:
        covariance = np.moveaxis(_by_voxel(fitted, rows @ fitted.covariances @ rows.T), 0, -1)
    else:
        covariance, dof = weigh_f(fitted.noise.likelihood.uncertainty, rows)
        dof = np.where(np.isnan(fitted.sigma_square), np.nan, dof)
    return JointEstimate(contrast.name, effect, covariance * fitted.sigma_square, dof)


def correlate_contrasts(fitted: FittedRun, contrasts: Sequence[Contrast]) -> Matrices:
    """Return how the estimates of t contrasts are correlated, shape (n_bins, n_contrasts, n_contrasts)."""
    rows = np.concatenate([np.atleast_2d(contrast.weights) for contrast in contrasts]) @ fitted.model.to_basis
    covariances = rows @ fitted.covariances @ rows.T
    deviations = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    return covariances / deviations[:, :, None] / deviations[:, None, :]


def _fit_bin(sums: SeriesSums, noise: Noise, covariance: Matrix, job: Job) -> tuple[Matrix, Map, Map]:
    """Return parameters, innovation variance and R2 of voxels that share a precision."""
    model, (number, voxels) = sums.model, job
    precision = noise.precisions[number]
    cross = whitening.cross(sums, precision, voxels)
    parameters = cross @ covariance
    total = whitening.square(sums, precision, voxels)
    rest = total - np.einsum("vr,vr->v", parameters, cross)
    return parameters, *_assess_fit(model, covariance, cross, total, rest)


def _fit_residuals(
    sums: SeriesSums, noise: Noise, local: tuple[Matrix, Matrix], job: Job
) -> tuple[Matrix, Map, Map]:
    """Return the same from the sums of the least-squares residuals: a fit to these, and what they left.

    R2 is by the noise of the bin's centre, the rest by that of each voxel.
    """
    (number, voxels), (gram, covariance), likelihood = job, local, noise.likelihood
    assert likelihood is not None  # what calls for this fit
    residuals, design, uncertainty = likelihood.residuals, likelihood.design, likelihood.uncertainty
    assert residuals is not None  # until the run is fitted
    filter_ = np.concatenate([[1.0], -noise.coefficients[number]])
    process = make_process(design, filter_, covariance)
    own = to_coefficients(uncertainty.partials[voxels])
    chosen = Chosen(residuals.products, residuals.departures, residuals.ends, voxels)
    solutions, rests = fit_residuals(chosen, own, process)
    parameters = sums.cross[voxels, 0] + solutions
    fitted = parameters[0] @ gram
    total = rests[0] + np.einsum("vr,vr->v", parameters[0], fitted)
    sigma_square, r_square = _assess_fit(sums.model, covariance, fitted, total, rests[0])
    return parameters[1], sigma_square * rests[1] / rests[0], r_square


def _assess_fit(
    model: TimeModel, covariance: Matrix, cross: Matrix, total: Map, rest: Map
) -> tuple[Map, Map]:
    """Return innovation variance and R2, from Q'Py, y'Py and the residual sum of squares."""
    rest = np.where(rest > PERFECT_FIT * total, rest, np.nan)
    # What is left about the weighted mean by a design of nothing else but the dropped volumes.
    least = model.basis[~model.keep]
    if model.has_constant:
        least = np.vstack([model.basis.sum(axis=0), least])
    weight = least @ np.linalg.solve(covariance, least.T)
    products = cross @ least.T
    about = total - np.einsum("vi,ij,vj->v", products, np.linalg.inv(weight), products)
    return rest / model.dof, 1.0 - rest / about


def _by_voxel(fitted: FittedRun, by_bin: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return per-bin values for every voxel, NaN where a voxel has no bin."""
    values = np.full((len(fitted.noise.bins), *by_bin.shape[1:]), np.nan)
    known = fitted.noise.bins >= 0
    values[known] = by_bin[fitted.noise.bins[known]]
    return values
