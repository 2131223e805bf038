"""Writers of NIfTI images."""

import gzip
from collections.abc import Iterable
from pathlib import Path

import nibabel
import numpy as np

from bidsapp.names import sidecar_path
from bidsapp.outputs.files import replacing, write_json
from bidsapp.records.arrays import Labels, Map, Maps, Matrix
from bidsapp.records.maps import Geometry

MNI_SPACES = ("MNI152", "MNI305", "MNIPediatric", "MNIInfant", "MNIColin")


def write_map(path: Path, values: Map, geometry: Geometry, *, space: str | None = None) -> None:
    """Write a map (n_points,) as float32 NIfTI, NaN outside the mask."""
    _write_volume(path, geometry.volume(np.asarray(values, np.float32)), geometry, space)


def write_series(
    path: Path,
    blocks: Iterable[Maps],
    geometry: Geometry,
    *,
    n_volumes: int,
    repetition_time: float,
    space: str | None = None,
) -> None:
    """Write a series that comes in blocks (n_volumes_in_block, n_points) as float32 NIfTI.

    NaN outside the mask. Volumes are packed as they come, so that the series is never held; the same
    values give the same bytes.
    """
    image = nibabel.Nifti1Image(np.zeros((1, 1, 1, 1), np.float32), geometry.affine)
    header = image.header
    header.set_data_shape((*geometry.mask.shape, n_volumes))
    header.set_zooms((*header.get_zooms()[:3], repetition_time))
    header.set_xyzt_units("mm", "sec")
    header.set_sform(geometry.affine, _space_code(space))
    header.set_qform(geometry.affine, _space_code(space))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    with (
        replacing(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as file,
    ):
        file.write(header.binaryblock + bytes(4))
        for block in blocks:
            for values in np.asarray(block, np.float32):
                file.write(geometry.volume(values).tobytes("F"))


def write_mask(path: Path, geometry: Geometry, *, space: str | None = None, description: str = "") -> None:
    """Write the mask of a geometry as uint8 NIfTI, and its sidecar."""
    _write_volume(path, geometry.mask.astype(np.uint8), geometry, space)
    said = {"Description": description} if description else {}
    write_json(Path(sidecar_path(str(path))), {"Type": "Brain"} | said)


def write_labels(path: Path, labels: Labels, geometry: Geometry, *, space: str | None = None) -> None:
    """Write integer labels (n_points,) as int16 or int32 NIfTI, 0 outside the mask."""
    labels = np.asarray(labels)
    dtype = np.int16 if labels.max(initial=0) < np.iinfo(np.int16).max else np.int32
    _write_volume(path, geometry.volume(labels.astype(dtype), fill=0).astype(dtype), geometry, space)


def pack_volume(volume: np.ndarray, affine: Matrix, *, space: str | None = None) -> bytes:
    """Return a volume as the content of a packed NIfTI file; the same values give the same bytes."""
    return gzip.compress(_make_image(volume, affine, space).to_bytes(), mtime=0)


def _write_volume(path: Path, volume: np.ndarray, geometry: Geometry, space: str | None) -> None:
    image = _make_image(volume, geometry.affine, space)
    with replacing(path) as temporary:
        nibabel.save(image, temporary)


def _make_image(volume: np.ndarray, affine: Matrix, space: str | None) -> nibabel.Nifti1Image:
    image = nibabel.Nifti1Image(volume, affine)
    code = _space_code(space)
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    image.header.set_xyzt_units("mm")
    return image


def _space_code(space: str | None) -> int:
    """Return the NIfTI code of a space: 4 MNI 152, 2 aligned to another image."""
    return 4 if space and space.startswith(MNI_SPACES) else 2
