"""What a contrast asks, in words: what is compared with what, and what above and below zero mean."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from bidsapp.outputs.describe import express
from bidsapp.outputs.saved.common import rows_of
from bidsapp.outputs.saved.group import GroupContrastRecord
from bidsapp.records.model import INTERCEPT

# Group of subjects -> condition -> weight.
Cells: TypeAlias = dict[str, dict[str, float]]

MOST_NAMED = 4
# Weights that differ by less are the same.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Direction:
    """One side of zero: ``is``, ``higher``, ``for A than for B``."""

    verb: str
    word: str
    rest: str = ""

    @property
    def phrase(self) -> str:
        """Return it without its verb: what a legend says."""
        return f"{self.word} {self.rest}".strip()


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A contrast in words.

    Attributes
    ----------
    kind : {"mean", "difference", "groups", "slope", "other", "F", "conjunction"}
    subject : str
        Of sentences: ``The response to faces``.
    above, below : Direction
        What it is where the map is above and below zero; equal where the test has no direction.
    quantity : str
        What the effect is called.
    conditions : tuple of dict
        Of each row, condition -> weight where the groups agree in it; empty where there is nothing to weigh.
    """

    kind: str
    subject: str
    above: Direction
    below: Direction
    quantity: str
    conditions: tuple[dict[str, float], ...] = ()

    @property
    def has_direction(self) -> bool:
        """Whether above and below differ."""
        return self.above != self.below


ZERO = Direction("is", "above zero"), Direction("is", "below zero")


def find_hypothesis(contrast: GroupContrastRecord) -> Hypothesis:
    """Return what a contrast asks, from its record."""
    if contrast.test == "z":
        members = contrast.group_contrast
        number = "both" if members.count(" and ") == 1 else "all"
        sides = Direction("are", f"{number} above zero"), Direction("are", f"{number} below zero")
        return Hypothesis("conjunction", f"The effects of {members}", *sides, "effect")
    rows = [_weigh(contrast, row) for row in contrast.estimand.weights] if contrast.estimand else []
    if contrast.test == "F":
        return _find_joint(contrast, rows)
    (columns,) = rows_of(contrast.weights)
    if not rows:
        # Records of earlier versions.
        rows = [{"": {contrast.input_contrast or contrast.name: 1.0}} if set(columns) == {INTERCEPT} else {}]
    if not rows[0]:
        return _find_slope(contrast, columns)
    return _find_means(contrast, rows[0])


def list_names(names: Iterable[str]) -> str:
    """Return names as one reads them out: ``A, B and C``; of many the first ones."""
    known = list(names)
    if len(known) > MOST_NAMED:
        known = [*known[: MOST_NAMED - 1], f"{len(known) - MOST_NAMED + 1} more"]
    return " and ".join(filter(None, [", ".join(known[:-1]), *known[-1:]]))


def _weigh(contrast: GroupContrastRecord, row: Mapping[str, Mapping[str, float]]) -> Cells:
    """Return a row of an estimand, the participants' contrast taken apart where its weights are known."""
    inner, found = contrast.input_weights, {}
    for group, cells in row.items():
        sums: dict[str, float] = {}
        for cell, weight in cells.items():
            parts = inner if inner and cell == contrast.input_contrast else {cell: 1.0}
            for name, share in parts.items():
                sums[name] = sums.get(name, 0.0) + weight * share
        found[group] = sums
    return found


def _find_joint(contrast: GroupContrastRecord, rows: Sequence[Cells]) -> Hypothesis:
    parts = [_separate(row) if row else ({}, {}) for row in rows]
    conditions = tuple(of_conditions for _, of_conditions in parts)
    flat = [{(group, name): w for group, cells in row.items() for name, w in cells.items()} for row in rows]
    are_differences = bool(rows) and all(rows) and all(_is_zero_sum(row.values()) for row in flat)
    factors = re.split(r" (?:x|×|\*) |:", contrast.name)
    if are_differences and _compare_all(flat):
        are_groups = any(min(groups.values(), default=0.0) < 0 for groups, _ in parts)
        side = Direction("", "differ", f"({contrast.name})")
        subject = "The groups" if are_groups else "The conditions"
        return Hypothesis("F", subject, side, side, "effect", conditions)
    if len(factors) > 1:
        side = Direction("", "depend", "on each other (interaction)")
        return Hypothesis("F", f"The effects of {list_names(factors)}", side, side, "effect", conditions)
    n = len(rows) or len(rows_of(contrast.weights))
    what = "contrasts" if are_differences else "effects" if not rows or any(rows) else "slopes"
    subject = (
        f"At least one of the {n} {what} of {contrast.name}" if n > 1 else f"The effect of {contrast.name}"
    )
    side = Direction("is", "not zero")
    return Hypothesis("F", subject, side, side, "effect", conditions)


def _compare_all(rows: Sequence[Mapping[tuple[str, str], float]]) -> bool:
    """Whether differences are all zero only where the levels are alike; one weight makes one level."""
    places = list(dict.fromkeys(place for row in rows for place in row))
    table = np.array([[row.get(place, 0.0) for place in places] for row in rows])
    levels = np.unique((table / np.abs(table).max()).round(6), axis=1)
    return bool(np.linalg.matrix_rank(table) == levels.shape[1] - 1)


def _find_slope(contrast: GroupContrastRecord, columns: Mapping[str, float]) -> Hypothesis:
    name, weight = next(iter(columns.items()), (contrast.name, 1.0))
    slope = contrast.estimand.slope if contrast.estimand else ""
    if slope and "," not in slope:
        columns, name = {slope: weight}, slope
    elif slope:
        return Hypothesis("slope", f"The slope with {slope},", *ZERO, "slope")
    if len(columns) > 1 or ":" in name or abs(abs(weight) - 1) > ROUNDING:
        return Hypothesis("slope", f"The slope {express(columns) or contrast.name}", *ZERO, "slope")
    up, down = Direction("", "rises", f"with {name}"), Direction("", "falls", f"with {name}")
    above, below = (up, down) if weight > 0 else (down, up)
    inner = contrast.input_weights or {contrast.input_contrast or "": 1.0}
    return Hypothesis("slope", _response(contrast, inner), above, below, "slope")


def _find_means(contrast: GroupContrastRecord, row: Cells) -> Hypothesis:
    groups, conditions = _separate(row)
    if not groups:
        return Hypothesis("other", f"The effect {contrast.name}", *ZERO, "effect")
    signs, totals = {np.sign(w) for w in groups.values()}, (conditions,)
    if signs == {1.0, -1.0}:
        if not _is_zero_sum(groups.values()):
            return Hypothesis("other", f"The effect {contrast.name}", *ZERO, "effect", totals)
        named = dict(zip(plain(groups), groups.values(), strict=True))
        than = "in {} than in {}".format(*_sides(named))
        sides = Direction("is", "higher", than), Direction("is", "lower", than)
        return Hypothesis("groups", _response(contrast, conditions), *sides, "difference", totals)
    where = _where(contrast, groups)
    up, down = _sides(dict(zip(plain(conditions), conditions.values(), strict=True)))
    if up and down and _is_zero_sum(conditions.values()):
        sides = (
            Direction("is", "higher", f"for {up} than for {down}"),
            Direction("is", "lower", f"for {up} than for {down}"),
        )
        return Hypothesis("difference", f"The response{where}", *sides, "difference", totals)
    if up and down or not up or not signs <= {1.0}:
        return Hypothesis("other", f"The effect {contrast.name}", *ZERO, "effect", totals)
    return Hypothesis("mean", _response(contrast, conditions) + where, *ZERO, "mean", totals)


def _where(contrast: GroupContrastRecord, groups: Mapping[str, float]) -> str:
    """Return the groups of a mean, where there are others: `` in patient``."""
    everybody = list(contrast.estimand.subjects) if contrast.estimand else []
    if not set(groups) < set(everybody):
        return ""
    named = dict(zip(everybody, plain(everybody), strict=True))
    return f" in {list_names(named[group] for group in groups)}"


def _separate(row: Cells) -> tuple[dict[str, float], dict[str, float]]:
    """Return the weights of groups and of conditions whose products a row is; both empty where it is none."""
    names = list(dict.fromkeys(name for cells in row.values() for name in cells))
    table = np.array([[cells.get(name, 0.0) for name in names] for cells in row.values()])
    conditions = table[np.argmax(np.abs(table).max(axis=1))]
    conditions = conditions / np.abs(conditions).max()
    groups = table @ conditions / (conditions @ conditions)
    if not np.allclose(np.outer(groups, conditions), table, atol=ROUNDING):
        return {}, {}
    # The signs of both can be turned: of groups that are compared, the first condition is what counts.
    if (groups.min() < 0 or conditions.max() <= 0) and conditions[np.flatnonzero(conditions)[0]] < 0:
        groups, conditions = -groups, -conditions
    # Of groups of one sign conditions weigh what they do in all of them together.
    scale = groups.sum() if groups.min() > 0 else np.abs(groups).max()
    groups, conditions = groups / scale, conditions * scale
    return dict(zip(row, groups.tolist(), strict=True)), dict(zip(names, conditions.tolist(), strict=True))


def _is_zero_sum(weights: Iterable[float]) -> bool:
    return abs(sum(weights)) < ROUNDING


def _sides(weights: Mapping[str, float]) -> tuple[str, str]:
    """Return the names with positive and with negative weights."""
    up, down = ([n for n, w in weights.items() if w * sign > ROUNDING] for sign in (1, -1))
    return list_names(up), list_names(down)


def _response(contrast: GroupContrastRecord, conditions: Mapping[str, float]) -> str:
    """Return the response to conditions as the subject of a sentence."""
    if set(conditions) == {contrast.input_contrast} and not contrast.input_weights:
        return f"The effect of {contrast.input_contrast}"
    up, down = _sides(dict(zip(plain(conditions), conditions.values(), strict=True)))
    if not up:
        return "The response"
    return f"The response to {up} against {down}" if down else f"The response to {up}"


def plain(names: Iterable[str]) -> list[str]:
    """Return names of columns without the variable that all of them begin with: ``patient``."""
    known = list(names)
    variables = {name.partition(".")[0] for name in known}
    if len(variables) == 1 and all("." in name for name in known):
        return [name.partition(".")[2] for name in known]
    return known
