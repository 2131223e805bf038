"""Maps on the inflated cortex: fsaverage5 as nilearn carries it, seen from four sides.

Which triangle each pixel shows is worked out once; a map then only looks its values up.
"""

import gzip
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import nibabel as nib
import numpy as np
from scipy.ndimage import map_coordinates

from bidsapp.outputs.results import Volume
from bidsapp.records.arrays import Labels, Mask, Matrix, Numbers
from bidsapp.report.drawing import svg
from bidsapp.report.drawing.colours import SLICES, Bytes, code_slice, opaque, slice_palette
from bidsapp.report.drawing.glass import upright
from bidsapp.report.drawing.png import picture
from bidsapp.report.drawing.scale import colour_bar

# Side of the brain, name, and the direction of the eye: +1 from the right, -1 from the left.
VIEWS = (("left", "outside", -1), ("left", "inside", 1), ("right", "inside", -1), ("right", "outside", 1))
DEPTHS = (0.1, 0.3, 0.5, 0.7, 0.9)
PIXELS_PER_MM, SUBDIVISIONS = 1.6, 8
GAP, BAR = 8.0, 90.0


def draw_surface(volume: Volume, *, limit: float, alt: str, signed: bool = True) -> svg.Figure:
    """Return a map on the cortex: of the values across its thickness the one farthest from zero.

    Parameters
    ----------
    volume : Volume
        In MNI space; 0 is not drawn.
    limit : float
        The value of the strongest colour.
    signed : bool
        Whether the colour bar goes below zero.
    """
    values, affine = upright(np.nan_to_num(volume.values), volume.affine)
    parts, x, height = [], 0.0, max(_view(*view).height for view in VIEWS)
    sampled = {side: _sample(values, affine, side) for side in ("left", "right")}
    for view in VIEWS:
        raster = _view(*view)
        shown = raster.look_up(sampled[view[0]])
        pixels = np.where(raster.seen, code_slice(raster.shade, shown, limit), 0)
        top, size = height - raster.height, (raster.width, raster.height)
        parts.append(picture(x, top, *size, pixels[::-1].astype("u1"), _palette()))
        words = f"{view[0]}, {view[1]}"
        parts.append(
            svg.text(x + raster.width / 2, height + 9, words, size=8, anchor="middle", fill=svg.FAINT)
        )
        x += raster.width + GAP
    bar, width = colour_bar(opaque(SLICES), -limit, limit, height=BAR, signed=signed)
    parts.append(svg.group(bar, x + 4, (height - BAR) / 2))
    return svg.Figure("".join(parts), x + width + 4, height + 13, alt, {})


def _palette() -> Bytes:
    palette = slice_palette()
    palette[0, 3] = 0
    return palette


@dataclass(frozen=True, slots=True, eq=False)
class _Raster:
    """A view of one hemisphere: for each pixel its triangle's corners, their weights and the shade."""

    seen: Mask
    corners: Labels
    weights: Numbers
    shade: Numbers

    @property
    def width(self) -> float:
        return float(self.seen.shape[1] / PIXELS_PER_MM)

    @property
    def height(self) -> float:
        return float(self.seen.shape[0] / PIXELS_PER_MM)

    def look_up(self, values: Numbers) -> Numbers:
        """Return the values of the vertices at every pixel."""
        found: Numbers = (values[self.corners] * self.weights).sum(axis=-1)
        return found


@lru_cache(maxsize=2)
def mesh(name: str, side: str) -> list[np.ndarray]:
    """Return the arrays of a surface: positions and triangles, or one value a vertex ("sulc")."""
    path = files("nilearn").joinpath(f"datasets/data/fsaverage5/{name}_{side}.gii.gz")
    with path.open("rb") as stream:
        image = nib.GiftiImage.from_bytes(gzip.decompress(stream.read()))
    return [array.data for array in image.darrays]


@lru_cache(maxsize=2)
def positions_in_depth(side: str) -> Numbers:
    """Return positions between the white and the pial surface, shape (n_depths, n_vertices, 3)."""
    white, pial = mesh("white", side)[0], mesh("pial", side)[0]
    return np.stack([white + depth * (pial - white) for depth in DEPTHS])


def _sample(values: Numbers, affine: Matrix, side: str) -> Numbers:
    voxels = (positions_in_depth(side) - affine[:3, 3]) / np.diag(affine)[:3]
    sampled = map_coordinates(values, np.moveaxis(voxels, -1, 0), order=0, mode="constant", cval=0.0)
    strongest = np.abs(sampled).argmax(axis=0)
    found: Numbers = sampled[strongest, np.arange(sampled.shape[1])]
    return found


@lru_cache(maxsize=len(VIEWS))
def _view(side: str, name: str, eye: int) -> _Raster:
    """Return the raster of one view. ``eye`` is +1 from the right: anterior is right in the picture."""
    vertices, triangles = mesh("infl", side)
    across, up, depth = eye * vertices[:, 1], vertices[:, 2], eye * vertices[:, 0]
    flat = np.stack([across, up], axis=1)
    origin = flat.min(axis=0)
    size = np.ceil((flat.max(axis=0) - origin) * PIXELS_PER_MM).astype(int) + 1
    weights = _barycentric()
    spots = np.einsum("wk,tkc->twc", weights, flat[triangles])
    cells = ((spots - origin) * PIXELS_PER_MM).astype(int)
    near = np.einsum("wk,tk->tw", weights, depth[triangles]).ravel()
    pixel = (cells[..., 1] * size[0] + cells[..., 0]).ravel()
    # The nearest point of each pixel is written last.
    order = np.argsort(near, kind="stable")
    front = np.full(size[0] * size[1], -1)
    front[pixel[order]] = order
    shape = (size[1], size[0])
    seen = front >= 0
    triangle, which = np.divmod(np.where(seen, front, 0), len(weights))
    corners, share = triangles[triangle].reshape(*shape, 3), weights[which].reshape(*shape, 3)
    fold = mesh("sulc", side)[0]
    shade = 0.7 - 0.28 * np.clip((fold[corners] * share).sum(axis=-1) / 5, -0.7, 1)
    return _Raster(seen.reshape(shape), corners, share, shade)


def _barycentric() -> Matrix:
    """Return weights of points spread evenly over a triangle, shape (n, 3)."""
    n = SUBDIVISIONS
    pairs = [(i, j) for i in range(n + 1) for j in range(n + 1 - i)]
    return np.array([(i / n, j / n, (n - i - j) / n) for i, j in pairs])
