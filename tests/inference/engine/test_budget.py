"""The memory that shuffling takes stays below what it is given, and changes no result."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from bidsapp.errors import SettingsError
from bidsapp.inference.engine.budget import check_memory, count_screened, count_threads
from bidsapp.inference.permutation import permute
from bidsapp.records.maps import Geometry, InferenceOptions

N_SUBJECTS = 120
GEOMETRY = Geometry(np.ones((30, 20, 10), bool), np.eye(4))


@pytest.fixture
def model(rng):
    """Return data with a design of four groups and a covariate, and an F contrast of the groups."""
    matrix = np.column_stack([np.repeat(np.eye(4), N_SUBJECTS // 4, axis=0), rng.normal(size=N_SUBJECTS)])
    weights = np.hstack([np.eye(3), -np.ones((3, 1)), np.zeros((3, 1))])
    return rng.normal(size=(N_SUBJECTS, GEOMETRY.n_points)), matrix, weights


def peak_of(data, matrix, weights, **options):
    """Return the inference and the peak of the memory that it took, in GB."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    inference = permute(data, matrix, weights, GEOMETRY, InferenceOptions(alpha=0.1, **options))
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return inference, peak / 1e9


@pytest.mark.parametrize(("statistics", "n_shuffles"), [(("height",), 8000), (("height", "extent"), 2000)])
def test_little_memory_is_enough_and_changes_nothing(model, statistics, n_shuffles):
    how = {"statistics": statistics, "n_shuffles": n_shuffles, "cluster_forming_p": 0.01}
    peak_of(*model, **how | {"n_shuffles": 64})
    much, large = peak_of(*model, **how, memory_gb=4.0, n_threads=4)
    little, small = peak_of(*model, **how, memory_gb=0.045, n_threads=4)
    assert small < 0.045
    assert large > small
    assert little.p.tobytes() == much.p.tobytes()
    for name in statistics:
        assert little.statistics[name].null_max.tobytes() == much.statistics[name].null_max.tobytes()


@pytest.mark.parametrize(("memory_gb", "n_threads"), [(4.0, 6), (0.2, 3), (0.05, 1)])
def test_fewer_threads_hold_whole_maps_in_little_memory(memory_gb, n_threads):
    test = SimpleNamespace(name="t", data=np.empty((10, 100_000)))
    options = InferenceOptions(n_threads=6, memory_gb=memory_gb)
    assert count_threads(test, options) == n_threads


def test_data_that_do_not_fit_are_refused_with_the_numbers(model):
    with pytest.raises(SettingsError, match=r"needs 0.0058 GB more .* 0.001 GB are left.*--mem-gb"):
        permute(*model, GEOMETRY, InferenceOptions(memory_gb=0.001))


def stub(name, shape, n_rows=1, n_nuisance=2):
    """Return what the budget knows of a test."""
    partition = SimpleNamespace(n_rows=n_rows)
    return SimpleNamespace(
        name=name, data=np.empty(shape), nuisance=np.empty((shape[0], n_nuisance)), partition=partition
    )


@pytest.mark.parametrize(
    ("has_clusters", "memory_mb", "expected"),
    [
        # Beside 0.4 MB of data; 3 weights of 10 subjects are 4 * 30 doubles a shuffle, 960 bytes.
        (False, 1.36, 1000),
        (False, 0.4, 64),
        (False, 0.0, 64),
        (False, 0.4 + 0.0624, 65),
        (False, 100.0, 16384),
        # With clusters 5 points above the threshold in each tail, 8 doubles each, besides.
        (True, 0.4 + 1.6, 1000),
        (True, 100.0, 2048),
    ],
)
def test_as_many_shuffles_are_screened_as_there_is_room_for(has_clusters, memory_mb, expected):
    options = InferenceOptions(memory_gb=memory_mb / 1e3, cluster_forming_p=0.001)
    assert count_screened(stub("t", (10, 5000)), has_clusters, options) == expected


@pytest.mark.parametrize(
    ("name", "shape", "doubles"),
    [
        ("t", (10, 1000), 8),
        ("F", (10, 1000), 12),
        ("v", (10, 1000), 14),
        ("G", (10, 1000), 14),
        # 4, of 3 maps 1 + 2 nuisance columns each, and two squares.
        ("Wilks", (10, 3, 1000), 4 + 3 * 3 + 2 * 9),
    ],
)
def test_threads_have_room_for_eight_maps_each(name, shape, doubles):
    test = stub(name, shape)
    one = 8 * doubles * 1000 * 8 / 1e9
    for n_threads, room, expected in ((6, 3.01, 3), (6, 2.99, 2), (6, 0.1, 1), (6, 9.0, 6), (0, 9.0, 1)):
        options = InferenceOptions(n_threads=n_threads, memory_gb=test.data.nbytes / 1e9 + room * one)
        assert count_threads(test, options) == expected


def test_data_that_just_fit_are_taken():
    check_memory(np.empty((10, 1000)), InferenceOptions(memory_gb=8e-5))
    with pytest.raises(SettingsError, match=r"10 rows of 1000 voxels needs 8e-05 GB .* 7.9e-05 GB"):
        check_memory(np.empty((10, 1000)), InferenceOptions(memory_gb=7.9e-5))
    with pytest.raises(SettingsError, match=r"4 rows of 6 voxels .* and 0 GB are left"):
        check_memory(np.empty((4, 3, 6)), InferenceOptions(memory_gb=-1.0))
