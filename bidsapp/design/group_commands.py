"""Group designs written on the command line: words to a BIDS Stats Model with one Dataset node.

``two-sample group covariate age`` becomes the node that a model file would hold, so that everything after
the command line is the same for both, and the model kept with the results can be edited and used again.
"""

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from bidsapp.design.expressions import linear_weights
from bidsapp.errors import ModelError, SettingsError

FORMS = {
    "one-sample": (0, 0),
    "paired": (2, 2),
    "two-sample": (1, 1),
    "anova": (1, 1),
    "covariate": (1, None),
    "repeated-measures": (1, None),
}
BETWEEN = ("two-sample", "anova")
WITHIN = ("paired", "repeated-measures")
GROUP_BY = ["contrast", "session", "task"]
MAX_PAIRS = 4


@dataclass(frozen=True, slots=True)
class Known:
    """What a design may refer to.

    Attributes
    ----------
    contrasts : tuple of str
        Contrasts of the subjects.
    columns : dict of str to list
        Column of the participants table to its values, of those with estimates; None where missing.
    """

    contrasts: tuple[str, ...]
    columns: dict


def make_group_document(words, expressions, known, *, error_term="partitioned"):
    """Return the model of a design written in words.

    Parameters
    ----------
    words : sequence of str
        For example ``("two-sample", "group", "covariate", "age")``.
    expressions : sequence of str
        Contrasts as ``NAME=EXPRESSION``; rows of an F test are separated by semicolons.
    known : Known
    error_term : {"partitioned", "pooled"}

    Returns
    -------
    dict
        A BIDS Stats Model.

    Raises
    ------
    SettingsError, ModelError
        Words that make no design, or names that are not known.
    """
    parts = split_words(words)
    named = dict(_split_expression(text) for text in expressions)
    within = next((form for form in WITHIN if form in parts), None)
    if within and error_term == "pooled":
        return _document(words, _pooled_node(parts, named, known), _cells(parts, known))
    if within:
        cells = _cells(parts, known)
        node = _between_node(parts, {}, known)
        wanted = _within_contrasts(parts, named, cells)
        node["Model"]["Software"] = {"TaskGLM": {"SubjectContrasts": wanted}}
        return _document(words, node, cells)
    return _document(words, _between_node(parts, named, known), None)


def split_words(words):
    """Return form -> its arguments.

    Raises
    ------
    SettingsError
    """
    parts = {}
    for word in words:
        if word in FORMS:
            if word in parts:
                raise SettingsError(f"--group-design: {word} is there twice.")
            parts[word] = []
        elif parts:
            parts[next(reversed(parts))].append(word)
        else:
            raise SettingsError(f"--group-design: {word!r} is none of {', '.join(FORMS)}.")
    for form, arguments in parts.items():
        least, most = FORMS[form]
        if len(arguments) < least or (most is not None and len(arguments) > most):
            count = str(least) if least == most else f"{least} or more"
            raise SettingsError(f"--group-design {form} takes {count} names, not {len(arguments)}.")
    if sum(form in parts for form in WITHIN) > 1 or sum(form in parts for form in BETWEEN) > 1:
        raise SettingsError(f"--group-design: {' and '.join(parts)} do not go together.")
    return parts


def _document(words, node, cells):
    document = {
        "Name": "group command",
        "BIDSModelVersion": "1.0.0",
        "Description": f"Made by TaskGLM from --group-design {' '.join(words)}. Covariates are centred at "
        "the mean of all inputs in the model.",
        "Nodes": [node],
    }
    if cells is not None:
        document["Input"] = {"contrast": list(cells)}
    return document


# Between subjects


def _between_node(parts, named, known):
    form = next((form for form in BETWEEN if form in parts), None)
    covariates = parts.get("covariate", [])
    transformations, x, contrasts = [], [1], []
    if form:
        column = parts[form][0]
        levels = _levels(column, known, form)
        transformations.append({"Name": "Factor", "Input": [column]})
        x = [f"{column}.{level}" for level in levels]
        contrasts = _group_contrasts(column, x)
    for name in covariates:
        _check_numeric(name, known)
    if covariates:
        transformations.append({"Name": "Demean", "Input": covariates})
    columns = [*x, *covariates]
    contrasts += [_t(name, {name: 1.0}) for name in ([] if form else [1]) + covariates]
    contrasts += [_expressed(name, text, [str(item) for item in columns]) for name, text in named.items()]
    return {
        "Level": "Dataset",
        "Name": "_".join(parts).replace("-", "_") or "group",
        "GroupBy": list(GROUP_BY),
        "Transformations": {"Transformer": "pybids-transforms-v1", "Instructions": transformations},
        "Model": {"Type": "glm", "X": columns},
        "Contrasts": [_with_intercept(contrast) for contrast in contrasts],
    }


def _levels(column, known, form):
    values = _column(column, known)
    levels = list(dict.fromkeys(str(value) for value in values if value is not None))
    levels.sort()
    if len(levels) < 2 or (form == "two-sample" and len(levels) > 2):
        need = "2" if form == "two-sample" else "2 or more"
        raise SettingsError(
            f"--group-design {form} {column}: the column has {len(levels)} values among the participants "
            f"with estimates ({', '.join(levels[:8])}), {need} are needed."
        )
    return levels


def _column(name, known):
    if name not in known.columns:
        there = ", ".join(known.columns) or "none"
        raise SettingsError(f"--group-design: participants.tsv has no column {name!r}. There are: {there}.")
    return known.columns[name]


def _check_numeric(name, known):
    values = [value for value in _column(name, known) if value is not None]
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError) as error:
        message = f"--group-design covariate {name}: its values are not numbers. Use two-sample or anova."
        raise SettingsError(message) from error
    if len(set(numbers)) < 2:
        raise SettingsError(f"--group-design covariate {name}: it is the same in all participants.")


def _group_contrasts(column, x):
    """Return the mean of each group, all differences (up to 4 groups) and the F of no difference."""
    contrasts = [_t(name, {name: 1.0}) for name in x]
    if len(x) <= MAX_PAIRS:
        for first, second in combinations(x, 2):
            name = f"{first.removeprefix(column + '.')} vs {second.removeprefix(column + '.')}"
            contrasts.append(_t(name, {first: 1.0, second: -1.0}))
    if len(x) > 2:
        rows = [{first: 1.0, second: -1.0} for first, second in zip(x, x[1:], strict=False)]
        contrasts.append(_rows(column, rows))
    return contrasts


# Within subjects


def _cells(parts, known):
    """Return cell -> levels of its factors; one factor with the contrasts themselves for a pair."""
    if "paired" in parts:
        for name in parts["paired"]:
            if name not in known.contrasts:
                raise SettingsError(
                    f"--group-design paired: there is no contrast {name!r}. "
                    f"There are: {', '.join(known.contrasts)}."
                )
        return {name: (name,) for name in parts["paired"]}
    factors = read_factors(parts["repeated-measures"])
    cells = {}
    for levels in product(*factors.values()):
        matching = [name for name in known.contrasts if _holds(name, levels)]
        if len(matching) != 1:
            found = ", ".join(matching) if matching else "none"
            raise SettingsError(
                f"--group-design repeated-measures: the cell {', '.join(levels)} needs one contrast whose "
                f"name is made of these levels; found: {found}. There are: {', '.join(known.contrasts)}."
            )
        cells[matching[0]] = levels
    return cells


def read_factors(words):
    """Return factor -> levels of words such as ``stimulus=FF,UF,SF``."""
    factors = {}
    for word in words:
        name, equals, levels = word.partition("=")
        values = [level for level in levels.split(",") if level]
        if not name or not equals or len(set(values)) < 2 or len(set(values)) < len(values):
            raise SettingsError(
                f"--group-design repeated-measures: {word!r} is not FACTOR=LEVEL,LEVEL with two different "
                "levels or more."
            )
        factors[name] = values
    return factors


def _holds(name, levels):
    """Whether a contrast's name is made of the levels, each once, in any order, with any separators."""
    rest = name
    for level in sorted(levels, key=len, reverse=True):
        if level not in rest:
            return False
        rest = rest.replace(level, " ", 1)
    return not any(character.isalnum() for character in rest)


def _within_rows(parts, named, cells):
    """Return name -> rows, each a dict of cells to weights."""
    if "paired" in parts:
        first, second = parts["paired"]
        default = {f"{first} vs {second}": [{first: 1.0, second: -1.0}]}
    else:
        default = _effects(read_factors(parts["repeated-measures"]), cells)
    return default | {name: _expand_rows(text, cells) for name, text in named.items()}


def _effects(factors, cells):
    """Return the main effects and interactions: every factor outside an effect is averaged over."""
    effects = {}
    for size in range(1, len(factors) + 1):
        for chosen in combinations(factors, size):
            blocks = [
                _differences(len(levels)) if name in chosen else np.full((1, len(levels)), 1 / len(levels))
                for name, levels in factors.items()
            ]
            weights = blocks[0]
            for block in blocks[1:]:
                weights = np.kron(weights, block)
            rows = [dict(zip(cells, row.tolist(), strict=True)) for row in weights]
            effects[" x ".join(chosen)] = rows
    return effects


def _differences(n_levels):
    return np.eye(n_levels)[:-1] - np.eye(n_levels)[1:]


def _expand_rows(text, cells):
    """Return the rows of an expression over cells and levels; a level is the mean of its cells."""
    levels = {}
    for cell, of_cell in cells.items():
        for level in of_cell:
            levels.setdefault(level, []).append(cell)
    names = list(dict.fromkeys([*cells, *levels]))
    rows = []
    for part in text.split(";"):
        row = dict.fromkeys(cells, 0.0)
        for name, weight in _read_weights(part, names).items():
            members = [name] if name in cells else levels[name]
            for cell in members:
                row[cell] += weight / len(members)
        rows.append(row)
    return rows


def _within_contrasts(parts, named, cells):
    return [
        {
            "Name": name,
            "Cells": list(cells),
            "Weights": [[row.get(cell, 0.0) for cell in cells] for row in rows],
        }
        for name, rows in _within_rows(parts, named, cells).items()
    ]


def _pooled_node(parts, named, known):
    """Return one model of all cells with a column a cell and a column a subject."""
    others = [form for form in parts if form not in WITHIN]
    if others:
        raise SettingsError(
            f"--error-term pooled does not go with {', '.join(others)}; subjects have columns of their own."
        )
    cells = _cells(parts, known)
    contrasts = []
    for name, rows in _within_rows(parts, named, cells).items():
        columns = [{f"contrast.{cell}": weight for cell, weight in row.items() if weight} for row in rows]
        _check_difference(name, columns)
        contrasts.append(_t(name, columns[0]) if len(columns) == 1 else _rows(name, columns))
    return {
        "Level": "Dataset",
        "Name": "pooled_repeated_measures",
        "GroupBy": ["session", "task"],
        # Factors, or labels of subjects that look like numbers would be one covariate.
        "Transformations": {
            "Transformer": "pybids-transforms-v1",
            "Instructions": [{"Name": "Factor", "Input": ["contrast", "subject"]}],
        },
        "Model": {"Type": "glm", "X": [*(f"contrast.{cell}" for cell in cells), "subject.*"]},
        "Contrasts": contrasts,
    }


def _check_difference(name, rows):
    if any(abs(sum(row.values())) > 1e-8 for row in rows):
        raise SettingsError(
            f"--group-contrast {name}: the weights must add to 0 with a pooled error term, whose columns of "
            "subjects hold the mean. Use --error-term partitioned."
        )


# Contrasts


def _split_expression(text):
    name, equals, expression = text.partition("=")
    if not equals or not name.strip() or not expression.strip():
        raise SettingsError(f"--group-contrast {text!r}: write NAME=EXPRESSION.")
    return name.strip(), expression


def _expressed(name, text, columns):
    rows = [_read_weights(part, columns) for part in text.split(";")]
    return _t(name, rows[0]) if len(rows) == 1 else _rows(name, rows)


def _read_weights(text, names):
    try:
        return linear_weights(text.strip(), names)
    except ModelError as error:
        raise SettingsError(f"--group-contrast: {error}") from error


def _t(name, row):
    return {
        "Name": "mean" if name == 1 else str(name),
        "ConditionList": list(row),
        "Weights": list(row.values()),
        "Test": "t",
    }


def _rows(name, rows):
    conditions = list(dict.fromkeys(condition for row in rows for condition in row))
    weights = [[row.get(condition, 0.0) for condition in conditions] for row in rows]
    return {"Name": name, "ConditionList": conditions, "Weights": weights, "Test": "F"}


def _with_intercept(contrast):
    """Return a contrast with the intercept as the number 1, as models write it."""
    conditions = [1 if condition == "1" else condition for condition in contrast["ConditionList"]]
    return {**contrast, "ConditionList": conditions}
