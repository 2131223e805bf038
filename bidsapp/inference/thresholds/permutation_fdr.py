"""False discovery rate over the uncorrected p-values of the shuffles."""

from dataclasses import replace

import numpy as np

from bidsapp.inference.thresholds.false_discovery import bh_adjusted
from bidsapp.inference.thresholds.surviving import make_threshold, not_available, words_for_tail
from bidsapp.records.arrays import Map
from bidsapp.records.maps import Evidence, Inference, Threshold

# Of the voxels: where more of them must have the smallest p of all before any can survive, q says little.
# The default of 1,000 shuffles asks for 2 % at .05.
LARGEST_SHARE = 0.025


def permutation_fdr(evidence: Evidence, alpha: float) -> Threshold:
    """Return the Benjamini-Hochberg threshold over permutation p-values."""
    words = f"false discovery rate {alpha:g} over p by shuffling, {words_for_tail(evidence)}"
    if evidence.inference is None or evidence.inference.p is None:
        return not_available(
            "fdrPermutation", words, evidence, alpha, "no p-values by shuffling were computed"
        )
    threshold = make_threshold("fdrPermutation", words, evidence, alpha, bh_adjusted(evidence.inference.p))
    return replace(threshold, warnings=_warn_of_few_shuffles(evidence.inference, evidence.inference.p, alpha))


def _warn_of_few_shuffles(inference: Inference, p: Map, alpha: float) -> tuple[str, ...]:
    """Return that the smallest p of the shuffles is too large for q, which no data can change."""
    smallest = inference.smallest_p
    if smallest <= LARGEST_SHARE * alpha:
        return ()
    n_voxels = np.count_nonzero(np.isfinite(p))
    least = int(np.ceil(n_voxels * smallest / alpha - 1e-9))
    n_needed = int(np.ceil(1 / (LARGEST_SHARE * alpha) - 1e-9))
    remedy = (
        "No more distinct shuffles exist: use another threshold."
        if inference.exact
        else f"Use another threshold, or set --n-permutations to {n_needed:,} or more."
    )
    return (
        f"Before any voxel can survive, {least:,} of {n_voxels:,} must have the smallest p that "
        f"{inference.n_shuffles:,} shuffles can give, {smallest:.2g}: "
        f"these are too few shuffles for it. {remedy}",
    )
