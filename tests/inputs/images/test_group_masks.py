from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import InputError
from bidsapp.inputs.images.group_masks import restrict_stack
from bidsapp.inputs.images.stacks import find_losses
from bidsapp.records.maps import EffectStack, EstimateKey, Geometry

AFFINE = np.array([[4.0, 0, 0, -80], [0, 4.0, 0, -110], [0, 0, 4.0, -70], [0, 0, 0, 1]])


@pytest.fixture
def stack():
    mask = np.zeros((40, 48, 40), bool)
    mask[5:35, 5:40, 5:35] = True
    effect = np.arange(2 * mask.sum(), dtype=np.float32).reshape(2, -1)
    return EffectStack(("a", "b"), Geometry(mask, AFFINE), effect, effect, np.full(2, np.nan))


def save(path, values, affine=AFFINE):
    nib.save(nib.Nifti1Image(values.astype(np.uint8), affine), path)
    return path


def test_only_voxels_of_the_mask_are_kept(stack, tmp_path):
    wanted = np.zeros(stack.geometry.mask.shape, bool)
    wanted[10:20, :10] = True
    found = restrict_stack(stack, save(tmp_path / "mask.nii.gz", wanted))
    both = wanted & stack.geometry.mask
    np.testing.assert_array_equal(found.geometry.mask, both)
    expected = stack.geometry.volume(stack.effect[1])[both]
    np.testing.assert_array_equal(found.effect[1], expected)
    np.testing.assert_array_equal(found.variance, found.effect)


def test_no_mask_keeps_all(stack):
    assert restrict_stack(stack, None) is stack


def test_mask_on_another_grid_is_refused_by_name(stack, tmp_path):
    path = save(tmp_path / "other.nii.gz", np.ones((20, 24, 20)))
    with pytest.raises(InputError, match=r"other\.nii\.gz is on another grid"):
        restrict_stack(stack, path)


def test_mask_on_another_grid_is_resampled_when_asked(stack, tmp_path):
    coarse = AFFINE @ np.diag([2.0, 2, 2, 1])
    path = save(tmp_path / "other.nii.gz", np.ones((20, 24, 20)), coarse)
    assert restrict_stack(stack, path, resample=True).geometry.n_points > 0.9 * stack.geometry.n_points


def test_mask_without_data_is_refused(stack, tmp_path):
    with pytest.raises(InputError, match="none of its voxels has data"):
        restrict_stack(stack, save(tmp_path / "empty.nii.gz", np.zeros(stack.geometry.mask.shape)))


def test_grey_matter_is_a_part_of_the_brain(stack):
    share = restrict_stack(stack, "grey-matter").geometry.n_points / stack.geometry.n_points
    assert 0.2 < share < 0.9


def test_a_subject_who_costs_most_of_the_voxels_is_named():
    there = np.ones((4, 10), bool)
    there[2, 2:] = False
    files = [SimpleNamespace(key=EstimateKey("n", "run", "c", (("sub", f"{n:02d}"),))) for n in range(1, 5)]
    packed = [np.packbits(row) for row in there]
    coverage = there.sum(axis=0).reshape(10, 1, 1)
    (note,) = find_losses(files, packed, coverage, 1.0)
    assert "sub-03 covers 20 % of the voxels" in note
    assert "with it 2 voxels are analysed, without it 10" in note
    assert find_losses(files, packed, coverage, 0.75) == ()


def test_subjects_who_cost_voxels_are_left_out_with_all_their_maps():
    """Voxels are analysed where four of five maps have data: with three subjects less there are most."""
    there = np.ones((12, 40), bool)
    for maps, missing in (([0, 1], slice(8, 40)), ([2, 3], slice(0, 20)), ([4, 5, 6], slice(0, 11))):
        there[maps, missing] = False
    files = [
        SimpleNamespace(key=EstimateKey("n", "run", "c", (("sub", f"{n // 2:02d}"),))) for n in range(12)
    ]
    coverage = there.sum(axis=0).reshape(40, 1, 1)
    (note,) = find_losses(files, [np.packbits(row) for row in there], coverage, 0.8)
    assert "sub-00 covers 22 %, sub-01 covers 54 %, sub-02 covers 78 % of the voxels" in note
    assert "with them 20 voxels are analysed, without them 37" in note
