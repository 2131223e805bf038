import numpy as np
import pytest
from scipy import linalg, stats

from bidsapp.errors import ModelError
from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.estimators import fit_group


def fit(effects, matrix, test, weights, clusters):
    columns = tuple(f"x{index}" for index in range(matrix.shape[1]))
    contrast = Contrast("c", test, columns, np.atleast_2d(np.asarray(weights, float)))
    design = GroupDesign(matrix, (contrast,), clusters=clusters)
    return fit_group(effects, None, design, estimator="sandwich")[0]


@pytest.fixture
def unbalanced(rng):
    """Visits of 9 subjects, one to four each, with time and a group of subjects."""
    clusters = np.repeat(np.arange(9), [1, 2, 3, 4, 4, 3, 2, 3, 4])
    time = np.concatenate([np.arange(np.sum(clusters == c)) for c in range(9)]).astype(float)
    matrix = np.column_stack([np.ones(26), time, clusters % 2])
    effects = rng.normal(size=(26, 12)) + rng.normal(size=(9, 12))[clusters]
    return effects, matrix, clusters


def test_covariance_is_the_formula_with_whole_matrices(unbalanced):
    effects, X, clusters = unbalanced
    found = fit(effects, X, "t", [0, 1, 0], clusters)
    bread = np.linalg.inv(X.T @ X)
    H = X @ bread @ X.T
    for voxel in range(12):
        e = effects[:, voxel] - H @ effects[:, voxel]
        meat = np.zeros((3, 3))
        for cluster in range(9):
            rows = np.flatnonzero(clusters == cluster)
            A = linalg.inv(linalg.sqrtm(np.eye(len(rows)) - H[np.ix_(rows, rows)]))
            score = X[rows].T @ A @ e[rows]
            meat += np.outer(score, score)
        assert found.variance[voxel] == pytest.approx((bread @ meat @ bread)[1, 1], rel=1e-9)


def test_one_row_a_subject_is_hc2_and_for_one_sample_the_t_test(rng):
    effects = rng.normal(size=(12, 20))
    found = fit(effects, np.ones((12, 1)), "t", [1], np.arange(12))
    (plain,) = fit_group(
        effects, None, GroupDesign(np.ones((12, 1)), (Contrast("c", "t", ("a",), np.ones((1, 1))),))
    )
    np.testing.assert_allclose(found.statistic, plain.statistic, rtol=1e-9)
    np.testing.assert_allclose(found.dof, 11, rtol=1e-9)


@pytest.mark.parametrize("sizes", [(5, 9), (4, 16), (8, 12)])
def test_two_groups_of_single_rows_are_welchs_test(rng, sizes):
    effects = rng.normal(size=(sum(sizes), 10))
    group = np.repeat([0, 1], sizes)
    found = fit(effects, (group[:, None] == [0, 1]).astype(float), "t", [1, -1], np.arange(sum(sizes)))
    expected = stats.ttest_ind(effects[group == 0], effects[group == 1], equal_var=False)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-8)


def test_a_group_of_one_subject_has_no_variance_of_its_own(rng):
    group = np.repeat([0, 1, 2, 3], [6, 6, 1, 1])
    matrix = (group[:, None] == [0, 1, 2, 3]).astype(float)[:, :3]
    found = fit(rng.normal(size=(14, 5)), matrix, "t", [1, -1, 0], np.arange(14))
    assert np.isfinite(found.dof).all()


@pytest.mark.parametrize("sizes", [(5, 7, 8), (4, 6, 14)])
def test_size_of_unequal_groups_is_nominal(rng, sizes):
    group = np.repeat([0, 1, 2], sizes)
    null = rng.normal(size=(len(group), 10_000)) * np.array([3.0, 1.0, 1.0])[group, None]
    matrix = (group[:, None] == [0, 1, 2]).astype(float)
    for test, weights in (("t", [1, -1, 0]), ("F", [[1, -1, 0], [0, 1, -1]])):
        p = fit(null, matrix, test, weights, np.arange(len(group))).p
        # Four standard errors of .0022; .07 and more with degrees of freedom of equal variances.
        assert 0.03 < np.mean(p < 0.05) < 0.065


def test_f_of_one_row_is_the_square_of_t(unbalanced):
    effects, matrix, clusters = unbalanced
    t = fit(effects, matrix, "t", [0, 1, 0], clusters)
    f = fit(effects, matrix, "F", [0, 1, 0], clusters)
    np.testing.assert_allclose(f.statistic, t.statistic**2, rtol=1e-9)
    np.testing.assert_allclose(f.dof, t.dof, rtol=1e-9)


def test_f_of_a_balanced_design_is_hotellings(rng):
    """HTZ of all condition differences of one group equals T2 with its F(q, n - q)."""
    from bidsapp.stats.group.repeated_measures import fit_wilks

    values = rng.normal(size=(8, 3, 10))
    cells = np.tile(np.eye(3), (8, 1))
    weights = np.array([[1, -1, 0], [0, 1, -1]])
    found = fit(values.reshape(24, 10), cells, "F", weights, np.repeat(np.arange(8), 3))
    expected = fit_wilks(np.einsum("rc,icv->riv", weights, values), np.ones((8, 1)), np.ones(1))
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9)
    np.testing.assert_allclose(found.p, expected.p, rtol=1e-9)


def test_design_without_clusters_is_refused(rng):
    with pytest.raises(ModelError, match="which inputs come from one subject"):
        fit(rng.normal(size=(6, 2)), np.ones((6, 1)), "t", [1], None)


def test_degrees_of_freedom_of_one_group_are_those_of_the_design(unbalanced, rng):
    """No variance is estimated for them: they are one number, whatever the spread of a voxel."""
    effects, X, clusters = unbalanced
    found = fit(effects * np.geomspace(1e-3, 1e3, 12), X[:, :2], "t", [0, 1], clusters)
    assert np.unique(found.dof).size == 1
    assert 1 < found.dof[0] < 8
