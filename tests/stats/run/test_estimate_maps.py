"""Statistic, z and p maps of estimates."""

import numpy as np
import pytest
from scipy import stats

from bidsapp.records.maps import Estimate, JointEstimate
from bidsapp.stats.run.maps import joint_f, make_f_maps, make_t_maps


def test_t_maps_have_two_sided_p_and_signed_z():
    maps = make_t_maps(Estimate("a", np.array([2.0, -2.0]), np.array([1.0, 4.0]), 10))
    np.testing.assert_allclose(maps["t"], [2.0, -1.0])
    np.testing.assert_allclose(maps["p"], 2 * stats.t.sf([2.0, 1.0], 10))
    np.testing.assert_allclose(
        maps["z"], [stats.norm.isf(stats.t.sf(2, 10)), -stats.norm.isf(stats.t.sf(1, 10))]
    )


def test_dof_is_a_map_only_where_it_differs_by_voxel():
    fixed = make_t_maps(Estimate("a", np.ones(2), np.ones(2), 10))
    varying = make_t_maps(Estimate("a", np.ones(2), np.ones(2), np.array([5.0, 6.0])))
    assert ("dof" in fixed, "dof" in varying) == (False, True)


def test_joint_f_is_the_wald_statistic_over_the_number_of_rows(rng):
    effect = rng.standard_normal((2, 5))
    root = rng.standard_normal((5, 2, 2))
    covariance = root @ root.transpose(0, 2, 1) + np.eye(2)
    expected = [e @ np.linalg.inv(c) @ e / 2 for e, c in zip(effect.T, covariance, strict=True)]
    np.testing.assert_allclose(joint_f(effect, np.moveaxis(covariance, 0, -1)), expected)


def test_f_maps_agree_with_scipy():
    estimate = JointEstimate("a", np.array([[1.0], [2.0]]), np.eye(2)[..., None], 12)
    maps = make_f_maps(estimate)
    assert maps["F"] == pytest.approx(2.5)
    assert maps["p"] == pytest.approx(stats.f.sf(2.5, 2, 12))


def test_missing_and_constant_voxels_are_nan():
    covariance = np.stack([np.eye(2) * np.nan, np.zeros((2, 2))], axis=-1)
    assert np.isnan(joint_f(np.ones((2, 2)), covariance)).all()
    assert np.isnan(make_t_maps(Estimate("a", np.array([np.nan]), np.array([np.nan]), 3))["z"]).all()
