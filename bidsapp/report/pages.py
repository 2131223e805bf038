"""The reports: which sections, in which order."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from bidsapp.errors import AppError, in_words
from bidsapp.names import GROUP_REPORT, OVERVIEW_REPORT, subject_report_path
from bidsapp.outputs.files import write_text
from bidsapp.outputs.results import (
    Results,
    read_all_subject_results,
    read_group_results,
    read_subject_results,
)
from bidsapp.report.citation import write_citation
from bidsapp.report.linked.page import lay_out
from bidsapp.report.render import FigureBook, Section, render, render_page
from bidsapp.report.sections import (
    about,
    group_contrast,
    group_design,
    group_findings,
    group_quality,
    group_regions,
    methods,
    overview,
    subject_contrasts,
    subject_runs,
    subject_summary,
)

SUBJECT_SECTIONS = (
    subject_summary.make_section,
    subject_contrasts.make_section,
    subject_runs.make_sections,
    methods.make_section,
    about.make_section,
)
GROUP_SECTIONS = (
    group_findings.make_section,
    group_design.make_section,
    group_contrast.make_sections,
    group_regions.make_section,
    group_quality.make_section,
    methods.make_section,
    about.make_section,
)

# Makes sections of a page.
Maker: TypeAlias = Callable[[Results[Any], FigureBook], Section | list[Section] | None]
# The section that could not be made.
Failure: TypeAlias = tuple[str, Exception]


def write_subject_report(output_dir: Path | str, subject: str) -> Path:
    """Write the report of a subject and its figures; return its path.

    Raises
    ------
    AppError
        A section could not be made; the report of the others is there.
    """
    results = read_subject_results(output_dir, subject)
    book = FigureBook()
    failures: list[Failure] = []
    sections = _make(SUBJECT_SECTIONS, results, book, failures)
    page = render_page(results.name, subject_summary.lead(results), sections, book)
    return _write(Path(output_dir), subject_report_path(subject), page, book, failures)


def write_group_report(output_dir: Path | str) -> Path:
    """Write the report of all Dataset nodes and its figures; return its path; errors as of a subject's."""
    book = FigureBook()
    failures: list[Failure] = []
    all_results = read_group_results(output_dir)
    sections = [
        section for results in all_results for section in _make(GROUP_SECTIONS, results, book, failures)
    ]
    lead = group_findings.lead(all_results)
    size = sum(len(section.content) for section in sections)
    views = lay_out(book.views, size=size)
    folder = Path(output_dir)
    for path, text in views.files.items():
        write_text(folder / path, text)
    # Of an earlier page, which had less room.
    for earlier in set(folder.glob("*/figures/*_view_*.js")) - {folder / path for path in views.files}:
        earlier.unlink()
    page = render_page("Group report", lead, sections, book, views.html)
    return _write(folder, GROUP_REPORT, page, book, failures)


def write_overview(output_dir: Path | str) -> Path:
    """Write the overview of all subjects and reports, and the methods text; return the overview's path."""
    book = FigureBook()
    subjects, groups = read_all_subject_results(output_dir), read_group_results(output_dir)
    sections = overview.make_sections(subjects, groups, book)
    page = render_page("Overview", overview.lead(subjects, groups), sections, book)
    write_citation(output_dir)
    return _write(Path(output_dir), OVERVIEW_REPORT, page, book)


def _make(
    makers: Iterable[Maker], results: Results[Any], book: FigureBook, failures: list[Failure]
) -> list[Section]:
    """Return the sections; in place of one that fails stands what happened, and its error is added."""
    sections = []
    for make in makers:
        try:
            made = make(results, book)
        except Exception as error:  # a section less must not cost the results
            name = make.__module__.rpartition(".")[2].replace("_", " ")
            failures.append((name, error))
            content = render("failed_section.html", words=in_words(error))
            made = Section(f"{name.capitalize()}: not made", f"failed-{len(failures)}", content)
        sections += made if isinstance(made, list) else [made] if made else []
    return sections


def _write(folder: Path, path: str, page: str, book: FigureBook, failures: Sequence[Failure] = ()) -> Path:
    write_text(folder / path, page)
    book.write(folder)
    if failures:
        said = "; ".join(f"{name}: {in_words(error)}" for name, error in failures)
        raise AppError(f"the results are finished, but {path} lacks a section ({said})") from failures[0][1]
    return folder / path
