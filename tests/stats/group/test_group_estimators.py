from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bidsapp.errors import ModelError
from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats import blocks
from bidsapp.stats.blocks import find_patterns
from bidsapp.stats.group.estimators import FITS_BY_GROUP, fit_group
from bidsapp.vocabulary.estimators import ESTIMATORS


def make_design(matrix, *contrasts):
    """Return a design with contrasts given as (test, weights)."""
    columns = tuple(f"x{index}" for index in range(matrix.shape[1]))
    named = [
        Contrast(f"c{index}", test, columns, np.atleast_2d(np.asarray(weights, float)))
        for index, (test, weights) in enumerate(contrasts)
    ]
    return GroupDesign(np.asarray(matrix, float), tuple(named))


def one_sample(n_inputs):
    return make_design(np.ones((n_inputs, 1)), ("t", [1]))


@pytest.fixture
def effects(rng):
    return rng.normal(0.3, 1.0, (12, 40))


@pytest.fixture
def three_groups(rng):
    """Cell means of three groups and a covariate."""
    return np.column_stack([np.kron(np.eye(3), np.ones((4, 1))), rng.normal(size=12)])


def test_one_sample_t_and_p_are_scipys(effects):
    (found,) = fit_group(effects, None, one_sample(12))
    expected = stats.ttest_1samp(effects, 0)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-12)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)


def test_two_sample_t_is_scipys(effects):
    matrix = np.kron(np.eye(2), np.ones((6, 1)))
    (found,) = fit_group(effects, None, make_design(matrix, ("t", [1, -1])))
    expected = stats.ttest_ind(effects[:6], effects[6:])
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-12)


def test_f_of_three_groups_is_scipys(effects):
    matrix = np.kron(np.eye(3), np.ones((4, 1)))
    (found,) = fit_group(effects, None, make_design(matrix, ("F", [[1, -1, 0], [0, 1, -1]])))
    expected = stats.f_oneway(effects[:4], effects[4:8], effects[8:])
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-11)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)


def test_f_of_one_row_is_the_square_of_t(effects, three_groups):
    t, f = fit_group(effects, None, make_design(three_groups, ("t", [1, -1, 0, 0]), ("F", [1, -1, 0, 0])))
    np.testing.assert_allclose(f.statistic, t.statistic**2, rtol=1e-12)
    np.testing.assert_allclose(f.p, t.p, rtol=1e-9)


@pytest.mark.parametrize(
    "weights",
    [[1, -0.5, -0.5, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, -1, 0]],
    ids=["one against two", "slope", "cell mean", "difference"],
)
def test_t_is_the_same_in_any_coding_of_the_design(weights, effects, three_groups, rng):
    """X to XA with c to cA; nilearn's permuted_ols: 1.97 off in t for [1, -.5, -.5], 5.26 for a cell mean."""
    change = rng.normal(size=(4, 4))
    (first,) = fit_group(effects, None, make_design(three_groups, ("t", weights)))
    recoded = make_design(three_groups @ change, ("t", np.asarray(weights) @ change))
    (second,) = fit_group(effects, None, recoded)
    np.testing.assert_allclose(second.statistic, first.statistic, rtol=1e-8)
    np.testing.assert_allclose(second.p, first.p, rtol=1e-8)


def test_slope_difference_is_the_same_in_any_coding(effects, rng):
    """The design models both slopes; nilearn's permuted_ols leaves the common one out: 3.09 off in t."""
    group = np.repeat([1.0, 0.0], 6)
    age = rng.normal(size=12)
    cells = np.column_stack([group, 1 - group, group * age, (1 - group) * age])
    effect_coded = np.column_stack([np.ones(12), group - 0.5, age, (group - 0.5) * age])
    (first,) = fit_group(effects, None, make_design(cells, ("t", [0, 0, 1, -1])))
    (second,) = fit_group(effects, None, make_design(effect_coded, ("t", [0, 0, 0, 1])))
    np.testing.assert_allclose(second.statistic, first.statistic, rtol=1e-8)


def test_redundant_columns_change_neither_t_nor_dof(effects, three_groups):
    """An intercept beside the group columns, and a covariate twice."""
    more = np.column_stack([three_groups, np.ones(12), three_groups[:, 3]])
    (first,) = fit_group(effects, None, make_design(three_groups, ("t", [1, -1, 0, 0])))
    (second,) = fit_group(effects, None, make_design(more, ("t", [1, -1, 0, 0, 0, 0])))
    np.testing.assert_allclose(second.statistic, first.statistic, rtol=1e-8)
    np.testing.assert_array_equal(second.dof, first.dof)


def test_dependent_rows_of_f_change_nothing(effects, three_groups):
    """nilearn does not reduce them: F is off by up to 5.3 and the numerator's dof is 3."""
    two, three = [[1, -1, 0, 0], [0, 1, -1, 0]], [[1, -1, 0, 0], [0, 1, -1, 0], [1, 0, -1, 0]]
    first, second = fit_group(effects, None, make_design(three_groups, ("F", two), ("F", three)))
    np.testing.assert_allclose(second.statistic, first.statistic, rtol=1e-12)
    assert second.dof_numerator == 2


def test_voxel_with_missing_inputs_is_nan_by_default(effects):
    effects[3, 5] = np.nan
    (found,) = fit_group(effects, None, one_sample(12))
    assert np.flatnonzero(np.isnan(found.statistic)).tolist() == [5]


def test_voxel_with_missing_inputs_is_fitted_with_the_rest(effects, three_groups):
    effects[3, 5] = effects[7, 5] = effects[0, 9] = np.nan
    (found,) = fit_group(effects, None, make_design(three_groups, ("t", [1, -1, 0, 0])), min_inputs=8)
    rows = np.isfinite(effects[:, 5])
    alone = make_design(three_groups[rows], ("t", [1, -1, 0, 0]))
    (expected,) = fit_group(effects[rows][:, [5]], None, alone)
    np.testing.assert_allclose(found.statistic[5], expected.statistic[0], rtol=1e-12)
    assert found.dof[[0, 5, 9]].tolist() == [8, 6, 7]
    assert found.maps["n"][[0, 5, 9]].tolist() == [12, 10, 11]


def test_contrast_that_the_inputs_of_a_voxel_cannot_estimate_is_nan_there(effects, three_groups):
    effects[:4, 2] = np.nan
    design = make_design(three_groups, ("t", [1, -1, 0, 0]), ("t", [0, 1, -1, 0]))
    first, second = fit_group(effects, None, design, min_inputs=6)
    assert np.isnan(first.statistic[2])
    assert np.isfinite(second.statistic[2])


def test_voxel_with_fewer_inputs_than_asked_is_nan(effects):
    effects[:3, 2] = np.nan
    (found,) = fit_group(effects, None, one_sample(12), min_inputs=10)
    assert np.isnan(found.statistic[2])


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6])
def test_constant_voxel_is_nan(effects, constant):
    effects[:, 1] = constant
    (found,) = fit_group(effects.astype(np.float32), None, one_sample(12))
    assert np.isnan([found.effect[1], found.statistic[1], found.z[1], found.p[1]]).all()
    assert np.isfinite(found.statistic[0])


# With variances that are known, a perfect fit has an error.
OF_THE_RESIDUALS = [
    *((name, False) for name in ESTIMATORS if name not in ("fixed", "flame1")),
    *((name, True) for name in FITS_BY_GROUP if name != "flame1"),
]


@pytest.mark.parametrize(("estimator", "grouped"), OF_THE_RESIDUALS)
def test_residuals_that_are_rounding_give_no_statistic(estimator, grouped, effects, three_groups, rng):
    """Inputs that are all the same, or of a design without an error, have sums that round."""
    effects[:, :10] = rng.normal(size=10) * 100
    effects[:, 10:20] = three_groups @ rng.normal(size=(4, 10)) * 100
    design = make_design(three_groups, ("t", [1, 1, 1, 0]), ("t", [0, 0, 0, 1]), ("F", np.eye(4)[:2]))
    groups = np.repeat([1, 2], 6) if grouped else None
    design = replace(design, clusters=np.arange(12), variance_groups=groups)
    for found in fit_group(effects, rng.uniform(0.5, 3, effects.shape), design, estimator=estimator):
        assert np.flatnonzero(np.isfinite(found.statistic)).tolist() == list(range(20, 40))
        assert np.isnan(found.p[:20]).all()


@pytest.mark.parametrize("scale", [1e-6, -1.0, 1e6])
def test_statistic_does_not_depend_on_units(effects, scale):
    (first,) = fit_group(effects, None, one_sample(12))
    (second,) = fit_group(scale * effects, None, one_sample(12))
    np.testing.assert_allclose(second.statistic, np.sign(scale) * first.statistic, rtol=1e-9)


def test_single_precision_effects_are_summed_in_double(effects):
    single = (effects + 1000).astype(np.float32)
    (first,) = fit_group(single, None, one_sample(12))
    (second,) = fit_group(single.astype(float), None, one_sample(12))
    np.testing.assert_array_equal(first.statistic, second.statistic)


def test_blocks_of_voxels_do_not_change_a_bit(effects, three_groups, monkeypatch):
    effects[2, ::3] = np.nan
    design = make_design(three_groups, ("t", [1, -1, 0, 0]))
    (whole,) = fit_group(effects, None, design, min_inputs=8)
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 12 * 7)
    (parts,) = fit_group(effects, None, design, min_inputs=8)
    np.testing.assert_allclose(parts.statistic, whole.statistic, rtol=1e-12)
    np.testing.assert_array_equal(parts.dof, whole.dof)


def test_one_sided_p_values_add_to_one(effects):
    (positive,) = fit_group(effects, None, one_sample(12), tail="positive")
    (negative,) = fit_group(effects, None, one_sample(12), tail="negative")
    np.testing.assert_allclose(positive.p + negative.p, 1.0, rtol=1e-12)


def test_arguments_are_not_written_to(effects, three_groups):
    before = effects.copy()
    fit_group(effects, None, make_design(three_groups, ("t", [1, -1, 0, 0])))
    np.testing.assert_array_equal(effects, before)


def test_saturated_design_is_refused():
    with pytest.raises(ModelError, match="3 inputs leave no residual to a model with 3 independent columns"):
        fit_group(np.ones((3, 2)), None, make_design(np.eye(3), ("t", [1, -1, 0])))


@pytest.mark.parametrize("estimator", sorted(name for name, row in ESTIMATORS.items() if row.needs_variances))
def test_estimator_that_weighs_refuses_to_work_without_variances(effects, estimator):
    with pytest.raises(ModelError, match="needs variance maps"):
        fit_group(effects, None, one_sample(12), estimator=estimator)


def test_patterns_hold_every_voxel_once(rng):
    present = rng.random((9, 50)) > 0.3
    voxels = np.concatenate([voxels for _, voxels in find_patterns(present, 1)])
    assert sorted(voxels) == list(range(50))


def test_patterns_name_the_inputs_of_their_voxels(rng):
    present = rng.random((9, 50)) > 0.3
    for rows, voxels in find_patterns(present, 5):
        np.testing.assert_array_equal(present[:, voxels].all(axis=1), np.isin(np.arange(9), rows))
        assert len(rows) >= 5


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_voxels_without_variation_cost_no_other_voxel_its_f(estimator, rng):
    groups = np.repeat([0, 1, 2], [4, 5, 6])
    effects, variances = rng.normal(size=(15, 4)), rng.uniform(0.1, 1, (15, 4))
    effects[:, 0] = 0.0
    effects[groups < 2, 1] = 0.0
    effects[:, 2] = 5.0
    matrix = np.eye(3)[groups]
    contrast = Contrast("F", "F", ("a", "b", "c"), np.array([[1.0, -1, 0], [0, 1, -1]]))
    design = GroupDesign(matrix, (contrast,), None, np.arange(15))
    found = fit_group(effects, variances, design, estimator=estimator)[0]
    assert np.isfinite(found.p[3])
    alone = fit_group(effects[:, 3:], variances[:, 3:], design, estimator=estimator)[0]
    np.testing.assert_allclose(found.p[3], alone.p[0])
