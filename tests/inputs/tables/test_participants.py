"""Tables of the participants."""

import pytest

from bidsapp.errors import InputError
from bidsapp.inputs.tables.participants import match_labels, read_participants


@pytest.mark.parametrize(
    ("spelled", "read"),
    [
        (["1", "2"], ["1", "2"]),
        (["1.0", "2.0"], ["1", "2"]),
        (["01", "02"], ["01", "02"]),
        (["1", "1.0"], ["1", "1"]),
        (["01", "1"], ["1", "1"]),
        (["2.50", "2.5"], ["2.5", "2.5"]),
        (["None", "null"], ["None", "null"]),
        (["NA", "n/a"], [None, None]),
        (["1.2.0", "v1.0"], ["1.2.0", "v1.0"]),
    ],
)
def test_levels_keep_their_spelling_and_equal_numbers_have_one(tmp_path, spelled, read):
    path = tmp_path / "participants.tsv"
    rows = "".join(f"sub-{number}\t{value}\n" for number, value in enumerate(spelled))
    path.write_text(f"participant_id\tgroup\n{rows}")
    assert read_participants(path).group.tolist() == read


def test_columns_are_text_and_none_where_a_value_is_missing(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_text("participant_id\tage\tgroup\nsub-01\t20\tpatient\n02\tn/a\tn/a\n")
    table = read_participants(path)
    assert list(table.index) == ["01", "02"]
    assert table.age.tolist() == ["20", None]
    assert table.group.tolist() == ["patient", None]


def test_signs_around_labels_and_lines_count_for_nothing(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_bytes(b"\xef\xbb\xbfparticipant_id\tage\r\n\r\n sub-01 \t 20 \r\n\t\r\nSub-02\t30\r\n\r\n")
    table = read_participants(path)
    assert list(table.index) == ["01", "02"]
    assert table.age.tolist() == ["20", "30"]


def test_phenotype_tables_are_joined(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_text("participant_id\tage\nsub-01\t20\nsub-02\t30\n")
    (tmp_path / "phenotype").mkdir()
    (tmp_path / "phenotype/bdi.tsv").write_text("participant_id\tscore\tage\nsub-02\t7\t31\n")
    table = read_participants(path)
    assert table.score.tolist() == [None, "7"]
    assert table["bdi.age"].tolist() == [None, "31"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\tage\n1\t2\n", "no column 'participant_id'"),
        ("", "no column 'participant_id'"),
        ("participant_id\tage\nsub-01\t2\nsub-01\t3\n", "several rows of sub-01"),
        ("participant_id\tage\nsub-01\t2\n01\t2\n", "several rows of sub-01"),
        ("Participant_ID\tage\nsub-01\t2\n", r"'participant_id'; did you mean 'Participant_ID'\?"),
        ("participant\tage\nsub-01\t2\n", r"'participant_id'; did you mean 'participant'\?"),
    ],
)
def test_fault_names_the_file(tmp_path, text, message):
    path = tmp_path / "participants.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"participants.tsv.*{message}"):
        read_participants(path)


@pytest.mark.parametrize(
    ("table", "data", "read"),
    [
        (["1", "2"], ["01", "02"], ["01", "02"]),
        (["01", "x"], ["1", "x"], ["1", "x"]),
        (["1", "001"], ["01"], ["1", "001"]),
        (["1"], ["01", "001"], ["1"]),
        (["01", "1"], ["01"], ["01", "1"]),
    ],
)
def test_other_zeros_are_the_same_label_where_only_one_can_be_meant(table, data, read):
    people = {label: {"age": label} for label in table}
    matched, notes = match_labels(people, data)
    assert matched == {label: {"age": there} for label, there in zip(read, table, strict=True)}
    renamed = [note for note in notes if "with other zeros" in note]
    assert bool(renamed) == (read != table)
    several = [note for note in notes if "Keep one row" in note]
    assert bool(several) == (len(data) == 1 and len({label.lstrip("0") for label in table}) < len(table))
