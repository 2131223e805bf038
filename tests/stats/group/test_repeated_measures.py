import numpy as np
import pandas as pd
import pingouin
import pytest
from oracles import nel_van_der_merwe, wilks
from scipy import stats

from bidsapp.records.maps import GroupDesign
from bidsapp.stats.group.repeated_measures import (
    collapse_contrast,
    fit_greenhouse_geisser,
    fit_unequal_covariances,
    fit_wilks,
    make_scores,
    orthonormalise_rows,
)

DIFFERENCES = np.array([[1.0, -1, 0, 0], [0, 1, -1, 0], [0, 0, 1, -1]])


@pytest.fixture
def cells(rng):
    """Values of 4 cells of 11 subjects in 6 voxels, correlated and with unequal variances."""
    mixing = rng.normal(size=(4, 4)) + 2
    return np.einsum("ck,kiv->civ", mixing, rng.normal(size=(4, 11, 6)))


def scores_of(weights, cells):
    return make_scores(weights, cells)


ONE_GROUP = (np.ones((11, 1)), np.ones(1))


def test_hotelling_equals_pingouin(cells):
    scores = scores_of(DIFFERENCES, cells)
    found = fit_wilks(scores, *ONE_GROUP)
    for voxel in range(6):
        peer = pingouin.multivariate_ttest(scores[:, :, voxel].T)
        assert found.statistic[voxel] == pytest.approx(peer["F"].iloc[0], rel=1e-9)
        assert found.p[voxel] == pytest.approx(peer.filter(regex="^p").iloc[0, 0], rel=1e-8)


def test_hotelling_of_one_row_is_the_square_of_t(cells):
    scores = scores_of(DIFFERENCES[:1], cells)
    found = fit_wilks(scores, *ONE_GROUP)
    expected = stats.ttest_1samp(scores[0], 0)
    np.testing.assert_allclose(found.statistic, expected.statistic**2, rtol=1e-10)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)


def test_hotelling_does_not_depend_on_which_rows_span_the_contrast(cells, rng):
    first = fit_wilks(scores_of(DIFFERENCES, cells), *ONE_GROUP)
    second = fit_wilks(scores_of(rng.normal(size=(3, 3)) @ DIFFERENCES, cells), *ONE_GROUP)
    np.testing.assert_allclose(second.statistic, first.statistic, rtol=1e-7)


def test_hotelling_of_two_groups_equals_pingouin(cells):
    scores = scores_of(DIFFERENCES[:2], cells)
    matrix = np.repeat(np.eye(2), [5, 6], axis=0)
    found = fit_wilks(scores, matrix, np.array([1.0, -1.0]))
    for voxel in range(6):
        peer = pingouin.multivariate_ttest(scores[:, :5, voxel].T, scores[:, 5:, voxel].T)
        assert found.statistic[voxel] == pytest.approx(peer["F"].iloc[0], rel=1e-9)


def test_hotelling_of_dependent_rows_is_nan(cells):
    scores = scores_of(np.array([[1.0, -1, 0, 0], [1, -1, 0, 0]]), cells)
    assert np.isnan(fit_wilks(scores, *ONE_GROUP).statistic).all()


def test_fewer_subjects_than_rows_are_nan(cells):
    found = fit_wilks(scores_of(DIFFERENCES, cells)[:, :3], np.ones((3, 1)), np.ones(1))
    assert np.isnan([found.statistic, found.p]).all()


@pytest.mark.parametrize("n_rows", [1, 2, 3])
@pytest.mark.parametrize("n_groups", [2, 3, 4])
def test_wilks_equals_the_determinants_of_two_models(rng, n_rows, n_groups):
    matrix = np.column_stack([np.eye(n_groups)[np.arange(17) % n_groups], rng.normal(size=17)])
    scores = rng.normal(size=(n_rows, 17, 4)) * np.arange(1, n_rows + 1)[:, None, None]
    between = np.eye(n_groups + 1)[: n_groups - 1] - np.eye(n_groups + 1)[1:n_groups]
    found = fit_wilks(scores, matrix, between)
    for voxel in range(4):
        f, dof = wilks(scores[:, :, voxel].T, matrix, between)
        assert found.statistic[voxel] == pytest.approx(f, rel=1e-9)
        assert found.p[voxel] == pytest.approx(stats.f.sf(f, *dof), rel=1e-8)


@pytest.mark.parametrize(("n_rows", "n_between"), [(1, 3), (3, 1), (2, 3), (3, 3)])
def test_wilks_depends_neither_on_the_rows_within_nor_on_those_between(rng, n_rows, n_between):
    matrix, scores = np.eye(4)[np.arange(19) % 4], rng.normal(size=(n_rows, 19, 5))
    between = (np.eye(4)[:-1] - np.eye(4)[1:])[:n_between]
    mixed = np.einsum("rq,qiv->riv", rng.normal(size=(n_rows, n_rows)), scores)
    first = fit_wilks(scores, matrix, between)
    second = fit_wilks(mixed, matrix, rng.normal(size=(n_between, n_between)) @ between)
    np.testing.assert_allclose(second.statistic, first.statistic, rtol=1e-7)


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_greenhouse_geisser_equals_pingouin(cells):
    found = fit_greenhouse_geisser(scores_of(orthonormalise_rows(DIFFERENCES), cells), *ONE_GROUP)
    for voxel in range(6):
        wide = pd.DataFrame(cells[:, :, voxel].T).melt(ignore_index=False).reset_index()
        peer = pingouin.rm_anova(
            wide, dv="value", within="variable", subject="index", correction=True, detailed=True
        )
        assert found.statistic[voxel] == pytest.approx(peer["F"].iloc[0], rel=1e-9)
        assert found.epsilon_gg[voxel] == pytest.approx(peer["eps"].iloc[0], rel=1e-6)


@pytest.mark.parametrize("n_cells", [3, 4])
def test_huynh_feldt_equals_pingouin(cells, n_cells):
    """Which cuts it at 1."""
    rows = orthonormalise_rows(DIFFERENCES[: n_cells - 1])
    found = fit_greenhouse_geisser(scores_of(rows, cells), *ONE_GROUP)
    peer = [pingouin.epsilon(pd.DataFrame(cells[:n_cells, :, v].T), correction="hf") for v in range(6)]
    assert min(peer) < 1
    np.testing.assert_allclose(np.minimum(found.epsilon_hf, 1.0), peer, rtol=1e-9)


def test_epsilon_is_one_for_one_row_and_the_test_is_t(cells):
    found = fit_greenhouse_geisser(scores_of(orthonormalise_rows(DIFFERENCES[:1]), cells), *ONE_GROUP)
    np.testing.assert_allclose(found.epsilon_gg, 1.0, rtol=1e-12)
    np.testing.assert_allclose(found.p, stats.ttest_1samp(cells[0] - cells[1], 0).pvalue, rtol=1e-9)


def test_epsilon_lies_between_its_bounds(cells):
    found = fit_greenhouse_geisser(scores_of(orthonormalise_rows(DIFFERENCES), cells), *ONE_GROUP)
    assert ((found.epsilon_gg >= 1 / 3) & (found.epsilon_gg <= 1)).all()


def test_constant_voxel_is_nan(cells):
    cells[:, :, 2] = 1.0
    scores = scores_of(orthonormalise_rows(DIFFERENCES), cells)
    assert np.isnan(fit_wilks(scores, *ONE_GROUP).p[2])
    assert np.isnan(fit_greenhouse_geisser(scores, *ONE_GROUP).p[2])


def test_residuals_that_are_rounding_give_no_statistic(rng):
    """A row, or all, that is the same in all subjects, or in those of a group."""
    scores, design = two_groups((5, 7), rng)
    scores[0, :, :10] = rng.normal(size=10) * 100
    scores[:, :, 10:20] = rng.normal(size=(2, 1, 10)) * 100
    scores[:, :, 20:30] = np.einsum("ig,rgv->riv", design.matrix, rng.normal(size=(2, 2, 10)) * 100)
    scores[1, :5, 30] = 100 / 3
    difference = np.array([1.0, -1.0])
    one_variance = fit_wilks(scores, design.matrix, difference)
    assert np.flatnonzero(np.isfinite(one_variance.statistic)).tolist() == list(range(30, 40))
    by_group = fit_unequal_covariances(scores, design, difference)
    assert np.flatnonzero(np.isfinite(by_group.statistic)).tolist() == list(range(31, 40))
    pooled = fit_greenhouse_geisser(scores, design.matrix, difference)
    assert np.flatnonzero(np.isnan(pooled.statistic)).tolist() == list(range(10, 30))


def two_groups(sizes, rng, n_rows=2, spread=3.0):
    """Return null scores (n_rows, n_subjects, 40), the first group with the larger spread, and a design."""
    groups = np.repeat([1, 2], sizes)
    scores = rng.normal(size=(n_rows, len(groups), 40)) * np.where(groups == 1, spread, 1.0)[:, None]
    matrix = (groups[:, None] == [1, 2]).astype(float)
    return scores, GroupDesign(matrix, (), groups)


@pytest.mark.parametrize("sizes", [(5, 15), (9, 8), (20, 7)])
def test_unequal_covariances_of_two_groups_equal_nel_and_van_der_merwe(sizes, rng):
    scores, design = two_groups(sizes, rng)
    found = fit_unequal_covariances(scores, design, np.array([1.0, -1.0]))
    expected = nel_van_der_merwe(scores[:, : sizes[0]], scores[:, sizes[0] :])
    np.testing.assert_allclose(found.p, expected, rtol=1e-9)


def test_unequal_covariances_of_one_row_are_welch(rng):
    scores, design = two_groups((6, 14), rng, n_rows=1)
    found = fit_unequal_covariances(scores, design, np.array([1.0, -1.0]))
    expected = stats.ttest_ind(scores[0, :6], scores[0, 6:], equal_var=False)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)
    np.testing.assert_allclose(found.statistic, expected.statistic**2, rtol=1e-9)


def test_unequal_covariances_of_several_groups_and_one_row_are_near_welch(rng):
    """Welch's F has another scale; both are right to the first order in 1 / dof."""
    groups = np.repeat([1, 2, 3], [30, 40, 50])
    scores = rng.normal(size=(1, 120, 40)) * groups[:, None]
    design = GroupDesign((groups[:, None] == [1, 2, 3]).astype(float), (), groups)
    found = fit_unequal_covariances(scores, design, np.array([[1.0, -1, 0], [0, 1, -1]]))
    expected = [
        pingouin.welch_anova(data=pd.DataFrame({"y": scores[0, :, v], "g": groups}), dv="y", between="g")
        for v in range(40)
    ]
    expected = np.array([table.filter(regex="^p").iloc[0, 0] for table in expected])
    np.testing.assert_allclose(np.log(found.p), np.log(expected), rtol=0.015)


def test_group_without_a_covariance_of_its_own_gives_nothing(rng):
    scores, design = two_groups((1, 12), rng)
    assert np.isnan(fit_unequal_covariances(scores, design, np.array([1.0, -1.0])).p).all()


def test_sizes_with_unequal_covariances(rng):
    """5 + 15 subjects, standard deviations 3 and 1: Wilks' lambda has .3 here."""
    groups = np.repeat([1, 2], (5, 15))
    scores = rng.normal(size=(2, 20, 4000)) * np.where(groups == 1, 3.0, 1.0)[:, None]
    design = GroupDesign((groups[:, None] == [1, 2]).astype(float), (), groups)
    found = fit_unequal_covariances(scores, design, np.array([1.0, -1.0]))
    assert 0.04 < (found.p < 0.05).mean() < 0.06


def test_size_of_a_covariate_that_groups_of_unequal_covariance_share(rng):
    """8 + 12 subjects, standard deviations 3 and 1: about the fit of all, .02."""
    _, design = two_groups((8, 12), rng)
    scores = np.concatenate([two_groups((8, 12), rng)[0] for _ in range(100)], axis=2)
    covariate = np.random.default_rng(0).normal(size=20)
    design = GroupDesign(np.column_stack([design.matrix, covariate]), (), design.variance_groups)
    found = fit_unequal_covariances(scores, design, np.array([0.0, 0.0, 1.0]))
    assert 0.038 < (found.p < 0.05).mean() < 0.06


def test_covariate_of_one_row_and_one_group_is_its_t(rng):
    """With one group a group's own fit is that of all."""
    scores, matrix = rng.normal(size=(1, 12, 40)), np.column_stack([np.ones(12), rng.normal(size=12)])
    found = fit_unequal_covariances(scores, GroupDesign(matrix, (), np.ones(12, int)), np.array([0.0, 1.0]))
    expected = fit_wilks(scores, matrix, np.array([0.0, 1.0]))
    np.testing.assert_allclose(found.p, expected.p, rtol=1e-8)


# Three cells of each subject, in one order; subjects take turns.
SUBJECTS = np.array([4, 0, 2, 2, 1, 3, 0, 4, 1, 3, 0, 1, 2, 3, 4, 5, 5, 5])
CELLS = np.array([np.sum(SUBJECTS[:row] == subject) for row, subject in enumerate(SUBJECTS)])
GROUPS = np.array([0, 1, 2, 0, 1, 2])[SUBJECTS]
# Means of cells (columns) by group (threes of columns).
MEANS = (3 * GROUPS[:, None] + CELLS[:, None] == np.arange(9)).astype(float)
MEAN, GAP, STEPS = np.ones((1, 3)) / 3, np.array([[1.0, 0, -1]]), np.array([[1.0, -1, 0], [0, 1, -1]])


@pytest.mark.parametrize(
    ("between", "within"),
    [(MEAN, GAP), (GAP, MEAN), (GAP, GAP), (STEPS, MEAN), (STEPS, GAP), (MEAN, STEPS), (GAP, STEPS)],
)
def test_a_collapsed_contrast_weighs_the_inputs_as_the_whole_does(between, within):
    weights = np.kron(between, within)
    found = collapse_contrast(MEANS, weights, SUBJECTS)
    assert len(found.within) == len(within)
    pairs = np.einsum("bn,qk->bqnk", found.between @ found.matrix.T, found.within)
    ours = np.empty((len(weights), len(SUBJECTS)))
    ours[:, np.argsort(SUBJECTS, kind="stable")] = pairs.reshape(len(weights), -1)
    expected = weights @ np.linalg.pinv(MEANS)
    if len(within) == 1:
        np.testing.assert_allclose(ours, expected, atol=1e-12)
    # The same hypothesis: the rows span the same.
    np.testing.assert_allclose(*(np.linalg.pinv(rows) @ rows for rows in (ours, expected)), atol=1e-12)


def test_a_contrast_that_does_not_collapse_is_left_whole(rng):
    assert collapse_contrast(MEANS, np.kron(STEPS, STEPS), SUBJECTS) is None
    # A visit less; and visits at times of each subject's own.
    assert collapse_contrast(MEANS[1:], np.kron(MEAN, GAP), SUBJECTS[1:]) is None
    slope = np.column_stack([np.ones(len(SUBJECTS)), rng.normal(size=len(SUBJECTS))])
    assert collapse_contrast(slope, np.array([0.0, 1.0]), SUBJECTS) is None
