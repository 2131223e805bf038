"""The mask that a model asks for."""

from pathlib import Path

import pytest

from bidsapp.errors import InputError
from bidsapp.plan.participant.masks import with_model_mask
from bidsapp.records.maps import Run

STEM = "sub-01_task-a_run-1_space-MNI"


@pytest.fixture
def run(tmp_path):
    for desc in ("brain", "gm"):
        (tmp_path / f"{STEM}_desc-{desc}_mask.nii.gz").touch()
    (tmp_path / "sub-01_task-a_run-2_space-MNI_desc-gm_mask.nii.gz").touch()
    entities = {"sub": "01", "task": "a", "run": "1", "space": "MNI"}
    bold = tmp_path / f"{STEM}_desc-preproc_bold.nii.gz"
    return Run(entities, bold, tmp_path / f"{STEM}_desc-brain_mask.nii.gz", None, None, 2.0, 0.0, "", 10)


def test_a_model_without_a_mask_keeps_that_of_the_run(run):
    assert with_model_mask(run, None) is run


@pytest.mark.parametrize("said", [{"desc": ["gm"]}, {"description": "gm", "suffix": ["mask"]}])
def test_the_mask_of_the_run_that_matches_is_taken(run, said):
    assert with_model_mask(run, said).mask == Path(run.bold.parent, f"{STEM}_desc-gm_mask.nii.gz")


def test_no_match_names_what_is_there(run):
    with pytest.raises(InputError, match="sub-01 task-a run-1: no mask matches.*desc-brain_mask"):
        with_model_mask(run, {"desc": "wm"})


def test_several_matches_are_refused(run):
    with pytest.raises(InputError, match="several masks"):
        with_model_mask(run, {"suffix": "mask"})


def test_segmentation_is_taken_where_the_filter_names_it(run):
    path = run.bold.parent / f"{STEM}_desc-aparcaseg_dseg.nii.gz"
    path.touch()
    assert with_model_mask(run, {"desc": ["aparcaseg"], "suffix": ["dseg"]}).mask == path
