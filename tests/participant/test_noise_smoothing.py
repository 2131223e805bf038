"""Noise coefficients smoothed within tissue, and what that leaves of their uncertainty."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bidsapp.participant.noise_smoothing import find_pairs, make_smoother, measure_widths
from bidsapp.records.maps import Geometry

SIDE = 26
WHOLE = Geometry(np.ones((SIDE,) * 3, bool), np.diag([2.0, 2, 3, 1]))
SIZES = np.array([2.0, 2, 3])
FWHM_PER_SIGMA = np.sqrt(8 * np.log(2))


def inner(values, margin=7):
    return values.reshape(WHOLE.mask.shape)[(slice(margin, -margin),) * 3]


def make_noise(rng, n_volumes, fwhm_mm):
    """Return white noise over time, smoothed over space, shape (n_volumes, n_points)."""
    sigma = fwhm_mm / FWHM_PER_SIGMA / SIZES
    noise = rng.normal(size=(n_volumes, *WHOLE.mask.shape))
    return gaussian_filter(noise, (0, *sigma), mode="wrap").reshape(n_volumes, -1)


def test_no_smoothing_is_no_smoother():
    assert make_smoother(WHOLE, 0.0, np.ones(WHOLE.n_points), SIZES) is None


def test_a_constant_map_stays_and_gaps_are_filled(rng):
    mask = np.zeros((6, 6, 6), bool)
    mask[1:5, 1:5, 1:5] = True
    geometry = Geometry(mask, np.diag([2.0, 2, 2, 1]))
    smooth = make_smoother(geometry, 6.0, rng.uniform(900, 1000, 64), np.full(3, 2.0))
    values = np.full(64, 0.3)
    values[10] = np.nan
    np.testing.assert_allclose(smooth(values), 0.3, rtol=1e-12)


def test_the_edge_between_two_tissues_stays(rng):
    """Also where the mean intensity is noisy; a map of one intensity is smoothed over its edge."""
    first = np.zeros(WHOLE.mask.shape, bool)
    first[: SIDE // 2] = True
    first = first.ravel()
    truth = np.where(first, 0.2, 0.8)
    intensity = np.where(first, 900.0, 600.0) + rng.normal(size=len(first)) * 20
    values = truth + rng.normal(size=len(first)) * 0.1
    kept = make_smoother(WHOLE, 8.0, intensity, SIZES)(values)
    lost = make_smoother(WHOLE, 8.0, np.ones(len(first)), SIZES)(values)
    error = [np.abs(inner(found - truth)).max() for found in (kept, lost)]
    assert error[0] < 0.12 < 0.2 < error[1]


@pytest.mark.parametrize("fwhm_mm", [5.0, 7.0, 12.0])
def test_the_smoothness_of_noise_is_measured(rng, fwhm_mm):
    voxels = np.sort(rng.choice(WHOLE.n_points, 400, replace=False))
    chosen, pairs = find_pairs(WHOLE, voxels)
    widths = measure_widths(make_noise(rng, 60, fwhm_mm)[:, chosen], pairs, SIZES)
    np.testing.assert_allclose(widths, fwhm_mm, rtol=0.1)


def test_independent_voxels_have_the_width_of_a_voxel(rng):
    chosen, pairs = find_pairs(WHOLE, np.arange(0, WHOLE.n_points, 40))
    widths = measure_widths(rng.normal(size=(50, len(chosen))), pairs, SIZES)
    assert (widths < 1.0 * SIZES).all()


@pytest.mark.parametrize(("fwhm_mm", "noise_mm"), [(6.0, 6.0), (9.0, 6.0), (8.0, 0.0)])
def test_share_is_what_smoothing_leaves_of_the_variance_of_an_autocorrelation(rng, fwhm_mm, noise_mm):
    noise = make_noise(rng, 120, noise_mm) if noise_mm else rng.normal(size=(120, WHOLE.n_points))
    chosen, pairs = find_pairs(WHOLE, np.arange(0, WHOLE.n_points, 20))
    widths = measure_widths(noise[:, chosen], pairs, SIZES)
    smooth = make_smoother(WHOLE, fwhm_mm, np.ones(WHOLE.n_points), widths)
    # Of white noise every lag is an estimate of its own.
    lags = [np.sum(noise[k:] * noise[:-k], axis=0) for k in range(1, 25)]
    before, after = (np.mean([np.square(inner(f(lag))).mean() for lag in lags]) for f in (np.array, smooth))
    assert np.mean(inner(smooth.share)) == pytest.approx(after / before, rel=0.2)
    assert smooth.share.max() <= 1.0
    assert smooth.share[0] > 2 * np.mean(inner(smooth.share))


def test_voxels_of_rare_intensity_keep_more_of_their_uncertainty(rng):
    intensity = rng.normal(size=WHOLE.n_points) * 5 + 600
    rare = rng.random(WHOLE.n_points) < 0.05
    intensity[rare] += 300
    share = make_smoother(WHOLE, 8.0, intensity, SIZES).share
    assert np.median(share[rare]) > 2 * np.median(share[~rare])


def test_pairs_lie_next_to_each_other_in_any_mask(rng):
    geometry = Geometry(rng.random((7, 8, 9)) < 0.5, np.eye(4))
    chosen, pairs = find_pairs(geometry, np.arange(0, geometry.n_points, 3))
    places = np.argwhere(geometry.mask)[chosen]
    for axis, pair in enumerate(pairs):
        steps = places[pair[:, 1]] - places[pair[:, 0]]
        np.testing.assert_array_equal(steps, np.tile(np.eye(3, dtype=int)[axis], (len(pair), 1)))
