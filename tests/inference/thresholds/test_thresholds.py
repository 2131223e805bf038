"""What holds for every threshold, and the corrections against other programs."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage, stats
from statsmodels.stats.multitest import multipletests

from bidsapp.inference.ari import find_discoveries
from bidsapp.inference.field_theory import cluster_p, count_resels, expected_clusters
from bidsapp.inference.permutation import permute
from bidsapp.inference.thresholds import THRESHOLDS, surviving
from bidsapp.inference.thresholds.bonferroni import holm_adjusted
from bidsapp.inference.thresholds.discoveries import region_proportions
from bidsapp.inference.thresholds.false_discovery import bh_adjusted, bky_adjusted
from bidsapp.records.maps import (
    Evidence,
    Geometry,
    Inference,
    InferenceOptions,
    Smoothness,
    StatisticInference,
)
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


SMALL = Geometry(np.ones((6, 5, 4), bool), np.eye(4))


def make_evidence(statistic, *, test="t", dof=(1.0, 11.0), tail="two", **more):
    """Return the evidence of 120 points."""
    if test == "F":
        z = stats.norm.isf(stats.f.sf(statistic, *dof))
    else:
        z = np.sign(statistic) * stats.norm.isf(stats.t.sf(np.abs(statistic), dof[1]))
    return Evidence(test, statistic, z, z_to_log_p(z, tail=tail), dof, tail, SMALL, **more)


@pytest.fixture
def statistic(rng):
    """Return t of 120 points with effects of both signs, two of them without a test."""
    values = rng.standard_t(11, size=(6, 5, 4))
    values[:2, :3] += 5.0
    values[4:, 3:, 1:] -= 6.0
    values = values.ravel()
    values[[0, 60]] = np.nan
    return values


TAIL_WORDS = {
    "two": "two-sided",
    "positive": "one-sided, positive effects",
    "negative": "one-sided, negative effects",
}


def check_threshold(found, name, words, adjusted, statistic, alpha=0.05):
    """Compare a threshold with what must survive at adjusted p up to alpha."""
    np.testing.assert_allclose(found.adjusted, adjusted, rtol=1e-9, atol=1e-300)
    with np.errstate(invalid="ignore"):
        surviving = adjusted <= alpha
    np.testing.assert_array_equal(found.surviving, surviving)
    assert surviving.any()
    assert found.cutoff == np.abs(statistic[surviving]).min()
    assert (found.name, found.description, found.alpha, found.scale) == (name, words, alpha, "t")


@pytest.mark.parametrize("tail", TAIL_WORDS)
def test_thresholds_of_p_values_are_their_formulas(statistic, tail):
    evidence = make_evidence(statistic, tail=tail)
    sides = {"two": np.abs(statistic), "positive": statistic, "negative": -statistic}[tail]
    p = stats.t.sf(sides, 11) * (2 if tail == "two" else 1)
    known, words = np.isfinite(p), TAIL_WORDS[tail]

    def adjusted(method):
        values = np.full(120, np.nan)
        values[known] = multipletests(p[known], method=method)[1]
        return values

    said = f"Bonferroni, family-wise error 0.05, {words}"
    check_threshold(
        THRESHOLDS["bonferroni"](evidence, 0.05), "bonferroni", said, adjusted("bonferroni"), statistic
    )
    said = f"Holm, family-wise error 0.05, {words}"
    check_threshold(THRESHOLDS["holm"](evidence, 0.05), "holm", said, adjusted("holm"), statistic)
    said = f"false discovery rate 0.05 (Benjamini-Hochberg), {words}"
    check_threshold(THRESHOLDS["fdrBH"](evidence, 0.05), "fdrBH", said, adjusted("fdr_bh"), statistic)
    said = f"uncorrected p ≤ 0.001, {'one-sided in each tail' if tail == 'two' else words}"
    one_sided = p / (2 if tail == "two" else 1)
    check_threshold(
        THRESHOLDS["uncorrected"](evidence, 0.05), "uncorrected", said, one_sided, statistic, 0.001
    )
    said = f"false discovery rate 0.05 (adaptive, Benjamini-Krieger-Yekutieli), {words}"
    found, q = THRESHOLDS["fdrBKY"](evidence, 0.05), adjusted("fdr_bh")
    n_first = np.count_nonzero(q <= 0.05 / 1.05)
    assert 0 < n_first < 118
    expected = np.minimum(q * 1.05 * (118 - n_first) / 118, 1.0)
    check_threshold(found, "fdrBKY", said, expected, statistic)


def test_the_adaptive_rate_where_all_or_none_are_found_is_that_of_benjamini_and_hochberg():
    for p in (np.array([0.001, 0.01, np.nan]), np.array([0.3, 0.5, np.nan])):
        expected = np.minimum(1.05 * bh_adjusted(p), 1.0)
        np.testing.assert_allclose(bky_adjusted(p, 0.05), expected)
    # One of two: half are null.
    np.testing.assert_allclose(bky_adjusted(np.array([0.001, 0.9]), 0.05), [0.002 * 1.05 / 2, 0.9 * 1.05 / 2])


def test_a_point_at_alpha_survives():
    evidence = replace(make_evidence(np.zeros(120)), log_p=np.log(np.full(120, 0.25)))
    threshold = surviving.make_threshold("x", "words", evidence, 0.25, np.full(120, 0.25))
    assert threshold.surviving.all()
    assert not surviving.make_threshold("x", "words", evidence, 0.25, np.full(120, 0.26)).surviving.any()


def shares_of(evidence, p_forming, alpha):
    """Return the share of active points of each cluster in its points, 0 elsewhere, by ndimage."""
    z_cutoff, known = stats.norm.isf(p_forming), np.nan_to_num(evidence.z)
    discoveries, shares = find_discoveries(np.exp(evidence.log_p), alpha), np.zeros(120)
    for sign in {"two": (1, -1), "positive": (1,), "negative": (-1,)}[evidence.tail]:
        volume = (sign * known >= z_cutoff - 1e-9).reshape(SMALL.mask.shape)
        labels, count = ndimage.label(volume, np.ones((3, 3, 3)))
        for label in range(1, count + 1):
            members = (labels == label).ravel()
            shares[members] = discoveries.count(members) / members.sum()
    return shares


@pytest.mark.parametrize("tail", TAIL_WORDS)
def test_shares_of_clusters_are_those_of_their_points(statistic, tail):
    """Clusters of either sign, with the points that are at the cut-off."""
    statistic[7] = stats.t.isf(0.01, 11) * (-1 if tail == "negative" else 1)
    evidence = make_evidence(statistic, tail=tail, cluster_forming_p=0.01)
    evidence.log_p[7] = np.log(0.02 if tail == "two" else 0.01)
    found, shares = THRESHOLDS["ari"](evidence, 0.05), shares_of(evidence, 0.01, 0.05)
    assert len(np.unique(shares)) > 2 or tail != "two"
    np.testing.assert_allclose(found.adjusted, np.where(np.isnan(statistic), np.nan, 1 - shares))
    np.testing.assert_array_equal(found.surviving, shares > 0)
    assert found.cutoff == shares[shares > 0].min()
    words = "clusters at one-sided p 0.01 with a share of truly active voxels above 0, at confidence 0.95"
    assert found.description == f"{words} (All-Resolutions Inference), {TAIL_WORDS[tail]}"
    assert found.scale == "share of active voxels"


@pytest.mark.parametrize("test", ["t", "F"])
@pytest.mark.parametrize("tail", TAIL_WORDS)
def test_shares_of_regions_are_those_of_their_points_by_sign(statistic, tail, test):
    if test == "F" and tail != "positive":
        return
    values = np.square(statistic) if test == "F" else statistic
    evidence = make_evidence(values, test=test, dof=(1.0, 11.0), tail=tail)
    regions = np.zeros(120, int)
    regions[:40], regions[40:90], regions[90:], regions[60:61] = 3, 5, 8, 9
    discoveries = find_discoveries(np.exp(evidence.log_p), 0.05)
    signs = {"two": ("positive", "negative"), "positive": ("positive",), "negative": ("negative",)}[tail]
    found = region_proportions(evidence, 0.05, regions)
    assert set(found) == {3, 5, 8, 9}
    for region, shares in found.items():
        members, n_tested = regions == region, {3: 39, 5: 49, 8: 30, 9: 1}[region]
        expected = {}
        for sign in signs:
            of_sign = (statistic > 0 if sign == "positive" else statistic < 0) | (test == "F")
            expected[sign] = discoveries.count(members & of_sign) / n_tested
        assert shares == pytest.approx(expected)
    assert max(max(shares.values()) for shares in found.values()) > 0.3


def made_inference(found, p, *, tail="two", **options):
    """Return an inference of one statistic."""
    return Inference(
        test="t",
        dof=(1.0, 11.0),
        statistic=found.observed,
        options=InferenceOptions(tail=tail, **options),
        scheme="sign-flip",
        n_shuffles=500,
        n_distinct=4096,
        exact=False,
        smallest_p=0.002,
        p=p,
        statistics={found.name: found},
        forming=None,
        conventions={"Family": "the points of the contrast"},
    )


LABELS = {
    "maxT": ("height", "voxel height", "t"),
    "maxSize": ("extent", "cluster extent", "voxels"),
    "maxMass": ("mass", "cluster mass", "mass"),
    "maxTFCE": ("tfce", "threshold-free cluster enhancement", "tfce"),
}


@pytest.mark.parametrize("name", LABELS)
def test_what_survives_by_shuffling_has_corrected_p_up_to_alpha_and_is_in_a_cluster(statistic, name):
    """The cut-off is the smallest of the null that survives, or the smallest value that does."""
    key, label, scale = LABELS[name]
    observed = np.round(statistic, 1)
    p_fwe = np.where(np.isnan(statistic), np.nan, np.where(np.abs(observed) >= 4, 0.05, 0.06))
    observed[5], p_fwe[5] = 0.0, 0.01
    expected = np.abs(np.nan_to_num(observed)) >= 4
    words = f"{label}, family-wise error 0.05 by shuffling, two-sided"
    words += "; clusters formed at one-sided p 0.001" if key in ("extent", "mass") else ""
    for cutoff, smallest in (
        (3.5, 3.5),
        (9.0, np.abs(observed[expected]).min()),
        (np.nan, np.abs(observed[expected]).min()),
    ):
        inference = made_inference(StatisticInference(key, observed, p_fwe, np.arange(500.0), cutoff), None)
        found = THRESHOLDS[name](make_evidence(statistic, inference=inference), 0.05)
        np.testing.assert_array_equal(found.surviving, expected)
        assert (found.cutoff, found.description, found.scale, found.name) == (smallest, words, scale, name)
        assert found.adjusted is p_fwe
    if key == "height":
        # With variances by group the maps of the shuffles are z.
        grouped = make_evidence(statistic, inference=replace(inference, test="v"))
        assert THRESHOLDS[name](grouped, 0.05).scale == "z"
    other = [one for one in LABELS if one != name][0]
    assert THRESHOLDS[other](make_evidence(statistic, inference=inference), 0.05).reason


@pytest.mark.parametrize(
    ("options", "family", "exact", "said"),
    [
        ({"tail_approximation": "gpd"}, "", False, "p from a generalised Pareto tail fitted to 500 shuffles"),
        ({"tail_approximation": "gamma"}, "", False, "p from a gamma distribution fitted to 500 shuffles"),
        ({"stop_when_decided": True}, "", False, "stopped after 500 shuffles"),
        ({"stop_when_decided": True}, "", True, ""),
        ({}, "2 contrasts, maximum", False, "corrected over 2 contrasts, maximum"),
    ],
)
def test_thresholds_by_shuffling_say_how_p_was_had(statistic, options, family, exact, said):
    found = StatisticInference("height", statistic, np.full(120, 0.5), np.arange(500.0))
    inference = replace(made_inference(found, None, **options), exact=exact)
    if family:
        inference = replace(inference, conventions={"Family": family})
    words = THRESHOLDS["maxT"](make_evidence(statistic, inference=inference), 0.05).description
    base = "voxel height, family-wise error 0.05 by shuffling, two-sided"
    assert words == (f"{base}; {said}" if said else base)


def test_the_rate_over_p_by_shuffling_is_that_of_benjamini_and_hochberg(statistic):
    p = np.where(np.isnan(statistic), np.nan, np.where(np.abs(statistic) > 4, 0.002, 0.4))
    inference = made_inference(StatisticInference("height", statistic, p, np.arange(500.0)), p)
    found = THRESHOLDS["fdrPermutation"](make_evidence(statistic, inference=inference), 0.05)
    words = "false discovery rate 0.05 over p by shuffling, two-sided"
    check_threshold(found, "fdrPermutation", words, bh_adjusted(p), statistic)
    without = replace(inference, p=None)
    assert THRESHOLDS["fdrPermutation"](make_evidence(statistic, inference=without), 0.05).reason


@pytest.mark.parametrize(
    ("smallest", "exact", "expected"),
    [
        (0.0005, False, ""),
        (0.01, False, "must have the smallest p that 500 shuffles can give, 0.01"),
        (0.002, False, "set --n-permutations to 800 or more."),
        (0.002, True, "No more distinct shuffles exist"),
    ],
)
@pytest.mark.parametrize("found", [0, 100])
def test_the_rate_over_too_few_shuffles_says_so_whatever_survives(smallest, exact, expected, found):
    p = np.where(np.arange(120) < found, smallest, 0.9)
    inference = made_inference(StatisticInference("height", p, p, np.arange(500.0)), p)
    inference = replace(inference, smallest_p=smallest, exact=exact)
    evidence = make_evidence(np.linspace(1, 2, 120), inference=inference)
    threshold = THRESHOLDS["fdrPermutation"](evidence, 0.05)
    assert threshold.surviving.sum() == found
    assert len(threshold.warnings) == bool(expected)
    assert expected in " ".join(threshold.warnings)
    if smallest == 0.01:
        assert "24 of 120 must have" in threshold.warnings[0]


def make_smoothness(width):
    return Smoothness(np.full(3, width), count_resels(SMALL.mask, np.full(3, width)), 120)


def height_at_p(p, test, dof):
    return {"t": stats.t.isf(p, dof[1]), "z": stats.norm.isf(p), "F": stats.f.isf(p, *dof)}[test]


@pytest.mark.parametrize(
    ("test", "tail"), [("t", "two"), ("t", "positive"), ("t", "negative"), ("F", "positive"), ("v", "two")]
)
@pytest.mark.parametrize("width", [1.2, 3.0])
def test_random_field_p_is_its_formula(statistic, test, tail, width):
    """1 - exp(-expected clusters) of heights, p of the size of clusters; z where dof differ by voxel."""
    dof = {"t": (1.0, 11.0), "F": (2.0, 11.0), "v": (1.0, np.nan)}[test]
    values = np.square(statistic) if test == "F" else statistic
    smoothness = make_smoothness(width)
    evidence = make_evidence(values, test=test, dof=(dof[0], 11.0), tail=tail, smoothness=smoothness)
    evidence = replace(evidence, dof=dof, cluster_forming_p=0.01)
    field, heights = ("z", evidence.z) if test == "v" else (test, values)
    signed = -heights if tail == "negative" else heights
    sides, n_tails = (np.abs(signed), 2) if tail == "two" else (signed, 1)
    words = TAIL_WORDS[tail] if test == "t" else "upper tail"

    grid = np.geomspace(0.01, 100.0, 1000)
    expected = expected_clusters(grid, field, dof, smoothness.resels)
    turn = grid[np.flatnonzero(np.diff(expected) > 0)[-1] + 1] if (np.diff(expected) > 0).any() else grid[0]
    p = [
        1.0
        if height < turn
        else 1 - np.exp(-n_tails * expected_clusters(height, field, dof, smoothness.resels))
        for height in np.nan_to_num(sides)
    ]
    peak = THRESHOLDS["rftPeak"](evidence, 0.05)
    np.testing.assert_allclose(peak.adjusted, np.where(np.isnan(statistic), np.nan, p), rtol=1e-7, atol=1e-13)
    assert peak.description == f"voxel height, family-wise error 0.05 by random-field theory, {words}"
    assert any("narrower than the 3 voxels" in words for words in peak.warnings) == (width < 3)

    found = THRESHOLDS["rftSize"](evidence, 0.05)
    cutoff, p, sizes = height_at_p(0.01, field, dof), np.ones(120), np.zeros(120)
    for sign in (1, -1) if tail == "two" else (1,):
        volume = (np.nan_to_num(sign * signed) >= cutoff).reshape(SMALL.mask.shape)
        labels, count = ndimage.label(volume, np.ones((3, 3, 3)))
        for label in range(1, count + 1):
            members = (labels == label).ravel()
            sizes[members] = members.sum()
            corrected = cluster_p(members.sum() / width**3, cutoff, field, dof, smoothness.resels)[1]
            p[members] = min(n_tails * corrected, 1.0)
    np.testing.assert_allclose(found.adjusted, np.where(np.isnan(statistic), np.nan, p), rtol=1e-6)
    kept = sizes[(sizes > 0) & (p <= 0.05)]
    np.testing.assert_equal(found.cutoff, kept.min() if len(kept) else np.nan)
    said = f"cluster extent, family-wise error 0.05 by random-field theory, {words}"
    assert found.description == f"{said}; clusters formed at one-sided p 0.01"
    assert found.scale == "voxels"
    assert "Eklund" in found.warnings[0]
