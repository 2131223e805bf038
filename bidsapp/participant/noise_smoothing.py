"""Smoothing of the map of noise coefficients within tissue, and what it leaves of their uncertainty.

Neighbours count by their distance and by how alike their mean intensity is: coefficients of grey matter are
not mixed with those of white matter or of ventricles. The filter is taken apart into levels of the intensity,
each a Gaussian filter of its own, and interpolated between these (Durand & Dorsey 2002, ACM Trans Graph
21:257-266).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from bidsapp.inputs.images.resampling import FWHM_PER_SIGMA
from bidsapp.records.arrays import Labels, Map, Maps, Mask, Matrix, Numbers
from bidsapp.records.maps import Geometry
from bidsapp.stats.noise.models import SMOOTHING_LEVELS

# The levels lie between these quantiles of the mean intensity; voxels one level apart are not mixed.
QUANTILES = 0.02, 0.98
# Independent voxels are as rough as noise of this width (in voxels) that was sampled.
LEAST_WIDTH = 0.94
LARGEST_CORRELATION = 0.99


@dataclass(frozen=True, slots=True, eq=False)
class Smoother:
    """Smooths maps (n_points,) over the voxels that have a value.

    Attributes
    ----------
    share : ndarray, shape (n_points,)
        What is left of the variance of estimated coefficients.
    """

    geometry: Geometry
    sigma: Numbers
    levels: Maps
    share: Map

    def __call__(self, values: Map) -> Map:
        """Return the smoothed map; NaN where no voxel of like intensity is near."""
        known = np.isfinite(values)
        filled = np.where(known, values, 0.0)
        total, weight = np.zeros((2, len(values)))
        for level in self.levels:
            sums, counts = (_blur(self.geometry, level * v, self.sigma) for v in (filled, known))
            there = (level > 0) & (counts > 0)
            total[there] += level[there] * sums[there] / counts[there]
            weight[there] += level[there]
        return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)


def make_smoother(geometry: Geometry, fwhm_mm: float, intensity: Map, widths_mm: Numbers) -> Smoother | None:
    """Return a Smoother; None for 0 mm.

    Parameters
    ----------
    geometry : Geometry
    fwhm_mm : float
    intensity : ndarray, shape (n_points,)
        Mean over time.
    widths_mm : ndarray, shape (3,)
        Full width at half maximum of the noise along each axis, see ``measure_widths``.
    """
    if fwhm_mm <= 0:
        return None
    sigma = fwhm_mm / (FWHM_PER_SIGMA * geometry.voxel_sizes_mm)
    levels = _find_levels(intensity)
    # Of neighbours that are all alike (Worsley et al. 2002, NeuroImage 15:1-15).
    whole = np.prod((1.0 + 2.0 * np.square(fwhm_mm / widths_mm)) ** -0.5)
    fewer = np.zeros(len(intensity))
    for level in levels:
        weight = _blur(geometry, level, sigma)
        squares = _blur(geometry, np.square(level), sigma / np.sqrt(2.0))
        there = (level > 0) & (weight > 0)
        fewer[there] += level[there] * squares[there] / np.square(weight[there])
    return Smoother(geometry, sigma, levels, np.minimum(whole * fewer, 1.0))


def measure_widths(residuals: Matrix, neighbours: Sequence[Labels], sizes_mm: Numbers) -> Numbers:
    """Return the full width at half maximum of noise along each axis in mm, shape (3,).

    Parameters
    ----------
    residuals : ndarray, shape (n_volumes, n_voxels)
    neighbours : list of ndarray of int, shape (n_pairs, 2)
        Pairs of voxels next to each other along each axis.
    sizes_mm : ndarray, shape (3,)
        Of a voxel.
    """
    widths = LEAST_WIDTH * sizes_mm
    deviation = np.sqrt(np.square(residuals).sum(axis=0))
    for axis, pairs in enumerate(neighbours):
        pairs = pairs[(deviation[pairs] > 0).all(axis=1)]
        if len(pairs):
            first, second = (residuals[:, side] / deviation[side] for side in pairs.T)
            correlation = np.clip(np.mean(np.sum(first * second, axis=0)), 0.0, LARGEST_CORRELATION)
            # White noise smoothed by a Gaussian of FWHM w has the correlation exp(-2 log(2) (d / w)^2).
            with np.errstate(divide="ignore"):
                found = sizes_mm[axis] * np.sqrt(2.0 * np.log(2.0) / -np.log(correlation))
            widths[axis] = max(widths[axis], found)
    return widths


def find_pairs(geometry: Geometry, voxels: Labels) -> tuple[Labels, list[Labels]]:
    """Return the voxels with their next neighbours along each axis, and the pairs by place among these."""
    index = np.full(np.add(geometry.mask.shape, 1), -1)
    index[:-1, :-1, :-1][geometry.mask] = np.arange(geometry.n_points)
    places = np.argwhere(geometry.mask)[voxels]
    pairs = [np.stack([voxels, index[tuple((places + step).T)]], axis=1) for step in np.eye(3, dtype=int)]
    pairs = [pair[pair[:, 1] >= 0] for pair in pairs]
    chosen = np.unique(np.concatenate([voxels, *(pair[:, 1] for pair in pairs)]))
    return chosen, [np.searchsorted(chosen, pair) for pair in pairs]


def _blur(geometry: Geometry, values: Map | Mask, sigma: Numbers) -> Map:
    return gaussian_filter(geometry.volume(values.astype(float), fill=0.0), sigma, mode="constant")[
        geometry.mask
    ]


def _find_levels(intensity: Map) -> Maps:
    """Return how much each voxel belongs to each level, shape (n_levels, n_points)."""
    known = np.isfinite(intensity)
    low, high = np.quantile(intensity[known], QUANTILES) if known.any() else (0.0, 0.0)
    share = np.clip((np.where(known, intensity, low) - low) / ((high - low) or 1.0), 0.0, 1.0)
    place = share * (SMOOTHING_LEVELS - 1)
    return np.maximum(1.0 - np.abs(place - np.arange(SMOOTHING_LEVELS)[:, None]), 0.0)
