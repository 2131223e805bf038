"""Thresholds that can stand side by side: each takes the evidence of a contrast and an error rate."""

from bidsapp.inference.thresholds.bonferroni import bonferroni, holm
from bidsapp.inference.thresholds.discoveries import all_resolutions
from bidsapp.inference.thresholds.false_discovery import benjamini_hochberg, benjamini_krieger_yekutieli
from bidsapp.inference.thresholds.permutation_fdr import permutation_fdr
from bidsapp.inference.thresholds.permutation_fwe import (
    cluster_extent_fwe,
    cluster_mass_fwe,
    height_fwe,
    tfce_fwe,
)
from bidsapp.inference.thresholds.random_field import random_field_cluster, random_field_peak
from bidsapp.inference.thresholds.uncorrected import uncorrected

# Name -> function(Evidence, alpha) -> Threshold, in the order in which they are shown, the main one
# first. The names also label files (``desc-``).
THRESHOLDS = {
    "maxTFCE": tfce_fwe,
    "maxMass": cluster_mass_fwe,
    "maxSize": cluster_extent_fwe,
    "maxT": height_fwe,
    "fdrBH": benjamini_hochberg,
    "fdrBKY": benjamini_krieger_yekutieli,
    "fdrPermutation": permutation_fdr,
    "holm": holm,
    "bonferroni": bonferroni,
    "rftPeak": random_field_peak,
    "rftSize": random_field_cluster,
    "ari": all_resolutions,
    "uncorrected": uncorrected,
}
