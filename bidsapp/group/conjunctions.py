"""Conjunctions of the group contrasts of a Dataset node, by the minimum statistic."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from bidsapp.group.inputs import without_maps
from bidsapp.group.main_threshold import choose_main, order_thresholds
from bidsapp.group.write import GroupResult
from bidsapp.inference.thresholds import THRESHOLDS
from bidsapp.plan.group.options import read_conjunctions
from bidsapp.records.maps import Contrast, Evidence, Geometry, GroupEstimate, InferenceOptions
from bidsapp.settings.parts import GroupOptions
from bidsapp.stats.distributions import z_to_log_p
from bidsapp.stats.group.conjunction import conjoin

WORDS = "conjunction of {} by the minimum statistic (Nichols et al. 2005)"


class Conjunctions:
    """Keeps the z-maps that conjunctions need while the contrasts of a node are fitted, then combines them.

    Parameters
    ----------
    group : GroupOptions
    options : InferenceOptions
    """

    def __init__(self, group: GroupOptions, options: InferenceOptions) -> None:
        self._declared, self._options = group.main_threshold, options
        self._wanted = read_conjunctions(group.conjunction)
        self._results: dict[str, GroupResult] = {}

    def add(self, result: GroupResult) -> None:
        """Keep what is needed of a contrast."""
        name = result.contrast.name
        if any(name in members for members in self._wanted.values()):
            self._results[name] = replace(result, stack=without_maps(result.stack))

    def conjoin(self) -> Iterator[GroupResult]:
        """Yield the result of every conjunction whose contrasts this node makes (the plan checked them)."""
        for name, members in self._wanted.items():
            if all(member in self._results for member in members):
                yield self._make(name, [self._results[member] for member in members])

    def _make(self, name: str, parts: Sequence[GroupResult]) -> GroupResult:
        first = parts[0]
        geometry = Geometry(
            np.all([part.stack.geometry.mask for part in parts], axis=0), first.stack.geometry.affine
        )
        maps = [part.stack.geometry.volume(part.estimate.z)[geometry.mask] for part in parts]
        tail = self._options.tail
        z, p = conjoin(np.stack(maps), tail=tail)
        evidence = Evidence(
            test="z",
            statistic=z,
            z=z,
            log_p=z_to_log_p(z, tail=tail),
            dof=(1.0, np.inf),
            tail=tail,
            geometry=geometry,
            cluster_forming_p=self._options.cluster_forming_p,
            connectivity=self._options.connectivity,
        )
        thresholds = [make(evidence, self._options.alpha) for make in THRESHOLDS.values()]
        main = choose_main(self._declared, is_conjunction=True)
        thresholds = order_thresholds(thresholds, main)
        unknown = np.full(z.shape, np.nan)
        estimate = GroupEstimate(name, "z", unknown, None, z, z, p, np.full(z.shape, np.inf), 1)
        members = [part.contrast.name for part in parts]
        fit = replace(first.fit, contrast=None, group_contrasts={name: " and ".join(members)})
        contrast = Contrast(name, "t", first.contrast.columns, first.contrast.weights)
        stack = replace(first.stack, geometry=geometry)
        words = WORDS.format(", ".join(members))
        return GroupResult(fit, contrast, stack, estimate, None, thresholds, [], main, words)
