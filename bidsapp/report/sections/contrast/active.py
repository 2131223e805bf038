"""How much of each atlas region is active, at least."""

from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.contrast.shown import Shown

N_ROWS = 60


def make_section(shown: Shown, book: FigureBook) -> Section | None:
    """Return the regions with any active voxel, the most active first; None where there are none."""
    path = shown.contrast.discoveries
    if not shown.results.has(path):
        return None
    frame = shown.results.read_table(path)
    columns = [c for c in frame.columns if c.startswith("tdp")]
    frame = frame.assign(most=frame[columns].max(axis=1)).query("most > 0")
    if not len(frame):
        return None
    rows = frame.sort_values("most", ascending=False, kind="stable").head(N_ROWS).to_dict("records")
    content = render("contrast_active.html", columns=columns, n=len(frame), rows=rows, path=path)
    return Section("Active share of regions", "active", content)
