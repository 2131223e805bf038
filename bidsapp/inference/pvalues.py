"""p-values from shuffled statistics; the observed map counts as one of the shuffles."""

import numpy as np
from scipy import stats

from bidsapp.records.arrays import Numbers

# Shuffles that differ from the observed value by less than this share are ties, which count as reaching
# it: the same arrangement computed twice may differ in its last digits.
TIE = 1e-9


def p_from_null(observed: Numbers, null: Numbers) -> Numbers:
    """Return the share of null values at or above each observed value.

    Parameters
    ----------
    observed : ndarray
        NaN gives NaN.
    null : ndarray, shape (n_shuffles,)
        Statistics of all shuffles, the observed arrangement among them.
    """
    observed = np.asarray(observed, float)
    ordered = np.sort(null)
    n_below = np.searchsorted(ordered, observed - TIE * np.abs(observed), side="left")
    p = (len(ordered) - n_below) / len(ordered)
    return np.where(np.isnan(observed), np.nan, p)


def p_interval(p: Numbers | float, n_shuffles: int, level: float = 0.95) -> tuple[Numbers, Numbers]:
    """Return the Clopper-Pearson interval around p-values from random shuffles.

    The observed arrangement is left out of the count: it is no random draw.
    """
    n = n_shuffles - 1
    hits = np.round(np.asarray(p) * n_shuffles) - 1
    tail = (1 - level) / 2
    lower = np.where(hits > 0, stats.beta.ppf(tail, np.maximum(hits, 1), n - hits + 1), 0.0)
    upper = np.where(hits < n, stats.beta.isf(tail, hits + 1, np.maximum(n - hits, 1)), 1.0)
    return lower, upper
