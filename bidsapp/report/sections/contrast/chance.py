"""The observed maximum of each shuffled statistic against its null distribution."""

from bidsapp.report.drawing.distributions import draw_null
from bidsapp.report.numbers import size
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.contrast.shown import Shown


def make_section(shown: Shown, book: FigureBook) -> Section | None:
    """Return the null distributions, None where nothing was shuffled."""
    drawings = []
    for null in shown.contrast.nulls or ():
        if not shown.results.has(null.table):
            continue
        values = shown.results.read_table(null.table)[null.column].to_numpy(float)
        alt = f"Null distribution of the {null.title}, observed {size(null.observed)}"
        cutoff = next((t.cutoff for t in shown.contrast.thresholds if t.method == null.statistic), None)
        figure = draw_null(values, null.observed, cutoff=cutoff, name=null.title, alt=alt)
        drawings.append(book.add(figure, shown.path("nullmax", desc=null.statistic), "exact"))
    if not drawings:
        return None
    content = render("contrast_chance.html", drawings=drawings, permutation=shown.contrast.permutation)
    return Section("Against chance", "chance", content)
