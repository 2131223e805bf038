import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import toeplitz

from bidsapp.errors import SettingsError
from bidsapp.settings.parts import RunOptions
from bidsapp.stats.noise.autocorrelation import estimate_noise
from bidsapp.stats.noise.models import (
    choose_order,
    count_lags,
    expected_size,
    most_lags,
    warn_of_size,
)
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.sums import accumulate, join_sums
from bidsapp.vocabulary.noise import NOISE_MODELS

N_VOLUMES = 100


def simulate(rng, rho, n_voxels):
    noise = rng.normal(size=(N_VOLUMES, n_voxels))
    noise[0] /= np.sqrt(1 - rho**2)
    for t in range(1, N_VOLUMES):
        noise[t] += rho * noise[t - 1]
    return noise


def sums_of(series, matrix, n_lags=1):
    return accumulate([series[:40], series[40:]], make_time_model(matrix), n_lags=n_lags, scaling="none")


def make_matrix(rng, n_columns=9):
    return np.column_stack([rng.normal(size=(N_VOLUMES, n_columns - 1)), np.ones(N_VOLUMES)])


def restricted_deviance(series, matrix, rho, keep=slice(None)):
    covariance = (toeplitz(rho ** np.arange(N_VOLUMES)) / (1 - rho**2))[keep][:, keep]
    matrix, series = matrix[keep], series[keep]
    precision = np.linalg.inv(covariance)
    inner = matrix.T @ precision @ matrix
    rest = series - matrix @ np.linalg.solve(inner, matrix.T @ precision @ series)
    q = rest @ precision @ rest
    dof = len(matrix) - matrix.shape[1]
    return dof * np.log(q) + np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(inner)[1]


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.3, 0.8])
def test_reml_has_the_greatest_restricted_likelihood(rng, rho):
    matrix = make_matrix(rng)
    series = simulate(rng, rho, 6)
    noise = estimate_noise(sums_of(series, matrix), "ar1-reml")
    grid = noise.coefficients[:, 0]
    brute = [grid[np.argmin([restricted_deviance(y, matrix, r) for r in grid])] for y in series.T]
    np.testing.assert_allclose(grid[noise.bins], brute, atol=1e-12)


@pytest.mark.parametrize("name", ["ar1-reml", "ar1"])
def test_smoothed_coefficients_are_binned_as_others_are(rng, name):
    """The smoother sees the map of the coefficients, NaN where there is none, and each voxel gets its own."""
    series = simulate(rng, 0.3, 40)
    series[:, 7] = 5.0
    sums = sums_of(series, make_matrix(rng))
    alone = estimate_noise(sums, name)
    seen = []

    def smooth(values):
        seen.append(values)
        return 0.5 * values + 0.1 * np.arange(40) / 40

    noise = estimate_noise(sums, name, smooth=smooth)
    usable = np.arange(40) != 7
    assert np.isnan(seen[0][7])
    assert noise.bins[7] == -1
    expected = 0.5 * alone.coefficients[alone.bins, 0] + 0.1 * np.arange(40) / 40
    found = noise.coefficients[noise.bins, 0]
    np.testing.assert_allclose(found[usable], expected[usable], atol=0.011)


def test_reml_of_kept_volumes_has_the_greatest_restricted_likelihood_at_their_times(rng):
    matrix, series = make_matrix(rng), simulate(rng, 0.5, 5)
    keep = np.ones(N_VOLUMES, bool)
    keep[[0, 1, 30, 55, 56, 57, 99]] = False
    sums = accumulate([series[:40], series[40:]], make_time_model(matrix, keep), scaling="none")
    noise = estimate_noise(sums, "ar1-reml")
    grid = noise.coefficients[:, 0]
    for voxel, y in enumerate(series.T):
        deviances = [restricted_deviance(y, matrix, rho, keep) for rho in grid]
        assert noise.bins[voxel] == np.argmin(deviances)


def test_reml_is_nearly_unbiased_where_yule_walker_is_not(rng):
    matrix = make_matrix(rng, 20)
    sums = sums_of(simulate(rng, 0.4, 2000), matrix)
    reml, raw = (estimate_noise(sums, name) for name in ("ar1-reml", "ar1"))
    assert reml.coefficients[reml.bins].mean() == pytest.approx(0.4, abs=0.03)
    assert raw.coefficients[raw.bins].mean() < 0.32


def test_voxels_that_are_not_usable_have_no_bin(rng):
    usable = np.arange(6) != 2
    for name in ("ols", "ar1", "ar1-reml"):
        sums = replace(sums_of(simulate(rng, 0.3, 6), make_matrix(rng)), usable=usable)
        noise = estimate_noise(sums, name)
        np.testing.assert_array_equal(noise.bins < 0, ~usable)


def test_nilearn_bins_cut_towards_zero(rng):
    noise = estimate_noise(sums_of(simulate(rng, 0.0, 500), make_matrix(rng)), "ar1")
    np.testing.assert_allclose(noise.coefficients * 100, np.round(noise.coefficients * 100), atol=1e-9)


@pytest.mark.parametrize("name", ["ar0", "ar7", "arma", "ar", "ar12", "ar13-reml", "ar0-reml", "ar-reml"])
def test_unknown_noise_models_are_refused(name):
    with pytest.raises(SettingsError, match="--noise-model: .* is not one of auto, ar1-reml"):
        RunOptions(noise_model=name)


def test_reml_of_runs_fitted_together_has_the_greatest_restricted_likelihood(rng):
    matrix = np.kron(np.eye(2), np.ones((50, 1)))
    matrix = np.column_stack([rng.normal(size=(N_VOLUMES, 4)), matrix])
    series = simulate(rng, 0.5, 3)
    model = make_time_model(matrix, starts=(0, 50))
    parts = [accumulate([series[run]], model.of_run(run), scaling="none") for run in model.runs]
    noise = estimate_noise(join_sums(model, parts), "ar1-reml")
    grid = noise.coefficients[:, 0]
    for voxel in range(3):
        deviances = [block_deviance(series[:, voxel], matrix, rho) for rho in grid]
        assert noise.bins[voxel] == np.argmin(deviances)


def block_deviance(series, matrix, rho):
    covariance = np.kron(np.eye(2), toeplitz(rho ** np.arange(50)) / (1 - rho**2))
    precision = np.linalg.inv(covariance)
    inner = matrix.T @ precision @ matrix
    rest = series - matrix @ np.linalg.solve(inner, matrix.T @ precision @ series)
    log_q = np.log(rest @ precision @ rest)
    return (N_VOLUMES - 6) * log_q + np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(inner)[1]


@pytest.mark.parametrize(
    ("repetition_time", "order"),
    [(3.0, 4), (2.0, 4), (1.0, 4), (0.9, 5), (0.8, 5), (0.800000012, 5), (0.72, 6), (0.6, 7), (0.5, 8)]
    + [(0.4, 10), (1 / 3, 12), (0.35, 12), (0.26, 12)],
)
def test_order_reaches_over_four_seconds(repetition_time, order):
    assert choose_order(repetition_time, 400) == order


@pytest.mark.parametrize(
    ("repetition_time", "dof", "order"),
    [(2.0, 72, 4), (2.0, 71, 3), (2.0, 53, 2), (2.0, 32, 2), (2.0, 31, 1), (2.0, 18, 1), (2.0, 3, 1)]
    + [(0.8, 50, 5), (0.8, 49, 4), (0.8, 25, 1), (0.5, 68, 8), (0.5, 67, 7), (0.35, 92, 12), (0.35, 91, 11)],
)
def test_short_runs_have_fewer_lags(repetition_time, dof, order):
    assert count_lags("auto", repetition_time, dof) == order
    assert count_lags("ar4-reml", repetition_time, dof) == 4


@pytest.mark.parametrize(("dof", "order"), [(500, 80), (68, 8), (33, 2), (25, 1), (18, 1), (3, 1)])
def test_an_order_is_high_from_where_its_size_is_not_known(dof, order):
    assert most_lags(dof) == order


def test_short_runs_fitted_with_others_limit_the_order():
    assert count_lags("auto", 0.5, 500, 7) == 3


def test_the_order_of_auto_is_asked_for_with_what_decides_it():
    with pytest.raises(ValueError, match="auto needs the repetition time and the degrees of freedom"):
        count_lags("auto", 0.8)


NOISE_PAGE = Path(__file__).parents[3] / "docs" / "noise.md"
COLUMNS = ("ar1-reml", "ols", "ar1")


@pytest.mark.parametrize("name", COLUMNS)
def test_expected_sizes_are_the_means_of_the_page(name):
    rows = re.findall(
        r"^\| ([\d.]+) \| [^|]+ \| (?:blocks|events) \|(.*)$", NOISE_PAGE.read_text(), re.MULTILINE
    )
    column = 1 + COLUMNS.index(name)
    for time, expected in NOISE_MODELS[name].sizes:
        sizes = [float(row.split("|")[column].split()[0]) for at, row in rows if float(at) == time]
        assert len(sizes) >= 2
        assert expected == pytest.approx(np.mean(sizes), abs=0.006)


def test_expected_sizes_lie_between_those_measured_and_stay_beyond_the_ends():
    (first, _), *_, (last, least) = NOISE_MODELS["ar1-reml"].sizes
    assert expected_size("ar1-reml", first / 2) == expected_size("ar1-reml", first)
    assert expected_size("ar1-reml", 2 * last) == least
    middle = expected_size("ar1-reml", np.sqrt(0.5 * 0.8))
    assert middle == pytest.approx((expected_size("ar1-reml", 0.5) + expected_size("ar1-reml", 0.8)) / 2)
    assert expected_size("auto", 0.5) == 0.05


@pytest.mark.parametrize(
    ("name", "repetition_time", "share"),
    [("ar1-reml", 2.0, None), ("ar1-reml", 1.5, 8), ("ar1", 2.0, 10), ("ols", 0.8, 21)]
    + [("auto", 0.4, None), ("ar4", 0.4, None)],
)
def test_a_model_that_gives_too_many_false_positives_is_said_to(name, repetition_time, share):
    found = warn_of_size(name, repetition_time)
    assert (found is None) == (share is None)
    if share is not None:
        assert f"{name} is too simple at a repetition time of {repetition_time:g} s: about {share} %" in found
