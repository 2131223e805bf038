import numpy as np
import pytest
from scipy.linalg import solve_toeplitz, toeplitz

from bidsapp.stats.noise import whitening
from bidsapp.stats.noise.autocorrelation import estimate_noise
from bidsapp.stats.noise.autoregression import (
    curve_of_log_determinant,
    find_centres,
    find_nearest,
    make_autocovariance,
    make_bins,
    slope_of_log_determinant,
    to_coefficients,
    to_partials,
    whiten_slopes,
)
from bidsapp.stats.noise.information import expect_residual
from bidsapp.stats.noise.lagged_design import (
    make_form,
    make_lagged_design,
    take_ends,
    weigh_precision,
    weigh_slopes,
)
from bidsapp.stats.noise.residual_sums import make_residual_sums
from bidsapp.stats.noise.restricted_likelihood import make_pilot
from bidsapp.stats.noise.time_model import lagged, make_time_model
from bidsapp.stats.run.sums import accumulate

N_VOLUMES = 150
COEFFICIENTS = np.array([0.45, 0.2, -0.1])


@pytest.fixture
def model(rng):
    drift = np.cos(np.outer(np.arange(N_VOLUMES) + 0.5, np.arange(8)) * np.pi / N_VOLUMES)
    return make_time_model(np.column_stack([drift, rng.normal(size=(N_VOLUMES, 12))]))


def autocovariance_of(coefficients, n_lags):
    """Return the autocovariances of an AR process by solving its Yule-Walker equations."""
    p = len(coefficients)
    system = np.eye(p + 1)
    for lag in range(p + 1):
        for k, coefficient in enumerate(coefficients, 1):
            system[lag, abs(lag - k)] -= coefficient
    values = list(np.linalg.solve(system, np.eye(p + 1)[0]))
    while len(values) < n_lags:
        values.append(sum(c * values[-k] for k, c in enumerate(coefficients, 1)))
    return np.array(values[:n_lags])


def test_precision_of_an_ar_process_is_the_inverse_of_its_covariance():
    covariance = toeplitz(autocovariance_of(COEFFICIENTS, 40))
    precision = whitening.make_precision(COEFFICIENTS)
    ours = sum(weight * lagged(np.eye(40), k) for k, weight in enumerate(precision.lags))
    ours[:3, :3] -= precision.head
    ours[-3:, -3:] -= precision.tail
    np.testing.assert_allclose(ours, np.linalg.inv(covariance), atol=1e-10)


def test_nilearn_precision_filters_as_if_zeros_came_before():
    filter_ = toeplitz(np.r_[1, -COEFFICIENTS, np.zeros(36)], np.zeros(40))
    precision = whitening.make_plain_precision(COEFFICIENTS)
    ours = sum(weight * lagged(np.eye(40), k) for k, weight in enumerate(precision.lags))
    ours[-3:, -3:] -= precision.tail
    np.testing.assert_allclose(ours, filter_.T @ filter_, atol=1e-12)


def test_expected_products_of_residuals_are_those_of_their_covariance(model):
    partials = np.array([0.5, 0.2])
    covariance = toeplitz(autocovariance_of(to_coefficients(partials[None])[0], N_VOLUMES))
    maker = np.eye(N_VOLUMES) - model.basis @ model.basis.T
    residual = maker @ covariance @ maker
    expected = [np.trace(residual, offset=k) * (2 if k else 1) for k in range(3)]
    np.testing.assert_allclose(expect_residual(make_lagged_design(model, 2), partials), expected, rtol=1e-9)


def test_partials_and_coefficients_are_those_of_yule_walker():
    autocovariances = autocovariance_of(COEFFICIENTS, 4)
    partials = to_partials(autocovariances[:, None], 0.95)
    np.testing.assert_allclose(to_coefficients(partials.T)[0], COEFFICIENTS, rtol=1e-10)
    expected = solve_toeplitz(autocovariances[:2], autocovariances[1:3])
    np.testing.assert_allclose(to_coefficients(partials.T[:, :2])[0], expected, rtol=1e-10)


def test_estimates_that_are_not_stationary_are_cut():
    partials = to_partials(np.array([[1.0, 1.0], [2.0, -3.0], [0.1, 0.0]]), 0.95)
    assert np.abs(partials).max() <= 0.95


def test_few_points_keep_their_values(rng):
    values = rng.normal(size=(30, 2))
    centres, bins = make_bins(values, 400)
    np.testing.assert_array_equal(centres[bins], values)


def test_bins_are_near_their_points(rng):
    values = rng.normal(size=(20000, 3))
    centres, bins = make_bins(values, n_bins=200)
    assert len(centres) <= 200
    assert np.sqrt(np.mean(np.square(centres[bins] - values))) < 0.35


@pytest.mark.parametrize("weighed", [False, True])
def test_centres_of_clumps_are_their_means(rng, weighed):
    clumps = np.arange(5)[:, None, None] + 0.01 * rng.normal(size=(5, 20, 2))
    weights = rng.random((5, 20)) if weighed else None
    found = find_centres(clumps.reshape(100, 2), 5, None if weights is None else weights.ravel())
    expected = [
        np.average(clump, axis=0, weights=w)
        for clump, w in zip(clumps, weights if weighed else [None] * 5, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_centres_follow_their_points_and_do_not_jump():
    """Last bits of a series depend on the machine, and all voxels on the centres."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        values = 0.15 * rng.normal(size=(1200, 4))
        moved = values + 1e-5 * rng.normal(size=values.shape)
        change = make_bins(moved, 60)[0] - make_bins(values, 60)[0]
        assert np.abs(change).max() < 0.005


@pytest.mark.parametrize("order", [3, 5])
def test_coefficients_are_nearly_unbiased(rng, model, order):
    noise = rng.normal(size=(N_VOLUMES + 100, 3000))
    for t in range(3, len(noise)):
        noise[t] += COEFFICIENTS @ noise[t - 3 : t][::-1]
    sums = accumulate([noise[100:]], model, n_lags=order, scaling="none")
    partials = estimate_noise(sums, f"ar{order}").likelihood.uncertainty.partials
    expected = np.r_[COEFFICIENTS, np.zeros(order - 3)]
    np.testing.assert_allclose(to_coefficients(partials).mean(axis=0), expected, atol=0.05)


def test_pilot_of_white_noise_is_zero(rng, model):
    sums = accumulate([rng.normal(size=(N_VOLUMES, 4000))], model, n_lags=2, scaling="none")
    design = make_lagged_design(model, 2)
    z = make_pilot(make_residual_sums(sums, design).products, design, np.arange(4000))
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=0.02)


@pytest.mark.parametrize("partials", [(0.5,), (-0.3, 0.6), (0.4, 0.2, -0.5, 0.1)])
def test_autocovariance_is_that_of_yule_walker(partials):
    coefficients = to_coefficients(np.array([partials]))[0]
    expected = autocovariance_of(coefficients, len(partials) + 1)
    np.testing.assert_allclose(make_autocovariance(np.array(partials)), expected, rtol=1e-12)


@pytest.mark.parametrize("partials", [(0.5,), (-0.3, 0.6), (0.4, 0.2, -0.5, 0.1)])
def test_slopes_of_the_determinant_are_those_of_the_covariance(partials):
    coefficients = to_coefficients(np.array([partials]))[0]

    def log_determinant(point):
        return np.linalg.slogdet(toeplitz(autocovariance_of(point, 12)))[1]

    steps = np.eye(len(partials)) * 1e-5
    slope = [(log_determinant(coefficients + s) - log_determinant(coefficients - s)) / 2e-5 for s in steps]
    found = slope_of_log_determinant(coefficients[:, None])[:, 0]
    np.testing.assert_allclose(found, slope, atol=1e-7)
    after, before = (slope_of_log_determinant(coefficients[:, None] + s) for s in (steps, -steps))
    np.testing.assert_allclose(curve_of_log_determinant(coefficients), (after - before) / 2e-5, atol=1e-5)


def test_derivatives_of_the_precision_are_those_of_differences(rng):
    """The form of a series has its quadratic form in the filter, which the slopes differentiate."""
    y, p = rng.normal(size=(20, 1)), 3
    filter_ = np.r_[1.0, -COEFFICIENTS]
    ends = take_ends(y, [slice(0, 20)], p)[..., 0]
    products = np.array([(y * lagged(y, k)).sum() for k in range(p + 1)])
    form = make_form(products, ends.T @ ends)

    def square(point):
        lags, corner = weigh_precision(point)
        return lags @ products - np.sum(corner * (ends.T @ ends))

    assert filter_ @ form @ filter_ == pytest.approx(square(filter_), rel=1e-12)
    lags, corners = weigh_slopes(filter_)
    for i in range(p):
        step = np.zeros(p + 1)
        step[i + 1] = -1e-4
        slope = (square(filter_ + step) - square(filter_ - step)) / 2e-4
        ours = lags[i] @ products - np.sum(corners[i] * (ends.T @ ends))
        assert ours == pytest.approx(slope, rel=1e-8)
        assert ours == pytest.approx(-2 * (form @ filter_)[i + 1], rel=1e-10)


@pytest.mark.parametrize("n_points", [1, 1023, 1024, 2500])
def test_the_nearest_centre_is_that_of_all_distances(rng, n_points):
    values, centres = rng.normal(size=(n_points, 3)), rng.normal(size=(40, 3))
    distances = np.square(values[:, None] - centres).sum(axis=2)
    np.testing.assert_array_equal(find_nearest(values, centres), distances.argmin(axis=1))


def test_slopes_are_white_where_the_covariance_of_a_few_values_is_the_information():
    partials = np.array([0.4, 0.2, -0.5, 0.1])
    root = whiten_slopes(np.tile(partials[:, None], 4), np.eye(4)).T
    covariance = toeplitz(make_autocovariance(partials)[:4])
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(covariance), rtol=1e-10, atol=1e-12)
