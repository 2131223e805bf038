"""Conjunction of contrasts: where all of them show an effect, by the minimum statistic.

The test is against the conjunction null that at least one contrast has no effect (Nichols et al. 2005), so
its p-value is the largest one, whatever the dependence of the contrasts.
"""

import numpy as np

from bidsapp.records.arrays import Map, Maps
from bidsapp.stats.distributions import z_to_log_p


def conjoin(z: Maps, *, tail: str = "two") -> tuple[Map, Map]:
    """Return the z and p of the conjunction of t contrasts.

    Parameters
    ----------
    z : ndarray, shape (n_contrasts, n_voxels)
        Signed z-values of t contrasts.
    tail : {"two", "positive", "negative"}
        With "two" all effects must have the same sign; z is 0 and p is 1 where they have not.

    Returns
    -------
    z, p : ndarray, shape (n_voxels,)
        The z-value closest to zero, with its sign.
    """
    smallest, largest = z.min(axis=0), z.max(axis=0)
    if tail == "positive":
        conjoint = smallest
    elif tail == "negative":
        conjoint = largest
    else:
        conjoint = np.where(smallest > 0, smallest, np.where(largest < 0, largest, 0.0))
        conjoint = np.where(np.isnan(smallest), np.nan, conjoint)
    return conjoint, np.exp(z_to_log_p(conjoint, tail=tail))
