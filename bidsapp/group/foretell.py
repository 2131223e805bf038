"""What a group plan comes to before a map is read: who is in which cell, what shuffles reach, the cost."""

from collections import Counter
from collections.abc import Iterable

from bidsapp.group.check import check_plan, key_of_test
from bidsapp.group.estimands import find_groups
from bidsapp.group.main_threshold import lay_out_contrast
from bidsapp.group.shuffling import make_options
from bidsapp.inference.permutation import Layout
from bidsapp.plan.group.options import find_grids
from bidsapp.plan.memory import SINGLE
from bidsapp.records.documents import Document
from bidsapp.records.maps import InferenceOptions
from bidsapp.records.plan import DatasetFit, GroupPlan
from bidsapp.settings.parts import Settings

# From five calls with 8 and 20 participants at 4 and 2 mm and 0 to 256 shuffles, which took 1.1 to 1.3 times
# the forecast, and 0.9 to 1.1 times its memory.
# Seconds of one processor: to start; tables and pictures of a contrast.
SECONDS_TO_START, SECONDS_PER_CONTRAST = 4.0, 4.5
# Reading a map, per voxel of its grid; a contrast per voxel of the brain, and more where it is shuffled.
SECONDS_PER_VALUE, SECONDS_PER_POINT, SECONDS_IF_SHUFFLED = 4e-8, 2.5e-5, 2e-5
# A shuffle, per voxel: TFCE or clusters, and for each input.
SECONDS_OF_CLUSTERS, SECONDS_OF_INPUT = 1e-7, 3e-11
# With atlases and pages; maps of a contrast, per voxel.
GROUP_GB, BYTES_PER_POINT = 0.52, 1200
# The part of a standard grid that is brain.
BRAIN_SHARE = 0.22


def foretell(plan: GroupPlan, settings: Settings) -> Document:
    """Return what is known of a plan beside its designs.

    Returns
    -------
    dict
        ``fits``: for each fit in order ``cells`` (group -> cell -> participants) and ``contrasts`` (name ->
        ``arrangements``, ``n_shuffles`` and ``smallest_p``, or ``not_shuffled``; empty without shuffles);
        ``forecast``: ``seconds`` of one processor and ``memory_gb``.

    Raises
    ------
    InputError, SettingsError
        What the group level would refuse before it reads a map.
    """
    options = make_options(settings.permutation, settings.group)
    check_plan(plan, settings.group, options)
    fits = [fit for model in plan.models for fit in model.fits]
    known: dict[tuple[object, ...], Document] = {}
    told = [
        {
            "cells": count_cells(fit),
            "contrasts": _foretell_contrasts(fit, settings.group.group_estimator, options, known),
        }
        for fit in fits
    ]
    return {"fits": told, "forecast": forecast_group(fits, told, options)}


def count_cells(fit: DatasetFit) -> dict[str, dict[str, int]]:
    """Return group -> cell -> how many participants have it."""
    groups, _ = find_groups(fit)
    each = len(fit.inputs) // len(groups)
    of_inputs = [group for group in groups for _ in range(each)]
    places = zip(of_inputs, fit.input_cells, (entry.key.entity("sub") for entry in fit.inputs), strict=True)
    cells: dict[str, dict[str, int]] = {}
    for (group, cell), n in Counter((group, cell) for group, cell, _ in set(places)).items():
        cells.setdefault(group, {})[cell] = n
    order = list(dict.fromkeys(fit.input_cells))
    return {
        group: {cell: cells[group][cell] for cell in order if cell in cells[group]} for group in sorted(cells)
    }


def _foretell_contrasts(
    fit: DatasetFit, wanted: str, options: InferenceOptions, known: dict[tuple[object, ...], Document]
) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for contrast in fit.contrasts if options.n_shuffles else ():
        key = key_of_test(fit, contrast)
        if key not in known:
            known[key] = _tell_layout(lay_out_contrast(fit, contrast, wanted, options))
        found[contrast.name] = known[key]
    return found


def _tell_layout(layout: Layout | str) -> Document:
    if isinstance(layout, str):
        return {"not_shuffled": layout}
    shuffles = layout.shuffles
    return {"arrangements": shuffles.n_distinct, "n_shuffles": len(shuffles), "smallest_p": layout.smallest_p}


def forecast_group(
    fits: Iterable[DatasetFit], told: Iterable[Document], options: InferenceOptions
) -> dict[str, float]:
    """Return the seconds of one processor for all fits, and the memory in GB of the largest one."""
    clusters = bool(set(options.statistics) - {"height"})
    seconds, largest = SECONDS_TO_START, 0.0
    for fit, of_fit in zip(fits, told, strict=True):
        n_grid = sum(grid.mask.size for grid in find_grids([fit]))
        n_voxels, n_inputs = BRAIN_SHARE * n_grid, len(fit.inputs)
        n_maps = n_inputs + sum(entry.variance is not None for entry in fit.inputs)
        seconds += n_maps * n_grid * SECONDS_PER_VALUE
        each = clusters * SECONDS_OF_CLUSTERS + len(fit.subjects) * fit.n_scores * SECONDS_OF_INPUT
        n_shuffles = sum(one.get("n_shuffles", 0) for one in of_fit["contrasts"].values())
        seconds += len(fit.contrasts) * (SECONDS_PER_CONTRAST + n_voxels * SECONDS_PER_POINT)
        n_shuffled = sum("n_shuffles" in one for one in of_fit["contrasts"].values())
        seconds += n_voxels * (n_shuffles * each + n_shuffled * SECONDS_IF_SHUFFLED)
        # The maps, and the data that are shuffled.
        largest = max(largest, ((n_maps + n_inputs) * SINGLE + BYTES_PER_POINT) * n_voxels / 1e9)
    return {"seconds": round(seconds, 1), "memory_gb": round(GROUP_GB + largest, 3)}
