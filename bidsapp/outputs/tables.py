"""Writers of TSV tables with their column descriptions."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas

from bidsapp.names import sidecar_path
from bidsapp.outputs.files import replacing, write_json
from bidsapp.records.documents import Document
from bidsapp.records.maps import Contrast, Design

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
CONTRAST_COLUMNS = {
    "contrast": {"Description": "Name of the contrast"},
    "test": {"Description": "t or F"},
    "row": {"Description": "Row of the contrast, from 1; the columns that follow hold its weights"},
}


def write_table(path: Path, table: pandas.DataFrame, descriptions: Document | None = None) -> None:
    """Write a data frame as TSV, missing values as ``n/a``, and its column descriptions as JSON.

    Numbers keep 9 significant digits, which restores every float32 exactly. A text that a spreadsheet would
    take for a formula has an apostrophe before it.

    Parameters
    ----------
    path : Path
        Ends in ``.tsv``.
    table : DataFrame
    descriptions : dict, optional
        BIDS column descriptions by column name, and any further field of the sidecar.
    """
    table = table.copy(deep=False)
    for place, kind in enumerate(table.dtypes):
        if not pandas.api.types.is_numeric_dtype(kind):
            table.isetitem(place, list(map(_as_text, table.iloc[:, place])))
    table.columns = pandas.Index(map(_as_text, table.columns))
    with replacing(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, na_rep="n/a", float_format="%.9g", lineterminator="\n")
    if descriptions:
        write_json(sidecar_path(str(path)), descriptions)


def _as_text(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: names come from files of others."""
    if not isinstance(value, str) or not value.startswith(FORMULA_SIGNS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def write_design(path: Path, design: Design, descriptions: Document | None) -> None:
    """Write a design matrix; where its rows have names, they are the first column."""
    table = pandas.DataFrame(design.matrix, columns=list(design.columns))
    if design.rows:
        table.insert(0, "participant_id", list(design.rows))
    write_table(path, table, descriptions)


def write_contrasts(
    path: Path, contrasts: Iterable[Contrast], columns: Sequence[str], quality: Document | None = None
) -> None:
    """Write the weights of contrasts: contrast, test, row, and one column for each design column.

    ``quality``: further fields of the sidecar, such as ``{"Efficiency": {contrast: number}}``.
    """
    rows = [
        {
            "contrast": contrast.name,
            "test": contrast.test,
            "row": index + 1,
            **dict(zip(columns, row, strict=True)),
        }
        for contrast in contrasts
        for index, row in enumerate(contrast.weights)
    ]
    head = ["contrast", "test", "row", *columns]
    write_table(path, pandas.DataFrame(rows, columns=head), CONTRAST_COLUMNS | (quality or {}))
