import numpy as np
import pytest
from scipy import special, stats

from bidsapp.stats import blocks
from bidsapp.stats.group.residual_shape import measure_errors

MATRIX = np.column_stack([np.ones(17), np.arange(17) % 2, np.arange(17.0)])
INDEX = np.array([0] * 9 + [1] * 8)


def expected_of(effects, matrix):
    """Return variances and skewness, voxel after voxel."""
    maker = np.eye(len(matrix)) - matrix @ np.linalg.pinv(matrix)
    residuals = maker @ effects
    logs = np.array([np.mean([np.log(value**2) for value in row]) for row in residuals])
    # The mean logarithm of a chi-square variable of one degree of freedom.
    variances = np.exp(logs - special.digamma(0.5) - np.log(2)) / np.diag(maker)
    return variances, np.mean(stats.skew(residuals, axis=0, bias=False))


@pytest.mark.parametrize("block", [None, 17, 5 * 17 + 3])
def test_variances_and_skewness_are_their_formulas(rng, monkeypatch, block):
    if block:
        monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 2 * block)
    effects = rng.gamma(2.0, size=(17, 40)) * np.where(INDEX, 3.0, 1.0)[:, None]
    variances, skewness = measure_errors(effects, MATRIX)
    expected = expected_of(effects, MATRIX)
    np.testing.assert_allclose(variances, expected[0], rtol=1e-8)
    assert skewness == pytest.approx(expected[1], rel=0.01)
    missing = np.vstack([np.full(5, np.nan), rng.normal(size=(16, 5))])
    fitted = MATRIX @ rng.normal(size=(3, 5))
    again = measure_errors(np.hstack([missing, effects, fitted]), MATRIX)
    np.testing.assert_allclose(again[0], variances, rtol=1e-10)
    assert again[1] == pytest.approx(skewness)


def test_skewness_of_a_mean_is_that_of_scipy(rng):
    """The residuals of a mean alone sum to zero, as the skewness of a sample supposes."""
    effects = rng.gamma(2.0, size=(12, 30))
    _, skewness = measure_errors(effects, np.ones((12, 1)))
    assert skewness == pytest.approx(np.mean(stats.skew(effects, axis=0, bias=False)), rel=1e-10)


def test_what_has_no_residuals_is_nan(rng):
    """An input that the design fits, and voxels without any residual."""
    effects = rng.normal(size=(6, 10))
    last = np.arange(6) == 5
    variances, skewness = measure_errors(effects, np.column_stack([~last, last]).astype(float))
    assert np.isfinite(variances[~last]).all()
    assert np.isnan(variances[last]).all()
    assert np.isfinite(skewness)
    variances, skewness = measure_errors(effects, np.eye(6))
    assert np.isnan(variances).all()
    assert np.isnan(skewness)
