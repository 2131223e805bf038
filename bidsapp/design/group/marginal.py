"""What a formula's design says of means of levels and of slopes: points, and weights over its columns.

A point is written as names with colons between them: levels of factors (``group.patient``, or ``patient``
where no other name is that), columns of numbers, for the slope with them, and ``mean``. ``patient:siteA`` is
a cell, ``patient:age`` the slope in a group. What a point does not name is averaged: factors over all their
levels, each with the same weight; variables that are numbers are at their mean over the rows, or, after
``zero:``, their columns at 0.
"""

import math
import re
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeAlias

import numpy as np

from bidsapp.design.coding import FormulaDesign, Piece, piece_name, reference_place
from bidsapp.design.formula import Atom, Term
from bidsapp.design.group.contrasts import Row, read_weights
from bidsapp.design.transformers.variables import is_number
from bidsapp.errors import SettingsError, near_or_there
from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.records.model import MEAN, ZERO, ContrastRule
from bidsapp.records.plan import Margin

# Weights that differ by less are the same.
ROUNDING = 1e-9
# A level, as its factor and its place; a column of numbers.
Level: TypeAlias = tuple[Atom, int]


@dataclass(frozen=True, slots=True)
class Point:
    """Levels that are held, and the columns of numbers whose slope is meant; of none the mean is.

    Other columns of numbers are at the means of their variables, or at zero.
    """

    levels: tuple[Level, ...] = ()
    slopes: tuple[Piece, ...] = ()
    at_zero: bool = False


# Points and their weights, a dict a row.
Rows: TypeAlias = list[dict[Point, float]]


class Margins:
    """The points of a formula's design.

    Parameters
    ----------
    design : FormulaDesign
    """

    def __init__(self, design: FormulaDesign) -> None:
        self.design = design
        self._levels: dict[Level, str] = {
            (atom, place): f"{atom.variable}.{level}"
            for atom, levels in design.factors.items()
            for place, level in enumerate(levels)
        }
        pieces: dict[Piece, str] = {piece: piece_name(piece) for piece in design.centres}
        self._names = self._levels | pieces
        self._parts = {name: part for part, name in self._names.items()}
        bare = [(design.factors[atom][place], (atom, place)) for atom, place in self._levels]
        words = [word for word, _ in bare]
        taken = {*self._parts, *design.names, MEAN, ZERO, *(atom.variable for atom in design.formula.atoms)}
        for word, level in bare:
            if words.count(word) == 1 and word not in taken and not is_number(word):
                self._parts[word] = level
        centred = [piece for piece in pieces if piece[0].function == "center"]
        self._parts |= {one[0].variable: one for one in centred if one[0].variable not in self._parts}
        known = "|".join(map(re.escape, sorted([*self._parts, MEAN, ZERO], key=len, reverse=True)))
        columns = "|".join(map(re.escape, sorted(design.names, key=len, reverse=True)))
        one = rf"(?:`(?:{known})`|(?<![\w.])(?:{known})(?![\w.]))"
        whole = rf"{one}(?:\s*:\s*{one})*(?!\s*:)|`(?:{columns})`|(?<![\w.])(?:{columns})(?![\w.])"
        self._known = re.compile(rf"{one}|`(?:{columns})`|(?<![\w.])(?:{columns})(?![\w.])")
        self._reference, self._part = re.compile(whole), re.compile(rf"\s*`?({known})`?\s*(?::|$)")

    @property
    def names(self) -> list[str]:
        """The names of levels and of columns."""
        return list(dict.fromkeys([*self._parts, *self.design.names, MEAN, ZERO]))

    def find(self, text: str) -> Point | None:
        """Return the point that a name stands for, or None."""
        levels: dict[Atom, int] = {}
        slopes, place, at_zero = [], 0, False
        while place < len(text):
            match = self._part.match(text, place)
            if match is None:
                return None
            place = match.end()
            at_zero |= match[1] == ZERO
            part = None if match[1] in (MEAN, ZERO) else self._parts[match[1]]
            if part in self._levels and part is not None:
                if part[0] in levels:
                    return None
                levels[part[0]] = part[1]
            elif part is not None:
                slopes.append(part)
        return Point(tuple(levels.items()), tuple(dict.fromkeys(slopes)), at_zero)

    def name(self, point: Point) -> str:
        """Return the name of a point; where a column has it and says something else, after ``mean:``."""
        name = ":".join(self._names[part] for part in (*point.levels, *point.slopes)) or MEAN
        if point.at_zero:
            return f"{ZERO}:{name}"
        if name in self.design.names:
            unit = np.equal(self.design.names, name).astype(float)
            return name if np.allclose(self.weigh(point), unit, atol=ROUNDING) else f"{MEAN}:{name}"
        return name

    @property
    def rows_of_levels(self) -> dict[str, tuple[int, ...]]:
        """The rows that have each level."""
        places = self.design.places
        return {
            name: tuple(np.flatnonzero(places[atom] == place).tolist())
            for (atom, place), name in self._levels.items()
        }

    def describe(self, rule: ContrastRule) -> Margin | None:
        """Return what a contrast estimates; None where it is over columns that are no points."""
        points = {name: point for name in rule.conditions if (point := self._point(name))}
        kinds = {(point.slopes, point.at_zero) for point in points.values()}
        if len(points) < len(set(rule.conditions)) or len(kinds) > 1:
            return None
        ((slope, at_zero),) = kinds
        others = tuple(dict.fromkeys(p[0].variable for p in self.design.centres if p not in slope))
        end = f" at {', '.join(others)} 0" if at_zero else ""
        held = {name: self.name(Point(point.levels)) + end for name, point in points.items()}
        varied = {atom for point in points.values() for atom, _ in point.levels}
        return Margin(
            rows=tuple(
                {held[n]: w for n, w in zip(rule.conditions, row, strict=True) if w} for row in rule.weights
            ),
            slope=":".join(map(piece_name, slope)),
            subjects={held[name]: self._count(point) for name, point in points.items()},
            averaged=tuple(atom.variable for atom in self.design.factors if atom not in varied),
            at_mean=() if at_zero else others,
        )

    def _point(self, name: str) -> Point | None:
        """Return the point of a condition; None where it is that of a column that says something else."""
        point = self.find(name)
        return point if point and (name not in self.design.names or self.name(point) == name) else None

    def _count(self, point: Point) -> int:
        """Return how many rows have the levels of a point."""
        places = self.design.places
        there = [places[atom] == place for atom, place in point.levels]
        return int(np.all(there, axis=0).sum()) if there else len(self.design.matrix)

    def shorten(self, name: str) -> str:
        """Return the name of a level without its factor, where no other name is that."""
        (level,) = (part for part in self._levels if self._levels[part] == name)
        word = self.design.factors[level[0]][level[1]]
        return word if word in self._parts else name

    def weigh(self, point: Point) -> Numbers:
        """Return the weights of a point over the columns."""
        held, slopes = dict(point.levels), frozenset(point.slopes)
        shares = {
            atom: np.eye(len(levels))[held[atom]] if atom in held else np.full(len(levels), 1 / len(levels))
            for atom, levels in self.design.factors.items()
        }
        row = []
        for column in self.design.columns:
            others = [
                0.0 if point.at_zero else self.design.centres[piece] for piece in column.numbers - slopes
            ]
            coded = [float(codes @ shares[atom]) for atom, codes in column.codes.items()]
            row.append(math.prod([*others, *coded]) if slopes <= column.numbers else 0.0)
        return np.array(row)

    def test(self, term: Term) -> Rows:
        """Return the rows of a term's test, each a dict of points to weights: all are zero without it.

        They are what the term has that no term before it has: differences from the reference level of each
        of its factors, of means or of slopes, the others averaged over (type III). A mean of zero is none.
        """
        design = self.design
        numbers = [
            [one for one in design.centres if one[0] == atom] for atom in term if atom not in design.factors
        ]
        rows: Rows = []
        for part, slopes in product(design.parts[term], product(*numbers)):
            if not part and not slopes:
                continue
            steps = [
                [
                    {(atom, place): 1.0, (atom, reference): -1.0}
                    for place in range(len(levels))
                    if place != reference
                ]
                for atom, levels in design.factors.items()
                if atom in part
                for reference in [reference_place(atom, levels)]
            ]
            for some in product(*steps):
                combined = product(*(step.items() for step in some))
                rows.append(
                    {
                        Point(tuple(level for level, _ in cell), slopes): math.prod(
                            weight for _, weight in cell
                        )
                        for cell in combined
                    }
                )
        return rows

    def spell(self, rows: Rows) -> list[Row]:
        """Return rows of a type III test by names of points.

        The test is at 0 of the columns of numbers that the term meets in interactions, as car::Anova has it.
        """
        if not self.is_at_means(rows):
            rows = _at_zero(rows)
        return [{self.name(point): w for point, w in row.items()} for row in rows]

    def is_at_means(self, rows: Rows) -> bool:
        """Whether rows are the same at 0 of the columns of numbers and at the means of their variables."""
        return np.allclose(self._weigh_rows(rows), self._weigh_rows(_at_zero(rows)), atol=ROUNDING)

    def _weigh_rows(self, rows: Rows) -> Matrix:
        return np.array([sum(w * self.weigh(point) for point, w in row.items()) for row in rows])

    def read(self, text: str) -> Row:
        """Return name -> weight of an expression over points and columns.

        Raises
        ------
        SettingsError
            A word that is neither, with the near match.
        """
        names: dict[str, str] = {}

        def spell(match: re.Match[str]) -> str:
            point, word = self.find(match[0]), match[0].strip("`")
            if point is None and word not in self.design.names:
                raise SettingsError(
                    f"--group-contrast {text.strip()!r}: {word!r} has two levels of one factor."
                )
            names[match[0]] = word if point is None else self.name(point)
            return f"`{names[match[0]]}`"

        rest = self._known.sub(" ", text)
        unknown = re.search(r"`[^`]*`|(?<![\w.])[^\W\d][\w.]*", rest)
        if unknown:
            word = unknown[0].strip("`")
            raise SettingsError(
                f"--group-contrast {text.strip()!r}: {word!r} is no level, column or slope of the formula. "
                f"{near_or_there(word, self.names)}"
            )
        return read_weights(self._reference.sub(spell, text), dict.fromkeys(names.values()))


def _at_zero(rows: Rows) -> Rows:
    return [{replace(point, at_zero=True): w for point, w in row.items()} for row in rows]


def describe_formula(design: FormulaDesign) -> str:
    """Return in sentences how the variables of a formula are coded, and what its means are."""
    coded = [
        f"{atom.variable} to sum to zero ({', '.join(levels)})"
        if atom.coding == "Sum"
        else f"{atom.variable} against {levels[reference_place(atom, levels)]} ({', '.join(levels)})"
        for atom, levels in design.factors.items()
    ]
    numbers = list(dict.fromkeys(piece_name(piece) for piece in design.centres))
    said = [f"Factors are coded: {'; '.join(coded)}."] if coded else []
    if numbers:
        said.append(f"Columns of numbers enter as {', '.join(numbers)}.")
    if coded or numbers:
        weighed = "each cell of other factors has the same weight" if coded else ""
        held = "variables that are numbers are at their mean over the inputs" if numbers else ""
        said.append(f"In means of levels {' and '.join(filter(None, [weighed, held]))}.")
    return " ".join(said)


def over_columns(rule: ContrastRule, margins: Margins) -> ContrastRule:
    """Return a rule whose points are weights over columns; what is neither point nor column stays."""
    columns, weights = margins.design.names, np.array(rule.weights, float)
    gathered: dict[str, Numbers] = {}
    for name, of_name in zip(rule.conditions, weights.T, strict=True):
        point = None if name in columns else margins.find(name)
        shares = (
            {name: 1.0} if point is None else dict(zip(columns, margins.weigh(point).tolist(), strict=True))
        )
        for column, share in shares.items():
            gathered[column] = gathered.get(column, 0.0) + share * of_name
    used = {name: w for name, w in gathered.items() if name not in columns or np.any(np.abs(w) > ROUNDING)}
    if not used:
        return rule
    rows = np.column_stack(list(used.values())).tolist()
    return replace(rule, conditions=tuple(used), weights=tuple(map(tuple, rows)))
