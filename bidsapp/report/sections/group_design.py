"""What was asked: the model, its design and weights, who is in it, how much of the brain is covered."""

import numpy as np
from markupsafe import Markup

from bidsapp.names import figure_path
from bidsapp.outputs.results import GroupResults
from bidsapp.outputs.saved.common import rows_of
from bidsapp.report.drawing.colours import SEQUENTIAL
from bidsapp.report.drawing.matrices import draw_contrasts, draw_design
from bidsapp.report.drawing.model_graph import draw_model_graph
from bidsapp.report.drawing.slices import choose_cuts, draw_map_mosaic
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.about import anchor


def make_section(results: GroupResults, book: FigureBook) -> Section:
    """Return the section on the group model."""
    record = results.record
    columns = sorted({key for s in record.subjects for key in (s.covariates or {})})
    content = render(
        "group_design.html",
        record=record,
        used=[s for s in record.subjects if s.used],
        left_out=[s for s in record.subjects if not s.used],
        covariates=columns,
        design=_design(results, book),
        weights=_weights(results, book),
        coverage=_coverage(results, book),
        graph=_graph(results, book),
    )
    return Section("Question and design", f"design-{anchor(results)}", content)


def _path(results: GroupResults, kind: str, **more: str) -> str:
    return figure_path(results.record.entities, kind, node=group_node(results), **more)


def group_node(results: GroupResults) -> str:
    """Return the node's name with the values of its group, as in file names."""
    group = "".join(str(v).capitalize() for v in (results.record.group_by or {}).values())
    return f"{results.record.node}{group}"


def _design(results: GroupResults, book: FigureBook) -> Markup | None:
    if not results.has(results.record.design):
        return None
    table = results.read_table(results.record.design)
    rows = table.iloc[:, 0].astype(str).tolist()
    matrix = table.iloc[:, 1:].to_numpy(float)
    alt = f"Group design matrix: {len(rows)} subjects by {matrix.shape[1]} columns"
    height = 13.0 * len(rows) if len(rows) <= 40 else 360
    return book.add(
        draw_design(matrix, list(table.columns[1:]), rows=rows, height=height, alt=alt),
        _path(results, "design"),
        "exact",
    )


def _weights(results: GroupResults, book: FigureBook) -> Markup | None:
    contrasts = [(c.group_contrast, w) for c in results.record.contrasts for w in rows_of(c.weights)]
    contrasts = list({repr(pair): pair for pair in contrasts}.values())
    columns = list(dict.fromkeys(k for _, w in contrasts for k in w))
    if not columns:
        return None
    matrix = np.array([[w.get(c, 0.0) for c in columns] for _, w in contrasts], float)
    drawing = draw_contrasts(
        matrix, columns, [name for name, _ in contrasts], alt="Weights of the group contrasts"
    )
    return book.add(drawing, _path(results, "contrasts"), "exact")


def _graph(results: GroupResults, book: FigureBook) -> Markup | None:
    """Return the picture of the model; records of earlier versions have none."""
    graph = results.record.graph
    return book.add(draw_model_graph(graph), _path(results, "model"), "keep") if graph else None


def _coverage(results: GroupResults, book: FigureBook) -> Markup | None:
    path = results.record.coverage
    if not results.has(path):
        return None
    volume = results.read_map(path)
    n = sum(s.used for s in results.record.subjects)
    alt = f"Number of subjects with data at each voxel, axial slices, from 0 to {n}"
    drawing = draw_map_mosaic(volume, choose_cuts(volume, 7), high=float(n), colours=SEQUENTIAL, alt=alt)
    return book.add(drawing, _path(results, "coverage"), "keep")
