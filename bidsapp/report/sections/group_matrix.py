"""All contrasts of a group model against regions and thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from bidsapp.errors import InputError
from bidsapp.outputs.results import GroupResults
from bidsapp.outputs.saved.group import GroupContrastRecord
from bidsapp.records.arrays import Labels, Mask
from bidsapp.records.documents import Document
from bidsapp.records.maps import Geometry
from bidsapp.report.drawing.colours import css_colours
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.contrast.shown import Shown, in_mni
from bidsapp.tables.atlas import read_atlases
from bidsapp.vocabulary.thresholds import THRESHOLDS

MAX_REGIONS = 10


@dataclass(frozen=True, slots=True)
class Cell:
    """A contrast in a region: the strongest statistic, of the voxels that survive where any does."""

    value: float
    n_voxels: int
    colours: tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class RegionMap:
    """The regions of an atlas at the voxels of a mask: ``regions`` are indices of ``names``, -1 for none."""

    names: list[str]
    mask: Mask
    regions: Labels


class _Entry(Protocol):
    """What the matrix needs of an entry of the index."""

    @property
    def contrast(self) -> GroupContrastRecord: ...
    @property
    def href(self) -> str: ...
    @property
    def cells(self) -> dict[str, Cell]: ...


def read_regions(results: GroupResults) -> RegionMap | None:
    """Return the regions of the first atlas of the tables; None outside MNI space or where it is gone."""
    choices = results.record.settings.get("group", {}).get("atlas", ())
    if not choices or not in_mni(results):
        return None
    try:
        (atlas,) = read_atlases([Path(choices[0]) if "/" in choices[0] else choices[0]])
    except InputError:
        return None
    volume = results.read_map(results.record.mask)
    mask: Mask = volume.values > 0
    found = atlas.regions_at(Geometry(mask, volume.affine).coordinates())
    keys = sorted(atlas.names)
    at = np.minimum(np.searchsorted(keys, found), len(keys) - 1)
    regions: Labels = np.where(np.array(keys)[at] == found, at, -1)
    return RegionMap([atlas.names[key] for key in keys], mask, regions)


def strongest_of_regions(shown: Shown, regions: RegionMap) -> dict[str, Cell]:
    """Return the cells of a contrast by region."""
    values = np.nan_to_num(shown.whole.values[regions.mask])
    kept = shown.kept[shown.main.method].values[regions.mask] != 0 if shown.main else values > np.inf
    # Survivors after all others, in each the strongest last: what is written last stays.
    order = np.lexsort((np.abs(values), kept))
    best = np.full(len(regions.names) + 1, -1)
    best[regions.regions[order]] = order
    number = np.bincount(regions.regions[kept] + 1, minlength=len(regions.names) + 1)[1:]
    return {
        name: Cell(
            float(values[at]),
            int(number[k]),
            css_colours(float(values[at]) / shown.limit),
        )
        for k, (name, at) in enumerate(zip(regions.names, best[:-1], strict=True))
        if at >= 0
    }


def make_sections(entries: Sequence[_Entry], book: FigureBook) -> list[Section]:
    """Return the matrix of regions, where any survives in a labelled one, and that of thresholds."""
    sections = []
    columns = _regions(entries)
    if columns:
        content = render("group_matrix.html", entries=entries, columns=columns)
        sections.append(Section("Contrasts by regions", "regions-matrix", content))
    methods = dict.fromkeys(t.method for entry in entries for t in entry.contrast.thresholds)
    if methods:
        rows = [_row(entry, list(methods)) for entry in entries]
        names = [THRESHOLDS[m].short if m in THRESHOLDS else m for m in methods]
        content = render("group_matrix_thresholds.html", rows=rows, names=names)
        sections.append(Section("Contrasts by thresholds", "thresholds-matrix", content))
    return sections


def _regions(entries: Sequence[_Entry]) -> list[str]:
    """Return the regions with the most surviving voxels over all contrasts, in the order of the atlas."""
    totals: dict[str, int] = {}
    for entry in entries:
        for name, cell in entry.cells.items():
            totals[name] = totals.get(name, 0) + cell.n_voxels
    chosen = sorted(totals, key=lambda name: -totals[name])[:MAX_REGIONS]
    return [name for name in totals if name in chosen and totals[name]]


def _row(entry: _Entry, methods: Sequence[str]) -> Document:
    by_method = {t.method: t for t in entry.contrast.thresholds}
    main = entry.contrast.main
    return {
        "name": entry.contrast.name,
        "href": entry.href,
        "cells": [by_method.get(method) for method in methods],
        "main": main.method if main else "",
    }
