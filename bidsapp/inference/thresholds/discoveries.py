"""All-Resolutions Inference as a map: the share of active points in every cluster."""

import numpy as np

from bidsapp.inference.ari import find_discoveries
from bidsapp.inference.statistics.clusters import Clusters, find_clusters
from bidsapp.inference.thresholds.surviving import not_available, words_for_tail
from bidsapp.records.arrays import Labels, Mask, Numbers
from bidsapp.records.maps import Evidence, Threshold


def all_resolutions(evidence: Evidence, alpha: float) -> Threshold:
    """Return the clusters in which some points are truly active; ``adjusted`` is 1 - that share.

    Clusters are formed at the uncorrected cluster-forming p, in each tail that is tested.
    """
    p = evidence.cluster_forming_p
    words = (
        f"clusters at one-sided p {p:g} with a share of truly active voxels above 0, at confidence "
        f"{1 - alpha:g} (All-Resolutions Inference), {words_for_tail(evidence)}"
    )
    if not np.isfinite(evidence.log_p).any():
        return not_available("ari", words, evidence, alpha, "no voxel was tested")
    shares, clusters = cluster_proportions(evidence, alpha, p)
    share = np.append(0.0, shares)[clusters.labels]
    surviving = share > 0
    adjusted = np.where(np.isfinite(evidence.log_p), 1.0 - share, np.nan)
    cutoff = float(shares[shares > 0].min()) if surviving.any() else float("nan")
    return Threshold("ari", words, alpha, cutoff, "share of active voxels", surviving, adjusted)


def cluster_proportions(evidence: Evidence, alpha: float, forming_p: float) -> tuple[Numbers, Clusters]:
    """Return the true-discovery proportion of every cluster at a forming p, and the clusters."""
    discoveries = find_discoveries(np.exp(evidence.log_p), alpha)
    one_sided = evidence.log_p - (np.log(2.0) if evidence.tail == "two" else 0.0)
    reached = one_sided <= np.log(forming_p)
    sign = np.sign(evidence.statistic) if evidence.tail == "two" else 1.0
    neighbours = evidence.geometry.neighbours(evidence.connectivity)
    clusters = find_clusters(np.where(reached, sign, 0.0), 1.0, neighbours, two_tailed=True, offset=0.0)
    order = np.argsort(clusters.labels, kind="stable")
    edges = np.searchsorted(clusters.labels[order], np.arange(1, len(clusters.size) + 2))
    shares = [discoveries.proportion(order[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    return np.array(shares), clusters


def region_proportions(evidence: Evidence, alpha: float, regions: Labels) -> dict[int, dict[str, float]]:
    """Return the true-discovery proportion of every region, for effects of each sign that is tested.

    Parameters
    ----------
    regions : ndarray of int, shape (n_points,)
        0 outside regions.

    Returns
    -------
    dict of int to dict
        Region number -> {"positive": share, "negative": share}: lower bounds of the share of the region's
        points that are active with this sign.
    """
    discoveries = find_discoveries(np.exp(evidence.log_p), alpha)
    signs = {"two": ("positive", "negative")}.get(evidence.tail, (evidence.tail,))
    found = {}
    for region in np.unique(regions[regions > 0]):
        members = regions == region
        n_tested = max(int(np.count_nonzero(members & np.isfinite(evidence.log_p))), 1)
        found[int(region)] = {
            sign: discoveries.count(members & _has_sign(evidence, sign)) / n_tested for sign in signs
        }
    return found


def _has_sign(evidence: Evidence, sign: str) -> Mask:
    return evidence.statistic > 0 if sign == "positive" or evidence.test == "F" else evidence.statistic < 0
