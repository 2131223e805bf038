"""The table of true-discovery proportions of atlas regions."""

import numpy as np
import pytest

from bidsapp.group.discoveries import COLUMNS, make_discoveries
from bidsapp.records.maps import Geometry, GroupEstimate, InferenceOptions


class Halves:
    """An atlas of two regions: left and right of x = 0."""

    key, names = "halves", {0: "left", 1: "right"}

    def regions_at(self, positions):
        return (positions[:, 0] > 0).astype(int)


@pytest.fixture
def geometry():
    return Geometry(np.ones((6, 5, 4), bool), np.eye(4))


def estimate_of(z, test="t"):
    p = np.full(len(z), 0.5)
    return GroupEstimate("words", test, z, None, z, z, p, np.full(len(z), 20.0), 1)


def table(z, geometry, test="t"):
    centred = Geometry(geometry.mask, np.array([[2.0, 0, 0, -5], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]))
    return make_discoveries(estimate_of(z, test), centred, [Halves()], InferenceOptions())


def test_the_active_half_is_found_with_its_sign(geometry):
    z = np.zeros(120)
    z[:60] = -8.0
    found = table(z, geometry).set_index("region")
    assert found.loc["left", "tdp_negative"] == 1.0
    assert found.loc["left", "tdp_positive"] == 0.0
    assert found.loc["right", "tdp_negative"] == 0.0
    assert list(found["n_voxels"]) == [60, 60]


def test_an_f_test_has_one_column(geometry):
    found = table(np.full(120, 8.0), geometry, test="F")
    assert list(found["tdp"]) == [1.0, 1.0]
    assert set(found.columns) < set(COLUMNS)
