"""Maps on another grid, and smoothing: both know that voxels without data say nothing.

scipy's filters are imported when needed: a plan, which reads no map, would wait for them.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bidsapp.records.arrays import Labels, Maps, Matrix, Numbers
from bidsapp.records.maps import EffectStack, Geometry

# Where less than this part of a resampled or smoothed value comes from voxels with data, there is none.
MIN_SUPPORT = 0.5
# Full width at half maximum of a normal distribution over its standard deviation.
FWHM_PER_SIGMA = np.sqrt(8.0 * np.log(2.0))


def resample_map(values: Numbers, affine: Matrix, geometry: Geometry) -> NDArray[np.float32]:
    """Return a map on the grid of a geometry, by linear interpolation over the voxels with data.

    Parameters
    ----------
    values : ndarray, shape (x, y, z)
        NaN where there is no data.
    affine : ndarray, shape (4, 4)
    geometry : Geometry
        Its mask plays no part.

    Returns
    -------
    ndarray of float32, of the shape of ``geometry.mask``
        NaN where most of the neighbourhood has no data.
    """
    from scipy import ndimage

    to_voxels = np.linalg.inv(affine) @ geometry.affine
    there = np.isfinite(values)
    total, support = (
        ndimage.affine_transform(
            array, to_voxels[:3, :3], to_voxels[:3, 3], geometry.mask.shape, order=1, mode="constant"
        )
        for array in (np.where(there, values, 0.0).astype(float), there.astype(float))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(support >= MIN_SUPPORT, total / support, np.nan).astype(np.float32)


def resample_labels(labels: Labels, affine: Matrix, geometry: Geometry) -> Labels:
    """Return a label image or mask on the grid of a geometry, by the nearest voxel; 0 outside."""
    from scipy import ndimage

    to_voxels = np.linalg.inv(affine) @ geometry.affine
    return ndimage.affine_transform(
        labels, to_voxels[:3, :3], to_voxels[:3, 3], geometry.mask.shape, order=0, mode="constant"
    )


def smooth_stack(stack: EffectStack, fwhm_mm: float) -> EffectStack:
    """Return the stack with every map smoothed, among the voxels with data.

    Variances are smoothed like the effects: a stand-in for the variance of a smoothed effect, which
    depends on how its noise is correlated and cannot be known from the maps.
    """
    if fwhm_mm <= 0:
        return stack
    sizes = np.linalg.norm(stack.geometry.affine[:3, :3], axis=0)
    sigma = fwhm_mm / FWHM_PER_SIGMA / sizes
    effect = _smooth_rows(stack.effect, stack.geometry, sigma)
    variance = None if stack.variance is None else _smooth_rows(stack.variance, stack.geometry, sigma)
    return replace(stack, effect=effect, variance=variance)


def _smooth_rows(rows: Maps, geometry: Geometry, sigma: Numbers) -> Maps:
    from scipy import ndimage

    smoothed = np.empty_like(rows)
    for index, row in enumerate(rows):
        volume = geometry.volume(row.astype(float))
        there = np.isfinite(volume)
        parts = [
            ndimage.gaussian_filter(array, sigma, mode="constant")
            for array in (np.where(there, volume, 0.0), there.astype(float))
        ]
        # Data only where there was data: smoothing does not make brain.
        smoothed[index] = np.where(there, parts[0] / np.maximum(parts[1], 1e-12), np.nan)[geometry.mask]
    return smoothed
