"""Points are counted as they are in the enhanced map."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bidsapp.inference.fast.kernels import enhance_sweep
from bidsapp.inference.fast.sweep import count_enhanced
from bidsapp.records.maps import Geometry


@pytest.mark.parametrize("powers", [(0.5, 2.0), (1.0, 2.0), (0.7, 1.5)])
@pytest.mark.parametrize("width", [0.0, 1.5])
def test_points_are_counted_as_in_the_enhanced_map(powers, width, rng):
    inside = rng.random((14, 15, 16)) < 0.8
    geometry = Geometry(inside, np.eye(4))
    values = gaussian_filter(rng.standard_normal(inside.shape), width)[inside]
    values[: len(values) // 20] = values[0]
    neighbours = geometry.neighbours(6)
    order = np.argsort(-values, kind="stable")[: np.count_nonzero(values > 0)]
    enhanced = enhance_sweep(np.maximum(values, 0), order, neighbours, *powers)
    table = np.where(neighbours < 0, len(values), neighbours).astype(np.uint32)
    sizes = np.arange(len(values) + 1.0) ** powers[0]
    for cutoff in np.quantile(enhanced[enhanced > 0], [0.01, 0.2, 0.5, 0.9, 0.99]) * (1 + 1e-9):
        counted = count_enhanced(values, table, sizes, powers[1], cutoff)
        assert counted == np.count_nonzero(enhanced >= cutoff) > 0
    assert count_enhanced(-np.abs(values), table, sizes, powers[1], 1e-3) == 0
    assert count_enhanced(values, table, sizes, powers[1], 2 * enhanced.max()) == 0
