from dataclasses import replace

import numpy as np
import pytest
from nilearn.glm.contrasts import compute_contrast
from nilearn.glm.first_level import mean_scaling, run_glm
from scipy.linalg import block_diag, solve, toeplitz

from bidsapp.errors import InputError
from bidsapp.records.maps import Contrast
from bidsapp.stats.distributions import f_to_z, t_to_z
from bidsapp.stats.noise import whitening
from bidsapp.stats.noise.models import count_lags
from bidsapp.stats.noise.time_model import lagged, make_time_model
from bidsapp.stats.noise.uncertainty import weigh_t
from bidsapp.stats.run.glm import correlate_contrasts, estimate_f, estimate_t, fit_run_glm, make_residuals
from bidsapp.stats.run.maps import joint_f
from bidsapp.stats.run.sums import accumulate, join_sums

N_VOLUMES, N_VOXELS = 120, 400
# The same model in double precision on both sides.
RELATIVE = 1e-8


@pytest.fixture
def matrix(rng):
    return np.column_stack(
        [rng.normal(size=(N_VOLUMES, 6)), np.linspace(-1, 1, N_VOLUMES), np.ones(N_VOLUMES)]
    )


@pytest.fixture
def series(rng, matrix):
    noise = rng.normal(size=(N_VOLUMES, N_VOXELS))
    for t in range(1, N_VOLUMES):
        noise[t] += 0.5 * noise[t - 1]
    return 500 + 1000 * rng.random(N_VOXELS) + 20 * noise + matrix @ rng.normal(size=(8, N_VOXELS)) * 10


def fit(series, matrix, noise_model, *, scaling="percent", keep=None):
    blocks = (series[start : start + 13] for start in range(0, len(series), 13))
    sums = accumulate(blocks, make_time_model(matrix, keep), n_lags=count_lags(noise_model), scaling=scaling)
    return fit_run_glm(sums, noise_model=noise_model)


def contrast(weights, test="t"):
    weights = np.atleast_2d(np.asarray(weights, float))
    return Contrast("c", test, tuple(f"column{i}" for i in range(weights.shape[1])), weights)


def difference(n_columns):
    weights = np.zeros(n_columns)
    weights[:2] = 1, -1
    return weights


def f_of(joint):
    return joint_f(joint.effect, joint.covariance)


def t_of(estimate):
    return estimate.effect / np.sqrt(estimate.variance)


@pytest.mark.parametrize("noise_model", ["ols", "ar1"])
@pytest.mark.parametrize("with_constant", [True, False])
def test_t_contrast_equals_nilearn(series, matrix, noise_model, with_constant):
    matrix = matrix if with_constant else matrix[:, :-1]
    weights = difference(matrix.shape[1])
    theirs = compute_contrast(*run_glm(mean_scaling(series)[0], matrix, noise_model), weights)
    ours = estimate_t(fit(series, matrix, noise_model), contrast(weights))
    np.testing.assert_allclose(ours.effect, theirs.effect_size(), rtol=RELATIVE)
    np.testing.assert_allclose(ours.variance, theirs.effect_variance(), rtol=RELATIVE)
    np.testing.assert_allclose(t_of(ours), theirs.stat(), rtol=RELATIVE)
    np.testing.assert_allclose(t_to_z(t_of(ours), ours.dof), theirs.z_score(), rtol=RELATIVE)


@pytest.mark.parametrize("noise_model", ["ols", "ar1"])
def test_f_contrast_equals_nilearn(series, matrix, noise_model):
    rows = np.eye(8)[:3]
    theirs = compute_contrast(*run_glm(mean_scaling(series)[0], matrix, noise_model), rows, stat_type="F")
    ours = estimate_f(fit(series, matrix, noise_model), contrast(rows, "F"))
    f = f_of(ours)
    np.testing.assert_allclose(f, theirs.stat(), rtol=RELATIVE)
    np.testing.assert_allclose(f_to_z(f, 3, ours.dof), theirs.z_score(), rtol=1e-6)


def test_dependent_rows_of_f_are_reduced(series, matrix):
    fitted = fit(series, matrix, "ar1")
    rows = np.eye(8)[:3]
    more = np.vstack([rows, rows[0] - 2 * rows[1]])
    joint = estimate_f(fitted, contrast(more, "F"))
    assert len(joint.effect) == 3
    np.testing.assert_allclose(f_of(joint), f_of(estimate_f(fitted, contrast(rows, "F"))), rtol=1e-9)


def test_f_of_one_row_is_t_squared(series, matrix):
    fitted = fit(series, matrix, "ar1-reml")
    t = t_of(estimate_t(fitted, contrast(difference(8))))
    np.testing.assert_allclose(f_of(estimate_f(fitted, contrast(difference(8), "F"))), t**2, rtol=1e-9)


def gls(series, matrix, covariance):
    """Return effects, covariance of the effects without sigma^2, and sigma^2, from the formula."""
    inner = matrix.T @ solve(covariance, matrix)
    beta = solve(inner, matrix.T @ solve(covariance, series))
    rest = series - matrix @ beta
    sigma_square = rest @ solve(covariance, rest) / (len(matrix) - matrix.shape[1])
    return beta, np.linalg.inv(inner), sigma_square


def ar1_covariance(rho, times):
    return rho ** np.abs(np.subtract.outer(times, times)) / (1 - rho**2)


@pytest.mark.parametrize("scaling", ["none", "percent"])
@pytest.mark.parametrize("voxel", range(0, 400, 80))
def test_reml_fit_equals_generalised_least_squares(series, matrix, scaling, voxel):
    fitted = fit(series, matrix, "ar1-reml", scaling=scaling)
    rho = fitted.autocorrelation[0, voxel]
    beta, inner, sigma_square = gls(series[:, voxel], matrix, ar1_covariance(rho, np.arange(N_VOLUMES)))
    unit = 100 / series[:, voxel].mean() if scaling == "percent" else 1.0
    ours = estimate_t(fitted, contrast(difference(8)))
    c = difference(8)
    np.testing.assert_allclose(ours.effect[voxel], unit * c @ beta, rtol=RELATIVE)
    np.testing.assert_allclose(ours.variance[voxel], unit**2 * sigma_square * c @ inner @ c, rtol=RELATIVE)


def test_effect_of_the_constant_is_the_baseline_without_scaling(series, matrix):
    fitted = fit(series, matrix, "ols", scaling="none")
    expected = np.linalg.lstsq(matrix, series)[0][-1]
    np.testing.assert_allclose(estimate_t(fitted, contrast(np.eye(8)[-1])).effect, expected, rtol=RELATIVE)


@pytest.mark.parametrize("noise_model", ["ols", "ar1-reml", "ar3"])
def test_r_square_and_correlations_of_contrasts_are_by_the_noise_of_the_bin(series, matrix, noise_model):
    """Which more voxels than there are bins share."""
    fitted = fit(series, matrix, noise_model, scaling="none")
    contrasts = [contrast(difference(8)), contrast(np.eye(8)[0]), contrast(np.arange(8))]
    rows = np.concatenate([one.weights for one in contrasts])
    correlations = correlate_contrasts(fitted, contrasts)
    sizes = np.bincount(fitted.noise.bins)
    for voxel in np.flatnonzero(sizes[fitted.noise.bins] > 1)[:5]:
        bin_ = fitted.noise.bins[voxel]
        precision = whitening.make_precision(fitted.noise.coefficients[bin_])
        covariance = np.linalg.inv(precision_matrix(precision, N_VOLUMES))
        y = series[:, voxel]
        rest, about = (
            gls(y, part, covariance)[2] * (N_VOLUMES - part.shape[1]) for part in (matrix, matrix[:, 7:])
        )
        np.testing.assert_allclose(fitted.r_square[voxel], 1 - rest / about, rtol=1e-6)
        expected = rows @ gls(y, matrix, covariance)[1] @ rows.T
        deviations = np.sqrt(np.diag(expected))
        expected /= np.outer(deviations, deviations)
        np.testing.assert_allclose(correlations[bin_], expected, rtol=RELATIVE)


def test_dropped_volumes_equal_the_covariance_of_the_kept_times(series, matrix):
    keep = np.ones(N_VOLUMES, bool)
    keep[[0, 17, 18, 19, 60, 119]] = False
    fitted = fit(series, matrix, "ar1-reml", keep=keep, scaling="none")
    rho = fitted.autocorrelation[0, 3]
    times = np.flatnonzero(keep)
    beta, inner, sigma_square = gls(series[keep, 3], matrix[keep], ar1_covariance(rho, times))
    ours = estimate_t(fitted, contrast(difference(8)))
    assert fitted.dof == keep.sum() - 8
    np.testing.assert_allclose(ours.effect[3], difference(8) @ beta, rtol=RELATIVE)
    variance = sigma_square * difference(8) @ inner @ difference(8)
    np.testing.assert_allclose(ours.variance[3], variance, rtol=RELATIVE)


def test_dropped_volumes_equal_one_hot_columns(series, matrix):
    keep = np.ones(N_VOLUMES, bool)
    keep[[5, 30, 31]] = False
    with_columns = np.column_stack([matrix, np.eye(N_VOLUMES)[:, ~keep]])
    dropped = estimate_t(fit(series, matrix, "ar1-reml", keep=keep), contrast(difference(8)))
    spiked = estimate_t(fit(series, with_columns, "ar1-reml"), contrast(difference(11)))
    np.testing.assert_allclose(t_of(dropped), t_of(spiked), rtol=RELATIVE)
    assert dropped.dof == spiked.dof


@pytest.mark.parametrize("noise_model", ["ols", "ar1", "ar1-reml", "ar4"])
@pytest.mark.parametrize("columns", [8, 7])
@pytest.mark.parametrize(
    "dropped", [[5, 30, 31], [0, 1, 2, 119], range(20), range(110, 120)], ids=["some", "ends", "start", "end"]
)
def test_values_of_dropped_volumes_change_no_bit(series, matrix, noise_model, columns, dropped):
    matrix = matrix[:, :columns]
    keep = np.ones(N_VOLUMES, bool)
    keep[dropped] = False
    found = []
    for values in (series[~keep], 0.0, 7e5):
        series[~keep] = values
        fitted = fit(series, matrix, noise_model, keep=keep)
        estimate = estimate_t(fitted, contrast(difference(columns)))
        (residuals,) = make_residuals([series], fitted)
        found.append([estimate.effect, estimate.variance, estimate.dof, fitted.autocorrelation])
        found[-1] += [fitted.sigma_square, fitted.r_square, fitted.tsnr, residuals]
        assert not residuals[~keep].any()
    for one, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)


def test_r_square_is_of_the_volumes_that_are_kept(series, matrix):
    keep = np.ones(N_VOLUMES, bool)
    keep[[0, 30, 31]] = False
    series[~keep] += 500
    fitted = fit(series, matrix, "ols", keep=keep)
    kept, rows = series[keep], matrix[keep]
    rest = kept - rows @ np.linalg.lstsq(rows, kept)[0]
    np.testing.assert_allclose(fitted.r_square, 1 - rest.var(axis=0) / kept.var(axis=0), rtol=RELATIVE)


def test_constant_and_empty_voxels_are_nan(series, matrix):
    series[:, 3], series[:, 4] = 0.0, 812.3
    for noise_model in ("ols", "ar1", "ar1-reml"):
        fitted = fit(series, matrix, noise_model)
        estimate = estimate_t(fitted, contrast(difference(8)))
        joint = estimate_f(fitted, contrast(np.eye(8)[:2], "F"))
        for values in (estimate.effect, estimate.variance, f_of(joint), fitted.r_square, fitted.tsnr):
            assert np.isnan(values[3:5]).all()
            assert np.isfinite(np.delete(values, [3, 4])).all()


def test_series_without_a_baseline_has_no_percent(series, matrix):
    centred = series - series.mean(axis=0)
    with pytest.raises(InputError, match="Use --scaling none"):
        fit(centred, matrix, "ar1")
    ours = estimate_t(fit(centred, matrix, "ols", scaling="none"), contrast(difference(8)))
    np.testing.assert_allclose(ours.effect, difference(8) @ np.linalg.lstsq(matrix, series)[0], rtol=RELATIVE)


def test_series_that_never_changes_is_refused(matrix):
    with pytest.raises(InputError, match="No voxel of the mask changes"):
        fit(np.zeros((N_VOLUMES, 5)), matrix, "ar1-reml")


def test_voxels_without_a_baseline_are_nan(series, matrix):
    series[:, 3] -= 3000
    effect = estimate_t(fit(series, matrix, "ar1-reml"), contrast(difference(8))).effect
    assert np.flatnonzero(np.isnan(effect)) == [3]


def test_r_square_of_least_squares_is_the_explained_part(series, matrix):
    fitted = fit(series, matrix, "ols")
    rest = series - matrix @ np.linalg.lstsq(matrix, series)[0]
    np.testing.assert_allclose(fitted.r_square, 1 - rest.var(axis=0) / series.var(axis=0), rtol=RELATIVE)
    np.testing.assert_allclose(fitted.tsnr, series.mean(axis=0) / series.std(axis=0, ddof=1), rtol=RELATIVE)
    sigma_square = np.sum(rest**2, axis=0) / (N_VOLUMES - 8) * (100 / series.mean(axis=0)) ** 2
    np.testing.assert_allclose(fitted.sigma_square, sigma_square, rtol=RELATIVE)


def test_collinear_columns_change_nothing_that_can_be_estimated(series, matrix):
    more = np.column_stack([matrix, matrix[:, 4] + matrix[:, 5]])
    plain = estimate_t(fit(series, matrix, "ar1"), contrast(difference(8)))
    collinear = estimate_t(fit(series, more, "ar1"), contrast(difference(9)))
    np.testing.assert_allclose(collinear.effect, plain.effect, rtol=RELATIVE)
    np.testing.assert_allclose(collinear.variance, plain.variance, rtol=RELATIVE)
    assert collinear.dof == plain.dof


def test_scale_of_a_column_does_not_change_t(series, matrix):
    scaled = matrix * np.array([1e-9, 1e-9, 1, 1e7, 1, 1, 1, 1])
    plain = t_of(estimate_t(fit(series, matrix, "ar1-reml"), contrast(difference(8))))
    tiny = t_of(estimate_t(fit(series, scaled, "ar1-reml"), contrast(difference(8))))
    np.testing.assert_allclose(tiny, plain, rtol=1e-7)


def test_autocorrelated_precision_is_the_inverse_of_the_covariance():
    covariance = toeplitz(0.6 ** np.arange(30)) / (1 - 0.36)
    model = make_time_model(np.eye(30)[:, :29])
    expected = model.basis.T @ np.linalg.inv(covariance) @ model.basis
    np.testing.assert_allclose(
        whitening.grams(model, [whitening.make_precision([0.6])])[0], expected, atol=1e-12
    )


@pytest.mark.parametrize("scaling", ["none", "percent"])
@pytest.mark.parametrize("columns", [8, 7])
def test_residuals_are_the_series_less_the_fit(series, matrix, scaling, columns):
    matrix = matrix[:, :columns]
    fitted = fit(series, matrix, "ols", scaling=scaling)
    got = np.concatenate(list(make_residuals((series[:50], series[50:]), fitted)))
    y = mean_scaling(series)[0] if scaling == "percent" else series
    np.testing.assert_allclose(got, y - matrix @ np.linalg.lstsq(matrix, y)[0], atol=1e-8)


def test_residuals_of_stored_values_are_those_of_the_image(series, matrix):
    fitted = fit(series, matrix, "ar1-reml")
    plain = next(make_residuals([series], fitted))
    stored = next(make_residuals([(series - 7) / 0.5], fitted, stored=(0.5, 7.0)))
    np.testing.assert_allclose(stored, plain, atol=1e-9)


def join(series, matrix, lengths, noise_model):
    """Return the fit of runs one after the other."""
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    model = make_time_model(matrix, starts=starts)
    n_lags = count_lags(noise_model)
    parts = [
        accumulate([series[run]], model.of_run(run), n_lags=n_lags, scaling="none") for run in model.runs
    ]
    return fit_run_glm(join_sums(model, parts), noise_model=noise_model)


@pytest.mark.parametrize("noise_model", ["ols", "ar1-reml", "ar3"])
def test_runs_fitted_together_share_no_lag(rng, series, matrix, noise_model):
    own = np.zeros((N_VOLUMES, 2))
    own[:70, 0] = own[70:, 1] = 1
    matrix = np.hstack([matrix[:, :6], own])
    series = series[:, :30].copy()
    series[70:] += 300
    fitted = join(series, matrix, [70, 50], noise_model)
    precision = whitening.make_precision(np.atleast_1d(fitted.autocorrelation[:, 3]))
    blocks = [np.linalg.inv(precision_matrix(precision, n)) for n in (70, 50)]
    beta, inner, sigma_square = gls(series[:, 3], matrix, block_diag(*blocks))
    ours = estimate_t(fitted, contrast(difference(8)))
    np.testing.assert_allclose(ours.effect[3], difference(8) @ beta, rtol=1e-7)
    variance = sigma_square * difference(8) @ inner @ difference(8)
    if fitted.noise.likelihood is None:
        np.testing.assert_allclose(ours.variance[3], variance, rtol=1e-7)
        return
    rows, uncertainty = difference(8)[None] @ fitted.model.to_basis, fitted.noise.likelihood.uncertainty
    plain = weigh_t(replace(uncertainty, share=0.0), rows, np.ones((1, 30)))[0]
    np.testing.assert_allclose(fitted.sigma_square[3] * plain[3], variance, rtol=1e-6)


def precision_matrix(precision, n_volumes):
    p = len(precision.head)
    result = sum(weight * lagged(np.eye(n_volumes), k) for k, weight in enumerate(precision.lags))
    if p:
        result[:p, :p] -= precision.head
        result[-p:, -p:] -= precision.tail
    return result


def test_one_run_joined_is_that_run(series, matrix):
    plain = estimate_t(fit(series, matrix, "ar1-reml", scaling="none"), contrast(difference(8)))
    joined = estimate_t(join(series, matrix, [N_VOLUMES], "ar1-reml"), contrast(difference(8)))
    np.testing.assert_allclose(joined.effect, plain.effect, rtol=1e-10)


def test_threads_change_nothing(series, matrix):
    sums = accumulate([series], make_time_model(matrix))
    one, two = (fit_run_glm(sums, noise_model="ar1-reml", n_threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.parameters, two.parameters)
    np.testing.assert_array_equal(one.noise.bins, two.noise.bins)
