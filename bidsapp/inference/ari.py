"""All-Resolutions Inference: how many points of any set are truly active, at least (Rosenblatt 2018).

The bound holds for all sets at once, chosen after seeing the data; it is closed testing with Simes' test
(Goeman & Solari 2011; Meijer, Krebs & Goeman 2019), so it supposes that p-values under the null are
independent or positively dependent, as smooth maps are.
"""

from dataclasses import dataclass

import numpy as np

from bidsapp.records.arrays import Labels, Map, Mask, Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Discoveries:
    """What closed testing says of all sets of points.

    Attributes
    ----------
    p : ndarray, shape (n_points,)
        NaN where there is no test.
    alpha : float
    hommel : int
        The largest number of points that could all be null.
    """

    p: Map
    alpha: float
    hommel: int

    def count(self, members: Labels | Mask) -> int:
        """Return the smallest number of truly active points in a set (indices or True where a member)."""
        p = self.p[members]
        p = np.sort(p[np.isfinite(p)])
        if not len(p):
            return 0
        u = np.arange(1, len(p) + 1)
        reaching = np.searchsorted(self.hommel * p, u * self.alpha, side="right")
        return int(max((1 - u + reaching).max(), 0))

    def proportion(self, members: Labels | Mask) -> float:
        """Return the smallest share of truly active points in a set: 0 to 1; NaN for an empty set."""
        n_tested = np.count_nonzero(np.isfinite(self.p[members]))
        return self.count(members) / n_tested if n_tested else float("nan")


def find_discoveries(p: Map, alpha: float) -> Discoveries:
    """Return the closed testing of a map of p-values (n_points,), NaN where there is no test."""
    tested = np.sort(p[np.isfinite(p)])
    return Discoveries(np.asarray(p, float), alpha, hommel_value(tested, alpha))


def hommel_value(ordered: Numbers, alpha: float) -> int:
    """Return the largest i with ``p_(m - i + j) > j alpha / i`` for every j up to i; p sorted ascending.

    When it holds for i it holds for every smaller number, so bisection finds it.
    """
    m = len(ordered)
    low, high = 0, m
    while low < high:
        i = (low + high + 1) // 2
        j = np.arange(1, i + 1)
        if np.all(ordered[m - i :] > j * alpha / i):
            low = i
        else:
            high = i - 1
    return low
