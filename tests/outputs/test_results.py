"""Reading an output folder back."""

import json

import nibabel as nib
import numpy as np
import pytest
from saved_records import fill

from bidsapp.errors import InputError
from bidsapp.outputs.results import read_all_subject_results, read_group_results, read_subject_results
from bidsapp.outputs.saved.files import read_record, write_record
from bidsapp.outputs.saved.participant import SubjectRecord

RECORD = "logs/sub-01_participant.json"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "logs").mkdir()
    record = fill(SubjectRecord, {"subject": "01", "runs": [{"label": "r"}]})
    (tmp_path / RECORD).write_text(json.dumps(record | {"of_a_later_version": 1}))
    (tmp_path / "table.tsv").write_text("a\tb\n1\tn/a\nNA\t2\n")
    (tmp_path / "table.json").write_text('{"a": {"Description": "first"}}')
    return tmp_path


def test_keys_that_may_be_absent_are_none(folder):
    record = read_subject_results(folder, "01").record
    assert record.message is None
    assert record.runs[0].vif is None


def test_only_n_a_is_missing_in_tables(folder):
    table = read_subject_results(folder, "01").read_table("table.tsv")
    assert table["a"].tolist() == ["1", "NA"]
    assert table["b"].isna().tolist() == [True, False]


def test_tables_are_described_by_their_sidecar(folder):
    results = read_subject_results(folder, "01")
    assert results.describe("table.tsv")["a"]["Description"] == "first"
    assert results.describe("other.tsv") == {}


def test_paths_are_there_or_not(folder):
    results = read_subject_results(folder, "01")
    assert results.has("table.tsv")
    assert not results.has("other.tsv")
    assert not results.has(None)


def test_all_records_are_found(folder):
    assert [r.name for r in read_all_subject_results(folder)] == ["sub-01"]
    assert read_group_results(folder) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "Invalid JSON"),
        ("[]", "should be an object"),
        ('{"runs": [{}]}', r"\(schema: Field required\)"),
    ],
)
def test_a_broken_record_is_refused_with_a_remedy(folder, text, fault):
    (folder / RECORD).write_text(text)
    with pytest.raises(InputError, match=f"{RECORD} .*{fault}.*Remove it and run its stage again"):
        read_subject_results(folder, "01")


def test_a_record_is_written_as_it_was_read(folder):
    path = folder / RECORD
    write_record(path, read_record(path, SubjectRecord))
    text = path.read_text()
    write_record(path, read_record(path, SubjectRecord))
    assert path.read_text() == text
    assert list(json.loads(text))[-3:] == ["warnings", "cautions", "written"]
    assert "message" not in json.loads(text)


def test_a_broken_map_is_refused_with_a_remedy(folder):
    (folder / "map.nii.gz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="Run its stage again"):
        read_subject_results(folder, "01").read_map("map.nii.gz")


def test_map_that_is_a_surface_is_told(folder):
    data = nib.gifti.GiftiDataArray(np.zeros(3, np.float32), intent="NIFTI_INTENT_SHAPE")
    nib.save(nib.gifti.GiftiImage(darrays=[data]), folder / "x.gii")
    with pytest.raises(InputError, match=r"x.gii cannot be read \(not a volume\)"):
        read_subject_results(folder, "01").read_map("x.gii")
