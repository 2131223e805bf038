"""The split of a design into effect and nuisance."""

import numpy as np
import pytest

from bidsapp.errors import ModelError
from bidsapp.inference.shuffles.partition import drop_fixed, partition_design


@pytest.fixture
def groups(rng):
    first = np.repeat([1.0, 0.0], [9, 11])
    return np.column_stack([first, 1 - first, rng.normal(size=20)])


def test_effect_and_nuisance_span_the_design_and_are_orthogonal(groups):
    part = partition_design(groups, [[-1, 1, 0]])
    basis = part.basis
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(basis @ (basis.T @ groups), groups, atol=1e-12)


def test_coefficient_of_the_effect_is_the_contrast_but_for_its_length(groups):
    part = partition_design(groups, [[-1, 1, 0]])
    estimator = [-1, 1, 0] @ np.linalg.pinv(groups)
    np.testing.assert_allclose(part.effect[:, 0], estimator / np.linalg.norm(estimator), atol=1e-12)


def test_partition_does_not_depend_on_the_parametrisation(groups, rng):
    change = rng.normal(size=(3, 3))
    before = partition_design(groups, [[0, 1, -0.5]])
    after = partition_design(groups @ change, [[0, 1, -0.5]] @ change)
    np.testing.assert_allclose(before.effect, after.effect, atol=1e-10)


def test_scale_of_a_column_does_not_matter(groups):
    small = partition_design(groups * [1, 1, 1e-6], [[-1, 1, 0]])
    np.testing.assert_allclose(small.effect, partition_design(groups, [[-1, 1, 0]]).effect, atol=1e-9)


def test_dependent_rows_are_reduced(groups):
    assert partition_design(groups, [[1, -1, 0], [-2, 2, 0], [0, 0, 1]]).n_rows == 2


def test_duplicate_columns_count_once(groups):
    assert partition_design(np.column_stack([groups, groups[:, 2]]), [[-1, 1, 0, 0]]).dof == 17


def test_a_contrast_that_cannot_be_estimated_is_refused(groups):
    with pytest.raises(ModelError, match="cannot be estimated"):
        partition_design(np.column_stack([groups, np.ones(20)]), [[1, 0, 0, 0]])


def test_a_saturated_design_is_refused():
    with pytest.raises(ModelError, match="no degrees of freedom"):
        partition_design(np.eye(3), [[1, 0, 0]])


def test_fixed_directions_leave_the_nuisance(groups):
    nuisance = partition_design(groups, [[-1, 1, 0]]).nuisance
    assert drop_fixed(nuisance, np.ones((20, 1))).shape == (20, 1)


@pytest.mark.parametrize(("centre", "spread"), [(0.0, 1e10), (0.0, 1e-10), (1.6e9, 1e7)])
@pytest.mark.parametrize("weights", [[1, 0], [0, 1]])
def test_units_of_a_covariate_change_nothing(centre, spread, weights, rng):
    """Scan dates in seconds are far larger than the intercept, which is no rounding of theirs."""
    covariate = rng.normal(size=12)
    plain = np.column_stack([np.ones(12), centre / spread + covariate])
    scaled = np.column_stack([np.ones(12), centre + spread * covariate])
    one, other = partition_design(plain, [weights]), partition_design(scaled, [weights])
    assert one.dof == other.dof == 10
    np.testing.assert_allclose(one.effect, other.effect, atol=1e-6)


def test_a_column_of_zeros_changes_nothing(groups):
    wide = partition_design(np.column_stack([groups, np.zeros(20)]), [[-1, 1, 0, 0]])
    plain = partition_design(groups, [[-1, 1, 0]])
    assert wide.dof == plain.dof == 17
    np.testing.assert_allclose(wide.effect, plain.effect, atol=1e-12)
    assert wide.nuisance.shape == plain.nuisance.shape == (20, 2)


def test_one_degree_of_freedom_is_enough():
    part = partition_design(np.eye(3)[[0, 1, 2, 2]], [[1, -1, 0], [0, 1, -1]])
    assert (part.dof, part.n_rows, part.nuisance.shape) == (1, 2, (4, 1))


def test_a_contrast_of_zeros_is_refused(groups):
    with pytest.raises(ModelError, match="only zero weights"):
        partition_design(groups, [[0, 0, 0], [0, 0, 0]])
    assert partition_design(groups, [[0, 0, 0], [0, 0, 1]]).n_rows == 1


def test_effects_of_several_rows_span_what_estimates_the_contrasts(groups):
    weights = np.array([[-1.0, 1, 0], [0, 0, 2]])
    effect, estimators = partition_design(groups, weights).effect, (weights @ np.linalg.pinv(groups)).T
    np.testing.assert_allclose(effect @ (effect.T @ estimators), estimators, atol=1e-12)
    assert effect.shape == estimators.shape


def test_what_is_left_of_the_nuisance_is_orthogonal_to_what_shuffles_keep(rng):
    nuisance = np.linalg.qr(np.column_stack([np.ones(9), rng.normal(size=(9, 2))]))[0]
    left = drop_fixed(nuisance, np.column_stack([np.ones(9), np.ones(9)]))
    np.testing.assert_allclose(left.T @ left, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(left.sum(axis=0), 0, atol=1e-12)
    # A direction that is near one that is kept, but not it, stays.
    assert drop_fixed(nuisance, np.ones((9, 1)) + 1e-3 * rng.normal(size=(9, 1))).shape == (9, 3)
    nothing = np.zeros((9, 0))
    assert drop_fixed(nuisance, nothing) is nuisance
    assert drop_fixed(nothing, np.ones((9, 1))) is nothing
