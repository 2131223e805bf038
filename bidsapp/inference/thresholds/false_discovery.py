"""False discovery rate: Benjamini & Hochberg (1995); adaptive, Benjamini, Krieger & Yekutieli (2006)."""

import numpy as np

from bidsapp.inference.thresholds.surviving import make_threshold, words_for_tail
from bidsapp.records.arrays import Map
from bidsapp.records.maps import Evidence, Threshold


def benjamini_hochberg(evidence: Evidence, alpha: float) -> Threshold:
    """Return the threshold of Benjamini & Hochberg (1995)."""
    words = f"false discovery rate {alpha:g} (Benjamini-Hochberg), {words_for_tail(evidence)}"
    return make_threshold("fdrBH", words, evidence, alpha, bh_adjusted(np.exp(evidence.log_p)))


def benjamini_krieger_yekutieli(evidence: Evidence, alpha: float) -> Threshold:
    """Return the two-stage threshold of Benjamini, Krieger & Yekutieli (2006, definition 6)."""
    words = (
        f"false discovery rate {alpha:g} (adaptive, Benjamini-Krieger-Yekutieli), {words_for_tail(evidence)}"
    )
    return make_threshold("fdrBKY", words, evidence, alpha, bky_adjusted(np.exp(evidence.log_p), alpha))


def bh_adjusted(p: Map) -> Map:
    """Return adjusted p-values (q): the smallest rate at which each point survives; NaN stays NaN."""
    adjusted = np.full(len(p), np.nan)
    points = np.flatnonzero(np.isfinite(p))
    order = points[np.argsort(p[points], kind="stable")]
    n_tests = len(order)
    steps = p[order] * n_tests / np.arange(1, n_tests + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return adjusted


def bky_adjusted(p: Map, alpha: float) -> Map:
    """Return adjusted p-values of the two-stage procedure at one rate.

    Stage 1 is Benjamini-Hochberg at ``alpha / (1 + alpha)``; the points it leaves estimate how many are
    truly null, by which stage 2 is sharpened. A point survives at ``alpha`` when its value is at most alpha.
    """
    level = alpha / (1 + alpha)
    q = bh_adjusted(p)
    n_tests = np.count_nonzero(np.isfinite(q))
    n_first = np.count_nonzero(q <= level)
    share_null = (n_tests - n_first) / n_tests if 0 < n_first < n_tests else 1.0
    adjusted: Map = np.minimum(q * (1 + alpha) * share_null, 1.0)
    return adjusted
