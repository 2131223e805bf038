"""Fingerprints of finished work."""

import os

import numpy as np
import pytest

from bidsapp.job.resume import make_fingerprint
from bidsapp.settings.parts import RunOptions


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


def test_a_fingerprint_goes_by_the_content_of_a_file_and_not_by_its_time(file):
    """Also where a file is packed in blocks, the last of which is empty."""
    for end in (b"", bytes(8)):
        for name in ("a.nii.gz", "a.nii"):
            path = file.with_name(name)
            path.write_bytes(bytes(range(30)) + end)
            before = make_fingerprint(path)
            os.utime(path, ns=(0, 0))
            assert make_fingerprint(path) == before
            path.write_bytes(bytes(range(1, 31)) + end)
            assert make_fingerprint(path) != before
