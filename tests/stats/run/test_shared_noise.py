import numpy as np
import pytest

from bidsapp.records.maps import Contrast, Estimate, JointEstimate
from bidsapp.stats.run.fixed_effects import combine_joint_estimates, combine_with_shares
from bidsapp.stats.run.shared_noise import Part, RunContrasts, combine_dependent, join_parts, share_noise

N_VOXELS = 30


def make_run(rng, label, n_contrasts=3, dof=1e12):
    """Return the estimates of the contrasts of a run, their parts, and their covariance by voxel."""
    roots = rng.normal(size=(4, n_contrasts, n_contrasts + 2))
    covariances = roots @ np.swapaxes(roots, 1, 2)
    bins, scale = rng.integers(0, 4, N_VOXELS), rng.uniform(0.5, 2.0, N_VOXELS)
    full = covariances[bins] * scale[:, None, None]
    deviations = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    correlations = covariances / deviations[:, :, None] / deviations[:, None, :]
    variances = tuple(full[:, index, index] for index in range(n_contrasts))
    run = RunContrasts(label, variances, correlations, bins, dof)
    effects = rng.normal(size=(n_contrasts, N_VOXELS))
    estimates = [Estimate(f"c{i}", effects[i], variances[i], dof) for i in range(n_contrasts)]
    return estimates, [(Part(run, {i: 1.0}),) for i in range(n_contrasts)], full


@pytest.fixture
def two_runs(rng):
    first, second = make_run(rng, "run-1"), make_run(rng, "run-2")
    return first[0] + second[0], first[1] + second[1], (first[2], second[2])


MATRIX = np.vstack([np.eye(3), np.eye(3)])


def make_contrast(*weights, test="t"):
    return Contrast("made", test, ("a", "b", "c"), np.atleast_2d(weights))


def solve_voxel(estimates, covariances, weights, voxel):
    """Return effect and covariance by the textbook, for two runs of the same contrasts."""
    precisions = [np.linalg.inv(full[voxel]) for full in covariances]
    effects = np.array([estimate.effect[voxel] for estimate in estimates]).reshape(2, 3)
    pooled = np.linalg.inv(sum(precisions))
    combined = pooled @ sum(p @ b for p, b in zip(precisions, effects, strict=True))
    return weights @ combined, weights @ pooled @ weights.T


def test_generalized_least_squares_over_runs_equal_the_formula(two_runs):
    estimates, parts, covariances = two_runs
    made, _ = combine_dependent(estimates, parts, MATRIX, make_contrast(1.0, -1.0, 0.0))
    for voxel in range(N_VOXELS):
        effect, variance = solve_voxel(estimates, covariances, np.array([[1.0, -1, 0]]), voxel)
        np.testing.assert_allclose(made.effect[voxel], effect[0], rtol=1e-9)
        np.testing.assert_allclose(made.variance[voxel], variance[0, 0], rtol=1e-9)


def test_an_f_test_has_the_covariance_of_its_rows(two_runs):
    estimates, parts, covariances = two_runs
    rows = np.array([[1.0, -1, 0], [0, 1, -1]])
    made, _ = combine_dependent(estimates, parts, MATRIX, make_contrast(*rows, test="F"))
    effect, covariance = solve_voxel(estimates, covariances, rows, 7)
    np.testing.assert_allclose(made.effect[:, 7], effect, rtol=1e-9)
    np.testing.assert_allclose(made.covariance[:, :, 7], covariance, rtol=1e-9)


def test_dof_of_runs_with_equal_covariance_add_up(rng):
    estimates, parts, _ = make_run(rng, "run-1", dof=100.0)
    again = [(Part(_relabelled(made_from[0].run), made_from[0].weights),) for made_from in parts]
    made, _ = combine_dependent(estimates * 2, parts + again, MATRIX, make_contrast(1.0, 1.0, 0.0))
    np.testing.assert_allclose(made.dof, 200.0, rtol=1e-9)


def _relabelled(run):
    return RunContrasts("run-2", run.variances, run.correlations, run.bins, run.dof)


@pytest.mark.parametrize("dof", [8.0, 50.0])
@pytest.mark.parametrize("method", ["precision", "equal"])
def test_independent_inputs_give_what_the_plain_combination_gives(rng, dof, method):
    runs = [make_run(rng, f"run-{k}", n_contrasts=1, dof=dof) for k in range(3)]
    estimates, parts = [run[0][0] for run in runs], [run[1][0] for run in runs]
    matrix = np.ones((3, 1))
    plain, shares = combine_with_shares(estimates, matrix, np.ones(1), method=method)
    one = Contrast("made", "t", ("intercept",), np.ones((1, 1)))
    made, carried = combine_dependent(estimates, parts, matrix, one, method=method)
    for name in ("effect", "variance", "dof"):
        np.testing.assert_allclose(getattr(made, name), getattr(plain, name), rtol=1e-9)
    np.testing.assert_allclose(carried, shares, rtol=1e-9)


@pytest.mark.parametrize("method", ["precision", "equal"])
def test_inputs_carry_into_the_first_row_of_an_f_test_what_they_do_into_it_alone(rng, method):
    runs = [make_run(rng, f"run-{k}", dof=9.0) for k in range(2)]
    estimates, parts = ([item for run in runs for item in run[k]] for k in range(2))
    rows = np.array([[1.0, -1, 0], [0, 1, -1]])
    joint, carried = combine_dependent(
        estimates, parts, MATRIX, make_contrast(*rows, test="F"), method=method
    )
    alone, expected = combine_dependent(estimates, parts, MATRIX, make_contrast(rows[0]), method=method)
    np.testing.assert_allclose(carried, expected, rtol=1e-7)
    np.testing.assert_allclose(joint.covariance[0, 0], alone.variance, rtol=1e-7)
    assert np.abs(expected).max() > 0.1


def test_combining_in_two_steps_is_combining_at_once(rng):
    sessions = [make_run(rng, f"run-{k}") for k in range(2)]
    middle, middle_parts = [], []
    for estimates, parts, _ in sessions:
        for index in range(3):
            row = make_contrast(*np.eye(3)[index])
            estimate, carried = combine_dependent(estimates, parts, np.eye(3), row)
            middle.append(estimate)
            middle_parts.append(join_parts(parts, carried))
    wanted = make_contrast(1.0, -1.0, 0.0)
    twice, _ = combine_dependent(middle, middle_parts, MATRIX, wanted)
    estimates, parts = ([item for s in sessions for item in s[k]] for k in range(2))
    once, _ = combine_dependent(estimates, parts, MATRIX, wanted)
    np.testing.assert_allclose(twice.effect, once.effect, rtol=1e-9)
    np.testing.assert_allclose(twice.variance, once.variance, rtol=1e-9)


def test_a_contrast_beside_those_it_is_made_of_adds_nothing(two_runs):
    estimates, parts, _ = two_runs
    run, step = parts[0][0].run, np.array([1.0, -1.0, 0.0])
    difference = Estimate("d", estimates[0].effect - estimates[1].effect, _variance(run, step), 1e12)
    more = (Part(run, {0: 1.0, 1: -1.0}),)
    matrix = np.vstack([MATRIX, step])
    wanted = make_contrast(0.0, 1.0, 1.0)
    with_it, _ = combine_dependent([*estimates, difference], [*parts, more], matrix, wanted)
    without, _ = combine_dependent(estimates, parts, MATRIX, wanted)
    np.testing.assert_allclose(with_it.effect, without.effect, rtol=1e-6)
    np.testing.assert_allclose(with_it.variance, without.variance, rtol=1e-6)


def _variance(run, weights):
    full = run.covariance([0, 1, 2], np.arange(N_VOXELS))
    return np.einsum("i,vij,j->v", weights, full, weights)


def test_a_voxel_uses_the_inputs_that_have_it(two_runs):
    estimates, parts, covariances = two_runs
    gone = [
        Estimate(e.contrast, np.where(np.arange(N_VOXELS) == 3, np.nan, e.effect), e.variance, e.dof)
        for e in estimates[3:]
    ]
    made, _ = combine_dependent(estimates[:3] + gone, parts, MATRIX, make_contrast(1.0, -1.0, 0.0))
    first = covariances[0][3]
    assert made.variance[3] == pytest.approx(first[0, 0] + first[1, 1] - 2 * first[0, 1])


def test_three_rows_over_runs_are_the_joint_estimate(rng):
    runs = [make_run(rng, f"run-{k}", dof=dof) for k, dof in enumerate((9.0, 14.0))]
    estimates, parts = ([item for run in runs for item in run[k]] for k in range(2))
    made, _ = combine_dependent(estimates, parts, MATRIX, make_contrast(*np.eye(3), test="F"))
    joint = combine_joint_estimates(
        [
            JointEstimate(
                "F", np.stack([e.effect for e in run[0]]), np.moveaxis(run[2], 0, -1), run[0][0].dof
            )
            for run in runs
        ]
    )
    for name in ("effect", "covariance", "dof"):
        np.testing.assert_allclose(getattr(made, name), getattr(joint, name), rtol=1e-8)


def test_an_input_that_has_no_part_in_a_contrast_carries_nothing(rng):
    runs = [make_run(rng, f"run-{k}", n_contrasts=1, dof=9.0) for k in range(2)]
    estimates, parts = [run[0][0] for run in runs], [run[1][0] for run in runs]
    first = Contrast("made", "t", ("a", "b"), np.array([[1.0, 0.0]]))
    made, carried = combine_dependent(estimates, parts, np.eye(2), first)
    np.testing.assert_allclose(made.variance, estimates[0].variance, rtol=1e-12)
    np.testing.assert_allclose(carried, np.repeat([[1.0], [0.0]], N_VOXELS, axis=1), rtol=1e-12)


def test_chunks_do_not_change_the_result(two_runs, monkeypatch):
    estimates, parts, _ = two_runs
    whole, _ = combine_dependent(estimates, parts, MATRIX, make_contrast(1.0, 0.0, 1.0))
    monkeypatch.setattr("bidsapp.stats.blocks.BLOCK_NUMBERS", 1)
    cut, _ = combine_dependent(estimates, parts, MATRIX, make_contrast(1.0, 0.0, 1.0))
    np.testing.assert_array_equal(whole.variance, cut.variance)


def test_runs_in_common_are_found(two_runs):
    _, parts, _ = two_runs
    assert share_noise(parts)
    assert not share_noise([parts[0], parts[3]])


@pytest.mark.slow
def test_variance_with_few_dof_is_that_of_repeated_data(rng):
    """Runs of 6 dof whose weights are estimated: the mean variance given is the variance of the effects."""
    n_draws, dof = 40_000, 6
    shapes = [np.array([[1.0, 0.6], [0.6, 1.0]]), np.array([[1.0, -0.3], [-0.3, 2.0]])]
    runs, estimates, parts = [], [], []
    for number, shape in enumerate(shapes):
        sigma = rng.chisquare(dof, n_draws) / dof
        effects = np.linalg.cholesky(shape) @ rng.normal(size=(2, n_draws))
        deviations = np.sqrt(np.diag(shape))
        correlation = shape / deviations[:, None] / deviations
        variances = tuple(sigma * shape[i, i] for i in range(2))
        runs.append(RunContrasts(f"run-{number}", variances, correlation[None], np.zeros(n_draws, int), dof))
        estimates += [Estimate("c", effects[i], variances[i], dof) for i in range(2)]
        parts += [(Part(runs[-1], {i: 1.0}),) for i in range(2)]
    row = Contrast("made", "t", ("a", "b"), np.array([[1.0, -1.0]]))
    made, _ = combine_dependent(estimates, parts, np.vstack([np.eye(2), np.eye(2)]), row)
    true = made.effect.var()
    # Standard error of a variance over the draws: sqrt(2 / n); the correction is of first order in 1 / dof.
    assert made.variance.mean() / true == pytest.approx(1.0, abs=4 * np.sqrt(2 / n_draws) + 0.03)
