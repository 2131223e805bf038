import numpy as np
import pytest
from scipy import special, stats

from bidsapp.stats import residual_shape
from bidsapp.stats.residual_shape import measure_errors

MATRIX = np.column_stack([np.ones(17), np.arange(17) % 2, np.arange(17.0)])
INDEX = np.array([0] * 9 + [1] * 8)


def expected_of(effects, matrix, index):
    """Return variances and skewness, voxel after voxel."""
    maker = np.eye(len(matrix)) - matrix @ np.linalg.pinv(matrix)
    residuals = maker @ effects
    variances = []
    for group in np.unique(index):
        freedom = np.trace(maker[index == group][:, index == group])
        logs = np.log(np.square(residuals[index == group]).sum(axis=0))
        variances.append(np.exp(np.mean(logs) - special.digamma(freedom / 2) - np.log(2)))
    return np.array(variances), np.mean(stats.skew(residuals, axis=0, bias=False))


@pytest.mark.parametrize("block", [None, 17, 5 * 17 + 3])
def test_variances_and_skewness_are_their_formulas(rng, monkeypatch, block):
    if block:
        monkeypatch.setattr(residual_shape, "BLOCK_NUMBERS", block)
    effects = rng.gamma(2.0, size=(17, 40)) * np.where(INDEX, 3.0, 1.0)[:, None]
    variances, skewness = measure_errors(effects, MATRIX, INDEX)
    expected = expected_of(effects, MATRIX, INDEX)
    np.testing.assert_allclose(variances, expected[0], rtol=1e-8)
    assert skewness == pytest.approx(expected[1], rel=0.01)
    missing = np.vstack([np.full(5, np.nan), rng.normal(size=(16, 5))])
    fitted = MATRIX @ rng.normal(size=(3, 5))
    again = measure_errors(np.hstack([missing, effects, fitted]), MATRIX, INDEX)
    np.testing.assert_allclose(again[0], variances, rtol=1e-10)
    assert again[1] == pytest.approx(skewness)


def test_skewness_of_a_mean_is_that_of_scipy(rng):
    """The residuals of a mean alone sum to zero, as the skewness of a sample supposes."""
    effects = rng.gamma(2.0, size=(12, 30))
    _, skewness = measure_errors(effects, np.ones((12, 1)), np.zeros(12, int))
    assert skewness == pytest.approx(np.mean(stats.skew(effects, axis=0, bias=False)), rel=1e-10)


def test_what_has_no_residuals_is_nan(rng):
    """A group that the design fits, and voxels without any residual."""
    effects = rng.normal(size=(6, 10))
    index = np.array([0, 0, 0, 0, 0, 1])
    matrix = np.column_stack([index == 0, index == 1]).astype(float)
    variances, skewness = measure_errors(effects, matrix, index)
    assert np.isfinite(variances[0])
    assert np.isnan(variances[1])
    assert np.isfinite(skewness)
    variances, skewness = measure_errors(effects, np.eye(6), index)
    assert np.isnan(variances).all()
    assert np.isnan(skewness)
