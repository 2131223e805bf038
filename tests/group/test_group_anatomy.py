"""The mean T1w image of a group: whose it is, and on which grid."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from bidsapp.group import anatomy
from bidsapp.group.anatomy import write_mean_anatomy
from bidsapp.names import record_path
from bidsapp.outputs.files import read_json

SPACE = "MNI152NLin2009cAsym"
AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])
AFFINE[:3, 3] = (-3.0, -5.0, 2.0)


def save(path, values, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.asarray(values, np.float32), affine), path)
    return path


def make_results(folder, label, path, space=SPACE):
    """Return the results of a participant as its record gives them, with its T1w image."""
    run = SimpleNamespace(entities={"space": space}, anatomy=path and str(path))
    has = lambda path: bool(path) and (folder / path).is_file()  # noqa: E731
    return SimpleNamespace(name=label, folder=folder, record=SimpleNamespace(runs=(run,)), has=has)


def make_model(subjects):
    keys = [SimpleNamespace(entity=lambda _, s=s: s.removeprefix("sub-")) for s in subjects]
    inputs = [SimpleNamespace(key=key) for key in keys]
    fit = SimpleNamespace(inputs=inputs)
    return SimpleNamespace(fits=(fit,), entities={"task": "x", "space": SPACE}, node="n")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the mean of participants with these images; ``write.read``: whose records were read for it."""

    def write(paths, subjects=("sub-01", "sub-02"), **more):
        write.read = []

        def read(root, label):
            write.read.append(label)
            return make_results(tmp_path, label, paths.get(f"sub-{label}"), **more)

        monkeypatch.setattr(anatomy, "read_subject_results", read)
        for subject in paths:
            record = tmp_path / record_path(subject.removeprefix("sub-"))
            record.parent.mkdir(exist_ok=True)
            record.touch()
        return write_mean_anatomy(make_model(subjects), [tmp_path], tmp_path)

    return write


def test_mean_is_of_the_brains_at_one_level_and_at_2_mm(tmp_path, write):
    rng = np.random.default_rng(0)
    brains = rng.uniform(50, 150, (2, 6, 8, 5))
    paths = {}
    for k, (brain, gain) in enumerate(zip(brains, (1.0, 7.0), strict=True), start=1):
        stem = tmp_path / f"sub-0{k}_space-{SPACE}"
        skull = np.pad(brain[1:-1], ((1, 1), (0, 0), (0, 0)), constant_values=900)
        paths[f"sub-0{k}"] = save(stem.with_name(f"{stem.name}_desc-preproc_T1w.nii.gz"), gain * skull)
        save(stem.with_name(f"{stem.name}_desc-brain_mask.nii.gz"), skull < 900)
    path = write(paths)
    image = nib.load(tmp_path / path)
    scaled = [np.where(np.arange(6)[:, None, None] % 5, b, 0) * 100 / np.median(b[1:-1]) for b in brains]
    blocks = np.mean(scaled, axis=0)[:, :, :4].reshape(3, 2, 4, 2, 2, 2).mean(axis=(1, 3, 5))
    assert image.shape == (3, 4, 2)
    np.testing.assert_allclose(np.nan_to_num(image.get_fdata()), np.rint(blocks), atol=1)
    # The middle of the first block.
    np.testing.assert_allclose(image.affine[:3, 3], AFFINE[:3, 3] + 0.5)
    np.testing.assert_allclose(np.diag(image.affine)[:3], 2)
    assert read_json(tmp_path / path.replace(".nii.gz", ".json"))["NumberOfSubjects"] == 2


def test_others_other_spaces_and_other_images_are_left_out(tmp_path, write, monkeypatch):
    paths = {f"sub-0{k}": save(tmp_path / f"sub-0{k}_T1w.nii.gz", np.full((4, 4, 4), 5.0)) for k in (1, 2, 3)}
    assert write(paths, space="T1w") is None
    assert write({"sub-01": save(tmp_path / "sub-01_boldref.nii.gz", np.ones((4, 4, 4)))}) is None
    assert write({"sub-01": tmp_path / "gone_T1w.nii.gz", "sub-02": None}) is None
    path = write(paths)
    about = tmp_path / path.replace(".nii.gz", ".json")
    assert read_json(about)["NumberOfSubjects"] == 2
    monkeypatch.setattr(anatomy, "MOST", 1)
    write(paths)
    assert read_json(about)["NumberOfSubjects"] == 1
    assert write.read == ["01"]


def test_an_image_that_cannot_be_read_is_left_out_with_a_warning(tmp_path, write, caplog):
    paths = {"sub-01": save(tmp_path / "sub-01_T1w.nii.gz", np.full((4, 4, 4), 5.0))}
    paths["sub-02"] = tmp_path / "sub-02_T1w.nii.gz"
    paths["sub-02"].write_bytes(b"nothing")
    path = write(paths)
    assert read_json(tmp_path / path.replace(".nii.gz", ".json"))["NumberOfSubjects"] == 1
    assert "sub-02_T1w.nii.gz" in caplog.text


def test_an_image_on_another_grid_is_brought_to_that_of_the_first(tmp_path, write):
    values = np.zeros((10, 10, 10))
    values[4:8, 4:8, 4:8] = 5
    shifted = AFFINE.copy()
    shifted[:3, 3] += 2
    paths = {"sub-01": save(tmp_path / "sub-01_T1w.nii.gz", values)}
    paths["sub-02"] = save(tmp_path / "sub-02_T1w.nii.gz", values[2:, 2:, 2:], shifted)
    found = np.nan_to_num(nib.load(tmp_path / write(paths)).get_fdata())
    assert (found > 50).sum() == 8
    assert np.array_equal(np.argwhere(found > 50).min(axis=0), [2, 2, 2])
