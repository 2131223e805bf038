"""One group contrast: maps, thresholds, tables."""

import numpy as np

from bidsapp.inputs.results import Volume
from bidsapp.outputs.names import figure_path
from bidsapp.report.drawing import background
from bidsapp.report.drawing.glass import draw_glass_brain
from bidsapp.report.drawing.slices import choose_cuts, draw_cut, draw_mosaic
from bidsapp.report.render import Section, render
from bidsapp.report.sections.group_design import group_node
from bidsapp.report.sections.group_findings import contrast_anchor
from bidsapp.report.sections.subject_contrasts import colour_limit

N_PEAKS, N_ROWS = 5, 40


def make_sections(results, book):
    """Return a section for every contrast."""
    under = anatomy(results)
    return [_section(results, book, contrast, under) for contrast in results.record["contrasts"]]


def anatomy(results):
    """Return what to draw slices on: the given image, the MNI template, or the mask."""
    record = results.record
    if results.has(record.get("background")):
        return background.from_volume(results.read_map(record["background"]), "mean anatomical image")
    if background.is_mni(record["entities"].get("space")):
        return background.template()
    return background.from_volume(results.read_map(record["mask"]), "analysis mask")


def surviving(results, contrast, threshold):
    """Return the map of a threshold with everything that does not survive set to 0."""
    if results.has(threshold.get("surviving")):
        return results.read_map(threshold["surviving"])
    volume = results.read_map(contrast["maps"][threshold["statistic"]])
    values = np.nan_to_num(volume.values)
    cutoff = threshold["cutoff"]
    if cutoff is None:
        return Volume(np.zeros_like(values), volume.affine)
    kept = {"two": np.abs(values) >= cutoff, "positive": values >= cutoff, "negative": values <= -cutoff}
    return Volume(np.where(kept[threshold["tail"]], values, 0), volume.affine)


def _section(results, book, contrast, under):
    whole = results.read_map(contrast["maps"]["z"])
    limit = colour_limit(whole)
    parts = {"whole": _whole(results, book, contrast, whole, limit), "thresholds": []}
    for threshold in contrast["thresholds"]:
        parts["thresholds"].append(_threshold(results, book, contrast, threshold, limit))
    if contrast["thresholds"]:
        main = contrast["thresholds"][0]
        parts |= _slices(results, book, contrast, surviving(results, contrast, main), under, limit)
    content = render(
        "group_contrast.html", contrast=contrast, under=under.name, **{"cuts": [], "mosaic": None, **parts}
    )
    return Section(contrast["name"], contrast_anchor(results, contrast), content, level=2)


def _path(results, contrast, kind, **more):
    entities = results.record["entities"]
    return figure_path(entities, kind, node=group_node(results), contrast=contrast["name"], **more)


def _whole(results, book, contrast, volume, limit):
    alt = (
        f"Glass brain of the unthresholded z map of {contrast['name']}, colours from -{limit:g} to {limit:g}"
    )
    return book.add(
        draw_glass_brain(volume, limit=limit, alt=alt), _path(results, contrast, "glass", stat="z")
    )


def _threshold(results, book, contrast, threshold, limit):
    volume = surviving(results, contrast, threshold)
    counts = f"{threshold['n_clusters']} clusters, {threshold['n_voxels']} voxels"
    alt = f"Glass brain of {contrast['name']}, {threshold['title']}: {counts}"
    drawing = draw_glass_brain(volume, limit=limit, alt=alt)
    path = _path(results, contrast, "glass", stat=threshold["statistic"], desc=threshold["method"])
    tables = {kind: _table(results, threshold[kind]) for kind in ("clusters", "peaks")}
    return {**threshold, "drawing": book.add(drawing, path), "tables": tables}


def _table(results, path):
    """Return a table for the template: columns of numbers, columns of labels, rows."""
    if not results.has(path):
        return None
    frame = results.read_table(path)
    labels = [c for c in frame.columns if frame[c].dtype.kind not in "iuf" and c != "sign"]
    known = ("cluster_id", "peak", "sign", "n_voxels", "volume_mm3", "peak_x", "peak_y", "peak_z")
    values = [c for c in frame.columns if c not in labels and c not in known]
    return {
        "rows": frame.head(N_ROWS).to_dict("records"),
        "n": len(frame),
        "values": values,
        "labels": labels,
        "path": path,
    }


def _slices(results, book, contrast, volume, under, limit):
    main = contrast["thresholds"][0]
    words = f"{contrast['name']}, {main['title']}"
    mosaic = draw_mosaic(under, volume, choose_cuts(volume, 7), limit=limit, alt=f"Axial slices of {words}")
    drawn = {
        "mosaic": book.add(mosaic, _path(results, contrast, "slices", stat="z", desc=main["method"]), "keep"),
        "cuts": [],
    }
    if not results.has(main["peaks"]):
        return drawn
    peaks = results.read_table(main["peaks"])
    order = peaks[main["statistic"]].abs().sort_values(ascending=False, kind="stable").index[:N_PEAKS]
    for rank, peak in enumerate(peaks.loc[order].to_dict("records"), start=1):
        at = [peak["peak_x"], peak["peak_y"], peak["peak_z"]]
        place = ", ".join(f"{v:.0f}" for v in at)
        figure = draw_cut(
            under, volume, at, limit=limit, alt=f"Slices of {words} through its peak at {place} mm"
        )
        path = _path(results, contrast, "slices", stat="z", desc=f"{main['method']}Peak{rank}")
        drawn["cuts"].append(
            {"drawing": book.add(figure, path), "peak": peak, "statistic": main["statistic"]}
        )
    return drawn
