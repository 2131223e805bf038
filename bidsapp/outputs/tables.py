"""Writers of TSV tables with their column descriptions."""

from bidsapp.outputs.files import replacing, write_json
from bidsapp.outputs.names import sidecar_path


def write_table(path, table, descriptions=None):
    """Write a data frame as TSV, missing values as ``n/a``, and its column descriptions as JSON.

    Numbers keep 9 significant digits, which restores every float32 exactly.

    Parameters
    ----------
    path : Path
        Ends in ``.tsv``.
    table : DataFrame
    descriptions : dict, optional
        BIDS column descriptions by column name, and any further field of the sidecar.
    """
    with replacing(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, na_rep="n/a", float_format="%.9g", lineterminator="\n")
    if descriptions:
        write_json(sidecar_path(str(path)), descriptions)
