"""Slices through a map, on the anatomy."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from bidsapp.outputs.results import Volume
from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.report.drawing import svg
from bidsapp.report.drawing.background import Background
from bidsapp.report.drawing.colours import SLICES, code_slice, opaque, slice_palette
from bidsapp.report.drawing.glass import upright
from bidsapp.report.drawing.png import picture
from bidsapp.report.drawing.scale import colour_bar

# Axes (across, up) of the sagittal, coronal and axial slice.
PLANES = {"x": (1, 2), "y": (0, 2), "z": (0, 1)}
BAR, GAP = 96.0, 5.0
# Small pictures need no finer pixels.
COARSE_MM = 1.5
BLACK, WHITE = "#000000", "#ffffff"
# SVG, width and height.
Panel: TypeAlias = tuple[str, float, float]


def draw_cut(slicer: "Slicer", position: Sequence[float], *, alt: str) -> svg.Figure:
    """Return the three slices through a position, with a cross hair and the coordinates."""
    panels = [slicer.slice(axis, position[i], cross=position) for i, axis in enumerate("xyz")]
    return _row(panels, alt, slicer)


def draw_thumbnail(slicer: "Slicer", position: Sequence[float], *, alt: str) -> svg.Figure:
    """Return the three slices through a position without words, for a small picture."""
    panels = [slicer.slice(axis, position[i], cross=position, words=False) for i, axis in enumerate("xyz")]
    return _assemble(panels, "", 0.0, alt, None)


def draw_mosaic(slicer: "Slicer", cuts: Sequence[float], *, alt: str) -> svg.Figure:
    """Return axial slices at the given heights in mm."""
    return _row([slicer.slice("z", cut) for cut in cuts], alt, slicer, size=118.0)


class Slicer:
    """Cuts a background and a map alike; prepared once for many slices.

    Parameters
    ----------
    background : Background
    volume : Volume
        What is 0 is not drawn.
    limit : float
        The value of the strongest colour.
    step_mm : float
        The size of a pixel.
    signed : bool
        Whether the colour bar goes below zero.
    """

    def __init__(
        self,
        background: Background,
        volume: Volume,
        *,
        limit: float,
        step_mm: float = 1.0,
        signed: bool = True,
    ) -> None:
        self.values, self.affine = upright(np.nan_to_num(volume.values), volume.affine)
        self.background, self.limit, self.step, self.signed = background, limit, step_mm, signed
        self.palette = slice_palette()

    def slice(
        self, axis: str, at: float, cross: Sequence[float] | None = None, *, words: bool = True
    ) -> Panel:
        """Return a panel (SVG, width, height) of the slice at a position in mm along an axis."""
        across, up = PLANES[axis]
        along = "xyz".index(axis)
        places = self._places(along, at)
        low = places[across][0], places[up][0]
        below = _nearest(self.background.values, self.background.affine, places, along)
        above = _nearest(self.values, self.affine, places, along)
        pixels = code_slice(below, above, self.limit).T[::-1]
        height, width = pixels.shape[0] * self.step, pixels.shape[1] * self.step
        parts = [picture(0, 0, width, height, pixels, self.palette)]
        if cross is not None:
            x, y = cross[across] - low[0], height - (cross[up] - low[1])
            parts += _cross_hair(x, y, width, height)
        # Slices of a mosaic have no cross hair and are shown smaller.
        size = 10 if cross is not None else 15
        if words:
            place = f"{axis} = {at:.0f} mm".replace("-", "−")
            parts.append(svg.text(4, height - 4, place, size=size, fill=WHITE))
        if words and axis != "x":
            parts += [
                svg.text(4, size + 2, "L", size=size, fill=WHITE),
                svg.text(width - size, size + 2, "R", size=size, fill=WHITE),
            ]
        return "".join(parts), width, height

    def _places(self, axis: int, at: float) -> list[Numbers]:
        """Return positions in mm along x, y and z, over the background; one position along the axis."""
        start = self.background.affine[:3, 3]
        end = start + (np.array(self.background.values.shape) - 1) * np.diag(self.background.affine)[:3]
        places = [np.arange(a, b + self.step / 2, self.step) for a, b in zip(start, end, strict=True)]
        places[axis] = np.array([float(at)])
        return places


def _cross_hair(x: float, y: float, width: float, height: float) -> list[str]:
    """Return lines to a position that leave it free."""
    look: dict[str, svg.Value] = {"stroke": "#7ef0c8", "stroke_width": 0.7, "opacity": 0.85}
    ends = [(x, 0, x, y - GAP), (x, y + GAP, x, height), (0, y, x - GAP, y), (x + GAP, y, width, y)]
    return [svg.line(*end, **look) for end in ends]


def draw_map_mosaic(
    volume: Volume, cuts: Sequence[float], *, high: float, colours: Sequence[str], alt: str
) -> svg.Figure:
    """Return axial slices of a map from 0 to ``high`` by itself (tSNR, R squared, ...), on black."""
    values, affine = upright(np.nan_to_num(volume.values), volume.affine)
    palette = opaque(colours)
    palette[0] = (0, 0, 0, 255)
    panels = []
    for cut in cuts:
        k = int(np.clip(np.rint((cut - affine[2, 3]) / affine[2, 2]), 0, values.shape[2] - 1))
        piece = values[:, :, k]
        scaled = np.clip(piece / max(high, 1e-12), 0, 1)
        pixels = np.where(piece != 0, 1 + scaled * 254, 0).round().astype("u1").T[::-1]
        width, height = values.shape[0] * affine[0, 0], values.shape[1] * affine[1, 1]
        words = svg.text(4, height - 4, f"z = {cut:.0f}".replace("-", "−"), size=15, fill=WHITE)
        panels.append((picture(0, 0, width, height, pixels, palette) + words, width, height))
    bar, bar_width = colour_bar(palette, 0.0, high, height=BAR)
    return _assemble(panels, bar, bar_width, alt, 118.0)


def choose_cuts(volume: Volume, n: int) -> list[float]:
    """Return n heights in mm that spread over the brain of a map; fewer where it has fewer slices."""
    values, affine = upright(np.nan_to_num(volume.values), volume.affine)
    filled = np.flatnonzero(np.any(values != 0, axis=(0, 1)))
    if not len(filled):
        return [0.0]
    at = np.linspace(filled[0], filled[-1], n + 2)[1:-1].round()
    return [float(affine[2, 3] + affine[2, 2] * k) for k in dict.fromkeys(at)]


def _nearest(values: Numbers, affine: Matrix, places: Sequence[Numbers], along: int) -> Numbers:
    """Return the values of the nearest voxels at all positions, one along an axis; 0 outside the grid."""
    voxels = [np.floor((p - affine[i, 3]) / affine[i, i] + 0.5).astype(int) for i, p in enumerate(places)]
    inside = [(v >= 0) & (v < n) for v, n in zip(voxels, values.shape, strict=True)]
    chosen = values[np.ix_(*(np.where(ok, v, 0) for v, ok in zip(voxels, inside, strict=True)))]
    x, y, z = inside
    return np.squeeze(np.where(x[:, None, None] & y[:, None] & z, chosen, 0), axis=along)


def _row(panels: Sequence[Panel], alt: str, slicer: "Slicer", size: float | None = None) -> svg.Figure:
    limit = slicer.limit
    bar, width = colour_bar(opaque(SLICES), -limit, limit, height=BAR, signed=slicer.signed)
    return _assemble(panels, bar, width, alt, size)


def _assemble(
    panels: Sequence[Panel], bar: str, bar_width: float, alt: str, size: float | None
) -> svg.Figure:
    """Return panels side by side on black, scaled to one height, with the colour bar."""
    height = size or max(panel[2] for panel in panels)
    body, x = [], 0.0
    for content, wide, tall in panels:
        scale = height / tall if size else 1.0
        y = (height - tall * scale) / 2
        body.append(svg.group(content, x, y, scale))
        x += wide * scale + 2
    ground = svg.rectangle(0, 0, x - 2, height, fill=BLACK, rx=4)
    if not bar:
        return svg.Figure(ground + "".join(body), x - 2, height, alt, {})
    side = svg.group(bar, x + 8, (height - BAR) / 2)
    return svg.Figure(ground + "".join(body) + side, x + bar_width + 10, height, alt, {})
