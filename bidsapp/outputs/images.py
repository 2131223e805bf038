"""Writers of NIfTI images."""

import nibabel
import numpy as np

from bidsapp.outputs.files import replacing

MNI_SPACES = ("MNI152", "MNI305", "MNIPediatric", "MNIInfant", "MNIColin")


def write_map(path, values, geometry, *, space=None):
    """Write a map (n_points,) as float32 NIfTI, NaN outside the mask."""
    _write_volume(path, geometry.volume(np.asarray(values, np.float32)), geometry, space)


def write_mask(path, geometry, *, space=None):
    """Write the mask of a geometry as uint8 NIfTI."""
    _write_volume(path, geometry.mask.astype(np.uint8), geometry, space)


def write_labels(path, labels, geometry, *, space=None):
    """Write integer labels (n_points,) as int16 or int32 NIfTI, 0 outside the mask."""
    labels = np.asarray(labels)
    dtype = np.int16 if labels.max(initial=0) < np.iinfo(np.int16).max else np.int32
    _write_volume(path, geometry.volume(labels.astype(dtype), fill=0).astype(dtype), geometry, space)


def _write_volume(path, volume, geometry, space):
    image = nibabel.Nifti1Image(volume, geometry.affine)
    code = 4 if space and space.startswith(MNI_SPACES) else 2  # NIfTI codes: 4 MNI 152, 2 aligned to another
    image.set_sform(geometry.affine, code)
    image.set_qform(geometry.affine, code)
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        nibabel.save(image, temporary)
