import numpy as np
import pytest

from bidsapp.records import Estimate, JointEstimate
from bidsapp.stats.fixed_effects import combine_estimates, combine_joint_estimates


@pytest.fixture
def runs(rng):
    return [Estimate("c", rng.normal(size=50), rng.uniform(0.1, 3, 50), dof) for dof in (20.0, 35.0, 90.0)]


def joint(rng, dof, n_rows=2, n_voxels=40):
    root = rng.normal(size=(n_voxels, n_rows, n_rows))
    covariance = np.moveaxis(root @ np.swapaxes(root, 1, 2) + np.eye(n_rows), 0, -1)
    return JointEstimate("F", rng.normal(size=(n_rows, n_voxels)), covariance, dof)


def test_fixed_effects_of_one_run_is_that_run(runs):
    combined = combine_estimates(runs[:1])
    np.testing.assert_array_equal(combined.effect, runs[0].effect)
    np.testing.assert_array_equal(combined.variance, runs[0].variance)
    assert combined.dof == 20.0


def test_precision_weights_equal_the_formula(runs):
    weights = np.stack([1 / r.variance for r in runs])
    combined = combine_estimates(runs)
    expected = sum(w * r.effect for w, r in zip(weights, runs, strict=True)) / weights.sum(axis=0)
    np.testing.assert_allclose(combined.effect, expected, rtol=1e-12)
    np.testing.assert_allclose(combined.variance, 1 / weights.sum(axis=0), rtol=1e-12)


def test_equal_weights_are_the_mean(runs):
    combined = combine_estimates(runs, method="equal")
    np.testing.assert_allclose(combined.effect, np.mean([r.effect for r in runs], axis=0), rtol=1e-12)
    np.testing.assert_allclose(combined.variance, np.sum([r.variance for r in runs], axis=0) / 9, rtol=1e-12)


def test_dof_are_those_of_satterthwaite(runs):
    combined = combine_estimates(runs, method="equal")
    pieces = np.stack([r.variance / 9 for r in runs])
    expected = pieces.sum(axis=0) ** 2 / sum(p**2 / r.dof for p, r in zip(pieces, runs, strict=True))
    np.testing.assert_allclose(combined.dof, expected, rtol=1e-12)


def test_dof_of_equal_runs_add_up():
    runs = [Estimate("c", np.ones(3), np.full(3, 2.0), 30.0) for _ in range(4)]
    np.testing.assert_allclose(combine_estimates(runs).dof, 120.0, rtol=1e-12)


def test_signs_of_a_contrast_over_runs_are_applied(runs):
    combined = combine_estimates(runs[:2], np.eye(2), [1, -1])
    np.testing.assert_allclose(combined.effect, runs[0].effect - runs[1].effect, rtol=1e-12)
    np.testing.assert_allclose(combined.variance, runs[0].variance + runs[1].variance, rtol=1e-12)


def test_weights_of_one_run_scale_it(runs):
    combined = combine_estimates(runs[:1], np.ones((1, 1)), [-2.0])
    np.testing.assert_allclose(combined.effect, -2 * runs[0].effect)
    np.testing.assert_allclose(combined.variance, 4 * runs[0].variance)
    np.testing.assert_allclose(combined.dof, 20.0)


def test_trend_over_runs_is_weighted_least_squares(runs):
    matrix = np.column_stack([np.ones(3), [-1, 0, 1.0]])
    combined = combine_estimates(runs, matrix, [0, 1])
    precision = np.diag([1 / r.variance[7] for r in runs])
    inner = np.linalg.inv(matrix.T @ precision @ matrix)
    beta = inner @ matrix.T @ precision @ [r.effect[7] for r in runs]
    np.testing.assert_allclose(combined.effect[7], beta[1], rtol=1e-10)
    np.testing.assert_allclose(combined.variance[7], inner[1, 1], rtol=1e-10)


def test_a_voxel_uses_the_runs_that_have_it(runs):
    runs[1].effect[4] = np.nan
    runs[0].effect[5] = runs[1].effect[5] = runs[2].effect[5] = np.nan
    combined = combine_estimates(runs)
    np.testing.assert_allclose(combined.effect[4], combine_estimates([runs[0], runs[2]]).effect[4])
    assert np.isnan(combined.effect[5])
    assert np.isnan(combine_estimates(runs, np.eye(3), [1, -1, 0]).effect[4])


def test_precision_weights_do_not_depend_on_the_unit(runs):
    tiny = [Estimate("c", 1e-9 * r.effect, 1e-18 * r.variance, r.dof) for r in runs]
    np.testing.assert_allclose(
        combine_estimates(tiny).effect, 1e-9 * combine_estimates(runs).effect, rtol=1e-10
    )


def test_joint_estimate_equals_the_formula(rng):
    runs = [joint(rng, 30.0), joint(rng, 80.0)]
    combined = combine_joint_estimates(runs)
    precisions = [np.linalg.inv(r.covariance[:, :, 3]) for r in runs]
    total = np.linalg.inv(sum(precisions))
    expected = total @ sum(p @ r.effect[:, 3] for p, r in zip(precisions, runs, strict=True))
    np.testing.assert_allclose(combined.effect[:, 3], expected, rtol=1e-10)
    np.testing.assert_allclose(combined.covariance[:, :, 3], total, rtol=1e-10)


def test_joint_estimate_of_one_row_is_the_estimate(rng, runs):
    joints = [JointEstimate("c", r.effect[None], r.variance[None, None], r.dof) for r in runs]
    combined, plain = combine_joint_estimates(joints), combine_estimates(runs)
    np.testing.assert_allclose(combined.effect[0], plain.effect, rtol=1e-12)
    np.testing.assert_allclose(combined.covariance[0, 0], plain.variance, rtol=1e-12)
    np.testing.assert_allclose(combined.dof, plain.dof, rtol=1e-10)


def test_joint_estimate_of_one_run_is_that_run(rng):
    run = joint(rng, 30.0)
    np.testing.assert_array_equal(combine_joint_estimates([run]).covariance, run.covariance)
