"""The reports: which pages, which sections, in which order."""

import posixpath
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from bidsapp.errors import AppError, in_words
from bidsapp.names import (
    GROUP_REPORT,
    GROUP_REPORTS,
    OVERVIEW_REPORT,
    group_report_path,
    subject_report_path,
    top_folder,
)
from bidsapp.outputs.files import write_text
from bidsapp.outputs.results import (
    GroupResults,
    read_all_subject_results,
    read_group_results,
    read_subject_results,
)
from bidsapp.records.progress import Tell, nobody
from bidsapp.report.citation import write_citation
from bidsapp.report.linked.page import lay_out
from bidsapp.report.render import FigureBook, Heading, Section, render, render_page
from bidsapp.report.sections import (
    about,
    group_contrasts,
    group_design,
    group_matrix,
    group_models,
    group_quality,
    group_regions,
    group_remarks,
    methods,
    overview,
    subject_contrasts,
    subject_responses,
    subject_runs,
    subject_summary,
)
from bidsapp.report.sections.contrast import (
    active,
    chance,
    files,
    peaks,
    robustness,
    table,
    tested,
    thresholds,
    verdict,
    where,
)
from bidsapp.report.sections.contrast.shown import Shown
from bidsapp.report.sections.group_contrasts import Entry, make_entry
from bidsapp.report.sections.group_design import group_node

SUBJECT_SECTIONS = (
    subject_summary.make_section,
    subject_contrasts.make_sections,
    subject_responses.make_section,
    subject_runs.make_sections,
    methods.make_section,
    about.make_section,
)
# Of a model: what its contrasts say, then the model itself.
INDEX_SECTIONS = (group_contrasts.make_section, group_matrix.make_sections)
GROUP_SECTIONS = (
    group_remarks.make_section,
    group_design.make_section,
    group_regions.make_section,
    group_quality.make_section,
    methods.make_section,
    about.make_section,
)
CONTRAST_SECTIONS = (
    verdict.make_section,
    tested.make_section,
    where.make_section,
    table.make_section,
    robustness.make_section,
    chance.make_section,
    peaks.make_section,
    active.make_section,
    thresholds.make_section,
    methods.make_section_of_contrast,
    files.make_section,
)

# Makes sections of a page.
Maker: TypeAlias = Callable[[Any, FigureBook], Section | list[Section] | None]
Made = TypeVar("Made")


@dataclass(slots=True, eq=False)
class _Page:
    """A page in the making; ``path`` is relative to the output folder."""

    folder: Path
    path: str
    book: FigureBook = field(default_factory=FigureBook)
    sections: list[Section] = field(default_factory=list)
    failures: list[tuple[str, Exception]] = field(default_factory=list)

    def add(self, makers: Iterable[Maker], about: object) -> None:
        """Add sections; in place of one that fails stands what happened, and its error is kept."""
        for make in makers:
            made = self.attempt(make, about)
            self.sections += made if isinstance(made, list) else [made] if made else []

    def attempt(self, make: Callable[[Any, FigureBook], Made], about: object) -> Made | None:
        """Return what is made; None where that fails, and what happened is a section."""
        try:
            return make(about, self.book)
        except Exception as error:  # a section less must not cost the results
            name = make.__module__.rpartition(".")[2].replace("_", " ")
            self.failures.append((name, error))
            content = render("failed_section.html", words=in_words(error))
            title, anchor = f"{name.capitalize()}: not made", f"failed-{len(self.failures)}"
            self.sections.append(Section(title, anchor, content))
            return None

    def write(self, heading: Heading) -> set[str]:
        """Write the page with its figures; return the paths of what its views need beside it."""
        size = sum(len(section.content) for section in self.sections)
        views = lay_out(self.book.views, size=size, page=self.path)
        for path, text in views.files.items():
            write_text(self.folder / path, text)
        write_text(self.folder / self.path, render_page(heading, self.sections, self.book, views.html))
        self.book.write(self.folder)
        return set(views.files)

    def to(self, path: str) -> str:
        """Return the address of another page."""
        return posixpath.relpath(path, posixpath.dirname(self.path) or ".")


def write_subject_report(output_dir: Path | str, subject: str) -> Path:
    """Write the report of a subject and its figures; return its path.

    Raises
    ------
    AppError
        A section could not be made; the report of the others is there.
    """
    results = read_subject_results(output_dir, subject)
    page = _Page(Path(output_dir), subject_report_path(subject))
    page.add(SUBJECT_SECTIONS, results)
    written = page.write(Heading(results.name, subject_summary.lead(results)))
    _remove_others(page.folder, [f"{top_folder({'sub': subject})}/figures/*_view_*.js"], written)
    _check([page])
    return page.folder / page.path


def write_group_report(output_dir: Path | str, tell: Tell = nobody, *, min_cluster: int = 1) -> Path:
    """Write a page a contrast and a page a model of every Dataset node, with their figures.

    Parameters
    ----------
    output_dir : Path
    tell : callable, optional
        Is told how many contrasts have their page.
    min_cluster : int
        Tables and still pictures leave out clusters of fewer voxels.

    Returns
    -------
    Path
        The page to open: that of the model, or of several the list of them.

    Raises
    ------
    AppError
        A section could not be made; the others are there.
    """
    folder = Path(output_dir)
    models = read_group_results(folder)
    pages: list[_Page] = []
    written: set[str] = set()
    n_contrasts, numbers = sum(len(results.record.contrasts) for results in models), count(1)
    tell(0, n_contrasts)
    for results in models:
        path = model_path(results, models)
        written |= _write_model(results, path, pages, lambda: tell(next(numbers), n_contrasts), min_cluster)
    if len(models) != 1:
        page = _Page(folder, GROUP_REPORT)
        page.add([group_models.make_section], [(results, model_path(results, models)) for results in models])
        page.write(Heading("Group report", group_models.lead(models)))
        pages.append(page)
    written |= {page.path for page in pages}
    # Of contrasts and models that are no more, and data that found room in their page.
    _remove_others(folder, [GROUP_REPORTS, "group/figures/*_view_*.js"], written)
    _check(pages)
    return folder / GROUP_REPORT


def write_overview(output_dir: Path | str) -> Path:
    """Write the overview of all subjects and reports, and the methods text; return the overview's path."""
    subjects, groups = read_all_subject_results(output_dir), read_group_results(output_dir)
    page = _Page(Path(output_dir), OVERVIEW_REPORT)
    page.sections = overview.make_sections(
        subjects, [(results, model_path(results, groups)) for results in groups], page.book
    )
    page.write(Heading("Overview", overview.lead(subjects, groups)))
    write_citation(output_dir)
    return page.folder / page.path


def model_path(results: GroupResults, models: Sequence[GroupResults]) -> str:
    """Return the path of the page of one of the models of an output folder."""
    if len(models) == 1:
        return GROUP_REPORT
    return group_report_path(results.record.entities, node=group_node(results))


def _write_model(
    results: GroupResults, path: str, pages: list[_Page], tell: Callable[[], None], min_cluster: int
) -> set[str]:
    """Write the pages of a model, its contrasts one by one, and add them to ``pages``; tell of each."""
    index = _Page(results.folder, path)
    written: set[str] = set()
    entries: list[Entry] = []
    contrasts = results.record.contrasts
    paths = [
        group_report_path(results.record.entities, node=group_node(results), contrast=contrast.name)
        for contrast in contrasts
    ]
    for k, contrast in enumerate(contrasts):
        shown = Shown(results, contrast, min_cluster)
        page = _Page(results.folder, paths[k])
        page.add(CONTRAST_SECTIONS, shown)
        beside = [("prev", k - 1), ("next", k + 1)]
        turns = [(way, page.to(paths[i]), contrasts[i].name) for way, i in beside if 0 <= i < len(contrasts)]
        above = (page.to(OVERVIEW_REPORT), "TaskGLM"), (page.to(path), results.name)
        words = f"{shown.lead} Contrast {k + 1} of {len(contrasts)}."
        written |= page.write(Heading(contrast.name, words, above, turns))
        pages.append(page)
        entry = index.attempt(make_entry, (shown, index.to(paths[k])))
        entries += [entry] if entry else []
        tell()
    index.add(INDEX_SECTIONS, entries)
    index.add(GROUP_SECTIONS, results)
    trail = [(index.to(OVERVIEW_REPORT), "TaskGLM")]
    if path != GROUP_REPORT:
        trail.append((index.to(GROUP_REPORT), "Group models"))
    words = f"{results.record.description} {group_models.lead([results]).capitalize()}."
    index.write(Heading(results.name, words, trail))
    pages.append(index)
    return written


def _remove_others(folder: Path, patterns: Iterable[str], written: Collection[str]) -> None:
    """Remove what earlier pages left: files of these patterns that were not written now."""
    for earlier in {path for pattern in patterns for path in folder.glob(pattern)}:
        if earlier.relative_to(folder).as_posix() not in written:
            earlier.unlink()


def _check(pages: Sequence[_Page]) -> None:
    """Raise what sections could not be made."""
    failed = [page for page in pages if page.failures]
    if failed:
        said = "; ".join(
            f"{page.path} lacks a section ({name}: {in_words(error)})"
            for page in failed
            for name, error in page.failures
        )
        raise AppError(f"the results are finished, but {said}") from failed[0].failures[0][1]
