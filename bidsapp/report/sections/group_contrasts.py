"""The contrasts of a group model at a glance: a picture of each, what was found, its strongest place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from bidsapp.outputs.results import Volume
from bidsapp.outputs.saved.group import GroupContrastRecord
from bidsapp.report.drawing.slices import draw_thumbnail
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.contrast.shown import Shown
from bidsapp.report.sections.contrast.tested import ask
from bidsapp.report.sections.contrast.verdict import Verdict, verdict
from bidsapp.report.sections.group_matrix import Cell, strongest_of_regions

THUMBNAIL_MM = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A contrast in the index of its model.

    Attributes
    ----------
    contrast
        Its record.
    href : str
        Its page.
    thumbnail : Markup
        What survives the main threshold, on slices through the strongest place.
    question : str
        What was asked.
    verdict : Verdict
    cells : dict of str to Cell
        By region of the first atlas, empty where there is none.
    """

    contrast: GroupContrastRecord
    href: str
    thumbnail: Markup
    question: str
    verdict: Verdict
    cells: dict[str, Cell]


def make_entry(about: tuple[Shown, str], book: FigureBook) -> Entry:
    """Return the entry of a contrast with the address of its page; the picture goes to the index's book."""
    shown, href = about
    return Entry(
        contrast=shown.contrast,
        href=href,
        thumbnail=_thumbnail(shown, book),
        question=ask(shown),
        verdict=verdict(shown),
        cells=strongest_of_regions(shown),
    )


def make_section(entries: Sequence[Entry], book: FigureBook) -> Section:
    """Return the list of contrasts."""
    first = next((entry.contrast for entry in entries if entry.contrast.main), None)
    return Section("Contrasts", "contrasts", render("group_contrasts.html", entries=entries, first=first))


def _thumbnail(shown: Shown, book: FigureBook) -> Markup:
    kept = shown.kept[shown.main.method] if shown.main else _empty(shown.whole)
    what = f"what survives {shown.main.title}" if shown.main else "nothing survives"
    figure = draw_thumbnail(
        shown.slicer(kept, THUMBNAIL_MM), shown.start(), alt=f"Slices of {shown.contrast.name}: {what}"
    )
    return book.add(figure, shown.path("thumbnail", stat=shown.statistic))


def _empty(volume: Volume) -> Volume:
    return Volume(np.zeros_like(volume.values), volume.affine)
