import numpy as np
import pytest
from scipy import optimize

from bidsapp.stats.group.flip_scores import SCORES, make_flip_scores


@pytest.fixture
def data(rng):
    variances = rng.chisquare(5, (10, 30)) / 5
    variances[:2] *= 25
    return rng.normal(0.5, 1, (10, 30)) * np.sqrt(variances + 0.3), variances


@pytest.mark.parametrize("estimator", SCORES)
def test_scores_of_flipped_effects_are_the_flipped_scores(data, estimator, rng):
    """The weights know nothing of the signs: that makes the test exact."""
    effects, variances = data
    signs = rng.choice([-1.0, 1.0], (10, 1))
    first = make_flip_scores(effects, variances, estimator)
    second = make_flip_scores(signs * effects, variances, estimator)
    np.testing.assert_allclose(second, signs * first, rtol=1e-6)


def test_fixed_scores_weigh_by_precision(data):
    effects, variances = data
    scores = make_flip_scores(effects, variances, "fixed") * variances / effects
    np.testing.assert_allclose(scores, np.broadcast_to(scores[:1], scores.shape), rtol=1e-5)


def test_reml_scores_have_the_weights_of_the_greatest_likelihood_without_a_mean(data):
    effects, variances = data
    scores = make_flip_scores(effects, variances, "reml")
    y, s = effects[:, 0], variances[:, 0]
    found = optimize.minimize_scalar(
        lambda tau2: np.sum(np.log(s + tau2) + y**2 / (s + tau2)), bounds=(0, 50), method="bounded"
    )
    weights = 1 / (s + found.x)
    np.testing.assert_allclose(scores[:, 0], y * weights / weights.mean(), rtol=1e-3)


@pytest.mark.parametrize("estimator", ["reml", "dl", "fixed"])
def test_equal_variances_leave_the_effects(data, estimator):
    effects, _ = data
    scores = make_flip_scores(effects, np.ones(effects.shape), estimator)
    np.testing.assert_allclose(scores, effects, rtol=1e-6)


def test_robust_scores_clip_outliers_only(rng):
    effects = rng.normal(size=(12, 5))
    effects[4] = 50.0
    scores = make_flip_scores(effects, None, "huber")
    assert (scores[4] < 5).all()
    inside = np.abs(effects) < np.median(np.abs(effects), axis=0)
    np.testing.assert_allclose(scores[inside], effects[inside], rtol=1e-6)


def test_voxel_without_a_variance_has_no_scores(data):
    effects, variances = data
    variances[3, 5] = np.nan
    assert np.flatnonzero(np.isnan(make_flip_scores(effects, variances, "reml")).any(axis=0)).tolist() == [5]


def test_two_inputs_have_scores_and_one_has_none(data):
    effects, variances = data
    effects[2:, 0] = effects[1:, 1] = np.nan
    variances[0, 2] = 0.0
    scores = make_flip_scores(effects, variances, "fixed")
    weights = 1 / variances[:2, 0]
    np.testing.assert_allclose(scores[:2, 0], effects[:2, 0] * weights / weights.mean(), rtol=1e-6)
    assert np.isnan(scores[2:, 0]).all()
    assert np.isnan(scores[:, 1]).all()
    assert np.flatnonzero(np.isnan(scores[:, 2])).tolist() == [0]
