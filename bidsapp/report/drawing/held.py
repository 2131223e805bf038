"""How the highest peaks hold: a lane each, with its statistic by several estimators, without each subject."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bidsapp.report.drawing import svg
from bidsapp.report.drawing.charts import SERIES
from bidsapp.report.drawing.scale import Scale

WIDTH, LEFT, RIGHT, TOP, LANE, BOTTOM = 720.0, 206.0, 112.0, 44.0, 30.0, 36.0
# Of a name, and of the words of a mark in the legend.
LETTERS, GAP = 34, 16.0


@dataclass(frozen=True, slots=True)
class Lane:
    """A peak.

    Attributes
    ----------
    name, place : str
        Its region, and its position in mm.
    values : dict of str to float
        Its statistic by estimator, that of the maps first.
    ends : tuple of float
        The smallest and the largest one without a subject.
    crosses : dict of str to float
        The one without each subject to be marked.
    agree : str
        How many go this way.
    """

    name: str
    place: str
    values: Mapping[str, float]
    ends: tuple[float, float]
    crosses: Mapping[str, float]
    agree: str


def draw_held(lanes: Sequence[Lane], *, unit: str, cutoff: float | None, header: str, alt: str) -> svg.Figure:
    """Return the lanes with a common axis, which begins at 0.

    Parameters
    ----------
    lanes : sequence of Lane
    unit : str
        Of the axis.
    cutoff : float or None
        Drawn on each side of 0 on which a peak is.
    header : str
        Of ``agree``.
    """
    values = [v for lane in lanes for v in (*lane.values.values(), *lane.ends, *lane.crosses.values())]
    limits = [] if cutoff is None else [s * cutoff for s in (-1, 1) if any(s * v > 0 for v in values)]
    low, high = min([0.0, *values, *limits]), max([0.0, *values, *limits])
    x = Scale(low, high, LEFT, WIDTH - RIGHT, pad=0.03 * (high - low))
    base = TOP + LANE * len(lanes)
    parts = _legend(lanes)
    parts.append(svg.text(WIDTH - 4, TOP - 10, header, size=9.5, anchor="end", fill=svg.FAINT))
    parts.append(svg.line(x(0), TOP - 4, x(0), base, stroke=svg.INK, stroke_width=0.9))
    parts += [
        svg.line(x(at), TOP - 4, x(at), base, stroke=svg.INK, stroke_width=1.1, stroke_dasharray="4 3")
        for at in limits
    ]
    for number, lane in enumerate(lanes):
        parts += _lane(lane, TOP + LANE * (number + 0.5), x)
    parts += [svg.line(x.start, base, x.end, base), *x.draw_ticks(7, base, 14)]
    parts.append(svg.text((x.start + x.end) / 2, base + 29, unit, size=10, anchor="middle", fill=svg.FAINT))
    return svg.Figure("".join(parts), WIDTH, base + BOTTOM, alt, {})


def _lane(lane: Lane, middle: float, x: Scale) -> list[str]:
    parts = [
        svg.text(LEFT - 10, middle - 1, svg.cut(lane.name, LETTERS), size=10.5, anchor="end"),
        svg.text(LEFT - 10, middle + 10, lane.place, size=8.5, anchor="end", fill=svg.FAINT),
        svg.text(WIDTH - 4, middle + 4, lane.agree, size=10.5, anchor="end"),
        svg.line(x.start, middle, x.end, middle, stroke_width=0.3),
    ]
    start, end = (x(value) for value in lane.ends)
    parts.append(svg.rectangle(start, middle - 4.5, max(end - start, 1.5), 9, fill=svg.FAINT, opacity=0.45))
    # Marks of other estimators are hollow, so that none hides another.
    for number, (name, value) in reversed(list(enumerate(lane.values.items()))):
        parts.append(_mark(number, x(value), middle, f"{name}: {value:.2f}"))
    parts += [
        _cross(x(value), middle, f"without {name}: {value:.2f}") for name, value in lane.crosses.items()
    ]
    return parts


def _mark(number: int, x: float, y: float, words: str = "") -> str:
    """Return the mark of an estimator: a dot for the first, then a square, a diamond, and triangles."""
    title = f"<title>{escape(words)}</title>" if words else ""
    if number == 0:
        return svg.tag("circle", title, cx=x, cy=y, r=4.2, fill=SERIES[0], stroke=svg.INK, stroke_width=0.8)
    paths = ("m-5 -5h10v10h-10z", "m0 -6.4l6.4 6.4-6.4 6.4-6.4-6.4z", "m0 -6l6 10.4h-12z")
    path = f"M{svg.number(x)} {svg.number(y)}{paths[min(number, len(paths)) - 1]}"
    colour = SERIES[(1, 2, 3)[min(number, len(paths)) - 1]]
    return svg.tag("path", title, d=path, fill="none", stroke=colour, stroke_width=1.7)


def _cross(x: float, y: float, words: str = "") -> str:
    title = f"<title>{escape(words)}</title>" if words else ""
    path = f"M{svg.number(x)} {svg.number(y)}m-4 -4l8 8m0 -8l-8 8"
    return svg.tag("path", title, d=path, fill="none", stroke=svg.INK, stroke_width=1.6)


def _legend(lanes: Sequence[Lane]) -> list[str]:
    names = list(dict.fromkeys(name for lane in lanes for name in lane.values))
    parts, at = [], 8.0

    def add(mark: str, words: str) -> None:
        nonlocal at
        parts.append(mark)
        parts.append(svg.text(at + 11, 16, words, size=10))
        at += 11 + 5.6 * len(words) + GAP

    for number, name in enumerate(names):
        add(_mark(number, at, 12.5), name)
    add(svg.rectangle(at - 5, 8, 10, 9, fill=svg.FAINT, opacity=0.45), "each subject left out")
    if any(lane.crosses for lane in lanes):
        add(_cross(at, 12.5), "without a flagged subject")
    return parts
