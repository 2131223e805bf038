"""All subjects and contrasts at a glance."""

from collections.abc import Sequence

from bidsapp.names import figure_path, subject_report_path
from bidsapp.outputs.results import GroupResults, SubjectResults, Volume
from bidsapp.outputs.saved.participant import EstimateRecord
from bidsapp.records.documents import Document
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.brains import WEAKEST, draw_brain, find_under
from bidsapp.report.sections.subject_contrasts import colour_limit, read_z
from bidsapp.report.sections.subject_summary import final


def lead(subjects: Sequence[SubjectResults], groups: Sequence[GroupResults]) -> str:
    """Return the sentence below the title."""
    n = len(subjects)
    words = [f"{n} subject{'s' if n != 1 else ''}" if n else "no participant results in this folder"]
    words.append(
        f"{len(groups)} group model{'s' if len(groups) != 1 else ''}" if groups else "no group analysis yet"
    )
    return ", ".join(words)


def make_sections(
    subjects: Sequence[SubjectResults], groups: Sequence[tuple[GroupResults, str]], book: FigureBook
) -> list[Section]:
    """Return the links and, for each contrast, the grid of glass brains; with each group model its page."""
    rows = [
        {
            "name": s.name,
            "href": subject_report_path(s.record.subject),
            "record": s.record,
            "there": (s.folder / subject_report_path(s.record.subject)).is_file(),
        }
        for s in subjects
    ]
    content = render("overview.html", rows=rows, groups=groups)
    sections = [Section("Reports", "reports", content)]
    names = list(dict.fromkeys(e.contrast for s in subjects for e in final(s)))
    return sections + [_grid(subjects, name, i, book) for i, name in enumerate(names, start=1)]


def _grid(subjects: Sequence[SubjectResults], name: str, index: int, book: FigureBook) -> Section:
    cells = []
    for subject in subjects:
        for estimate in final(subject):
            if estimate.contrast == name and subject.has(estimate.maps.get("z")):
                cells.append((subject, estimate, read_z(subject, estimate)))
    limit = colour_limit(*(volume for _, _, volume in cells))
    signed = any(estimate.test != "F" for _, estimate, _ in cells)
    drawn = [_cell(book, *cell, limit) for cell in cells]
    flat = WEAKEST if any(cell["flat"] for cell in drawn) else None
    content = render("overview_grid.html", cells=drawn, limit=limit, signed=signed, flat=flat)
    return Section(name, f"grid-{index}", content, level=2)


def _cell(
    book: FigureBook, subject: SubjectResults, estimate: EstimateRecord, volume: Volume, limit: float
) -> Document:
    under = find_under(subject, estimate.entities.get("space"), own=False)
    alt = f"{'Slices' if under else 'Glass brain'} of the z map of {estimate.contrast}, {subject.name}"
    path = figure_path(
        estimate.entities,
        "slices" if under else "glass",
        node=estimate.node,
        contrast=estimate.contrast,
        stat="z",
        desc="overview",
    )
    entities = ", ".join(f"{k}-{v}" for k, v in estimate.entities.items() if k in ("ses", "task", "run"))
    figure = draw_brain(volume, under, limit=limit, alt=alt, signed=estimate.test != "F")
    return {
        "name": subject.name,
        "flat": under is not None,
        "where": entities,
        "href": subject_report_path(subject.record.subject),
        "drawing": book.add(figure, path, "glass"),
    }
