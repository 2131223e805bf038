"""A linked view as a page holds it: its description, and the arrays that it refers to."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import zoom
from scipy.stats import t as student

from bidsapp.records.arrays import Labels, Mask, Matrix
from bidsapp.records.documents import Document
from bidsapp.records.maps import Geometry
from bidsapp.report.drawing.background import Background
from bidsapp.report.drawing.glass import upright
from bidsapp.report.linked.content import Atlas, Detectable, Effect, Rule, Size, Statistic, Subjects, View
from bidsapp.report.linked.cortex import voxels_of_vertices
from bidsapp.report.linked.pack import (
    DOF_STEP,
    SIZE_STEP,
    STATISTIC_STEP,
    Parts,
    code_counts,
    code_p,
    code_percent,
    code_rows,
    code_statistic,
    code_steps,
    printed_digits,
)

UNDERLAY_STEP_MM, N_GREYS = 2.0, 48
PROBABILITY = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class PackedView:
    """The description of a view, the arrays that it is drawn from, and those of the subjects' effects."""

    description: Document
    maps: Parts
    effects: Parts


def pack_view(view: View) -> PackedView:
    """Return a view as text."""
    maps, effects = Parts(), Parts()
    order, affine, mask = _upright(view.geometry)
    statistic = view.statistic
    description = {
        "anchor": view.anchor,
        "grid": _grid(mask.shape, affine) | {"mask": maps.add(np.packbits(mask.ravel(), bitorder="little"))},
        "statistic": _statistic(statistic, order, maps),
        "limit": view.limit,
        "position": [float(v) for v in view.position],
        "words": list(view.words),
        "layer": view.layer,
        "note": view.note,
        "rules": [_rule(rule, order, maps) for rule in view.rules],
        "survivors": maps.add(_bits(view.rules, order)),
        "effect": view.effect and _effect(view.effect, order, maps),
        "size": view.size and _size(view.size, order, maps),
        "detectable": view.detectable and _detectable(view.detectable, order, maps),
        "atlases": [_atlas(atlas, order, maps) for atlas in view.atlases],
        "underlays": [_underlay(under, maps) for under in view.underlays],
        "vertices": _vertices(view, order, maps) if view.on_cortex else None,
        "subjects": view.subjects and _subjects(view.subjects, order, effects),
    }
    return PackedView(description, maps, effects)


def _upright(geometry: Geometry) -> tuple[Labels, Matrix, Mask]:
    """Return the order of the points on an upright grid, its affine and its mask."""
    index, affine = upright(geometry.volume(np.arange(geometry.n_points), fill=-1), geometry.affine)
    mask = index >= 0
    return index[mask], affine, mask


def _grid(shape: Sequence[int], affine: Matrix) -> Document:
    return {"shape": list(shape), "step": np.diag(affine)[:3].tolist(), "corner": affine[:3, 3].tolist()}


def _underlay(under: Background, parts: Parts) -> Document:
    levels, affine = _grey_levels(under)
    return _grid(levels.shape, affine) | {"name": under.name, "greys": N_GREYS - 1, "map": parts.add(levels)}


@lru_cache(maxsize=4)
def _grey_levels(under: Background) -> tuple[np.ndarray, Matrix]:
    """Return an anatomy as grey levels on a grid of 2 mm or coarser, and its affine."""
    steps = np.diag(under.affine)[:3]
    values = zoom(under.values, np.minimum(steps / UNDERLAY_STEP_MM, 1.0), order=1)
    affine = np.diag([*(steps * np.array(under.values.shape) / values.shape), 1.0])
    affine[:3, 3] = under.affine[:3, 3] + (np.diag(affine)[:3] - steps) / 2
    return np.rint(np.clip(values, 0, 1) * (N_GREYS - 1)).astype(np.uint8), affine


def _vertices(view: View, order: Labels, parts: Parts) -> Document:
    """Return 1 + the point of each vertex, 0 for none."""
    main = view.rules[0].survives if view.rules else None
    vertices = voxels_of_vertices(view.geometry, view.statistic.values, main)
    # The last is that of -1.
    place = np.append(np.argsort(order), -1)
    return parts.add(_small(place[vertices] + 1))


def _statistic(statistic: Statistic, order: Labels, parts: Parts) -> Document:
    curve = statistic.curve
    null = statistic.null_max
    return {
        "name": statistic.name,
        "dof": statistic.dof,
        "dofs": None
        if statistic.dof_map is None
        else parts.add(code_steps(statistic.dof_map[order], DOF_STEP), DOF_STEP),
        "signed": statistic.signed,
        "tail": statistic.tail,
        "map": parts.add(code_statistic(statistic.values[order]), STATISTIC_STEP),
        "curve": None
        if curve is None
        else {"at": curve[:, 0].round(4).tolist(), "logp": np.log10(curve[:, 1]).round(4).tolist()},
        "nullMax": None if null is None else np.sort(np.abs(null)).round(3).tolist(),
    }


def _rule(rule: Rule, order: Labels, parts: Parts) -> Document:
    counts = None
    if rule.p is not None and rule.n_shuffles:
        counts = code_counts(rule.p[order], rule.n_shuffles)
    return {
        "method": rule.method,
        "title": rule.title,
        "label": rule.label,
        "n": int(np.count_nonzero(rule.survives)),
        "cutoff": rule.cutoff,
        "shuffles": rule.n_shuffles if counts is not None else None,
        "p": None if rule.p is None else parts.add(code_p(rule.p[order]) if counts is None else counts),
        "share": None if rule.share is None else parts.add(code_percent(rule.share[order])),
    }


def _bits(rules: Sequence[Rule], order: Labels) -> np.ndarray:
    """Return for each voxel the rules that it survives: bit k is rule k."""
    bits = np.zeros(len(order), np.uint32)
    for k, rule in enumerate(rules):
        bits |= rule.survives[order].astype(np.uint32) << np.uint32(k)
    return bits


def _effect(effect: Effect, order: Labels, parts: Parts) -> Document:
    """Return an effect and the limits of its interval as the page prints them, in units of the last digit."""
    digits = printed_digits(effect.errors)[order]
    half = effect.quantile * effect.errors
    maps = {"values": effect.values, "low": effect.values - half, "high": effect.values + half}
    coded = {key: parts.add(code_steps(values[order] * 10.0**digits, 1)) for key, values in maps.items()}
    return {"name": effect.name, "unit": effect.unit, "digits": parts.add(digits), **coded}


def _size(size: Size, order: Labels, parts: Parts) -> Document:
    maps = {"values": size.values, "low": size.low, "high": size.high}
    return {"name": size.name} | {
        key: parts.add(code_steps(values[order], SIZE_STEP), SIZE_STEP)
        for key, values in maps.items()
        if values is not None
    }


def _detectable(found: Detectable, order: Labels, parts: Parts) -> Document:
    """Return the smallest effects in units of their last digit: three digits that count."""
    values = np.where(found.values > 0, found.values, np.nan)[order]
    digits = np.clip(2 - np.floor(np.log10(np.nan_to_num(values, nan=1.0))), 0, 6).astype(np.uint8)
    steps = parts.add(code_steps(values * 10.0**digits, 1))
    return {"power": found.power, "digits": parts.add(digits), "values": steps}


def _atlas(atlas: Atlas, order: Labels, parts: Parts) -> Document:
    """Return the labels of an atlas; names of regions without a voxel are left out."""
    found, regions = np.unique(atlas.regions[order], return_inverse=True)
    names = ["" if region < 0 else atlas.names[region] for region in found]
    return {
        "title": atlas.title,
        "names": names,
        "regions": parts.add(_small(regions)),
        "percent": None if atlas.percent is None else parts.add(atlas.percent[order].astype(np.uint8)),
    }


def _subjects(subjects: Subjects, order: Labels, parts: Parts) -> Document:
    n = len(subjects.names)
    quantiles = np.asarray(student.ppf((1 + PROBABILITY) / 2, np.arange(1, max(n, 2))))
    rows = code_rows(subjects.values[:, order])
    stored = {
        "codes": parts.add(rows.codes),
        "start": parts.add(rows.start, rows.step),
        "span": parts.add(rows.span, rows.step),
    }
    return {
        "names": list(subjects.names),
        "unit": subjects.unit,
        "groups": list(subjects.groups),
        "group": [int(g) for g in subjects.group] or [0] * n,
        "cells": list(subjects.cells),
        "cell": [int(c) for c in subjects.cell] or [0] * n,
        "covariate": None if subjects.covariate is None else [float(x) for x in subjects.covariate],
        "axis": subjects.axis,
        "ownSlopes": subjects.own_slopes,
        "from": subjects.start,
        "joined": subjects.joined or max(len(subjects.cells), 1),
        "note": subjects.note,
        "error": rows.error,
        # Of an interval of a mean of 2, 3, ... values.
        "quantiles": quantiles.round(5).tolist(),
        "bytes": sum(map(len, parts.texts.values())),
        **stored,
    }


def _small(numbers: Labels) -> np.ndarray:
    """Return numbers from 0 on in as few bytes as they need."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))
