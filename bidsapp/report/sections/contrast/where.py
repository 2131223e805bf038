"""Where the results of a contrast are: its linked view, and still pictures for pages without scripts."""

from markupsafe import Markup

from bidsapp.outputs.results import Volume
from bidsapp.report.drawing.slices import COARSE_MM, choose_cuts, draw_mosaic
from bidsapp.report.drawing.surface import draw_surface
from bidsapp.report.linked.view import pack_view
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.brains import WEAKEST, draw_brain
from bidsapp.report.sections.contrast.shown import Shown
from bidsapp.report.sections.linked_view import Look, make_view

ANCHOR = "where"


def make_section(shown: Shown, book: FigureBook) -> Section:
    """Return the pictures of a contrast; what its view needs goes to the book."""
    content = render(
        "contrast_where.html",
        anchor=ANCHOR,
        main=shown.main,
        left_out=shown.left_out(shown.main) if shown.main else "",
        signed=shown.signed,
        weakest=None if shown.mni else WEAKEST,
        under=shown.under.name,
        surface=_surface(shown, book),
        mosaic=_mosaic(shown, book),
        whole=draw_map(shown, book, shown.whole, "whole map, no threshold"),
    )
    _give_to_view(shown, book)
    return Section("Where", ANCHOR, content)


def draw_map(
    shown: Shown, book: FigureBook, volume: Volume, what: str, faintest: float = 0.0, **more: str
) -> Markup:
    """Return a map at a glance; ``more`` are entities of its file, ``faintest`` as of `draw_brain`."""
    alt = (
        f"{'Glass brain' if shown.mni else 'Slices'} of {shown.contrast.name}: {what}; "
        f"colours from {-shown.limit if shown.signed else 0:g} to {shown.limit:g}"
    )
    under = None if shown.mni else shown.under
    figure = draw_brain(volume, under, limit=shown.limit, alt=alt, faintest=faintest, signed=shown.signed)
    kind, look = ("glass", "glass") if shown.mni else ("map", "keep")
    return book.add(figure, shown.path(kind, stat=shown.statistic, **more), look)


def _surface(shown: Shown, book: FigureBook) -> Markup | None:
    if not shown.main or not shown.mni:
        return None
    alt = f"Inflated cortex of {shown.words(shown.main)}, both hemispheres from outside and inside"
    figure = draw_surface(shown.drawn[shown.main.method], limit=shown.limit, alt=alt, signed=shown.signed)
    return book.add(figure, shown.path("surface", stat=shown.statistic, desc=shown.main.method))


def _mosaic(shown: Shown, book: FigureBook) -> Markup | None:
    if not shown.main:
        return None
    alt = f"Axial slices of {shown.words(shown.main)}"
    slicer = shown.slicer(shown.drawn[shown.main.method], COARSE_MM)
    figure = draw_mosaic(slicer, choose_cuts(shown.whole, 8), alt=alt)
    return book.add(figure, shown.path("slices", stat=shown.statistic, desc=shown.main.method), "keep")


def _give_to_view(shown: Shown, book: FigureBook) -> None:
    look = Look(ANCHOR, shown.statistic, shown.limit, shown.start(), shown.underlays, shown.mni)
    kept = [shown.kept[threshold.method] for threshold in shown.contrast.thresholds]
    view = make_view(shown.results, shown.contrast, kept, look)
    book.views.append((pack_view(view), shown.path("view", extension=".js")))
