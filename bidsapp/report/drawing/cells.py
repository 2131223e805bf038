"""Conditions side by side: a thin line a subject, means of groups with their intervals within subjects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np

from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.report.drawing import svg
from bidsapp.report.drawing.charts import SERIES
from bidsapp.report.drawing.scale import Scale, round_ticks, short

# Of one chart alone, and of one among several: its width.
WIDE, NARROW, IN_ROW, DEPTH = 470.0, 236.0, 3, 130.0
LEFT, RIGHT, TITLE, BELOW, TILTED, GAP = 40.0, 8.0, 20.0, 20.0, 62.0, 12.0
LETTER, LEGEND, MAX_TITLE, MAX_CELL = 5.6, 22.0, 34, 14
# Groups differ in dash and mark, too.
DASHES = (None, "6 3", "2 2")


@dataclass(frozen=True, slots=True, eq=False)
class CellGroup:
    """Subjects of a group in every condition.

    Attributes
    ----------
    names : sequence of str
    values : ndarray, shape (n_subjects, n_cells)
        NaN where a subject has none.
    means, halves : ndarray, shape (n_cells,)
        The means, and half the length of their intervals; NaN where there is none.
    """

    names: Sequence[str]
    values: Matrix
    means: Numbers
    halves: Numbers


def draw_cells(
    charts: Mapping[str, Mapping[str, CellGroup]],
    cells: Sequence[str],
    *,
    unit: str,
    title: str,
    alt: str,
    joined: int = 0,
) -> svg.Figure:
    """Return a chart for each title, all on one scale, with the subjects by group.

    Parameters
    ----------
    charts : dict of str to dict of str to CellGroup
    cells : sequence of str
        Names of the conditions.
    joined : int
        How many conditions one after the other a line joins; 0 for all.
    """
    width, in_row = (NARROW, IN_ROW) if len(charts) > 1 else (WIDE, 1)
    room = (width - LEFT - RIGHT) / len(cells)
    tilted = max(map(len, cells)) * LETTER > room
    height = TITLE + DEPTH + (TILTED if tilted else BELOW)
    scale = _scale([group for chart in charts.values() for group in chart.values()])
    names = [name for chart in charts.values() for name in chart]
    legend = list(dict.fromkeys(names))
    top = 18.0 + (LEGEND if len(legend) > 1 else 0.0)
    parts = [svg.text(2, 12, title, size=10.5, font_weight="600")]
    if len(legend) > 1:
        parts += _legend(legend)
    for number, (name, chart) in enumerate(charts.items()):
        row, column = divmod(number, in_row)
        body = _chart(name, chart, cells, scale, (width, room, joined or len(cells)), tilted=tilted)
        parts.append(svg.group(body, column * (width + GAP), top + row * (height + 4)))
    n_rows = -(-len(charts) // in_row)
    base = top + n_rows * (height + 4)
    parts.append(svg.text(2, base + 10, unit, size=9.5, fill=svg.FAINT))
    total = min(len(charts), in_row) * (width + GAP) - GAP
    return svg.Figure("".join(parts), total, base + 14, alt, {})


def _scale(groups: Sequence[CellGroup]) -> Scale:
    """Return the places of values, from below the title down."""
    ends = [np.ravel(one) for g in groups for one in (g.values, g.means - g.halves, g.means + g.halves)]
    values = np.concatenate([np.zeros(1), *ends])
    low, high = np.nanmin(values), np.nanmax(values)
    return Scale(float(low), float(high), TITLE + DEPTH, TITLE, pad=0.04 * float(high - low))


def _chart(
    name: str,
    groups: Mapping[str, CellGroup],
    cells: Sequence[str],
    y: Scale,
    layout: tuple[float, float, int],
    *,
    tilted: bool,
) -> str:
    width, step, joined = layout
    parts = [] if not name else [svg.text(LEFT, 12, svg.cut(name, MAX_TITLE), size=10)]
    for tick in round_ticks(y.low, y.high, 4):
        strong = {"stroke": svg.INK, "stroke_width": 0.9} if tick == 0 else {"stroke_width": 0.35}
        parts.append(svg.line(LEFT, y(tick), width - RIGHT, y(tick), **strong))
        parts.append(svg.text(LEFT - 5, y(tick) + 3, short(tick), size=9, anchor="end"))
    at = [LEFT + step * (k + 0.5) for k in range(len(cells))]
    base = TITLE + DEPTH + 12
    for x, cell in zip(at, cells, strict=True):
        place = f"{svg.number(x)} {svg.number(base)}"
        turn = {"anchor": "end", "transform": f"rotate(-40 {place})"} if tilted else {"anchor": "middle"}
        parts.append(svg.text(x, base, svg.cut(cell, MAX_CELL), size=9, **turn))
    for number, group in enumerate(groups.values()):
        shift = (number - (len(groups) - 1) / 2) * min(9.0, step / 4)
        parts.append(_group(group, [x + shift for x in at], y, number, joined))
    return "".join(parts)


def _group(group: CellGroup, at: Sequence[float], y: Scale, number: int, joined: int) -> str:
    colour, dash = SERIES[number % len(SERIES)], DASHES[number % len(DASHES)]
    look: dict[str, svg.Value] = {"stroke": colour, "stroke_dasharray": dash}
    parts = [
        _line(at, [y(v) for v in values], name, joined, stroke_width=0.8, opacity=0.5, **look)
        for name, values in zip(group.names, group.values, strict=True)
    ]
    for x, mean, half in zip(at, group.means, group.halves, strict=True):
        if np.isfinite(half):
            parts.append(svg.line(x, y(mean - half), x, y(mean + half), stroke=colour, stroke_width=2.2))
        if np.isfinite(mean):
            parts.append(_mark(number, x, y(mean)))
    return "".join([*parts, _line(at, [y(v) for v in group.means], "", joined, stroke_width=2, **look)])


def _line(xs: Sequence[float], ys: Sequence[float], name: str, joined: int, **look: svg.Value) -> str:
    title = f"<title>{escape(name)}</title>" if name else ""
    starts = range(0, len(xs), joined)
    path = "".join(svg.polyline(xs[k : k + joined], ys[k : k + joined], **look) for k in starts)
    return svg.tag("g", title + path) if title else path


def _mark(number: int, x: float, y: float) -> str:
    colour, place = SERIES[number % len(SERIES)], f"M{svg.number(x)} {svg.number(y)}"
    if number % len(DASHES) == 0:
        return svg.tag("circle", cx=x, cy=y, r=3.6, fill=colour)
    path = place + ("m0 -4.6l4.4 7.6h-8.8z" if number % len(DASHES) == 1 else "m-3.4 -3.4h6.8v6.8h-6.8z")
    return svg.tag("path", d=path, fill=colour)


def _legend(names: Sequence[str]) -> list[str]:
    parts, at = [], 8.0
    for number, name in enumerate(names):
        words = svg.cut(name, 18)
        dash = DASHES[number % len(DASHES)]
        colour = SERIES[number % len(SERIES)]
        parts.append(svg.line(at, 27, at + 24, 27, stroke=colour, stroke_width=2, stroke_dasharray=dash))
        parts.append(_mark(number, at + 12, 27))
        parts.append(svg.text(at + 30, 30.5, words, size=10))
        at += 30 + LETTER * len(words) + 18
    return parts
