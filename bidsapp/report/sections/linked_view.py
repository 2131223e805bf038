"""The linked view of a group contrast, from its record and maps."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from os.path import commonprefix
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from bidsapp.errors import InputError
from bidsapp.outputs.results import GroupResults, Volume
from bidsapp.outputs.saved.common import rows_of
from bidsapp.outputs.saved.group import GroupContrastRecord, ThresholdRecord
from bidsapp.records.arrays import Map, Maps, Matrix, Numbers
from bidsapp.records.maps import Geometry
from bidsapp.report.drawing.background import Background
from bidsapp.report.linked.content import Atlas, Detectable, Effect, Rule, Size, Statistic, Subjects, View
from bidsapp.report.linked.view import PROBABILITY
from bidsapp.report.sections.contrast.hypothesis import find_hypothesis, plain
from bidsapp.report.sections.peak_effects import find_groups, find_joined, label_inputs
from bidsapp.tables.atlas import MIN_PERCENT, read_atlases, say_near
from bidsapp.vocabulary.thresholds import THRESHOLDS, ThresholdWords

# Atlases on a grid that are kept for the other pages of a call.
MOST_KEPT = 8
UNCORRECTED = next(row for row in THRESHOLDS.values() if row.controls == "none")
N_CURVE = 801
SMALLEST_P = 1e-300
# Of the range of a covariate: a mean that is zero but for rounding.
CENTRED = 1e-6
BEFORE = " Effects before the smoothing of the group level."
NO_SUBJECTS = (
    "The maps of the subjects' effects were not there when this page was made, or lie on another grid."
)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the view shares with the still pictures of its section, as of ``View``."""

    anchor: str
    statistic: str
    limit: float
    position: Sequence[float]
    underlays: Sequence[Background]
    on_cortex: bool


def make_view(
    results: GroupResults, contrast: GroupContrastRecord, kept: Sequence[Volume], look: Look
) -> View:
    """Return what the view of a contrast shows; ``kept`` is what survives each of its thresholds."""
    statistic = look.statistic
    whole = results.read_map(contrast.maps[statistic])
    inside = (results.read_map(results.record.mask).values > 0) & np.isfinite(whole.values)
    reader = _Reader(results, contrast, Geometry(inside, whole.affine))
    values = whole.values[inside]
    rules = [
        reader.rule(threshold, volume, statistic)
        for threshold, volume in zip(contrast.thresholds, kept, strict=True)
        if threshold in contrast.usable and not threshold.reason
    ]
    subjects, hypothesis = reader.subjects(), find_hypothesis(contrast)
    return View(
        anchor=look.anchor,
        geometry=reader.geometry,
        statistic=reader.statistic(statistic, values),
        limit=look.limit,
        position=look.position,
        underlays=look.underlays,
        on_cortex=look.on_cortex,
        rules=rules,
        effect=reader.effect(hypothesis.quantity),
        size=reader.size(slope=hypothesis.kind == "slope"),
        detectable=reader.detectable(),
        atlases=read_regions(chosen_atlases(results), reader.geometry, near=True) if look.on_cortex else (),
        subjects=subjects and replace(subjects, groups=plain(subjects.groups)),
        words=(hypothesis.above.phrase, hypothesis.below.phrase),
        note=NO_SUBJECTS,
    )


class _Reader:
    """Reads the parts of a view of one contrast at the points of one geometry."""

    def __init__(self, results: GroupResults, contrast: GroupContrastRecord, geometry: Geometry) -> None:
        self.results, self.contrast, self.geometry = results, contrast, geometry

    def at_points(self, path: str) -> Map:
        """Return a map at the points of the view."""
        values: Map = self.results.read_map(path).values[self.geometry.mask]
        return values

    def maps(self, *keys: str) -> list[Map] | None:
        """Return maps of the contrast, None where one is not there."""
        paths = [self.contrast.maps.get(key) for key in keys]
        there = [path for path in paths if self.results.has(path)]
        return [self.at_points(path) for path in there] if len(there) == len(paths) else None

    def statistic(self, name: str, values: Map) -> Statistic:
        """Return the map with what p its values have."""
        contrast = self.contrast
        tail = contrast.main.tail if contrast.main else "two"
        dof = _numbers(contrast.dof)
        top = float(np.max(np.abs(values), initial=1.0))
        of_map = [
            t.method for t in contrast.thresholds if _words_of(t).statistic == "height" and _cuts(t, name)
        ]
        null = next((null for null in contrast.nulls or () if null.statistic in of_map), None)
        known = null is not None and self.results.has(null.table)
        varying = None if dof or name == "z" else self.maps("dof")
        first = contrast.dof[:-1] if isinstance(contrast.dof, list) else []
        return Statistic(
            name,
            values,
            tuple(n for n in first if n is not None) if varying else dof if name != "z" else None,
            signed=name != "F",
            tail=tail,
            curve=make_curve(name, dof, top),
            null_max=self.results.read_table(null.table)[null.column].to_numpy(float)
            if known and null
            else None,
            dof_map=varying[0] if varying else None,
        )

    def rule(self, threshold: ThresholdRecord, volume: Volume, statistic: str) -> Rule:
        """Return a threshold with what survives it and its p."""
        is_uncorrected = _words_of(threshold).controls == "none"
        path = self.contrast.maps.get("p") if is_uncorrected else threshold.p_map
        p, n_shuffles = None, None
        if self.results.has(path):
            p = self.at_points(path)
            if is_uncorrected and threshold.tail == "two" and self.contrast.test != "F":
                # It goes by the p of each tail, as its tables do.
                p = p / 2
            if "_stat-logp_" in path:
                p = 10.0 ** -p.astype(float)
                permutation = self.contrast.permutation if _words_of(threshold).needs == "shuffles" else None
                n_shuffles = permutation.n_shuffles if permutation else None
        return Rule(
            method=threshold.method,
            title=threshold.title,
            label=label_uncorrected(signed=statistic != "F")
            if is_uncorrected
            else _words_of(threshold).short,
            survives=np.nan_to_num(volume.values[self.geometry.mask]) != 0,
            p=p,
            n_shuffles=n_shuffles,
            cutoff=threshold.cutoff if _cuts(threshold, statistic) else None,
            share=self.at_points(threshold.share_map) if self.results.has(threshold.share_map) else None,
        )

    def effect(self, name: str) -> Effect | None:
        """Return the effect with its standard error and what it is called, None for tests that have none."""
        found = self.maps("effect", "variance")
        if found is None:
            return None
        dof = self.maps("dof")
        share = (1 + PROBABILITY) / 2
        numbers = _numbers(self.contrast.dof)
        quantile = (
            float(stats.t.ppf(share, numbers[0]))
            if numbers
            else stats.t.ppf(share, dof[0])
            if dof
            else np.nan
        )
        errors = np.sqrt(np.maximum(found[1], 0))
        return Effect(name, self.contrast.units or "", found[0], errors, quantile)

    def size(self, *, slope: bool) -> Size | None:
        """Return the standardised effect: Hedges' g, r of a slope, of F the share that it explains."""
        share = self.maps("effect", "partialrsquare") if slope else None
        if share:
            return Size("partial r", np.sign(share[0]) * np.sqrt(share[1]))
        found = self.maps("g", "gLow", "gHigh")
        if found:
            return Size("Hedges\u2019 g", *found)
        share = self.maps("partialrsquare") if self.contrast.test == "F" else None
        return Size("partial R\u00b2", *share) if share else None

    def detectable(self) -> Detectable | None:
        """Return the smallest effect that could have been found."""
        found, record = self.maps("detectable"), self.contrast.detectable
        return Detectable(found[0], record.power) if found and record else None

    def subjects(self) -> Subjects | None:
        """Return the effect of every input, None where their maps are not there or lie on another grid."""
        contrast, values = self.contrast, self._effects()
        if values is None:
            return None
        labels = label_inputs(contrast)
        names = [label.split(" ")[0] for label in labels]
        cells = list(dict.fromkeys(label.split(" ", 1)[1] for label in labels if " " in label))
        groups = find_groups(self.results, list(dict.fromkeys(names)))
        group = {subject: k for k, members in enumerate(groups.values()) for subject in members}
        found = Subjects(
            names,
            values,
            contrast.input_units or "",
            groups=list(groups),
            group=[group.get(name, 0) for name in names],
            cells=cells,
            cell=[cells.index(label.split(" ", 1)[1]) for label in labels] if cells else (),
        )
        smoothed = self.results.record.settings.get("group", {}).get("group_smoothing_fwhm")
        before = BEFORE if smoothed and not self.results.has(contrast.tested) else ""
        design = None if cells else self._design(names)
        if design is not None:
            split = _split_by_product(contrast, design, found)
            slopes = _find_slopes(contrast, design, split)
            if slopes is not None:
                shown = None if slopes.by_group else self._shown(slopes.axis, names)
                over = _over_covariate(split, design, slopes, shown=shown)
                return replace(over, note=over.note + before)
        start = _start(contrast, found)
        note = "Bars: 95 % intervals" + (" of means within subjects (Cousineau-Morey)." if cells else ".")
        if start is not None:
            origin = (found.cells or plain(found.groups))[start]
            note += f" The difference is drawn from the mean of {origin} on (dotted)."
        adjusted = None if design is None else _beside_groups(design, found)
        if adjusted:
            note += (
                f" What is tested is adjusted for {', '.join(adjusted)}; dots and means of groups are not."
            )
        return replace(found, start=start, joined=find_joined(self.results, cells), note=note + before)

    def _effects(self) -> Maps | None:
        """Return the effects of the inputs as they were tested, shape (n_inputs, n_points).

        Of records without them those of their files; None where these are not there, or lie on another grid.
        """
        contrast, inside = self.contrast, self.geometry.mask
        if self.results.has(contrast.tested):
            return self.results.read_map(contrast.tested).values[inside].T
        paths = [each.effect for each in contrast.inputs]
        if not paths or not all(map(self.results.has, paths)):
            return None
        maps = []
        for path in paths:
            values = self.results.read_map(path).values
            if values.shape != inside.shape:
                return None
            maps.append(values[inside])
        return np.stack(maps)

    def _design(self, names: Sequence[str]) -> pd.DataFrame | None:
        """Return the design, a row an input; None where it is not there or lacks an input."""
        path = self.contrast.design or self.results.record.design
        if not self.results.has(path):
            return None
        table = self.results.read_table(path)
        table = table.set_index(table.columns[0])
        table.index = table.index.astype(str)
        return table.loc[list(names)] if set(names) <= set(table.index) else None

    def _shown(self, column: str, names: Sequence[str]) -> list[float] | None:
        """Return the values of a covariate as they were given, before any centring; None if not known."""
        given = {
            member.label: (member.covariates or {}).get(column) for member in self.results.record.subjects
        }
        values = [given.get(name) for name in names]
        known = [float(v) for v in values if isinstance(v, (int, float))]
        return known if len(known) == len(values) else None


def short_title(title: str) -> str:
    """Return the abbreviation of an atlas where its title has one, else how the title begins."""
    found = re.search(r"\(([A-Z][A-Z0-9]+)\)", title)
    return found[1] if found else title.split(" (")[0].split(",")[0]


def read_regions(choices: Iterable[str], geometry: Geometry, *, near: bool = False) -> list[Atlas]:
    """Return the regions of atlases, named as for ``--atlas``, at points; one that is gone is left out.

    ``near``: places beside a region, and small shares, have the labels that peaks have in tables.
    """
    affine = np.asarray(geometry.affine, float).tobytes()
    grid = geometry.mask.shape, affine, np.packbits(geometry.mask).tobytes()
    found = (_find_regions(choice, _stamp(choice), near, *grid) for choice in choices)
    return [atlas for atlas in found if atlas is not None]


def _stamp(choice: str) -> tuple[int, ...]:
    """Return what tells a state of an own atlas from another; nothing for those of the app."""
    if "/" not in choice or not Path(choice).is_file():
        return ()
    now = Path(choice).stat()
    return now.st_mtime_ns, now.st_size


@lru_cache(maxsize=MOST_KEPT)
def _find_regions(
    choice: str, _stamp: tuple[int, ...], near: bool, shape: tuple[int, ...], affine: bytes, mask: bytes
) -> Atlas | None:
    """Return the regions of an atlas on a grid, for all pages of a call: what is near takes seconds."""
    inside = np.unpackbits(np.frombuffer(mask, np.uint8), count=prod(shape)).reshape(shape)
    geometry = Geometry(inside.astype(bool), np.frombuffer(affine).reshape(4, 4))
    positions = geometry.coordinates()
    try:
        (atlas,) = read_atlases([Path(choice) if "/" in choice else choice])
    except InputError:
        return None
    keys = np.array(sorted(atlas.names))
    names = [atlas.names[key] for key in keys]
    percent = atlas.percent_at(positions)
    if near:
        regions, distances = atlas.nearest_at(positions)
        steps = np.rint(distances).astype(int)
        names = [say_near(n, mm) if mm else n for mm in range(steps.max(initial=0) + 1) for n in names]
    else:
        regions, steps = atlas.regions_at(positions), np.zeros(len(positions), int)
    at = np.minimum(np.searchsorted(keys, regions), len(keys) - 1)
    known = keys[at] == regions
    if near and percent is not None:
        known &= percent >= MIN_PERCENT
    index = np.where(known, at + len(keys) * steps, -1)
    return Atlas(short_title(atlas.title), names, index, percent)


def make_curve(name: str, dof: tuple[float, ...] | None, top: float) -> Matrix | None:
    """Return values of a statistic and their uncorrected p, as of ``Statistic``; None without its dof."""
    at = np.linspace(0, top, N_CURVE)
    if name == "z":
        p = stats.norm.sf(at)
    elif dof is None:
        return None
    else:
        p = stats.f.sf(at, *dof) if name == "F" else stats.t.sf(at, *dof)
    return np.column_stack([at, np.maximum(p, SMALLEST_P)])


def label_uncorrected(*, signed: bool) -> str:
    """Return what the uncorrected p is called where it stands for itself: with its sides."""
    return f"{UNCORRECTED.short}, one-sided" if signed else UNCORRECTED.short


def chosen_atlases(results: GroupResults) -> Sequence[str]:
    """Return the atlases of the tables, as ``--atlas`` names them."""
    chosen: Sequence[str] = results.record.settings.get("group", {}).get("atlas", ())
    return chosen


def _words_of(threshold: ThresholdRecord) -> ThresholdWords:
    """Return the words of a threshold; of one that is not known any more what its record says."""
    unknown = ThresholdWords(threshold.method, "", "", None, short=threshold.title)
    return THRESHOLDS.get(threshold.method, unknown)


def _cuts(threshold: ThresholdRecord, statistic: str) -> bool:
    """Whether a threshold is a cut-off of the map of a statistic."""
    return threshold.statistic == statistic and threshold.scale in (None, statistic)


def _numbers(dof: float | list[int | float | None] | None) -> tuple[float, ...] | None:
    """Return degrees of freedom as numbers, None where they differ between voxels."""
    found = dof if isinstance(dof, list) else [dof]
    known = [float(value) for value in found if value is not None]
    return tuple(known) if len(known) == len(found) else None


def _weights_of(contrast: GroupContrastRecord) -> list[tuple[str, str, float]]:
    """Return (group, cell, weight) of a contrast of one row."""
    estimand = contrast.estimand
    if estimand is None or len(estimand.weights) != 1:
        return []
    return [(g, c, w) for g, cells in estimand.weights[0].items() for c, w in cells.items()]


def _start(contrast: GroupContrastRecord, subjects: Subjects) -> int | None:
    """Return the group or cell that a difference of two is counted from, None for any other contrast."""
    found = _weights_of(contrast)
    by_group = {g: sum(w for name, _, w in found if name == g) for g in subjects.groups}
    by_cell = {c: sum(w for _, name, w in found if name == c) for c in subjects.cells}
    for weights in (by_cell, by_group):
        if sorted(round(w, 6) for w in weights.values() if w) == [-1, 1]:
            return next(k for k, weight in enumerate(weights.values()) if weight < 0)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Slopes:
    """The covariate that tested slopes are over: its name and a value an input, shape (n_inputs,).

    ``columns`` are those of the design that hold it; ``by_group``: one for each group of subjects.
    """

    axis: str
    values: Numbers
    columns: tuple[str, ...]
    by_group: bool = False


def _find_slopes(contrast: GroupContrastRecord, design: pd.DataFrame, subjects: Subjects) -> _Slopes | None:
    """Return the covariate whose slope is tested, or whose slopes in groups are; None if there is none."""
    columns = [str(name) for name in design]
    tested = [name for name in columns if any(row.get(name) for row in rows_of(contrast.weights))]
    if not tested or any(design[name].nunique() <= 2 for name in tested):
        return None
    groups = np.asarray(subjects.group)
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    if len(tested) == 1 and all(design[tested[0]].iloc[rows].nunique() > 1 for rows in members):
        return _Slopes(tested[0], design[tested[0]].to_numpy(float), (tested[0],))
    values, used = np.zeros(len(design)), []
    for rows in members:
        column = next((name for name in tested if design[name].iloc[rows].any()), None)
        if column is None:
            # Where the tested column holds the covariate of one group, that of all is beside it.
            column = next((name for name in columns if _extends(design[name], design[tested[0]])), None)
        if column is None:
            return None
        values[rows] = design[column].iloc[rows]
        used.append(column)
    whole = [name for name in used if name not in tested]
    return _Slopes(whole[0] if whole else _in_common(tested), values, (*tested, *whole), by_group=True)


def _split_by_product(contrast: GroupContrastRecord, design: pd.DataFrame, subjects: Subjects) -> Subjects:
    """Return subjects in two groups where the tested column is a covariate in one of them and 0 in the other.

    So designs with an intercept have it: ``age:group[T.patient]``.
    """
    tested = [name for name in design if any(row.get(str(name)) for row in rows_of(contrast.weights))]
    if len(subjects.groups) > 1 or len(tested) != 1:
        return subjects
    part = design[tested[0]]
    for name in design:
        column = design[name]
        is_group = set(column) == {0.0, 1.0}
        if is_group and not part[column == 0].any() and any(_extends(design[n], part) for n in design):
            level = re.search(r"\[(?:T\.)?(.+)\]$", str(name))
            word = level[1] if level else str(name)
            return replace(subjects, groups=(f"not {word}", word), group=column.astype(int).tolist())
    return subjects


def _extends(column: pd.Series, part: pd.Series) -> bool:
    """Whether a column is another one wherever that is not 0, and more."""
    there = part != 0
    return bool(np.allclose(column[there], part[there]) and column[~there].any())


def _in_common(names: Sequence[str]) -> str:
    """Return what names of products have in common: of ``age:a`` and ``age:b`` ``age``."""
    parts = [re.split(r"[:*]", name) for name in names]
    shared = [part for part in parts[0] if all(part in each for each in parts)]
    return shared[0] if shared else commonprefix(list(names)).strip("_. ") or ", ".join(names)


def _beside_groups(design: pd.DataFrame, subjects: Subjects) -> list[str]:
    """Return the columns of a design that are not constant in each group."""
    groups = np.asarray(subjects.group)
    members = [groups == g for g in set(subjects.group)]
    return [str(c) for c in design if any(design[c][rows].nunique() > 1 for rows in members)]


def _over_covariate(
    subjects: Subjects, design: pd.DataFrame, slopes: _Slopes, *, shown: Sequence[float] | None
) -> Subjects:
    """Return effects to draw over a covariate, without what the design explains beside it and the groups."""
    matrix = design.to_numpy(float)
    # What the groups differ in is to be seen.
    other = [name for name in _beside_groups(design, subjects) if name not in slopes.columns]
    if slopes.by_group:
        note = "Lines: the fit of each group."
    elif len(subjects.groups) > 1:
        note = "Lines: the tested slope through the mean of each group."
    else:
        note = "Line: the tested slope through the mean, with its 95 % band."
    values: Maps = subjects.values
    if other:
        betas = np.linalg.pinv(matrix) @ values
        places = np.flatnonzero(design.columns.isin(other))
        rest = matrix[:, places] - matrix[:, places].mean(axis=0)
        values = values - rest @ betas[places]
        note += f" Dots: the subjects' effects, adjusted for {', '.join(other)}."
    covariate = np.asarray(shown if shown is not None else slopes.values, float)
    centred = abs(covariate.mean()) < CENTRED * np.ptp(covariate)
    axis = f"{slopes.axis}, centred" if centred else slopes.axis
    return replace(
        subjects, values=values, covariate=covariate, axis=axis, note=note, own_slopes=slopes.by_group
    )
