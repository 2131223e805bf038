"""p-values beyond what counting shuffles can give, from a curve fitted to the null of the maximum.

Winkler et al. (2016): a gamma distribution with the first three moments of the whole null; or a generalised
Pareto distribution of its upper tail (Knijnenburg 2009), for p below 0.1 only.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from bidsapp.inference.pvalues import p_from_null
from bidsapp.records.arrays import Numbers

# The tail replaces counts only below this p.
LARGEST_TAIL_P = 0.1
# The highest quarter of the null is fitted first; while it does not fit, a tenth less each time.
FIRST_SHARE, SHRINK, FEWEST = 0.25, 0.9, 30
# A curve whose Cramer-von Mises p is below this does not fit.
POOR_FIT_P = 0.05
# A curve says nothing about events a thousand times rarer than the rarest that was seen.
FARTHEST = 1000.0


def p_from_tail(observed: Numbers, null: Numbers, method: str) -> Numbers:
    """Return corrected p-values by ``method``: "none" counts, "gamma" and "gpd" extrapolate.

    A generalised Pareto tail that fits nowhere (Cramer-von Mises p below 0.05 down to 30 shuffles) leaves
    the counts.
    """
    counted = p_from_null(observed, null)
    if method == "none" or np.ptp(null) == 0:
        return counted
    floor = 1.0 / (FARTHEST * len(null))
    if method == "gamma":
        skew, mean, spread = stats.skew(null), null.mean(), null.std(ddof=1)
        with np.errstate(invalid="ignore"):
            return np.maximum(stats.pearson3.sf(observed, skew, loc=mean, scale=spread), floor)
    tail = fit_pareto_tail(null)
    if tail is None:
        return counted
    threshold, share, shape, scale = tail
    with np.errstate(invalid="ignore"):
        use = (observed > threshold) & (counted < LARGEST_TAIL_P)
        fitted = share * stats.genpareto.sf(observed - threshold, shape, scale=scale)
    return np.where(use, np.maximum(fitted, floor), counted)


def find_cutoff(null: Numbers, p_of: Callable[[Numbers], Numbers], alpha: float) -> float:
    """Return the smallest value of a null whose corrected p is at most alpha; NaN where there is none.

    Parameters
    ----------
    null : ndarray, shape (n_shuffles,)
    p_of : function
        From values to their corrected p.
    alpha : float
    """
    levels = np.unique(null)
    reached = levels[p_of(levels) <= alpha]
    return float(reached[0]) if len(reached) else float("nan")


def fit_pareto_tail(null: Numbers) -> tuple[float, float, float, float] | None:
    """Return threshold, share above it, shape and scale of the tail; None where nothing fits.

    By moments (Hosking & Wallis 1987); scipy's sign of the shape.
    """
    ordered = np.sort(null)[::-1]
    n_tail = int(FIRST_SHARE * len(ordered))
    while n_tail >= FEWEST:
        threshold = (ordered[n_tail - 1] + ordered[n_tail]) / 2
        excess = ordered[:n_tail] - threshold
        spread = excess.var(ddof=1)
        if spread > 0:
            ratio = excess.mean() ** 2 / spread
            shape, scale = (1 - ratio) / 2, excess.mean() * (ratio + 1) / 2
            fit = stats.cramervonmises(excess, stats.genpareto(shape, scale=scale).cdf)
            if fit.pvalue >= POOR_FIT_P:
                return threshold, n_tail / len(ordered), shape, scale
        n_tail = int(n_tail * SHRINK)
    return None
