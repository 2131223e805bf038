"""The group level on a Dask cluster: the same numbers, also when its workers die."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bidsapp.errors import EXIT_NO_INPUT, EXIT_USAGE, SettingsError
from bidsapp.inference.permutation import permute
from bidsapp.job.workers import connect, group_workers, threads_of_a_test
from bidsapp.records.maps import Contrast, Geometry, GroupDesign, InferenceOptions
from bidsapp.settings.parts import Control
from bidsapp.stats import blocks
from bidsapp.stats.group import estimators as group_estimators

distributed = pytest.importorskip("distributed")
SHAPE = (8, 8, 8)
# Whole maps are followed 64 shuffles at a time: 24 batches, 8 of them handed out at once.
OPTIONS = InferenceOptions(n_shuffles=1500, seed=3, statistics=("tfce",))


@pytest.fixture(scope="module")
def cluster():
    # Without a dashboard: its port may be taken, which Dask warns of.
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as local:
        yield local


def shuffle():
    rng = np.random.default_rng(5)
    geometry = Geometry(np.ones(SHAPE, bool), np.eye(4))
    effects = rng.standard_normal((12, geometry.n_points)) + 0.4
    return permute(effects, np.ones((12, 1)), np.ones((1, 1)), geometry, OPTIONS)


def assert_same_bytes(first, second):
    assert first.p.tobytes() == second.p.tobytes()
    for name, result in first.statistics.items():
        assert result.null_max.tobytes() == second.statistics[name].null_max.tobytes()
        assert result.p_fwe.tobytes() == second.statistics[name].p_fwe.tobytes()


def kill_workers_at_work(cluster, n_workers):
    """Kill workers as soon as batches are handed out, and with them what they hold."""
    killed = [worker.pid for worker in list(cluster.workers.values())[:n_workers]]
    with distributed.Client(cluster, set_as_default=False) as client:
        limit = time.monotonic() + 30
        while not any(client.processing().values()):
            assert time.monotonic() < limit
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    return killed


def test_a_cluster_gives_the_same_bytes(cluster):
    here = shuffle()
    with group_workers(cluster.scheduler_address):
        there = shuffle()

    assert_same_bytes(here, there)


@pytest.mark.parametrize("n_killed", [1, 2])
def test_workers_killed_at_work_change_no_byte(cluster, n_killed):
    here = shuffle()
    with group_workers(cluster.scheduler_address), ThreadPoolExecutor(1) as other:
        killed = other.submit(kill_workers_at_work, cluster, n_killed)
        there = shuffle()

    assert len(killed.result()) == n_killed
    assert_same_bytes(here, there)


@pytest.mark.parametrize("estimator", ["ols", "reml", "huber"])
def test_blocks_of_voxels_on_a_cluster_give_the_same_bytes(cluster, rng, monkeypatch, estimator):
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 12 * 50)
    effects, variances = rng.standard_normal((12, 333)), rng.uniform(0.5, 2.0, (12, 333))
    effects[3, 40:90] = np.nan
    design = GroupDesign(np.ones((12, 1)), (Contrast("mean", "t", ("mean",), np.ones((1, 1))),))
    arguments = {"estimator": estimator, "min_inputs": 10}

    (here,) = group_estimators.fit_group(effects, variances, design, **arguments)
    with group_workers(cluster.scheduler_address):
        (there,) = group_estimators.fit_group(effects, variances, design, **arguments)

    assert np.isfinite(here.z).all()
    assert here.z.tobytes() == there.z.tobytes()
    assert here.effect.tobytes() == there.effect.tobytes()
    assert {name: found.tobytes() for name, found in here.maps.items()} == {
        name: found.tobytes() for name, found in there.maps.items()
    }


def test_a_worker_of_a_cluster_has_one_thread_a_batch(cluster):
    assert threads_of_a_test(Control(dask_scheduler=cluster.scheduler_address)) == 1


def test_without_a_cluster_nothing_changes():
    with group_workers(None) as nothing:
        assert nothing is None


@pytest.mark.parametrize(
    ("scheduler", "code", "message"),
    [
        ("absent.json", EXIT_NO_INPUT, "no such file"),
        ("tcp://127.0.0.1:1", EXIT_USAGE, "no scheduler answers"),
    ],
)
def test_a_cluster_that_is_not_there_is_an_error(monkeypatch, scheduler, code, message):
    monkeypatch.setattr("bidsapp.job.workers.SECONDS_TO_CONNECT", 1)
    with pytest.raises(SettingsError, match=message) as error:
        connect(scheduler)
    assert error.value.exit_code == code
