"""Group maps of SPM12 and PALM on the synthetic maps of ../shared/reference."""

import nibabel as nib
import numpy as np
import pytest
from scipy import stats

from bidsapp.records import Contrast, GroupDesign
from bidsapp.stats.group_estimators import fit_group

# The programs write float32.
SINGLE = 2e-6


@pytest.fixture(scope="module")
def read(shared):
    """Return a function that reads a reference image as (..., n_voxels)."""
    mask = nib.load(shared / "reference" / "mask.nii.gz").get_fdata() > 0
    return lambda name: nib.load(shared / "reference" / f"{name}.nii.gz").get_fdata()[mask].T


@pytest.fixture(scope="module")
def table(shared):
    return lambda name: np.loadtxt(shared / "reference" / f"{name}.csv", delimiter=",")


def fit(effects, matrix, test, weights, **more):
    columns = tuple(f"x{index}" for index in range(matrix.shape[1]))
    contrast = Contrast("c", test, columns, np.atleast_2d(weights))
    return fit_group(effects, None, GroupDesign(matrix, (contrast,), **more))[0]


@pytest.mark.parametrize("reference", ["spm_t", "palm_t_pos"])
def test_one_sample_t_equals(read, reference):
    found = fit(read("one_sample/effects"), np.ones((10, 1)), "t", [1.0])
    np.testing.assert_allclose(found.statistic, read(f"one_sample/{reference}"), rtol=0, atol=SINGLE)


@pytest.mark.parametrize("reference", ["spm_t", "palm_t"])
def test_two_group_t_with_a_covariate_equals(read, table, reference):
    found = fit(read("two_groups/effects"), table("two_groups/design"), "t", table("two_groups/contrast"))
    np.testing.assert_allclose(found.statistic, read(f"two_groups/{reference}"), rtol=0, atol=SINGLE)


def test_two_group_residual_variance_equals_spm(read, table):
    matrix, weights = table("two_groups/design"), table("two_groups/contrast")
    found = fit(read("two_groups/effects"), matrix, "t", weights)
    residual = found.variance / (weights @ np.linalg.inv(matrix.T @ matrix) @ weights)
    np.testing.assert_allclose(residual, read("two_groups/spm_residual_variance"), rtol=SINGLE)


def test_repeated_measures_f_equals_palm(read, table):
    found = fit(
        read("repeated_measures/effects"),
        table("repeated_measures/design"),
        "F",
        table("repeated_measures/t_contrasts"),
    )
    expected = read("repeated_measures/palm_F")
    np.testing.assert_allclose(found.statistic, expected, rtol=SINGLE, atol=SINGLE)
    assert (found.dof_numerator, found.dof[0]) == (2, 14)


def test_aspin_welch_v_of_two_groups_is_welchs_on_the_same_maps(read):
    """PALM divides these degrees of freedom by 3; its v map is not among the reference files."""
    effects = read("two_groups/effects")
    groups = np.repeat([1, 2], [9, 11])
    matrix = (groups[:, None] == [1, 2]).astype(float)
    found = fit(effects, matrix, "t", [-1.0, 1.0], variance_groups=groups)
    expected = stats.ttest_ind(effects[9:], effects[:9], equal_var=False)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-10)
    np.testing.assert_allclose(found.dof, expected.df, rtol=1e-10)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)
