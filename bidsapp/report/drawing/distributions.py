"""Charts of distributions: a null with its observed maximum, the effects of subjects, sparklines."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from xml.sax.saxutils import escape

import numpy as np

from bidsapp.records.arrays import Numbers
from bidsapp.report.drawing import svg
from bidsapp.report.drawing.charts import SERIES
from bidsapp.report.drawing.scale import round_ticks, short

N_BINS = 30
MAX_NAMED_DOTS = 60
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
    width, depth, left, top = 400.0, 110.0, 16.0, 24.0

    def x(value: float) -> float:
        return float(left + (value - edges[0]) / (edges[-1] - edges[0]) * (width - 2 * left))

    bars = "".join(
        f"M{svg.number(x(a))} {svg.number(top + depth)}v-{svg.number(depth * n / counts.max())}"
        f"H{svg.number(x(b) - 0.6)}V{svg.number(top + depth)}z"
        for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)
        if n
    )
    parts = [svg.tag("path", d=bars, fill=svg.FAINT)]
    parts.append(svg.line(left, top + depth, width - left, top + depth))
    for tick in round_ticks(edges[0], edges[-1], 6):
        parts.append(svg.line(x(tick), top + depth, x(tick), top + depth + 4))
        parts.append(svg.text(x(tick), top + depth + 15, short(tick), size=9, anchor="middle"))
    parts.append(svg.text(width / 2, top + depth + 29, name, size=10, anchor="middle", fill=svg.FAINT))
    marks = [(observed, "observed", SERIES[1], 22.0)]
    marks += [(cutoff, "cut-off", svg.INK, 11.0)] if cutoff is not None else []
    for value, words, colour, y in marks:
        dash = "4 3" if words == "cut-off" else None
        parts.append(
            svg.line(
                x(value), y, x(value), top + depth, stroke=colour, stroke_width=1.6, stroke_dasharray=dash
            )
        )
        # Beside its line, away from the other one where there is room.
        other = max(v for v, *_ in marks)
        ends = x(value) > width * (0.22 if value < other else 0.78)
        anchor, shift = ("end", -4) if ends else ("start", 4)
        words = f"{words} {short(value)}"
        parts.append(svg.text(x(value) + shift, y, words, size=10, anchor=anchor, fill=colour))
    return svg.Figure("".join(parts), width, top + depth + 34, alt, {})


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
    pad = 0.06 * ((high - low) or 1.0)
    width, lane = 470.0, 44.0
    left = max(max(len(svg.cut(g, 18)) for g in groups) * 5.8 + 14, 20.0)
    height = 22 + lane * len(groups) + 32

    def x(value: float) -> float:
        return left + (value - low + pad) / (high - low + 2 * pad) * (width - left - 14)

    base = 22 + lane * len(groups)
    parts = [svg.text(left, 12, title, size=10.5, font_weight="600")]
    for tick in round_ticks(low - pad, high + pad, 6):
        strong = {"stroke": svg.INK, "stroke_width": 0.9} if tick == 0 else {"stroke_width": 0.4}
        parts.append(svg.line(x(tick), 20, x(tick), base, **strong))
        parts.append(svg.text(x(tick), base + 12, short(tick), size=9, anchor="middle"))
    parts.append(
        svg.text((left + width - 14) / 2, base + 25, unit, size=9.5, anchor="middle", fill=svg.FAINT)
    )
    for i, (group, (rows, summary)) in enumerate(groups.items()):
        middle = 22 + lane * (i + 0.5)
        parts.append(svg.text(left - 8, middle + 3, svg.cut(group, 18), size=9.5, anchor="end"))
        parts.append(_dots([(name, x(v)) for name, v in rows], middle, SERIES[i % len(SERIES)]))
        mean, start, end = (x(v) if np.isfinite(v) else np.nan for v in summary)
        parts.append(_interval(mean, start, end, middle + 13))
    return svg.Figure("".join(parts), width, height, alt, {})


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
    low, high = min(low, 0.0), max(high, 0.0)
    span = (high - low) or 1.0
    start, end = sorted(((0 - low) / span * 60, (value - low) / span * 60))
    colour = SERIES[0] if value >= 0 else SERIES[1]
    bar = svg.rectangle(start, 2, max(end - start, 0.8), 8, fill=colour, opacity=0.75)
    zero = (0 - low) / span * 60
    return svg.Figure(bar + svg.line(zero, 0, zero, 12, stroke_width=0.7), 60.0, 12.0, alt, {})
