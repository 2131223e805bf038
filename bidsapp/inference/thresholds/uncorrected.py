"""No correction: the cluster-forming p in every voxel."""

import numpy as np

from bidsapp.inference.thresholds.surviving import make_threshold, words_for_tail
from bidsapp.records.maps import Evidence, Threshold
from bidsapp.vocabulary.thresholds import IN_EACH_TAIL


def uncorrected(evidence: Evidence, alpha: float) -> Threshold:
    """Return the uncorrected threshold at the cluster-forming p; ``alpha`` is not used.

    With both tails, p is one-sided in each of them.
    """
    level = evidence.cluster_forming_p
    p = np.exp(evidence.log_p)
    tail = words_for_tail(evidence)
    if evidence.tail == "two":
        p = p / 2
        tail = IN_EACH_TAIL
    return make_threshold("uncorrected", f"uncorrected p ≤ {level:g}, {tail}", evidence, level, p)
