import numpy as np
import pytest

from bidsapp.errors import ModelError
from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.linear import (
    RANK_TOLERANCE,
    check_contrasts,
    find_rank,
    find_redundant_columns,
    is_estimable,
    reduce_rows,
)
from bidsapp.stats.weighted_solve import make_basis

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
