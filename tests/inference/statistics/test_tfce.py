"""Properties of the exact TFCE integral."""

from types import SimpleNamespace

import numpy as np
import pytest

from bidsapp.inference.statistics.tfce import enhance
from bidsapp.records.maps import Geometry


@pytest.fixture
def space():
    neighbours = Geometry(np.ones((9, 8, 7), bool), np.eye(4)).neighbours(6)
    return SimpleNamespace(two_tailed=True, tfce_steps=0, tfce_neighbours=neighbours, tfce_powers=(0.5, 2.0))


@pytest.mark.parametrize("factor", [0.01, 3.0, 1e4])
def test_a_map_times_a_has_its_enhanced_map_times_a_cubed(factor, space, rng):
    heights = rng.normal(size=9 * 8 * 7)
    expected = factor**3 * enhance(heights, None, space)
    # The integral sums differences of cubes: a low point is exact to the rounding of the high ones.
    rounding = np.finfo(float).eps * np.abs(expected).max()
    np.testing.assert_allclose(enhance(factor * heights, None, space), expected, rtol=1e-12, atol=rounding)


def test_a_single_point_has_a_third_of_its_cube(space):
    heights = np.zeros(9 * 8 * 7)
    heights[100] = -2.0
    expected = np.zeros_like(heights)
    expected[100] = -8.0 / 3.0
    np.testing.assert_allclose(enhance(heights, None, space), expected, rtol=1e-12)
