import numpy as np
import pytest
import statsmodels.api as sm

from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.estimators import fit_group


def fit(effects, matrix, estimator="huber"):
    columns = tuple(f"x{index}" for index in range(matrix.shape[1]))
    contrasts = [Contrast(f"c{i}", "t", columns, row[None]) for i, row in enumerate(np.eye(len(columns)))]
    return fit_group(effects, None, GroupDesign(matrix, tuple(contrasts)), estimator=estimator)


def test_huber_equals_statsmodels(rng):
    """With its default scale and covariance H1, but for what the sum of squares is divided by."""
    matrix = np.column_stack([np.ones(20), rng.normal(size=20)])
    effects = rng.standard_t(2, (20, 15))
    found = fit(effects, matrix)
    for voxel in range(15):
        model = sm.RLM(effects[:, voxel], matrix, M=sm.robust.norms.HuberT())
        peer = model.fit(tol=1e-12, maxiter=500, conv="coefs")
        np.testing.assert_allclose([e.effect[voxel] for e in found], peer.params, rtol=1e-5, atol=1e-7)
        full = np.count_nonzero(peer.weights >= 1.0)
        divisor = np.sqrt(18 * full / 20 / (full - 2))
        np.testing.assert_allclose([e.variance[voxel] ** 0.5 for e in found], divisor * peer.bse, rtol=1e-5)
        np.testing.assert_array_equal([e.dof[voxel] for e in found], full - 2)


def test_one_outlier_moves_the_robust_effect_less(rng):
    effects = rng.normal(0, 1, (15, 30))
    spoiled = effects.copy()
    spoiled[0] = 50.0
    robust = np.abs(fit(spoiled, np.ones((15, 1)))[0].effect).mean()
    plain = np.abs(fit(spoiled, np.ones((15, 1)), "ols")[0].effect).mean()
    assert robust < 0.2 * plain


def test_outlier_has_the_smallest_weight_in_the_map(rng):
    effects = rng.normal(0, 1, (15, 30))
    effects[0] = 50.0
    assert (fit(effects, np.ones((15, 1)))[0].maps["robustweight"] < 0.1).all()


def test_voxel_with_mostly_equal_values_is_nan(rng):
    effects = np.tile(rng.normal(size=50) * 100, (9, 1))
    effects[:, 0] = 0.0
    effects[0] += 1.0
    assert np.isnan(fit(effects, np.ones((9, 1)))[0].statistic).all()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_matter(rng, scale):
    effects = rng.standard_t(3, (12, 20))
    first, second = (fit(factor * effects, np.ones((12, 1)))[0] for factor in (1.0, scale))
    np.testing.assert_allclose(second.statistic, first.statistic, rtol=1e-6)


COVARIATE = [0.3, -1.2, 0.8, 0.1, 2.0, -0.4, -0.9, 0.6, 1.1, -2.1, 0.2, -0.5]
GROUPS = np.eye(3)[np.arange(12) % 3]
FEW = {
    "mean": (np.ones((12, 1)), [[1]]),
    "two groups": (GROUPS[:, :1] * [1, -1] + [0, 1], [[1, -1]]),
    "covariate": (np.column_stack([np.ones(12), COVARIATE]), [[0, 1]]),
    "three groups (F)": (GROUPS, [[1, -1, 0], [0, 1, -1]]),
}


@pytest.mark.parametrize("n", [6, 7, 8, 12])
@pytest.mark.parametrize("name", FEW)
def test_size_with_few_subjects_is_nominal(rng, name, n):
    matrix, weights = FEW[name]
    columns = tuple("abc"[: matrix.shape[1]])
    contrast = Contrast("c", "t" if len(weights) == 1 else "F", columns, np.array(weights, float))
    design = GroupDesign(matrix[:n], (contrast,))
    p = fit_group(rng.normal(size=(n, 20_000)), None, design, estimator="huber")[0].p
    # Between .04 and .06 with three standard errors of .0015; with N - p degrees of freedom .06 to .10.
    # Three groups of two or three subjects are conservative, which a warning says.
    assert (0.0355 if n - matrix.shape[1] > 5 or len(weights) == 1 else 0.025) < np.mean(p < 0.05) < 0.0645
