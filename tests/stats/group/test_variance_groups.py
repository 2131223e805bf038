import numpy as np
import pytest
from oracles import g_map
from scipy import stats

from bidsapp.errors import ModelError
from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.estimators import fit_group


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


def test_two_groups_are_welchs_test(effects, groups):
    rows = groups < 3
    matrix = (groups[rows, None] == [1, 2]).astype(float)
    found = fit(effects[rows], matrix, "t", [1, -1], groups[rows])
    expected = stats.ttest_ind(effects[groups == 1], effects[groups == 2], equal_var=False)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-10)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)


DESIGNS = {
    "difference beside a covariate": ("groups and covariates", [[1, -0.5, -0.5, 0, 0]]),
    "covariate": ("groups and covariates", [[0, 0, 0, 1, 0]]),
    "groups beside covariates": ("groups and covariates", [[1, -1, 0, 0, 0], [0, 1, -1, 0, 0]]),
    "two covariates": ("groups and covariates", [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]),
    "plain mean": ("mean", [[1]]),
    "groups that cross the variance groups": ("crossed", [[1, -1]]),
}


def make_matrix(name, groups, rng):
    n = len(groups)
    if name == "mean":
        return np.ones((n, 1))
    if name == "crossed":
        return (np.arange(n)[:, None] % 2 == [0, 1]).astype(float)
    return np.column_stack([groups[:, None] == [1, 2, 3], rng.normal(size=(n, 2)) + groups[:, None]])


@pytest.mark.parametrize("name", DESIGNS)
def test_variance_is_that_of_the_least_squares_effect(effects, groups, name, rng):
    design, weights = DESIGNS[name]
    matrix = make_matrix(design, groups, rng)
    found = fit(effects, matrix, "t" if len(weights) == 1 else "F", weights, groups)
    statistic, dof = g_map(effects, matrix, weights, groups)
    np.testing.assert_allclose(
        np.square(found.statistic) if len(weights) == 1 else found.statistic, statistic
    )
    n_rows = len(weights)
    x = stats.chi2.isf(0.05, n_rows)
    less = [smaller_quantile(y, matrix, np.array(weights), groups, x) for y in effects.T]
    dof = 1 / np.maximum(1 / dof - 2 * np.array(less) / (x - n_rows + 2), np.minimum(1 / dof, 1e-3))
    np.testing.assert_allclose(found.dof, dof, rtol=1e-6)


def smaller_quantile(y, matrix, weights, groups, x):
    """Return by whole matrices what `find_dependence` returns for one voxel, at the quantile x."""
    maker = np.eye(len(y)) - matrix @ np.linalg.pinv(matrix)
    a, residuals, n_rows = weights @ np.linalg.pinv(matrix), maker @ y, len(weights)
    inside = [np.diag((groups == group).astype(float)) for group in np.unique(groups)]
    freedom = [np.trace(maker @ part) for part in inside]
    sigma = sum(part * (residuals @ part @ residuals) / f for part, f in zip(inside, freedom, strict=True))
    covariance = a @ sigma @ a.T
    root = np.linalg.cholesky(covariance)
    slope = maker @ sigma @ a.T @ np.linalg.inv(covariance) @ root
    found = 0.0
    for part, f in zip(inside, freedom, strict=True):
        first = slope.T @ part @ slope / f
        second = np.linalg.inv(root) @ a @ part @ a.T @ np.linalg.inv(root).T
        apart, crossed = np.trace(first) * np.trace(second), np.trace(first @ second)
        found += x * (apart + 2 * crossed) / (n_rows * (n_rows + 2)) - apart / n_rows
    return found


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("spread", [(1, 3, 3), (3, 1, 1)])
def test_size_under_the_null_is_not_above_nominal(groups, name, spread, rng):
    design, weights = DESIGNS[name]
    matrix = make_matrix(design, groups, rng)
    null = rng.normal(0, np.array(spread)[groups - 1, None], (21, 20_000))
    p = fit(null, matrix, "t" if len(weights) == 1 else "F", weights, groups).p
    # Four standard errors of .0015 about .04 and .06.
    assert 0.034 < np.mean(p < 0.05) < 0.066


@pytest.mark.parametrize("n_covariates", [2, 3])
def test_f_of_shared_columns_has_its_size(n_covariates, rng):
    groups = np.repeat([1, 2], [8, 12])
    matrix = np.column_stack([np.ones(20), rng.normal(size=(20, n_covariates))])
    for spread, low in ((1, 0.044), (2, 0.036)):
        null = rng.normal(0, np.where(groups == 1, spread, 1.0)[:, None], (20, 20_000))
        p = fit(null, matrix, "F", np.eye(n_covariates + 1)[1:], groups).p
        # Of Johansen's approximation it was .04 and .03 for equal variances.
        assert low < np.mean(p < 0.05) < 0.056


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spread", [(3, 1), (1, 3)])
def test_size_of_a_covariate_over_groups_is_nominal(seed, spread):
    rng = np.random.default_rng(seed)
    groups = np.repeat([1, 2], [8, 12])
    matrix = np.column_stack([np.ones(20), rng.normal(size=20)])
    null = rng.normal(0, np.array(spread)[groups - 1, None], (20, 20_000))
    for weights in ([0, 1], [1, 0]):
        assert 0.03 < np.mean(fit(null, matrix, "t", weights, groups).p < 0.05) < 0.06


def test_variance_map_is_unbiased_beside_a_covariate(rng):
    groups = np.repeat([1, 2], 10)
    matrix = np.column_stack([groups[:, None] == [1, 2], np.tile(rng.normal(size=10), 2)])
    null = rng.normal(0, np.where(groups == 1, 1.0, 3.0)[:, None], (20, 20_000))
    found = fit(null, matrix, "t", [0, 0, 1], groups)
    truth = np.square(np.linalg.pinv(matrix)[2]) @ np.where(groups == 1, 1.0, 9.0)
    # The least-squares residuals of one slope mix the groups a little; v's variance is .41 of the truth.
    assert found.variance.mean() == pytest.approx(truth, rel=0.05)


def test_a_group_that_the_effect_does_not_touch_needs_no_variance(effects, matrix, groups):
    effects[groups == 3] = 1.5
    found = fit(effects, matrix, "t", [1, -1, 0], groups)
    expected = stats.ttest_ind(effects[groups == 1], effects[groups == 2], equal_var=False)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)


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
