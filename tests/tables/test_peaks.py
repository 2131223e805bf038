"""Effects of subjects at peaks."""

import numpy as np
import pandas as pd
import pytest

from bidsapp.records.maps import EffectStack, Geometry
from bidsapp.tables.peaks import find_points, make_peak_effects

MASK = np.arange(24).reshape(2, 3, 4) % 3 > 0
GEOMETRY = Geometry(MASK, np.array([[-2.0, 0, 0, 5], [0, 2, 0, 1], [0, 0, 3, -4], [0, 0, 0, 1]]))


def test_every_point_is_found_at_its_position():
    assert find_points(GEOMETRY.coordinates(), GEOMETRY).tolist() == list(range(GEOMETRY.n_points))


@pytest.mark.parametrize("position", [[5.0, 1.0, -4.0], [500.0, 1.0, 1.0]])
def test_a_position_outside_the_mask_is_refused(position):
    with pytest.raises(ValueError, match="not in the mask"):
        find_points(np.array([position]), GEOMETRY)


def test_effects_of_every_subject_are_read_at_every_peak():
    rng = np.random.default_rng(0)
    effect = rng.normal(size=(3, GEOMETRY.n_points)).astype(np.float32)
    stack = EffectStack(("sub-01", "sub-02", "sub-<b>"), GEOMETRY, effect, None, np.full(3, np.nan))
    x, y, z = GEOMETRY.coordinates()[[4, 9]].T
    peaks = pd.DataFrame({"cluster_id": [1, 1], "peak": [1, 2], "peak_x": x, "peak_y": y, "peak_z": z})
    table = make_peak_effects(peaks, stack)
    assert np.array_equal(table[["sub-01", "sub-02", "sub-<b>"]].to_numpy(), effect[:, [4, 9]].T)
    assert table["peak"].tolist() == [1, 2]
