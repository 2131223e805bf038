"""p-values from counts and from fitted tails, and cut-offs."""

import numpy as np
import pytest
from scipy import stats

from bidsapp.inference.pvalues import p_from_null, p_interval
from bidsapp.inference.tails import find_cutoff, fit_pareto_tail, p_from_tail


@pytest.mark.parametrize(("method", "tolerance"), [("gamma", 0.02), ("gpd", 0.02)])
def test_tails_from_500_agree_with_counts_from_many(method, tolerance, rng):
    many = stats.gumbel_r.rvs(4, 0.4, size=200_000, random_state=rng)
    observed = np.linspace(4.9, 6.5, 20)
    approximate = p_from_tail(observed, many[:500], method)
    np.testing.assert_allclose(approximate, p_from_null(observed, many), atol=tolerance)
    assert (approximate > 0).all()


def test_a_pareto_tail_is_recovered(rng):
    null = stats.genpareto.rvs(-0.2, scale=2.0, size=20_000, random_state=rng)
    threshold, share, shape, _ = fit_pareto_tail(null)
    assert share == pytest.approx(0.25, abs=0.01)
    assert shape == pytest.approx(-0.2, abs=0.05)


def test_a_tail_that_fits_nowhere_leaves_the_counts():
    null = np.repeat([1.0, 2.0, 3.0], 200)
    observed = np.array([2.5, 3.0])
    np.testing.assert_array_equal(p_from_tail(observed, null, "gpd"), p_from_null(observed, null))


@pytest.mark.parametrize("null", [np.linspace(0, 1, 50), np.random.default_rng(2).gamma(3.0, size=50)])
def test_a_gamma_tail_has_the_first_moments_of_the_null(null):
    """As a gamma distribution by shape, place and scale; at least a thousandth of a shuffle."""
    centred = null - null.mean()
    skew = np.mean(centred**3) / np.mean(centred**2) ** 1.5
    if abs(skew) < 1e-9:
        fitted = stats.norm(null.mean(), null.std(ddof=1))
    else:
        scale = null.std(ddof=1) * skew / 2
        fitted = stats.gamma(4 / skew**2, null.mean() - 4 / skew**2 * scale, scale)
    observed = np.array([-40.0, *np.linspace(0, 8, 9), 400.0])
    expected = np.clip(fitted.sf(observed), 1 / 50_000, 1)
    np.testing.assert_allclose(
        p_from_tail(np.append(observed, np.nan), null, "gamma")[:-1], expected, rtol=1e-9
    )
    assert expected[0] == 1
    assert expected[-1] == 1 / 50_000
    assert np.isnan(p_from_tail(np.array([np.nan]), null, "gamma"))


@pytest.mark.parametrize("method", ["none", "gamma", "gpd"])
def test_a_null_of_one_value_is_counted(method):
    np.testing.assert_array_equal(p_from_tail(np.array([1.0, 2.0, 3.0]), np.full(50, 2.0), method), [1, 1, 0])


@pytest.mark.parametrize("scale", [0.01, 3.0])
def test_a_pareto_tail_has_the_moments_of_the_highest_quarter(scale, rng):
    null = stats.genpareto.rvs(-0.3, scale=scale, size=200, random_state=rng)
    ordered = np.sort(null)
    threshold, share, shape, fitted_scale = fit_pareto_tail(null)
    assert (threshold, share) == ((ordered[-50] + ordered[-51]) / 2, 0.25)
    excess, tail = ordered[-50:] - threshold, stats.genpareto(shape, scale=fitted_scale)
    np.testing.assert_allclose([tail.mean(), tail.var()], [excess.mean(), excess.var(ddof=1)], rtol=1e-9)

    # A tenth of the null and more is counted; below stands the curve, down to a thousandth of a shuffle.
    observed = np.array(
        [ordered[40], ordered[-40], ordered[-20], ordered[-19], ordered[-5] * 1.01, 1e6 * scale]
    )
    expected = [160 / 200, 40 / 200, 20 / 200, *0.25 * tail.sf(observed[3:5] - threshold), 1 / 200_000]
    np.testing.assert_allclose(p_from_tail(observed, null, "gpd"), expected, rtol=1e-12)


def test_a_tail_that_does_not_fit_gets_shorter_by_tenths(rng):
    """The highest quarter is mostly one step, which no Pareto tail has."""
    parts = rng.uniform(0, 1, 750), rng.uniform(2, 2.001, 190), 2.001 + rng.exponential(size=60)
    null = np.concatenate(parts)
    ordered = np.sort(null)[::-1]
    for length in [250, 225, 202, 181, 162, 145, 130, 117, 105, 94, 84, 75, 67, 60]:
        edge = (ordered[length - 1] + ordered[length]) / 2
        excess = ordered[:length] - edge
        ratio = excess.mean() ** 2 / excess.var(ddof=1)
        curve = stats.genpareto((1 - ratio) / 2, scale=excess.mean() * (ratio + 1) / 2)
        if stats.cramervonmises(excess, curve.cdf).pvalue >= 0.05:
            break
    assert 60 < length < 97
    assert fit_pareto_tail(null)[:2] == (edge, length / 1000)
    # Below such a threshold counts stay, though they are below a tenth.
    below = ordered[length + 1 : length + 2]
    np.testing.assert_array_equal(p_from_tail(below, null, "gpd"), (length + 2) / 1000)


@pytest.mark.parametrize(("n_shuffles", "is_fitted"), [(119, False), (120, True)])
def test_a_tail_is_fitted_to_30_shuffles_at_least(n_shuffles, is_fitted):
    null = stats.expon.ppf((np.arange(n_shuffles) + 0.5) / n_shuffles)
    assert (fit_pareto_tail(null) is not None) == is_fitted


@pytest.mark.parametrize(("alpha", "expected"), [(0.04, np.nan), (0.05, 20), (0.1, 19), (1.0, 1)])
def test_a_cutoff_is_the_smallest_value_whose_p_is_at_most_alpha(alpha, expected):
    null = np.random.default_rng(0).permutation(np.repeat(np.arange(1.0, 21), 2))
    found = find_cutoff(null, lambda values: p_from_null(values, null), alpha)
    np.testing.assert_equal(found, expected)


def test_values_that_differ_in_their_last_digits_are_ties():
    null = np.array([-4.0, -3, 1, 2])
    observed = np.array([-3 * (1 - 5e-10), -3 * (1 - 5e-9), 1 + 5e-10, 1 + 5e-9, 2, 2.1, np.nan])
    np.testing.assert_array_equal(p_from_null(observed, null), [0.75, 0.5, 0.5, 0.25, 0.25, 0, np.nan])


@pytest.mark.parametrize("level", [0.95, 0.8])
@pytest.mark.parametrize("hits", [0, 1, 12, 998, 999])
def test_interval_around_p_is_that_of_scipy(hits, level):
    lower, upper = p_interval(np.array([(hits + 1) / 1000]), 1000, *([] if level == 0.95 else [level]))
    expected = stats.binomtest(hits, 999).proportion_ci(level, "exact")
    np.testing.assert_allclose([lower[0], upper[0]], expected)
