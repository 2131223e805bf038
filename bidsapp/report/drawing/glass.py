"""Glass brains: the strongest value along each line of sight, inside nilearn's brain outlines.

The outline is a symbol that a page holds once; a map adds four small images to it.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bidsapp.outputs.results import Volume
from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.records.documents import Document
from bidsapp.report.drawing import svg
from bidsapp.report.drawing.colours import Bytes, code_signed, glass_palette
from bidsapp.report.drawing.png import picture
from bidsapp.report.drawing.scale import colour_bar

Value = TypeVar("Value", bound=np.generic)
# The four views: nilearn's drawing and its fit to MNI space (nilearn.plotting.glass_brain: scale and shift
# of both axes), the axes shown, and the mm that the view spans.
VIEWS = {
    "l": ("side", (0.38, -108), (0.38, -70), (1, 2)),
    "y": ("back", (0.39, -73), (0.39, -73), (0, 2)),
    "r": ("side", (0.38, -108), (0.38, -70), (1, 2)),
    "z": ("top", (0.36, -71), (0.37, -107), (0, 1)),
}
SPAN = {0: (-76.0, 76.0), 1: (-110.0, 80.0), 2: (-73.0, 84.0)}
# Between views, and for the words below each, in mm as all lengths here.
GAP, LABEL = 6.0, 14.0
TITLES = {"l": "left", "y": "from behind", "r": "right", "z": "from above"}


def draw_glass_brain(
    volume: Volume, *, limit: float, alt: str, faintest: float = 0.0, signed: bool = True
) -> svg.Figure:
    """Return a glass brain with the left, back, right and top views.

    Parameters
    ----------
    volume : Volume
        NaN and 0 are not drawn.
    limit : float
        The value of the strongest colour.
    alt : str
    faintest : float
        The opacity of the weakest values; above 0 for thresholded maps.
    signed : bool
        Whether values may be below zero; decides what the colour bar shows.
    """
    values, affine = upright(np.nan_to_num(volume.values), volume.affine)
    palette = glass_palette(faintest)
    height = SPAN[1][1] - SPAN[1][0] + LABEL
    body, x = [], 0.0
    for view in VIEWS:
        drawing, width = _draw_view(view, values, affine, (limit, palette))
        tall = _extent(view)[1] + LABEL
        body.append(svg.group(drawing, x, (height - tall) / 2))
        x += width + GAP
    bar, bar_width = colour_bar(palette, -limit, limit, height=height * 0.62, signed=signed)
    body.append(svg.group(bar, x + 4, height * 0.19))
    return svg.Figure("".join(body), x + bar_width + 4, height, alt, _symbols())


def upright(values: NDArray[Value], affine: Matrix) -> tuple[NDArray[Value], Matrix]:
    """Return values with axes along x, y, z, all ascending, and the diagonal affine.

    Oblique grids are taken as if along the nearest axes; maps of this app in a standard space never are.
    """
    axes = np.argmax(np.abs(affine[:3, :3]), axis=0)
    values = np.transpose(values, np.argsort(axes))
    steps = affine[:3, :3][axes, range(3)][np.argsort(axes)]
    corner = affine[:3, 3].copy()
    for axis in range(3):
        if steps[axis] < 0:
            values = np.flip(values, axis)
            corner[axis] += steps[axis] * (values.shape[axis] - 1)
    result = np.diag([*np.abs(steps), 1.0])
    result[:3, 3] = corner
    return values, result


def _extent(view: str) -> tuple[float, float]:
    across, up = VIEWS[view][3]
    return SPAN[across][1] - SPAN[across][0], SPAN[up][1] - SPAN[up][0]


def _draw_view(view: str, values: Numbers, affine: Matrix, colours: tuple[float, Bytes]) -> tuple[str, float]:
    """Return one view and its width; y points downwards in SVG."""
    across, up = VIEWS[view][3]
    depth = 3 - across - up
    seen = _half(values, affine, view)
    strongest = _strongest(seen, depth)
    pixels = code_signed(strongest.T[::-1], colours[0])
    step, start = np.diag(affine)[:3], affine[:3, 3]
    left = start[across] - step[across] / 2 - SPAN[across][0]
    top = SPAN[up][1] - (start[up] + step[up] * (values.shape[up] - 0.5))
    wide, tall = step[across] * values.shape[across], step[up] * values.shape[up]
    drawing = picture(left, top, wide, tall, pixels, colours[1])
    width, height = _extent(view)
    drawing += svg.tag("use", href=f"#outline-{VIEWS[view][0]}")
    words = svg.text(width / 2, height + 9, TITLES[view], size=9, anchor="middle", fill=svg.FAINT)
    if view == "l":
        drawing = f'<g transform="translate({svg.number(width)} 0) scale(-1 1)">{drawing}</g>'
    return drawing + words, width


def _half(values: Numbers, affine: Matrix, view: str) -> Numbers:
    """Return the values of the hemisphere that a side view looks at."""
    if view not in "lr":
        return values
    x: Numbers = affine[0, 3] + affine[0, 0] * np.arange(values.shape[0])
    return values[x <= 0] if view == "l" else values[x >= 0]


def _strongest(values: Numbers, axis: int) -> Numbers:
    """Return the value farthest from zero along an axis."""
    if not values.shape[axis]:
        return np.zeros(np.delete(values.shape, axis))
    high: Numbers = values.max(axis=axis)
    low: Numbers = values.min(axis=axis)
    return np.where(high >= -low, high, low)


@lru_cache(maxsize=1)
def _symbols() -> dict[str, str]:
    return {
        f"outline-{name}": _read_outline(name, view)
        for name, view in (("side", "r"), ("back", "y"), ("top", "z"))
    }


def _read_outline(name: str, view: str) -> str:
    """Return nilearn's outline as an SVG symbol in the coordinates of the view."""
    folder = files("nilearn").joinpath("plotting/glass_brain_files")
    content = json.loads(folder.joinpath(f"brain_schematics_{name}.json").read_text(encoding="utf-8"))
    _, (sx, tx), (sy, ty), (across, up) = VIEWS[view]

    def place(point: Sequence[float]) -> str:
        x, y = sx * point[0] + tx - SPAN[across][0], SPAN[up][1] - (sy * point[1] + ty)
        return f"{svg.number(round(x, 1))} {svg.number(round(y, 1))}"

    paths = [_outline_path(path, place) for path in content["paths"]]
    return f'<symbol id="outline-{name}" overflow="visible">{"".join(paths)}</symbol>'


def _outline_path(path: Document, place: Callable[[Sequence[float]], str]) -> str:
    parts, last = [], None
    for item in path["items"]:
        points = [place(point) for point in item["pts"]]
        if points[0] != last:
            parts.append("M" + points[0])
        parts.append(("C" if len(points) == 4 else "Q" if len(points) == 3 else "L") + " ".join(points[1:]))
        last = points[-1]
    # Light lines of the drawing are inner folds: fainter here, too.
    strong = int(path["edgecolor"].lstrip("#")[:2] or "0", 16) < 0x60
    width = 0.28 * float(path["linewidth"])
    return svg.tag(
        "path",
        d="".join(parts),
        fill="none",
        stroke=svg.INK,
        stroke_width=width,
        opacity=0.75 if strong else 0.32,
    )
