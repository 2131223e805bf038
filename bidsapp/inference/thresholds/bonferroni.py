"""Bonferroni and Holm: family-wise error over the voxels, whatever their dependence."""

import numpy as np

from bidsapp.inference.thresholds.surviving import make_threshold, words_for_tail
from bidsapp.records.arrays import Map
from bidsapp.records.maps import Evidence, Threshold


def bonferroni(evidence: Evidence, alpha: float) -> Threshold:
    """Return the Bonferroni threshold over all tested points."""
    n_tests = int(np.count_nonzero(np.isfinite(evidence.log_p)))
    adjusted = np.minimum(np.exp(evidence.log_p + np.log(max(n_tests, 1))), 1.0)
    words = f"Bonferroni, family-wise error {alpha:g}, {words_for_tail(evidence)}"
    return make_threshold("bonferroni", words, evidence, alpha, adjusted)


def holm(evidence: Evidence, alpha: float) -> Threshold:
    """Return the threshold of Holm (1979), nowhere less powerful than Bonferroni's."""
    words = f"Holm, family-wise error {alpha:g}, {words_for_tail(evidence)}"
    return make_threshold("holm", words, evidence, alpha, holm_adjusted(evidence.log_p))


def holm_adjusted(log_p: Map) -> Map:
    """Return Holm's adjusted p-values; NaN stays NaN."""
    adjusted = np.full(len(log_p), np.nan)
    points = np.flatnonzero(np.isfinite(log_p) | np.isneginf(log_p))
    order = points[np.argsort(log_p[points], kind="stable")]
    steps = np.log(np.arange(len(order), 0, -1)) + log_p[order]
    adjusted[order] = np.exp(np.minimum(np.maximum.accumulate(steps), 0.0))
    return adjusted
