"""The contrasts of a subject: glass brains of the combined estimate and of every run."""

import numpy as np

from bidsapp.inputs.results import Volume
from bidsapp.outputs.names import figure_path
from bidsapp.report.drawing.glass import draw_glass_brain
from bidsapp.report.render import Section, render
from bidsapp.report.sections.subject_summary import final

# The weakest strongest colour: noise alone reaches this z somewhere, and shall not look like an effect.
MIN_LIMIT = 4.0


def make_section(results, book):
    """Return the section of all contrasts."""
    last = final(results)
    others = [e for e in results.record["estimates"] if e not in last]
    contrasts = [
        _contrast(results, book, name, last, others) for name in dict.fromkeys(e["contrast"] for e in last)
    ]
    return (
        Section("Contrasts", "contrasts", render("subject_contrasts.html", contrasts=contrasts))
        if contrasts
        else None
    )


def colour_limit(*volumes):
    """Return the common end of the colour range of some z maps: their 99.9th percentile."""
    top = [
        np.percentile(np.abs(v.values[np.isfinite(v.values) & (v.values != 0)]), 99.9)
        for v in volumes
        if np.any(np.nan_to_num(v.values))
    ]
    return float(np.ceil(max([MIN_LIMIT, *top]) * 2) / 2)


def _contrast(results, book, name, last, others):
    mine = [e for e in last if e["contrast"] == name] + [e for e in others if e["contrast"] == name]
    mine = [e for e in mine if results.has(e["maps"].get("z"))]
    volumes = [read_z(results, e) for e in mine]
    limit = colour_limit(*volumes)
    figures = [_draw(book, e, v, limit) for e, v in zip(mine, volumes, strict=True)]
    n_last = sum(e in last for e in mine)
    if n_last == len(figures) - 1 == 1:
        # One run made the estimate: the two pictures are the same.
        figures = figures[:1]
    return {
        "name": name,
        "test": mine[0]["test"] if mine else "",
        "combined": figures[:n_last],
        "single": figures[n_last:],
        "limit": limit,
    }


def read_z(results, estimate):
    """Return the z map of an estimate; of an F test, which has no direction, what lies above zero."""
    volume = results.read_map(estimate["maps"]["z"])
    if estimate["test"] != "F":
        return volume
    return Volume(np.maximum(np.nan_to_num(volume.values), 0), volume.affine)


def _draw(book, estimate, volume, limit):
    where = place(estimate["entities"])
    what = f"{estimate['contrast']}, {estimate['level']} level, {where or 'all runs'}"
    signed = estimate["test"] != "F"
    alt = f"Glass brain of the z map of {what}; colours from {-limit if signed else 0:g} to {limit:g}"
    path = figure_path(
        estimate["entities"], "glass", node=estimate["node"], contrast=estimate["contrast"], stat="z"
    )
    return {
        "drawing": book.add(draw_glass_brain(volume, limit=limit, alt=alt, signed=signed), path, "glass"),
        "where": where,
        "estimate": estimate,
    }


def place(entities):
    """Return session, task and run in words."""
    shown = {"ses": "session", "task": "task", "run": "run"}
    return ", ".join(f"{word} {entities[key]}" for key, word in shown.items() if entities.get(key))
