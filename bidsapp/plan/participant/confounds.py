"""Which confounds of a run enter its design, and which volumes are censored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bidsapp.design.run import find_confounds
from bidsapp.errors import InputError, near_or_known
from bidsapp.inputs.dataset.index import read_json
from bidsapp.inputs.fetched import is_named
from bidsapp.inputs.tables.confounds import (
    OLD_NAMES,
    describe_components,
    find_outliers,
    read_confounds,
    select_confounds,
)
from bidsapp.inputs.tables.read import read_header
from bidsapp.model.strategy import parse_strategy
from bidsapp.records.arrays import Mask
from bidsapp.records.documents import Document
from bidsapp.records.maps import Run
from bidsapp.records.model import INTERCEPT, Node

if TYPE_CHECKING:
    from bidsapp.plan.participant.runs import Prepared

# Columns of which runs have different numbers.
NUMBERED = re.compile(r"(cosine|non_steady_state_outlier|motion_outlier|aroma_motion_|\w_comp_cor_)_?\d+$")


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The confounds of a run: as columns of a table (None: none), as part of X, volumes to keep, notes."""

    node: Node
    table: pd.DataFrame | None
    keep: Mask
    notes: tuple[str, ...] = ()


def choose_confounds(node: Node, run: Run) -> Chosen:
    """Return the confounds that a node asks for, by name in X or by a strategy.

    Raises
    ------
    InputError, SettingsError
    """
    keep: Mask = np.ones(run.n_volumes, bool)
    selected: Sequence[str] = ()
    strategy = node.own.get("Confounds")
    if run.confounds is None:
        if strategy and parse_strategy(strategy).text != "none":
            raise InputError(f"has no confounds file, which the confound strategy {strategy!r} needs.")
        return Chosen(node, None, keep)
    header = read_header(run.confounds)
    named = _named_in_model(node, header)
    if strategy:
        parsed = parse_strategy(strategy)
        selected = select_confounds(header, _sidecar(run.confounds), parsed)
        keep[list(find_outliers(run.confounds, parsed, run.n_volumes))] = False
        node = _with_columns(node, selected)
        named |= {name: name for name in selected}
    if not named:
        return Chosen(node, None, keep)
    table = read_confounds(run.confounds, list(named.values()), run.n_volumes)
    table = table.rename(columns={old: new for new, old in named.items()})
    return Chosen(node, table, keep, tuple(describe_components(selected)))


def find_absent(prepared: Sequence["Prepared"]) -> dict[int, str]:
    """Return the runs without a confound that the model names and other runs have.

    Numbered columns (cosines, components, outliers) differ in number between runs and are no faults.

    Parameters
    ----------
    prepared : list of Prepared

    Returns
    -------
    dict of int to str
        Position in ``prepared`` -> the fault.
    """
    known = {name for fit in prepared for made in fit.made for name in made.confounds}
    faults = {}
    for number, fit in enumerate(prepared):
        for run, made in zip(fit.runs, fit.made, strict=True):
            absent = [name for name in made.missing if name in known and not NUMBERED.match(name)]
            if not absent:
                continue
            if run.confounds is None:
                faults[number] = (
                    f"{run.label} has no confounds file, which the model needs ({', '.join(absent)})."
                )
            else:
                lower = [name.casefold() for name in absent]
                alike = [name for name in read_header(run.confounds) if name.casefold() in lower]
                faults[number] = (
                    f"{run.label}: {run.confounds} has no column {', '.join(map(repr, absent))}, which "
                    f"other runs have and the model names{near_or_known(absent[0], alike)} Run the "
                    "preprocessing of this run again, or leave the column out of the model."
                )
    return faults


def _named_in_model(node: Node, header: Sequence[str]) -> dict[str, str]:
    """Return the name in the model -> the name in the file; fMRIPrep before 1.2 had other names."""
    spelled = {name: name for name in header}
    spelled |= {new: old for new, old in OLD_NAMES.items() if old in header and new not in header}
    spelled |= {old: new for new, old in OLD_NAMES.items() if new in header and old in node.x}
    return {name: spelled[name] for name in find_confounds(node, list(spelled))}


def _with_columns(node: Node, columns: Sequence[str]) -> Node:
    """Return the node with these columns in X, before its intercept."""
    names = [name for name in columns if name not in node.x]
    before = [name for name in node.x if name != INTERCEPT]
    after = [name for name in node.x if name == INTERCEPT]
    return replace(node, x=(*before, *names, *after))


def _sidecar(path: Path) -> Document:
    """Return the JSON beside a confounds file, {} where there is none."""
    sidecar = Path(path).with_suffix(".json")
    return read_json(sidecar) if is_named(sidecar) else {}
