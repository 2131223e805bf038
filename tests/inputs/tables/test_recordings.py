import gzip
import json

import numpy as np
import pytest

from bidsapp.errors import InputError
from bidsapp.inputs.dataset.index import parse_name
from bidsapp.inputs.tables.recordings import columns_of, describe_recording, find_recordings, read_recording
from bidsapp.records.maps import RecordingFile

WHOLE = {"SamplingFrequency": 50, "StartTime": -1.5, "Columns": ["cardiac", "trigger"]}
ENTITIES = {"sub": "01", "task": "t", "run": "1"}


def recording(tmp_path, text, **metadata):
    path = tmp_path / "sub-01_task-t_run-1_physio.tsv.gz"
    with gzip.open(path, "wt") as file:
        file.write(text)
    return RecordingFile(path, WHOLE | metadata)


def test_columns_are_read_by_the_names_of_the_sidecar(tmp_path):
    about = describe_recording(recording(tmp_path, "1\t0\nn/a\t1\n3\t0\n"))
    table = read_recording(about, ["cardiac"])
    np.testing.assert_array_equal(table["cardiac"], [1, np.nan, 3])
    assert (about.sampling_frequency, about.start_time) == (50.0, -1.5)


def test_recording_without_start_is_noted(tmp_path):
    about = describe_recording(recording(tmp_path, "1\t0\n", StartTime=None))
    assert about.start_time == 0.0
    assert "no StartTime" in about.notes[0]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"SamplingFrequency": None}, "SamplingFrequency"),
        ({"SamplingFrequency": 0}, "SamplingFrequency"),
        ({"SamplingFrequency": "50"}, "SamplingFrequency"),
        ({"SamplingFrequency": float("nan")}, "SamplingFrequency"),
        ({"StartTime": "0"}, "StartTime"),
    ],
)
def test_faults_of_the_sidecar_name_the_field(tmp_path, metadata, said):
    with pytest.raises(InputError, match=rf"physio\.tsv\.gz.*{said}"):
        describe_recording(recording(tmp_path, "1\t0\n", **metadata))


@pytest.mark.parametrize("columns", [None, "cardiac", [1, 2], {"cardiac": 0}])
def test_recording_whose_sidecar_names_no_columns_has_none(tmp_path, columns):
    assert columns_of(recording(tmp_path, "1\t0\n", Columns=columns)) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [("1\n", "has 1 columns"), ("1\t0\nx\t0\n", "line 2: 'x' is not a number"), ("", "cannot be read")],
)
def test_faults_of_the_table_name_the_place(tmp_path, text, said):
    about = describe_recording(recording(tmp_path, text))
    with pytest.raises(InputError, match=said):
        read_recording(about, ["cardiac", "trigger"])


def test_damaged_file_is_named(tmp_path):
    file = recording(tmp_path, "1\t0\n" * 5000)
    file.path.write_bytes(file.path.read_bytes()[:60])
    with pytest.raises(InputError, match="cannot be read"):
        read_recording(describe_recording(file), ["cardiac"])


def test_best_file_of_each_recording_is_found_with_inherited_metadata(tmp_path):
    names = [
        "sub-01_task-t_run-1_recording-cardiac_physio.tsv.gz",
        "sub-01_task-t_run-2_recording-cardiac_physio.tsv.gz",
        "sub-01_task-t_run-01_recording-breath_physio.tsv.gz",
        "sub-01_task-t_stim.tsv.gz",
    ]
    (tmp_path / "task-t_physio.json").write_text(json.dumps({"SamplingFrequency": 10, "StartTime": 0}))
    (tmp_path / "task-t_recording-cardiac_physio.json").write_text(json.dumps({"Columns": ["c"]}))
    sidecars = sorted(tmp_path.glob("*.json"))
    found = find_recordings(
        [parse_name(path) for path in [*map(tmp_path.joinpath, names), *sidecars]], ENTITIES
    )
    assert [file.path.name for file in found] == [names[2], names[0], names[3]]
    assert found[1].metadata == {"SamplingFrequency": 10, "StartTime": 0, "Columns": ["c"]}
    assert found[2].metadata == {}
