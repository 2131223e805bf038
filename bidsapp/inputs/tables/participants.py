"""Read what is known of the participants: participants.tsv and the tables in ``phenotype/``.

Values are text as the table spells it, for they may be the names of groups; equal numbers have one spelling
("1" for 1 and 1.0). Missing values (`tables.MISSING`) are None; whoever uses a column decides what becomes of
the participants without a value.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import pandas as pd

from bidsapp.errors import Caution, InputError, near_or_known
from bidsapp.inputs.dataset.index import read_json
from bidsapp.inputs.fetched import is_named
from bidsapp.inputs.tables.read import read_table, spell_levels
from bidsapp.records.collect import collect

IDENTIFIER = "participant_id"
Row = TypeVar("Row")


def find_participants(*roots: Path) -> Path | None:
    """Return the participants.tsv of the first folder that has one, or None."""
    return next(filter(is_named, (Path(root) / "participants.tsv" for root in roots)), None)


def read_participants(path: Path) -> pd.DataFrame:
    """Return the table of the participants by label ("01"), with the phenotype tables beside it joined.

    A phenotype column is named as in its file; where a name is taken, as ``file.column``. A phenotype table
    with several rows a participant (sessions) is left out.

    Returns
    -------
    DataFrame
        Indexed by the label without ``sub-``.

    Raises
    ------
    InputError
    """
    table = _read_indexed(path)
    if not len(table):
        raise InputError(f"{path} has no row of a participant.")
    if not table.index.is_unique:
        label = table.index[table.index.duplicated()][0]
        raise InputError(f"{path} has several rows of sub-{label}. Keep one.")
    for other in sorted((Path(path).parent / "phenotype").glob("*.tsv")):
        measures = _read_indexed(other)
        if measures.index.is_unique:
            names = {name: f"{other.stem}.{name}" for name in measures.columns if name in table.columns}
            table = table.join(measures.rename(columns=names), how="left")
    table = table.astype(object).where(table.notna(), None)
    for name in table.columns:
        spelling = spell_levels(table[name])
        table[name] = pd.Series([spelling.get(value) for value in table[name]], table.index, dtype=object)
    return table


def read_level_orders(path: Path) -> dict[str, list[str]]:
    """Return column -> its levels, in the order of ``Levels`` in the sidecars of the participants' tables.

    Raises
    ------
    InputError
        A sidecar that cannot be read.
    """
    orders: dict[str, list[str]] = {}
    for table in [path, *sorted((path.parent / "phenotype").glob("*.tsv"))]:
        sidecar = table.with_suffix(".json")
        for name, said in (read_json(sidecar) if sidecar.is_file() else {}).items():
            levels = said.get("Levels") if isinstance(said, dict) else None
            if isinstance(levels, dict | list) and name not in orders:
                orders[name] = list(map(str, levels))
    return orders


def match_labels(people: Mapping[str, Row], labels: Iterable[str]) -> tuple[Mapping[str, Row], list[Caution]]:
    """Return the rows of the participants by the labels that their data have, and notes.

    A table may have sub-1 where the folder is sub-01: where neither side has two labels of one number, they
    are taken as the same, with a caution. Where the table has both, the row of the same label counts.

    Parameters
    ----------
    people : dict of str to dict
        Label in the table -> row.
    labels : iterable of str
        Of the participants with data.
    """
    labels = list(dict.fromkeys(labels))
    rows, wanted = _by_number(people), _by_number(labels)
    cautions = [
        Caution(
            f"participants.tsv has rows of sub-{' and sub-'.join(rows[number])}, the data are of "
            f"sub-{one[0]} alone: {'its own counts' if one[0] in people else 'none counts'}. Keep one row"
        )
        for number, one in wanted.items()
        if len(one) == 1 and len(rows.get(number, ())) > 1
    ]
    same = {
        one[0]: rows[number][0]
        for number, one in wanted.items()
        if len(one) == 1 and len(rows.get(number, ())) == 1 and one[0] not in people
    }
    if not same:
        return people, cautions
    renamed = {there: label for label, there in same.items()}
    first = next(iter(same))
    cautions.append(
        Caution(
            f"participants.tsv writes {len(same)} labels with other zeros: sub-{same[first]} is taken for "
            f"sub-{first}"
        )
    )
    return {renamed.get(label, label): row for label, row in people.items()}, cautions


def _by_number(labels: Iterable[str]) -> dict[int, list[str]]:
    """Return the labels that are numbers, by their number."""
    return collect((int(label), label) for label in labels if label.isdecimal())


def _read_indexed(path: Path) -> pd.DataFrame:
    table = read_table(path)
    if IDENTIFIER not in table.columns:
        hint = near_or_known(IDENTIFIER, table.columns)
        raise InputError(f"{path} has no column {IDENTIFIER!r}{hint} Its first column must be of that name.")
    table = table[table[IDENTIFIER].notna()]
    labels = [re.sub("^sub-", "", value, flags=re.IGNORECASE) for value in table[IDENTIFIER]]
    return table.drop(columns=IDENTIFIER).set_axis(pd.Index(labels, name=IDENTIFIER, dtype=object))
