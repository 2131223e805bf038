"""Sessions compared within subjects, alone and beside groups and a covariate, from maps to the report."""

import json

import numpy as np
import pytest
from effect_maps import run_group, write_effect_maps
from scipy import stats

SHAPE = (3, 2, 2)
GROUPS = ["a"] * 5 + ["b"] * 6
AGES = [20, 31, 42, 25, 60, 37, 28, 55, 41, 33, 49]
LACKING = 10


@pytest.fixture(scope="module")
def values():
    """Two contrasts in three sessions of 11 subjects, the last of whom has no session post."""
    return np.random.default_rng(3).normal(size=(2, 3, 11, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def maps(values, tmp_path_factory):
    contrasts = {
        f"ses-{session}_{name}": list(values[c, s])
        for c, name in enumerate("AB")
        for s, session in enumerate(("pre", "mid", "post"))
    }
    for name in "AB":
        contrasts[f"ses-post_{name}"][LACKING] = None
    folder = tmp_path_factory.mktemp("sessions") / "maps"
    return write_effect_maps(folder, contrasts, {"group": GROUPS, "age": AGES})


def fit_by_lstsq(y, x, weights):
    """Return effect and t of a contrast of an ordinary least-squares fit of maps (subjects, ...)."""
    flat = y.reshape(len(y), -1).astype(float)
    beta, _, rank, _ = np.linalg.lstsq(x, flat, rcond=None)
    variance = ((flat - x @ beta) ** 2).sum(axis=0) / (len(x) - rank)
    effect = weights @ beta
    t = effect / np.sqrt(variance * (weights @ np.linalg.pinv(x.T @ x) @ weights))
    return effect.reshape(y.shape[1:]), t.reshape(y.shape[1:])


def assert_maps(run, label, expected):
    for stat, want in zip(("effect", "t"), expected, strict=True):
        found = run.map(f"contrast-{label}_stat-{stat}")
        np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def of_groups(maps, tmp_path_factory):
    words = ("paired", "ses-pre", "ses-post", "two-sample", "group", "covariate", "age")
    return run_group(maps, tmp_path_factory.mktemp("of_groups"), "--group-design", *words, pages=True)


def test_difference_of_differences_is_that_of_least_squares(of_groups, values):
    """First minus second, in each subject; the first group less the second, at the mean age."""
    age = np.array(AGES[:LACKING], float)
    groups = np.array(GROUPS[:LACKING])
    x = np.column_stack([groups == "a", groups == "b", age - age.mean()]).astype(float)
    for contrast, name in enumerate("AB"):
        scores = values[contrast, 0, :LACKING] - values[contrast, 2, :LACKING]
        label = f"{name}SesPreVsSesPost"
        assert_maps(of_groups, f"{label}AVsB", fit_by_lstsq(scores, x, np.array([1.0, -1, 0])))
        assert_maps(of_groups, label, fit_by_lstsq(scores, x, np.array([0.5, 0.5, 0])))
        assert_maps(of_groups, f"{label}Age", fit_by_lstsq(scores, x, np.array([0, 0, 1.0])))


def test_record_names_sessions_weights_and_who_is_left_out(of_groups):
    assert of_groups.code == 0
    entry = next(
        one for one in of_groups.record["contrasts"] if one["name"] == "A ses-pre vs ses-post a vs b"
    )
    assert entry["excluded"] == [{"subject": "sub-11", "reason": "no estimate of A ses-post"}]
    assert entry["estimand"]["weights"] == [
        {
            "group.a": {"A ses-pre": 1.0, "A ses-post": -1.0},
            "group.b": {"A ses-pre": -1.0, "A ses-post": 1.0},
        }
    ]
    assert {one["contrast"] for one in entry["inputs"]} == {"A ses-pre", "A ses-post"}
    assert entry["inputs"][0]["effect"].count("ses-pre")


def test_report_says_which_session_is_higher(of_groups):
    (page,) = (of_groups.folder / "group").parent.glob("**/*contrast-ASesPreVsSesPost_*.html")
    assert "A ses-pre than for A ses-post" in page.read_text()


def test_three_sessions_are_tested_together(maps, values, tmp_path):
    run = run_group(maps, tmp_path / "out", "--group-design", "repeated-measures", "ses-pre,ses-mid,ses-post")
    scores = np.stack([values[0, 0] - values[0, 1], values[0, 1] - values[0, 2]])[:, :LACKING, 2, 1, 1]
    mean, covariance = scores.mean(axis=1), np.cov(scores)
    f = LACKING * mean @ np.linalg.solve(covariance, mean) * (LACKING - 2) / (2 * (LACKING - 1))
    assert run.map("contrast-ASession_stat-F")[2, 1, 1] == pytest.approx(f, rel=1e-5)
    p = run.map("contrast-ASession_stat-p")[2, 1, 1]
    assert p == pytest.approx(stats.f.sf(f, 2, LACKING - 2), rel=1e-4)


def test_sessions_and_conditions_are_factors_together(maps, values, tmp_path):
    words = ("repeated-measures", "cond=A,B", "time=ses-pre,ses-post")
    run = run_group(
        maps, tmp_path / "out", "--group-design", *words, "--group-contrast", "x=B ses-pre - A ses-post"
    )
    (a_pre, a_post), (b_pre, b_post) = values[:, [0, 2], :LACKING]
    ones = np.ones((LACKING, 1))
    assert_maps(run, "condXTime", fit_by_lstsq(a_pre - a_post - b_pre + b_post, ones, np.ones(1)))
    assert_maps(run, "time", fit_by_lstsq((a_pre - a_post + b_pre - b_post) / 2, ones, np.ones(1)))
    # Who lacks another cell only is in it.
    assert_maps(run, "x", fit_by_lstsq(b_pre - a_post, ones, np.ones(1)))


def test_slopes_of_groups_and_their_difference_are_those_of_least_squares(maps, values, tmp_path):
    """Centred at the mean of all, so that the difference of groups is that at the mean age."""
    words = ("paired", "ses-pre", "ses-mid", "two-sample", "group", "covariate-by-group", "age")
    run = run_group(maps, tmp_path / "out", "--group-design", *words)
    age, is_a = np.array(AGES) - np.mean(AGES), np.array(GROUPS) == "a"
    x = np.column_stack([is_a, ~is_a, age * is_a, age * ~is_a]).astype(float)
    scores = values[1, 0] - values[1, 1]
    label = "BSesPreVsSesMid"
    assert_maps(run, f"{label}AgeInA", fit_by_lstsq(scores, x, np.array([0, 0, 1.0, 0])))
    assert_maps(run, f"{label}AgeAVsB", fit_by_lstsq(scores, x, np.array([0, 0, 1.0, -1])))
    assert_maps(run, f"{label}AVsB", fit_by_lstsq(scores, x, np.array([1.0, -1, 0, 0])))


def test_contrast_stands_for_its_mirrored_twin_unless_both_are_named(tmp_path):
    effects = np.random.default_rng(5).normal(size=(8, *SHAPE))
    maps = write_effect_maps(
        tmp_path / "maps", {"AMinusB": list(effects), "BMinusA": list(-effects)}, {"age": AGES[:8]}
    )
    for path in maps.glob("*/*.nii.gz"):
        weights = [1, -1] if "contrast-AMinusB" in path.name else [-1, 1]
        sidecar = {"ConditionList": ["A", "B"], "Weights": weights}
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(sidecar))
    once = run_group(maps, tmp_path / "once", "--group-design", "one-sample")
    assert once.names() == {"AMinusB"}
    assert any("AMinusB stands for BMinusA" in words for words in once.record["warnings"])
    both = run_group(
        maps, tmp_path / "both", "--group-design", "one-sample", "--select-contrasts", "AMinusB", "BMinusA"
    )
    assert both.names() == {"AMinusB", "BMinusA"}
    np.testing.assert_array_equal(both.map("contrast-AMinusB_stat-t"), once.map("contrast-AMinusB_stat-t"))
