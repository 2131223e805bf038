"""The height that a voxel by itself must reach to survive a threshold, for the power of a study.

Thresholds of clusters and of enhanced maps have none: wide effects survive at less. There it is that of the
voxel height by shuffling, and where no height is known that of Bonferroni, which one voxel alone needs.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.optimize import brentq

from bidsapp.inference.field_theory import expected_clusters
from bidsapp.inference.thresholds.random_field import find_field, find_turn
from bidsapp.inference.voxels.test import FOLLOWED_AS_Z
from bidsapp.records.arrays import Map
from bidsapp.records.maps import OTHER_STATISTICS, Evidence, Inference, Smoothness, Threshold
from bidsapp.stats.distributions import p_to_t
from bidsapp.vocabulary.thresholds import THRESHOLDS

# No t of a map is beyond it.
HIGHEST = 1e6


@dataclass(frozen=True, slots=True)
class Height:
    """A cut-off of t, or of its p where degrees of freedom differ between voxels.

    Attributes
    ----------
    words : str
        Whose it is.
    t : float or None
    p : float or None
        One-sided; one of the two is given.
    """

    words: str
    t: float | None = None
    p: float | None = None

    def at(self, dof: Map) -> Map:
        """Return the t that voxels with these degrees of freedom must reach."""
        return np.full(np.shape(dof), self.t) if self.p is None else p_to_t(self.p, dof)


def find_height_of(main: Threshold, evidence: Evidence, alpha: float) -> Height:
    """Return the height that a voxel needs for the main threshold of a t contrast."""
    row = THRESHOLDS[main.name]
    n_tails = 2 if evidence.tail == "two" else 1
    height = None
    if row.needs == "shuffles" and evidence.inference is not None:
        height = _by_shuffling(evidence.inference, alpha)
    if row.needs == "smoothness" and evidence.smoothness is not None:
        height = _by_random_fields(evidence, evidence.smoothness, alpha)
    if height is not None:
        return height
    if row.controls == "none":
        return Height(main.description.partition(",")[0], p=main.alpha)
    surviving = evidence.log_p[main.surviving & np.isfinite(evidence.log_p)]
    if row.controls == "FDR" and not row.needs and len(surviving):
        words = f"the height at which the false discovery rate {alpha:g} cuts here"
        return Height(words, p=float(np.exp(surviving.max())) / n_tails)
    n_tests = max(int(np.count_nonzero(np.isfinite(evidence.log_p))), 1)
    return Height(f"Bonferroni, family-wise error {alpha:g}", p=alpha / n_tests / n_tails)


def _by_shuffling(inference: Inference, alpha: float) -> Height | None:
    """Return the height by shuffling; None where it was not followed, cannot be reached, or is not of t."""
    found = inference.statistics.get("height")
    is_other = inference.conventions.get("Statistic") in OTHER_STATISTICS
    if found is None or is_other or not np.isfinite(found.cutoff):
        return None
    words = f"voxel height, family-wise error {alpha:g} by shuffling"
    if inference.test in FOLLOWED_AS_Z:
        return Height(words, p=float(special.ndtr(-found.cutoff)))
    return Height(words, t=found.cutoff)


def _by_random_fields(evidence: Evidence, smoothness: Smoothness, alpha: float) -> Height | None:
    """Return the height by random-field theory; None where no height is unlikely enough, as with 3 dof."""
    _, field, n_tails = find_field(evidence, smoothness)
    # The corrected p of a height is that of any cluster above it, of which so many are expected.
    wanted = -np.log1p(-alpha) / n_tails
    low = find_turn(field)

    def excess(height: float) -> float:
        return float(expected_clusters(np.array([height]), *field)[0] - wanted)

    if excess(HIGHEST) > 0:
        return None
    height = float(brentq(excess, low, HIGHEST)) if excess(low) > 0 else low
    words = f"voxel height, family-wise error {alpha:g} by random-field theory"
    return Height(words, t=height) if field[0] == "t" else Height(words, p=float(special.ndtr(-height)))
