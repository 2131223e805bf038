"""Charts of distributions: a null with its observed maximum, the effects of subjects, sparklines."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from xml.sax.saxutils import escape

import numpy as np

from bidsapp.records.arrays import Numbers
from bidsapp.report.drawing import svg
from bidsapp.report.drawing.charts import SERIES
from bidsapp.report.drawing.scale import Scale, short

# Enough to see the shape of a hundred shuffles and of ten thousand.
N_BINS = 30
# More dots have no titles of their own, which would make a page slow.
MAX_NAMED_DOTS = 60
# Of the histogram: its size, the room at both sides, and above it for the words of the marks.
NULL_WIDTH, NULL_DEPTH, NULL_TOP, MARGIN = 400.0, 110.0, 24.0, 16.0
# Of the dots: the width, the room above for the title, and the height of a group.
STRIP_WIDTH, STRIP_TOP, LANE = 470.0, 22, 44.0
# Subjects with their effects; the mean and its interval.
Group: TypeAlias = tuple[Sequence[tuple[str, float]], tuple[float, float, float]]


def draw_null(
    values: Numbers, observed: float, *, cutoff: float | None = None, name: str, alt: str
) -> svg.Figure:
    """Return the histogram of a null distribution with the observed value and the cut-off."""
    values = np.asarray(values, float)
    low, high = min(values.min(), observed), max(values.max(), observed)
    edges = np.linspace(low, high if high > low else low + 1, N_BINS + 1)
    counts = np.histogram(values, edges)[0]
    x, base = Scale(edges[0], edges[-1], MARGIN, NULL_WIDTH - MARGIN), NULL_TOP + NULL_DEPTH
    bars = "".join(
        f"M{svg.number(x(a))} {svg.number(base)}v-{svg.number(NULL_DEPTH * n / counts.max())}"
        f"H{svg.number(x(b) - 0.6)}V{svg.number(base)}z"
        for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)
        if n
    )
    parts = [svg.tag("path", d=bars, fill=svg.FAINT), svg.line(x.start, base, x.end, base)]
    parts += x.draw_ticks(6, base, 15)
    parts.append(svg.text(NULL_WIDTH / 2, base + 29, name, size=10, anchor="middle", fill=svg.FAINT))
    # The words of each mark stand at its own height, before its line unless that is near the left edge: those
    # of the larger one only where it is near the right edge, so that both have room.
    last = observed if cutoff is None else max(observed, cutoff)
    for value, words, colour, y, dash in (
        (observed, "observed", SERIES[1], 22.0, None),
        (cutoff, "cut-off", svg.INK, 11.0, "4 3"),
    ):
        if value is not None:
            before = x(value) > NULL_WIDTH * (0.22 if value < last else 0.78)
            anchor, shift = ("end", -4) if before else ("start", 4)
            look: dict[str, svg.Value] = {"stroke": colour, "stroke_width": 1.6, "stroke_dasharray": dash}
            parts.append(svg.line(x(value), y, x(value), base, **look))
            words = f"{words} {short(value)}"
            parts.append(svg.text(x(value) + shift, y, words, size=10, anchor=anchor, fill=colour))
    return svg.Figure("".join(parts), NULL_WIDTH, base + 34, alt, {})


def draw_strip(groups: Mapping[str, Group], *, unit: str, title: str, alt: str) -> svg.Figure:
    """Return the effects of subjects as dots, with the mean and its 95 % confidence interval.

    Parameters
    ----------
    groups : dict of str to Group
        For each group its subjects, (subject, effect); and its summary, (mean, low, high).
    """
    values = [v for rows, _ in groups.values() for _, v in rows] + [0.0]
    values += [v for _, summary in groups.values() for v in summary if np.isfinite(v)]
    low, high = min(values), max(values)
    left = max(max(len(svg.cut(g, 18)) for g in groups) * 5.8 + 14, 20.0)
    x = Scale(low, high, left, STRIP_WIDTH - 14, pad=0.06 * ((high - low) or 1.0))
    base = STRIP_TOP + LANE * len(groups)
    parts = [svg.text(left, 12, title, size=10.5, font_weight="600")]
    for tick in x.ticks(6):
        strong = {"stroke": svg.INK, "stroke_width": 0.9} if tick == 0 else {"stroke_width": 0.4}
        parts.append(svg.line(x(tick), 20, x(tick), base, **strong))
        parts.append(svg.text(x(tick), base + 12, short(tick), size=9, anchor="middle"))
    parts.append(svg.text((left + x.end) / 2, base + 25, unit, size=9.5, anchor="middle", fill=svg.FAINT))
    for i, (group, (rows, summary)) in enumerate(groups.items()):
        middle = STRIP_TOP + LANE * (i + 0.5)
        parts.append(svg.text(left - 8, middle + 3, svg.cut(group, 18), size=9.5, anchor="end"))
        parts.append(_dots([(name, x(v)) for name, v in rows], middle, SERIES[i % len(SERIES)]))
        mean, start, end = (x(v) if np.isfinite(v) else np.nan for v in summary)
        parts.append(_interval(mean, start, end, middle + 13))
    return svg.Figure("".join(parts), STRIP_WIDTH, base + 32, alt, {})


def _dots(places: Sequence[tuple[str, float]], middle: float, colour: str) -> str:
    """Return one dot a subject; neighbours step aside, the same way each time."""
    order = np.argsort([x for _, x in places], kind="stable")
    rows = np.zeros(len(places), int)
    for rank, i in enumerate(order):
        rows[i] = rank % 3 - 1
    spots = [(name, x, middle - 5 + 5.5 * row) for (name, x), row in zip(places, rows, strict=True)]
    if len(spots) > MAX_NAMED_DOTS:
        path = "".join(f"M{svg.number(x)} {svg.number(y)}h0" for _, x, y in spots)
        return svg.tag("path", d=path, stroke=colour, stroke_width=5, stroke_linecap="round", opacity=0.6)
    return "".join(
        svg.tag("circle", f"<title>{escape(str(name))}</title>", cx=x, cy=y, r=3, fill=colour, opacity=0.75)
        for name, x, y in spots
    )


def _interval(mean: float, low: float, high: float, y: float) -> str:
    parts = []
    if np.isfinite(low) and np.isfinite(high):
        parts.append(svg.line(low, y, high, y, stroke=svg.INK, stroke_width=2))
        parts += [svg.line(at, y - 3.5, at, y + 3.5, stroke=svg.INK, stroke_width=1.4) for at in (low, high)]
    diamond = f"M{svg.number(mean - 4.5)} {svg.number(y)}l4.5 -4.5 4.5 4.5 -4.5 4.5z"
    return "".join(parts) + svg.tag("path", d=diamond, fill=svg.INK)


def draw_spark(value: float, low: float, high: float, *, alt: str) -> svg.Figure:
    """Return a bar from zero to a value, for a cell of a table; low and high are those of the column."""
    x = Scale(min(low, 0.0), max(high, 0.0), 0.0, 60.0)
    zero, (start, end) = x(0), sorted((x(0), x(value)))
    colour = SERIES[0] if value >= 0 else SERIES[1]
    bar = svg.rectangle(start, 2, max(end - start, 0.8), 8, fill=colour, opacity=0.75)
    return svg.Figure(bar + svg.line(zero, 0, zero, 12, stroke_width=0.7), 60.0, 12.0, alt, {})
