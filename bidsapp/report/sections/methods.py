"""The methods text in the page, with its references."""

import re

from markupsafe import Markup, escape

from bidsapp.report.methods import describe_group, describe_participant
from bidsapp.report.references import references
from bidsapp.report.render import Section, render
from bidsapp.report.sections.about import anchor


def make_section(results, book):
    """Return the methods section of a subject or group page."""
    record = results.record
    paragraphs = describe_participant(record) if record["kind"] == "participant" else describe_group(record)
    keys = cited("\n".join(paragraphs))
    content = render(
        "methods.html",
        paragraphs=[in_words(p) for p in paragraphs],
        references=[references()[key].text() for key in keys],
    )
    return Section("Methods", f"methods-{anchor(results)}", content)


def cited(text):
    """Return the keys that a text cites, in order."""
    return list(dict.fromkeys(re.findall(r"@([a-z0-9]+)", " ".join(re.findall(r"\[(@[^\]]*)\]", text)))))


def in_words(paragraph):
    """Return a paragraph as safe HTML, citations as (Author, year; ...)."""
    pieces = re.split(r"\[((?:@[a-z0-9]+(?:; )?)+)\]", paragraph)
    words = [escape(piece) if i % 2 == 0 else _authors(piece) for i, piece in enumerate(pieces)]
    return Markup("").join(words)


def _authors(keys):
    return "(" + "; ".join(references()[key].short for key in re.findall(r"@([a-z0-9]+)", keys)) + ")"
