import numpy as np
import pingouin
import pytest
from scipy import special, stats

from bidsapp.group.fit import add_effect_sizes
from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.effect_sizes import (
    LARGE,
    correct_small_samples,
    invert_noncentral,
    noncentral_limits,
    partial_r2,
    standardise,
)
from bidsapp.stats.group.estimators import fit_group


def test_one_sample_d_is_mean_over_deviation(rng):
    values = rng.normal(0.4, 1, 15)
    t = np.array([stats.ttest_1samp(values, 0).statistic])
    found = standardise(t, np.array([14.0]), 1 / np.sqrt(15))
    assert found.d[0] == pytest.approx(values.mean() / values.std(ddof=1), rel=1e-12)


def test_two_sample_d_equals_pingouin(rng):
    first, second = rng.normal(size=9), rng.normal(size=12)
    t = np.array([stats.ttest_ind(first, second).statistic])
    found = standardise(t, np.array([19.0]), np.sqrt(1 / 9 + 1 / 12))
    assert found.d[0] == pytest.approx(pingouin.compute_effsize(first, second, eftype="cohen"), rel=1e-10)


def test_d_of_a_voxel_counts_its_own_inputs(rng):
    """Ten of twenty subjects have data in the second voxel: its d is their mean over their deviation."""
    values = rng.normal(0.5, 1, (20, 2))
    values[10:, 1] = np.nan
    design = GroupDesign(np.ones((20, 1)), (Contrast("mean", "t", ("1",), np.ones((1, 1))),))
    (found,) = fit_group(values, None, design, min_inputs=5)
    d = add_effect_sizes(found).maps["d"]
    np.testing.assert_allclose(d, np.nanmean(values, axis=0) / np.nanstd(values, axis=0, ddof=1), rtol=1e-12)


def test_small_sample_correction_approaches_one():
    np.testing.assert_allclose(correct_small_samples([2, 10, 1e5]), [0.5641896, 0.9227456, 1.0], atol=1e-5)


@pytest.mark.parametrize("dof", [2.0, 15.0, 99.0])
def test_interpolated_limits_are_those_of_the_noncentral_t(rng, dof):
    t = 3 * rng.standard_t(4, 5000)
    low, high = noncentral_limits(t, np.full(5000, dof))
    picked = rng.integers(0, 5000, 300)
    np.testing.assert_allclose(special.nctdtr(dof, low[picked], t[picked]), 0.975, atol=1e-6)
    np.testing.assert_allclose(special.nctdtr(dof, high[picked], t[picked]), 0.025, atol=1e-6)


@pytest.mark.parametrize("dof", [1.0, 3.0, 40.0, 2000.0])
@pytest.mark.parametrize("level", [0.025, 0.2, 0.975])
def test_limits_of_t_that_no_table_has_are_still_those_of_the_noncentral_t(dof, level):
    """Both sides of where the expansion begins, by halving of scipy's distribution."""
    t = np.array([-2.0, -1.001, -0.999, 0.999, 1.001, 2.0]) * LARGE
    below, above = np.minimum(20 * t, t / 40), np.maximum(20 * t, t / 40)
    for _ in range(80):
        middle = (below + above) / 2
        is_low = special.nctdtr(dof, middle, t) > level
        below, above = np.where(is_low, middle, below), np.where(is_low, above, middle)
    np.testing.assert_allclose(invert_noncentral(t, dof, level), middle, rtol=1e-7)


def test_limits_mirror_with_the_sign_of_t():
    t = np.array([-30.0, -7.3, -1.0, 1.0, 7.3, 30.0])
    low, high = noncentral_limits(t, np.full(6, 15.0))
    np.testing.assert_allclose(low, -high[::-1], rtol=1e-9)


def test_limits_stay_nan_where_t_is():
    low, high = noncentral_limits(np.array([np.nan, 1.0]), np.array([9.0, 9.0]))
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] < 1.0 < high[1]


def test_interval_covers_the_true_effect(rng):
    """2,000 experiments of 12 with d = 0.8: coverage within 4 standard errors of 95 %."""
    values = rng.normal(0.8, 1, (12, 2000))
    t = stats.ttest_1samp(values, 0).statistic
    found = standardise(t, np.full(2000, 11.0), 1 / np.sqrt(12))
    factor = correct_small_samples(11.0)
    inside = (found.low / factor < 0.8) & (found.high / factor > 0.8)
    assert inside.mean() == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 2000))


def test_partial_r2_is_the_share_of_variance(rng):
    x, y = rng.normal(size=(2, 20))
    found = stats.linregress(x, y)
    t = found.slope / found.stderr
    assert partial_r2(t**2, 1, 18) == pytest.approx(found.rvalue**2, rel=1e-10)
