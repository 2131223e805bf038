"""No correction: the cluster-forming p in every voxel."""

import numpy as np

from bidsapp.inference.thresholds.surviving import make_threshold
from bidsapp.records.maps import Evidence, Threshold


def uncorrected(evidence: Evidence, alpha: float) -> Threshold:
    """Return the uncorrected threshold at the cluster-forming p; ``alpha`` is not used.

    With both tails, p is one-sided in each of them.
    """
    level = evidence.cluster_forming_p
    p = np.exp(evidence.log_p)
    words = f"uncorrected p ≤ {level:g}"
    if evidence.tail == "two":
        p = p / 2
        words += ", one-sided in each tail"
    return make_threshold("uncorrected", words, evidence, level, p)
