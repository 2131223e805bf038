"""Designs within subjects: which contrasts are the cells, and the effects of the factors over them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import combinations, product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bidsapp.design.group.contrasts import Row, make_f, make_t, read_weights
from bidsapp.errors import SettingsError, near_or_there, tell_names
from bidsapp.records.arrays import Matrix
from bidsapp.records.documents import Document

if TYPE_CHECKING:
    from bidsapp.design.group.commands import Known

# Form of the design -> the words after it.
Parts: TypeAlias = dict[str, list[str]]
# Contrast of the subjects -> its levels of the factors.
Cells: TypeAlias = dict[str, tuple[str, ...]]
WITHIN = ("paired", "repeated-measures")
# Weights such as 1/3 add to 0 but for this.
ROUNDING = 1e-8


def find_cells(parts: Parts, known: "Known") -> Cells:
    """Return cell -> levels of its factors; one factor with the contrasts themselves for a pair."""
    if "paired" in parts:
        for name in parts["paired"]:
            if name not in known.contrasts:
                raise SettingsError(
                    f"--group-design paired: there is no contrast {name!r}. "
                    f"{near_or_there(name, known.contrasts)}"
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
                f"name is made of these levels; found: {found}. {tell_names(known.contrasts)}"
            )
        cells[matching[0]] = levels
    return cells


def read_factors(words: Iterable[str]) -> dict[str, list[str]]:
    """Return factor -> levels of words such as ``stimulus=FF,UF,SF``."""
    factors: dict[str, list[str]] = {}
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


def _holds(name: str, levels: Iterable[str]) -> bool:
    """Whether a contrast's name is made of the levels, each once, in any order, with any separators."""
    rest = name
    for level in sorted(levels, key=len, reverse=True):
        if level not in rest:
            return False
        rest = rest.replace(level, " ", 1)
    return not any(character.isalnum() for character in rest)


def _within_rows(parts: Parts, named: Mapping[str, str], cells: Cells) -> dict[str, list[Row]]:
    """Return name -> rows, each a dict of cells to weights."""
    if "paired" in parts:
        first, second = parts["paired"]
        default: dict[str, list[Row]] = {f"{first} vs {second}": [{first: 1.0, second: -1.0}]}
    else:
        default = _effects(read_factors(parts["repeated-measures"]), cells)
    return default | {name: _expand_rows(text, cells) for name, text in named.items()}


def _effects(factors: Mapping[str, Sequence[str]], cells: Cells) -> dict[str, list[Row]]:
    """Return the main effects and interactions: every factor outside an effect is averaged over."""
    effects: dict[str, list[Row]] = {}
    for size in range(1, len(factors) + 1):
        for chosen in combinations(factors, size):
            blocks = [
                _differences(len(levels)) if name in chosen else np.full((1, len(levels)), 1 / len(levels))
                for name, levels in factors.items()
            ]
            weights = reduce(np.kron, blocks)
            effects[" x ".join(chosen)] = [dict(zip(cells, row.tolist(), strict=True)) for row in weights]
    return effects


def _differences(n_levels: int) -> Matrix:
    return np.eye(n_levels)[:-1] - np.eye(n_levels)[1:]


def sort_expressions(
    named: Mapping[str, str], cells: Cells, columns: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the expressions over cells and levels, and those over the columns between subjects.

    Raises
    ------
    SettingsError
        An expression over both, or with a name that is neither.
    """
    inner = dict.fromkeys([*cells, *_cells_of_levels(cells)])
    known = [*inner, *(name for name in columns if name not in inner)]
    sorted_: tuple[dict[str, str], dict[str, str]] = {}, {}
    for name, text in named.items():
        used = {one for part in text.split(";") for one in read_weights(part, known)}
        if len({one in inner for one in used}) > 1:
            raise SettingsError(
                f"--group-contrast {name}: it is over cells of subjects ({', '.join(inner)}) and over "
                f"columns between them ({', '.join(columns)}). Write one contrast of each: every "
                "contrast between subjects is made of every contrast within them."
            )
        sorted_[not used <= set(inner)][name] = text
    return sorted_


def _cells_of_levels(cells: Cells) -> dict[str, list[str]]:
    """Return level -> the cells that have it."""
    levels: dict[str, list[str]] = {}
    for cell, of_cell in cells.items():
        for level in of_cell:
            levels.setdefault(level, []).append(cell)
    return levels


def _expand_rows(text: str, cells: Cells) -> list[Row]:
    """Return the rows of an expression over cells and levels; a level is the mean of its cells."""
    levels = _cells_of_levels(cells)
    names = list(dict.fromkeys([*cells, *levels]))
    rows: list[Row] = []
    for part in text.split(";"):
        row = dict.fromkeys(cells, 0.0)
        for name, weight in read_weights(part, names).items():
            members = [name] if name in cells else levels[name]
            for cell in members:
                row[cell] += weight / len(members)
        rows.append(row)
    return rows


def within_contrasts(parts: Parts, named: Mapping[str, str], cells: Cells) -> list[Document]:
    """Return the contrasts within subjects, as the node's ``SubjectContrasts``."""
    return [
        {
            "Name": name,
            "Cells": list(cells),
            "Weights": [[row.get(cell, 0.0) for cell in cells] for row in rows],
        }
        for name, rows in _within_rows(parts, named, cells).items()
    ]


def make_pooled_node(parts: Parts, named: Mapping[str, str], known: "Known") -> Document:
    """Return one model of all cells with a column a cell and a column a subject."""
    others = [form for form in parts if form not in WITHIN]
    if others:
        raise SettingsError(
            f"--error-term pooled does not go with {', '.join(others)}; subjects have columns of their own."
        )
    cells = find_cells(parts, known)
    contrasts = []
    for name, rows in _within_rows(parts, named, cells).items():
        columns = [{f"contrast.{cell}": weight for cell, weight in row.items() if weight} for row in rows]
        _check_difference(name, columns)
        contrasts.append(make_t(name, columns[0]) if len(columns) == 1 else make_f(name, columns))
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


def _check_difference(name: str, rows: Iterable[Row]) -> None:
    if any(abs(sum(row.values())) > ROUNDING for row in rows):
        raise SettingsError(
            f"--group-contrast {name}: the weights must add to 0 with a pooled error term, whose columns of "
            "subjects hold the mean. Use --error-term partitioned."
        )
