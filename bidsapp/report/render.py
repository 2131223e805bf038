"""Turns sections into a page: one HTML file that needs no other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from bidsapp.outputs.files import write_text
from bidsapp.outputs.saved.participant import SkippedRecord
from bidsapp.report.drawing.scale import short
from bidsapp.report.drawing.svg import Figure
from bidsapp.report.linked.view import PackedView
from bidsapp.report.numbers import count, decimals, percent, readable
from bidsapp.version import __version__


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page: its heading, its anchor (unique in the page) and its content as safe HTML.

    ``within`` is the short heading for the navigation; ``level`` 2 hangs below the section before.
    """

    title: str
    anchor: str
    content: Markup
    level: int = 1


@dataclass(slots=True)
class FigureBook:
    """Collects what a page needs beside its sections.

    The files of its figures, the symbols that the figures share, and the linked views, each with the path of
    a file beside the page for what the page has no room for.
    """

    files: dict[str, Figure] = field(default_factory=dict)
    symbols: dict[str, str] = field(default_factory=dict)
    views: list[tuple[PackedView, str]] = field(default_factory=list)

    def add(self, figure: Figure, path: str, style: str = "") -> Markup:
        """Return a figure as HTML for the page; ``path`` is that of its file."""
        if path in self.files:
            raise ValueError(f"two figures for {path}")
        self.files[path] = figure
        self.symbols.update(figure.shared)
        return Markup(figure.inline(style))

    def write(self, folder: Path) -> None:
        """Write every figure as a file."""
        for path, figure in self.files.items():
            write_text(folder / path, figure.file())


def render(template: str, **values: object) -> Markup:
    """Return a template of the package with values, which are escaped unless they are Markup."""
    return Markup(_environment().get_template(template).render(**values))


@dataclass(frozen=True, slots=True)
class Heading:
    """The top of a page.

    Attributes
    ----------
    title, lead : str
        Its heading and the sentence below.
    trail : sequence of (str, str)
        The pages above it: address, words. The first is that of the app.
    turns : sequence of (str, str, str)
        The pages beside it: relation (``prev``, ``next``), address, title.
    """

    title: str
    lead: str
    trail: Sequence[tuple[str, str]] = (("index.html", "TaskGLM"),)
    turns: Sequence[tuple[str, str, str]] = ()


def render_page(heading: Heading, sections: Sequence[Section], book: FigureBook, script: str = "") -> Markup:
    """Return a whole page; ``script`` is safe HTML for its end."""
    symbols = Markup("".join(book.symbols.values()))
    return render(
        "page.html",
        heading=heading,
        sections=sections,
        symbols=symbols,
        script=script,
        version=__version__,
    )


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bidsapp.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short
    environment.filters["position"] = lambda value: decimals(value, 0)
    environment.filters["tenths"] = lambda value: decimals(value, 1)
    environment.filters["thousands"] = lambda value: f"{value:,}"
    environment.filters["p"] = show_p
    environment.filters["percent"] = percent
    environment.filters["count"] = count
    environment.filters["two_decimals"] = lambda value: decimals(value, 2)
    environment.filters["readable"] = readable
    environment.filters["first_regions"] = first_regions
    environment.filters["sentence"] = lambda words: words[:1].upper() + words[1:]
    environment.filters["by_reason"] = by_reason
    environment.filters["in_subject"] = lambda label: label.split(" ", 1)[-1]
    environment.globals["include_raw"] = _include_raw
    return environment


def show_p(value: float | None) -> str:
    """Return a p-value as readers expect it: three decimals, four below .001."""
    if value is None or value != value:
        return "n/a"
    if value < 0.0001:
        return "< .0001"
    return "1" if value >= 0.9995 else f"{value:.{4 if value < 0.00095 else 3}f}".lstrip("0")


def by_reason(skipped: Iterable[SkippedRecord]) -> list[tuple[str, list[str]]]:
    """Return (reason, names) pairs of contrasts that were not made, each reason once."""
    reasons: dict[str, list[str]] = {}
    for item in skipped:
        reasons.setdefault(item.reason, []).append(item.contrast)
    return list(reasons.items())


def first_regions(label: object, n: int = 3) -> str:
    """Return the first regions of a label; its file and its title have all."""
    if not isinstance(label, str):
        return "–"
    regions = label.split("; ")
    return "; ".join(regions[:n]) + (" …" if len(regions) > n else "")


def _include_raw(name: str) -> Markup:
    """Return a file of the templates folder without its indents: style and script of the package itself."""
    text = files("bidsapp.report").joinpath("templates", name).read_text(encoding="utf-8")
    return Markup("\n".join(line.strip() for line in text.splitlines()))
