"""What there is for a subject: runs, estimates, warnings."""

from bidsapp.outputs.results import SubjectResults
from bidsapp.outputs.saved.participant import EstimateRecord
from bidsapp.report.render import FigureBook, Section, render


def lead(results: SubjectResults) -> str:
    """Return the sentence below the title."""
    record = results.record
    runs = len({run.label for run in record.runs})
    contrasts = len({estimate.contrast for estimate in record.estimates})
    return f"{_count(runs, 'run')}, {_count(contrasts, 'contrast')}, model {record.model.name}"


def make_section(results: SubjectResults, book: FigureBook) -> Section:
    """Return the summary."""
    return Section(
        "Summary", "summary", render("subject_summary.html", record=results.record, best=final(results))
    )


def final(results: SubjectResults) -> list[EstimateRecord]:
    """Return the estimates of the last level: those that the group analysis takes."""
    levels = ["subject", "session", "run"]
    estimates = results.record.estimates
    present = [level for level in levels if any(e.level == level for e in estimates)]
    return [e for e in estimates if present and e.level == present[0]]


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
