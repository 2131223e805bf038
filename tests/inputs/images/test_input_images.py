"""Masks, maps and headers."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import InputError
from bidsapp.inputs.images.read import check_grid, intersect_masks, read_header, read_map, read_mask
from bidsapp.records.maps import Geometry

SHAPE = (3, 4, 5)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def save(path, values, affine=AFFINE):
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


@pytest.fixture
def geometry(rng):
    return Geometry(rng.random(SHAPE) > 0.4, AFFINE)


def test_mask_is_where_values_are_neither_zero_nor_nan(tmp_path):
    values = np.zeros(SHAPE, np.float32)
    values[0, 0, :3] = [1, np.nan, 0.5]
    mask = read_mask(save(tmp_path / "m.nii.gz", values)).mask
    assert np.argwhere(mask).tolist() == [[0, 0, 0], [0, 0, 2]]


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_map_gives_the_values_of_the_points(tmp_path, geometry, rng, name):
    values = rng.standard_normal(SHAPE).astype(np.float32)
    found = read_map(save(tmp_path / name, values), geometry)
    np.testing.assert_array_equal(found, values[geometry.mask])
    assert found.dtype == np.float32


@pytest.mark.parametrize("more", [(1,), (1, 1)])
def test_map_with_further_axes_of_one_is_a_volume(tmp_path, geometry, rng, more):
    values = rng.standard_normal(SHAPE).astype(np.float32)
    found = read_map(save(tmp_path / "x.nii.gz", values.reshape(*SHAPE, *more)), geometry)
    np.testing.assert_array_equal(found, values[geometry.mask])


def test_rounded_affine_is_the_same_grid(geometry):
    check_grid("x", SHAPE, AFFINE + 1e-5, geometry)


def test_shifted_grid_is_refused_with_the_distance(geometry):
    shifted = AFFINE.copy()
    shifted[0, 3] = 1.0
    with pytest.raises(InputError, match="x is on another grid .* differ by up to 1 mm"):
        check_grid("x", SHAPE, shifted, geometry)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("shift", "at_the_last"), [(0.5, True), (-1.0, False)])
def test_grids_of_other_voxel_sizes_are_refused_with_the_largest_distance(geometry, axis, shift, at_the_last):
    """At the first voxel the shift; at the last, as many times the difference more as there are steps."""
    other = AFFINE.copy()
    other[axis, axis] += 0.1
    other[axis, 3] = shift
    largest = abs(shift + 0.1 * (SHAPE[axis] - 1) * at_the_last)
    with pytest.raises(InputError, match=f"differ by up to {largest:.3g} mm"):
        check_grid("x", SHAPE, other, geometry)


def test_intersection_keeps_the_common_voxels(geometry):
    other = Geometry(~geometry.mask, AFFINE)
    other.mask[0] = geometry.mask[0] = True
    assert (intersect_masks([geometry, other], ["a", "b"]).mask == (geometry.mask & other.mask)).all()


def test_masks_without_a_common_voxel_are_refused(geometry):
    with pytest.raises(InputError, match="no voxel in common: a, b"):
        intersect_masks([geometry, Geometry(~geometry.mask, AFFINE)], ["a", "b"])


def test_mask_on_another_grid_is_named(geometry):
    other = Geometry(np.ones((3, 4, 6), bool), AFFINE)
    with pytest.raises(
        InputError, match=r"b is on another grid than a: 3 x 4 x 6 voxels instead of 3 x 4 x 5"
    ):
        intersect_masks([geometry, other], ["a", "b"])


def test_header_is_read_without_the_data(tmp_path):
    image = nib.Nifti1Image(np.zeros((*SHAPE, 7), np.int16), AFFINE)
    image.header.set_zooms((2, 2, 2, 1500))
    image.header.set_xyzt_units("mm", "msec")
    nib.save(image, tmp_path / "x.nii")
    path = tmp_path / "cut.nii"
    path.write_bytes((tmp_path / "x.nii").read_bytes()[:352])
    header = read_header(path)
    assert (header.shape, header.time_step, header.time_unit) == ((*SHAPE, 7), 1500.0, "msec")


def test_header_of_a_volume_has_no_time_step(tmp_path):
    header = read_header(save(tmp_path / "x.nii", np.ones(SHAPE, np.float32)))
    assert (header.shape, header.time_step) == (SHAPE, 0.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), (b"", "is empty"), (b"text", "is not an image")],
)
def test_file_that_is_no_image_is_named(tmp_path, content, message):
    path = tmp_path / "x.nii.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_mask(path)
    assert str(path) in str(caught.value)


def test_mask_without_voxels_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no voxel"):
        read_mask(save(tmp_path / "m.nii.gz", np.zeros(SHAPE, np.uint8)))


@pytest.mark.parametrize("more", [(2,), (1, 2)])
def test_series_is_no_volume(tmp_path, geometry, more):
    with pytest.raises(InputError, match=r"x\.nii\.gz holds 2 volumes where one is needed\. Save the one"):
        read_map(save(tmp_path / "x.nii.gz", np.ones((*SHAPE, *more), np.float32)), geometry)


def test_truncated_volume_is_named(tmp_path, rng):
    path = save(tmp_path / "m.nii.gz", rng.standard_normal((20, 20, 20)).astype(np.float32))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"m\.nii\.gz is truncated or corrupt"):
        read_mask(path)


def test_volume_with_a_wrong_checksum_is_named(tmp_path):
    """All its values can be unpacked; one of them is another."""
    path = save(tmp_path / "m.nii.gz", np.ones((20, 20, 20), np.float32))
    content = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=0))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"m\.nii\.gz is truncated or corrupt \(CRC check failed"):
        read_mask(path)


@pytest.mark.parametrize("read", [read_header, read_mask])
def test_surface_is_no_volume(tmp_path, read):
    data = nib.gifti.GiftiDataArray(np.zeros(3, np.float32), intent="NIFTI_INTENT_SHAPE")
    nib.save(nib.gifti.GiftiImage(darrays=[data]), tmp_path / "x.gii")
    with pytest.raises(InputError, match="x.gii is not a volume"):
        read(tmp_path / "x.gii")
