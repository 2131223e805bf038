"""The voxels that a user restricts a group analysis to."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from bidsapp.errors import EXIT_NO_INPUT, InputError, did_you_mean
from bidsapp.inputs.fetched import check_fetched
from bidsapp.inputs.images.read import check_grid, read_volume
from bidsapp.inputs.images.resampling import resample_labels, resample_map
from bidsapp.records.arrays import Mask
from bidsapp.records.maps import EffectStack, Geometry

GREY_MATTER = "grey-matter"
# Probability of nilearn's MNI152 grey-matter template above which a voxel is grey matter; SPM's usual 0.2.
GREY_THRESHOLD = 0.2


def restrict_stack(stack: EffectStack, spec: Path | str | None, *, resample: bool = False) -> EffectStack:
    """Return the stack of the voxels inside a mask; ``spec`` is a path, ``grey-matter``, or None for all.

    Raises
    ------
    InputError
        The image is unreadable, on another grid and may not be resampled, or leaves no voxel.
    """
    if spec is None:
        return stack
    inside = _read_mask(spec, stack.geometry, resample)[stack.geometry.mask]
    if not inside.any():
        raise InputError(f"--mask {spec}: none of its voxels has data. Choose another mask.")
    mask = stack.geometry.mask.copy()
    mask[stack.geometry.mask] = inside
    return replace(
        stack,
        geometry=Geometry(mask, stack.geometry.affine),
        effect=stack.effect[:, inside],
        variance=None if stack.variance is None else stack.variance[:, inside],
    )


def check_mask(spec: Path | str, grids: Iterable[Geometry], *, resample: bool = False) -> None:
    """Raise InputError where a mask cannot be used on the grids of some maps, which need not be read."""
    check_fetched(spec)
    if not Path(spec).is_file():
        hint = did_you_mean(spec, [GREY_MATTER])
        raise InputError(f"--mask: there is no file {spec}. {hint}".rstrip(), exit_code=EXIT_NO_INPUT)
    if not all(_read_mask(spec, grid, resample).any() for grid in grids):
        raise InputError(f"--mask {spec}: none of its voxels lies in the maps. Choose another mask.")


def _read_mask(spec: Path | str, geometry: Geometry, resample: bool) -> Mask:
    if str(spec) == GREY_MATTER:
        return _read_grey_matter(geometry)
    values, affine = read_volume(spec)
    inside: Mask = np.isfinite(values) & (values != 0)
    if resample:
        return resample_labels(inside.astype(np.uint8), affine, geometry).astype(bool)
    check_grid(spec, inside.shape, affine, geometry, reference="the maps (or give --resample)")
    return inside


def _read_grey_matter(geometry: Geometry) -> Mask:
    from nilearn.datasets import load_mni152_gm_template

    image = load_mni152_gm_template(resolution=2)
    values = resample_map(np.asarray(image.dataobj, np.float32), image.affine, geometry)
    inside: Mask = np.nan_to_num(values) > GREY_THRESHOLD
    return inside
