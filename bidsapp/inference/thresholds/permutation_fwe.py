"""Family-wise error by the null of the maximum, for every statistic of a map."""

import numpy as np

from bidsapp.inference.thresholds.surviving import not_available, smallest, words_for_tail
from bidsapp.inference.voxels.test import FOLLOWED_AS_Z
from bidsapp.records.maps import OTHER_STATISTICS, Evidence, Inference, Threshold
from bidsapp.vocabulary.statistics import STATISTICS


def largest_of_shuffles(evidence: Evidence, alpha: float, name: str) -> Threshold:
    """Return the threshold on the statistic of a map that is called ``name``."""
    statistic, inference = STATISTICS[name], evidence.inference
    words = f"{statistic.label}, family-wise error {alpha:g} by shuffling, {words_for_tail(evidence)}"
    if statistic.needs == "clusters":
        words += f"; clusters formed at one-sided p {evidence.cluster_forming_p:g}"
    if inference is None or name not in inference.statistics:
        is_conjunction = evidence.test == "z"
        reason = (
            "a conjunction is not shuffled" if is_conjunction else f"no shuffles of the {statistic.label}"
        )
        return not_available(statistic.threshold, words, evidence, alpha, reason)
    words += _how_corrected(inference)
    found = inference.statistics[name]
    with np.errstate(invalid="ignore"):
        surviving = (found.p_fwe <= alpha) & (found.observed != 0)
    is_score = inference.conventions.get("Statistic") in OTHER_STATISTICS
    own = "score" if is_score else "z" if inference.test in FOLLOWED_AS_Z else evidence.test
    scale = statistic.scale or own
    # Observed values between two of the null may survive below its smallest one that does.
    cutoff = float(np.fmin(found.cutoff, smallest(found.observed, surviving)))
    return Threshold(statistic.threshold, words, alpha, cutoff, scale, surviving, found.p_fwe)


def _how_corrected(inference: Inference) -> str:
    """Return what is unlike counting all shuffles of one contrast, in words."""
    said, options = [], inference.options
    if "contrasts" in inference.conventions["Family"]:
        said.append(f"corrected over {inference.conventions['Family']}")
    if options.tail_approximation != "none":
        curve = {"gpd": "generalised Pareto tail", "gamma": "gamma distribution"}
        said.append(f"p from a {curve[options.tail_approximation]} fitted to {inference.n_shuffles} shuffles")
    if options.stop_when_decided and not inference.exact:
        said.append(f"stopped after {inference.n_shuffles} shuffles")
    return "".join(f"; {one}" for one in said)
