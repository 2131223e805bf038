"""Fingerprints and finished work."""

import json
import os

import numpy as np
import pytest

from bidsapp.provenance import is_finished, make_fingerprint
from bidsapp.settings import RunOptions


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"12")
    return path


def test_a_fingerprint_is_the_same_for_the_same_parts(file):
    parts = (RunOptions(), np.eye(2), {"b": 1, "a": 2}, file)
    assert make_fingerprint(*parts) == make_fingerprint(*parts)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.eye(2), 2 * np.eye(2)),
        (np.zeros((1, 4)), np.zeros((2, 2))),
        (RunOptions(), RunOptions(smoothing_fwhm=4.0)),
        ("a", "b"),
    ],
)
def test_a_fingerprint_changes_with_settings_and_arrays(before, after):
    assert make_fingerprint(before) != make_fingerprint(after)


def test_a_fingerprint_changes_with_the_time_of_a_file(file):
    before = make_fingerprint(file)
    os.utime(file, ns=(0, 0))
    assert make_fingerprint(file) != before


@pytest.fixture
def record(tmp_path, file):
    """Return the path of a complete record whose only map is there."""
    path = tmp_path / "logs" / "sub-01_participant.json"
    path.parent.mkdir()
    content = {"status": "complete", "fingerprint": "x", "estimates": [{"maps": {"t": file.name}}]}
    path.write_text(json.dumps(content))
    return path


def test_work_is_finished_when_its_record_matches_and_its_files_are_there(record):
    assert is_finished(record, "x")


def test_work_is_not_finished_when_its_inputs_changed(record):
    assert not is_finished(record, "y")


def test_work_is_not_finished_when_a_file_is_gone(record, file):
    file.unlink()
    assert not is_finished(record, "x")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "failed", "fingerprint": "x"}'])
def test_a_broken_or_failed_record_is_not_finished_work(record, text):
    record.write_text(text)
    assert not is_finished(record, "x")
