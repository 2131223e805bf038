"""Read masks, maps and headers; every fault names the file."""

import gzip
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bidsapp.errors import EXIT_NO_INPUT, InputError
from bidsapp.inputs.fetched import check_fetched
from bidsapp.records.arrays import Map, Matrix
from bidsapp.records.maps import Geometry

# Affines of one grid written by different programs differ by the rounding of float32 positions, in mm.
AFFINE_TOLERANCE_MM = 1e-3
# Of NIfTI, with what follows it.
HEADER_BYTES = 352
# Nothing is packed to less than this part of its size by deflate.
MOST_COMPRESSED = 1032
READ_FAULTS: tuple[type[Exception], ...] = (
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    OSError,
    EOFError,
)
READ_FAULTS += (zlib.error, ValueError, OverflowError, MemoryError)
# nibabel checks little of AFNI's headers.
HEADER_FAULTS: tuple[type[Exception], ...] = (
    *READ_FAULTS,
    nib.spatialimages.ImageDataError,
    LookupError,
    TypeError,
    AttributeError,
)


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of an image says; ``time_unit`` is "sec", "msec", "usec" or "unknown"."""

    shape: tuple[int, ...]
    affine: Matrix
    time_step: float
    time_unit: str


def read_header(path: Path | str) -> Header:
    """Return the header of an image without reading its data."""
    image = open_image(path)
    zooms = image.header.get_zooms()
    units = getattr(image.header, "get_xyzt_units", lambda: ("unknown", "unknown"))
    try:
        unit = units()[1]
    except KeyError:
        unit = "unknown"
    return Header(
        shape=tuple(map(int, image.shape)),
        affine=_affine_of(image),
        time_step=float(zooms[3]) if len(zooms) > 3 else 0.0,
        time_unit=unit,
    )


def read_mask(path: Path | str) -> Geometry:
    """Return the geometry of a mask image: its points are the voxels that are neither 0 nor NaN.

    Raises
    ------
    InputError
        Unreadable, not a volume, or without any voxel.
    """
    values, affine = read_volume(path)
    mask = np.nan_to_num(values) != 0
    if not mask.any():
        raise InputError(
            f"The mask {path} has no voxel: all its values are zero. Check it, or name another mask."
        )
    return Geometry(mask, affine)


def read_map(path: Path | str, geometry: Geometry) -> Map:
    """Return the values of a map at the points of a geometry, float32, shape (n_points,).

    Raises
    ------
    InputError
        Unreadable, not a volume, or on another grid.
    """
    values, affine = read_volume(path)
    check_grid(path, values.shape, affine, geometry)
    return values[geometry.mask].astype(np.float32, copy=False)


def check_grid(
    path: Path | str,
    shape: Sequence[int],
    affine: ArrayLike,
    geometry: Geometry,
    reference: str = "the other images",
) -> None:
    """Raise InputError where a file is not on the grid of a geometry; the message says how they differ."""
    shape = tuple(shape[:3])
    if shape != geometry.mask.shape:
        theirs, ours = (" x ".join(map(str, item)) for item in (shape, geometry.mask.shape))
        raise InputError(
            f"{path} is on another grid than {reference}: {theirs} voxels instead of {ours}. "
            "Resample it, or choose images of one space and resolution (--space, --res)."
        )
    corners = np.array([[0, 0, 0, 1], [*np.subtract(shape, 1), 1]], float)
    distance = np.abs((corners @ np.asarray(affine).T - corners @ geometry.affine.T)[:, :3]).max()
    if not distance <= AFFINE_TOLERANCE_MM:
        raise InputError(
            f"{path} is on another grid than {reference}: the same number of voxels, but positions differ by "
            f"up to {distance:.3g} mm. Resample it, or choose images of one space and resolution."
        )


def whole_grid(shape: Sequence[int], affine: ArrayLike) -> Geometry:
    """Return the geometry of all voxels of a grid."""
    return Geometry(np.broadcast_to(np.True_, shape[:3]), np.asarray(affine, float))


def intersect_masks(geometries: Sequence[Geometry], paths: Sequence[Path | str]) -> Geometry:
    """Return the geometry of the voxels that all masks share; InputError names one on another grid."""
    first = geometries[0]
    common = first.mask.copy()
    for geometry, path in zip(geometries[1:], paths[1:], strict=True):
        check_grid(path, geometry.mask.shape, geometry.affine, first, reference=str(paths[0]))
        common &= geometry.mask
    if not common.any():
        raise InputError(f"The masks have no voxel in common: {', '.join(map(str, paths))}.")
    return Geometry(common, first.affine)


def open_image(path: Path | str) -> nib.spatialimages.SpatialImage:
    """Return an image whose data are not read yet; InputError names the file."""
    check_fetched(path)
    try:
        image = nib.load(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist (any more).", exit_code=EXIT_NO_INPUT) from error
    except HEADER_FAULTS as error:
        raise InputError(
            f"{path} is not an image, or is truncated or corrupt ({reason_of(error)})."
        ) from error
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise InputError(f"{path} is not a volume.")
    check_claim(path, image)
    return image


def _affine_of(image: nib.spatialimages.SpatialImage) -> Matrix:
    """Return the affine of an image; nibabel turns the axes of AFNI's, which gives zeros a sign."""
    affine = np.asarray(image.affine, np.float64)
    return affine + 0.0 if isinstance(image, nib.brikhead.AFNIImage) else affine


def check_claim(path: Path | str, image: nib.spatialimages.SpatialImage) -> None:
    """Raise InputError where a file cannot hold what its header claims; nothing is allocated for it."""
    shape = tuple(map(int, image.shape))
    if any(size < 1 for size in shape):
        raise InputError(
            f"{path} has a damaged header: a dimension of {min(shape)} voxels. Copy or make it again."
        )
    offset = getattr(image.dataobj, "offset", None)
    # The data may lie in another file than the header (AFNI's .BRIK).
    held = Path(image.file_map["image"].filename or path)
    if offset is None or not held.is_file():
        return
    claimed = int(offset) + math.prod(shape) * image.get_data_dtype().itemsize
    size = held.stat().st_size
    most = size * MOST_COMPRESSED
    # A header alone stands for an image where a dataset is only planned.
    if claimed > most and size > HEADER_BYTES:
        raise InputError(
            f"{path} is truncated or corrupt: its header claims {claimed / 1e9:.3g} GB, and its {size} bytes "
            f"hold at most {most / 1e9:.3g}. Copy or make it again."
        )


def read_volume(path: Path | str, volume: int | None = None) -> tuple[NDArray[np.float32], Matrix]:
    """Return the values of a volume, float32, shape (x, y, z), and its affine; InputError names the file.

    Parameters
    ----------
    path : Path or str
    volume : int, optional
        Which one of the file, from 0; otherwise it must hold a single one.
    """
    image = open_image(path)
    if image.ndim < 3:
        raise InputError(f"{path} is not a volume.")
    n_volumes = math.prod(image.shape[3:])
    if volume is not None:
        return _read_one(path, image, volume), _affine_of(image)
    if n_volumes != 1:
        raise InputError(
            f"{path} holds {n_volumes} volumes where one is needed. Save the one that is meant as a file of "
            "its own."
        )
    try:
        if Path(path).suffix == ".gz" and isinstance(image, nib.filebasedimages.SerializableImage):
            # Unpacked as a whole, the check sum at the end of the file is compared too.
            image = image.from_bytes(gzip.decompress(Path(path).read_bytes()))
        values = np.asarray(image.dataobj, dtype=np.float32)
    except READ_FAULTS as error:
        raise InputError(
            f"{path} is truncated or corrupt ({reason_of(error)}). Copy or make it again."
        ) from error
    return values.reshape(values.shape[:3]), _affine_of(image)


def read_first_volume(path: Path | str) -> NDArray[np.float32]:
    """Return the first volume of a series, float32, shape (x, y, z); InputError names the file."""
    return _read_one(path, open_image(path), 0)


def _read_one(path: Path | str, image: nib.spatialimages.SpatialImage, volume: int) -> NDArray[np.float32]:
    """Return one volume of an open image; the others are not kept in memory."""
    try:
        place = np.unravel_index(volume, image.shape[3:] or (1,), order="F")[: image.ndim - 3]
        return np.array(image.dataobj[(..., *map(int, place))], dtype=np.float32)
    except READ_FAULTS as error:
        raise InputError(f"{path} is truncated or corrupt ({reason_of(error)}). Restore it.") from error


def reason_of(error: BaseException) -> str:
    """Return what a library says of a file that it cannot read, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
