"""Where the raw dataset and its derivatives are."""

import json

import pytest

from bidsapp.errors import InputError
from bidsapp.inputs.dataset.roots import find_roots, labels_without_bold
from bidsapp.settings.parts import Selection

BOLD = "sub-01/func/sub-01_task-x_desc-preproc_bold.nii.gz"


def make(folder, *files, kind="raw", **more):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    about = {"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": kind} | more
    (folder / "dataset_description.json").write_text(json.dumps(about))


def test_derivatives_inside_are_found(tmp_path):
    (tmp_path / "derivatives/prep").mkdir(parents=True)
    make(tmp_path, "sub-01/func/sub-01_task-x_bold.nii.gz")
    make(tmp_path / "derivatives/prep", BOLD, kind="derivative")
    assert find_roots(tmp_path, ()) == (tmp_path, {"prep": tmp_path / "derivatives/prep"})


@pytest.mark.parametrize(("files", "kind"), [([BOLD], "raw"), (["sub-01/anat/x.nii.gz"], "derivative")])
def test_a_folder_may_be_a_derivative_by_what_it_says_or_by_what_it_has(tmp_path, files, kind):
    folder = tmp_path / "data/derivatives/prep"
    folder.mkdir(parents=True)
    make(folder, *files, kind=kind)
    assert find_roots(folder, ())[1] == {"prep": folder}


def test_derivatives_of_one_name_are_counted(tmp_path):
    folders = [tmp_path / place / "prep" for place in "abc"]
    for folder in folders:
        folder.mkdir(parents=True)
        make(folder, BOLD, kind="derivative")
    _, found = find_roots(tmp_path, [str(folder) for folder in (*folders, folders[1])])
    assert found == dict(zip(("prep", "prep2", "prep3"), folders, strict=True))


def test_a_folder_without_any_preprocessed_image_is_told(tmp_path):
    make(tmp_path, "sub-01/func/sub-01_task-x_bold.nii.gz")
    with pytest.raises(InputError, match="No derivatives with preprocessed BOLD"):
        find_roots(tmp_path, ())


@pytest.mark.parametrize(
    ("link", "raw"),
    [
        ("../../raw data", "study/raw data"),
        ("{}/study/raw%20data", "study/raw data"),
        ("file://{}/study/raw%20data", "study/raw data"),
        # Without a subject, absent, none, of another kind.
        ("../../empty", None),
        ("../../nowhere", None),
        ("", None),
        (1, None),
    ],
)
@pytest.mark.parametrize(("place", "above"), [("derivatives", "study"), ("other", "study/other/prep")])
def test_the_raw_dataset_of_a_derivative_is_where_its_link_says_else_above(tmp_path, link, raw, place, above):
    for name in ("raw data/sub-01", "sub-01", "empty", f"{place}/prep"):
        (tmp_path / "study" / name).mkdir(parents=True)
    folder = tmp_path / "study" / place / "prep"
    target = link.format(tmp_path) if isinstance(link, str) else link
    make(folder, BOLD, kind="derivative", DatasetLinks={"raw": target})
    found, derivatives = find_roots(folder, ())
    assert found.resolve() == tmp_path / (raw or above)
    assert derivatives == {"prep": folder}


def test_labels_without_images_are_those_that_no_derivative_has_any_of(tmp_path):
    make(tmp_path, "sub-01/func/sub-01_task-x_bold.nii.gz")
    assert labels_without_bold({"01", "02"}, tmp_path, Selection()) == set()
    (tmp_path / "derivatives/prep").mkdir(parents=True)
    make(tmp_path / "derivatives/prep", BOLD, kind="derivative")
    assert labels_without_bold({"01", "02", "1"}, tmp_path, Selection()) == {"02", "1"}
