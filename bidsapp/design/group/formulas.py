"""A group design written as a formula on the command line: to a BIDS Stats Model with one Dataset node."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bidsapp.design.coding import FormulaDesign, fit_formula
from bidsapp.design.formula import Atom, Formula, Term, parse_formula
from bidsapp.design.group.commands import GROUP_BY, Known
from bidsapp.design.group.contrasts import Row, make_f, make_t, split_expression, with_intercept
from bidsapp.design.group.marginal import Margins, Rows, describe_formula
from bidsapp.design.transformers.variables import Values, Variable, as_values, is_missing, level_names
from bidsapp.errors import ModelError, SettingsError, near_or_there, some_names
from bidsapp.records.documents import Document
from bidsapp.records.model import INTERCEPT, MEAN, ZERO
from bidsapp.stats.linear import find_independent

# Numbers with so few different whole values may be codes of a factor.
FEW_CODES = 5
# Coefficients below this part of the largest are rounding.
ROUNDING = 1e-8


def make_formula_document(
    text: str, expressions: Iterable[str], known: Known, orders: Mapping[str, Sequence[str]]
) -> tuple[Document, list[str]]:
    """Return the model of a formula, and notes on its design.

    Parameters
    ----------
    text : str
        For example ``~ group * age + site``.
    expressions : sequence of str
        Contrasts over means of levels, slopes and columns, with or without ``NAME=`` before them.
    known : Known
    orders : dict of str to sequence of str
        Column -> its levels in the order that the dataset gives them.

    Returns
    -------
    document : dict
        A BIDS Stats Model.
    notes : list of str

    Raises
    ------
    SettingsError
    """
    try:
        formula = parse_formula(text)
        values, rows = _complete(formula, known)
        right = formula.rewrite(lambda atom: _ordered(atom, values, orders))
        design = fit_formula(right, values, len(rows), rows)
        _check_levels(design)
        _check_independent(design)
    except ModelError as error:
        raise SettingsError(f"--formula: {error}") from error
    margins = Margins(design)
    contrasts = {contrast["Name"]: contrast for contrast in default_contrasts(margins)}
    for expression in expressions:
        name, rest = split_expression(expression)
        contrasts[name] = _make(name, [margins.read(part) for part in rest.split(";")])
    x: list[str | int] = [*([1] if () in formula.terms else []), *values]
    # The mean comes with the design of groups: nobody's hypothesis.
    own = {"Software": {"TaskGLM": {"Descriptive": [MEAN]}}} if design.factors else {}
    document = {
        "Name": "group formula",
        "BIDSModelVersion": "1.0.0",
        "Description": f"Made by TaskGLM from --formula {text.strip()}. {describe_formula(design)}",
        "Nodes": [
            {
                "Level": "Dataset",
                "Name": "formula",
                "GroupBy": list(GROUP_BY),
                "Model": {"Type": "glm", "X": x, "Formula": right} | own,
                "Contrasts": [with_intercept(contrast) for contrast in contrasts.values()],
            }
        ],
    }
    return document, formula_notes(margins, values)


def default_contrasts(margins: Margins) -> list[Document]:
    """Return the overall mean, the difference of two levels, and a type III test of each term."""
    design, contrasts = margins.design, []
    if any(not column.numbers for column in design.columns):
        contrasts.append(make_t(MEAN, {INTERCEPT if len(design.columns) == 1 else MEAN: 1.0}))
    for term in design.formula.terms:
        rows = margins.test(term)
        if not rows:
            continue
        spelled, difference = margins.spell(rows), _difference(term, rows, margins)
        if difference:
            contrasts.append(difference)
            if difference["ConditionList"] == list(spelled[0]):
                continue
        contrasts.append(_make(term_name(term), spelled))
    return contrasts


def _make(name: str, rows: Sequence[Row]) -> Document:
    return make_t(name, rows[0]) if len(rows) == 1 else make_f(name, rows)


def term_name(term: Term) -> str:
    """Return what the test of a term is called: ``group x age``."""
    return " x ".join(map(_short, term))


def formula_notes(margins: Margins, values: Mapping[str, Values]) -> list[str]:
    """Return what a reader of a formula's tests must know: codings, codes of numbers, tests at 0."""
    design = margins.design
    notes = list(filter(None, [describe_formula(design)]))
    for atom in design.formula.atoms:
        levels = [] if atom.function or atom in design.factors else np.unique(values[atom.variable]).tolist()
        if 0 < len(levels) <= FEW_CODES and all(map(float.is_integer, levels)):
            shown = ", ".join(f"{level:g}" for level in levels)
            notes.append(f"{atom.text} ({shown}) enters as numbers; if these are codes, write C({atom.text})")
    for term in design.formula.terms:
        rows = margins.test(term)
        if rows and not margins.is_at_means(rows):
            meets = {
                atom
                for other in design.formula.terms
                for atom in set(other) - set(term)
                if set(term) < set(other) and atom not in design.factors
            }
            names = " and ".join(sorted(atom.text for atom in meets))
            alike = "" if any(atom.function for atom in meets) else f"; with center({names}) both are alike"
            notes.append(
                f"the test of {term_name(term)} is at {names} = 0, for they interact (type III, as "
                f"car::Anova); means and slopes are at the mean of {names}{alike}"
            )
    return notes


def _short(atom: Atom) -> str:
    return atom.variable if atom.function in ("", "C", "center", "scale") else atom.label


def _difference(term: Term, rows: Rows, margins: Margins) -> Document | None:
    """Return the difference between the means of a factor's two levels; None for other terms."""
    if len(term) > 1 or len(rows) > 1 or term[0] not in margins.design.factors:
        return None
    row = {margins.name(point): weight for point, weight in rows[0].items()}
    (level, _), (reference, _) = sorted(row.items(), key=lambda pair: -pair[1])
    return make_t(f"{margins.shorten(level)} vs {margins.shorten(reference)}", row)


def _complete(formula: Formula, known: Known) -> tuple[dict[str, Values], list[str]]:
    """Return the variables of a formula over the participants that have them all, and who these are."""
    variables = list(dict.fromkeys(atom.variable for atom in formula.atoms))
    for name in variables:
        if known.silence:
            raise ModelError(f"{name!r} is not known: {known.silence}.")
        if name in (INTERCEPT, MEAN, ZERO):
            raise ModelError(f"{name!r} is the name of a mean. Rename the column.")
        if name not in known.columns:
            raise ModelError(f"there is no column {name!r}. {near_or_there(name, known.columns)}")
    values = {name: as_values(np.array(known.columns[name], object)) for name in variables}
    missing = [is_missing(column) for column in values.values()]
    there = ~np.any([*missing, np.zeros(len(known.subjects), bool)], axis=0)
    if not there.any():
        raise ModelError(f"no participant has a value of {' and '.join(variables)}.")
    rows = [subject for subject, kept in zip(known.subjects, there, strict=True) if kept]
    return {name: column[there] for name, column in values.items()}, rows


def _ordered(atom: Atom, values: Mapping[str, Values], orders: Mapping[str, Sequence[str]]) -> Atom:
    """Return a factor with its levels in the order of the dataset, where it lists them all."""
    column = Variable(atom.variable, values[atom.variable])
    is_factor = atom.function == "C" or (not atom.function and column.is_text)
    order, levels = list(orders.get(atom.variable, ())), level_names(column)
    if not is_factor or atom.levels or not set(levels) <= set(order):
        return atom
    ordered = [level for level in order if level in levels]
    return atom if ordered == levels else replace(atom, function="C", levels=tuple(ordered))


def _check_levels(design: FormulaDesign) -> None:
    for atom, levels in design.factors.items():
        if len(levels) < 2:
            raise ModelError(
                f"{atom.variable!r} is {levels[0]!r} in all participants that have values of all columns. "
                "Leave it out."
            )


def _check_independent(design: FormulaDesign) -> None:
    """Raise ModelError naming a column that others make up, and what to leave out."""
    matrix, names = design.matrix, design.names
    if len(matrix) <= len(names):
        raise ModelError(
            f"{len(matrix)} participants have values of all its columns, and it makes {len(names)} columns. "
            "Leave terms out."
        )
    kept = find_independent(matrix)
    if len(kept) == len(names):
        return
    lost = next(index for index in range(len(names)) if index not in kept)
    column, before = matrix[:, lost], [index for index in kept if index < lost]
    term = _text(design.columns[lost].term)
    if not column.any():
        raise ModelError(
            f"no participant is in {names[lost]}, and {term} needs all of its cells. Leave {term} out, or "
            "join levels in participants.tsv."
        )
    shares = np.linalg.lstsq(matrix[:, before], column, rcond=None)[0] * np.abs(matrix[:, before]).max(axis=0)
    makers = [before[i] for i in np.flatnonzero(np.abs(shares) > ROUNDING * np.abs(shares).max())]
    others = dict.fromkeys(
        _text(design.columns[index].term) for index in makers if design.columns[index].term
    )
    if not others:
        raise ModelError(f"{names[lost]} is the same in all participants. Leave {term} out.")
    choice = " or ".join(dict.fromkeys([term, *others]))
    raise ModelError(
        f"{names[lost]} says nothing that {some_names(names[index] for index in makers)} do not say: they "
        f"are collinear. Leave out {choice}."
    )


def _text(term: Term) -> str:
    return ":".join(atom.text for atom in term)
