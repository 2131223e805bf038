"""The cortex of the linked view: both inflated hemispheres, and the voxel that each vertex shows."""

import numpy as np

from bidsapp.records.arrays import Labels, Map, Mask
from bidsapp.records.documents import Document
from bidsapp.records.maps import Geometry
from bidsapp.report.drawing.surface import mesh, positions_in_depth
from bidsapp.report.linked.pack import Parts

SIDES = ("left", "right")
# A tenth of the width of a screen's pixel.
POSITION_STEP_MM = 0.05


def pack_cortex(parts: Parts) -> Document:
    """Return positions (side, axis, vertex), triangles (corner, triangle) and the depth of folds.

    Of triangles each number is told as its difference to the one before.
    """
    surfaces = [mesh("infl", side) for side in SIDES]
    positions = np.stack([vertices.T for vertices, _ in surfaces])
    folds = np.stack([mesh("sulc", side)[0] for side in SIDES])
    left, right = (np.diff(faces.T.astype(np.int32), axis=1, prepend=0) for _, faces in surfaces)
    triangles = [left] if np.array_equal(left, right) else [left, right]
    return {
        "positions": parts.add(np.rint(positions / POSITION_STEP_MM).astype(np.int16), POSITION_STEP_MM),
        "triangles": [parts.add(each.astype(np.int16)) for each in triangles],
        "folds": parts.add(np.clip(np.rint(128 + 12 * folds), 0, 255).astype(np.uint8)),
    }


def voxels_of_vertices(geometry: Geometry, values: Map, first: Mask | None) -> Labels:
    """Return the point that each vertex shows, both sides in turn, -1 for none.

    Of the points across the thickness of the cortex that with the value farthest from zero; one that survives
    (``first``) before one that does not.
    """
    index = geometry.volume(np.arange(geometry.n_points), fill=-1)
    inverse = np.linalg.inv(geometry.affine)
    rank = np.abs(np.nan_to_num(values))
    if first is not None:
        rank = rank + np.where(first, 2 * rank.max(initial=0.0) + 1, 0)
    found = []
    for side in SIDES:
        places = positions_in_depth(side)
        voxels = np.rint(places @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
        inside = np.all((voxels >= 0) & (voxels < geometry.mask.shape), axis=-1)
        points = np.where(
            inside, index[tuple(np.moveaxis(np.where(inside[..., None], voxels, 0), -1, 0))], -1
        )
        best = np.where(points >= 0, rank[points], -1).argmax(axis=0)
        found.append(points[best, np.arange(points.shape[1])])
    return np.concatenate(found)
