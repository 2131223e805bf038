"""Designs within subjects, with and without groups, from effect maps to p-values."""

import json
from itertools import product

import numpy as np
import pytest
from documents import make_document, write_model
from effect_maps import run_group, write_effect_maps
from group_pages import read_group_pages
from oracles import wilks
from scipy import stats

SHAPE = (3, 3, 2)
CONDITIONS = ("--group-design", "repeated-measures", "cond=A,B,C")
DIFFERENCES = np.array([[1.0, -1, 0], [0, 1, -1]])
GROUPS = ["a"] * 5 + ["b"] * 6 + ["c"] * 7


@pytest.fixture(scope="module")
def cells():
    """Three conditions of 18 subjects; nobody of group c at the first voxel, five subjects at the second."""
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(3, 18, *SHAPE)).astype(np.float32)
    cells[:, 11:, 0, 0, 0] = np.nan
    cells[:, [2, 3, 4, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17], 1, 0, 0] = np.nan
    cells[0, 12, 2, 0, 0] = np.nan
    return cells


@pytest.fixture(scope="module")
def three_groups(cells, tmp_path_factory):
    """The run of three groups with all subjects that a voxel has."""
    folder = tmp_path_factory.mktemp("groups")
    maps = write_effect_maps(
        folder / "maps",
        dict(zip("ABC", cells, strict=True)),
        {"group": GROUPS, "age": [30] * 11 + [*range(7)]},
    )
    words = (*CONDITIONS, "anova", "group", "covariate", "age", "--min-subjects", 2, "--statistics", "height")
    return run_group(maps, folder / "out", *words, shuffles=100)


def scores_at(cells, voxel):
    return np.einsum("rc,ci->ir", DIFFERENCES, cells[:, :, *voxel].astype(float))


def design_of(kept):
    age = np.array([30.0] * 11 + [*range(7)])
    return np.column_stack([np.array(GROUPS)[:, None] == ["a", "b", "c"], age - age.mean()]).astype(float)[
        kept
    ]


@pytest.mark.parametrize("voxel", [(2, 2, 1), (2, 0, 0)], ids=["everybody", "17 subjects"])
def test_interaction_of_three_groups_tests_all_of_them(three_groups, cells, voxel):
    scores = scores_at(cells, voxel)
    kept = np.isfinite(scores).all(axis=1)
    f, dof = wilks(scores[kept], design_of(kept), [[1, -1, 0, 0], [0, 1, -1, 0]])
    assert three_groups.map("contrast-condGroup_stat-F")[voxel] == pytest.approx(f, rel=1e-5)
    assert three_groups.map("contrast-condGroup_stat-p")[voxel] == pytest.approx(
        stats.f.sf(f, *dof), rel=1e-4
    )


def test_every_contrast_of_rows_within_is_shuffled(three_groups):
    assert three_groups.code == 0
    entries = {entry["name"]: entry for entry in three_groups.record["contrasts"]}
    assert entries["cond group"]["permutation"]["statistic"] == "Wilks' lambda, as Rao's F"
    assert all(entry["permutation"]["n_shuffles"] == 100 for entry in entries.values())


@pytest.mark.parametrize("name", ["condGroup", "condBVsC", "condGroupC", "condAge"])
def test_contrast_that_the_subjects_of_a_voxel_cannot_estimate_is_nan(three_groups, name):
    """Nobody of group c, and one age only, in the first voxel."""
    p = three_groups.map(f"contrast-{name}_stat-p")
    assert np.isnan(p[0, 0, 0])
    assert np.isfinite(p[2, 2, 1])


def test_contrast_of_groups_that_are_there_is_estimated(three_groups, cells):
    scores = scores_at(cells, (0, 0, 0))[:11]
    f, dof = wilks(scores, design_of(slice(11))[:, :2], [[1, -1]])
    p = three_groups.map("contrast-condAVsB_stat-p")[0, 0, 0]
    assert p == pytest.approx(stats.f.sf(f, *dof), rel=1e-4)


@pytest.mark.parametrize("name", ["condGroup", "condAVsB", "condGroupA"])
def test_fewer_subjects_than_rows_are_nan_in_that_voxel_alone(three_groups, name):
    p = three_groups.map(f"contrast-{name}_stat-p")
    assert np.isnan(p[1, 0, 0])


@pytest.fixture(scope="module", params=["equal", "size"])
def averaged(request, cells, tmp_path_factory):
    """The run with an effect averaged over groups, by both kinds of weights; sub-18 has no map of C."""
    folder = tmp_path_factory.mktemp("averaged")
    contrasts = dict(zip("ABC", np.nan_to_num(cells), strict=True))
    contrasts["C"] = [*contrasts["C"][:-1], None]
    maps = write_effect_maps(folder / "maps", contrasts, {"group": GROUPS})
    words = (*CONDITIONS, "anova", "group", "--weights", request.param)
    # What weights do not change is made once.
    more = ("m=(A+B)/2", "two=A-B;B-A", "d=group.c - group.a") if request.param == "equal" else ()
    named = [word for one in ("AB=A-B", *more) for word in ("--group-contrast", one)]
    return request.param, run_group(maps, folder / "out", *words, *named)


of_any_weights = pytest.mark.parametrize("averaged", ["equal"], indirect=True)


def weights_of(kind, sizes):
    return np.full(3, 1 / 3) if kind == "equal" else np.array(sizes) / sum(sizes)


def test_main_effect_is_averaged_over_groups(averaged, cells):
    kind, run = averaged
    scores, matrix = scores_at(cells, (2, 2, 1))[:17], design_of(slice(17))[:, :3]
    f, dof = wilks(scores, matrix, weights_of(kind, [5, 6, 6]))
    assert run.map("contrast-cond_stat-p")[2, 2, 1] == pytest.approx(stats.f.sf(f, *dof), rel=1e-4)


def test_contrast_keeps_subjects_who_lack_a_cell_without_weight(averaged, cells):
    kind, run = averaged
    entry = next(one for one in run.record["contrasts"] if one["name"] == "AB")
    assert (entry["n_subjects"], entry["dof"]) == (18, 15)
    difference = (cells[0] - cells[1])[:, 2, 2, 1].astype(float)
    means = [difference[np.array(GROUPS) == group].mean() for group in "abc"]
    effect = weights_of(kind, [5, 6, 7]) @ means
    assert run.map("contrast-AB_stat-effect")[2, 2, 1] == pytest.approx(effect, rel=1e-5)


@of_any_weights
def test_main_effect_of_group_is_that_of_the_mean_of_cells(averaged, cells):
    _, run = averaged
    mean = cells[:2, :, 2, 2, 1].mean(axis=0)
    expected = stats.f_oneway(*(mean[np.array(GROUPS) == group] for group in "abc")).pvalue
    assert run.map("contrast-mGroup_stat-p")[2, 2, 1] == pytest.approx(expected, rel=1e-4)


@of_any_weights
def test_contrast_over_groups_is_made_of_contrasts_within(averaged, cells):
    _, run = averaged
    difference = (cells[0] - cells[1])[:, 2, 2, 1].astype(float)[:, None]
    f, dof = wilks(difference, design_of(slice(18))[:, :3], [[-1, 0, 1]])
    assert run.map("contrast-ABD_stat-p")[2, 2, 1] == pytest.approx(stats.f.sf(f, *dof), rel=1e-4)
    assert "group.c (7 subjects)" in estimand_of(run, "AB d")["text"]


@of_any_weights
def test_rows_that_say_nothing_new_are_left_out(averaged):
    _, run = averaged
    np.testing.assert_array_equal(run.map("contrast-two_stat-t"), run.map("contrast-AB_stat-t"))


def estimand_of(run, name):
    return next(entry for entry in run.record["contrasts"] if entry["name"] == name)["estimand"]


def test_estimand_of_an_average_over_groups_names_cells_groups_and_weights(averaged):
    kind, run = averaged
    found, shares = estimand_of(run, "AB"), weights_of(kind, [5, 6, 7])
    assert found["subjects"] == {"group.a": 5, "group.b": 6, "group.c": 7}
    for group, share in zip("abc", shares, strict=True):
        assert found["weights"][0][f"group.{group}"] == pytest.approx({"A": share, "B": -share})
    assert found["text"].startswith("A - B: average in which group.a (5 subjects) weighs")
    assert ("all groups alike" in found["text"]) == (kind == "equal")


@of_any_weights
def test_estimand_of_an_interaction_has_a_row_for_each_pair_of_rows(averaged):
    found = estimand_of(averaged[1], "cond group")
    assert len(found["weights"]) == 4
    assert found["weights"][1] == {"group.a": {"B": 1, "C": -1}, "group.b": {"B": -1, "C": 1}}
    assert found["text"].startswith("no effect in any of: A - B; B - C: difference between groups, group.a")


def test_estimand_of_a_slope_and_of_pooled_cells(three_groups, pooled):
    assert "change with one unit of age within groups" in estimand_of(three_groups, "cond age")["text"]
    assert estimand_of(three_groups, "cond a vs b")["text"].endswith("; adjusted for age")
    assert estimand_of(pooled[1], "AB")["text"] == "A - B, mean of 12 in all subjects"


def test_estimand_stands_in_sidecars(averaged):
    _, run = averaged
    (path,) = (run.folder / "group").glob("*contrast-AB_stat-t_statmap.json")
    sidecar, found = json.loads(path.read_text()), estimand_of(run, "AB")
    assert (sidecar["Estimand"], sidecar["EstimandWeights"]) == (found["text"], found["weights"])


def test_estimand_stands_in_report(pooled):
    _, run = pooled
    found = estimand_of(run, "AB")
    # With real minus signs.
    assert found["text"][1:].replace(" - ", " − ") in read_group_pages(run.folder)


POOLED = (*CONDITIONS, "--error-term", "pooled")


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    """Pooled cells of unequal variances, null; two voxels with 3 and 9 of 12 subjects."""
    rng = np.random.default_rng(1)
    mixing = np.array([[0.5, 0, 0], [0.5, 0.87, 0], [0, 1.5, 2.6]])
    cells = np.einsum("ck,ki...->ci...", mixing, rng.normal(size=(3, 12, 8, 8, 8))).astype(np.float32)
    cells[:, 3:, 0, 0, 0] = np.nan
    cells[:, 9:, 1, 0, 0] = np.nan
    cells[0, 8, 2, 0, 0] = np.nan
    folder = tmp_path_factory.mktemp("pooled")
    maps = write_effect_maps(folder / "maps", dict(zip("ABC", cells, strict=True)), {"age": range(12)})
    words = (*POOLED, "--min-subjects", 8, "--statistics", "height", "--group-contrast", "AB=A-B")
    return cells, run_group(maps, folder / "out", *words, shuffles=200, pages=True)


def greenhouse_geisser(cells):
    """Return F and p of conditions (n_cells, n_subjects) from the covariance of cells (Box 1954)."""
    k, n = cells.shape
    rest = cells - cells.mean(axis=0) - cells.mean(axis=1, keepdims=True) + cells.mean()
    f = n * np.square(cells.mean(axis=1) - cells.mean()).sum() / (np.square(rest).sum() / (n - 1))
    centre = np.eye(k) - 1 / k
    covariance = centre @ np.cov(cells) @ centre
    epsilon = np.trace(covariance) ** 2 / ((k - 1) * np.square(covariance).sum())
    return f, stats.f.sf(f, epsilon * (k - 1), epsilon * (k - 1) * (n - 1))


@pytest.mark.parametrize(("voxel", "kept"), [((3, 3, 3), 12), ((1, 0, 0), 9)])
def test_pooled_f_has_greenhouse_and_geissers_p(pooled, voxel, kept):
    cells, run = pooled
    f, p = greenhouse_geisser(cells[:, :kept, *voxel].astype(float))
    assert run.map("contrast-cond_stat-F")[voxel] == pytest.approx(f, rel=1e-5)
    assert run.map("contrast-cond_stat-p")[voxel] == pytest.approx(p, rel=1e-4)


def test_pooled_t_is_that_of_each_subjects_difference(pooled):
    cells, run = pooled
    expected = stats.ttest_1samp((cells[0] - cells[1])[:, 3:].astype(float), 0)
    np.testing.assert_allclose(run.map("contrast-AB_stat-p")[3:], expected.pvalue, rtol=1e-4)


@pytest.mark.parametrize("name", ["cond", "AB"])
def test_min_subjects_counts_subjects_and_not_their_maps(pooled, name):
    """Three subjects have nine maps, eleven have every map."""
    _, run = pooled
    p, n = run.map(f"contrast-{name}_stat-p"), run.map(f"contrast-{name}_stat-n")
    assert np.isnan(p[0, 0, 0])
    assert (n[1, 0, 0], n[2, 0, 0], n[3, 3, 3]) == (9, 11, 12)


def test_false_discoveries_of_pooled_f_go_by_its_p(pooled):
    _, run = pooled
    p, q = (np.sort(run.map(f"contrast-cond_stat-{stat}").ravel()) for stat in ("p", "q_desc-fdrBH"))
    p = p[np.isfinite(p)]
    assert q[0] == pytest.approx((p * len(p) / np.arange(1, len(p) + 1)).min(), rel=1e-4)


@pytest.mark.parametrize(("name", "stat"), [("cond", "p"), ("AB", "p"), ("cond", "logp_desc-permUnc")])
def test_pooled_p_has_its_size_where_cells_differ_in_variance(pooled, name, stat):
    """500 null voxels: five standard errors of the share."""
    _, run = pooled
    p = run.map(f"contrast-{name}_stat-{stat}")
    p = 10**-p if stat.startswith("logp") else p
    p = p[np.isfinite(p)]
    assert abs(np.mean(p <= 0.05) - 0.05) < 5 * np.sqrt(0.05 * 0.95 / p.size)


def test_pooled_subject_without_a_cell_has_a_sandwich_and_flips_of_subjects(cells, tmp_path):
    contrasts = dict(zip("ABC", np.nan_to_num(cells), strict=True))
    contrasts["C"] = [*contrasts["C"][:-1], None]
    maps = write_effect_maps(tmp_path / "maps", contrasts, {"group": GROUPS})
    run = run_group(maps, tmp_path / "out", *POOLED, "--statistics", "height", shuffles=100)
    (entry,) = run.record["contrasts"]
    assert (entry["permutation"]["scheme"], entry["permutation"]["statistic"]) == (
        "sign-flip",
        "F of least squares",
    )
    words = "cond by the sandwich (CR2, Satterthwaite), not least squares, as subjects lack rows"
    assert any(words in text for text in run.record["warnings"])


def run_rows(folder, contrasts, people, x, asked, *words):
    """Return the run of a model of several rows a subject; ``asked`` is name -> columns to weights."""
    maps = write_effect_maps(folder / "maps", contrasts, people)
    product = {"Name": "Product", "Input": ["group.a", "contrast.A"], "Output": "aA"}
    steps = [{"Name": "Factor", "Input": ["group", "contrast"]}, product]
    node = {
        "Level": "Dataset",
        "Name": "d",
        "GroupBy": [],
        "Transformations": {"Transformer": "pybids-transforms-v1", "Instructions": steps},
        "Model": {"Type": "glm", "X": x},
        "Contrasts": [
            {"Name": name, "ConditionList": list(row), "Weights": list(row.values()), "Test": "t"}
            for name, row in asked.items()
        ],
    }
    model = write_model(make_document(node), folder)
    words = ("--model", model, "--statistics", "height", *words)
    return run_group(maps, folder / "out", *words, shuffles=100)


ROWS = ["group.a", "group.b", "contrast.A", "contrast.B"]
AB = {"group.a": 1, "group.b": -1}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(2)
    return rng.normal(size=(16, *SHAPE)) + 0.5 * rng.normal(size=(3, 16, *SHAPE))


def test_groups_of_several_rows_a_subject_are_compared_by_subjects(rows, tmp_path):
    groups = np.repeat(["a", "b"], [7, 9])
    run = run_rows(tmp_path, dict(zip("ABC", rows, strict=True)), {"group": groups}, ROWS, {"ab": AB})
    expected = stats.ttest_ind(*(rows.mean(axis=0)[groups == group] for group in "ab")).pvalue
    np.testing.assert_allclose(run.map("contrast-ab_stat-p"), expected, rtol=1e-4)
    assert run.record["contrasts"][0]["permutation"]["scheme"] == "permutation"
    (said,) = (words for words in run.record["warnings"] if "not independent" in words)
    assert "ab tested on one score" in said
    assert "spheric" not in said


@pytest.fixture(scope="module")
def lacking(rows):
    """Two subjects lack a row."""
    contrasts = dict(zip("ABC", map(list, rows), strict=True))
    contrasts["C"][15] = contrasts["B"][3] = None
    return contrasts, {"group": np.repeat(["a", "b"], [7, 9]), "age": range(16)}


def test_subjects_without_a_row_are_shuffled_whole_and_their_estimands_told(lacking, tmp_path):
    """An interaction of groups and cells is no group, and a slope no mean, though the rows do not cancel."""
    run = run_rows(tmp_path, *lacking, [*ROWS, "aA", "age"], {"ab": AB, "age": {"age": 1}})
    entries = {entry["name"]: entry for entry in run.record["contrasts"]}
    assert {entry["permutation"]["scheme"] for entry in entries.values()} == {"sign-flip"}
    assert all(entry["estimand"]["subjects"] == {"group.a": 7, "group.b": 9} for entry in entries.values())
    assert entries["age"]["estimand"]["text"] == "change with one unit of age within groups"
    assert entries["ab"]["estimand"]["text"].endswith("adjusted for age")


def test_contrast_within_subjects_without_their_means_needs_the_sandwich(lacking, tmp_path):
    asked, words = {"aA": {"aA": 1}, "age": {"age": 1}}, ("--group-estimator", "sandwich")
    (tmp_path / "ols").mkdir()
    assert run_rows(tmp_path / "ols", *lacking, [*ROWS, "aA", "age"], asked).code == 65
    run = run_rows(tmp_path, *lacking, [*ROWS, "aA", "age"], asked, *words)
    weights = next(one for one in run.record["contrasts"] if one["name"] == "aA")["estimand"]["weights"][0]
    assert (weights["group.a"]["A"], weights["group.b"]["A"]) == (pytest.approx(1), pytest.approx(-1))


def test_effects_of_three_factors_are_products_of_differences_and_means(tmp_path):
    factors = {"stim": ("F", "H"), "load": ("lo", "mi", "hi"), "side": ("L", "R")}
    names = [a + b + c for a in factors["stim"] for b in factors["load"] for c in factors["side"]]
    data = np.random.default_rng(3).normal(size=(12, 18, *SHAPE)).astype(np.float32)
    maps = write_effect_maps(tmp_path / "maps", dict(zip(names, data, strict=True)), {"group": GROUPS})
    words = [f"{name}={','.join(levels)}" for name, levels in factors.items()]
    run = run_group(maps, tmp_path / "out", "--group-design", "repeated-measures", *words, "anova", "group")
    cells = data[:, :, 2, 2, 1].astype(float).reshape(2, 3, 2, 18)
    first, last = cells[0] - cells[1], cells[:, :, 0] - cells[:, :, 1]
    scores = {
        "load": -np.diff(cells.mean(axis=(0, 2)), axis=0),
        "stimXLoad": -np.diff(first.mean(axis=1), axis=0),
        "stimXSide": (last[0] - last[1]).mean(axis=0)[None],
        "stimXLoadXSide": -np.diff(first[:, 0] - first[:, 1], axis=0),
    }
    between = {"": [[1 / 3, 1 / 3, 1 / 3]], "Group": [[1, -1, 0], [0, 1, -1]]}
    for (name, rows), (ending, weights) in product(scores.items(), between.items()):
        f, dof = wilks(rows.T, design_of(slice(18))[:, :3], weights)
        p = run.map(f"contrast-{name}{ending}_stat-p")[2, 2, 1]
        assert p == pytest.approx(stats.f.sf(f, *dof), rel=1e-4), name + ending


def test_a_test_of_several_rows_depends_on_what_they_span(rows, tmp_path):
    """Rows of other units, and nearly the same: t, F, p and p by shuffling are those of the plain rows."""
    maps = write_effect_maps(
        tmp_path / "maps", dict(zip("ABC", rows, strict=True)), {"group": ["a"] * 8 + ["b"] * 8}
    )
    asked = ("plain=A-B; B-C", "mixed=1000000*A-1000000*B; A-1.00001*B+0.00001*C")
    words = ("repeated-measures", "cond=A,B,C", "two-sample", "group", "--statistics", "height")
    named = [word for one in asked for word in ("--group-contrast", one)]
    run = run_group(maps, tmp_path / "out", "--group-design", *words, *named, shuffles=100)
    for between in ("", "AVsB"):
        for kind in ("stat-F", "stat-p", "stat-logp_desc-maxT"):
            plain, mixed = (run.map(f"contrast-{name}{between}_{kind}") for name in ("plain", "mixed"))
            np.testing.assert_allclose(mixed, plain, rtol=1e-5)
