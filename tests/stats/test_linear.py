import numpy as np
import pytest

from bidsapp.design.diagnostics import Diagnosis
from bidsapp.errors import ModelError
from bidsapp.inference.shuffles.partition import partition_design
from bidsapp.records.maps import Contrast, Estimate, GroupDesign
from bidsapp.stats.group.ols import fit_ols
from bidsapp.stats.linear import (
    RANK_TOLERANCE,
    carry_covariance,
    check_contrasts,
    find_rank,
    find_redundant_columns,
    invert_all,
    is_estimable,
    make_basis,
    reduce_rows,
    solve_weighted,
    weighted_gram,
)
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.fixed_effects import combine_with_shares

OVERPARAMETRISED = np.column_stack([np.ones(6), np.repeat([1.0, 0.0], 3), np.repeat([0.0, 1.0], 3)])


def test_rank_does_not_depend_on_units():
    matrix = np.column_stack([np.ones(5), 1e9 * np.arange(5.0), 1e-9 * np.arange(5.0) ** 2])
    assert find_rank(matrix) == 3


@pytest.mark.parametrize("angle", [1.6e-9, 2.4e-9])
def test_columns_that_differ_by_less_than_rounding_are_one(angle):
    """The singular values of two columns at a small angle are sqrt(2) and angle / sqrt(2)."""
    matrix = np.array([[1.0, 1.0], [0.0, angle], [0.0, 0.0]])
    differ = angle / 2 > RANK_TOLERANCE
    assert find_rank(matrix) == make_basis(matrix)[0].shape[1] == 1 + differ
    assert is_estimable(matrix, np.array([[1.0, -1.0]])) == differ


DRAWN = np.random.default_rng(7).normal(size=(2, 20))
DISAGREED = {
    "a covariate beside its copy": (np.column_stack([np.ones(20), DRAWN[0], DRAWN[0] + 1e-11 * DRAWN[1]]), 2),
    "a date in seconds": (np.column_stack([np.ones(20), 1.7e9 + 1e7 * DRAWN[0]]), 2),
    "one group's column from rounding": (np.column_stack([np.ones(20), DRAWN[0], 1e-14 * DRAWN[1]]), 2),
    "units far apart": (np.column_stack([np.ones(20), 1e9 * DRAWN[0], 1e-9 * DRAWN[1]]), 3),
}


@pytest.mark.parametrize(("matrix", "rank"), DISAGREED.values(), ids=DISAGREED)
def test_plan_fits_smoothness_and_shuffles_count_the_same_rank(matrix, rank):
    n_rows, weights = len(matrix), np.eye(matrix.shape[1])[:1]
    group = fit_ols(DRAWN[1][:, None], None, GroupDesign(matrix, (Contrast("mean", "t", (), weights),)))
    by_residuals, _ = combine_with_shares(
        [Estimate("", np.array([y]), np.ones(1), 9.0) for y in DRAWN[1]], matrix, weights[0], method="ols"
    )
    partition = partition_design(matrix, weights)
    assert [find_rank(matrix), make_time_model(matrix).rank] == [rank] * 2
    assert [n_rows - group[0].dof, n_rows - by_residuals.dof[0], n_rows - partition.dof] == [rank] * 3
    assert [partition.basis.shape[1], make_basis(matrix)[0].shape[1]] == [rank] * 2
    assert bool(Diagnosis(matrix).inestimable_reason(np.eye(matrix.shape[1]))) == (rank < matrix.shape[1])


@pytest.mark.parametrize("matrix", [np.zeros((4, 2)), np.zeros((4, 0))])
def test_a_design_of_nothing_has_rank_0(matrix):
    assert find_rank(matrix) == make_basis(matrix)[0].shape[1] == 0


def test_group_difference_is_estimable_beside_an_intercept():
    assert is_estimable(OVERPARAMETRISED, np.array([[0.0, 1.0, -1.0]]))


def test_one_group_alone_is_not_estimable_beside_an_intercept():
    assert not is_estimable(OVERPARAMETRISED, np.array([[0.0, 1.0, 0.0]]))


def test_contrast_on_an_empty_column_is_not_estimable():
    matrix = np.column_stack([np.ones(4), np.zeros(4)])
    assert not is_estimable(matrix, np.array([[0.0, 1.0]]))


def test_tiny_units_of_a_column_do_not_hide_an_inestimable_contrast():
    matrix = OVERPARAMETRISED * [1.0, 1e-6, 1e-6]
    assert not is_estimable(matrix, np.array([[0.0, 1.0, 0.0]]))


def test_dependent_rows_are_dropped_and_the_first_ones_kept():
    weights = np.array([[1.0, -1, 0], [0, 1, -1], [1, 0, -1]])
    np.testing.assert_array_equal(reduce_rows(weights), weights[:2])


def test_collinear_columns_are_named():
    assert find_redundant_columns(OVERPARAMETRISED, ("mean", "patients", "controls")) == ["controls"]


def test_inestimable_contrast_is_refused_with_the_columns_to_blame():
    columns = ("mean", "patients", "controls")
    contrast = Contrast("patients", "t", columns, np.array([[0.0, 1.0, 0.0]]))
    with pytest.raises(ModelError, match=r"'patients' cannot be estimated.*collinear: controls"):
        check_contrasts(GroupDesign(OVERPARAMETRISED, (contrast,)))


def test_contrast_without_weights_is_refused():
    contrast = Contrast("nothing", "t", ("mean",), np.zeros((1, 1)))
    with pytest.raises(ModelError, match="no weight other than 0"):
        check_contrasts(GroupDesign(np.ones((4, 1)), (contrast,)))


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_a_basis_has_the_columns_of_the_design_and_carries_contrasts(rng, unit):
    matrix = np.column_stack(
        [np.ones(12), unit * rng.normal(size=12), rng.normal(size=(12, 2)), np.zeros(12)]
    )
    matrix[:, 3] = matrix[:, 0] + matrix[:, 2]
    basis, to_basis = make_basis(matrix)
    assert basis.shape == (12, 3)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(basis @ (basis.T @ matrix), matrix, rtol=1e-9, atol=1e-9)
    y = rng.normal(size=12)
    coefficients = np.linalg.lstsq(matrix / [1, unit, 1, 1, 1], y, rcond=None)[0] / [1, unit, 1, 1, 1]
    for weights in ([0, 1, 0, 0, 0], [1, 0, 0, 1, 0], [0, 0, 1, 1, 0]):
        assert weights @ to_basis @ basis.T @ y == pytest.approx(weights @ coefficients, rel=1e-6)


@pytest.mark.parametrize("rank", [1, 3])
def test_every_voxel_is_solved_with_its_weights(rng, rank):
    basis, effects = rng.normal(size=(9, rank)), rng.normal(size=(9, 5))
    weights = rng.uniform(0.1, 3.0, (9, 5))
    weights[:, 4] = 0.0
    contrast = rng.normal(size=(2, rank))
    found, inverse = solve_weighted(basis, effects, weights)
    covariance = carry_covariance(contrast, inverse)
    for v in range(4):
        inner = np.linalg.inv(basis.T @ np.diag(weights[:, v]) @ basis)
        np.testing.assert_allclose(inverse[v], inner, rtol=1e-9)
        np.testing.assert_allclose(found[:, v], inner @ basis.T @ (weights[:, v] * effects[:, v]), rtol=1e-8)
        np.testing.assert_allclose(covariance[:, :, v], contrast @ inner @ contrast.T, rtol=1e-8)
    assert np.isnan(found[:, 4]).all()
    assert np.isnan(inverse[4]).all()
    np.testing.assert_allclose(weighted_gram(basis, weights)[0], basis.T * weights[:, 0] @ basis, rtol=1e-12)


def test_what_has_no_inverse_is_nan():
    matrices = np.stack([2 * np.eye(2), np.zeros((2, 2)), np.full((2, 2), np.nan), np.diag([1.0, -1.0])])
    inverse = invert_all(matrices)
    np.testing.assert_array_equal(inverse[0], np.eye(2) / 2)
    assert np.isnan(inverse[1:]).all()
