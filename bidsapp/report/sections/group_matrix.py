"""All contrasts of a group model against regions and thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.outputs.results import GroupResults
from bidsapp.records.arrays import Mask
from bidsapp.records.documents import Document
from bidsapp.records.maps import Geometry
from bidsapp.report.drawing.colours import css_colours
from bidsapp.report.linked.content import Atlas
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.contrast.shown import Shown, in_mni
from bidsapp.report.sections.linked_view import chosen_atlases, read_regions
from bidsapp.vocabulary.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from bidsapp.report.sections.group_contrasts import Entry

MAX_REGIONS = 10


@dataclass(frozen=True, slots=True)
class Cell:
    """A contrast in a region: the strongest statistic as tested, of what survives where anything does."""

    value: float
    n_voxels: int
    colours: tuple[str, str]


def strongest_of_regions(shown: Shown) -> dict[str, Cell]:
    """Return the cells of a contrast by region of the first atlas of its tables, empty without one."""
    found = _read_first_atlas(shown.results)
    if found is None:
        return {}
    mask, atlas = found
    values = np.nan_to_num(shown.whole.values[mask])
    kept = shown.kept[shown.main.method].values[mask] != 0 if shown.main else values > np.inf
    # Survivors after all others, in each the strongest last: what is written last stays.
    order = np.lexsort((shown.toward(values), kept))
    best = np.full(len(atlas.names) + 1, -1)
    best[atlas.regions[order]] = order
    number = np.bincount(atlas.regions[kept] + 1, minlength=len(atlas.names) + 1)[1:]
    return {
        name: Cell(float(values[at]), int(number[k]), css_colours(float(values[at]) / shown.limit))
        for k, (name, at) in enumerate(zip(atlas.names, best[:-1], strict=True))
        if at >= 0 and shown.toward(values[at]) > 0
    }


@lru_cache(maxsize=1)
def _read_first_atlas(results: GroupResults) -> tuple[Mask, Atlas] | None:
    """Return the mask of a model and the first atlas in it, once for all contrasts of the model."""
    if not in_mni(results):
        return None
    volume = results.read_map(results.record.mask)
    mask: Mask = volume.values > 0
    found = read_regions(chosen_atlases(results)[:1], Geometry(mask, volume.affine))
    return (mask, found[0]) if found else None


def make_sections(entries: Sequence["Entry"], book: FigureBook) -> list[Section]:
    """Return the matrix of regions, where any survives in a labelled one, and that of thresholds."""
    sections = []
    columns = _regions(entries)
    if columns:
        tails = {entry.contrast.main.tail for entry in entries if entry.contrast.main}
        content = render("group_matrix.html", entries=entries, columns=columns, one_sided=tails != {"two"})
        sections.append(Section("Contrasts by regions", "regions-matrix", content))
    methods = dict.fromkeys(t.method for entry in entries for t in entry.contrast.thresholds)
    if methods:
        rows = [_row(entry, list(methods)) for entry in entries]
        names = [THRESHOLDS[m].short if m in THRESHOLDS else m for m in methods]
        content = render("group_matrix_thresholds.html", rows=rows, names=names)
        sections.append(Section("Contrasts by thresholds", "thresholds-matrix", content))
    return sections


def _regions(entries: Sequence["Entry"]) -> list[str]:
    """Return the regions with the most surviving voxels over all contrasts, in the order of the atlas."""
    totals: dict[str, int] = {}
    for entry in entries:
        for name, cell in entry.cells.items():
            totals[name] = totals.get(name, 0) + cell.n_voxels
    chosen = sorted(totals, key=lambda name: -totals[name])[:MAX_REGIONS]
    return [name for name in totals if name in chosen and totals[name]]


def _row(entry: "Entry", methods: Sequence[str]) -> Document:
    by_method = {t.method: t for t in entry.contrast.thresholds}
    main = entry.contrast.main
    return {
        "name": entry.contrast.name,
        "href": entry.href,
        "cells": [by_method.get(method) for method in methods],
        "main": main.method if main else "",
    }
