"""Thresholds that can stand side by side: each takes the evidence of a contrast and an error rate."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from bidsapp.inference.thresholds.bonferroni import bonferroni, holm
from bidsapp.inference.thresholds.discoveries import all_resolutions
from bidsapp.inference.thresholds.false_discovery import benjamini_hochberg, benjamini_krieger_yekutieli
from bidsapp.inference.thresholds.permutation_fdr import permutation_fdr
from bidsapp.inference.thresholds.permutation_fwe import largest_of_shuffles
from bidsapp.inference.thresholds.random_field import random_field_cluster, random_field_peak
from bidsapp.inference.thresholds.uncorrected import uncorrected
from bidsapp.records.maps import Evidence, Threshold
from bidsapp.vocabulary.statistics import STATISTICS
from bidsapp.vocabulary.thresholds import THRESHOLDS as ROWS

Method: TypeAlias = Callable[[Evidence, float], Threshold]
_BY_NAME: dict[str, Method] = {
    **{row.threshold: partial(largest_of_shuffles, name=row.name) for row in STATISTICS.values()},
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
# Name -> function(Evidence, alpha) -> Threshold, in the order of the vocabulary.
THRESHOLDS = {name: _BY_NAME[name] for name in ROWS}
