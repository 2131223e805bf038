import numpy as np
import pytest

from bidsapp.errors import InputError
from bidsapp.stats.time_model import make_time_model


@pytest.fixture
def matrix(rng):
    return np.column_stack([rng.normal(size=(40, 4)), np.ones(40)])


def test_basis_is_orthonormal_and_spans_the_design(matrix):
    model = make_time_model(matrix)
    np.testing.assert_allclose(model.basis.T @ model.basis, np.eye(5), atol=1e-12)
    np.testing.assert_allclose(model.basis @ (model.basis.T @ matrix), matrix, atol=1e-12)
    products = model.basis.T @ model.lagged(1)
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-12)


def test_rank_counts_collinear_columns_once(matrix):
    model = make_time_model(np.column_stack([matrix, matrix[:, 0] - matrix[:, 2]]))
    assert (model.rank, model.dof) == (5, 35)


def test_more_regressors_than_volumes_are_refused(rng):
    with pytest.raises(InputError, match="12 regressors of rank 12 for 12 volumes"):
        make_time_model(rng.normal(size=(12, 12)))


def test_too_many_dropped_volumes_are_refused(matrix):
    with pytest.raises(InputError, match="36 dropped"):
        make_time_model(matrix, np.arange(40) < 4)
