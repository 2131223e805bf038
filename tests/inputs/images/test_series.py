import gzip

import nibabel as nib
import numpy as np
import pytest
from nilearn.image import smooth_img

from bidsapp.errors import InputError
from bidsapp.inputs.images.series import BAND, LEAST_SLICE, _make_kernel, open_series, smooth_volume
from bidsapp.records.maps import Geometry

AFFINE = np.array([[2.0, 0, 0, -10], [0, 3, 0, 5], [0, 0, 2.5, 3], [0, 0, 0, 1]])
SHAPE = (17, 12, 14)
# Both filters work in single precision, in another order of additions.
SMOOTHING_TOLERANCE = 1e-6


@pytest.fixture
def geometry(rng):
    mask = rng.random(SHAPE) < 0.3
    mask[:3] = False
    return Geometry(mask, AFFINE)


@pytest.fixture
def values(rng):
    return rng.normal(1000, 100, (*SHAPE, 7))


def save(path, values, dtype, slope=None, intercept=0.0):
    dtype = np.dtype(dtype)
    header = nib.Nifti1Header(endianness=">" if dtype.byteorder == ">" else "<")
    image = nib.Nifti1Image(values.astype(dtype), AFFINE, header)
    image.set_data_dtype(dtype)
    image.header.set_zooms((2, 3, 2.5, 1.5))
    if slope is not None:
        image = nib.Nifti1Image(values, AFFINE, header)
        image.set_data_dtype(dtype)
        image.header.set_slope_inter(slope, intercept)
    image.to_filename(path)
    return path


def read_all(series, n_volumes=3):
    return np.concatenate([block.copy() for block in series.blocks(n_volumes)])


@pytest.mark.parametrize("name", ["bold.nii", "bold.nii.gz"])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", ">f4", "u1", "<u2"])
def test_values_are_those_of_the_file(tmp_path, geometry, values, dtype, name):
    values = np.clip(values / 10, 0, 255)
    series = open_series(save(tmp_path / name, values, dtype), geometry)
    np.testing.assert_array_equal(read_all(series), values.astype(dtype)[geometry.mask].T.astype(float))


@pytest.mark.parametrize("n_volumes", [1, 3, 7, 50])
def test_block_size_changes_nothing(tmp_path, geometry, values, n_volumes):
    path = save(tmp_path / "bold.nii.gz", values, "f4")
    series = open_series(path, geometry, smoothing_fwhm_mm=5, n_threads=2)
    np.testing.assert_array_equal(read_all(series, n_volumes), read_all(series, 2))


@pytest.mark.parametrize("fwhm", [1.0, 6.0, 14.0, 60.0])
def test_smoothing_is_that_of_nilearn(tmp_path, geometry, values, fwhm):
    path = save(tmp_path / "bold.nii.gz", values, "f4")
    expected = smooth_img(nib.load(path), fwhm).get_fdata()[geometry.mask].T
    got = read_all(open_series(path, geometry, smoothing_fwhm_mm=fwhm))
    np.testing.assert_allclose(got, expected, rtol=SMOOTHING_TOLERANCE)


def test_smoothing_goes_by_the_voxel_sizes_of_a_grid_that_is_turned(tmp_path, geometry, values):
    turned = AFFINE.copy()
    turned[:2, :2] = np.array([[0.8, -0.6], [0.6, 0.8]]) @ AFFINE[:2, :2]
    path = tmp_path / "bold.nii.gz"
    nib.Nifti1Image(values.astype("f4"), turned).to_filename(path)
    expected = smooth_img(nib.load(path), 6.0).get_fdata()[geometry.mask].T
    got = read_all(open_series(path, Geometry(geometry.mask, turned), smoothing_fwhm_mm=6.0))
    np.testing.assert_allclose(got, expected, rtol=SMOOTHING_TOLERANCE)


def test_bands_of_a_large_volume_smooth_as_whole_matrices(rng):
    kernels = tuple(_make_kernel(1.3, (4, size - 3), size)[1] for size in (60, 64, 70))
    volume = rng.normal(1000, 100, [kernel.shape[1] for kernel in kernels]).astype(np.float32)
    along_z, along_y, along_x = kernels
    whole = along_z @ np.matmul(along_y, volume @ along_x.T).reshape(len(volume), -1)
    assert volume[0].size >= LEAST_SLICE
    assert len(along_z) > 2 * BAND
    np.testing.assert_allclose(smooth_volume(volume, kernels), whole, rtol=SMOOTHING_TOLERANCE)


def test_slope_and_intercept_give_the_units_of_the_image(tmp_path, geometry, values):
    path = save(tmp_path / "bold.nii.gz", values, "<i2", slope=0.05, intercept=500.0)
    series = open_series(path, geometry)
    expected = nib.load(path).get_fdata()[geometry.mask].T
    got = series.slope * read_all(series).astype(float) + series.intercept
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_values_that_are_not_finite_are_zero(tmp_path, geometry, values):
    values[:, :, :, 2] = np.nan
    values[5, 5, 5, 3] = np.inf
    path = save(tmp_path / "bold.nii.gz", values, "f4")
    expected = np.nan_to_num(values, posinf=0.0).astype("f4")[geometry.mask].T
    np.testing.assert_array_equal(read_all(open_series(path, geometry)), expected)


def test_three_dimensions_are_refused(tmp_path, geometry, values):
    path = save_volume(tmp_path / "boldref.nii.gz", values[..., 0])
    with pytest.raises(InputError, match="has 3 dimensions"):
        open_series(path, geometry)


def save_volume(path, volume):
    nib.Nifti1Image(volume, AFFINE).to_filename(path)
    return path


def test_another_grid_is_refused(tmp_path, geometry, values):
    path = save(tmp_path / "bold.nii.gz", values[:-1], "f4")
    with pytest.raises(InputError, match="different grids"):
        open_series(path, geometry)


@pytest.mark.parametrize("change", [1.001, 1.3])
def test_a_grid_of_other_voxel_sizes_is_refused(tmp_path, geometry, values, change):
    path = save(tmp_path / "bold.nii.gz", values, "f4")
    with pytest.raises(InputError, match="different grids"):
        open_series(path, Geometry(geometry.mask, geometry.affine @ np.diag([change, 1, 1, 1])))


def test_an_empty_mask_is_refused(tmp_path, values):
    path = save(tmp_path / "bold.nii.gz", values, "f4")
    with pytest.raises(InputError, match="has no voxels"):
        open_series(path, Geometry(np.zeros(SHAPE, bool), AFFINE))


def test_a_missing_file_is_named(tmp_path, geometry):
    with pytest.raises(InputError, match="absent.nii.gz does not exist"):
        open_series(tmp_path / "absent.nii.gz", geometry)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_file_cut_off_is_named_with_the_byte(tmp_path, geometry, values, part):
    path = save(tmp_path / "bold.nii.gz", values, "f4")
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError, match=r"bold.nii.gz is damaged: reading stopped at byte [\d,]+ of [\d,]+"):
        read_all(open_series(path, geometry))


@pytest.mark.parametrize(
    ("part", "said"),
    [(0.0, "volume 1 of 7"), (0.5, "volume 1 of 7"), (2.5, "volume 3 of 7"), (6.5, "volume 7 of 7")],
)
def test_the_volume_at_which_a_file_is_cut_off_is_named(tmp_path, geometry, values, part, said):
    path = save(tmp_path / "bold.nii", values, "f4")
    begin = path.stat().st_size - values.size * 4
    byte = begin + int(part * values[..., 0].size * 4)
    path.write_bytes(path.read_bytes()[:byte])
    with pytest.raises(InputError) as caught:
        read_all(open_series(path, geometry))
    assert f"stopped at byte {byte:,} of {begin + values.size * 4:,} " in str(caught.value)
    assert f"({said};" in str(caught.value)


def test_a_header_cut_off_is_named(tmp_path, geometry, values):
    path = save(tmp_path / "bold.nii.gz", values, "f4")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="bold.nii.gz cannot be read as an image"):
        open_series(path, geometry)


def test_a_wrong_checksum_is_found(tmp_path, geometry, values):
    path = save(tmp_path / "bold.nii.gz", values, "f4")
    content = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=0))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is damaged: .* \(volume 7 of 7;"):
        read_all(open_series(path, geometry))


def test_what_a_series_lacks_is_noted(tmp_path, geometry, values):
    """Volumes of one value, or of none in most of the mask; voxels without a value in any other volume."""
    points = np.argwhere(geometry.mask)
    values[..., 1] = 0.0
    values[(*points[: int(0.6 * len(points))].T, 3)] = np.nan
    values[(*points[5], 4)] = np.nan
    values[(*points[70], 5)] = np.inf
    series = open_series(save(tmp_path / "bold.nii.gz", values, "f4"), geometry)
    read_all(series)
    assert sorted(series.gaps.volumes) == [1, 3]
    assert np.flatnonzero(series.gaps.points).tolist() == [5, 70]


def test_dropped_volumes_lack_nothing(tmp_path, geometry, values):
    values[..., 1] = np.nan
    values[(*np.argwhere(geometry.mask)[5], 4)] = np.nan
    path = save(tmp_path / "bold.nii.gz", values, "f4")
    series = open_series(path, geometry, dropped=[1, 4])
    read_all(series)
    assert (series.gaps.volumes, series.gaps.points.any()) == ([], False)


def test_a_volume_of_few_voxels_may_have_one_value(tmp_path, values):
    mask = np.zeros(SHAPE, bool)
    mask[4, 5, :10] = True
    values[..., 2] = 7.0
    path, found = save(tmp_path / "bold.nii.gz", values, "f4"), []
    for n_voxels in (10, 9):
        mask[4, 5, n_voxels:] = False
        series = open_series(path, Geometry(mask.copy(), AFFINE))
        read_all(series)
        found.append(series.gaps.volumes)
    assert found == [[2], []]


@pytest.mark.parametrize("fwhm", [0.0, 6.0])
def test_points_left_out_are_zero_and_no_part_of_their_neighbours(tmp_path, rng, geometry, values, fwhm):
    without = rng.random(geometry.n_points) < 0.1
    path, there = save(tmp_path / "bold.nii.gz", values, "f4"), np.ones(SHAPE)
    there[tuple(np.argwhere(geometry.mask)[without].T)] = 0.0
    values[there == 0] = 0.0
    parts = [
        nib.Nifti1Image(part, AFFINE) for part in (values, np.broadcast_to(there[..., None], values.shape))
    ]
    total, share = (smooth_img(part, fwhm or None).get_fdata()[geometry.mask].T for part in parts)
    got = read_all(open_series(path, geometry, smoothing_fwhm_mm=fwhm, without=without))
    expected = total[:, ~without] / share[:, ~without]
    np.testing.assert_allclose(got[:, ~without], expected, rtol=SMOOTHING_TOLERANCE)
    assert not got[:, without].any()
