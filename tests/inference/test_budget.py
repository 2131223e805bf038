"""The memory that shuffling takes stays below what it is given, and changes no result."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from bidsapp.errors import SettingsError
from bidsapp.inference.budget import count_threads
from bidsapp.inference.permutation import permute
from bidsapp.records import Geometry, InferenceOptions

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
