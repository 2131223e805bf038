"""Runs that cannot be fitted, or only in part: what the user is told, and that the others go on."""

import json

import nibabel
import numpy as np
import pytest
from makers.brain import copy_subjects
from outcomes import call_app

FIRST, SECOND = "run-1", "run-2"


@pytest.fixture
def dataset(tiny_dataset, tmp_path):
    """Return a copy of the dataset with one subject."""
    return copy_subjects(tiny_dataset, tmp_path / "bids")


def find(dataset, run, ending):
    (path,) = dataset.glob(f"derivatives/*/sub-01/**/*{run}*{ending}")
    return path


def change(path, function, **header):
    """Rewrite an image with its values changed."""
    image = nibabel.load(path)
    changed = nibabel.Nifti1Image(function(np.asarray(image.dataobj).copy()), image.affine, image.header)
    if "unit" in header:
        changed.header.set_xyzt_units("mm", header["unit"])
        changed.header.set_zooms((*changed.header.get_zooms()[:3], header["step"]))
    nibabel.save(changed, path)


def run_app(dataset, capsys, *more):
    """Return exit code, output folder and what the user was told."""
    out = dataset.parent / "out"
    # A noise model of one order, as none is chosen here.
    always = ["--n-cpus", "1", "-v", "--noise-model", "ar1-reml"]
    code = call_app([dataset, out, "participant", *always, *more])
    return code, out, capsys.readouterr().err


def read_record(out):
    return json.loads((out / "logs" / "sub-01_participant.json").read_text())


def assert_second_run_went_on(out):
    record = read_record(out)
    assert record["status"] == "partial"
    assert len(record["runs"]) == 1
    assert SECOND in record["runs"][0]["label"]
    subject = [estimate for estimate in record["estimates"] if estimate["level"] == "subject"]
    assert subject
    assert not list(out.glob(f"sub-01/**/*{FIRST}*statmap*"))


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def corrupt(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, corrupt])
def test_a_damaged_series_is_named_with_the_byte_and_others_go_on(dataset, capsys, damage):
    path = find(dataset, FIRST, "desc-preproc_bold.nii.gz")
    damage(path)
    code, out, told = run_app(dataset, capsys)
    assert code == 1
    assert f"{path.name} is damaged: reading stopped at byte" in told
    assert_second_run_went_on(out)


def test_a_run_of_zeros_is_named_and_others_go_on(dataset, capsys):
    change(find(dataset, FIRST, "desc-preproc_bold.nii.gz"), np.zeros_like)
    code, out, told = run_app(dataset, capsys)
    assert code == 1
    assert "run-1: No voxel of the mask changes over time" in told
    assert_second_run_went_on(out)


def test_a_mask_without_voxels_is_named_and_others_go_on(dataset, capsys):
    change(find(dataset, FIRST, "desc-brain_mask.nii.gz"), np.zeros_like)
    code, out, told = run_app(dataset, capsys)
    assert code == 1
    assert "has no voxel" in told
    assert_second_run_went_on(out)


def test_a_volume_given_as_series_is_refused(dataset, capsys):
    change(find(dataset, FIRST, "desc-preproc_bold.nii.gz"), lambda values: values[..., 0])
    code, _, told = run_app(dataset, capsys)
    assert code != 0
    assert "desc-preproc_bold.nii.gz" in told
    assert "is not a series of volumes" in told


def test_more_regressors_than_volumes_are_refused(dataset, capsys):
    code, out, told = run_app(dataset, capsys, "--high-pass", "4.3")
    assert code != 0
    assert "nothing is left to estimate the noise from" in told
    assert not list(out.glob("sub-*/**/*statmap*"))


def test_constant_voxels_are_nan_and_never_have_zero_variance(dataset, capsys):
    path = find(dataset, FIRST, "desc-preproc_bold.nii.gz")
    mask = nibabel.load(find(dataset, FIRST, "desc-brain_mask.nii.gz")).get_fdata() > 0
    x, y, z = np.argwhere(mask)[len(np.argwhere(mask)) // 2]

    def spoil(values):
        values[x, y, z] = 800
        return values

    change(path, spoil)
    code, out, _ = run_app(dataset, capsys, "--smoothing-fwhm", "0")
    assert code == 0
    maps = next(
        e["maps"] for e in read_record(out)["estimates"] if e["level"] == "run" and "variance" in e["maps"]
    )
    variance = nibabel.load(out / maps["variance"]).get_fdata()
    assert np.isnan(variance[x, y, z])
    assert np.isnan(nibabel.load(out / maps["t"]).get_fdata()[x, y, z])
    assert (variance[np.isfinite(variance)] > 0).all()


@pytest.mark.parametrize(("unit", "step"), [("msec", 2000.0), ("unknown", 2000.0)])
def test_milliseconds_in_the_header_are_no_conflict(dataset, capsys, unit, step):
    for run in (FIRST, SECOND):
        change(find(dataset, run, "desc-preproc_bold.nii.gz"), np.array, unit=unit, step=step)
    code, out, told = run_app(dataset, capsys)
    assert code == 0
    assert read_record(out)["runs"][0]["repetition_time"] == 2.0
    assert "the sidecar's is used" not in told


def test_the_sidecar_wins_over_the_header_and_the_user_is_warned(dataset, capsys):
    change(find(dataset, FIRST, "desc-preproc_bold.nii.gz"), np.array, unit="sec", step=1.5)
    code, out, told = run_app(dataset, capsys)
    assert code == 0
    assert read_record(out)["runs"][0]["repetition_time"] == 2.0
    assert "RepetitionTime is 2 s in the sidecar and 1.5 s in the image header; the sidecar's is used" in told
