"""A small cube of noise; files with designs of their own have their own."""

import numpy as np
import pytest

from bidsapp.records.maps import Geometry


@pytest.fixture
def geometry():
    return Geometry(np.ones((8, 8, 8), bool), np.eye(4))


@pytest.fixture
def data(rng):
    return rng.normal(size=(14, 512))
