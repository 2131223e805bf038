import numpy as np
import pytest

from bidsapp.errors import InputError
from bidsapp.stats.noise.time_model import make_time_model


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


def test_a_column_of_zeros_is_no_regressor(matrix):
    model, wide = make_time_model(matrix), make_time_model(np.column_stack([matrix, np.zeros(40)]))
    assert (wide.rank, wide.dof) == (5, 35)
    np.testing.assert_allclose(wide.basis @ wide.basis.T, model.basis @ model.basis.T, atol=1e-12)
    np.testing.assert_allclose(wide.to_basis[5], 0, atol=1e-12)


def test_the_mean_is_of_volumes_that_are_kept_and_have_no_column_of_their_own(matrix):
    keep = np.arange(40) != 7
    spikes = np.eye(40)[:, [3, 12]] * [1.0, -2.0]
    model = make_time_model(np.column_stack([matrix, spikes]), keep)
    assert np.flatnonzero(~model.baseline).tolist() == [3, 7, 12]
    assert (model.rank, model.dof, model.has_constant) == (8, 32, True)
    assert make_time_model(matrix).baseline.all()


@pytest.mark.parametrize(("columns", "has_constant"), [("one", False), ("each", True), ("none", False)])
def test_a_constant_is_needed_in_every_run(rng, columns, has_constant):
    run = np.repeat([0, 1], [25, 15])
    constants = {"one": (run == 0)[:, None], "each": run[:, None] == [0, 1], "none": np.zeros((40, 0))}[
        columns
    ]
    matrix = np.column_stack([rng.normal(size=(40, 2)), constants])
    model = make_time_model(matrix, starts=(0, 25))
    assert model.has_constant == has_constant
    assert [(part.start, part.stop) for part in model.runs] == [(0, 25), (25, 40)]
    lag = np.zeros((40, 40))
    for start, stop in ((0, 25), (25, 40)):
        lag[start:stop, start:stop] = np.eye(stop - start, k=2) + np.eye(stop - start, k=-2)
    np.testing.assert_allclose(model.lagged(2), lag @ model.basis, atol=1e-12)
    outside = np.eye(40) - model.basis @ model.basis.T
    np.testing.assert_allclose(model.departures(2), outside @ lag @ model.basis, atol=1e-12)
    part = model.of_run(slice(25, 40))
    assert (part.n_volumes, part.whole) == (15, model)
