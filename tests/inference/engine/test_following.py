"""Fewer shuffles: early stopping, resuming."""

import numpy as np
import pytest
from scipy import stats

from bidsapp.inference.engine.following import is_decided
from bidsapp.inference.permutation import permute
from bidsapp.records.maps import Geometry, InferenceOptions
from bidsapp.stats.blocks import STRETCH

ONES = np.ones((14, 1))


def test_an_answer_is_decided_when_no_interval_of_p_has_alpha():
    """At 99.9 % confidence and from 200 shuffles on; points without a test do not count."""
    null = np.arange(1000.0)
    for hits in range(1, 200):
        observed = {"height": np.array([np.nan, 1000.0 - hits, 0.0]), "mass": np.array([1.0, np.inf])}
        lower, upper = stats.binomtest(hits - 1, 999).proportion_ci(0.999, "exact")
        decided = is_decided(observed, {"height": null, "mass": null}, 1000, 0.05)
        assert decided == (not lower <= 0.05 < upper), hits
    far = {"height": np.array([-1.0])}
    assert is_decided(far, {"height": null}, 200, 0.05)
    assert not is_decided(far, {"height": null}, 199, 0.05)


class Store:
    """Keeps the last state; interrupts after some batches."""

    def __init__(self, stop_after=None, state=None):
        self.state, self.stop_after, self.saved, self.seen = state, stop_after, 0, []

    def load(self):
        return self.state

    def save(self, state):
        self.state = {key: np.array(value) for key, value in state.items()}
        self.saved += 1

    def progress(self, done, total):
        self.seen.append((done, total))
        if self.saved == self.stop_after:
            raise KeyboardInterrupt


def test_an_interrupted_call_goes_on_to_the_same_bytes(geometry, data):
    options = InferenceOptions(n_shuffles=200)
    whole = permute(data, ONES, [[1]], geometry, options)
    store = Store(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        permute(data, ONES, [[1]], geometry, options, monitor=store)
    second = Store(state=store.state)
    resumed = permute(data, ONES, [[1]], geometry, options, monitor=second)
    # Told first, so that nobody takes it for the pace of this call.
    assert second.seen[0] == store.seen[-1]
    assert second.seen[1][0] > second.seen[0][0]
    assert resumed.p.tobytes() == whole.p.tobytes()
    for name, found in whole.statistics.items():
        assert resumed.statistics[name].null_max.tobytes() == found.null_max.tobytes()


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("statistics", [("height", "extent"), ("tfce",)])
def test_a_batch_is_told_of_while_it_is_followed_and_nothing_changes(geometry, data, statistics, n_threads):
    few = {"n_shuffles": 60, "statistics": statistics}
    options, store = InferenceOptions(n_threads=n_threads, **few), Store()
    # Three times as many points as are screened together.
    many = np.concatenate([data] * (3 * STRETCH // data.shape[1]), axis=1)
    line = Geometry(np.ones((many.shape[1], 1, 1), bool), np.eye(4))
    watched = permute(many, ONES, [[1]], line, options, monitor=store)
    silent = permute(many, ONES, [[1]], line, InferenceOptions(**few))
    done = [one for one, _ in store.seen]
    assert {total for _, total in store.seen} == {60}
    assert (done[0], done[-1]) == (0, 60)
    assert done == sorted(done)
    # One batch: how far it is in three stretches or eight pieces, before and after it.
    assert len(set(done)) >= (4 if "extent" in statistics else 9)
    assert watched.p.tobytes() == silent.p.tobytes()
    for name, found in silent.statistics.items():
        assert watched.statistics[name].null_max.tobytes() == found.null_max.tobytes()


def test_a_state_of_smaller_batches_is_gone_on_with(geometry, data):
    few = ("height", "extent")
    store = Store(stop_after=1)
    stopping = InferenceOptions(n_shuffles=3000, statistics=few, stop_when_decided=True)
    with pytest.raises(KeyboardInterrupt):
        permute(data, ONES, [[1]], geometry, stopping, monitor=store)
    options = InferenceOptions(n_shuffles=3000, statistics=few)
    resumed = permute(data, ONES, [[1]], geometry, options, monitor=Store(state=store.state))
    whole = permute(data, ONES, [[1]], geometry, options)
    for name, found in whole.statistics.items():
        assert resumed.statistics[name].null_max.tobytes() == found.null_max.tobytes()


def test_the_state_of_other_data_is_not_used(geometry, data):
    options = InferenceOptions(n_shuffles=200)
    store = Store()
    permute(data, ONES, [[1]], geometry, options, monitor=store)
    other = permute(
        data[::-1] * [[1]] * 14 + 0.1, ONES, [[1]], geometry, options, monitor=Store(state=store.state)
    )
    alone = permute(data[::-1] * [[1]] * 14 + 0.1, ONES, [[1]], geometry, options)
    np.testing.assert_array_equal(other.statistics["height"].null_max, alone.statistics["height"].null_max)


def test_shuffling_stops_when_decided_and_says_so(geometry, data):
    options = InferenceOptions(n_shuffles=8000, stop_when_decided=True)
    result = permute(data + 3.0, ONES, [[1]], geometry, options)
    assert result.n_shuffles < 8000
    assert "stopped after" in result.warnings[0]
    assert not result.exact
