import numpy as np
import pytest

from bidsapp.inputs.images.resampling import resample_labels, resample_map, smooth_stack
from bidsapp.records.maps import EffectStack, Geometry

FINE = np.diag([2.0, 2.0, 2.0, 1.0])
COARSE = np.diag([4.0, 4.0, 4.0, 1.0])


def grid(shape, affine):
    return Geometry(np.ones(shape, bool), affine)


def ramp(shape, affine):
    """Return a map that is linear in x, y and z (mm)."""
    places = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    return (places @ [1.0, -0.5, 0.25]).astype(np.float32)


def test_a_linear_map_is_resampled_exactly():
    found = resample_map(ramp((12, 12, 12), FINE), FINE, grid((5, 5, 5), COARSE))
    np.testing.assert_allclose(found, ramp((5, 5, 5), COARSE), rtol=1e-5, atol=1e-5)


def test_the_same_grid_changes_nothing():
    values = ramp((4, 5, 6), FINE)
    np.testing.assert_allclose(resample_map(values, FINE, grid((4, 5, 6), FINE)), values, rtol=1e-6)


def test_voxels_without_data_do_not_bleed_zeros():
    values = np.full((12, 12, 12), 3.0, np.float32)
    values[:6] = np.nan
    found = resample_map(values, FINE, grid((5, 5, 5), COARSE))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[np.isfinite(found)], 3.0)


def test_outside_the_image_is_no_data():
    found = resample_map(np.ones((3, 3, 3), np.float32), FINE, grid((5, 5, 5), COARSE))
    assert np.isnan(found[3:]).all()


def test_labels_keep_their_values():
    labels = np.zeros((12, 12, 12), np.int16)
    labels[:, :6], labels[:, 6:] = 7, 12
    assert set(np.unique(resample_labels(labels, FINE, grid((5, 5, 5), COARSE)))) == {7, 12}


@pytest.fixture
def stack(rng):
    mask = np.zeros((9, 9, 9), bool)
    mask[1:8, 1:8, 1:8] = True
    effect = rng.normal(size=(2, mask.sum())).astype(np.float32)
    return EffectStack(("a", "b"), Geometry(mask, FINE), effect, None, np.full(2, np.nan))


def test_smoothing_keeps_a_constant_map_up_to_the_edge_of_the_mask(stack):
    effect = np.full_like(stack.effect, 2.5)
    constant = EffectStack(stack.labels, stack.geometry, effect, effect, stack.dof)
    smoothed = smooth_stack(constant, 6.0)
    np.testing.assert_allclose(smoothed.effect, 2.5, rtol=1e-5)
    np.testing.assert_allclose(smoothed.variance, 2.5, rtol=1e-5)


def test_smoothing_takes_no_data_from_missing_voxels(stack):
    stack.effect[0, 5] = np.nan
    smoothed = smooth_stack(stack, 4.0)
    assert np.flatnonzero(np.isnan(smoothed.effect[0])).tolist() == [5]


def test_smoothing_has_the_width_asked_for():
    mask = np.ones((31, 31, 31), bool)
    effect = np.zeros((1, mask.size), np.float32)
    effect[0, mask.size // 2] = 1.0
    stack = EffectStack(("a",), Geometry(mask, FINE), effect, None, np.full(1, np.nan))
    profile = smooth_stack(stack, 8.0).effect.reshape(mask.shape)[:, 15, 15]
    assert profile[15 + 2] / profile[15] == pytest.approx(0.5, rel=1e-3)


def test_no_smoothing_returns_the_stack_itself(stack):
    assert smooth_stack(stack, 0.0) is stack
