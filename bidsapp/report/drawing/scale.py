"""Axes: places of values, round ticks, colour bars."""

import math
from dataclasses import dataclass

import numpy as np

from bidsapp.report.drawing import svg
from bidsapp.report.drawing.colours import Bytes
from bidsapp.report.drawing.png import picture


@dataclass(frozen=True, slots=True)
class Scale:
    """Places of values from low to high between two ends of an axis, with room for ``pad`` beyond both."""

    low: float
    high: float
    start: float
    end: float
    pad: float = 0.0

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        span = (self.high - self.low + 2 * self.pad) or 1.0
        return float(self.start + (value - self.low + self.pad) / span * (self.end - self.start))

    def ticks(self, n: int) -> list[float]:
        """Return about n round numbers on the axis."""
        return round_ticks(self.low - self.pad, self.high + self.pad, n)

    def draw_ticks(self, n: int, base: float, down: float) -> list[str]:
        """Return about n ticks below a horizontal axis at ``base``, their numbers so far below it."""
        parts = []
        for tick in self.ticks(n):
            parts.append(svg.line(self(tick), base, self(tick), base + 4))
            parts.append(svg.text(self(tick), base + down, short(tick), size=9, anchor="middle"))
        return parts


def round_ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Return about n round numbers between low and high."""
    if not high > low:
        return [low]
    rough = (high - low) / max(n, 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = min((m * size for m in (1, 2, 2.5, 5, 10) if m * size >= rough * 0.999), default=rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def short(value: float | None) -> str:
    """Return a number as short as a reader needs it; true minus sign."""
    if value is None or value != value:
        return "n/a"
    size = abs(value)
    if size and (size < 0.001 or size >= 1e7):
        words = f"{value:.1e}"
    else:
        words = f"{value:.3g}" if size < 1000 else f"{value:.0f}"
    return words.replace("-", "−")


def colour_bar(
    palette: Bytes, low: float, high: float, *, height: float, signed: bool = True
) -> tuple[str, float]:
    """Return a vertical colour bar with its numbers, and its width. Signs are written out.

    Not ``signed``: only the upper half of a palette that runs from -high to high.
    """
    low = low if signed else 0.0
    coded = np.arange(255, -1 if signed else 127, -1).astype("u1")
    parts = [
        picture(0, 0, 7, height, coded[:, None], palette),
        svg.rectangle(0, 0, 7, height, fill="none", stroke=svg.FAINT, stroke_width=0.5),
    ]
    ticks = [low, 0.0, high] if low < 0 < high else [low, high]
    for tick in ticks:
        y = height * (high - tick) / (high - low)
        sign = "+" if tick > 0 and low < 0 else ""
        parts.append(svg.text(10, y + 3, sign + short(tick), size=9))
    return "".join(parts), 58.0
