"""What holds for every threshold, and the corrections against other programs."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bidsapp.inference.permutation import permute
from bidsapp.inference.random_field import count_resels
from bidsapp.inference.thresholds import THRESHOLDS
from bidsapp.inference.thresholds.bonferroni import holm_adjusted
from bidsapp.inference.thresholds.discoveries import region_proportions
from bidsapp.inference.thresholds.false_discovery import bh_adjusted, bky_adjusted
from bidsapp.records import Evidence, Geometry, InferenceOptions, Smoothness
from bidsapp.stats.distributions import t_to_z, z_to_log_p


@pytest.fixture(scope="module")
def evidence():
    rng = np.random.default_rng(5)
    geometry = Geometry(np.ones((8, 8, 8), bool), np.eye(4))
    data = rng.normal(size=(12, 512))
    data[:, :64] += 2.0
    data[:, 0] = 0.0
    inference = permute(data, np.ones((12, 1)), [[1]], geometry, InferenceOptions(n_shuffles=300))
    t = inference.statistic
    smooth = Smoothness(np.full(3, 1.5), count_resels(geometry.mask, np.full(3, 1.5)), 511)
    return Evidence(
        "t",
        t,
        t_to_z(t, 11),
        z_to_log_p(t_to_z(t, 11)),
        (1, 11),
        "two",
        geometry,
        inference,
        smoothness=smooth,
    )


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_threshold_says_what_it_is(name, evidence):
    threshold = THRESHOLDS[name](evidence, 0.05)
    assert threshold.name == name
    assert threshold.description
    assert threshold.surviving.any()
    assert not threshold.surviving[0]


def test_the_cutoff_of_all_resolutions_is_the_smallest_share_that_survives(evidence):
    threshold = THRESHOLDS["ari"](evidence, 0.05)
    assert 0 < threshold.cutoff < 1
    assert threshold.cutoff == pytest.approx(1.0 - threshold.adjusted[threshold.surviving].max())
    nothing = replace(evidence, log_p=np.zeros(512))
    assert np.isnan(THRESHOLDS["ari"](nothing, 0.05).cutoff)


@pytest.mark.parametrize("name", THRESHOLDS)
def test_no_point_survives_a_map_of_nothing(name, evidence):
    nothing = np.full(512, np.nan)
    empty = replace(evidence, statistic=nothing, z=nothing, log_p=nothing, inference=None)
    assert not THRESHOLDS[name](empty, 0.05).surviving.any()


@pytest.mark.parametrize("name", ["maxT", "maxSize", "maxMass", "maxTFCE", "fdrPermutation"])
def test_thresholds_by_shuffling_say_when_nothing_was_shuffled(name, evidence):
    assert THRESHOLDS[name](replace(evidence, inference=None), 0.05).reason


@pytest.mark.parametrize(
    ("ours", "method"),
    [(bh_adjusted, "fdr_bh"), (lambda p: holm_adjusted(np.log(p)), "holm")],
)
def test_adjusted_p_equal_statsmodels(ours, method, rng):
    p = np.append(rng.uniform(size=80), rng.uniform(size=20) * 1e-3)
    np.testing.assert_allclose(ours(p), multipletests(p, method=method)[1], rtol=1e-12)


@pytest.mark.parametrize("n_true", [0, 5, 60, 100])
def test_bky_rejects_what_statsmodels_rejects(n_true, rng):
    p = np.append(rng.uniform(size=100 - n_true), rng.uniform(size=n_true) * 1e-3)
    expected = multipletests(p, 0.05, method="fdr_tsbky")[0]
    np.testing.assert_array_equal(bky_adjusted(p, 0.05) <= 0.05, expected)


def test_holm_lets_everything_of_bonferroni_survive(evidence):
    bonferroni, holm = (THRESHOLDS[name](evidence, 0.05).surviving for name in ("bonferroni", "holm"))
    assert (holm | ~bonferroni).all()


def test_the_uncorrected_threshold_is_one_sided_in_each_tail(evidence):
    cutoff = THRESHOLDS["uncorrected"](evidence, 0.05).cutoff
    assert cutoff >= stats.t.isf(0.001, 11)


def test_random_field_thresholds_say_that_smoothness_is_missing(evidence):
    for name in ("rftPeak", "rftSize"):
        assert "smoothness" in THRESHOLDS[name](replace(evidence, smoothness=None), 0.05).reason


@pytest.mark.parametrize("numerator", [1, 2, 3, 4])
def test_low_f_values_do_not_survive_random_field_theory(evidence, numerator):
    f = stats.f.ppf((np.arange(512) + 0.5) / 512, numerator, 120)
    low = replace(evidence, test="F", statistic=f, dof=(numerator, 120), tail="positive")
    threshold = THRESHOLDS["rftPeak"](low, 0.05)
    # The smallest p of a point by itself is 1/1024: none is unusual among 512.
    assert not threshold.surviving.any()
    high = replace(low, statistic=np.append(f[:-1], 60.0))
    assert np.flatnonzero(THRESHOLDS["rftPeak"](high, 0.05).surviving).tolist() == [511]


@pytest.mark.parametrize("name", ["rftPeak", "rftSize"])
def test_random_field_p_of_two_tails_has_twice_the_clusters_of_one(name, evidence):
    one = THRESHOLDS[name](replace(evidence, tail="positive"), 0.05)
    two = THRESHOLDS[name](evidence, 0.05)
    assert not any("Eklund" in words for words in one.warnings)
    compared = (evidence.statistic > 0) & (one.adjusted < 0.5)
    assert (one.adjusted[compared] > 1e-9).any()
    p = one.adjusted[compared]
    # Of peaks the expected number doubles; of clusters the p itself.
    expected = -np.expm1(2 * np.log1p(-p)) if name == "rftPeak" else 2 * p
    np.testing.assert_allclose(two.adjusted[compared], expected, rtol=1e-6)


def test_random_field_clusters_formed_low_are_warned_of(evidence):
    low = replace(evidence, cluster_forming_p=0.01)
    assert "Eklund" in THRESHOLDS["rftSize"](low, 0.05).warnings[0]


def test_region_shares_are_of_both_signs_and_at_most_1(evidence):
    regions = np.zeros(512, int)
    regions[1:64], regions[300:400] = 7, 9
    shares = region_proportions(evidence, 0.05, regions)
    assert 0.2 < shares[7]["positive"] <= 1
    assert shares[9] == {"positive": 0.0, "negative": 0.0}


def test_the_first_stage_of_the_adaptive_rate_is_at_alpha_over_one_plus_alpha():
    """0.048 is at most 0.05, but not 0.05 / 1.05: it tells nothing of how many are truly null."""
    p = np.array([0.016, 0.9, 0.9])
    assert bky_adjusted(p, 0.05)[0] == pytest.approx(0.048 * 1.05)


def test_the_cutoff_is_the_smallest_value_that_survives(evidence):
    threshold = THRESHOLDS["fdrBH"](evidence, 0.05)
    assert threshold.cutoff == np.abs(evidence.statistic[threshold.surviving]).min()


def test_clusters_of_all_resolutions_form_at_the_one_sided_p(evidence):
    """In two tails a point of p 0.05 is one of the one-sided p 0.025."""
    formed = np.exp(evidence.log_p) <= 2 * evidence.cluster_forming_p
    with np.errstate(invalid="ignore"):
        reached = THRESHOLDS["ari"](evidence, 0.05).surviving
    between = formed & (np.exp(evidence.log_p) > evidence.cluster_forming_p)
    assert reached[between].any()
    assert not reached[~formed].any()
