"""Which image the maps of a run are drawn on."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsapp.inputs.dataset.anatomy import (
    TISSUES,
    find_anatomy,
    find_brain_mask,
    find_segmentation,
    read_tissues,
)
from bidsapp.records.maps import Run

T1W = "anat/sub-01_desc-preproc_T1w.nii.gz"
MNI = "anat/sub-01_space-MNI152NLin6Asym_desc-preproc_T1w.nii.gz"
NATIVE = ("func/sub-01_task-x_boldref.nii.gz", "func/sub-01_task-x_desc-coreg_boldref.nii")
REFERENCE = "func/sub-01_task-x_space-T1w_boldref.nii.gz"


def make_run(folder, space, *files):
    for name in files:
        path = folder / "sub-01" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    middle = f"_space-{space}" if space else ""
    bold = Path(folder, "sub-01", "func", f"sub-01_task-x{middle}_desc-preproc_bold.nii.gz")
    entities = {"sub": "01", "task": "x", **({"space": space} if space else {})}
    return Run(entities, bold, None, None, None, 2.0, 0.0, "", 9)


@pytest.mark.parametrize(
    ("space", "files", "expected"),
    [
        ("T1w", (MNI, REFERENCE, T1W), T1W),
        ("T1w", ("ses-1/" + T1W,), "ses-1/" + T1W),
        ("T1w", (MNI, REFERENCE), REFERENCE),
        ("MNI152NLin6Asym", (T1W, MNI), MNI),
        (
            "MNI152NLin6Asym",
            (T1W, "anat/sub-01_space-MNI152NLin6Asym_res-2_desc-preproc_T1w.nii.gz", MNI),
            MNI,
        ),
        (None, (T1W, "func/sub-01_task-x_boldref.nii.gz"), "func/sub-01_task-x_boldref.nii.gz"),
        (
            None,
            (T1W, "func/sub-01_task-x_desc-coreg_boldref.nii"),
            "func/sub-01_task-x_desc-coreg_boldref.nii",
        ),
    ],
)
def test_anatomy_is_in_the_space_of_the_run(tmp_path, space, files, expected):
    assert find_anatomy(make_run(tmp_path, space, *files)) == tmp_path / "sub-01" / expected


def test_a_brain_mask_is_found_beside_its_image(tmp_path):
    image, mask = (
        tmp_path / "sub-01_res-2_desc-preproc_T1w.nii.gz",
        tmp_path / "sub-01_res-2_desc-brain_mask.nii.gz",
    )
    assert find_brain_mask(image) is None
    mask.touch()
    assert find_brain_mask(image) == mask
    assert find_brain_mask(mask) is None


def test_an_image_of_another_space_is_not_taken(tmp_path):
    assert find_anatomy(make_run(tmp_path, "T1w", MNI)) is None
    assert find_anatomy(make_run(tmp_path, None, T1W)) is None


DSEG = "anat/sub-01_dseg.nii.gz"
DSEG_MNI = "anat/sub-01_space-MNI152NLin6Asym_res-2_dseg.nii.gz"
ASEG = "anat/sub-01_desc-aseg_dseg.nii.gz"


@pytest.mark.parametrize(
    ("space", "files", "expected"),
    [
        ("T1w", (ASEG, DSEG_MNI, DSEG), DSEG),
        ("T1w", ("ses-1/" + DSEG,), "ses-1/" + DSEG),
        ("MNI152NLin6Asym", (DSEG, DSEG_MNI), DSEG_MNI),
        ("MNI152NLin2009cAsym", (DSEG, DSEG_MNI), None),
        (None, (DSEG,), None),
        ("T1w", (ASEG,), None),
    ],
)
def test_segmentation_is_that_of_the_space(tmp_path, space, files, expected):
    found = find_segmentation(make_run(tmp_path, space, *files))
    assert found == (tmp_path / "sub-01" / expected if expected else None)


def test_tissues_are_read_at_places_on_any_grid(tmp_path):
    """One label a slice of 3 mm, the first axis turned round."""
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1], labels[2], labels[3] = 1, 2, 3
    affine = np.array([[-3.0, 0, 0, 9], [0, 3, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "dseg.nii.gz")
    places = np.array([[6.0, 6, 6], [4, 6, 6], [0, 0, 0], [9, 6, 6], [60, 6, 6], [-2, 6, 6]])
    found = read_tissues(tmp_path / "dseg.nii.gz", places)
    assert found.tolist() == [1, 2, 3, 0, 0, 0]
    # fMRIPrep's numbers.
    assert list(map(TISSUES.get, found[:4])) == ["grey matter", "white matter", "cerebrospinal fluid", None]
