"""What a group contrast estimates: which cells of which groups of subjects, with which weights, in words.

A least-squares effect is a sum over inputs, and what the inputs of a group weigh together is the weight of
that group in the effect, whatever covariates stand beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import TypeAlias

import numpy as np

from bidsapp.outputs.describe import ROUNDING, express
from bidsapp.outputs.saved.group import EstimandRecord
from bidsapp.records.arrays import Labels, Numbers
from bidsapp.records.maps import Contrast
from bidsapp.records.model import INTERCEPT, MEAN
from bidsapp.records.plan import DatasetFit, Margin
from bidsapp.stats.linear import invert_gram

# A group of subjects and a cell of them.
Place: TypeAlias = tuple[str, str]

EVERYBODY, OTHERS = "all subjects", "other subjects"


def describe_estimand(fit: DatasetFit, contrast: Contrast) -> EstimandRecord:
    """Return the estimand of a contrast of a fit."""
    if contrast.name in fit.margins:
        return _describe_margin(fit.margins[contrast.name], str(fit.contrast))
    groups, columns = find_groups(fit)
    names = list(dict.fromkeys(groups))
    shares = np.atleast_2d(contrast.weights) @ invert_gram(fit.design.matrix) @ fit.design.matrix.T
    cells = [str(fit.contrast)] * len(groups) if fit.within else fit.input_cells
    sums = [_sum_shares(row, zip(groups, cells, strict=True)) for row in shares]
    people = set(zip(fit.subjects, groups, strict=True))
    subjects = {name: sum(group == name for _, group in people) for name in names}
    weighed = [
        {name: w for name, w in zip(contrast.columns, row, strict=True) if w}
        for row in np.atleast_2d(contrast.weights)
    ]
    slopes = [{name: w for name, w in row.items() if name not in columns} for row in weighed]
    # A slope is no mean, though inputs of subjects who lack cells do not cancel in it.
    sums = [one if row.keys() & columns else {} for one, row in zip(sums, weighed, strict=True)]
    weights = [_weigh_cells(*pair) for pair in product(sums, _rows_within(fit))]
    told = [_tell(row, slope, subjects, fit) for row, slope in zip(sums, slopes, strict=True)]
    what = "" if fit.within is None else "; ".join(map(express, _rows_within(fit))) + ": "
    every = "no effect in any of: " if len(weights) > 1 else ""
    others = _covariates(fit, columns) - {name for slope in slopes for name in slope}
    beside = f"; adjusted for {', '.join(sorted(others))}" if others else ""
    if fit.coding and others:
        # A contrast over columns: marginal means would have these at their means.
        beside += "; columns that it does not weigh are at 0"
    text = every + what + "; ".join(told) + beside
    return EstimandRecord(text=text, weights=weights, subjects=subjects)


def _describe_margin(margin: Margin, contrast: str) -> EstimandRecord:
    """Return the estimand of a contrast over means of a formula's levels, or over slopes."""
    names = {name: EVERYBODY if name == MEAN else name for name in margin.subjects}
    rows = [{names[name]: weight for name, weight in row.items()} for row in margin.rows]
    sizes = {names[name]: size for name, size in margin.subjects.items()}
    told = [sorted(row.items(), key=lambda pair: pair[1] < 0) for row in rows]
    sums = [express({f"{name} ({sizes[name]} subjects)": w for name, w in row}) for row in told]
    what = f"change with one unit of {margin.slope} in" if margin.slope else "marginal mean of"
    over = f"; over the levels of {', '.join(margin.averaged)}, each alike" if margin.averaged else ""
    at = f"; at the mean of {', '.join(margin.at_mean)}" if margin.at_mean else ""
    every = "no effect in any of: " if len(rows) > 1 else ""
    weights = [
        {} if margin.slope else {name: {contrast: weight} for name, weight in row.items()} for row in rows
    ]
    text = f"{every}{what} {'; '.join(sums)}{over}{at}"
    slope = margin.slope
    if slope and set(sizes) != {EVERYBODY}:
        slope += f", {'; '.join(express(dict(row)) for row in told)}"
    return EstimandRecord(text=text, weights=weights, subjects=sizes, slope=slope)


def find_groups(fit: DatasetFit) -> tuple[list[str], set[str]]:
    """Return the group of each row, by the levels of its factors, and the columns that make them up."""
    if fit.levels:
        of_rows = [
            " ".join(n for n, rows in fit.levels.items() if i in rows) for i in range(len(fit.subjects))
        ]
        return of_rows, {name for name in fit.design.columns if name not in fit.numbers}
    columns = [
        (name, column)
        for name, column in zip(fit.design.columns, fit.design.matrix.T, strict=True)
        if set(column.tolist()) <= {0.0, 1.0} and not name.startswith(("subject.", "contrast."))
    ]
    people = np.unique(fit.subjects, return_inverse=True)[1]
    # What varies within a subject, as products of groups and cells, makes up cells and no group.
    steady = [(name, column) for name, column in columns if _is_steady(column, people)]
    varying = [(name, column) for name, column in steady if np.ptp(column) > 0]
    levels = [(name, column) for name, column in varying if not _is_product(column, varying)]
    groups = [" ".join(name for name, column in levels if column[row]) for row in range(len(people))]
    cells = {name for name in fit.design.columns if name.startswith(("subject.", "contrast."))}
    rest = OTHERS if any(groups) else EVERYBODY
    return [group or rest for group in groups], {name for name, _ in columns} | cells | {INTERCEPT}


def _is_product(column: Numbers, columns: Sequence[tuple[str, Numbers]]) -> bool:
    """Return whether a column is the product of two others, whose names say the same."""
    others = [other for _, other in columns if not np.array_equal(other, column)]
    return any(np.array_equal(first * second, column) for first, second in combinations(others, 2))


def _is_steady(column: Numbers, people: Labels) -> bool:
    """Return whether a column has one value in all rows of each person."""
    return len(np.unique(np.column_stack([people, column]), axis=0)) == len(np.unique(people))


def _rows_within(fit: DatasetFit) -> list[dict[str, float]]:
    """Return each row of the contrast within subjects as cell -> weight; of others what is as it is."""
    if fit.within is None:
        return [{}]
    rows = fit.within.weights
    return [
        {cell: float(w) for cell, w in zip(fit.within.cells, row, strict=True) if abs(w) > ROUNDING}
        for row in rows
    ]


def _sum_shares(shares: Numbers, places: Iterable[Place]) -> dict[Place, float]:
    """Return (group, cell) -> the weight of their inputs together, of those that weigh anything."""
    sums: dict[Place, float] = {}
    for share, place in zip(shares, places, strict=True):
        sums[place] = sums.get(place, 0.0) + float(share)
    least = ROUNDING * np.abs(shares).sum()
    return {place: float(f"{weight:.9g}") for place, weight in sums.items() if abs(weight) > least}


def _weigh_cells(sums: Mapping[Place, float], within: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return group -> cell -> weight of one row between and one within subjects."""
    weights: dict[str, dict[str, float]] = {}
    for (group, cell), share in sums.items():
        cells = {name: weight * share for name, weight in within.items()} or {cell: share}
        weights.setdefault(group, {}).update(cells)
    return weights


def _tell(
    sums: Mapping[Place, float], slope: Mapping[str, float], subjects: Mapping[str, int], fit: DatasetFit
) -> str:
    """Return one row between subjects in words."""
    if not sums:
        within = " within groups" if len(subjects) > 1 else ""
        return f"change with one unit of {express(slope)}{within}"
    beyond = f", plus the change with {express(slope)}" if slope else ""
    return _tell_means(sums, subjects, fit) + beyond


def _tell_means(sums: Mapping[Place, float], subjects: Mapping[str, int], fit: DatasetFit) -> str:
    """Return a sum of means of groups, or of cells in groups, in words."""
    if fit.contrast is None:
        several = len(subjects) > 1
        cells = {f"{cell} in {group}" if several else cell: weight for (group, cell), weight in sums.items()}
        return f"{express(cells)}, mean of {', '.join(f'{n} in {g}' for g, n in subjects.items())}"
    shares = {group: weight for (group, _), weight in sums.items()}
    named = [f"{group} ({subjects[group]} subjects)" for group in shares]
    if len(shares) == 1 and next(iter(shares.values())) == 1:
        return f"mean of {named[0]}"
    if abs(sum(shares.values())) < ROUNDING:
        pairs = sorted(zip(named, shares.values(), strict=True), key=lambda pair: pair[1] < 0)
        return f"difference between groups, {express(dict(pairs))}"
    parts = [f"{name} weighs {weight:.4g}" for name, weight in zip(named, shares.values(), strict=True)]
    equal = ", all groups alike" if np.ptp(list(shares.values())) < ROUNDING else ""
    return f"average in which {', '.join(parts)}{equal}"


def _covariates(fit: DatasetFit, columns: set[str]) -> set[str]:
    """Return the columns that are neither groups nor cells."""
    return set(fit.design.columns) - columns
