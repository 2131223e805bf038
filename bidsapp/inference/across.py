"""Corrected p-values over several contrasts at once."""

from dataclasses import replace

import numpy as np

from bidsapp.inference.tails import p_from_tail
from bidsapp.stats.distributions import f_to_z, t_to_z


def correct_across(inferences):
    """Return the inferences with p_fwe corrected over all of them; their conventions say how ("Family").

    Contrasts that were shuffled alike share one null: the maximum, in each shuffle, over points and
    contrasts (Alberton 2020), voxel heights as z so that no contrast outweighs the others. Contrasts shuffled
    in different ways are corrected by Bonferroni.

    Parameters
    ----------
    inferences : list of Inference
    """
    n_contrasts = len(inferences)
    alike = len({(one.shuffles_digest, one.n_shuffles) for one in inferences}) == 1
    same_scale = len({(one.test, one.dof) for one in inferences}) == 1
    how = "maximum over contrasts in each shuffle" if alike and same_scale else "Bonferroni over contrasts"
    if alike and not same_scale:
        how = "maximum over contrasts in each shuffle (height as z, extent), Bonferroni for mass and TFCE"
    family = f"{n_contrasts} contrasts, {how}"
    corrected = []
    for one in inferences:
        found = {}
        for name, statistic in one.statistics.items():
            if alike and (name in ("height", "extent") or same_scale):
                joint = np.max([_null(other, name) for other in inferences], axis=0)
                p = p_from_tail(_size(one, name), joint, one.options.tail_approximation)
            else:
                p = np.minimum(statistic.p_fwe * n_contrasts, 1.0)
            p = np.where(np.isnan(statistic.p_fwe), np.nan, np.maximum(p, statistic.p_fwe))
            found[name] = replace(statistic, p_fwe=p)
        said = one.conventions | {"Family": family}
        corrected.append(replace(one, statistics=found, clusters=_clusters(one, found), conventions=said))
    return corrected


def _null(inference, name):
    null = inference.statistics[name].null_max
    return _to_z(inference, null) if name == "height" else null


def _size(inference, name):
    observed = inference.statistics[name].observed
    if inference.conventions.get("TwoSided"):
        observed = np.abs(observed)
    elif inference.options.tail == "negative" and inference.test in ("t", "v"):
        observed = -observed
    return _to_z(inference, observed) if name == "height" else observed


def _to_z(inference, values):
    if inference.test == "t":
        return t_to_z(values, inference.dof[1])
    return values if inference.test in ("v", "G") else f_to_z(values, *inference.dof)


def _clusters(inference, statistics):
    """Return the clusters with the p-values of their points."""
    clusters = inference.clusters
    if clusters is None:
        return None
    p = {name: statistics[name].p_fwe[clusters.peak] for name in clusters.p_fwe}
    return replace(clusters, p_fwe=p)
