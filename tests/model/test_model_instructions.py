"""What arguments of instructions may be, each at the ends of what it may be."""

import pytest

from bidsapp.model.faults import Faults, Spot
from bidsapp.model.instructions import _check_values, read_delays
from bidsapp.model.notes import Notes


def make_spot(*path):
    return Spot(Faults("model", "{}"), Notes({}), path)


def faults_of(spot):
    """Where faults are, and their texts."""
    return [(path, text) for path, _, text in spot.faults.found]


@pytest.mark.parametrize(
    "delays",
    [[0], [0, 1.0, 2], [999], list(range(100)), [3, 1, 2]],
    ids=lambda delays: f"{len(delays)} delays",
)
def test_delays_are_different_whole_numbers(delays):
    spot = make_spot("FIRDelays")
    found = read_delays(delays, spot)
    assert found == tuple(delays)
    assert all(type(delay) is int for delay in found)
    assert not faults_of(spot)


@pytest.mark.parametrize(
    "delays", [[], [-1], [0.5], [1000], [1, 1], [True], ["1"], list(range(101)), 3, "0", {"0": 1}], ids=str
)
def test_other_delays_are_faults(delays):
    spot = make_spot("FIRDelays")
    assert read_delays(delays, spot) == ()
    assert faults_of(spot) == [
        (("FIRDelays",), "the delays must be different whole numbers of volumes, 0 or more.")
    ]


def test_without_delays_there_are_none():
    assert read_delays(None, make_spot()) == ()


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("SamplingRate", [None, "TR", 0.001, 1000, 50.0], [0.0009, 1000.1, 0, -1, True, "fast", [1]]),
        ("Threshold", [0, -1e9, 1e9, 0.5], [1.1e9, -1.1e9, True, "1", None]),
        ("Order", [3], ["3"]),
        ("Query", ["a > 1", "", "x" * 1000], ["x" * 1001, 3, None]),
        ("Value", [3, -1e9, "3", "1e3", []], ["three", "1e10", True, float("nan"), None, [1]]),
        ("Weights", [[], [1, -0.5]], [["1"], 1, {"a": 1}]),
    ],
)
def test_values_at_the_ends_of_what_they_may_be(key, right, wrong):
    for values, n_faults in ((right, 0), (wrong, 1)):
        for value in values:
            spot = make_spot("here")
            _check_values("Scale", {key: value}, spot)
            assert [path for path, _ in faults_of(spot)] == [("here", key)] * n_faults, value
