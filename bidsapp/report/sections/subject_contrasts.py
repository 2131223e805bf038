"""The contrasts of a subject: each combined estimate with thresholds, peaks and linked view, and its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from bidsapp.names import figure_path
from bidsapp.outputs.results import SubjectResults, Volume
from bidsapp.outputs.saved.participant import EstimateRecord
from bidsapp.records.documents import Document
from bidsapp.report.drawing import background
from bidsapp.report.drawing.background import Background
from bidsapp.report.drawing.slices import COARSE_MM, Slicer, choose_cuts, draw_mosaic
from bidsapp.report.linked.content import Rule
from bidsapp.report.linked.view import PackedView, pack_view
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.brains import N_SLICES, WEAKEST, draw_brain, find_under
from bidsapp.report.sections.linked_view import Look
from bidsapp.report.sections.subject_maps import ATLASES, Layer, list_peaks, make_view, read_layer
from bidsapp.report.sections.subject_summary import final, words_for_dof
from bidsapp.tables.atlas import read_atlases

# The weakest strongest colour: noise alone reaches this z somewhere, and shall not look like an effect.
MIN_LIMIT = 4.0
# Of more combined estimates a page has no room for pictures of each run, nor for slices of both thresholds.
MANY = 10


@dataclass(frozen=True)
class SubjectPage:
    """What the pictures of a subject share.

    ``unders``: what whole maps of each space are drawn on, None for a glass brain. ``views``, ``layers``: the
    linked views of combined estimates and of their runs.
    """

    results: SubjectResults
    book: FigureBook
    unders: dict[str | None, Background | None]
    views: list[tuple[PackedView, str]]
    layers: list[tuple[PackedView, str]]


def make_sections(results: SubjectResults, book: FigureBook) -> list[Section]:
    """Return a section on all contrasts, and one for each combined estimate."""
    last = [e for e in final(results) if results.has(e.maps.get("z"))]
    if not last:
        return []
    spaces = {e.entities.get("space") for e in results.record.estimates}
    page = SubjectPage(results, book, {space: find_under(results, space) for space in spaces}, [], [])
    sections = [_section(page, estimate, last, i) for i, estimate in enumerate(last, start=1)]
    # All combined maps before those of any run: a page may not hold all.
    book.views += page.views + page.layers
    flat = [under.name for under in page.unders.values() if under]
    atlases = read_atlases(ATLASES) if any(background.is_mni(space) for space in spaces) else []
    content = render(
        "subject_contrasts.html",
        flat=flat,
        weakest=WEAKEST,
        atlases=atlases,
        sections=sections,
        is_short=len(last) > MANY,
    )
    return [Section("Contrasts", "contrasts", content), *sections]


def colour_limit(*volumes: Volume) -> float:
    """Return the common end of the colour range of some z maps: their 99.9th percentile."""
    top = [
        np.percentile(np.abs(v.values[np.isfinite(v.values) & (v.values != 0)]), 99.9)
        for v in volumes
        if np.any(np.nan_to_num(v.values))
    ]
    return float(np.ceil(max([MIN_LIMIT, *top]) * 2) / 2)


def read_z(results: SubjectResults, estimate: EstimateRecord) -> Volume:
    """Return the z map of an estimate; of an F test, which has no direction, what lies above zero."""
    volume = results.read_map(estimate.maps["z"])
    if estimate.test != "F":
        return volume
    return Volume(np.maximum(np.nan_to_num(volume.values), 0), volume.affine)


def place(entities: Mapping[str, str]) -> str:
    """Return session, task and run in words."""
    shown = {"ses": "session", "task": "task", "run": "run"}
    return ", ".join(f"{word} {entities[key]}" for key, word in shown.items() if entities.get(key))


def _section(
    page: SubjectPage, estimate: EstimateRecord, last: Sequence[EstimateRecord], number: int
) -> Section:
    """Return the section of a combined estimate; its views go to the page."""
    results, anchor = page.results, f"contrast-{number}"
    parts = [read_layer(results, each, whole=False) for each in _parts(results, estimate, last)]
    layers = [read_layer(results, estimate, whole=True), *parts]
    limit = colour_limit(*(layer.volume() for layer in layers))
    space = estimate.entities.get("space")
    on_cortex = background.is_mni(space)
    under = page.unders[space] or _anatomy(results, estimate, on_cortex=on_cortex)
    tables = [list_peaks(layers[0], rule, labelled=on_cortex) for rule in layers[0].rules]
    found = [rule for rule in layers[0].rules if np.any(rule.survives)]
    shown = found if len(last) <= MANY else found[:1]
    best = layers[0].geometry.coordinates()[np.argmax(np.abs(layers[0].z))].tolist()
    position = next((table["rows"][0]["at"] for table in tables if table["rows"]), best)
    look = Look(anchor, "z", limit, position, [under], on_cortex)
    for layer in layers:
        is_first = layer is layers[0]
        name = "combined" if is_first and len(layers) > 1 else place(layer.estimate.entities)
        packed = pack_view(make_view(layer, look, name, whole=is_first))
        path = _path(layer, "view", extension=".js", desc=None if is_first else anchor)
        (page.views if is_first else page.layers).append((packed, path))
    single = layers[1:] if len(last) <= MANY else []
    content = render(
        "subject_contrast.html",
        anchor=anchor,
        estimate=estimate,
        dof=words_for_dof(results, estimate),
        where=place(estimate.entities),
        combined=_draw(page, layers[0], limit),
        # A run may be part of several combinations, each with colours of its own.
        single=[_draw(page, layer, limit, desc=anchor) for layer in single],
        tables=tables,
        mosaics={rule.method: _mosaic(page, layers[0], rule, under, limit) for rule in shown},
        under=under.name,
    )
    alike = [each for each in last if each.contrast == estimate.contrast]
    title = estimate.contrast if len(alike) == 1 else f"{estimate.contrast}, {place(estimate.entities)}"
    return Section(title, anchor, content, level=2)


def _parts(
    results: SubjectResults, estimate: EstimateRecord, last: Sequence[EstimateRecord]
) -> list[EstimateRecord]:
    """Return the estimates of the same contrast that a combined one was made from; of one run none."""
    if len(estimate.runs) < 2:
        return []
    alike = [e for e in results.record.estimates if e.contrast == estimate.contrast and e not in last]
    alike = [e for e in alike if e.entities.get("space") == estimate.entities.get("space")]
    return [e for e in alike if set(e.runs) <= set(estimate.runs) and results.has(e.maps.get("z"))]


def _anatomy(results: SubjectResults, estimate: EstimateRecord, *, on_cortex: bool) -> Background:
    """Return what slices are drawn on: the template; outside MNI space the mask, for lack of an anatomy."""
    if on_cortex:
        return background.template()
    path = estimate.mask if results.has(estimate.mask) else estimate.maps["z"]
    volume = results.read_map(path)
    return background.from_volume(Volume(np.abs(volume.values), volume.affine), "analysis mask")


def _path(layer: Layer, kind: str, *, extension: str = ".svg", desc: str | None = None) -> str:
    estimate = layer.estimate
    more = {"node": estimate.node, "contrast": estimate.contrast, "stat": "z", "desc": desc}
    return figure_path(estimate.entities, kind, extension=extension, **more)


def _draw(page: SubjectPage, layer: Layer, limit: float, desc: str | None = None) -> Document:
    estimate = layer.estimate
    where, under = place(estimate.entities), page.unders[estimate.entities.get("space")]
    what = f"{estimate.contrast}, {estimate.level} level, {where or 'all runs'}"
    kind = f"Slices on the {under.name}" if under else "Glass brain"
    alt = f"{kind} of the z map of {what}; colours from {-limit if layer.signed else 0:g} to {limit:g}"
    figure = draw_brain(layer.volume(), under, limit=limit, alt=alt, signed=layer.signed)
    path = _path(layer, "slices" if under else "glass", desc=desc)
    return {"drawing": page.book.add(figure, path, "keep" if under else "glass"), "where": where}


def _mosaic(page: SubjectPage, layer: Layer, rule: Rule, under: Background, limit: float) -> Markup:
    """Return axial slices of what survives a threshold."""
    slicer = Slicer(under, layer.volume(rule.survives), limit=limit, step_mm=COARSE_MM, signed=layer.signed)
    alt = f"Axial slices of {layer.estimate.contrast} on the {under.name}: {rule.title}"
    figure = draw_mosaic(slicer, choose_cuts(layer.volume(), N_SLICES), alt=alt)
    return page.book.add(figure, _path(layer, "slices", desc=rule.method), "keep")
