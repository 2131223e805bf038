"""Fewer shuffles: fitted tails, early stopping, resuming; correction over contrasts."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bidsapp.inference.across import correct_across
from bidsapp.inference.permutation import permute
from bidsapp.inference.pvalues import p_from_null, p_interval
from bidsapp.inference.tails import fit_pareto_tail, p_from_tail
from bidsapp.records import Geometry, InferenceOptions


@pytest.fixture
def geometry():
    return Geometry(np.ones((8, 8, 8), bool), np.eye(4))


@pytest.fixture
def data(rng):
    return rng.normal(size=(14, 512))


ONES = np.ones((14, 1))


@pytest.mark.parametrize(("method", "tolerance"), [("gamma", 0.02), ("gpd", 0.02)])
def test_tails_from_500_agree_with_counts_from_many(method, tolerance, rng):
    many = stats.gumbel_r.rvs(4, 0.4, size=200_000, random_state=rng)
    observed = np.linspace(4.9, 6.5, 20)
    approximate = p_from_tail(observed, many[:500], method)
    np.testing.assert_allclose(approximate, p_from_null(observed, many), atol=tolerance)
    assert (approximate > 0).all()


def test_a_pareto_tail_is_recovered(rng):
    null = stats.genpareto.rvs(-0.2, scale=2.0, size=20_000, random_state=rng)
    threshold, share, shape, _ = fit_pareto_tail(null)
    assert share == pytest.approx(0.25, abs=0.01)
    assert shape == pytest.approx(-0.2, abs=0.05)


def test_a_tail_that_fits_nowhere_leaves_the_counts():
    null = np.repeat([1.0, 2.0, 3.0], 200)
    observed = np.array([2.5, 3.0])
    np.testing.assert_array_equal(p_from_tail(observed, null, "gpd"), p_from_null(observed, null))


def test_interval_around_p_is_that_of_scipy():
    lower, upper = p_interval(np.array([13 / 1000]), 1000)
    expected = stats.binomtest(12, 999).proportion_ci(0.95, "exact")
    np.testing.assert_allclose([lower[0], upper[0]], expected)


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
    assert second.seen[0][0] > store.seen[-1][0]
    assert resumed.p.tobytes() == whole.p.tobytes()
    for name, found in whole.statistics.items():
        assert resumed.statistics[name].null_max.tobytes() == found.null_max.tobytes()


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


def test_correction_over_contrasts_is_the_joint_maximum(geometry, data):
    options = InferenceOptions(n_shuffles=400)
    first, second = (
        permute(values, ONES, [[1]], geometry, options) for values in (data, data[:, ::-1] * 2 + 0.4)
    )
    corrected, _ = correct_across([first, second])
    joint = np.maximum(first.statistics["height"].null_max, second.statistics["height"].null_max)
    expected = p_from_null(np.abs(first.statistic), joint)
    np.testing.assert_allclose(corrected.statistics["height"].p_fwe, expected)
    assert "2 contrasts, maximum over contrasts" in corrected.conventions["Family"]


def test_a_tail_is_fitted_to_the_joint_null(geometry, data):
    options = InferenceOptions(n_shuffles=400, tail_approximation="gamma", statistics=("height",))
    both = [permute(values, ONES, [[1]], geometry, options) for values in (data + 1.0, data[:, ::-1])]
    corrected = correct_across(both)[0].statistics["height"].p_fwe
    assert corrected.min() < 1 / 400
    assert (corrected >= both[0].statistics["height"].p_fwe).all()


def test_contrasts_shuffled_differently_are_corrected_by_bonferroni(geometry, data):
    first = permute(data, ONES, [[1]], geometry, InferenceOptions(n_shuffles=400))
    second = permute(data, ONES, [[1]], geometry, InferenceOptions(n_shuffles=400, seed=4))
    corrected, _ = correct_across([first, second])
    np.testing.assert_allclose(
        corrected.statistics["tfce"].p_fwe, np.minimum(2 * first.statistics["tfce"].p_fwe, 1)
    )
    assert "Bonferroni" in corrected.conventions["Family"]


def test_contrasts_of_other_dof_share_the_null_of_heights_alone(geometry, data):
    """As z, heights of two t are of one scale; mass and TFCE are not."""
    first, second = (
        permute(values, ONES, [[1]], geometry, InferenceOptions(n_shuffles=400))
        for values in (data, data[:, ::-1])
    )
    both = [first, replace(second, dof=tuple(value - 1 for value in second.dof))]
    corrected, _ = correct_across(both)
    alone = first.statistics
    assert (corrected.statistics["height"].p_fwe < np.minimum(2 * alone["height"].p_fwe, 1)).any()
    for name in ("mass", "tfce"):
        expected = np.minimum(2 * alone[name].p_fwe, 1)
        np.testing.assert_allclose(corrected.statistics[name].p_fwe, expected)
