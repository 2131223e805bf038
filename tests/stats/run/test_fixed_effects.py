from dataclasses import replace

import nibabel
import numpy as np
import pytest
from nilearn.glm.contrasts import compute_fixed_effects
from scipy import stats

from bidsapp.records.maps import Contrast, Estimate, JointEstimate
from bidsapp.stats.distributions import t_to_z, z_to_log_p
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.fixed_effects import combine_joint_estimates, combine_with_shares
from bidsapp.stats.run.glm import estimate_f, estimate_t, fit_run_glm
from bidsapp.stats.run.maps import joint_f, make_f_maps
from bidsapp.stats.run.sums import accumulate


def combine_estimates(*inputs, **options):
    return combine_with_shares(*inputs, **options)[0]


@pytest.fixture
def runs(rng):
    return [Estimate("c", rng.normal(size=50), rng.uniform(0.1, 3, 50), dof) for dof in (20.0, 35.0, 90.0)]


def corrected(runs):
    """Return the variance of a weighted mean, corrected for estimated weights (Meier 1953)."""
    precision = np.stack([1 / r.variance for r in runs])
    p = precision / precision.sum(axis=0)
    excess = sum(4 * share * (1 - share) / r.dof for share, r in zip(p, runs, strict=True))
    return (1 + excess) / precision.sum(axis=0)


def endless(runs):
    """Return runs of known variance: no correction for estimated weights."""
    return [replace(run, dof=1e15) for run in runs]


def joint(rng, dof, n_rows=2, n_voxels=40):
    root = rng.normal(size=(n_voxels, n_rows, n_rows))
    covariance = np.moveaxis(root @ np.swapaxes(root, 1, 2) + np.eye(n_rows), 0, -1)
    return JointEstimate("F", rng.normal(size=(n_rows, n_voxels)), covariance, dof)


def test_fixed_effects_of_one_run_is_that_run(runs):
    combined = combine_estimates(runs[:1])
    np.testing.assert_array_equal(combined.effect, runs[0].effect)
    np.testing.assert_array_equal(combined.variance, runs[0].variance)
    assert combined.dof == 20.0


@pytest.mark.parametrize("method", ["precision", "equal", "ols"])
def test_an_input_without_variance_is_missing(runs, method):
    """A voxel that is constant in a run has an effect of 0 with the variance 0, which would win."""
    constant = replace(runs[0], effect=np.zeros(50), variance=np.zeros(50))
    found = combine_estimates([constant, *runs[1:]], method=method)
    expected = combine_estimates(runs[1:], method=method)
    np.testing.assert_allclose(found.effect, expected.effect, rtol=1e-12)
    np.testing.assert_allclose(found.variance, expected.variance, rtol=1e-12)


def test_precision_weights_equal_the_formula(runs):
    weights = np.stack([1 / r.variance for r in runs])
    combined = combine_estimates(runs)
    expected = sum(w * r.effect for w, r in zip(weights, runs, strict=True)) / weights.sum(axis=0)
    np.testing.assert_allclose(combined.effect, expected, rtol=1e-12)
    np.testing.assert_allclose(combined.variance, corrected(runs), rtol=1e-12)


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
    combined = combine_estimates(endless(runs), matrix, [0, 1])
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


def test_ols_takes_the_variance_from_the_differences(runs):
    combined = combine_estimates(runs, method="ols")
    t = stats.ttest_1samp([r.effect for r in runs], 0.0)
    np.testing.assert_allclose(combined.effect / np.sqrt(combined.variance), t.statistic, rtol=1e-10)
    assert np.unique(combined.dof) == 2.0


def test_runs_that_do_not_differ_have_no_variance_between_them(runs):
    runs = [replace(run, effect=np.zeros(50)) for run in runs[:2]]
    runs[1].effect[3] = 1.0
    combined = combine_estimates(runs, method="ols")
    assert np.flatnonzero(np.isfinite(combined.variance)).tolist() == [3]
    np.testing.assert_allclose(combined.variance[3], 0.25)


def test_a_variance_between_runs_that_is_rounding_of_their_effects_is_none(rng):
    """The mean of three equal numbers is often not quite that number."""
    same = rng.normal(size=50) * 100
    runs = [Estimate("c", same.copy(), np.ones(50), 40.0) for _ in range(3)]
    runs[1].effect[3] += 1e-6
    combined = combine_estimates(runs, method="ols")
    assert np.flatnonzero(np.isfinite(combined.variance)).tolist() == [3]
    np.testing.assert_allclose(combined.variance[3], np.square(1e-6) / 9, rtol=1e-3)
    saturated = combine_estimates(runs, np.linalg.qr(rng.normal(size=(3, 3)))[0], [1.0, 0, 0], method="ols")
    assert np.isnan(saturated.variance).all()


@pytest.mark.parametrize("dof", [19, 20, 30, 1000])
def test_the_correction_for_estimated_weights_has_no_border(rng, dof):
    runs = [Estimate("c", rng.normal(size=9), rng.uniform(0.1, 3, 9), dof) for _ in range(4)]
    np.testing.assert_allclose(combine_estimates(runs).variance, corrected(runs), rtol=1e-12)


def test_small_dof_get_the_correction_of_meier():
    runs = [Estimate("c", np.zeros(1), np.array([v]), d) for v, d in ((0.1, 4.0), (0.3, 6.0))]
    p = 10 / (10 + 1 / 0.3)
    expected = (1 + 4 * p * (1 - p) * (1 / 4 + 1 / 6)) / (10 + 1 / 0.3)
    np.testing.assert_allclose(combine_estimates(runs).variance, expected, rtol=1e-12)
    np.testing.assert_allclose(combine_estimates(runs, np.eye(2), [1, -1]).variance, 0.4, rtol=1e-12)


@pytest.mark.parametrize("method", ["precision", "equal"])
def test_size_with_few_and_unequal_dof_is_near_nominal(rng, method):
    n_voxels, dof, truth = 40_000, 4.0, (0.1, 10.0)
    runs = [
        Estimate("c", rng.normal(size=n_voxels) * v**0.5, v * rng.chisquare(dof, n_voxels) / dof, dof)
        for v in truth
    ]
    combined = combine_estimates(runs, method=method)
    p = np.exp(z_to_log_p(t_to_z(combined.effect / np.sqrt(combined.variance), combined.dof)))
    # nilearn: 0.090 and 0.082 (dof summed). The tolerance is the remaining error of the approximation.
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.015)


def gls(matrix, series, covariance):
    inner = np.linalg.inv(matrix.T @ np.linalg.solve(covariance, matrix))
    return inner @ matrix.T @ np.linalg.solve(covariance, series), inner


def two_runs(rng):
    """Return designs, series and estimates of two runs with 3 conditions and own nuisance, and sigma^2."""
    made = []
    for n_volumes, sigma in ((60, 1.0), (90, 4.0)):
        matrix = np.column_stack([rng.normal(size=(n_volumes, 6)), np.ones(n_volumes)])
        series = 500 + sigma * rng.normal(size=(n_volumes, 5))
        sums = accumulate([series], make_time_model(matrix), n_lags=0, scaling="none")
        made.append((matrix, series, fit_run_glm(sums, noise_model="ols")))
    return made


def named(weights, test):
    weights = np.atleast_2d(weights)
    return Contrast("c", test, tuple("abcdefg"), weights)


def joint_glm(made, voxel, shared):
    """Return parameters and covariance of one GLM over both runs; the first ``shared`` columns are common."""
    (first, y1, fit1), (second, y2, fit2) = made
    own = [np.hstack([m[:, shared:], np.zeros((len(m), 7 - shared))]) for m in (first, second)]
    own[1] = np.roll(own[1], 7 - shared, axis=1)
    matrix = np.vstack([np.hstack([m[:, :shared], o]) for m, o in zip((first, second), own, strict=True)])
    sigma = [np.full(len(m), f.sigma_square[voxel]) for m, f in ((first, fit1), (second, fit2))]
    return gls(matrix, np.concatenate([y1[:, voxel], y2[:, voxel]]), np.diag(np.concatenate(sigma)))


def test_difference_between_runs_equals_the_joint_glm(rng):
    made = two_runs(rng)
    weights = np.eye(7)[0] - np.eye(7)[1]
    estimates = [estimate_t(fit, named(weights, "t")) for _, _, fit in made]
    combined = combine_estimates(estimates, np.eye(2), [1, -1])
    beta, covariance = joint_glm(made, 2, shared=0)
    c = np.concatenate([weights, -weights])
    np.testing.assert_allclose(combined.effect[2], c @ beta, rtol=1e-8)
    np.testing.assert_allclose(combined.variance[2], c @ covariance @ c, rtol=1e-8)


def test_f_over_runs_equals_the_joint_glm(rng):
    made = two_runs(rng)
    joints = [estimate_f(fit, named(np.eye(7)[:3], "F")) for _, _, fit in made]
    combined = combine_joint_estimates(endless(joints))
    beta, covariance = joint_glm(made, 2, shared=3)
    expected = beta[:3] @ np.linalg.solve(covariance[:3, :3], beta[:3]) / 3
    np.testing.assert_allclose(combined.effect[:, 2], beta[:3], rtol=1e-7)
    np.testing.assert_allclose(joint_f(combined.effect, combined.covariance)[2], expected, rtol=1e-7)


def test_default_equals_nilearn(rng, geometry_of):
    runs = [Estimate("c", rng.normal(size=27), rng.uniform(0.1, 3, 27), dof) for dof in (80.0, 95.0)]
    images = [[geometry_of(getattr(r, name)) for r in runs] for name in ("effect", "variance")]
    effect, variance, t, _ = compute_fixed_effects(
        *images, mask=geometry_of(np.ones(27)), precision_weighted=True, dofs=[80, 95]
    )
    ours = combine_estimates(endless(runs))
    np.testing.assert_allclose(ours.effect, effect.get_fdata().ravel(), rtol=1e-6)
    np.testing.assert_allclose(ours.variance, variance.get_fdata().ravel(), rtol=1e-6)
    np.testing.assert_allclose(ours.effect / np.sqrt(ours.variance), t.get_fdata().ravel(), rtol=1e-6)


@pytest.fixture
def geometry_of():
    """Return a maker of 3 x 3 x 3 images."""
    return lambda values: nibabel.Nifti1Image(np.reshape(values, (3, 3, 3)), np.eye(4))


def test_joint_estimate_equals_the_formula(rng):
    runs = [joint(rng, 30.0), joint(rng, 80.0)]
    combined = combine_joint_estimates(endless(runs))
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


def test_f_of_rows_with_shares_by_hand_has_their_dof_and_variance():
    covariances = [np.diag([1, 1.0]), np.diag([4, 0.25])]
    runs = [
        JointEstimate("F", np.array(b)[:, None], v[:, :, None], dof)
        for b, v, dof in zip(([2.0, 1], [2, 1.5]), covariances, (10.0, 40.0), strict=True)
    ]
    combined = combine_joint_estimates(runs)
    # Shares of the runs: .8 and .2 in row 1, .2 and .8 in row 2; traces 1 and 1 of 2.
    np.testing.assert_allclose(combined.dof, 4 / (1 / 10 + 1 / 40))
    factor = 1 + 4 * 0.16 * (1 / 10 + 1 / 40)
    np.testing.assert_allclose(combined.covariance[:, :, 0], factor * np.diag([0.8, 0.2]), atol=1e-12)


@pytest.mark.parametrize("method", ["precision", "equal"])
@pytest.mark.parametrize("n_rows", [2, 3, 5])
@pytest.mark.parametrize("unit", [1e-6, 10.0, 1e5])
def test_p_of_f_does_not_depend_on_the_choice_of_rows(rng, method, n_rows, unit):
    runs = [joint(rng, dof, n_rows) for dof in (9.0, 14.0, 40.0)]
    mixing = rng.normal(size=(n_rows, n_rows))
    mixing[0] *= unit
    mixed = [
        replace(
            r, effect=mixing @ r.effect, covariance=np.einsum("ar,rsv,bs->abv", mixing, r.covariance, mixing)
        )
        for r in runs
    ]
    plain, other = (make_f_maps(combine_joint_estimates(each, method=method)) for each in (runs, mixed))
    for name in ("F", "dof", "p"):
        np.testing.assert_allclose(other[name], plain[name], rtol=1e-5)


@pytest.mark.parametrize("dofs", [(12,) * 4, (6, 20), (20,) * 8])
def test_size_of_f_over_short_runs_is_near_nominal(rng, dofs):
    n, runs = 20_000, []
    for dof in dofs:
        spread = np.array([[1.0, 0.5], [0.5, 9.0]])
        scale = rng.chisquare(dof, n) / dof
        effect = np.linalg.cholesky(spread) @ rng.normal(size=(2, n))
        runs.append(JointEstimate("F", effect, spread[:, :, None] * scale, float(dof)))
    p = make_f_maps(combine_joint_estimates(runs))["p"]
    # Satterthwaite's dof from estimated shares remain a little large; without correction: .08 to .1.
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.016)


def test_a_run_whose_row_has_no_variance_is_left_out(rng):
    runs = [joint(rng, 30.0) for _ in range(3)]
    runs[1].covariance[:, 1, 4] = runs[1].covariance[1, :, 4] = 0.0
    runs[1].covariance[:, :, 5] = 1.0
    for run in runs:
        run.covariance[:, :, 6] = 0.0
    combined, others = combine_joint_estimates(runs), combine_joint_estimates([runs[0], runs[2]])
    np.testing.assert_allclose(combined.effect[:, [4, 5]], others.effect[:, [4, 5]])
    assert np.isnan(make_f_maps(combined)["F"][6])


@pytest.mark.parametrize("method", ["precision", "equal"])
@pytest.mark.parametrize("weights", [[1.0, 0.0], [0.0, 1.0], [0.5, -2.0]])
def test_what_inputs_carry_adds_up_to_the_variance_and_has_the_signs_of_their_weights(runs, method, weights):
    matrix = np.column_stack([np.ones(3), [-1.0, 0.2, 1.0]])
    runs[1].effect[4] = np.nan
    combined, shares = combine_with_shares(runs, matrix, weights, method=method)
    variances = np.stack([run.variance for run in runs])
    np.testing.assert_allclose(np.sum(shares**2 * variances, axis=0), combined.variance, rtol=1e-9)
    assert shares[1, 4] == 0.0
    # With variances that are known exactly they are the weights.
    known, plain = combine_with_shares(endless(runs), matrix, weights, method=method)
    effects = np.nan_to_num([run.effect for run in runs])
    np.testing.assert_allclose(np.sum(plain * effects, axis=0), known.effect, rtol=1e-9)
    np.testing.assert_array_equal(np.sign(shares), np.sign(plain))


def test_an_input_by_itself_carries_all_of_it(runs):
    combined, shares = combine_with_shares(runs[:1], name="whole")
    assert (combined.contrast, shares.shape) == ("whole", (1, 50))
    assert (shares == 1).all()
    others = [replace(run, contrast="d") for run in runs[1:]]
    assert combine_with_shares([runs[0], *others])[0].contrast == "c"
    assert combine_with_shares([runs[0], *others], name="all")[0].contrast == "all"
