"""The split of a design into effect and nuisance."""

import numpy as np
import pytest

from bidsapp.errors import ModelError
from bidsapp.inference.partition import drop_fixed, partition_design


@pytest.fixture
def groups(rng):
    first = np.repeat([1.0, 0.0], [9, 11])
    return np.column_stack([first, 1 - first, rng.normal(size=20)])


def test_effect_and_nuisance_span_the_design_and_are_orthogonal(groups):
    part = partition_design(groups, [[-1, 1, 0]])
    basis = part.basis
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(basis @ (basis.T @ groups), groups, atol=1e-12)


def test_coefficient_of_the_effect_column_is_the_contrast(groups, rng):
    y = rng.normal(size=20)
    part = partition_design(groups, [[-1, 1, 0]])
    beta = np.linalg.lstsq(groups, y, rcond=None)[0]
    x = part.effect_columns[:, 0]
    assert x @ y / (x @ x) == pytest.approx(beta[1] - beta[0])


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
