"""What there is for a subject: runs, estimates, warnings."""

from collections.abc import Iterable

import numpy as np

from bidsapp.outputs.remarks import subject_remarks
from bidsapp.outputs.results import SubjectResults
from bidsapp.outputs.saved.participant import EstimateRecord
from bidsapp.report.drawing.scale import short
from bidsapp.report.render import FigureBook, Section, render

# Within these lie the degrees of freedom of most voxels, as in the record of the noise.
QUANTILES = (0.05, 0.5, 0.95)


def lead(results: SubjectResults) -> str:
    """Return the sentence below the title."""
    record = results.record
    runs = len({run.label for run in record.runs})
    contrasts = len({estimate.contrast for estimate in record.estimates})
    return f"{_count(runs, 'run')}, {_count(contrasts, 'contrast')}, model {record.model.name}"


def make_section(results: SubjectResults, book: FigureBook) -> Section:
    """Return the summary."""
    best = [(estimate, words_for_dof(results, estimate)) for estimate in final(results)]
    record = results.record
    remarks = subject_remarks(record, record.warnings)
    content = render("subject_summary.html", record=record, best=best, remarks=remarks)
    return Section("Summary", "summary", content)


def final(results: SubjectResults) -> list[EstimateRecord]:
    """Return the estimates of the last level: those that the group analysis takes."""
    levels = ["subject", "session", "run"]
    estimates = results.record.estimates
    present = [level for level in levels if any(e.level == level for e in estimates)]
    return [e for e in estimates if present and e.level == present[0]]


def words_for_dof(results: SubjectResults, estimate: EstimateRecord) -> str:
    """Return degrees of freedom; where they differ between voxels, their median and where 90 % lie."""
    *first, last = estimate.dof if isinstance(estimate.dof, list) else [estimate.dof]
    path = estimate.maps.get("dof")
    shown = short(last) if last is not None else "varies"
    if last is None and results.has(path):
        values = results.read_map(path).values
        inside = values[np.isfinite(values) & (values > 0)]
        shown = show_span(np.quantile(inside, QUANTILES)) if len(inside) else "n/a"
    return ", ".join([*(short(number) for number in first), shown])


def show_span(numbers: Iterable[float | None]) -> str:
    """Return a median with the two numbers between which most lie, given in ascending order."""
    low, median, high = map(short, numbers)
    return median if low == median == high else f"{median} ({low} to {high})"


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
