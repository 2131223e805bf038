import numpy as np
import pytest
from scipy import stats

from bidsapp.errors import ModelError
from bidsapp.records import Contrast, GroupDesign
from bidsapp.stats.group_estimators import fit_group


def fit(effects, matrix, test, weights, groups, **more):
    columns = tuple(f"x{index}" for index in range(matrix.shape[1]))
    contrast = Contrast("c", test, columns, np.atleast_2d(np.asarray(weights, float)))
    return fit_group(effects, None, GroupDesign(matrix, (contrast,), variance_groups=groups), **more)[0]


@pytest.fixture
def groups():
    return np.repeat([1, 2, 3], [5, 7, 9])


@pytest.fixture
def matrix(groups):
    return (groups[:, None] == [1, 2, 3]).astype(float)


@pytest.fixture
def effects(rng, groups):
    return rng.normal(0, groups[:, None], (21, 25))


def slow_v_and_g(y, X, C, groups):
    """Return G (v for one row) and its dof of one voxel, from statistics.md's formulas with matrices."""
    psi = np.linalg.pinv(X) @ y
    R = np.eye(len(X)) - X @ np.linalg.pinv(X)
    e = R @ y
    names = np.unique(groups)
    W = np.zeros(len(y))
    for name in names:
        rows = groups == name
        W[rows] = np.diag(R)[rows].sum() / (e[rows] @ e[rows])
    middle = C @ np.linalg.pinv(X.T * W @ X) @ C.T
    s = len(C)
    spread = sum(
        (1 - W[groups == name].sum() / W.sum()) ** 2 / np.diag(R)[groups == name].sum() for name in names
    )
    wald = C @ psi @ np.linalg.solve(middle, C @ psi)
    if s == 1:
        return float((C @ psi / np.sqrt(middle))[0, 0]), 1 / spread
    return wald / ((1 + 2 * (s - 1) / (s * (s + 2)) * spread) * s), s * (s + 2) / (3 * spread)


def test_two_groups_are_welchs_test(effects, groups):
    rows = groups < 3
    matrix = (groups[rows, None] == [1, 2]).astype(float)
    found = fit(effects[rows], matrix, "t", [1, -1], groups[rows])
    expected = stats.ttest_ind(effects[groups == 1], effects[groups == 2], equal_var=False)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-10)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)


@pytest.mark.parametrize("weights", [[[1, -0.5, -0.5]], [[1, -1, 0], [0, 1, -1]]], ids=["v", "G"])
def test_v_and_g_are_the_formulas_with_a_covariate(effects, matrix, groups, weights, rng):
    matrix = np.column_stack([matrix, rng.normal(size=21)])
    weights = np.column_stack([np.array(weights, float), np.zeros(len(weights))])
    found = fit(effects, matrix, "t" if len(weights) == 1 else "F", weights, groups)
    for voxel in range(25):
        statistic, dof = slow_v_and_g(effects[:, voxel], matrix, weights, groups)
        assert found.statistic[voxel] == pytest.approx(statistic, rel=1e-7)
        assert found.dof[voxel] == pytest.approx(dof, rel=1e-9)


def test_g_of_cell_means_is_welchs_anova(effects, matrix, groups):
    found = fit(effects, matrix, "F", [[1, -1, 0], [0, 1, -1]], groups)
    expected = stats.f_oneway(*(effects[groups == name] for name in (1, 2, 3)), equal_var=False)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-8)


def test_one_group_is_ordinary_least_squares(effects, matrix):
    plain = fit(effects, matrix, "t", [1, -1, 0], None)
    found = fit(effects, matrix, "t", [1, -1, 0], np.ones(21, int))
    np.testing.assert_allclose(found.statistic, plain.statistic, rtol=1e-10)


def test_group_without_variation_is_nan(effects, matrix, groups):
    effects[groups == 2, 4] = 1.5
    found = fit(effects, matrix, "t", [1, -1, 0], groups)
    assert np.flatnonzero(np.isnan(found.statistic)).tolist() == [4]


def test_estimator_without_variance_groups_is_refused(effects, matrix, groups):
    with pytest.raises(ModelError, match="'huber' knows no variance groups"):
        fit(effects, matrix, "t", [1, -1, 0], groups, estimator="huber")
