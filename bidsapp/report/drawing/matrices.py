"""Matrices as pictures: designs, contrasts, correlations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bidsapp.records.arrays import Mask, Matrix, Numbers
from bidsapp.report.drawing import svg
from bidsapp.report.drawing.colours import DIVERGING, GREYS, Bytes, code_columns, code_signed, opaque
from bidsapp.report.drawing.png import PIXELATED, picture
from bidsapp.report.drawing.scale import colour_bar, short

# Of a cell, and the width of one with a number; longer names would take more room than the matrix.
CELL, NUMBERED, MAX_NAME = 16.0, 24.0, 34
# More columns than this leave no room for numbers in the cells.
MAX_NUMBERED = 40
# Of bars: the width of all together, the height of a line of them, what is between lines.
WEIGHTS_WIDTH, BARS, BETWEEN = 330.0, 36.0, 10.0
POSITIVE_INK, NEGATIVE_INK = "var(--positive,#b8470a)", "var(--negative,#1f63b0)"


def draw_design(
    matrix: Matrix, columns: Sequence[str], *, alt: str, rows: Sequence[str] = (), height: float | None = None
) -> svg.Figure:
    """Return a design matrix: each column scaled by itself, dark is low and light is high."""
    tall = height or min(max(len(matrix) * 1.2, 120), 360)
    grid = _Grid(tuple(columns), tuple(rows), CELL, tall / len(matrix))
    return grid.draw(code_columns(matrix, flat=1.0), opaque(GREYS), len(matrix), alt)


def draw_contrasts(weights: Matrix, columns: Sequence[str], names: Sequence[str], *, alt: str) -> svg.Figure:
    """Return contrasts as rows of weights over the columns of a design."""
    limit = _largest(weights)
    is_numbered = len(columns) <= MAX_NUMBERED
    grid = _Grid(tuple(columns), tuple(names), NUMBERED if is_numbered else CELL, CELL)
    numbers = grid.numbers(weights, limit) if is_numbered else ""
    return grid.draw(code_signed(weights, limit), opaque(DIVERGING), len(names), alt, numbers)


def draw_correlations(matrix: Matrix, columns: Sequence[str], *, alt: str) -> svg.Figure:
    """Return correlations of regressors, with a colour bar from -1 to 1."""
    grid = _Grid(tuple(columns), tuple(columns), 11.0, 11.0)
    palette = opaque(DIVERGING)
    bar, width = colour_bar(palette, -1, 1, height=min(11.0 * len(matrix), 120))
    beside = svg.group(bar, grid.left + 11.0 * len(matrix) + 10, grid.top)
    figure = grid.draw(code_signed(matrix, 1.0), palette, len(matrix), alt, beside)
    return svg.Figure(figure.body, figure.width + width, figure.height, alt, {})


@dataclass(frozen=True)
class _Grid:
    """The frame of a matrix: names above the columns and before the rows, and the size of a cell."""

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    wide: float
    tall: float

    @property
    def left(self) -> float:
        return max((len(svg.cut(row, MAX_NAME)) for row in self.rows), default=0) * 5.4 + 6

    @property
    def top(self) -> float:
        return max((len(svg.cut(c, MAX_NAME)) for c in self.columns), default=0) * 4.4 + 12

    def draw(self, pixels: Bytes, palette: Bytes, n_rows: int, alt: str, more: str = "") -> svg.Figure:
        wide, tall = len(self.columns) * self.wide, n_rows * self.tall
        cells = picture(self.left, self.top, wide, tall, pixels, palette, style=PIXELATED)
        frame = svg.rectangle(
            self.left, self.top, wide, tall, fill="none", stroke=svg.FAINT, stroke_width=0.6
        )
        # The last names lean out to the right.
        slant = max((len(svg.cut(c, MAX_NAME)) for c in self.columns[-3:]), default=0) * 2.7 + 8
        body = cells + frame + self._names() + more
        return svg.Figure(body, self.left + wide + slant, self.top + tall + 4, alt, {})

    def numbers(self, weights: Matrix, limit: float) -> str:
        parts = []
        for i, j in np.argwhere(weights != 0):
            ink = "#101820" if abs(weights[i, j]) < 0.7 * limit else "#ffffff"
            x, y = self.left + (j + 0.5) * self.wide, self.top + (i + 0.5) * self.tall + 3.2
            parts.append(svg.text(x, y, _weight(weights[i, j]), size=9, anchor="middle", fill=ink))
        return "".join(parts)

    def _names(self) -> str:
        parts, y = [], self.top - 4
        for i, name in enumerate(self.columns):
            x = self.left + (i + 0.5) * self.wide + 3
            turn = f"rotate(-60 {svg.number(x)} {svg.number(y)})"
            parts.append(svg.text(x, y, svg.cut(name, MAX_NAME), size=9, transform=turn))
        for i, name in enumerate(self.rows if self.tall >= 8 else ()):
            y = self.top + (i + 0.5) * self.tall + 3
            parts.append(svg.text(self.left - 5, y, svg.cut(name, MAX_NAME), size=9, anchor="end"))
        return "".join(parts)


def _weight(value: float) -> str:
    """Return a weight that fits into a cell: two decimals, no zero before the point."""
    return short(round(float(value), 2)).replace("0.", ".") if 0 < abs(value) < 1 else short(value)


def draw_weights(
    weights: Matrix, columns: Sequence[str], *, alt: str, matrix: Matrix | None = None
) -> svg.Figure:
    """Return weights as bars, a line of them for each row, above the columns of the design that they weigh.

    Parameters
    ----------
    weights : ndarray, shape (n_rows, n_columns)
    columns : sequence of str
    matrix : ndarray, shape (n, n_columns), optional
        The design, drawn below the bars as by `draw_design`.
    """
    wide = float(np.clip(WEIGHTS_WIDTH / max(len(columns), 1), 7.0, 64.0))
    lines = (BARS + BETWEEN) * np.arange(len(weights))
    body = "".join(
        _bars(row, wide, top + BARS / 2) for row, top in zip(weights / _largest(weights), lines, strict=True)
    )
    for i, j in np.argwhere(weights != 0):
        words, y = _weight(float(weights[i, j])), lines[i] + (0.9 if weights[i, j] > 0 else 0.3) * BARS
        if len(words) * 5.0 <= wide:
            body += svg.text((j + 0.5) * wide, y, words, size=9, anchor="middle")
    width, bottom = wide * len(columns), float(lines[-1]) + BARS
    if matrix is not None:
        tall = min(max(len(matrix) * 3.0, 60), 180)
        body += picture(
            0, bottom + 4, width, tall, code_columns(matrix, flat=0.7), opaque(GREYS), style=PIXELATED
        )
        body += svg.rectangle(0, bottom + 4, width, tall, fill="none", stroke=svg.FAINT, stroke_width=0.6)
        bottom += tall + 4
    names, reach, depth = _names_below(columns, wide, bottom + 12, shown=np.any(weights != 0, axis=0))
    return svg.Figure(body + names, max(width, reach), bottom + depth, alt, {})


def _bars(row: Numbers, wide: float, base: float) -> str:
    """Return a line of bars on their base, upwards for positive weights."""
    parts = [svg.line(0, base, wide * len(row), base, stroke_width=0.6)]
    for j, share in enumerate(row):
        if share:
            tall = abs(share) * BARS * 0.4
            ink = POSITIVE_INK if share > 0 else NEGATIVE_INK
            top = base - tall if share > 0 else base
            parts.append(svg.rectangle((j + 0.2) * wide, top, 0.6 * wide, tall, fill=ink))
    return "".join(parts)


def _names_below(columns: Sequence[str], wide: float, y: float, *, shown: Mask) -> tuple[str, float, float]:
    """Return names below columns, how far they reach to the right, and their depth.

    Flat where all of them have room, else slanted; where columns are too narrow only those ``shown``.
    """
    cut = [svg.cut(name, MAX_NAME) for name in columns]
    if all(len(name) * 5.2 < wide for name in cut):
        texts = [svg.text((j + 0.5) * wide, y, name, size=9, anchor="middle") for j, name in enumerate(cut)]
        return "".join(texts), 0.0, 18.0
    named = [(j, name) for j, name in enumerate(cut) if wide >= 11 or shown[j]]
    texts = []
    for j, name in named:
        x = (j + 0.5) * wide - 3
        turn = f"rotate(45 {svg.number(x)} {svg.number(y - 4)})"
        texts.append(svg.text(x, y - 2, name, size=9, transform=turn))
    reach = max(((j + 0.5) * wide + len(name) * 3.8 for j, name in named), default=0.0)
    return "".join(texts), reach, max((len(name) * 3.8 for _, name in named), default=0.0) + 18.0


def _largest(weights: Matrix) -> float:
    return float(np.abs(weights).max(initial=0)) or 1.0
