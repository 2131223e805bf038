"""What each subject adds to a one-sample estimate under the null: the scores whose signs are flipped.

With the null's mean of 0 the weights of an estimator depend on the absolute effects only, so that flipping
signs leaves them as they are: a test of the flipped scores is exact where the effects are symmetric about 0
and independent, whatever the variances (Hemerik, Goeman and Finos 2020; Meriaux et al. 2006 for the
mixed-effects statistic). A score is weight times effect; a robust one is the clipped effect.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bidsapp.records.arrays import Maps
from bidsapp.stats.blocks import cut_blocks, find_patterns
from bidsapp.stats.group.mixed_effects import Tau2, estimate_dersimonian_laird
from bidsapp.stats.group.robust import HUBER_LIMIT, NORMAL_MAD
from bidsapp.stats.group.tau2 import estimate_tau2

# Scores from effects and variances, all (n_inputs, n_voxels).
Score: TypeAlias = Callable[[Maps, Maps], Maps]


def make_flip_scores(effects: Maps, variances: Maps | None, estimator: str) -> NDArray[np.float32]:
    """Return the scores of a one-sample test, float32, shape (n_inputs, n_voxels).

    NaN where an input lacks its effect, or the variance that the estimator weighs by; the scores of the
    others are those of the inputs that are there.

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_voxels)
    variances : ndarray, shape (n_inputs, n_voxels), or None
    estimator : {"reml", "flame1", "dl", "fixed", "huber", "sandwich"}
    """
    scores = np.full(effects.shape, np.nan, np.float32)
    for block in cut_blocks(effects.shape[1], len(effects)):
        values = np.asarray(effects[:, block], float)
        spread = np.ones(values.shape) if variances is None else np.asarray(variances[:, block], float)
        known = np.isfinite(values) & np.isfinite(spread) & (spread > 0)
        for rows, voxels in find_patterns(known, 2):
            part = np.ix_(rows, voxels)
            scores[:, block][part] = SCORES[estimator](values[part], spread[part])
    return scores


def _weigh(effects: Maps, spread: Maps) -> Maps:
    """Return effects times weights of mean 1: where all variances are alike the scores are the effects."""
    weights = 1.0 / spread
    scores: Maps = effects * weights / weights.mean(axis=0)
    return scores


def _clip(effects: Maps, variances: Maps) -> Maps:
    """Return effects cut at Huber's limit times the null's scale."""
    limit = HUBER_LIMIT * np.median(np.abs(effects), axis=0) / NORMAL_MAD
    return np.clip(effects, -limit, limit)


def _weigh_by(tau2: Tau2) -> Score:
    """Return the score with weights of an estimated tau2; the null has no mean to estimate, so no column."""
    return lambda effects, variances: _weigh(
        effects, variances + tau2(effects, variances, np.zeros((len(effects), 0)))
    )


SCORES: dict[str, Score] = {
    "reml": _weigh_by(estimate_tau2),
    "flame1": _weigh_by(estimate_tau2),
    "dl": _weigh_by(estimate_dersimonian_laird),
    "fixed": _weigh,
    "huber": _clip,
    "sandwich": lambda effects, variances: effects,
}
