"""Times of events that cannot be meant; a run lasts 100 s."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bidsapp.errors import InputError
from bidsapp.inputs.tables.event_times import _share_covered, check_times


def check(onset, duration, kinds=None, start=0.0):
    table = pd.DataFrame({"onset": onset, "duration": duration})
    if kinds:
        table["trial_type"] = kinds
    run = SimpleNamespace(n_volumes=50, repetition_time=2.0, start_time=start)
    return [str(note) for note in check_times(table, run)]


@pytest.mark.parametrize(
    ("onset", "duration"),
    [
        # An event at the very end of the run, and one whose response ends just as the run begins.
        ([0.0, 100.0], [1.0, 1.0]),
        ([-33.0, 1.0], [1.0, 1.0]),
        ([-32.0, 1.0], [None, 1.0]),
        # As long as the run; one after another; two conditions at once; no duration at all.
        ([0.0], [100.0]),
        ([0.0, 10.0, 20.0], [10.0, 10.0, 10.0]),
        ([0.0, 10.0, 20.0], [None, 0.0, None]),
        # Several at once, but not most of the time.
        ([0.0, 5.0], [10.0, 10.0]),
        # Rows that stand there twice are told elsewhere.
        ([0.0, 0.0], [10.0, 10.0]),
    ],
)
def test_times_that_can_be_meant_need_no_word(onset, duration):
    assert check(onset, duration) == []


def test_conditions_that_overlap_each_other_need_no_word():
    assert check([0.0, 0.0, 50.0, 50.0], [40.0, 30.0, 40.0, 30.0], ["a", "b", "a", "b"]) == []


@pytest.mark.parametrize(
    ("onset", "duration", "text"),
    [
        ([0.0, 5.0, 100.1], [1.0, 1.0, 1.0], "1 of 3 events lie outside the run (onsets from 0 to 100.1 s"),
        ([0.0, 5.0, 100.1], [1.0, 1.0, 1.0], "1 begin after its end"),
        ([-33.1, 5.0], [1.0, 1.0], "1 end before it and are not used"),
        ([-90.0, 5.0, 6.0, 101.0], [1.0, 1.0, 1.0, 1.0], "2 end before it"),
        (
            [0.0, 5.0, 9.0],
            [100.1, 1.0, 2.0],
            "1 of 3 events last longer than the run (durations up to 100.1 s",
        ),
        # Of two or more each of which has a duration.
        ([0.0, 5.0, 9.0], [200.0, 300.0, 2.0], "2 of 3 events last longer"),
        ([0.0], [100.1], "1 of 1 events last longer"),
        # 8 of 12 s are covered twice.
        ([0.0, 2.0], [10.0, 10.0], "event (67%)"),
        # Beyond the end of the run nothing counts: 60 of 80 s.
        ([20.0, 40.0], [90.0, 90.0], "event (75%)"),
        ([0.0, 1.0, 2.0], [60.0, 60.0, 60.0], "event (97%)"),
    ],
)
def test_times_that_cannot_be_meant_are_told(onset, duration, text):
    (note,) = check(onset, duration)
    assert text in note


@pytest.mark.parametrize(
    ("onset", "duration", "text"),
    [
        ([200.0, 500.0, 900.0], [1.0, 1.0, 1.0], "are they tenths of seconds"),
        ([200.0, 5000.0, 9000.0], [1.0, 1.0, 1.0], "are they hundredths of seconds"),
        ([2000.0, 50000.0, 90000.0], [1.0, 1.0, 1.0], "are they milliseconds"),
        ([2e6, 5e7, 9e7], [1.0, 1.0, 1.0], "are they microseconds"),
        ([2e9, 5e9, 9e9], [1.0, 1.0, 1.0], "a run of 100 s). Give onsets in seconds"),
        ([-500.0, -400.0], [1.0, 1.0], "a run of 100 s). Give onsets"),
        ([1.0, 20.0], [500.0, 1000.0], "are they milliseconds? Give durations in seconds"),
        ([1.0, 20.0, 30.0], [5e5, 1e6, 0.0], "2 of 3 events last longer"),
        ([1.0, 20.0], [2e5, 3e7], "are they microseconds"),
    ],
)
def test_times_of_another_unit_are_an_error(onset, duration, text):
    with pytest.raises(InputError) as caught:
        check(onset, duration)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("largest", "unit"),
    [
        (101.0, "tenths of seconds"),
        (1000.0, "tenths of seconds"),
        (1001.0, "hundredths of seconds"),
        (1e4, "hundredths of seconds"),
        (10001.0, "milliseconds"),
        (1e5, "milliseconds"),
        (100001.0, "microseconds"),
        (1e8, "microseconds"),
        (1e8 + 1, None),
    ],
)
def test_the_unit_is_the_largest_in_which_the_times_fit_into_the_run(largest, unit):
    with pytest.raises(InputError) as caught:
        check([101.0, largest], [1.0, 1.0])
    assert ("are they" in str(caught.value)) == (unit is not None)
    assert unit is None or f"are they {unit}?" in str(caught.value)


def test_times_count_from_the_first_volume():
    assert check([39.0, 140.0], [1.0, 1.0], start=40.0) == []
    (note,) = check([5.0, 50.0, 140.0], [1.0, 1.0, 1.0], start=40.0)
    assert "onsets from 5 to 140 s, a run of 100 s that begins at 40 s (StartTime)): 1 end before it" in note
    (note,) = check([9.0, 50.0, 120.0], [1.0, 1.0, 1.0], start=10.0)
    assert "onsets from 9 to 120 s, a run of 100 s): 1 begin after its end" in note


@pytest.mark.parametrize(
    ("onset", "end"),
    [
        ([0.1, 0.2, 0.3, 0.4], "0.9"),
        ([1.0, 3.0, 5.0, 9.4], "9.9"),
        ([-5.0, -3.0, -2.0, 0.0], "0.5"),
        # Few, or late enough, or all before the run.
        ([1.0, 3.0, 5.0], None),
        ([1.0, 3.0, 5.0, 9.5], None),
        ([-5.0, -4.0, -3.0, -2.0], None),
    ],
)
def test_events_that_all_lie_at_the_beginning_are_told(onset, end):
    notes = check(onset, [0.5] * len(onset))
    assert len(notes) == (end is not None)
    if end is not None:
        assert f"all 4 events lie in the first {end} s of a run of 100 s" in notes[0]


def test_half_of_the_time_with_several_events_is_the_limit():
    assert check([0.0, 4.0], [12.0, 12.0]) == []
    assert check([0.0, 4.0], [12.5, 12.0])


def test_half_of_the_events_outside_is_a_word_and_more_an_error():
    assert check([1.0, 500.0], [1.0, 1.0])
    with pytest.raises(InputError, match="2 of 3 events lie outside"):
        check([1.0, 500.0, 600.0], [1.0, 1.0, 1.0])


def test_each_condition_is_told_with_its_share():
    onsets, kinds = [0.0, 2.0, 50.0, 52.0, 80.0], ["a", "a", "b", "b", "c"]
    (note,) = check(onsets, [10.0, 10.0, 20.0, 20.0, 5.0], kinds)
    assert "a (67%), b (82%). Their responses add up" in note


@pytest.mark.parametrize(
    ("times", "share"),
    [
        ([[0, 10], [5, 15]], 5 / 15),
        ([[0, 10], [2, 4], [3, 9], [20, 25]], 7 / 15),
        ([[0, 10], [10, 20]], 0),
        ([[0, 4], [0, 4], [0, 4]], 1),
        ([[3, 3], [3, 3]], 0),
        ([[0, 1.5], [1, 2]], 0.25),
    ],
    ids=str,
)
def test_the_share_of_time_with_several_events(times, share):
    assert _share_covered(np.array(times, float)) == pytest.approx(share)
