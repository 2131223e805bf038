"""What is left in whitened residuals: its expectation by dense matrices, and that misfit is seen."""

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import block_diag
from test_restricted_likelihood import make_matrix, simulate

from bidsapp.stats.noise import check as noise_check
from bidsapp.stats.noise.check import check_noise, choose_sample
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.glm import fit_run_glm, make_residuals
from bidsapp.stats.run.sums import accumulate, join_sums

SMOOTH, PEAK = np.array([0.6, 0.2]), np.array([0.3, 0.0, 0.0, -0.4])


def fit(series, matrix, lengths, noise_model, order, keep=None):
    model = make_time_model(matrix, keep, np.cumsum([0, *lengths[:-1]]))
    parts = [accumulate([series[run]], model.of_run(run), n_lags=order, scaling="none") for run in model.runs]
    return fit_run_glm(parts[0] if len(parts) == 1 else join_sums(model, parts), noise_model=noise_model)


def check(series, matrix, lengths, noise_model, order, keep=None):
    fitted = fit(series, matrix, lengths, noise_model, order, keep)
    residuals = [next(make_residuals([series[r]], fitted, run=n)) for n, r in enumerate(fitted.model.runs)]
    inside = {"all": np.ones(series.shape[1], bool)}
    keep = np.ones(len(series), bool) if keep is None else keep
    voxels = np.arange(series.shape[1])
    return check_noise(np.concatenate(residuals), fitted, voxels, inside, keep), fitted


def make_filter(length, coefficients):
    """Return F, which leaves out the first volumes."""
    rows = np.eye(length) - sum(a * np.eye(length, k=-k) for k, a in enumerate(coefficients, 1))
    return rows[len(coefficients) :]


@pytest.mark.parametrize("lengths", [(90,), (60, 50)])
@pytest.mark.parametrize("dropped", [(), (20, 21, 40)])
def test_what_is_expected_is_that_of_dense_matrices(rng, lengths, dropped):
    matrix, total = make_matrix(rng, lengths), sum(lengths)
    keep = ~np.isin(np.arange(total), dropped)
    found, fitted = check(simulate(rng, SMOOTH, lengths, 30), matrix, lengths, "auto", 2, keep)
    used = noise_check._find_used(keep, 2, fitted.model.runs, 10)
    coefficients = fitted.autocorrelation
    design = noise_check._whiten_design(fitted, np.arange(30), coefficients, 10)
    expected = noise_check._expect(used, design, 6)
    middle = np.argmin(np.square(coefficients - coefficients.mean(axis=1, keepdims=True)).sum(axis=0))
    filter_ = block_diag(*(make_filter(length, coefficients[:, middle]) for length in lengths))
    basis = fitted.model.basis
    gram_inverse = fitted.covariances[fitted.noise.bins[middle]]
    left = np.eye(len(filter_)) - filter_ @ basis @ gram_inverse @ basis.T @ filter_.T
    rows = np.concatenate([np.arange(start + 2, stop) for start, stop in spans(lengths)])
    near = np.array([any(t - k in dropped for k in range(3)) for t in rows])
    left[near] = left[:, near] = 0.0
    run = np.searchsorted(np.cumsum(lengths), rows, side="right")
    pair = [(np.abs(np.subtract.outer(rows, rows)) == k) & np.equal.outer(run, run) for k in range(7)]
    halves = [p * (0.5 if k else 1.0) for k, p in enumerate(pair)]
    products = np.array([np.trace(half @ left) for half in halves])
    covariance = np.array([[2 * np.trace(a @ left @ b @ left) for b in halves] for a in halves])
    scaled = np.column_stack([-products[1:] / products[0], np.eye(6)])
    np.testing.assert_allclose(expected.products, products, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(expected.covariance, scaled @ covariance @ scaled.T, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.autocorrelation[:6], products[1:] / products[0], atol=1e-9)


def spans(lengths):
    ends = np.cumsum(lengths)
    return zip(ends - lengths, ends, strict=True)


def test_spectrum_is_expected_to_be_what_the_design_leaves(rng):
    """The mean of many right residuals has it; so have its band and that of the autocorrelation.

    Not of so many voxels that the band is narrower than what their own coefficients take, about 1 / volumes.
    """
    matrix, n_voxels = make_matrix(rng, (160,)), 700
    found, _ = check(simulate(rng, SMOOTH, (160,), n_voxels), matrix, (160,), "ar2-reml", 2)
    left = found.groups["all"]
    assert np.mean(np.abs(left.spectrum - found.spectrum) < left.spectrum_band) > 0.8
    assert np.mean(np.abs(left.autocorrelation - found.autocorrelation) < left.autocorrelation_band) > 0.8
    # Six standard errors of a share of .05.
    assert left.outside == pytest.approx(0.05, abs=6 * np.sqrt(0.05 * 0.95 / n_voxels))


@pytest.mark.parametrize("noise_model", ["ols", "ar1", "ar1-reml"])
def test_a_model_without_the_lag_of_a_peak_is_found_out(rng, noise_model):
    matrix = make_matrix(rng, (160,))
    series = simulate(rng, PEAK, (160,), 200)
    wrong = check(series, matrix, (160,), noise_model, 1)[0]
    right = check(series, matrix, (160,), "ar4-reml", 4)[0]
    assert wrong.groups["all"].outside > 0.9
    assert right.groups["all"].outside < 0.15
    lag4 = wrong.groups["all"].autocorrelation[3] - wrong.autocorrelation[3]
    assert lag4 < -10 * wrong.groups["all"].autocorrelation_band[3]


def test_values_of_dropped_volumes_change_nothing(rng):
    matrix, keep = make_matrix(rng, (120,)), np.ones(120, bool)
    keep[[5, 60, 61]] = False
    series = simulate(rng, SMOOTH, (120,), 40)
    wild = np.where(keep[:, None], series, -400.0)
    one, two = (check(each, matrix, (120,), "auto", 2, keep)[0].groups["all"] for each in (series, wild))
    np.testing.assert_allclose(one.autocorrelation, two.autocorrelation, atol=1e-5)
    assert one.outside == two.outside


def test_neighbours_that_are_alike_make_wide_bands(rng):
    """Sixteen copies of each voxel tell no more than one."""
    matrix = make_matrix(rng, (160,))
    series = simulate(rng, SMOOTH, (160,), 64)
    alone = check(series, matrix, (160,), "ar2-reml", 2)[0].groups["all"]
    copies = check(np.repeat(series, 16, axis=1), matrix, (160,), "ar2-reml", 2)[0].groups["all"]
    assert np.mean(copies.autocorrelation_band / alone.autocorrelation_band) == pytest.approx(1.0, abs=0.1)


def test_nothing_is_said_of_too_few_volumes_or_voxels(rng):
    matrix, keep = make_matrix(rng, (90,)), np.ones(90, bool)
    keep[::3] = False
    series = simulate(rng, SMOOTH, (90,), 40)
    assert check(series, matrix, (90,), "auto", 3, keep)[0] is None
    assert check(series[:, :5], matrix, (90,), "auto", 2)[0].groups == {}


@pytest.mark.parametrize("n_voxels", [1, 7, 1000, 54321])
def test_the_sample_lies_all_over_the_mask(n_voxels):
    voxels = choose_sample(n_voxels)
    assert len(np.unique(voxels)) == len(voxels) == min(n_voxels, noise_check.WATCHED_VOXELS)
    assert (voxels[0], voxels[-1]) == (0, n_voxels - 1)


@pytest.mark.parametrize(("lengths", "n_lags"), [((90,), 15), ((130, 126), 20)])
def test_lags_are_twenty_or_a_sixth_of_the_shortest_run(rng, lengths, n_lags):
    found, _ = check(simulate(rng, SMOOTH, lengths, 30), make_matrix(rng, lengths), lengths, "auto", 2)
    assert len(found.autocorrelation) == n_lags


def autocorrelate(series, k):
    """Return the products of pairs of volumes at a lag, (n_pairs, n_voxels), of series of one run each."""
    return np.concatenate([run[k:] * run[: len(run) - k] for run in series])


@pytest.mark.parametrize(("lengths", "n_lags"), [((90,), 15), ((60, 50), 8)])
def test_what_is_left_is_that_of_each_voxels_own_filter(rng, lengths, n_lags):
    """Residuals whitened run by run, of the length that is expected; each measure by its formula."""
    matrix = make_matrix(rng, lengths)
    series = simulate(rng, SMOOTH, lengths, 30)
    found, fitted = check(series, matrix, lengths, "auto", 2)
    residuals = [next(make_residuals([series[r]], fitted, run=n)) for n, r in enumerate(fitted.model.runs)]
    assert len(found.autocorrelation) == n_lags
    used = noise_check._find_used(np.ones(sum(lengths), bool), 2, fitted.model.runs, n_lags)
    design = noise_check._whiten_design(fitted, np.arange(30), fitted.autocorrelation, n_lags)
    expected = noise_check._expect(used, design, n_lags)
    white = [
        np.column_stack(
            [make_filter(len(part), c) @ part[:, v] for v, c in enumerate(fitted.autocorrelation.T)]
        )
        for part in residuals
    ]
    scale = np.sqrt(sum(np.square(part).sum(axis=0) for part in white) / expected.products[0])
    white = [part / scale for part in white]
    left = found.groups["all"]
    pairs = [autocorrelate(white, k) for k in range(1, n_lags + 1)]
    products = np.array([pair.sum(axis=0) for pair in pairs])
    np.testing.assert_allclose(left.autocorrelation, products.mean(axis=1) / expected.products[0], atol=1e-9)

    apart = products - expected.products[1:, None]
    statistic = np.sum(apart * (np.linalg.inv(expected.covariance) @ apart), axis=0)
    assert left.outside == np.mean(stats.chi2.sf(statistic, n_lags - 2) < 0.05)
    assert left.n_voxels == 30

    # Zeros between the runs, so that their lags and the periodogram's ends do not meet.
    gap, n_times = np.zeros((n_lags, 30)), sum(lengths) + n_lags * len(lengths)
    padded = np.concatenate([row for part in white for row in (np.zeros((2, 30)), part, gap)])
    frequencies = np.arange(1, n_times // 2 + 1)
    waves = np.exp(-2j * np.pi * np.outer(frequencies, np.arange(n_times)) / n_times)
    bands = np.array_split(np.arange(len(frequencies)), 40)
    power, n_used = (np.abs(waves @ padded) ** 2).mean(axis=1), sum(lengths) - 2 * len(lengths)
    np.testing.assert_allclose(left.spectrum, [power[band].mean() / n_used for band in bands], rtol=1e-6)
    np.testing.assert_allclose(found.frequencies, [frequencies[band].mean() / n_times for band in bands])
    taken = (np.abs(waves @ (design * used[:, None])) ** 2).sum(axis=1) / n_used
    np.testing.assert_allclose(found.spectrum, [1 - taken[band].mean() for band in bands], rtol=1e-9)

    # Bands: as many voxels are independent as the mean over all varies less than each by itself.
    over_time = [pair.mean(axis=1) - pair.sum() / 30 / (n_times - k) for k, pair in enumerate(pairs, 1)]
    unpaired = [n_times - k - len(pair) for k, pair in enumerate(pairs, 1)]
    shifts = [pair.sum() / 30 / (n_times - k) for k, pair in enumerate(pairs, 1)]
    varies = sum(
        np.square(values).sum() + n * shift**2
        for values, n, shift in zip(over_time, unpaired, shifts, strict=True)
    )
    n_independent = np.trace(expected.covariance) / varies
    band = 1.959964 * np.sqrt(np.diag(expected.covariance) / n_independent) / expected.products[0]
    np.testing.assert_allclose(left.autocorrelation_band, band, rtol=1e-6)
    ordinates = np.array([len(band) for band in bands]) * used.mean()
    band = 1.959964 * found.spectrum / np.sqrt(ordinates * n_independent)
    np.testing.assert_allclose(left.spectrum_band, band, rtol=1e-6)
