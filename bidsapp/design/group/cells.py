"""Designs within subjects: which contrasts are the cells, and the effects of the factors over them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations, product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bidsapp.design.group.contrasts import Row, make_f, make_t, read_weights
from bidsapp.errors import SettingsError, near_or_there, tell_names
from bidsapp.records.arrays import Matrix
from bidsapp.records.documents import Document
from bidsapp.records.model import LONG_NAMES, name_cell

if TYPE_CHECKING:
    from bidsapp.design.group.commands import Known

# Form of the design -> the words after it.
Parts: TypeAlias = dict[str, list[str]]
# Name of a cell, of a contrast of the subjects the contrast's -> the cell.
Cells: TypeAlias = dict[str, "Cell"]
WITHIN = ("paired", "repeated-measures")
# Weights such as 1/3 add to 0 but for this.
ROUNDING = 1e-8


@dataclass(frozen=True, slots=True)
class Cell:
    """One of the maps of a subject that a design within subjects compares.

    Attributes
    ----------
    levels : tuple of str
        Its levels of the factors.
    labels : dict of str to str
        Which maps it has: ``contrast`` and entities by their long names. Without ``contrast`` it is one for
        every contrast of the subjects.
    """

    levels: tuple[str, ...]
    labels: dict[str, str]


def find_cells(parts: Parts, known: "Known") -> Cells:
    """Return the cells by name; one factor of the words themselves for a pair."""
    if "paired" in parts:
        cells = {word: Cell((word,), read_place(word, known, "paired")) for word in parts["paired"]}
        if len({tuple(cell.labels) for cell in cells.values()}) > 1:
            raise SettingsError(
                f"--group-design paired {' '.join(cells)}: name two contrasts, or two labels of one entity."
            )
        return cells
    factors = read_factors(parts["repeated-measures"])
    entities = {name: entity_of(levels, known) for name, levels in factors.items()}
    named = [entity for entity in entities.values() if entity]
    if len(set(named)) < len(named):
        raise SettingsError("--group-design repeated-measures: two factors have one entity. Join them.")
    cells = {}
    for levels in product(*factors.values()):
        places = [
            read_place(level, known, "repeated-measures")
            for entity, level in zip(entities.values(), levels, strict=True)
            if entity
        ]
        of_name = [level for entity, level in zip(entities.values(), levels, strict=True) if not entity]
        if of_name:
            places.insert(0, {"contrast": _find_contrast(of_name, known)})
        labels = {key: label for place in places for key, label in place.items()}
        cells[name_cell(labels)] = Cell(levels, labels)
    return cells


def _find_contrast(levels: Sequence[str], known: "Known") -> str:
    """Return the one contrast whose name is made of levels."""
    matching = [name for name in known.contrasts if _holds(name, levels)]
    if len(matching) != 1:
        found = ", ".join(matching) if matching else "none"
        raise SettingsError(
            f"--group-design repeated-measures: the cell {', '.join(levels)} needs one contrast whose "
            f"name is made of these levels; found: {found}. {tell_names(known.contrasts)}"
        )
    return matching[0]


def read_place(word: str, known: "Known", form: str) -> dict[str, str]:
    """Return what a word names: a contrast of the subjects, or the label of an entity (``ses-pre``)."""
    if word in known.contrasts:
        return {"contrast": word}
    prefix, dash, label = word.partition("-")
    if not dash or prefix not in known.labels:
        raise SettingsError(
            f"--group-design {form}: there is no contrast {word!r}. {near_or_there(word, known.contrasts)}"
        )
    if label not in known.labels[prefix]:
        there = [f"{prefix}-{other}" for other in known.labels[prefix]]
        raise SettingsError(
            f"--group-design {form}: no estimate is of {word!r}. {near_or_there(word, there)}"
        )
    return {LONG_NAMES[prefix]: label}


def entity_of(levels: Iterable[str], known: "Known") -> str:
    """Return the entity that all levels are labels of (``ses-pre``), by its short name, or ""."""
    prefixes = {level.partition("-")[0] if "-" in level else "" for level in levels}
    prefix = prefixes.pop()
    return prefix if not prefixes and prefix in known.labels else ""


def read_factors(words: Iterable[str]) -> dict[str, list[str]]:
    """Return factor -> levels of words such as ``stimulus=FF,UF,SF``; ``ses-1,ses-2`` makes session."""
    factors: dict[str, list[str]] = {}
    for word in words:
        name, equals, levels = word.partition("=")
        if not equals:
            name, levels = LONG_NAMES.get(word.partition("-")[0], ""), word
        values = [level for level in levels.split(",") if level]
        if not name or len(set(values)) < 2 or len(set(values)) < len(values):
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
        for level in of_cell.levels:
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
    by_name = all(cell.labels.keys() == {"contrast"} for cell in cells.values())
    return [
        {
            "Name": name,
            "Cells": list(cells) if by_name else [cell.labels for cell in cells.values()],
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
    if any(cell.labels.keys() != {"contrast"} for cell in cells.values()):
        raise SettingsError("--error-term pooled is for cells that are contrasts. Use partitioned.")
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
