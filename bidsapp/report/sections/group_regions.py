"""Regions of interest: a figure and a table for each atlas and contrast of the subjects."""

from markupsafe import Markup

from bidsapp.report.render import Section, render
from bidsapp.report.sections.about import anchor

# The tables on disk hold all regions and every subject.
MAX_ROWS = 60
COLUMNS = ["contrast", "region", "n_voxels", "n", "effect", "low", "high", "statistic", "p", "q", "g"]


def make_section(results, book):
    """Return the region-of-interest analyses, or None where there are none."""
    found = [entry for entry in results.record.get("regions", ()) if results.has(entry["table"])]
    if not found:
        return None
    parts = []
    for entry in found:
        frame = results.read_table(entry["table"]).sort_values("p", kind="stable")
        figure = (results.folder / entry["figure"]).read_text(encoding="utf-8")
        rows = frame[[name for name in COLUMNS if name in frame]].head(MAX_ROWS).to_dict("records")
        parts.append({**entry, "rows": rows, "n_rows": len(frame), "svg": Markup(figure)})
    content = render("group_regions.html", parts=parts, columns=COLUMNS)
    return Section("Regions of interest", f"regions-{anchor(results)}", content)
