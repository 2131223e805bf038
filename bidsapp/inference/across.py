"""Corrected p-values over several contrasts at once: a family."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bidsapp.inference.tails import find_cutoff, p_from_tail
from bidsapp.inference.voxels.test import distribution_of
from bidsapp.records.arrays import Numbers
from bidsapp.records.maps import Inference, StatisticInference
from bidsapp.stats.distributions import to_z

MAXIMUM, HOLM = "maximum over contrasts in each shuffle", "Bonferroni-Holm over contrasts"
# Statistics whose values can be compared between contrasts of different tests: heights as z, and sizes.
COMPARABLE = ("height", "extent")


def correct_across(inferences: Sequence[Inference], names: Sequence[str] = ()) -> list[Inference]:
    """Return the inferences with p_fwe corrected over all of them; their conventions say how ("Family").

    Contrasts that were shuffled alike share one null: the maximum, in each shuffle, over points and
    contrasts (Alberton 2020), voxel heights as z so that no contrast outweighs the others. Contrasts shuffled
    in different ways are corrected by Bonferroni and Holm (1979), contrast after contrast by their smallest
    p: the error rate is that of finding anything in a contrast without any effect.

    Parameters
    ----------
    inferences : list of Inference
    names : sequence of str
        Of the contrasts, for the words.
    """
    alike = len({(one.shuffles_digest, one.n_shuffles) for one in inferences}) == 1
    # As text: unknown dof are NaN, which equals nothing.
    same_scale = len({(one.test, str(one.dof)) for one in inferences}) == 1
    how = MAXIMUM if alike and same_scale else HOLM
    if alike and not same_scale:
        how = f"{MAXIMUM} (height as z, extent), {HOLM} for mass and TFCE"
    listed = f" ({', '.join(names)})" if names else ""
    conventions = {"Family": f"{len(inferences)} contrasts, {how}{listed}"}
    if len(inferences) == 1:
        conventions = {"Family": "1 contrast"}
    found: list[dict[str, StatisticInference]] = [{} for _ in inferences]
    for name in inferences[0].statistics:
        if alike and (name in COMPARABLE or same_scale):
            null = np.max([_null(one, name) for one in inferences], axis=0)
            corrections = [_Correction(one, null) for one in inferences]
        else:
            corrections = _stepwise(inferences, name)
        for one, statistics, correction in zip(inferences, found, corrections, strict=True):
            statistics[name] = _correct(one, name, correction)
    return [
        replace(one, statistics=statistics, conventions=one.conventions | conventions)
        for one, statistics in zip(inferences, found, strict=True)
    ]


@dataclass(frozen=True)
class _Correction:
    """The null of a family on the scale of ``_size``, the factor of its p, and the p that none is below."""

    inference: Inference
    null: Numbers
    factor: int = 1
    least: float = 0.0

    def p_of(self, values: Numbers) -> Numbers:
        """Return the corrected p of values of ``_size``."""
        p = p_from_tail(values, self.null, self.inference.options.tail_approximation)
        return np.minimum(np.maximum(p * self.factor, self.least), 1.0)


def _stepwise(inferences: Sequence[Inference], name: str) -> list[_Correction]:
    """Return the corrections of Holm (1979): the contrast with the smallest p comes first."""
    smallest = [np.nanmin(one.statistics[name].p_fwe, initial=1.0) for one in inferences]
    corrections, least = {}, 0.0
    for rank, place in enumerate(np.argsort(smallest, kind="stable")):
        factor = len(inferences) - rank
        least = max(least, min(smallest[place] * factor, 1.0))
        one = inferences[place]
        corrections[place] = _Correction(one, _null(one, name), factor, least)
    return [corrections[place] for place in range(len(inferences))]


def _correct(inference: Inference, name: str, correction: _Correction) -> StatisticInference:
    statistic, options = inference.statistics[name], inference.options
    p = correction.p_of(_size(inference, name))
    # No family makes a p smaller, outside clusters neither.
    p = np.where(np.isnan(statistic.p_fwe), np.nan, np.maximum(p, statistic.p_fwe))
    cutoff = find_cutoff(
        statistic.null_max, lambda values: correction.p_of(_on_scale(inference, name, values)), options.alpha
    )
    return replace(statistic, p_fwe=p, cutoff=cutoff)


def _null(inference: Inference, name: str) -> Numbers:
    return _on_scale(inference, name, inference.statistics[name].null_max)


def _size(inference: Inference, name: str) -> Numbers:
    observed = inference.statistics[name].observed
    if inference.conventions.get("TwoSided"):
        observed = np.abs(observed)
    elif inference.options.tail == "negative" and inference.test in ("t", "v"):
        observed = -observed
    return _on_scale(inference, name, observed)


def _on_scale(inference: Inference, name: str, values: Numbers) -> Numbers:
    """Return values of a statistic so that contrasts can be compared: heights as z."""
    return to_z(values, distribution_of(inference.test), inference.dof) if name == "height" else values
