"""Each run of a subject: design, events, confounds, motion, model fit."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from bidsapp.names import figure_path
from bidsapp.outputs.results import SubjectResults
from bidsapp.outputs.saved.common import rows_of
from bidsapp.outputs.saved.participant import RunRecord
from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.records.documents import Document
from bidsapp.report.drawing.charts import (
    draw_against_expected,
    draw_carpet,
    draw_timeline,
    draw_traces,
    room_for,
)
from bidsapp.report.drawing.colours import SEQUENTIAL
from bidsapp.report.drawing.matrices import draw_contrasts, draw_correlations
from bidsapp.report.drawing.scale import short
from bidsapp.report.drawing.slices import choose_cuts, draw_map_mosaic
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.subject_summary import show_span

# The usual column of conditions, which need not be named again and again.
IMPLIED = "trial_type."
# What is drawn of the whitened residuals: key of the record, of its axis, the names of both axes, in words.
NOISE_CURVES = (
    ("autocorrelation", "lags", ("lag (s)", "autocorrelation"), "Mean autocorrelation"),
    ("spectrum", "frequencies", ("frequency (Hz)", "power"), "Mean spectrum"),
)
FIT_MAPS = {
    "tsnr": (
        "Temporal signal-to-noise ratio",
        "mean of a voxel's series over the standard deviation of its residuals",
    ),
    "rsquare": ("R squared", "share of the variance that the whole model explains"),
    "ar1": ("Autocorrelation", "correlation of a residual with the next one, as the noise model has it"),
    "sigmasquared": ("Residual variance", "variance of the whitened residuals"),
}


def make_sections(results: SubjectResults, book: FigureBook) -> list[Section]:
    """Return a section for every run."""
    return [_run(results, book, run, i) for i, run in enumerate(results.record.runs)]


def _run(results: SubjectResults, book: FigureBook, run: RunRecord, index: int) -> Section:
    table = results.read_table(run.design)
    columns = [c for c in table.columns if c != "frame_time"]
    matrix = table[columns].to_numpy(float)
    columns = [c.removeprefix(IMPLIED) for c in columns]
    times = run.repetition_time * np.arange(run.n_volumes) + run.start_time
    room = room_for([*columns, *(event.trial_type or "" for event in run.events)])
    content = render(
        "subject_run.html",
        run=run,
        design=_design(book, run, matrix, columns, times, room),
        weights=_weights(book, run, columns),
        correlations=_correlations(book, run, matrix, columns),
        timeline=_timeline(book, run, times, room),
        motion=_motion(book, run, times, room),
        noise=_noise(book, run),
        maps=_fit_maps(results, book, run),
        effective=show_span(run.noise.dof) if run.noise and run.noise.corrected else "",
        nuisance=[c for c in columns if c in run.confounds],
    )
    return Section(run.label.split(" ", 1)[-1], f"run-{index + 1}", content)


def _path(run: RunRecord, kind: str, **more: str) -> str:
    return figure_path(run.entities, kind, node=run.node, **more)


def _design(
    book: FigureBook, run: RunRecord, matrix: Matrix, columns: Sequence[str], times: Numbers, room: float
) -> Markup:
    alt = f"Design of {run.label}: {len(matrix)} volumes, one row for each of {len(columns)} regressors"
    # Runs that were fitted together have one design.
    places, axis = (
        (times, "time (s)") if len(times) == len(matrix) else (np.arange(float(len(matrix))), "volume")
    )
    drawing = draw_carpet(places, matrix, columns, axis=axis, alt=alt, room=room)
    return book.add(drawing, _path(run, "design"), "keep")


def _weights(book: FigureBook, run: RunRecord, columns: Sequence[str]) -> Markup | None:
    rows = [
        (c.name, {k.removeprefix(IMPLIED): v for k, v in w.items()})
        for c in run.contrasts
        for w in rows_of(c.weights)
    ]
    if not rows:
        return None
    matrix = np.array([[w.get(column, 0.0) for column in columns] for _, w in rows], float)
    used = np.flatnonzero(np.any(matrix != 0, axis=0)).tolist()
    alt = f"Contrast weights of {run.label}, one row a contrast"
    drawing = draw_contrasts(matrix[:, used], [columns[i] for i in used], [name for name, _ in rows], alt=alt)
    return book.add(drawing, _path(run, "contrasts"), "exact")


def _correlations(book: FigureBook, run: RunRecord, matrix: Matrix, columns: Sequence[str]) -> Markup | None:
    varying = np.flatnonzero(matrix.std(axis=0) > 0).tolist()
    if len(varying) < 2:
        return None
    alt = f"Correlations between the regressors of {run.label}"
    drawing = draw_correlations(
        np.atleast_2d(np.corrcoef(matrix[:, varying].T)), [columns[i] for i in varying], alt=alt
    )
    return book.add(drawing, _path(run, "corr"), "exact")


def _timeline(book: FigureBook, run: RunRecord, times: Numbers, room: float) -> Markup | None:
    if not run.events:
        return None
    end = times[-1] + run.repetition_time
    alt = f"Events of {run.label} over time, one lane a condition"
    return book.add(draw_timeline(run.events, end, alt=alt, room=room), _path(run, "events"), "keep")


def _motion(book: FigureBook, run: RunRecord, times: Numbers, room: float) -> list[Markup]:
    motion = {k: np.array(v, float) for k, v in (run.motion or {}).items()}
    marks = [times[i] for i in run.censored]
    groups = {
        "framewise_displacement": (
            "FD (mm)",
            {"framewise displacement": motion.get("framewise_displacement")},
        ),
        "translation": ("mm", {k: motion.get(k) for k in ("trans_x", "trans_y", "trans_z")}),
        "rotation": ("rad", {k: motion.get(k) for k in ("rot_x", "rot_y", "rot_z")}),
    }
    drawings = []
    for kind, (unit, series) in groups.items():
        known = {k: v for k, v in series.items() if v is not None}
        if known:
            what = kind.replace("_", " ").capitalize()
            alt = f"{what} of {run.label} over time; censored volumes are shaded"
            drawing = draw_traces(times, known, unit=unit, marks=marks, alt=alt, room=room)
            drawings.append(book.add(drawing, _path(run, "motion", desc=kind), "keep"))
    return drawings


def _noise(book: FigureBook, run: RunRecord) -> Document | None:
    """Return what is left in the whitened residuals, drawn against what the right model leaves."""
    if run.noise is None or run.noise.check is None:
        return None
    check = run.noise.check
    drawings = []
    for kind, places, names, what in NOISE_CURVES:
        groups = {
            name: (np.array(getattr(group, kind)), np.array(getattr(group, f"{kind}_band")))
            for name, group in check.groups.items()
        }
        alt = f"{what} of the whitened residuals of {run.label} by {names[0]}, and what is expected"
        along, expected = np.array(getattr(check, places)), np.array(getattr(check, kind))
        drawing = draw_against_expected(along, expected, groups, alt=alt, names=names)
        drawings.append(book.add(drawing, _path(run, "noise", desc=kind)))
    return {"check": check, "drawings": drawings, "is_auto": run.noise.requested == "auto"}


def _fit_maps(results: SubjectResults, book: FigureBook, run: RunRecord) -> list[Document]:
    maps = []
    for stat, (title, words) in FIT_MAPS.items():
        if not results.has(run.model_fit.get(stat)):
            continue
        volume = results.read_map(run.model_fit[stat])
        inside = volume.values[np.isfinite(volume.values) & (volume.values != 0)]
        high = float(np.percentile(inside, 98)) if len(inside) else 1.0
        alt = f"{title} of {run.label}, axial slices, from 0 to {short(high)}"
        drawing = draw_map_mosaic(volume, choose_cuts(volume, 7), high=high, colours=SEQUENTIAL, alt=alt)
        median = float(np.median(inside)) if len(inside) else None
        maps.append(
            {
                "drawing": book.add(drawing, _path(run, "slices", stat=stat), "keep"),
                "title": title,
                "words": words,
                "median": median,
            }
        )
    return maps
