"""The tables of clusters and peaks of a threshold."""

import pandas as pd
from markupsafe import Markup

from bidsapp.outputs.saved.group import ThresholdRecord
from bidsapp.records.documents import Document
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.contrast.shown import KEYS, Shown

N_ROWS = 60


def make_section(shown: Shown, book: FigureBook) -> Section | None:
    """Return the tables of the main threshold, None where nothing survives it."""
    if shown.main is None:
        return None
    return Section("Clusters and peaks", "clusters", make_tables(shown, shown.main))


def make_tables(shown: Shown, threshold: ThresholdRecord) -> Markup:
    """Return the tables of a threshold."""
    tables = {kind: _table(shown, threshold, kind) for kind in ("clusters", "peaks")}
    return render("contrast_table.html", method=threshold.method, **tables)


def _table(shown: Shown, threshold: ThresholdRecord, kind: str) -> Document | None:
    """Return a table for the template: columns of numbers, columns of labels, rows."""
    frame: pd.DataFrame | None = shown.read(threshold, kind)
    if frame is None:
        return None
    labels = [c for c in frame.columns if frame[c].dtype.kind not in "iuf" and c not in KEYS]
    values = [c for c in frame.columns if c not in labels and c not in KEYS]
    path = getattr(threshold, kind)
    columns = shown.results.describe(path)
    return {
        "rows": frame.head(N_ROWS).to_dict("records"),
        "n": len(frame),
        "values": values,
        "labels": labels,
        "path": path,
        "words": {c: columns.get(c, {}).get("Description", c) for c in values},
        "atlases": [columns[c] for c in labels if columns.get(c, {}).get("Citation")],
    }
