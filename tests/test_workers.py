"""Shuffles on a Dask cluster: the same numbers, also when a worker dies."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bidsapp.errors import EXIT_NO_INPUT, EXIT_USAGE, SettingsError
from bidsapp.inference.permutation import permute
from bidsapp.records import Geometry, InferenceOptions
from bidsapp.settings import Control, Settings
from bidsapp.workers import connect, group_workers, threads_of_a_test

distributed = pytest.importorskip("distributed")
# Starting clusters and killing workers is heavy, and a cluster that does not recover waits for minutes.
pytestmark = pytest.mark.slow
SHAPE = (8, 8, 8)
OPTIONS = InferenceOptions(n_shuffles=1500, seed=3)


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
    ) as local:
        yield local


@pytest.fixture
def settings(cluster):
    control = Control(dask_scheduler=cluster.scheduler_address)
    return replace(Settings(Path("in"), Path("out"), ("group",)), control=control)


def shuffle(monitor=None):
    rng = np.random.default_rng(5)
    geometry = Geometry(np.ones(SHAPE, bool), np.eye(4))
    effects = rng.standard_normal((12, geometry.n_points)) + 0.4
    return permute(effects, np.ones((12, 1)), np.ones((1, 1)), geometry, OPTIONS, monitor=monitor)


def assert_same_bytes(first, second):
    assert first.p.tobytes() == second.p.tobytes()
    for name, result in first.statistics.items():
        assert result.null_max.tobytes() == second.statistics[name].null_max.tobytes()
        assert result.p_fwe.tobytes() == second.statistics[name].p_fwe.tobytes()


class KillsAWorker:
    """Kills one worker at the first sign of progress."""

    def __init__(self, cluster):
        self.cluster, self.killed = cluster, None

    def load(self):
        return None

    def save(self, state):
        pass

    def progress(self, done, total):
        if self.killed is None:
            self.killed = next(iter(self.cluster.workers.values())).pid
            os.kill(self.killed, signal.SIGKILL)


def test_a_cluster_gives_the_same_bytes(settings):
    here = shuffle()
    with group_workers(settings):
        there = shuffle()

    assert_same_bytes(here, there)


@pytest.mark.filterwarnings("ignore")
def test_a_worker_killed_in_the_middle_changes_no_byte(settings, cluster):
    monitor = KillsAWorker(cluster)
    here = shuffle()
    with group_workers(settings):
        there = shuffle(monitor)

    assert monitor.killed
    assert_same_bytes(here, there)


def test_a_worker_of_a_cluster_has_one_thread_a_batch(settings):
    assert threads_of_a_test(settings) == 1


def test_without_a_cluster_nothing_changes(settings):
    with group_workers(replace(settings, control=Control())) as nothing:
        assert nothing is None


@pytest.mark.parametrize(
    ("scheduler", "code", "message"),
    [
        ("absent.json", EXIT_NO_INPUT, "no such file"),
        ("tcp://127.0.0.1:1", EXIT_USAGE, "no scheduler answers"),
    ],
)
def test_a_cluster_that_is_not_there_is_an_error(monkeypatch, scheduler, code, message):
    monkeypatch.setattr("bidsapp.workers.SECONDS_TO_CONNECT", 1)
    with pytest.raises(SettingsError, match=message) as error:
        connect(scheduler)
    assert error.value.exit_code == code
