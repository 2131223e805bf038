"""The reports: which sections, in which order."""

from pathlib import Path

from bidsapp.inputs.results import read_all_subject_results, read_group_results, read_subject_results
from bidsapp.outputs.files import write_text
from bidsapp.outputs.names import GROUP_REPORT, OVERVIEW_REPORT, subject_report_path
from bidsapp.report.citation import write_citation
from bidsapp.report.render import FigureBook, render_page
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
from bidsapp.report.viewer import render_viewer

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


def write_subject_report(output_dir, subject):
    """Write the report of a subject and its figures; return its path."""
    results = read_subject_results(output_dir, subject)
    book = FigureBook()
    sections = _make(SUBJECT_SECTIONS, results, book)
    page = render_page(results.name, subject_summary.lead(results), sections, book)
    return _write(Path(output_dir), subject_report_path(subject), page, book)


def write_group_report(output_dir):
    """Write the report of all Dataset nodes and its figures; return its path."""
    book = FigureBook()
    all_results = read_group_results(output_dir)
    sections = [section for results in all_results for section in _make(GROUP_SECTIONS, results, book)]
    lead = group_findings.lead(all_results)
    size = sum(len(section.content) for section in sections)
    viewer = render_viewer(book.anatomy, book.viewer, size)
    page = render_page("Group report", lead, sections, book, viewer)
    return _write(Path(output_dir), GROUP_REPORT, page, book)


def write_overview(output_dir):
    """Write the overview of all subjects and reports, and the methods text; return the overview's path."""
    book = FigureBook()
    subjects, groups = read_all_subject_results(output_dir), read_group_results(output_dir)
    sections = overview.make_sections(subjects, groups, book)
    page = render_page("Overview", overview.lead(subjects, groups), sections, book)
    write_citation(output_dir)
    return _write(Path(output_dir), OVERVIEW_REPORT, page, book)


def _make(makers, results, book):
    sections = []
    for make in makers:
        made = make(results, book)
        sections += made if isinstance(made, list) else [made] if made else []
    return sections


def _write(folder, path, page, book):
    write_text(folder / path, page)
    book.write(folder)
    return folder / path
