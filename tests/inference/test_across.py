"""Correction over contrasts against counting, on inferences that are made up and on shuffled ones."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bidsapp.inference.across import correct_across
from bidsapp.inference.permutation import permute
from bidsapp.inference.pvalues import p_from_null
from bidsapp.records.maps import Inference, InferenceOptions, StatisticInference

# What the sizes of other statistics are of those of the height.
FACTORS = {"height": 1.0, "extent": 2.0, "mass": 10.0}


def make_inference(size, null, *, test="t", dof=(1.0, 8.0), tail="two", digest="same"):
    """Return an inference with these sizes (n_points,) and maxima (n_shuffles,) of the height."""
    signed = test in ("t", "v")
    sign = (
        {"two": np.resize([1.0, -1.0], len(size)), "positive": 1.0, "negative": -1.0}[tail] if signed else 1.0
    )
    statistics = {
        name: StatisticInference(name, sign * size * k, p_from_null(size * k, null * k), null * k)
        for name, k in FACTORS.items()
    }
    return Inference(
        test=test,
        dof=dof,
        statistic=sign * size,
        options=InferenceOptions(tail=tail, n_shuffles=len(null)),
        scheme="sign-flip",
        n_shuffles=len(null),
        n_distinct=512,
        exact=False,
        smallest_p=1 / len(null),
        p=None,
        statistics=statistics,
        forming=1.0,
        conventions={"TwoSided": tail == "two" and signed, "Family": "the points of the contrast"},
        shuffles_digest=digest,
    )


def share_at_least(values, null):
    """Return how much of a null is at or above each value; NaN for NaN."""
    return np.array([np.nan if np.isnan(value) else np.mean(null >= value - 1e-7) for value in values])


def check(corrected, inference, p_of, name, scale=lambda values: values):
    """Compare p of points and clusters, and the cut-off, with ``p_of`` values on a scale."""
    before, after = inference.statistics[name], corrected.statistics[name]
    with np.errstate(invalid="ignore"):
        # Sizes: what the sign of the observed map says of tails is undone.
        size = np.where(np.isnan(before.observed), np.nan, np.abs(before.observed))
    expected = np.fmax(p_of(scale(size)), before.p_fwe)
    np.testing.assert_allclose(after.p_fwe, expected, rtol=1e-12)
    reached = [value for value in np.sort(before.null_max) if p_of(scale(np.array([value])))[0] <= 0.05]
    np.testing.assert_equal(after.cutoff, reached[0] if reached else np.nan)


def draw(rng, test="t"):
    """Return sizes of 7 points, the last without a test, and 150 maxima, the first that of these."""
    maps = np.abs(rng.standard_t(8, size=(150, 7)))
    maps = maps if test == "t" else maps**2
    return np.append(maps[0], np.nan), maps.max(axis=1)


@pytest.mark.parametrize("tail", ["two", "positive", "negative"])
@pytest.mark.parametrize("test", ["t", "F"])
def test_contrasts_shuffled_alike_share_the_maximum_of_their_z(rng, test, tail):
    dofs = [(1.0, 8.0), (1.0, 5.0), (1.0, 30.0)] if test == "t" else [(2.0, 8.0), (2.0, 5.0), (3.0, 30.0)]
    family = [make_inference(*draw(rng, test), test=test, dof=dof, tail=tail) for dof in dofs]

    def to_z(values, dof):
        p = stats.t.logsf(values, dof[1]) if test == "t" else stats.f.logsf(values, *dof)
        return stats.norm.isf(np.exp(p))

    corrected = correct_across(family)
    joint = np.max([to_z(one.statistics["height"].null_max, one.dof) for one in family], axis=0)
    sizes = np.max([one.statistics["extent"].null_max for one in family], axis=0)
    smallest = [np.nanmin(one.statistics["mass"].p_fwe) for one in family]
    ranks, least = np.argsort(np.argsort(smallest, kind="stable")), 0.0
    for one, found, rank in sorted(zip(family, corrected, ranks, strict=True), key=lambda row: row[2]):
        check(found, one, lambda v: share_at_least(v, joint), "height", lambda v, one=one: to_z(v, one.dof))
        check(found, one, lambda v: share_at_least(v, sizes), "extent")
        null, factor = one.statistics["mass"].null_max, 3 - rank
        least = max(least, min(smallest[list(ranks).index(rank)] * factor, 1.0))
        p_of = lambda v, null=null, factor=factor, least=least: np.clip(  # noqa: E731
            share_at_least(v, null) * factor, least, 1.0
        )
        check(found, one, p_of, "mass")
        words = "maximum over contrasts in each shuffle (height as z, extent), Bonferroni-Holm over contrasts"
        assert found.conventions["Family"] == f"3 contrasts, {words} for mass and TFCE"


@pytest.mark.parametrize(("test", "dof"), [("t", (1.0, 8.0)), ("v", (1.0, np.nan)), ("G", (2.0, np.nan))])
@pytest.mark.parametrize("tail", ["two", "negative"])
def test_contrasts_of_one_scale_share_the_maximum_of_every_statistic(rng, test, dof, tail):
    """Statistics with degrees of freedom by voxel are z already."""
    family = [make_inference(*draw(rng), test=test, dof=dof, tail=tail) for _ in range(2)]
    corrected = correct_across(family, names=("first", "second"))
    for name in FACTORS:
        joint = np.maximum(*(one.statistics[name].null_max for one in family))
        for one, found in zip(family, corrected, strict=True):
            check(found, one, lambda v, joint=joint: share_at_least(v, joint), name)
    words = "2 contrasts, maximum over contrasts in each shuffle (first, second)"
    assert {found.conventions["Family"] for found in corrected} == {words}


@pytest.mark.parametrize("tail", ["two", "positive"])
def test_contrasts_shuffled_in_other_ways_are_corrected_step_by_step(tail):
    """The smallest p times 3, the next times 2 but no less than the first, the last as it is (Holm 1979)."""
    null = np.arange(1.0, 201)
    p = [[0.6, 0.7, 0.9], [0.02, 0.3, 0.5], [0.02, 0.025, 0.4], [np.nan] * 3]
    family = [
        make_inference(201 - 200 * np.array(values), null, tail=tail, digest=str(number))
        for number, values in enumerate(p)
    ]
    expected = [[1.0, 1.0, 1.0], [0.08, 1.0, 1.0], [0.08, 0.08, 1.0], [np.nan] * 3]
    corrected = correct_across(family)
    for found, values, cutoff in zip(corrected, expected, [np.nan] * 4, strict=True):
        for name in FACTORS:
            np.testing.assert_allclose(found.statistics[name].p_fwe, values)
            np.testing.assert_equal(found.statistics[name].cutoff, cutoff)
    assert corrected[0].conventions["Family"] == "4 contrasts, Bonferroni-Holm over contrasts"
    p[1] = p[2] = [0.01, 0.02, 0.4]
    family = [
        make_inference(201 - 200 * np.array(values), null, tail=tail, digest=str(number))
        for number, values in enumerate(p[:3])
    ]
    first, second = correct_across(family)[1:]
    np.testing.assert_allclose(first.statistics["height"].p_fwe, [0.03, 0.06, 1.0])
    np.testing.assert_allclose(second.statistics["height"].p_fwe, [0.03, 0.04, 0.8])
    # The smallest p that is .05 or less: .015 times 3, .025 times 2.
    assert [one.statistics["height"].cutoff for one in (first, second)] == [198, 196]


def test_one_contrast_is_a_family_of_itself(rng):
    one = make_inference(*draw(rng))
    (found,) = correct_across([one], names=("only",))
    assert found.conventions["Family"] == "1 contrast"
    for name, before in one.statistics.items():
        np.testing.assert_array_equal(found.statistics[name].p_fwe, before.p_fwe)


ONES = np.ones((14, 1))


def test_correction_over_contrasts_is_the_joint_maximum(geometry, data):
    options = InferenceOptions(n_shuffles=400)
    first, second = (
        permute(values, ONES, [[1]], geometry, options) for values in (data, data[:, ::-1] * 2 + 0.4)
    )
    corrected, _ = correct_across([first, second])
    joint = np.maximum(first.statistics["height"].null_max, second.statistics["height"].null_max)
    expected = p_from_null(np.abs(first.statistic), joint)
    np.testing.assert_allclose(corrected.statistics["height"].p_fwe, expected)
    assert "2 contrasts, maximum over contrasts" in corrected.conventions["Family"]


def test_a_tail_is_fitted_to_the_joint_null(geometry, data):
    options = InferenceOptions(n_shuffles=400, tail_approximation="gamma", statistics=("height",))
    both = [permute(values, ONES, [[1]], geometry, options) for values in (data + 1.0, data[:, ::-1])]
    corrected = correct_across(both)[0].statistics["height"].p_fwe
    assert corrected.min() < 1 / 400
    assert (corrected >= both[0].statistics["height"].p_fwe).all()


def test_contrasts_shuffled_differently_are_corrected_by_bonferroni(geometry, data):
    first = permute(data, ONES, [[1]], geometry, InferenceOptions(n_shuffles=400))
    second = permute(data, ONES, [[1]], geometry, InferenceOptions(n_shuffles=400, seed=4))
    corrected, _ = correct_across([first, second])
    np.testing.assert_allclose(
        corrected.statistics["tfce"].p_fwe, np.minimum(2 * first.statistics["tfce"].p_fwe, 1)
    )
    assert "Bonferroni" in corrected.conventions["Family"]


def test_contrasts_of_other_dof_share_the_null_of_heights_alone(geometry, data):
    """As z, heights of two t are of one scale; mass and TFCE are not."""
    first, second = (
        permute(values, ONES, [[1]], geometry, InferenceOptions(n_shuffles=400))
        for values in (data, data[:, ::-1])
    )
    both = [first, replace(second, dof=tuple(value - 1 for value in second.dof))]
    corrected, _ = correct_across(both)
    alone = first.statistics
    assert (corrected.statistics["height"].p_fwe < np.minimum(2 * alone["height"].p_fwe, 1)).any()
    for name in ("mass", "tfce"):
        expected = np.minimum(2 * alone[name].p_fwe, 1)
        np.testing.assert_allclose(corrected.statistics[name].p_fwe, expected)
