"""The list of participants for job schedulers."""

import json
import re

import pytest

from bidsapp.cli.main import main

PIPELINE = {
    "Name": "fMRIPrep",
    "BIDSVersion": "1.9.0",
    "DatasetType": "derivative",
    "GeneratedBy": [{"Name": "x"}],
}


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")


@pytest.fixture
def bids_dir(tmp_path):
    """Four subjects by name only; 10 rested, 2 has another task and no events of its own."""
    raw = tmp_path / "raw"
    derivative = raw / "derivatives" / "fmriprep"
    for label, task in (("01", "nback"), ("2", "stroop"), ("10", "rest"), ("03", "nback")):
        touch(derivative / f"sub-{label}/func/sub-{label}_task-{task}_space-x_desc-preproc_bold.nii.gz")
        touch(raw / f"sub-{label}/func/sub-{label}_task-{task}_bold.nii.gz")
    touch(raw / "sub-01/func/sub-01_task-nback_events.tsv")
    touch(raw / "sub-03/func/sub-03_task-nback_run-1_events.tsv")
    touch(raw / "task-stroop_events.tsv")
    (raw / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.9.0"}))
    (derivative / "dataset_description.json").write_text(json.dumps(PIPELINE))
    return raw


def listed(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out.split()


def test_participants_with_bold_and_events_are_listed_in_natural_order(bids_dir, tmp_path, capsys):
    found = listed(capsys, bids_dir, tmp_path / "out", "participant", "--list-participants")

    assert found == ["01", "2", "03"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--task-label", "nback"], ["01", "03"]),
        (["--participant-label", "sub-01", "2"], ["01", "2"]),
        (["--exclude-participant-label", "01"], ["2", "03"]),
        (["--exclude-participant-label", "01, sub-2"], ["03"]),
    ],
)
def test_choices_narrow_the_list(bids_dir, tmp_path, capsys, options, expected):
    found = listed(capsys, bids_dir, tmp_path / "out", "participant", "--list-participants", *options)

    assert found == expected


def test_listing_writes_nothing(bids_dir, tmp_path, capsys):
    listed(capsys, bids_dir, tmp_path / "out", "participant", "--list-participants")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--session-label", "1"], "ses-1"),
        (["--task-label", "nbak"], "did you mean 'nback'"),
        (["--participant-label", "1"], "or '01'"),
        (["--exclude-participant-label", "99"], "sub-99"),
    ],
)
def test_labels_that_do_not_exist_are_refused(bids_dir, tmp_path, capsys, options, says):
    assert main([str(bids_dir), str(tmp_path / "out"), "participant", "--list-participants", *options]) == 18
    assert says in capsys.readouterr().err


def test_who_is_not_listed_is_named_with_the_reason(bids_dir, tmp_path, capsys):
    (bids_dir / "sub-04").mkdir()
    main([str(bids_dir), str(tmp_path / "out"), "participant", "--list-participants"])
    said = capsys.readouterr().err
    assert "not listed, without preprocessed data: 04" in said
    assert re.search("not listed, without preprocessed BOLD and events .*: 10", said)
