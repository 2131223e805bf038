"""How the results were made: versions, settings, command."""

from bidsapp.outputs.results import GroupResults, SubjectResults
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.report.render import FigureBook, Section, render


def make_section(results: SubjectResults | GroupResults, book: FigureBook) -> Section:
    """Return the section about the run of the app."""
    record = results.record
    settings = [
        (part, [(name, _show(value)) for name, value in fields.items()])
        for part, fields in record.settings.items()
        if isinstance(fields, dict)
    ]
    made_with = record.made_with if isinstance(record, GroupRecord) else None
    content = render("about.html", record=record, settings=settings, made_with=made_with)
    return Section("About", f"about-{anchor(results)}", content)


def anchor(results: SubjectResults | GroupResults) -> str:
    """Return the ending that keeps the anchors of a record apart from those of others in the page."""
    parts, record = [results.name], results.record
    if isinstance(record, GroupRecord):
        parts += [f"{k}-{v}" for k, v in record.entities.items()] + list((record.group_by or {}).values())
    return "-".join("".join(c if c.isascii() and c.isalnum() else "_" for c in str(part)) for part in parts)


def _show(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)
