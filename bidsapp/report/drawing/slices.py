"""Slices through a map, on the anatomy."""

import numpy as np
from scipy.ndimage import map_coordinates

from bidsapp.report.drawing import svg
from bidsapp.report.drawing.colours import code_slice, opaque, signed_slice_palette, slice_palette
from bidsapp.report.drawing.glass import upright
from bidsapp.report.drawing.png import png_address
from bidsapp.report.drawing.scale import colour_bar

# Axes (across, up) of the sagittal, coronal and axial slice.
PLANES = {"x": (1, 2), "y": (0, 2), "z": (0, 1)}
BAR = 96.0
BLACK, WHITE = "#000000", "#ffffff"


def draw_cut(background, volume, position, *, limit, threshold=0.0, alt):
    """Return the three slices through a position, with a cross hair and the coordinates."""
    slicer = Slicer(background, volume, limit, threshold)
    panels = [slicer.slice(axis, position[i], cross=position) for i, axis in enumerate("xyz")]
    return _row(panels, alt, slicer)


def draw_mosaic(background, volume, cuts, *, limit, threshold=0.0, alt):
    """Return axial slices at the given heights in mm."""
    slicer = Slicer(background, volume, limit, threshold)
    return _row([slicer.slice("z", cut) for cut in cuts], alt, slicer, size=118.0)


class Slicer:
    """Cuts a background and a map alike; prepared once for many slices."""

    def __init__(self, background, volume, limit, threshold):
        values, self.affine = upright(np.nan_to_num(volume.values), volume.affine)
        self.values = np.where(np.abs(values) > threshold, values, 0)
        self.background, self.limit, self.threshold = background, limit, threshold
        self.palette = slice_palette()

    def slice(self, axis, at, cross=None):
        """Return a panel (SVG, width, height) of the slice at a position in mm along an axis."""
        across, up = PLANES[axis]
        grid, low, step = self._plane("xyz".index(axis), across, up, at)
        below = _sample(self.background.values, self.background.affine, grid, order=1)
        above = _sample(self.values, self.affine, grid, order=0)
        pixels = code_slice(below, above, self.limit).T[::-1]
        height, width = pixels.shape[0] * step, pixels.shape[1] * step
        parts = [svg.image(0, 0, width, height, png_address(pixels, self.palette))]
        if cross is not None:
            x, y = cross[across] - low[0], height - (cross[up] - low[1])
            hair = {"stroke": "#7ef0c8", "stroke_width": 0.6, "opacity": 0.8}
            parts += [svg.line(x, 0, x, height, **hair), svg.line(0, y, width, y, **hair)]
        words = f"{axis} = {at:.0f} mm".replace("-", "−")
        parts.append(svg.text(4, height - 4, words, size=10, fill=WHITE))
        if axis != "x":
            parts += [
                svg.text(4, 12, "L", size=9, fill=WHITE),
                svg.text(width - 10, 12, "R", size=9, fill=WHITE),
            ]
        return "".join(parts), width, height

    def _plane(self, axis, across, up, at):
        """Return positions (3, n_across, n_up) on a 1 mm grid over the background, its corner and step."""
        start = self.background.affine[:3, 3]
        extent = (np.array(self.background.values.shape) - 1) * np.diag(self.background.affine)[:3]
        step = 1.0
        lines = [np.arange(start[i], start[i] + extent[i] + step / 2, step) for i in (across, up)]
        grid = np.empty((3, len(lines[0]), len(lines[1])))
        grid[across], grid[up], grid[axis] = lines[0][:, None], lines[1][None, :], at
        return grid, (lines[0][0], lines[1][0]), step


def draw_map_mosaic(volume, cuts, *, low, high, colours, alt):
    """Return axial slices of a map of model fit by itself (tSNR, R squared, ...), on black."""
    values, affine = upright(np.nan_to_num(volume.values), volume.affine)
    palette = opaque(colours)
    palette[0] = (0, 0, 0, 255)
    panels = []
    for cut in cuts:
        k = int(np.clip(np.rint((cut - affine[2, 3]) / affine[2, 2]), 0, values.shape[2] - 1))
        piece = values[:, :, k]
        scaled = np.clip((piece - low) / max(high - low, 1e-12), 0, 1)
        pixels = np.where(piece != 0, 1 + scaled * 254, 0).round().astype("u1").T[::-1]
        width, height = values.shape[0] * affine[0, 0], values.shape[1] * affine[1, 1]
        words = svg.text(4, height - 4, f"z = {cut:.0f}".replace("-", "−"), size=11, fill=WHITE)
        panels.append((svg.image(0, 0, width, height, png_address(pixels, palette)) + words, width, height))
    bar, bar_width = colour_bar(palette, low, high, height=BAR)
    return _assemble(panels, bar, bar_width, alt, 118.0)


def choose_cuts(volume, n):
    """Return n heights in mm that spread over the brain of a map."""
    values, affine = upright(np.nan_to_num(volume.values), volume.affine)
    filled = np.flatnonzero(np.any(values != 0, axis=(0, 1)))
    if not len(filled):
        return [0.0] * n
    at = np.linspace(filled[0], filled[-1], n + 2)[1:-1].round()
    return [float(affine[2, 3] + affine[2, 2] * k) for k in at]


def _sample(values, affine, grid, order):
    voxels = (grid - affine[:3, 3][:, None, None]) / np.diag(affine)[:3][:, None, None]
    return map_coordinates(values, voxels, order=order, mode="constant", cval=0.0)


def _row(panels, alt, slicer, size=None):
    bar, width = colour_bar(
        signed_slice_palette(), -slicer.limit, slicer.limit, height=BAR, hide=slicer.threshold
    )
    return _assemble(panels, bar, width, alt, size)


def _assemble(panels, bar, bar_width, alt, size):
    """Return panels side by side on black, scaled to one height, with the colour bar."""
    height = size or max(panel[2] for panel in panels)
    body, x = [], 0.0
    for content, wide, tall in panels:
        scale = height / tall if size else 1.0
        y = (height - tall * scale) / 2
        body.append(svg.group(content, x, y, scale))
        x += wide * scale + 2
    ground = svg.rectangle(0, 0, x - 2, height, fill=BLACK, rx=4)
    side = svg.group(bar, x + 8, (height - BAR) / 2)
    return svg.Figure(ground + "".join(body) + side, x + bar_width + 10, height, alt, {})
