import numpy as np
import pytest
import statsmodels.api as sm

from bidsapp.records import Contrast, GroupDesign
from bidsapp.stats.group_estimators import fit_group


def fit(effects, matrix, estimator="huber"):
    columns = tuple(f"x{index}" for index in range(matrix.shape[1]))
    contrasts = [Contrast(f"c{i}", "t", columns, row[None]) for i, row in enumerate(np.eye(len(columns)))]
    return fit_group(effects, None, GroupDesign(matrix, tuple(contrasts)), estimator=estimator)


def test_huber_equals_statsmodels(rng):
    """With its default scale (median absolute residual) and covariance H1."""
    matrix = np.column_stack([np.ones(20), rng.normal(size=20)])
    effects = rng.standard_t(2, (20, 15))
    found = fit(effects, matrix)
    for voxel in range(15):
        model = sm.RLM(effects[:, voxel], matrix, M=sm.robust.norms.HuberT())
        peer = model.fit(tol=1e-12, maxiter=500, conv="coefs")
        np.testing.assert_allclose([e.effect[voxel] for e in found], peer.params, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose([e.variance[voxel] ** 0.5 for e in found], peer.bse, rtol=1e-5)


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


def test_voxel_with_mostly_equal_values_is_nan():
    effects = np.zeros((9, 1))
    effects[0] = 1.0
    assert np.isnan(fit(effects, np.ones((9, 1)))[0].statistic[0])


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_matter(rng, scale):
    effects = rng.standard_t(3, (12, 20))
    first, second = (fit(factor * effects, np.ones((12, 1)))[0] for factor in (1.0, scale))
    np.testing.assert_allclose(second.statistic, first.statistic, rtol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "weights"), [((6,), [1]), ((8,), [1]), ((4, 4), [1, -1]), ((6, 8), [1, -1])]
)
def test_size_with_few_subjects_is_near_nominal(rng, sizes, weights):
    matrix = np.repeat(np.eye(len(sizes)), sizes, axis=0)
    columns = tuple("ab"[: len(sizes)])
    design = GroupDesign(matrix, (Contrast("c", "t", columns, np.array([weights], float)),))
    p = fit_group(rng.normal(size=(sum(sizes), 10_000)), None, design, estimator="huber")[0].p
    # Four standard errors of .0024 about .055; with N - p degrees of freedom .06 to .09.
    assert np.mean(p < 0.05) == pytest.approx(0.055, abs=0.01)
