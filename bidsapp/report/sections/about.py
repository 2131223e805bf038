"""How the results were made: versions, settings, command."""

from bidsapp.outputs.results import Results
from bidsapp.report.render import FigureBook, Section, render


def make_section(results: Results, book: FigureBook) -> Section:
    """Return the section about the run of the app."""
    record = results.record
    settings = [
        (part, [(name, _show(value)) for name, value in fields.items()])
        for part, fields in record.get("settings", {}).items()
        if isinstance(fields, dict)
    ]
    made_with = list((record.get("made_with") or {}).items())
    content = render("about.html", record=record, settings=settings, made_with=made_with)
    return Section("About", f"about-{anchor(results)}", content)


def anchor(results: Results) -> str:
    """Return the ending that keeps the anchors of a record apart from those of others in the page."""
    entities = results.record.get("entities", {})
    parts = [
        results.name,
        *(f"{k}-{v}" for k, v in entities.items()),
        *(results.record["group_by"] or {}).values(),
    ]
    return "-".join("".join(c if c.isascii() and c.isalnum() else "_" for c in str(part)) for part in parts)


def _show(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)
