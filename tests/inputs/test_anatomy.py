"""Which image the maps of a run are drawn on."""

from pathlib import Path

import pytest

from bidsapp.inputs.anatomy import find_anatomy
from bidsapp.records import Run

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


def test_an_image_of_another_space_is_not_taken(tmp_path):
    assert find_anatomy(make_run(tmp_path, "T1w", MNI)) is None
    assert find_anatomy(make_run(tmp_path, None, T1W)) is None
