from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.estimators import fit_group


@pytest.fixture
def data(rng):
    """Effects and variances of 14 inputs in 30 voxels, tau2 between 0 and 1."""
    variances = rng.chisquare(6, (14, 30)) / 6 * rng.choice([0.2, 1.0], (14, 1))
    tau2 = np.linspace(0.0, 1.0, 30)
    return rng.normal(0.5, np.sqrt(variances + tau2)), variances


@pytest.fixture
def matrix(rng):
    return np.column_stack([np.ones(14), rng.normal(size=14)])


def design_of(matrix, **more):
    columns = tuple(f"x{index}" for index in range(matrix.shape[1]))
    rows = np.eye(matrix.shape[1])
    contrasts = [Contrast(f"c{i}", "t", columns, row[None]) for i, row in enumerate(rows)]
    contrasts.append(Contrast("all", "F", columns, rows))
    return GroupDesign(matrix, tuple(contrasts), **more)


def restricted_deviance(tau2, y, s, X):
    """Return minus twice the restricted log-likelihood of one voxel, by its definition."""
    w = 1 / (s + tau2)
    gram = X.T * w @ X
    residual = y - X @ np.linalg.solve(gram, X.T @ (w * y))
    return -np.log(w).sum() + np.linalg.slogdet(gram)[1] + (w * residual**2).sum()


def test_reml_is_at_the_top_of_the_restricted_likelihood(data, matrix):
    effects, variances = data
    found = fit_group(effects, variances, design_of(matrix), estimator="reml")
    grid = np.concatenate([[0.0], np.geomspace(1e-4, 20, 2000)])
    for voxel, tau2 in enumerate(found[0].maps["tau2"]):
        y, s = effects[:, voxel], variances[:, voxel]
        best = min(restricted_deviance(value, y, s, matrix) for value in grid)
        assert restricted_deviance(tau2, y, s, matrix) <= best + 1e-9


def test_reml_effect_and_tau2_equal_pymare(data, matrix, pymare):
    """PyMARE stops its optimiser early; where it goes on as far, it has our numbers."""
    effects, variances = data
    found = fit_group(effects, variances, design_of(matrix), estimator="reml")
    peer = pymare.estimators.VarianceBasedLikelihoodEstimator(method="REML")
    results = peer.fit_dataset(
        pymare.Dataset(effects, variances, matrix[:, 1:], add_intercept=True)
    ).summary()
    np.testing.assert_allclose(found[0].maps["tau2"], np.ravel(results.tau2), atol=2e-4)
    np.testing.assert_allclose(found[0].effect, results.fe_params[0], atol=2e-4)


def test_dl_equals_pymare(data, matrix, pymare):
    effects, variances = data
    found = fit_group(effects, variances, design_of(matrix), estimator="dl")
    results = (
        pymare.estimators.DerSimonianLaird()
        .fit_dataset(pymare.Dataset(effects, variances, matrix[:, 1:]))
        .summary()
    )
    np.testing.assert_allclose(found[0].maps["tau2"], np.ravel(results.tau2), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[1].effect, results.fe_params[1], rtol=1e-9)


@pytest.mark.parametrize("estimator", ["reml", "flame1", "dl", "fixed"])
def test_equal_variances_give_the_least_squares_effect(data, matrix, estimator):
    effects = data[0]
    weighted = fit_group(effects, np.full(effects.shape, 0.3), design_of(matrix), estimator=estimator)
    plain = fit_group(effects, None, design_of(matrix))
    np.testing.assert_allclose(weighted[1].effect, plain[1].effect, rtol=1e-9)


def test_equal_variances_give_the_least_squares_t_with_knapp_and_hartung(data, matrix):
    effects = data[0]
    weighted = fit_group(effects, np.full(effects.shape, 0.3), design_of(matrix), estimator="reml")
    plain = fit_group(effects, None, design_of(matrix))
    for index in range(3):
        np.testing.assert_allclose(weighted[index].statistic, plain[index].statistic, rtol=1e-7)


def test_scaling_the_data_scales_tau2_and_leaves_t(data, matrix):
    effects, variances = data
    first = fit_group(effects, variances, design_of(matrix), estimator="reml")[0]
    second = fit_group(1e3 * effects, 1e6 * variances, design_of(matrix), estimator="reml")[0]
    np.testing.assert_allclose(second.maps["tau2"], 1e6 * first.maps["tau2"], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(second.statistic, first.statistic, rtol=1e-7)


def test_redundant_column_changes_nothing(data, matrix):
    effects, variances = data
    more = np.column_stack([matrix, matrix.sum(axis=1)])
    weights = np.array([[1.0, -1.0, 0.0]])
    columns = ("a", "b", "c")
    single = GroupDesign(matrix, (Contrast("d", "t", columns[:2], weights[:, :2]),))
    # Beside a + b, a - b is still estimable by its values: it is orthogonal to the null direction 1, 1, -1.
    double = GroupDesign(more, (Contrast("d", "t", columns, weights),))
    first = fit_group(effects, variances, single, estimator="reml")[0]
    second = fit_group(effects, variances, double, estimator="reml")[0]
    np.testing.assert_allclose(second.statistic, first.statistic, rtol=1e-7)
    np.testing.assert_array_equal(second.dof, first.dof)


def test_input_without_a_positive_variance_is_missing(data, matrix):
    effects, variances = data
    variances[2, 4], variances[3, 5] = 0.0, np.nan
    found = fit_group(effects, variances, design_of(matrix), estimator="reml", min_inputs=10)[0]
    assert found.maps["n"][[3, 4, 5]].tolist() == [14, 13, 13]
    assert found.dof[[3, 4, 5]].tolist() == [12, 11, 11]


def test_fixed_effects_use_the_normal_distribution(data):
    effects, variances = data
    found = fit_group(effects, variances, design_of(np.ones((14, 1))), estimator="fixed")[0]
    np.testing.assert_allclose(found.z, found.statistic, rtol=1e-12)
    np.testing.assert_allclose(found.variance, 1 / (1 / variances).sum(axis=0), rtol=1e-12)


def test_fixed_effects_f_has_the_chi_square_p_value(data, matrix):
    effects, variances = data
    found = fit_group(effects, variances, design_of(matrix), estimator="fixed")[2]
    np.testing.assert_allclose(found.p, stats.chi2.sf(2 * found.statistic, 2), rtol=1e-9)


def test_tau2_by_group_with_two_designs_apart_is_tau2_of_each_alone(rng):
    """Groups that share no column are two models."""
    variances = rng.uniform(0.1, 1.0, (24, 20))
    groups = np.repeat([1, 2], 12)
    effects = rng.normal(0, np.sqrt(variances + np.where(groups == 1, 0.1, 2.0)[:, None]))
    matrix = (groups[:, None] == [1, 2]).astype(float)
    together = fit_group(effects, variances, design_of(matrix, variance_groups=groups), estimator="flame1")
    for index in range(2):
        rows = groups == index + 1
        alone = fit_group(effects[rows], variances[rows], design_of(np.ones((12, 1))), estimator="flame1")
        expected = alone[0].maps["tau2"]
        np.testing.assert_allclose(together[0].maps[f"tau2_{index + 1}"], expected, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(together[index].effect, alone[0].effect, rtol=1e-6)


def test_one_variance_group_is_none(data, matrix):
    effects, variances = data
    grouped = design_of(matrix, variance_groups=np.ones(14, int))
    first = fit_group(effects, variances, grouped, estimator="reml")[0]
    second = fit_group(effects, variances, design_of(matrix), estimator="reml")[0]
    np.testing.assert_allclose(first.maps["tau2_1"], second.maps["tau2"], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("estimator", ["reml", "flame1"])
def test_tau2_by_group_of_exact_inputs_is_welchs_test(rng, estimator):
    groups = np.repeat([1, 2, 3], [5, 6, 9])
    matrix = (groups[:, None] == [1, 2, 3]).astype(float)
    effects = rng.normal(0, groups[:, None], (20, 12))
    rows = np.array([[1.0, -1, 0], [0, 1, -1]])
    contrasts = (Contrast("a", "t", tuple("abc"), rows[:1]), Contrast("all", "F", tuple("abc"), rows))
    design = GroupDesign(matrix, contrasts, variance_groups=groups)
    pair, every = fit_group(effects, np.full((20, 12), 1e-9), design, estimator=estimator)
    parts = [effects[groups == name] for name in (1, 2, 3)]
    expected = stats.ttest_ind(*parts[:2], equal_var=False)
    np.testing.assert_allclose(pair.dof, expected.df, rtol=1e-5)
    np.testing.assert_allclose(pair.p, expected.pvalue, rtol=1e-5)
    np.testing.assert_allclose(every.p, stats.f_oneway(*parts, equal_var=False).pvalue, rtol=1e-5)


@pytest.mark.parametrize("estimator", ["reml", "flame1"])
@pytest.mark.parametrize(
    ("sizes", "shared"), [((5, 15), False), ((4, 16), False), ((10, 10), True), ((15, 5), True)]
)
def test_tau2_by_group_keeps_its_size(rng, estimator, sizes, shared):
    groups, n_voxels = np.repeat([1, 2], sizes), 4000
    variances = 0.1 * rng.chisquare(20, (20, n_voxels)) / 20
    null = rng.normal(0, np.sqrt(variances + np.where(groups == 1, 9.0, 1.0)[:, None]))
    matrix = np.ones((20, 1)) if shared else (groups[:, None] == [1, 2]).astype(float)
    weights = np.array([[1.0]] if shared else [[1.0, -1.0]])
    contrast = Contrast("c", "t", tuple("ab")[: len(weights[0])], weights)
    design = GroupDesign(matrix, (contrast,), variance_groups=groups)
    p = fit_group(null, variances, design, estimator=estimator)[0].p
    # Three standard errors of .0034; with N - p degrees of freedom .09 to .11.
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.0105)


@pytest.mark.parametrize("estimator", ["reml", "flame1", "ols"])
@pytest.mark.parametrize("n_present", [0, 1, 2])
def test_a_group_of_one_subject_at_a_voxel_is_nan_there_only(rng, estimator, n_present):
    groups = np.repeat([1, 2], 5)
    effects, variances = rng.normal(size=(10, 6)), rng.uniform(0.02, 0.1, (10, 6))
    matrix = (groups[:, None] == [1, 2]).astype(float)
    design = design_of(matrix, variance_groups=groups)
    design = replace(
        design, contrasts=(Contrast("d", "t", ("a", "b"), np.array([[1.0, -1.0]])), *design.contrasts)
    )
    whole = fit_group(effects, variances, design, estimator=estimator)[0]
    effects[5 + n_present :, 2] = np.nan
    found = fit_group(effects, variances, design, estimator=estimator, min_inputs=3)[0]
    assert np.isnan(found.p[2]) == (n_present < 2)
    others = np.arange(6) != 2
    np.testing.assert_array_equal(found.p[others], whole.p[others])
