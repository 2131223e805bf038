"""Images: values, orientation codes and bytes."""

import json

import nibabel
import numpy as np
import pytest

from bidsapp.outputs.images import write_labels, write_map, write_mask, write_series
from bidsapp.records.maps import Geometry


@pytest.fixture
def geometry():
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 1:3, 2:4] = True
    return Geometry(mask, np.diag([2.0, 2.0, 3.0, 1.0]))


def test_a_map_has_its_values_in_the_mask_and_nan_outside(tmp_path, geometry):
    write_map(tmp_path / "a.nii.gz", np.arange(4.0), geometry)
    volume = nibabel.load(tmp_path / "a.nii.gz").get_fdata()
    np.testing.assert_array_equal(volume[geometry.mask], np.arange(4.0))
    assert np.isnan(volume[~geometry.mask]).all()


def test_a_map_keeps_the_affine_and_names_a_template_space(tmp_path, geometry):
    write_map(tmp_path / "a.nii.gz", np.zeros(4), geometry, space="MNI152NLin2009cAsym")
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(image.affine, geometry.affine)
    assert int(image.header["sform_code"]) == int(image.header["qform_code"]) == 4


def test_the_same_map_gives_the_same_bytes(tmp_path, geometry):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_map(tmp_path / name, np.arange(4.0), geometry)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_masks_and_labels_are_integers_with_zero_outside(tmp_path, geometry):
    write_mask(tmp_path / "m.nii.gz", geometry)
    write_labels(tmp_path / "l.nii.gz", [1, 2, 0, 3], geometry)
    mask, labels = (nibabel.load(tmp_path / name) for name in ("m.nii.gz", "l.nii.gz"))
    assert (mask.get_data_dtype(), labels.get_data_dtype()) == (np.uint8, np.int16)
    assert np.asarray(labels.dataobj).sum() == 6


def test_a_mask_has_a_sidecar_that_says_what_it_is(tmp_path, geometry):
    write_mask(tmp_path / "m.nii.gz", geometry)
    assert json.loads((tmp_path / "m.json").read_text()) == {"Type": "Brain"}
    write_mask(tmp_path / "n.nii.gz", geometry, description="Voxels analysed")
    assert json.loads((tmp_path / "n.json").read_text()) == {
        "Type": "Brain",
        "Description": "Voxels analysed",
    }


def test_a_series_is_written_volume_by_volume(tmp_path, rng):
    geometry = Geometry(rng.random((4, 5, 6)) < 0.5, np.diag([2.0, 3, 4, 1]))
    values = rng.normal(size=(7, geometry.n_points))
    path = tmp_path / "series.nii.gz"
    timing = {"n_volumes": 7, "repetition_time": 1.5}
    write_series(path, (values[:4], values[4:]), geometry, **timing, space="MNI152NLin2009cAsym")
    image = nibabel.load(path)
    np.testing.assert_allclose(image.get_fdata()[geometry.mask].T, values.astype(np.float32))
    assert np.isnan(image.get_fdata()[~geometry.mask]).all()
    np.testing.assert_allclose(image.header.get_zooms(), (2, 3, 4, 1.5))
    for affine, code in (image.header.get_sform(coded=True), image.header.get_qform(coded=True)):
        assert code == 4
        np.testing.assert_allclose(affine, geometry.affine)
