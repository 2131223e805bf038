"""Charts over time: traces and events."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bidsapp.outputs.saved.participant import EventRecord
from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.report.drawing import svg
from bidsapp.report.drawing.colours import GREYS, code_columns, opaque
from bidsapp.report.drawing.png import PIXELATED, picture
from bidsapp.report.drawing.scale import Scale, round_ticks, short

# Okabe and Ito's colours, told apart with any colour vision; each trace has a name beside it, too.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#7f7f7f", "#e69f00")
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760.0, 46.0, 118.0, 6.0, 26.0
LANE = 17.0
# A row of the design, and the least that a name beside it needs.
ROW, NAMED_ROW, MAX_NAMED = 13.0, 9.0, 120
LONGEST, LETTER = 60, 5.3
# A chart of few points is as wide as a telephone: names stand above it, the axis' name below.
NARROW, NARROW_MARGINS, NAME = 360.0, (12.0, 20.0, 38.0), 104.0


def room_for(names: Iterable[str]) -> float:
    """Return the width to the right of a chart that names need; charts one below the other share one."""
    return max(RIGHT, 14 + LETTER * max((len(svg.cut(name, LONGEST)) for name in names), default=0))


def draw_traces(
    times: Numbers,
    series: Mapping[str, Numbers],
    *,
    alt: str,
    unit: str,
    marks: Sequence[float] = (),
    room: float = RIGHT,
) -> svg.Figure:
    """Return lines over time.

    Parameters
    ----------
    times : ndarray, in seconds
    series : dict of str to ndarray
        NaN is left out.
    alt, unit : str
    marks : sequence of float
        Times shaded from top to bottom (censored volumes).
    room : float
        As from ``room_for``.
    """
    values = np.concatenate([np.asarray(v, float) for v in series.values()])
    values = values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    frame = Frame((times[0], times[-1]), (low, high if high > low else low + 1.0), 110.0, *_beside(room))
    half = (times[1] - times[0]) / 2 if len(times) > 1 else 0.5
    parts = [frame.band(t - half, t + half) for t in marks] + frame.axes("time (s)", unit)
    for i, (name, trace) in enumerate(series.items()):
        colour = SERIES[i % len(SERIES)]
        ys = [frame.y(v) for v in np.asarray(trace, float)]
        parts.append(svg.polyline([frame.x(t) for t in times], ys, stroke=colour, stroke_width=1.1))
        if len(series) > 1:
            parts.append(_legend(frame.end + 10, 14 + 14 * i, colour, name))
    return svg.Figure("".join(parts), frame.width, frame.height, alt, {})


def draw_against_expected(
    places: Numbers,
    expected: Numbers,
    groups: Mapping[str, tuple[Numbers, Numbers]],
    *,
    alt: str,
    names: tuple[str, str],
) -> svg.Figure:
    """Return the curves of groups of voxels on the expected one, each with the band that is chance.

    Parameters
    ----------
    places, expected : ndarray, shape (n_places,)
    groups : dict of str to tuple of ndarray
        The curve, and half the width of its band.
    names : tuple of str
        Of both axes.
    """
    curves = [*(curve for curve, _ in groups.values())]
    curves += [expected + sign * band for _, band in groups.values() for sign in (1, -1)]
    frame = Frame(
        (places[0], places[-1]), (float(np.min(curves)), float(np.max(curves))), 170.0, NARROW, NARROW_MARGINS
    )
    across = [frame.x(place) for place in places]
    bands, lines, legends = [], [], []
    for i, (name, (curve, band)) in enumerate(groups.items()):
        colour = SERIES[i % len(SERIES)]
        edges = [frame.y(v) for v in np.concatenate([expected + band, (expected - band)[::-1]])]
        bands.append(svg.polyline(across + across[::-1], edges, stroke="none", fill=colour, opacity=0.2))
        lines.append(svg.polyline(across, map(frame.y, curve), stroke=colour, stroke_width=1.4))
        legends.append(_legend(LEFT + NAME * i, 12, colour, name))
    middle = svg.polyline(across, map(frame.y, expected), stroke_dasharray="4 3")
    parts = [*bands, middle, *lines, *legends, *frame.axes(*names)]
    return svg.Figure("".join(parts), NARROW, frame.height, alt, {})


def draw_response(
    seconds: Numbers, limits: Matrix, runs: Sequence[Numbers], *, unit: str, points: bool, alt: str
) -> svg.Figure:
    """Return a response over time with its interval.

    Parameters
    ----------
    seconds : ndarray, shape (n_times,)
    limits : ndarray, shape (3, n_times)
        Lower limit, response, upper limit.
    runs : sequence of ndarray, shape (n_times,)
        The same response in each run, as thin lines; one run is the response itself.
    unit, alt : str
    points : bool
        Whether each time was estimated by itself: bars in the place of a band.
    """
    everything = np.concatenate([[0.0], limits.ravel(), *runs])
    everything = everything[np.isfinite(everything)]
    span = float(everything.min()), float(everything.max()) or 1.0
    frame = Frame((min(seconds[0], 0.0), seconds[-1]), span, 190.0, NARROW, NARROW_MARGINS)
    across = [frame.x(time) for time in seconds]
    low, middle, high = ([frame.y(value) for value in row] for row in limits)
    look: dict[str, svg.Value] = {"stroke": SERIES[0], "stroke_width": 1.8}
    parts = [svg.line(LEFT, frame.y(0), frame.end, frame.y(0), stroke=svg.INK, stroke_width=0.6)]
    if points:
        parts += [svg.line(x, a, x, b, **look) for x, a, b in zip(across, low, high, strict=True)]
        parts += [
            svg.tag("circle", cx=x, cy=y, r=2.6, fill=SERIES[0]) for x, y in zip(across, middle, strict=True)
        ]
        look["stroke_width"] = 0.9
    else:
        edges = svg.polyline(
            across + across[::-1], high + low[::-1], stroke="none", fill=SERIES[0], opacity=0.22
        )
        parts.append(edges)
    if len(runs) > 1:
        thin: dict[str, svg.Value] = {"stroke": svg.FAINT, "stroke_width": 0.7}
        parts += [svg.polyline(across, map(frame.y, run), **thin) for run in runs]
    parts.append(svg.polyline(across, middle, **look))
    return svg.Figure(
        "".join([*parts, *frame.axes("time after onset (s)", unit)]), NARROW, frame.height, alt, {}
    )


def draw_carpet(
    places: Numbers, matrix: Matrix, columns: Sequence[str], *, axis: str, alt: str, room: float = RIGHT
) -> svg.Figure:
    """Return the design over time: one row a regressor, each scaled by itself, grey where it is constant.

    Parameters
    ----------
    places : ndarray, shape (n_volumes,)
        Of the volumes on the axis of this name.
    matrix : ndarray, shape (n_volumes, n_columns)
    columns : sequence of str
        Beyond ``MAX_NAMED`` they have no room beside their rows.
    axis, alt : str
    room : float
        As from ``room_for``.
    """
    named = len(columns) <= MAX_NAMED
    row = ROW if len(columns) <= 40 else NAMED_ROW if named else 3.0
    depth = row * len(columns)
    frame = Frame((places[0], places[-1]), (0, 1), depth + TOP + BOTTOM, *_beside(room))
    half = (places[1] - places[0]) / 2 if len(places) > 1 else 0.5
    left, right = frame.x(places[0] - half), frame.x(places[-1] + half)
    pixels = code_columns(matrix, flat=0.5).T
    cells = picture(left, TOP, right - left, depth, pixels, opaque(GREYS), style=PIXELATED)
    parts = [cells, *frame.time_axis(axis)]
    for i, name in enumerate(columns if named else ()):
        words = svg.cut(name, LONGEST)
        parts.append(svg.text(right + 6, TOP + (i + 0.5) * row + 3, words, size=min(9, row - 0.5)))
    return svg.Figure("".join(parts), frame.width, frame.height, alt, {})


def draw_timeline(events: Sequence[EventRecord], end: float, *, alt: str, room: float = RIGHT) -> svg.Figure:
    """Return the events of a run: one lane a condition, a bar from onset over the duration.

    The last lane is of the events without a condition. ``room`` is as from ``room_for``.
    """
    names = sorted({event.trial_type for event in events}, key=lambda name: (name is None, name or ""))
    frame = Frame((0.0, end), (0, 1), LANE * len(names) + TOP + BOTTOM, *_beside(room))
    parts = []
    for i, name in enumerate(names):
        y = TOP + i * LANE
        parts.append(svg.text(frame.end + 6, y + 11, svg.cut(name or "n/a", LONGEST), size=9))
        parts.append(svg.line(LEFT, y + LANE - 2, frame.end, y + LANE - 2, stroke_width=0.4))
        bars = [_bar(frame, y, event) for event in events if event.trial_type == name]
        parts.append(svg.tag("path", d="".join(bars), fill=SERIES[i % len(SERIES)], opacity=0.85))
    return svg.Figure("".join(parts + frame.time_axis("time (s)")), frame.width, frame.height, alt, {})


def _beside(room: float) -> tuple[float, tuple[float, float, float]]:
    """Return width and margins of a chart with so much room for names beside it."""
    return WIDTH - RIGHT + room, (room, TOP, BOTTOM)


def _bar(frame: "Frame", top: float, event: EventRecord) -> str:
    start = frame.x(max(event.onset, 0.0))
    width = svg.number(max(frame.x(event.onset + (event.duration or 0)) - start, 1.4))
    return f"M{svg.number(start)} {svg.number(top)}h{width}v{svg.number(LANE - 4)}h-{width}z"


class Frame:
    """Maps data to places of a chart and draws its axes; ``margins`` are right, above and below."""

    def __init__(
        self,
        across: tuple[float, float],
        up: tuple[float, float],
        height: float,
        width: float = WIDTH,
        margins: tuple[float, float, float] = (RIGHT, TOP, BOTTOM),
    ) -> None:
        pad = 0.04 * (up[1] - up[0])
        self.low, self.high = up[0] - pad, up[1] + pad
        right, self.top, below = margins
        self.width, self.end = width, width - right
        self.height, self.depth = height, height - below - self.top
        self.x = Scale(*across, LEFT, self.end)

    def y(self, value: float) -> float:
        """Return the place of a value on the vertical axis."""
        return self.top + self.depth * (self.high - value) / (self.high - self.low)

    def band(self, start: float, end: float) -> str:
        """Return a shaded stretch."""
        width = max(self.x(end) - self.x(start), 1.5)
        return svg.rectangle(self.x(start), self.top, width, self.depth, fill="#d55e00", opacity=0.28)

    def axes(self, across: str, up: str) -> list[str]:
        """Return both axes with ticks and their names."""
        parts = []
        for tick in round_ticks(self.low, self.high, 3):
            parts.append(svg.line(LEFT, self.y(tick), self.end, self.y(tick), stroke_width=0.35))
            parts.append(svg.text(LEFT - 5, self.y(tick) + 3, short(tick), size=9, anchor="end"))
        middle = self.top + self.depth / 2
        turn = f"rotate(-90 10 {svg.number(middle)})"
        parts.append(svg.text(10, middle, up, size=9, anchor="middle", fill=svg.FAINT, transform=turn))
        return parts + self.time_axis(across)

    def time_axis(self, name: str) -> list[str]:
        """Return the horizontal axis with its ticks and name."""
        base = self.top + self.depth
        parts = [svg.line(LEFT, base, self.end, base), *self.x.draw_ticks(8, base, 14)]
        below = self.height - base
        if below > BOTTOM:
            place, down, anchor = (LEFT + self.end) / 2, below - 8, "middle"
        else:
            place, down, anchor = self.end + 14, 14, "start"
        return [*parts, svg.text(place, base + down, name, size=9, anchor=anchor, fill=svg.FAINT)]


def _legend(x: float, y: float, colour: str, name: str) -> str:
    return svg.line(x, y - 3, x + 14, y - 3, stroke=colour, stroke_width=2) + svg.text(
        x + 18, y, name, size=9
    )
