"""The contrasts of a subject: glass brains of the combined estimate and of every run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bidsapp.names import figure_path
from bidsapp.outputs.results import SubjectResults, Volume
from bidsapp.outputs.saved.participant import EstimateRecord
from bidsapp.records.documents import Document
from bidsapp.report.drawing.background import Background
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.brains import WEAKEST, draw_brain, find_under
from bidsapp.report.sections.subject_summary import final

# The weakest strongest colour: noise alone reaches this z somewhere, and shall not look like an effect.
MIN_LIMIT = 4.0


@dataclass(frozen=True)
class SubjectPage:
    """What the pictures of a subject share; ``unders``: what to draw maps of each space on."""

    results: SubjectResults
    book: FigureBook
    unders: dict[str | None, Background | None]


def make_section(results: SubjectResults, book: FigureBook) -> Section | None:
    """Return the section of all contrasts."""
    last = final(results)
    others = [e for e in results.record.estimates if e not in last]
    spaces = {e.entities.get("space") for e in results.record.estimates}
    page = SubjectPage(results, book, {space: find_under(results, space) for space in spaces})
    names = dict.fromkeys(e.contrast for e in last)
    contrasts = [_contrast(page, name, last, others) for name in names]
    if not contrasts:
        return None
    flat = [under.name for under in page.unders.values() if under]
    content = render("subject_contrasts.html", contrasts=contrasts, flat=flat, weakest=WEAKEST)
    return Section("Contrasts", "contrasts", content)


def colour_limit(*volumes: Volume) -> float:
    """Return the common end of the colour range of some z maps: their 99.9th percentile."""
    top = [
        np.percentile(np.abs(v.values[np.isfinite(v.values) & (v.values != 0)]), 99.9)
        for v in volumes
        if np.any(np.nan_to_num(v.values))
    ]
    return float(np.ceil(max([MIN_LIMIT, *top]) * 2) / 2)


def _contrast(
    page: SubjectPage, name: str, last: Sequence[EstimateRecord], others: Sequence[EstimateRecord]
) -> Document:
    results = page.results
    mine = [e for e in last if e.contrast == name] + [e for e in others if e.contrast == name]
    mine = [e for e in mine if results.has(e.maps.get("z"))]
    volumes = [read_z(results, e) for e in mine]
    limit = colour_limit(*volumes)
    figures = [_draw(page, e, v, limit) for e, v in zip(mine, volumes, strict=True)]
    n_last = sum(e in last for e in mine)
    if n_last == len(figures) - 1 == 1:
        # One run made the estimate: the two pictures are the same.
        figures = figures[:1]
    return {
        "name": name,
        "test": mine[0].test if mine else "",
        "combined": figures[:n_last],
        "single": figures[n_last:],
        "limit": limit,
    }


def read_z(results: SubjectResults, estimate: EstimateRecord) -> Volume:
    """Return the z map of an estimate; of an F test, which has no direction, what lies above zero."""
    volume = results.read_map(estimate.maps["z"])
    if estimate.test != "F":
        return volume
    return Volume(np.maximum(np.nan_to_num(volume.values), 0), volume.affine)


def _draw(page: SubjectPage, estimate: EstimateRecord, volume: Volume, limit: float) -> Document:
    entities = estimate.entities
    where, under = place(entities), page.unders[entities.get("space")]
    what = f"{estimate.contrast}, {estimate.level} level, {where or 'all runs'}"
    signed = estimate.test != "F"
    kind = f"Slices on the {under.name}" if under else "Glass brain"
    alt = f"{kind} of the z map of {what}; colours from {-limit if signed else 0:g} to {limit:g}"
    shown = "slices" if under else "glass"
    path = figure_path(entities, shown, node=estimate.node, contrast=estimate.contrast, stat="z")
    figure = draw_brain(volume, under, limit=limit, alt=alt, signed=signed)
    return {
        "drawing": page.book.add(figure, path, "keep" if under else "glass"),
        "where": where,
        "estimate": estimate,
    }


def place(entities: Mapping[str, str]) -> str:
    """Return session, task and run in words."""
    shown = {"ses": "session", "task": "task", "run": "run"}
    return ", ".join(f"{word} {entities[key]}" for key, word in shown.items() if entities.get(key))
