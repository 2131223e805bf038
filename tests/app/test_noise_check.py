"""Is the noise model right here? What the report, the record and the sidecars of a run say of it."""

import json

import nibabel
import numpy as np
import pytest
from makers.brain import copy_subjects
from outcomes import call_app

from bidsapp.errors import EXIT_OK

TISSUES = ["grey matter", "white matter", "cerebrospinal fluid"]


def read_run(out):
    return json.loads((out / "logs" / "sub-01_participant.json").read_text())["runs"][0]


@pytest.fixture
def segmented(tiny_dataset, tmp_path):
    """Return a copy of the dataset of one subject that has a segmentation, on a grid of its own."""
    folder = copy_subjects(tiny_dataset, tmp_path / "dataset")
    shape, affine = (60, 72, 60), np.array([[3.0, 0, 0, -90], [0, 3, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]])
    labels = np.zeros(shape, np.uint8)
    labels[5:20], labels[20:40], labels[40:55] = 1, 2, 3
    name = "sub-01_space-MNI152NLin2009cAsym_dseg.nii.gz"
    path = folder / "derivatives" / "fmriprep" / "sub-01" / "anat" / name
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)
    return folder, path


def analyse(dataset, out, **more):
    words = ["--participant-label", "01", "--run-label", "1", "--n-cpus", "1", "--quiet"]
    return call_app([dataset, out, "participant", *words], **more)


def test_tissues_are_those_of_the_segmentation(segmented, tmp_path):
    dataset, path = segmented
    assert analyse(dataset, tmp_path / "out", pages=True) == EXIT_OK
    run = read_run(tmp_path / "out")
    check = run["noise"]["check"]
    assert check["source"] == str(path)
    assert list(check["groups"]) == TISSUES
    assert check["lags"][0] == run["repetition_time"]
    assert check["frequencies"][-1] == pytest.approx(0.5 / run["repetition_time"], rel=0.05)
    page = (tmp_path / "out" / "sub-01.html").read_text()
    assert "Is the noise model right here?" in page
    assert "no segmentation" not in page
    sidecar = json.loads(next((tmp_path / "out").rglob("*_stat-effect_statmap.json")).read_text())
    assert sidecar["NoisePortmanteauOutside"] == {n: check["groups"][n]["outside"] for n in TISSUES}
    assert set(sidecar["NoiseAutocorrelationLeft"]) == set(TISSUES)


def test_a_segmentation_that_cannot_be_read_stops_nothing(segmented, tmp_path):
    dataset, path = segmented
    path.write_bytes(b"pointer to content that was not fetched")
    assert analyse(dataset, tmp_path / "out") == EXIT_OK
    assert read_run(tmp_path / "out")["noise"]["check"]["source"] is None


def test_without_segmentation_thirds_by_intensity_are_shown(tiny_results):
    check = read_run(tiny_results)["noise"]["check"]
    assert list(check["groups"]) == ["darkest third", "middle third", "brightest third"]
    assert "There is no segmentation in the space of the run" in (tiny_results / "sub-01.html").read_text()
