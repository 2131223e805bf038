"""Family-wise error by the null of the maximum, for every statistic of a map."""

import numpy as np

from bidsapp.inference.statistics import STATISTICS
from bidsapp.inference.thresholds.surviving import not_available, smallest, words_for_tail
from bidsapp.records.maps import OTHER_STATISTICS, Threshold

SCALES = {"extent": "voxels", "mass": "mass", "tfce": "tfce"}


def height_fwe(evidence, alpha):
    """Return the threshold on the height of a voxel."""
    return _fwe(evidence, alpha, "height")


def cluster_extent_fwe(evidence, alpha):
    """Return the threshold on the size of a cluster."""
    return _fwe(evidence, alpha, "extent")


def cluster_mass_fwe(evidence, alpha):
    """Return the threshold on the mass of a cluster."""
    return _fwe(evidence, alpha, "mass")


def tfce_fwe(evidence, alpha):
    """Return the threshold on the enhanced value of a voxel."""
    return _fwe(evidence, alpha, "tfce")


def _fwe(evidence, alpha, name):
    statistic, inference = STATISTICS[name], evidence.inference
    words = f"{statistic.label}, family-wise error {alpha:g} by shuffling, {words_for_tail(evidence)}"
    if statistic.needs == "clusters":
        words += f"; clusters formed at one-sided p {evidence.cluster_forming_p:g}"
    if inference is None or name not in inference.statistics:
        return not_available(statistic.desc, words, evidence, alpha, f"no shuffles of the {statistic.label}")
    words += _how_corrected(inference)
    found = inference.statistics[name]
    with np.errstate(invalid="ignore"):
        surviving = (found.p_fwe <= alpha) & (found.observed != 0)
    is_score = inference.conventions.get("Statistic") in OTHER_STATISTICS
    scale = SCALES.get(name, "score" if is_score else evidence.test)
    # Observed values between two of the null may survive below its smallest one that does.
    cutoff = float(np.fmin(found.cutoff, smallest(found.observed, surviving)))
    return Threshold(statistic.desc, words, alpha, cutoff, scale, surviving, found.p_fwe)


def _how_corrected(inference):
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
