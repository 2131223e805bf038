import numpy as np
import pytest

from bidsapp.records.maps import Contrast
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.derivative_boost import estimate_boosted_t
from bidsapp.stats.run.glm import estimate_t, fit_run_glm
from bidsapp.stats.run.sums import accumulate

COLUMNS = ("a", "a_derivative", "a_dispersion", "b", "constant")


@pytest.fixture
def matrix(rng):
    return np.column_stack([rng.normal(size=(80, 4)) * [1, 0.5, 0.2, 1], np.ones(80)])


@pytest.fixture
def fitted(rng, matrix):
    series = 400 + matrix[:, :4] @ rng.normal(size=(4, 50)) * 10 + rng.normal(size=(80, 50))
    return fit_run_glm(accumulate([series], make_time_model(matrix)), noise_model="ar1-reml")


def contrast(*weights):
    return Contrast("c", "t", COLUMNS, np.array([weights], float))


def effect_of(fitted, index):
    return estimate_t(fitted, contrast(*np.eye(5)[index])).effect


def test_amplitude_is_the_signed_length_of_the_weighted_parameters(fitted, matrix):
    lengths = np.linalg.norm(matrix, axis=0)
    parts = [effect_of(fitted, k) * lengths[k] / lengths[0] for k in range(3)]
    expected = np.sign(parts[0]) * np.sqrt(sum(np.square(part) for part in parts))
    found = estimate_boosted_t(fitted, contrast(1, 0, 0, 0, 0), matrix)
    np.testing.assert_allclose(found.effect, expected, rtol=1e-10)


def test_difference_of_amplitudes_subtracts_them(fitted, matrix):
    boosted = estimate_boosted_t(fitted, contrast(1, 0, 0, 0, 0), matrix).effect
    found = estimate_boosted_t(fitted, contrast(1, 0, 0, -1, 0), matrix).effect
    np.testing.assert_allclose(found, boosted - effect_of(fitted, 3), rtol=1e-10)


def test_without_derivatives_it_is_the_plain_estimate(fitted, matrix):
    plain, boosted = (
        estimate_t(fitted, contrast(0, 0, 0, 1, 0)),
        estimate_boosted_t(fitted, contrast(0, 0, 0, 1, 0), matrix),
    )
    np.testing.assert_array_equal(boosted.effect, plain.effect)
    np.testing.assert_array_equal(boosted.variance, plain.variance)


def test_variance_is_that_of_repeated_noise(rng, matrix):
    truth = matrix @ [8.0, 6.0, 5.0, 2.0, 400.0]
    series = truth[:, None] + rng.normal(size=(80, 20_000))
    model = fit_run_glm(accumulate([series], make_time_model(matrix), scaling="none"), noise_model="ols")
    found = estimate_boosted_t(model, contrast(1, 0, 0, -1, 0), matrix)
    # 20,000 draws: the standard error of a variance is 1 % of it.
    assert found.effect.var() == pytest.approx(found.variance.mean(), rel=0.04)
