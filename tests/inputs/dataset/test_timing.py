"""When the volumes of a run were acquired."""

from pathlib import Path

import pytest

from bidsapp.errors import InputError, find_cautions
from bidsapp.inputs.dataset.timing import find_doubtful_times, read_timing
from bidsapp.records.maps import Run


def test_sidecar_repetition_time_wins_over_the_header_with_a_note():
    timing = read_timing({"RepetitionTime": 2.0}, 2.5, "sec")
    assert timing.repetition_time == 2.0
    assert "2 s in the sidecar and 2.5 s in the image header" in timing.notes[0]


def test_rounded_header_is_no_conflict():
    assert read_timing({"RepetitionTime": 0.8}, 0.800000011920929, "sec").notes == ()


@pytest.mark.parametrize(
    ("value", "unit"), [(2500.0, "msec"), (2.5, "sec"), (2.5e6, "usec"), (2500.0, "unknown")]
)
def test_header_time_is_read_in_its_unit(value, unit):
    assert read_timing({}, value, unit).repetition_time == 2.5


@pytest.mark.parametrize(("value", "unit"), [(0.35, "sec"), (350.0, "msec")])
def test_header_time_below_a_second_is_a_time(value, unit):
    assert read_timing({}, value, unit).repetition_time == pytest.approx(0.35)


def test_longest_repetition_time_is_read():
    assert read_timing({"RepetitionTime": 100}, 0.0, "sec").repetition_time == 100.0


def test_start_time_of_the_sidecar_counts_first():
    timing = read_timing({"RepetitionTime": 2.0, "StartTime": 0.7, "SliceTimingCorrected": True}, 2.0, "sec")
    assert timing.start_time == 0.7


def test_slice_timing_correction_without_start_time_means_half_a_repetition_time():
    assert read_timing({"RepetitionTime": 3.0, "SliceTimingCorrected": True}, 3.0, "sec").start_time == 1.5


def test_start_time_is_zero_without_slice_timing_correction():
    assert read_timing({"RepetitionTime": 3.0, "SliceTimingCorrected": False}, 3.0, "sec").start_time == 0.0


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"VolumeTiming": [0.0, 1.0, 6.0]}, "not equally spaced"),
        ({"RepetitionTime": "2"}, "RepetitionTime '2'"),
        ({"RepetitionTime": float("nan")}, "RepetitionTime nan"),
        ({"RepetitionTime": 2000}, "RepetitionTime of 2000 s"),
        ({"RepetitionTime": 100.5}, "RepetitionTime of 100.5 s"),
        ({"RepetitionTime": 0}, "RepetitionTime of 0 s"),
        ({"RepetitionTime": 2.0, "StartTime": []}, r"StartTime \[\]"),
    ],
)
def test_unusable_timing_is_refused_with_the_reason(metadata, message):
    with pytest.raises(InputError, match=message):
        read_timing(metadata, 0.0, "sec")


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (0.0, None),
        (1.0, None),
        (2.0, None),
        (-5.0, "every event counts as 5 s later"),
        (-0.5, "every event counts as 0.5 s later"),
        (2.5, "every event counts as 2.5 s earlier"),
        (6.0, "every event counts as 6 s earlier"),
    ],
)
def test_a_start_outside_the_first_volume_is_a_warning(start, said):
    notes = read_timing({"RepetitionTime": 2.0, "StartTime": start}, 2.0, "sec").notes
    assert [said in note for note in notes] == ([True] if said else [])
    assert find_cautions(notes) == list(notes)


def make_run(repetition_time, sidecar, **entities):
    metadata = {"RepetitionTime": repetition_time} if sidecar else {}
    files = Path("bold"), Path("mask"), None, None
    return Run(entities, *files, repetition_time, 0.0, "", 80, metadata)


@pytest.mark.parametrize(
    ("times", "doubtful"),
    [
        # What a sidecar gives, s; what a header gives, h.
        ("s2 s2 h1", {2: "its image header says 1 s, other runs of the task have 2 s"}),
        ("s2 s2 h2.001", {}),
        ("s2 s2.5 h1 h2.5", {2: "says 1 s, other runs of the task have 2, 2.5 s"}),
        ("s2 s1", {}),
        ("h2 h2 h1", {2: "says 1 s, other runs of the task have 2 s"}),
        ("h2 h1", {}),
        ("h2 h2 h1 h1", {}),
    ],
)
def test_a_time_of_the_header_that_other_runs_do_not_have_is_doubtful(times, doubtful):
    runs = [make_run(float(time[1:]), time[0] == "s", task="x") for time in times.split()]
    found = find_doubtful_times(runs)
    assert list(found) == list(doubtful)
    assert all(said in found[number] for number, said in doubtful.items())


@pytest.mark.parametrize("key", ["task", "acq"])
def test_runs_of_other_tasks_and_acquisitions_say_nothing_of_a_time(key):
    runs = [make_run(2.0, True, task="x"), make_run(1.0, False, **{"task": "x"} | {key: "y"})]
    assert find_doubtful_times(runs) == {}
