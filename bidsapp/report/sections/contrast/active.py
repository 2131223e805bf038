"""How much of each cluster and of each atlas region is active, at least."""

import numpy as np
from markupsafe import Markup

from bidsapp.outputs.results import Volume
from bidsapp.records.documents import Document
from bidsapp.report.drawing.slices import COARSE_MM, Slicer, choose_cuts, draw_mosaic
from bidsapp.report.numbers import percent
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.contrast.shown import Shown

N_ROWS = 60
# Beside lower bounds of shares.
CONFIDENT = "together with a confidence of {}"


def make_section(shown: Shown, book: FigureBook) -> Section | None:
    """Return the map of the shares and the regions with any active voxel; None where there is neither."""
    drawing, regions = draw_shares(shown, book), find_regions(shown)
    if drawing is None and regions is None:
        return None
    rule = next((t for t in shown.contrast.thresholds if t.share_map), shown.contrast.thresholds[0])
    content = render(
        "contrast_active.html",
        drawing=drawing,
        signed=shown.signed,
        regions=regions,
        confident=CONFIDENT.format(percent(1 - rule.alpha)),
        forming=rule.forming_p,
    )
    return Section("Active share", "active", content)


def find_regions(shown: Shown) -> Document | None:
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
    return {"columns": columns, "n": len(frame), "rows": rows, "path": path}


def draw_shares(shown: Shown, book: FigureBook) -> Markup | None:
    """Return slices of the share of active voxels of each cluster, with the sign of the statistic.

    None where no threshold has such a map, or no cluster an active voxel.
    """
    path = next(
        (one.share_map for one in shown.contrast.thresholds if shown.results.has(one.share_map)), None
    )
    if path is None:
        return None
    share = shown.results.read_map(path)
    values = np.nan_to_num(share.values)
    if not values.any():
        return None
    if shown.signed:
        values = np.copysign(values, np.nan_to_num(shown.whole.values))
    alt = f"Axial slices of {shown.contrast.name}: at least this share of each cluster is active"
    signed = Volume(values, share.affine)
    slicer = Slicer(shown.under, signed, limit=1.0, step_mm=COARSE_MM, signed=shown.signed)
    figure = draw_mosaic(slicer, choose_cuts(shown.whole, 8), alt=alt)
    return book.add(figure, shown.path("slices", stat="tdp"), "keep")
