import numpy as np
import pytest
from scipy.linalg import solve_toeplitz, toeplitz

from bidsapp.stats import whitening
from bidsapp.stats.autocorrelation import estimate_noise
from bidsapp.stats.autoregression import (
    find_partials,
    make_bias_matrix,
    make_bins,
    to_coefficients,
    to_partials,
)
from bidsapp.stats.series_sums import accumulate
from bidsapp.stats.time_model import lagged, make_time_model

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


def test_bias_matrix_gives_the_expected_products_of_residuals(model):
    covariance = toeplitz(np.r_[1.0, 0.5, 0.2, np.zeros(N_VOLUMES - 3)])
    maker = np.eye(N_VOLUMES) - model.basis @ model.basis.T
    residual = maker @ covariance @ maker
    expected = [np.trace(residual, offset=k) for k in range(3)]
    np.testing.assert_allclose(make_bias_matrix(model, 3) @ [1.0, 0.5, 0.2], expected, rtol=1e-10)


def test_partials_and_coefficients_are_those_of_yule_walker():
    autocovariances = autocovariance_of(COEFFICIENTS, 4)
    partials = to_partials(autocovariances[:, None])
    np.testing.assert_allclose(to_coefficients(partials.T)[0], COEFFICIENTS, rtol=1e-10)
    expected = solve_toeplitz(autocovariances[:2], autocovariances[1:3])
    np.testing.assert_allclose(to_coefficients(partials.T[:, :2])[0], expected, rtol=1e-10)


def test_estimates_that_are_not_stationary_are_cut():
    partials = to_partials(np.array([[1.0, 1.0], [2.0, -3.0], [0.1, 0.0]]))
    assert np.abs(partials).max() <= 0.95


def test_few_points_keep_their_values(rng):
    values = rng.normal(size=(30, 2))
    centres, bins = make_bins(values)
    np.testing.assert_array_equal(centres[bins], values)


def test_bins_are_near_their_points(rng):
    values = rng.normal(size=(20000, 3))
    centres, bins = make_bins(values, n_bins=200)
    assert len(centres) <= 200
    assert np.sqrt(np.mean(np.square(centres[bins] - values))) < 0.35


@pytest.mark.parametrize("order", [3, 5])
def test_corrected_coefficients_are_nearly_unbiased(rng, model, order):
    noise = rng.normal(size=(N_VOLUMES + 100, 3000))
    for t in range(3, len(noise)):
        noise[t] += COEFFICIENTS @ noise[t - 3 : t][::-1]
    sums = accumulate([noise[100:]], model, n_lags=order, scaling="none")
    found = estimate_noise(sums, f"ar{order}")
    expected = np.r_[COEFFICIENTS, np.zeros(order - 3)]
    np.testing.assert_allclose(found.coefficients[found.bins].mean(axis=0), expected, atol=0.05)


def test_correction_of_white_noise_is_zero(rng, model):
    sums = accumulate([rng.normal(size=(N_VOLUMES, 4000))], model, n_lags=2, scaling="none")
    basis = model.basis
    beta = sums.cross[:, 0]
    products = [
        sums.squares[k]
        - np.einsum("vr,vr->v", beta, 2 * sums.cross[:, k] - beta @ (basis.T @ lagged(basis, k)))
        for k in range(3)
    ]
    partials = find_partials(np.array(products) * [[1.0], [0.5], [0.5]], model)
    np.testing.assert_allclose(partials.mean(axis=1), 0.0, atol=0.02)
