"""Group maps of SPM12 and PALM on simulated maps; see maps/README.md."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.estimators import fit_group

MAPS = Path(__file__).parent / "maps"
# The programs write float32.
SINGLE = 2e-6


@pytest.fixture(scope="module")
def one_sample():
    return np.load(MAPS / "one_sample.npz")


@pytest.fixture(scope="module")
def two_groups():
    return np.load(MAPS / "two_groups.npz")


@pytest.fixture(scope="module")
def repeated():
    return np.load(MAPS / "repeated_measures.npz")


def fit(effects, matrix, test, weights, **more):
    columns = tuple(f"x{index}" for index in range(matrix.shape[1]))
    contrast = Contrast("c", test, columns, np.atleast_2d(weights))
    return fit_group(effects, None, GroupDesign(matrix, (contrast,), **more))[0]


@pytest.mark.parametrize("peer", ["spm_t", "palm_t_pos"])
def test_one_sample_t_equals(one_sample, peer):
    found = fit(one_sample["effects"], np.ones((10, 1)), "t", [1.0])
    np.testing.assert_allclose(found.statistic, one_sample[peer], rtol=0, atol=SINGLE)


def test_one_sample_effect_and_variance_equal_spm(one_sample):
    found = fit(one_sample["effects"], np.ones((10, 1)), "t", [1.0])
    np.testing.assert_allclose(found.effect, one_sample["spm_effect"], rtol=0, atol=SINGLE)
    np.testing.assert_allclose(10 * found.variance, one_sample["spm_residual_variance"], rtol=SINGLE)


@pytest.mark.parametrize("peer", ["spm_t", "palm_t"])
def test_two_group_t_with_a_covariate_equals(two_groups, peer):
    found = fit(two_groups["effects"], two_groups["design"], "t", two_groups["contrast"])
    np.testing.assert_allclose(found.statistic, two_groups[peer], rtol=0, atol=SINGLE)


def test_two_group_residual_variance_equals_spm(two_groups):
    matrix, (weights,) = two_groups["design"], two_groups["contrast"]
    found = fit(two_groups["effects"], matrix, "t", weights)
    residual = found.variance / (weights @ np.linalg.inv(matrix.T @ matrix) @ weights)
    np.testing.assert_allclose(residual, two_groups["spm_residual_variance"], rtol=SINGLE)


def test_repeated_measures_f_equals_palm(repeated):
    found = fit(repeated["effects"], repeated["design"], "F", repeated["t_contrasts"])
    np.testing.assert_allclose(found.statistic, repeated["palm_F"], rtol=SINGLE, atol=SINGLE)
    assert (found.dof_numerator, found.dof[0]) == (2, 14)


def test_aspin_welch_v_of_two_groups_is_welchs_on_the_same_maps(two_groups):
    """PALM divides these degrees of freedom by 3; its v map is not among the reference files."""
    effects = two_groups["effects"].astype(float)
    groups = np.repeat([1, 2], [9, 11])
    matrix = (groups[:, None] == [1, 2]).astype(float)
    found = fit(effects, matrix, "t", [-1.0, 1.0], variance_groups=groups)
    expected = stats.ttest_ind(effects[9:], effects[:9], equal_var=False)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-10)
    np.testing.assert_allclose(found.dof, expected.df, rtol=1e-10)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)
