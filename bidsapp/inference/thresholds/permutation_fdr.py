"""False discovery rate over the uncorrected p-values of the shuffles."""

from bidsapp.inference.thresholds.false_discovery import bh_adjusted
from bidsapp.inference.thresholds.surviving import make_threshold, not_available, words_for_tail
from bidsapp.records.maps import Evidence, Threshold


def permutation_fdr(evidence: Evidence, alpha: float) -> Threshold:
    """Return the Benjamini-Hochberg threshold over permutation p-values."""
    words = f"false discovery rate {alpha:g} over p by shuffling, {words_for_tail(evidence)}"
    if evidence.inference is None or evidence.inference.p is None:
        return not_available(
            "fdrPermutation", words, evidence, alpha, "no p-values by shuffling were computed"
        )
    return make_threshold("fdrPermutation", words, evidence, alpha, bh_adjusted(evidence.inference.p))
