"""Fixtures that many tests share."""

import gc
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from bidsapp.demo import make_demo


@pytest.fixture
def rng():
    """Random numbers, the same in every run."""
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def shared():
    """Return the folder of development data beside the repository; skip where it is absent."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("TASKGLM_SHARED", beside))
    if not folder.is_dir():
        pytest.skip("needs the development data in ../shared")
    return folder


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory):
    """Return a dataset of 4 subjects x 2 runs with known effects; read only."""
    folder = tmp_path_factory.mktemp("tiny") / "dataset"
    make_demo(folder, n_subjects=4, voxel_size_mm=8.0, n_volumes=80)
    return folder


@pytest.fixture(scope="session")
def pymare():
    """Return PyMARE; it leaves a file open when it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        import pymare
        import pymare.estimators

        gc.collect()
    return pymare


@pytest.fixture(scope="session")
def three_conditions(tmp_path_factory):
    """Return a dataset of 8 subjects x 2 runs with the conditions a, b and c; read only."""
    from three_conditions import make_three_conditions

    return make_three_conditions(tmp_path_factory.mktemp("three") / "dataset")
