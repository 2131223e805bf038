"""The mean T1w image of the participants of a group model, which its pages draw maps on."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from bidsapp import names
from bidsapp.errors import InputError
from bidsapp.inputs.dataset.anatomy import find_brain_mask
from bidsapp.inputs.images.read import read_volume, whole_grid
from bidsapp.inputs.images.resampling import resample_map
from bidsapp.outputs.estimates import write_described_map
from bidsapp.outputs.results import read_subject_results
from bidsapp.records.arrays import Map, Matrix, Numbers
from bidsapp.records.maps import Geometry
from bidsapp.records.plan import DatasetModel

logger = logging.getLogger(__name__)
# Pages draw no finer anatomy, and no more images make it smoother to the eye.
GRID_MM, MOST = 2.0, 24
# What the median of each brain is scaled to.
LEVEL = 100


def write_mean_anatomy(model: DatasetModel, roots: Sequence[Path], output_dir: Path) -> str | None:
    """Write the mean T1w image of the participants in a model and return its path.

    Parameters
    ----------
    model : DatasetModel
    roots : sequence of Path
        Folders with the records of the participants, which name the T1w image in the space of their maps.
    output_dir : Path

    Returns
    -------
    str or None
        None where no record names an image that can be read.
    """
    used = {str(entry.key.entity("sub")) for fit in model.fits for entry in fit.inputs}
    try:
        found = _find_images(roots, used, model.entities)
    except InputError as error:
        # A picture behind maps is no reason to lose them.
        logger.warning("no mean T1w image: %s", error)
        return None
    grid, total, n = None, np.zeros(()), 0
    for path in found:
        try:
            values, affine = _read_brain(path)
        except InputError as error:
            logger.warning("left out of the mean T1w image: %s", error)
            continue
        if grid is None:
            grid, total = whole_grid(values.shape, affine), np.zeros(values.shape)
        elif values.shape != total.shape or not np.allclose(affine, grid.affine, atol=1e-3):
            values = np.nan_to_num(resample_map(values, affine, grid))
        total += values
        n += 1
    if grid is None or not total.any():
        return None
    mean = np.rint(total / n)
    geometry, name = Geometry(mean > 0, grid.affine), names.mean_anatomy_path(model.entities, model.node)
    inside: Map = mean[geometry.mask]
    sidecar = {
        "Description": f"Mean T1w image of {n} participants, each with a median of {LEVEL}: to draw on",
        "NumberOfSubjects": n,
        "SpatialReference": model.entities.get("space"),
    }
    write_described_map(output_dir, name, inside, geometry, sidecar)
    return name


def _find_images(roots: Sequence[Path], used: Iterable[str], entities: Mapping[str, str]) -> list[Path]:
    """Return the T1w images of the first participants that have one in the space of a model.

    No more records are read than it takes: there may be many thousands.
    """
    found = (_find_image(roots, label, entities) for label in sorted(used))
    return list(islice(filter(None, found), MOST))


def _find_image(roots: Sequence[Path], label: str, entities: Mapping[str, str]) -> Path | None:
    """Return the T1w image of a participant, of the first folder whose record names one that is there."""
    for root in (each for each in roots if (each / names.record_path(label)).is_file()):
        results = read_subject_results(root, label)
        for run in results.record.runs:
            is_here = run.entities.get("space") == entities.get("space") and results.has(run.anatomy)
            if is_here and "_T1w." in str(run.anatomy):
                return results.folder / str(run.anatomy)
    return None


def _read_brain(path: Path) -> tuple[Numbers, Matrix]:
    """Return the brain of a T1w image with a median of `LEVEL`, 0 around it, on a grid of 2 mm or coarser."""
    values, affine = read_volume(path)
    values = np.nan_to_num(values)
    mask = find_brain_mask(path)
    if mask is not None:
        inside, _ = read_volume(mask)
        if inside.shape == values.shape:
            values = np.where(inside > 0, values, 0)
    known = values[values > 0]
    values = values * (LEVEL / np.median(known) if len(known) else 0.0)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    return _average(values, affine, np.maximum(np.floor(GRID_MM / sizes + 0.01), 1).astype(int))


def _average(values: Numbers, affine: Matrix, step: Numbers) -> tuple[Numbers, Matrix]:
    """Return the means of blocks of ``step`` voxels, and their affine; an incomplete rest is left out."""
    shape = np.array(values.shape) // step
    x, y, z = shape * step
    split = [n for pair in zip(shape, step, strict=True) for n in pair]
    blocks = values[:x, :y, :z].reshape(split).mean(axis=(1, 3, 5))
    coarse = affine.copy()
    coarse[:3, :3] = affine[:3, :3] * step
    coarse[:3, 3] = affine[:3, 3] + affine[:3, :3] @ ((step - 1) / 2)
    return blocks, coarse
