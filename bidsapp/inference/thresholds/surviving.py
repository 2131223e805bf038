"""What thresholds share: from surviving points to a record."""

import numpy as np

from bidsapp.records.arrays import Map, Mask
from bidsapp.records.maps import Evidence, Threshold
from bidsapp.vocabulary.thresholds import words_of_tail


def make_threshold(name: str, description: str, evidence: Evidence, alpha: float, adjusted: Map) -> Threshold:
    """Return the threshold that lets points with an adjusted p or q up to alpha survive."""
    with np.errstate(invalid="ignore"):
        surviving = adjusted <= alpha
    return Threshold(
        name, description, alpha, smallest(evidence.statistic, surviving), evidence.test, surviving, adjusted
    )


def not_available(name: str, description: str, evidence: Evidence, alpha: float, reason: str) -> Threshold:
    """Return the threshold that lets nothing survive, with the reason."""
    nothing = np.zeros(len(evidence.statistic), bool)
    return Threshold(name, description, alpha, np.nan, evidence.test, nothing, reason=reason)


def smallest(statistic: Map, surviving: Mask) -> float:
    """Return the smallest absolute value that survives; NaN where none does."""
    values = np.abs(np.asarray(statistic)[surviving])
    return float(values.min()) if len(values) else float("nan")


def words_for_tail(evidence: Evidence) -> str:
    """Return the alternative hypothesis in words."""
    return words_of_tail(evidence.test, evidence.tail)
