"""The description of the output dataset."""

import json

import pytest

from bidsapp.errors import EXIT_CANNOT_CREATE, InputError, SettingsError
from bidsapp.outputs.sidecars import map_sidecar, write_dataset_description


def read(folder):
    return json.loads((folder / "dataset_description.json").read_text())


def test_links_are_relative_to_the_output_folder(tmp_path):
    write_dataset_description(tmp_path / "out", {"raw": tmp_path / "in"})
    assert read(tmp_path / "out")["DatasetLinks"] == {"raw": "../in"}


def test_fields_that_somebody_added_are_kept(tmp_path):
    write_dataset_description(tmp_path, {})
    (tmp_path / "dataset_description.json").write_text(json.dumps(read(tmp_path) | {"Authors": ["A"]}))
    write_dataset_description(tmp_path, {})
    assert read(tmp_path)["Authors"] == ["A"]


def test_an_unchanged_description_is_not_written_again(tmp_path):
    write_dataset_description(tmp_path, {})
    before = (tmp_path / "dataset_description.json").stat().st_mtime_ns
    write_dataset_description(tmp_path, {})
    assert (tmp_path / "dataset_description.json").stat().st_mtime_ns == before


def test_the_dataset_of_another_program_is_refused(tmp_path):
    description = {"Name": "x", "GeneratedBy": [{"Name": "fMRIPrep"}]}
    (tmp_path / "dataset_description.json").write_text(json.dumps(description))
    with pytest.raises(SettingsError, match="fMRIPrep") as caught:
        write_dataset_description(tmp_path, {})
    assert caught.value.exit_code == EXIT_CANNOT_CREATE


def test_a_broken_description_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "dataset_description.json").write_text("{")
    with pytest.raises(InputError, match="Remove it"):
        write_dataset_description(tmp_path, {})


def test_a_sidecar_has_the_required_keys_and_no_empty_ones():
    sidecar = map_sidecar("effect", ContrastName="a", Sources=None)
    assert sidecar["SkullStripped"] is True
    assert {"Resolution", "Description", "Units", "ContrastName"} <= set(sidecar)
    assert "Sources" not in sidecar


def test_a_variance_has_the_square_of_the_unit():
    assert map_sidecar("variance", units="percent")["Units"] == "(percent)^2"
    assert map_sidecar("effect", units="percent")["Units"] == "percent"
