import numpy as np
import pytest

from bidsapp.stats.weighted_solve import (
    carry_covariance,
    invert_all,
    make_basis,
    solve_weighted,
    weighted_gram,
)


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
