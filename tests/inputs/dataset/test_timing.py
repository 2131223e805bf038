"""When the volumes of a run were acquired."""

import pytest

from bidsapp.errors import InputError, find_cautions
from bidsapp.inputs.dataset.timing import read_timing


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
        (6.0, "every event counts as 6 s earlier"),
    ],
)
def test_a_start_outside_the_first_volume_is_a_warning(start, said):
    notes = read_timing({"RepetitionTime": 2.0, "StartTime": start}, 2.0, "sec").notes
    assert [said in note for note in notes] == ([True] if said else [])
    assert find_cautions(notes) == list(notes)
