"""From a formula and the values of its variables to the columns of a design, coded as R codes them.

Texts are factors, and numbers too inside C(). A term gets what the terms before it do not hold already: all
levels of a factor where its mean is in no other term, else one column less.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import TypeAlias

import numpy as np

from bidsapp.design.formula import Atom, Formula, Term, in_formula, parse_formula
from bidsapp.design.transformers.variables import Values, Variable, level_name, level_names
from bidsapp.errors import ModelError, near_or_there, some_names
from bidsapp.records.arrays import Labels, Matrix, Numbers
from bidsapp.records.model import INTERCEPT

# A design with more columns is no design, and would not fit into memory.
MAX_COLUMNS = 5000
# A column of numbers: of poly() one of several.
Piece: TypeAlias = tuple[Atom, int]
# The factors of a part of a term: with all of them an interaction, with none a mean or a slope.
Part: TypeAlias = frozenset[Atom]
# From the values of a variable to the columns of a function of it, (n_rows, n_columns).
Curve: TypeAlias = Callable[[Numbers], Matrix]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a formula's design: a product of columns of numbers and of codings of factors.

    Attributes
    ----------
    numbers : frozenset of Piece
    codes : dict of Atom to ndarray
        Factor -> value of each of its levels.
    term : Term
    """

    name: str
    numbers: frozenset[Piece]
    codes: dict[Atom, Numbers]
    term: Term = ()


@dataclass(frozen=True, slots=True)
class FormulaDesign:
    """The columns of a formula over some rows, and what they are made of.

    Attributes
    ----------
    formula : Formula
    columns : tuple of Column
    matrix : ndarray, shape (n_rows, n_columns)
    factors : dict of Atom to tuple of str
        Factor -> its levels, in the order of their columns.
    places : dict of Atom to ndarray
        Factor -> the place of each row's level among its levels.
    centres : dict of Piece to float
        What a column of numbers is where its variable is at its mean over the rows.
    parts : dict of Term to tuple of Part
        What each term has that the terms before it do not have.
    """

    formula: Formula
    columns: tuple[Column, ...]
    matrix: Matrix
    factors: dict[Atom, tuple[str, ...]]
    places: dict[Atom, Labels]
    centres: dict[Piece, float]
    parts: dict[Term, tuple[Part, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)


def fit_formula(
    text: str, variables: Mapping[str, Values], n_rows: int, rows: Sequence[str] = ()
) -> FormulaDesign:
    """Return the design of a formula over the rows of its variables.

    Parameters
    ----------
    text : str
    variables : dict of str to ndarray
        One value a row: numbers, or objects (texts). None is missing.
    n_rows : int
    rows : sequence of str
        The names of the rows, for messages.

    Raises
    ------
    ModelError
        Not a formula over these variables.
    """
    formula = parse_formula(text)
    for atom in formula.atoms:
        if atom.variable not in variables:
            hint = near_or_there(atom.variable, variables)
            raise ModelError(f"{in_formula(text)}: {atom.variable!r} is no variable here. {hint}")
    used = {atom.variable: variables[atom.variable] for atom in formula.atoms}
    try:
        return _fit(formula, used, n_rows, rows)
    except ModelError as error:
        raise ModelError(f"{in_formula(text)}: {error}") from error


def piece_name(piece: Piece) -> str:
    """Return the name of a column of numbers."""
    atom, index = piece
    return f"{atom.label}[{index + 1}]" if atom.function == "poly" else atom.label


def reference_place(atom: Atom, levels: Sequence[str]) -> int:
    """Return the place of the reference level of a factor among its levels."""
    return 0 if atom.reference is None else levels.index(_spelled(atom.reference, levels))


def _fit(
    formula: Formula, variables: Mapping[str, Values], n_rows: int, rows: Sequence[str]
) -> FormulaDesign:
    factors: dict[Atom, tuple[str, ...]] = {}
    places: dict[Atom, Labels] = {}
    values: dict[Piece, Numbers] = {}
    centres: dict[Piece, float] = {}
    pieces: dict[Atom, list[Piece]] = {}
    for atom in formula.atoms:
        given = variables[atom.variable]
        if atom.function == "C" or (not atom.function and given.dtype == object):
            factors[atom], places[atom] = _levels(atom, given, rows)
            continue
        if given.dtype == object:
            raise ModelError(f"{atom.label} needs numbers, and {atom.variable!r} holds texts.")
        curve = _fit_curve(atom, given, rows)
        made, centre = curve(given), curve(np.array([given.mean() if len(given) else 0.0]))
        pieces[atom] = [(atom, index) for index in range(made.shape[1])]
        values |= dict(zip(pieces[atom], made.T, strict=True))
        centres |= dict(zip(pieces[atom], centre[0].tolist(), strict=True))
    _check_once(factors)
    columns, parts = _make_columns(formula, factors, pieces)
    if not columns or not n_rows:
        raise ModelError("it gives a design without rows or columns.")
    design = [_evaluate(column, values, places, n_rows) for column in columns]
    return FormulaDesign(formula, columns, np.column_stack(design), factors, places, centres, parts)


def _levels(atom: Atom, values: Values, rows: Sequence[str]) -> tuple[tuple[str, ...], Labels]:
    """Return the levels of a factor that are there, in order, and the place of each row's."""
    there = level_names(Variable(atom.variable, values))
    names = [level_name(value) for value in values.tolist()]
    if atom.levels:
        listed = [_spelled(level, there) for level in atom.levels]
        other = [f"{row}: {name!r}" for row, name in zip(rows, names, strict=False) if name not in listed]
        if other:
            raise ModelError(f"{atom.text} does not list the level of {some_names(other)}.")
        there = [level for level in listed if level in there]
    if atom.reference is not None and _spelled(atom.reference, there) not in there:
        hint = near_or_there(atom.reference, there)
        raise ModelError(f"{atom.variable!r} has no level {atom.reference!r} to be the reference. {hint}")
    order = {name: place for place, name in enumerate(there)}
    return tuple(there), np.array([order[name] for name in names], int)


def _spelled(level: str, levels: Sequence[str]) -> str:
    """Return a level as it is spelled among levels: ``1`` for 01, where numbers are meant."""
    plain = level.lstrip("0") or "0"
    return level if level in levels or not level.isdecimal() or plain not in levels else plain


def _fit_curve(atom: Atom, values: Numbers, rows: Sequence[str]) -> Curve:
    """Return a function of a variable, with what it takes from the values: mean, spread, polynomials."""
    match atom.function:
        case "I":
            return lambda x: x[:, None] ** atom.degree
        case "log":
            low = [f"{row}: {v:g}" for row, v in zip(rows, values, strict=False) if v <= 0]
            if (values <= 0).any():
                raise ModelError(
                    f"{atom.label} needs values above 0{' (' if low else ''}{some_names(low)}"
                    f"{')' if low else ''}. Correct them, or write n/a to leave a participant out."
                )
            return lambda x: np.log(x)[:, None]
        case "poly":
            return _fit_polynomials(atom, values)
        case "center" | "scale":
            spread = np.std(values, ddof=1) if atom.function == "scale" and len(values) > 1 else 1.0
            if not spread > 0:
                raise ModelError(f"{atom.label}: {atom.variable!r} is the same in all rows. Leave it out.")
            mean = values.mean()
            return lambda x: ((x - mean) / spread)[:, None]
    return lambda x: x[:, None]


def _fit_polynomials(atom: Atom, values: Numbers) -> Curve:
    """Return orthogonal polynomials as R's poly(): of mean 0 and sum of squares 1 over the values."""
    n_different = len(np.unique(values))
    if atom.degree >= n_different:
        raise ModelError(f"{atom.label} needs more than {n_different} different values of {atom.variable!r}.")
    before, now, sizes = np.zeros(len(values)), np.ones(len(values)), [1.0]
    shifts: list[float] = []
    for _ in range(atom.degree):
        sizes.append(float(now @ now))
        shifts.append(float(values @ now**2) / sizes[-1])
        before, now = now, (values - shifts[-1]) * now - sizes[-1] / sizes[-2] * before
    sizes.append(float(now @ now))

    def evaluate(x: Numbers) -> Matrix:
        before, now, found = np.zeros(len(x)), np.ones(len(x)), []
        for degree, shift in enumerate(shifts, 1):
            before, now = now, (x - shift) * now - sizes[degree] / sizes[degree - 1] * before
            found.append(now / math.sqrt(sizes[degree + 1]))
        return np.column_stack(found)

    return evaluate


def _check_once(factors: Mapping[Atom, Sequence[str]]) -> None:
    for variable, count in Counter(atom.variable for atom in factors).items():
        if count > 1:
            raise ModelError(f"{variable!r} is a factor twice, as {variable} and as C({variable}). Keep one.")


def _make_columns(
    formula: Formula, factors: Mapping[Atom, tuple[str, ...]], pieces: Mapping[Atom, list[Piece]]
) -> tuple[tuple[Column, ...], dict[Term, tuple[Part, ...]]]:
    """Return the columns of all terms, and what each term adds to those before it."""
    taken: set[tuple[frozenset[Atom], Part]] = set()
    columns: list[Column] = []
    parts: dict[Term, tuple[Part, ...]] = {}
    for term in formula.terms:
        numbers = frozenset(atom for atom in term if atom in pieces)
        coded = [atom for atom in term if atom in factors]
        subsets = [frozenset(some) for size in range(len(coded) + 1) for some in combinations(coded, size)]
        parts[term] = tuple(part for part in subsets if (numbers, part) not in taken)
        taken |= {(numbers, part) for part in parts[term]}
        for is_full in _recombine(parts[term]):
            factorial = [atom for atom in term if atom in pieces or atom in is_full]
            sides = [
                _piece_columns(pieces[atom]) if atom in pieces else _codes(atom, factors[atom], is_full[atom])
                for atom in factorial
            ]
            if len(columns) + math.prod(map(len, sides)) > MAX_COLUMNS:
                raise ModelError(f"it gives more than {MAX_COLUMNS:,} columns.")
            # The first factor varies fastest, as in R.
            columns += [_combine(some[::-1], term) for some in product(*reversed(sides))]
    return tuple(columns), parts


def _recombine(parts: Sequence[Part]) -> list[dict[Atom, bool]]:
    """Return the products that together hold some parts: their factors, and whether with all levels.

    A part and the one with a factor more are one product, with all levels of that factor.
    """
    products = [dict.fromkeys(part, False) for part in parts]
    while True:
        pairs = (
            (short, long)
            for short, long in combinations(products, 2)
            if len(long) == len(short) + 1 and short.items() <= long.items()
        )
        short, long = next(pairs, (None, None))
        if short is None or long is None:
            return products
        (more,) = long.keys() - short.keys()
        products[products.index(long)] = {**short, more: True}
        products.remove(short)


def _piece_columns(pieces: Sequence[Piece]) -> list[Column]:
    return [Column(piece_name(piece), frozenset([piece]), {}) for piece in pieces]


def _codes(atom: Atom, levels: Sequence[str], is_full: bool) -> list[Column]:
    """Return the columns of a factor: an indicator of each level, or a column less in its coding."""
    codes, marks = np.eye(len(levels)), ""
    kept = list(range(len(levels)))
    if not is_full and atom.coding == "Sum":
        kept, marks = kept[:-1], "S."
        codes[-1] = -1.0
    elif not is_full:
        kept.remove(reference_place(atom, levels))
        marks = "T."
    return [Column(f"{atom.label}[{marks}{levels[i]}]", frozenset(), {atom: codes[:, i]}) for i in kept]


def _combine(factors: Sequence[Column], term: Term) -> Column:
    """Return the product of some columns; of none the intercept."""
    numbers = frozenset(piece for column in factors for piece in column.numbers)
    codes = {atom: values for column in factors for atom, values in column.codes.items()}
    return Column(":".join(column.name for column in factors) or INTERCEPT, numbers, codes, term)


def _evaluate(
    column: Column, values: Mapping[Piece, Numbers], places: Mapping[Atom, Labels], n_rows: int
) -> Numbers:
    """Return the values of a column over the rows."""
    made = np.ones(n_rows)
    for piece in sorted(column.numbers, key=repr):
        made = made * values[piece]
    for atom, codes in column.codes.items():
        made = made * codes[places[atom]]
    return made
