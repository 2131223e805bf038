"""What the maps that enter a group model say of themselves: copies, other units, another scale."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from bidsapp.errors import some_names
from bidsapp.records.maps import EffectStack, EstimateFile
from bidsapp.records.plan import DatasetFit

# The fits of a model with what they were made from.
Pairs: TypeAlias = Sequence[tuple[DatasetFit, EffectStack]]

# Effects of people differ in scale by less than this, those in other units (percent, thousands) by more.
SCALE_RATIO = 5.0


def check_inputs(fits: Sequence[DatasetFit], stacks: Sequence[EffectStack]) -> list[str]:
    """Return a sentence on each thing that is wrong with the inputs of the fits of a Dataset node.

    Parameters
    ----------
    fits : list of DatasetFit
    stacks : list of EffectStack
        Of each fit, one digest and scale an input.
    """
    pairs = list(zip(fits, stacks, strict=True))
    return [*find_copies(pairs), *find_other_units(fits), *find_other_scales(pairs)]


def find_copies(pairs: Pairs) -> list[str]:
    """Return a sentence for each set of inputs whose maps are the same, with the files of one contrast."""
    found: dict[tuple[str, ...], list[list[EstimateFile]]] = {}
    for fit, stack in pairs:
        same: dict[str, list[EstimateFile]] = {}
        for entry, digest in zip(fit.inputs, stack.digests, strict=True):
            same.setdefault(digest, []).append(entry)
        for entries in same.values():
            if len(entries) > 1:
                found.setdefault(tuple(map(_name, entries)), []).append(entries)
    return [
        f"Identical maps of {some_names(dict.fromkeys(names))}{_of_contrasts(alike)}: "
        f"{some_names(entry.effect for entry in alike[0])}. If one is a copy, make it again or leave it "
        "out (--exclude-participant-label): it counts as another "
        f"{'person' if len(set(names)) > 1 else 'map'}."
        for names, alike in found.items()
    ]


def find_other_units(fits: Sequence[DatasetFit]) -> list[str]:
    """Return a sentence where sidecars give the inputs different units."""
    units: dict[str | None, dict[str, None]] = {}
    for entry in (entry for fit in fits for entry in fit.inputs):
        units.setdefault(entry.metadata.get("Units"), {})[_name(entry)] = None
    units.pop(None, None)
    if len(units) < 2:
        return []
    said = "; ".join(f"{unit}: {some_names(names)}" for unit, names in units.items())
    return [
        f"The inputs have different units ({said}), and their effects are averaged as they are. Make all of "
        "them in the same unit (--scaling), or leave some out."
    ]


def find_other_scales(pairs: Pairs) -> list[str]:
    """Return a sentence on inputs whose effects are far larger or smaller than those of the others."""
    found: dict[str, tuple[EstimateFile, float]] = {}
    for fit, stack in pairs:
        if stack.scales is None:
            continue
        # The scale of an input, not between two: halves in two units differ from it, too.
        typical = np.sort(stack.scales)[(len(stack.scales) - 1) // 2]
        if typical > 0:
            for entry, ratio in zip(fit.inputs, stack.scales / typical, strict=True):
                if not 1 / SCALE_RATIO <= ratio <= SCALE_RATIO:
                    found.setdefault(_name(entry), (entry, ratio))
    if not found:
        return []
    said = some_names(f"{name} {ratio:.3g} times ({entry.effect})" for name, (entry, ratio) in found.items())
    return [
        f"The effects of some inputs have another scale than those of the others, by their median size: "
        f"{said}. Look whether their unit or scaling is another one; make them again, or leave them out "
        "(--exclude-participant-label)."
    ]


def without_maps(stack: EffectStack) -> EffectStack:
    """Return what is known of the inputs beside their maps, which take most of the memory."""
    return replace(stack, effect=np.empty((0, stack.effect.shape[1]), np.float32), variance=None)


def _name(entry: EstimateFile) -> str:
    return f"sub-{entry.key.entity('sub')}"


def _of_contrasts(alike: Sequence[Sequence[EstimateFile]]) -> str:
    names = list(dict.fromkeys(entry.key.contrast for entries in alike for entry in entries))
    return f" ({some_names(names)})"
