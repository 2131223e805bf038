"""The methods text in the page, with its references."""

from collections.abc import Iterable

from markupsafe import Markup, escape

from bidsapp.outputs.results import GroupResults, SubjectResults
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.report.methods import describe_group, describe_participant
from bidsapp.report.references import cited, references, split_citations
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.about import anchor
from bidsapp.report.sections.contrast.shown import Shown


def make_section(results: SubjectResults | GroupResults, book: FigureBook) -> Section:
    """Return the methods section of a subject or group page."""
    if isinstance(results.record, GroupRecord):
        paragraphs = describe_group(results.record, find_atlases(results))
    else:
        paragraphs = describe_participant(results.record)
    keys = cited(paragraphs)
    content = render(
        "methods.html",
        paragraphs=[in_words(p) for p in paragraphs],
        references=[references()[key].text() for key in keys],
    )
    return Section("Methods", f"methods-{anchor(results)}", content)


def make_section_of_contrast(shown: Shown, book: FigureBook) -> Section:
    """Return the methods section of the page of a contrast: that of its model."""
    return make_section(shown.results, book)


def find_atlases(results: GroupResults) -> list[tuple[str, str]]:
    """Return title and citation of the atlases that labelled the peaks of a group record."""
    for contrast in results.record.contrasts:
        for threshold in contrast.thresholds:
            if results.has(threshold.peaks):
                columns = results.describe(threshold.peaks).values()
                return [(c["LongName"], c["Citation"]) for c in columns if c.get("Citation")]
    return []


def in_words(paragraph: str) -> Markup:
    """Return a paragraph as safe HTML, citations as (Author, year; ...)."""
    pieces = [escape(words) + _authors(keys) for words, keys in split_citations(paragraph)]
    return Markup("").join(pieces)


def _authors(keys: Iterable[str]) -> str:
    return "(" + "; ".join(references()[key].short for key in keys) + ")" if keys else ""
