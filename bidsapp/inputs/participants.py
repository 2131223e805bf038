"""Read what is known of the participants: participants.tsv and the tables in ``phenotype/``.

A column is numeric when every value that is there is a number; otherwise it holds text. Missing values
(``n/a`` or empty) are NaN in a numeric column and None in one of text; whoever uses a column decides what
becomes of the participants without a value.
"""

from pathlib import Path

import pandas as pd

from bidsapp.errors import InputError
from bidsapp.inputs.tables import read_table

IDENTIFIER = "participant_id"


def find_participants(*roots):
    """Return the participants.tsv of the first folder that has one, or None."""
    for root in roots:
        path = Path(root) / "participants.tsv"
        if path.is_file():
            return path
    return None


def read_participants(path):
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
    if not table.index.is_unique:
        label = table.index[table.index.duplicated()][0]
        raise InputError(f"{path} has several rows of sub-{label}. Keep one.")
    for other in sorted((Path(path).parent / "phenotype").glob("*.tsv")):
        measures = _read_indexed(other)
        if measures.index.is_unique:
            names = {name: f"{other.stem}.{name}" for name in measures.columns if name in table.columns}
            table = table.join(measures.rename(columns=names), how="left")
    return table.apply(_as_kind)


def _read_indexed(path):
    table = read_table(path)
    if IDENTIFIER not in table.columns:
        raise InputError(f"{path} has no column {IDENTIFIER!r}. Its first column must be of that name.")
    table = table[table[IDENTIFIER].notna()]
    labels = [str(value).removeprefix("sub-") for value in table[IDENTIFIER]]
    return table.drop(columns=IDENTIFIER).set_axis(pd.Index(labels, name=IDENTIFIER, dtype=object))


def _as_kind(column):
    """Return the column as numbers where all its values are, else as text."""
    there = column.dropna()
    numbers = pd.to_numeric(there, errors="coerce")
    if len(there) and numbers.notna().all():
        return pd.to_numeric(column, errors="coerce").astype(float)
    return column
