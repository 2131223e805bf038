"""What maps outside MNI space are drawn on."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from saved_records import make

from bidsapp.outputs.results import Results, Volume
from bidsapp.outputs.saved.participant import SubjectRecord
from bidsapp.report.sections.brains import average_under, draw_brain, find_under

AFFINE = np.diag([4.0, 4, 4, 1])
SHAPE = (12, 14, 10)


def write(path, value, shape=SHAPE):
    nib.Nifti1Image(np.full(shape, value, np.float32), AFFINE).to_filename(path)


@pytest.fixture
def subject(tmp_path):
    write(tmp_path / "sub-01_desc-preproc_T1w.nii.gz", 3.0)
    write(tmp_path / "tsnr.nii.gz", 5.0)
    run = {
        "entities": {"sub": "01", "space": "T1w"},
        "anatomy": str(tmp_path / "sub-01_desc-preproc_T1w.nii.gz"),
        "model_fit": {"tsnr": "tsnr.nii.gz"},
    }
    return make_results(tmp_path, run)


def make_results(folder, run):
    return Results(folder, make(SubjectRecord, subject="01", runs=[run]))


def test_maps_in_mni_space_need_no_anatomy(subject):
    assert find_under(subject, "MNI152NLin6Asym") is None


def test_the_t1w_image_comes_first(subject):
    assert find_under(subject, "T1w").name == "T1w image"


def test_without_anatomy_the_signal_to_noise_is_drawn_on(subject):
    assert find_under(subject, "T1w", own=False).name == "map of tSNR"
    gone = replace(subject.record.runs[0], anatomy="gone.nii.gz")
    assert find_under(make_results(subject.folder, gone), "T1w").name == "map of tSNR"


def test_the_group_is_drawn_on_the_mean_of_those_on_one_grid(subject, tmp_path):
    write(tmp_path / "other.nii.gz", 1.0, (3, 3, 3))
    other = make_results(tmp_path, replace(subject.record.runs[0], anatomy="other.nii.gz"))
    assert average_under([subject, subject, other], "T1w").name == "mean T1w image of 2 subjects"
    assert average_under([subject], "native") is None


def test_slices_show_only_what_is_far_from_zero(subject):
    under, values = find_under(subject, "T1w"), np.zeros(SHAPE, np.float32)
    values[5:8, 5:8, 5:8] = 1.9
    faint = draw_brain(Volume(values, AFFINE), under, limit=4.0, alt="a")
    nothing = draw_brain(Volume(values * 1e-6, AFFINE), under, limit=4.0, alt="a")
    strong = draw_brain(Volume(values * 2, AFFINE), under, limit=4.0, alt="a")
    assert faint.body == nothing.body
    assert strong.body != nothing.body
    assert not strong.shared
    assert draw_brain(Volume(values, AFFINE), None, limit=4.0, alt="a").shared
