"""Events files, tidy and not."""

import pytest

from bidsapp.errors import Caution, InputError
from bidsapp.inputs.tables.events import read_events


@pytest.fixture
def write(tmp_path):
    def writer(text, encoding="utf-8"):
        path = tmp_path / "sub-01_task-x_events.tsv"
        path.write_bytes(text.encode(encoding))
        return path

    return writer


def test_columns_are_kept_in_their_order(write):
    table = read_events(write("onset\tduration\tgo trial\t2\n1\t2\ta\tb\n"))
    assert list(table.columns) == ["onset", "duration", "go trial", "2"]


def test_row_without_onset_is_dropped_with_a_note(write):
    table = read_events(write("onset\tduration\ttrial_type\nn/a\t1\ta\n2\t1\tb\n3\t1\tc\n"))
    assert list(table.trial_type) == ["b", "c"]
    assert table.attrs["notes"] == ("1 events without an onset are left out",)


def test_lines_that_are_cut_off_are_told(write):
    table = read_events(write("onset\tduration\ttrial_type\n1\t1\ta\n2\t1\tb\n3\t1\n"))
    assert table.trial_type.tolist() == ["a", "b", None]
    (note,) = table.attrs["notes"]
    assert isinstance(note, Caution)
    assert note.startswith("1 lines of the events file have fewer cells")


def test_missing_values_of_other_columns_are_none(write):
    table = read_events(write("onset\tduration\ttrial_type\n1\tn/a\t\n2\t1\tn/a\n"))
    assert table.trial_type.tolist() == [None, None]
    assert table.duration.tolist() == [None, "1"]


def test_negative_onset_is_kept(write):
    assert read_events(write("onset\tduration\n-3.5\t1\n")).onset.tolist() == ["-3.5"]


@pytest.mark.parametrize("text", ["", "\n", "onset\tduration\ttrial_type\n", "onset\tduration\nn/a\tn/a\n"])
def test_file_without_events_is_an_empty_table_with_a_note(write, text):
    table = read_events(write(text))
    assert len(table) == 0
    assert {"onset", "duration"} <= set(table.columns)
    assert table.attrs["notes"]


def test_columns_of_a_file_without_events_are_kept(write):
    table = read_events(write("onset\tduration\ttrial_type\n"))
    assert list(table.columns) == ["onset", "duration", "trial_type"]
    assert table.attrs["notes"] == ("the events file has no event",)
    assert read_events(write("")).attrs["notes"] == ("the events file is empty",)
    with pytest.raises(InputError, match="no column 'duration'"):
        read_events(write("onset\ttrial_type\n"))


def test_byte_order_mark_is_no_part_of_the_first_name(write):
    assert list(read_events(write("onset\tduration\n1\t2\n", "utf-8-sig")).columns) == ["onset", "duration"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("onset\ttrial_type\n1\ta\n", r"no column 'duration'"),
        ("Onset\tduration\n1\t2\n", r"no column 'onset'; did you mean 'Onset'"),
        ("onset,duration\n1,2\n", "not tab-separated"),
        ("onset\tduration\n1\t2\nsoon\t2\n", r"column onset, line 3: 'soon' is not a number"),
        ("onset\tduration\n1\tinf\n", r"column duration, line 2: 'inf'"),
        ("onset\tduration\n1\t-2\n", r"column duration, line 2: a duration is negative"),
        ("onset\tduration\n1\t2\t3\t4\n1\t2\n5\t6\t7\t8\t9\n", "tab-separated"),
        ("onset\tduration\tonset\n1\t2\t3\n", "several columns 'onset'"),
    ],
)
def test_fault_names_file_and_place(write, text, message):
    with pytest.raises(InputError, match=rf"_events.tsv.*{message}"):
        read_events(write(text))


def test_other_encoding_is_refused_naming_the_file(write):
    with pytest.raises(InputError, match=r"_events.tsv"):
        read_events(write("onset\tduration\ttrial_type\n1\t2\tcafé\n", "latin-1"))


def test_rows_that_stand_there_twice_are_told(write):
    table = read_events(write("onset\tduration\ttrial_type\n1\t1\ta\n1.0\t1\ta\n1\t1\tb\n"))
    (note,) = table.attrs["notes"]
    assert "1 row repeats the onset, trial_type of another row" in note


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("onset\tduration\ttrial_type\n1\t1\ta\n1\t3\ta\n1\tn/a\ta\n", "2 rows repeat the onset, trial_type"),
        ("onset\tduration\n1\t1.0\n1.0\t1\n1\t2\n", "1 row repeats the onset, duration"),
        ("onset\tduration\ttrial_type\n1\t1\tn/a\n1\t1\tn/a\n", None),
        ("onset\tduration\ttrial_type\n1\t1\ta\n1\t1\tb\n1.1\t1\ta\n", None),
    ],
)
def test_events_of_one_condition_that_begin_at_once_are_told(write, text, said):
    notes = read_events(write(text)).attrs["notes"]
    assert [said in note for note in notes] == ([True] if said else [])
