"""Tables of the participants."""

import numpy as np
import pytest

from bidsapp.errors import InputError
from bidsapp.inputs.participants import read_participants


def test_columns_are_numbers_or_text(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_text("participant_id\tage\tgroup\nsub-01\t20\tpatient\n02\tn/a\tn/a\n")
    table = read_participants(path)
    assert list(table.index) == ["01", "02"]
    np.testing.assert_array_equal(table.age, [20, np.nan])
    assert table.group.tolist() == ["patient", None]


def test_phenotype_tables_are_joined(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_text("participant_id\tage\nsub-01\t20\nsub-02\t30\n")
    (tmp_path / "phenotype").mkdir()
    (tmp_path / "phenotype/bdi.tsv").write_text("participant_id\tscore\tage\nsub-02\t7\t31\n")
    table = read_participants(path)
    np.testing.assert_array_equal(table.score, [np.nan, 7])
    np.testing.assert_array_equal(table["bdi.age"], [np.nan, 31])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\tage\n1\t2\n", "no column 'participant_id'"),
        ("", "no column 'participant_id'"),
        ("participant_id\tage\nsub-01\t2\nsub-01\t3\n", "several rows of sub-01"),
    ],
)
def test_fault_names_the_file(tmp_path, text, message):
    path = tmp_path / "participants.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"participants.tsv.*{message}"):
        read_participants(path)
