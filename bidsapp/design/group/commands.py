"""Group designs written on the command line: words to a BIDS Stats Model with one Dataset node.

``two-sample group covariate age`` becomes the node that a model file would hold, so that everything after
the command line is the same for both, and the model kept with the results can be edited and used again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bidsapp.design.group.cells import (
    WITHIN,
    Cells,
    Parts,
    find_cells,
    make_pooled_node,
    sort_expressions,
    within_contrasts,
)
from bidsapp.design.group.contrasts import (
    group_contrasts,
    make_expressed,
    make_t,
    mean_over_groups,
    slope_contrasts,
    slope_of,
    split_expression,
    with_intercept,
)
from bidsapp.design.transformers.variables import is_number
from bidsapp.errors import SettingsError, did_you_mean, near_or_there
from bidsapp.records.documents import Document
from bidsapp.records.model import INTERCEPT

# How many names each form takes, at least and at most (None: any number).
FORMS = {
    "one-sample": (0, 0),
    "paired": (2, 2),
    "two-sample": (1, 1),
    "anova": (1, 1),
    "covariate": (1, None),
    "covariate-by-group": (1, None),
    "repeated-measures": (1, None),
}
MODEL_FILE = "Other designs are written as a model file (docs/models/README.md has examples)."
BETWEEN = ("two-sample", "anova")
COVARIATES = ("covariate", "covariate-by-group")
GROUP_BY = ["contrast", "session", "task"]


# What stands in a table of participants.
Cell: TypeAlias = str | float | None


@dataclass(frozen=True, slots=True)
class Known:
    """What a design may refer to.

    Attributes
    ----------
    contrasts : tuple of str
        Contrasts of the subjects.
    columns : dict of str to list
        Column of the participants table to its values, of those with estimates; None where missing.
    subjects : tuple of str
        Those with estimates, in the order of the values.
    labels : dict of str to list of str
        Entity, by its short name, to its labels among the estimates.
    silence : str
        Why the table says nothing of any of them; empty where it says something.
    """

    contrasts: tuple[str, ...]
    columns: dict[str, list[Cell]]
    subjects: tuple[str, ...] = ()
    silence: str = ""
    labels: dict[str, list[str]] = field(default_factory=dict)


def make_group_document(
    words: Sequence[str],
    expressions: Iterable[str],
    known: Known,
    *,
    error_term: str = "partitioned",
    weights: str = "equal",
) -> Document:
    """Return the model of a design written in words.

    Parameters
    ----------
    words : sequence of str
        For example ``("two-sample", "group", "covariate", "age")``.
    expressions : sequence of str
        Contrasts as ``NAME=EXPRESSION``; rows of an F test are separated by semicolons. In designs within
        subjects over their cells and levels, or over the columns between subjects.
    known : Known
    error_term : {"partitioned", "pooled"}
    weights : {"equal", "size"}
        What each group counts in an effect within subjects that is averaged over groups.

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
    named = dict(split_expression(text) for text in expressions)
    within = next((form for form in WITHIN if form in parts), None)
    if weights != "equal" and not (within and any(form in parts for form in BETWEEN)):
        raise SettingsError(
            f"--weights {weights}: there is nothing to weigh. Effects are averaged over groups where "
            "paired or repeated-measures stands with two-sample or anova."
        )
    if within and error_term == "pooled":
        return _document(words, make_pooled_node(parts, named, known), find_cells(parts, known))
    if within:
        cells = find_cells(parts, known)
        node = _between_node(parts, {}, known)
        columns = [str(item) for item in node["Model"]["X"] if item != 1]
        over_cells, between = sort_expressions(named, cells, columns)
        # Every contrast between subjects is made of every contrast within them.
        node["Contrasts"] += [make_expressed(name, text, columns) for name, text in between.items()]
        software: Document = {"SubjectContrasts": within_contrasts(parts, over_cells, cells)}
        if weights != "equal":
            software["GroupWeights"] = weights
        software |= node["Model"].get("Software", {}).get("TaskGLM", {})
        node["Model"]["Software"] = {"TaskGLM": software}
        told_apart = {name for cell in cells.values() for name in cell.labels} - {"contrast"}
        node["GroupBy"] = [name for name in GROUP_BY if name not in told_apart]
        return _document(words, node, cells)
    return _document(words, _between_node(parts, named, known), None)


def split_words(words: Sequence[str]) -> Parts:
    """Return form -> its arguments.

    Raises
    ------
    SettingsError
    """
    parts: Parts = {}
    form = None
    for word in words:
        if word in FORMS:
            if word in parts and word not in COVARIATES:
                raise SettingsError(f"--group-design: {word} is there twice. {MODEL_FILE}")
            form = word
            parts.setdefault(form, [])
        elif form:
            parts[form].append(word)
        else:
            near = did_you_mean(word, FORMS, ".", ", did you mean")
            raise SettingsError(f"--group-design: {word!r} is none of {', '.join(FORMS)}{near}")
    for form, arguments in parts.items():
        _check_arguments(form, arguments)
    _check_together(parts)
    return parts


def _check_together(parts: Parts) -> None:
    """Raise SettingsError for forms that do not go together, or one that needs another."""
    if sum(form in parts for form in WITHIN) > 1 or sum(form in parts for form in BETWEEN) > 1:
        raise SettingsError(f"--group-design: {' and '.join(parts)} do not go together. {MODEL_FILE}")
    if "covariate-by-group" in parts and not any(form in parts for form in BETWEEN):
        raise SettingsError("--group-design covariate-by-group needs two-sample or anova beside it.")
    both = set(parts.get("covariate", ())) & set(parts.get("covariate-by-group", ()))
    if both:
        raise SettingsError(f"--group-design: {min(both)} is there twice, with one slope and by group.")


def _check_arguments(form: str, arguments: Sequence[str]) -> None:
    least, most = FORMS[form]
    if len(arguments) < least or (most is not None and len(arguments) > most):
        count = str(least) if least == most else f"{least} or more"
        raise SettingsError(
            f"--group-design {form} takes {count} names, not {len(arguments)}. Covariates follow the "
            f"word covariate. {MODEL_FILE}"
        )
    doubled = [name for name in arguments if arguments.count(name) > 1]
    if doubled:
        raise SettingsError(f"--group-design {form}: {doubled[0]} is there twice.")


def _document(words: Sequence[str], node: Document, cells: Cells | None) -> Document:
    document: Document = {
        "Name": "group command",
        "BIDSModelVersion": "1.0.0",
        "Description": f"Made by TaskGLM from --group-design {' '.join(words)}. Covariates are centred at "
        "the mean of all inputs in the model.",
        "Nodes": [node],
    }
    if cells is not None:
        places = [cell.labels for cell in cells.values()]
        document["Input"] = {name: list(dict.fromkeys(place[name] for place in places)) for name in places[0]}
    return document


def _between_node(parts: Parts, named: Mapping[str, str], known: Known) -> Document:
    form = next((form for form in BETWEEN if form in parts), None)
    common, by_group = (parts.get(word, []) for word in COVARIATES)
    covariates = [*common, *by_group]
    transformations, contrasts = [], []
    x: list[str | int] = [1]
    descriptive: Document = {}
    if form:
        column = parts[form][0]
        levels = _levels(column, known, form)
        transformations.append({"Name": "Factor", "Input": [column]})
        groups = [f"{column}.{level}" for level in levels]
        averaged = [mean_over_groups(groups)] if any(word in parts for word in WITHIN) else []
        contrasts = averaged + group_contrasts(column, levels)
        x = [*groups]
        # Means of groups come with the design: nobody's hypotheses.
        descriptive = {"Software": {"TaskGLM": {"Descriptive": groups}}}
    for name in covariates:
        _check_numeric(name, known)
    if covariates:
        transformations.append({"Name": "Demean", "Input": covariates})
    contrasts += [make_t(name, {name: 1.0}) for name in ([] if form else ["1"]) + common]
    columns = [*x, *common]
    for name in by_group:
        products = {slope_of(name, column, level): [name, f"{column}.{level}"] for level in levels}
        transformations += [
            {"Name": "Product", "Input": factors, "Output": [product]}
            for product, factors in products.items()
        ]
        contrasts += slope_contrasts(name, column, levels)
        columns += products
    contrasts += [make_expressed(name, text, [str(item) for item in columns]) for name, text in named.items()]
    return {
        "Level": "Dataset",
        "Name": "_".join(parts).replace("-", "_") or "group",
        "GroupBy": list(GROUP_BY),
        "Transformations": {"Transformer": "pybids-transforms-v1", "Instructions": transformations},
        "Model": {"Type": "glm", "X": columns} | descriptive,
        "Contrasts": [with_intercept(contrast) for contrast in contrasts],
    }


def _levels(column: str, known: Known, form: str) -> list[str]:
    values = _column(column, known)
    levels = sorted({str(value) for value in values if value is not None})
    if len(levels) < 2 or (form == "two-sample" and len(levels) > 2):
        need = "2" if form == "two-sample" else "2 or more"
        raise SettingsError(
            f"--group-design {form} {column}: the column has {len(levels)} values among the participants "
            f"with estimates ({', '.join(levels[:8])}), {need} are needed."
        )
    return levels


def _column(name: str, known: Known) -> list[Cell]:
    if known.silence:
        raise SettingsError(f"--group-design: {name!r} is not known: {known.silence}.")
    if name in ("0", "1", INTERCEPT):
        raise SettingsError(f"--group-design: {name!r} is the name of a mean in models. Rename the column.")
    if name not in known.columns:
        hint = near_or_there(name, known.columns)
        raise SettingsError(f"--group-design: participants.tsv has no column {name!r}. {hint}")
    return known.columns[name]


def _check_numeric(name: str, known: Known) -> None:
    values = _column(name, known)
    there = [value for value in values if value is not None]
    wrong = [value for value in there if not is_number(value)]
    if len(wrong) > len(there) / 2:
        message = f"--group-design covariate {name}: its values are not numbers. Use two-sample or anova."
        raise SettingsError(message)
    if wrong:
        whose = [
            f"{subject}: {value!r}"
            for subject, value in zip(known.subjects, values, strict=False)
            if value is not None and not is_number(value)
        ]
        raise SettingsError(
            f"--group-design covariate {name}: no number for {', '.join(whose[:8])}. Write a number, "
            "or n/a to leave a participant out."
        )
    numbers = [float(value) for value in there]
    if len(set(numbers)) < 2:
        raise SettingsError(f"--group-design covariate {name}: it is the same in all participants.")
