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


def test_a_fingerprint_changes_with_the_time_of_a_file(file):
    before = make_fingerprint(file)
    os.utime(file, ns=(0, 0))
    assert make_fingerprint(file) != before
