"""AR(p) noise by restricted likelihood, against dense matrices and a general minimiser."""

import numpy as np
import pytest

from bidsapp.errors import InputError
from bidsapp.records.maps import Contrast
from bidsapp.stats.distributions import t_to_z
from bidsapp.stats.noise import restricted_likelihood
from bidsapp.stats.noise.autocorrelation import estimate_noise
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.glm import estimate_f, estimate_t, fit_run_glm
from bidsapp.stats.run.sums import accumulate, join_sums
from tests.oracles import fit_ar_by_likelihood, kenward_roger

# The oracle's minimum is known to about 1e-6 in z.
CLOSE = 1e-5


def make_matrix(rng, lengths, n_columns=4):
    """Return blocks and a slow regressor over all runs, and walks and a constant of each run."""
    total = sum(lengths)
    blocks = (np.arange(total) // 9) % 2 - 0.5
    slow = np.sin(np.arange(total) / 11.0)
    own = []
    for start, length in zip(np.cumsum([0, *lengths[:-1]]), lengths, strict=True):
        part = np.zeros((total, n_columns))
        part[start : start + length, :-1] = rng.normal(size=(length, n_columns - 1)).cumsum(axis=0)
        part[start : start + length, -1] = 1.0
        own.append(part)
    return np.column_stack([blocks, slow, *own])


def simulate(rng, coefficients, lengths, n_voxels):
    """Return AR noise of each run, started 100 volumes before it, about a baseline."""
    order, runs = len(coefficients), []
    for length in lengths:
        noise = rng.normal(size=(length + 100, n_voxels))
        for t in range(order, len(noise)):
            noise[t] += coefficients @ noise[t - order : t][::-1]
        runs.append(noise[100:] + 50.0)
    return np.concatenate(runs)


def fit(series, matrix, lengths, order, keep=None, **options):
    model = make_time_model(matrix, keep, np.cumsum([0, *lengths[:-1]]))
    parts = [accumulate([series[run]], model.of_run(run), n_lags=order, scaling="none") for run in model.runs]
    return fit_run_glm(join_sums(model, parts), noise_model="auto", **options)


def contrast(weights, test="t"):
    weights = np.atleast_2d(weights)
    return Contrast("c", test, tuple(map(str, range(weights.shape[1]))), weights)


def pad(rows, n_columns):
    return np.hstack([rows, np.zeros((len(rows), n_columns - np.shape(rows)[1]))])


CASES = {
    "order 1": ((0.4,), (70,), 1),
    "order 2, more than the noise has": ((0.5,), (80,), 2),
    "order 3": ((0.45, 0.2, -0.1), (90,), 3),
    "order 4, a peak": ((0.3, 0.0, 0.0, -0.4), (110,), 4),
    "two runs": ((0.5, 0.2), (60, 45), 2),
    "three runs, one short": ((0.4, 0.1), (40, 9, 50), 2),
}


@pytest.mark.parametrize("case", CASES)
def test_estimates_are_those_of_dense_matrices(rng, case):
    coefficients, lengths, order = CASES[case]
    matrix = make_matrix(rng, lengths)
    series = simulate(rng, np.array(coefficients), lengths, 3)
    weights = pad([[1.0, -0.5]], matrix.shape[1])
    ours = fit(series, matrix, lengths, order)
    estimate = estimate_t(ours, contrast(weights))
    for voxel, y in enumerate(series.T):
        partials = fit_ar_by_likelihood(y, matrix, order, lengths)
        effect, covariance, k, dof = kenward_roger(y, matrix, weights, partials, lengths)
        variance = covariance[0, 0] * (1 + 2 * k[0])
        assert estimate.effect[voxel] == pytest.approx(effect[0], abs=CLOSE * np.sqrt(variance))
        assert estimate.variance[voxel] == pytest.approx(variance, rel=CLOSE)
        assert estimate.dof[voxel] == pytest.approx(dof[0], rel=CLOSE)


@pytest.mark.parametrize("lengths", [(100,), (60, 50)])
def test_f_is_along_the_eigenvectors_of_its_covariance(rng, lengths):
    matrix = make_matrix(rng, lengths)
    series = simulate(rng, np.array([0.5, 0.1]), lengths, 2)
    rows = pad(np.eye(3), matrix.shape[1])
    joint = estimate_f(fit(series, matrix, lengths, 2), contrast(rows, "F"))
    for voxel, y in enumerate(series.T):
        partials = fit_ar_by_likelihood(y, matrix, 2, lengths)
        covariance = kenward_roger(y, matrix, rows, partials, lengths)[1]
        turned = np.linalg.eigh(covariance)[1].T @ rows
        _, _, k, dof = kenward_roger(y, matrix, turned, partials, lengths)
        expected = np.sum(dof / (dof - 2))
        inflated = covariance * (1 + 2 * k.mean())
        np.testing.assert_allclose(
            joint.covariance[..., voxel], inflated, atol=CLOSE * np.abs(inflated).max()
        )
        assert joint.dof[voxel] == pytest.approx(2 * expected / (expected - 3), rel=CLOSE)


def test_f_of_one_row_is_t_squared(rng):
    matrix = make_matrix(rng, (90,))
    ours = fit(simulate(rng, np.array([0.4]), (90,), 20), matrix, (90,), 3)
    weights = pad([[1.0]], matrix.shape[1])
    t, joint = estimate_t(ours, contrast(weights)), estimate_f(ours, contrast(weights, "F"))
    np.testing.assert_allclose(joint.covariance[0, 0], t.variance, rtol=1e-10)
    np.testing.assert_allclose(joint.dof, t.dof, rtol=1e-10)


def test_dropped_volumes_are_left_out_of_the_likelihood(rng):
    """Lags reach across the gap: the covariance is that of the kept times."""
    matrix, keep = make_matrix(rng, (90,)), np.ones(90, bool)
    keep[[0, 7, 30, 31, 32, 60, 89]] = False
    series = simulate(rng, np.array([0.5, 0.2]), (90,), 2)
    weights = pad([[1.0]], matrix.shape[1])
    estimate = estimate_t(fit(series, matrix, (90,), 2, keep), contrast(weights))
    wild = series.copy()
    wild[~keep] += 30.0
    same = estimate_t(fit(wild, matrix, (90,), 2, keep), contrast(weights))
    whole = np.column_stack([matrix, np.eye(90)[:, ~keep]])
    for voxel, y in enumerate(series.T):
        partials = fit_ar_by_likelihood(y, whole, 2, (90,))
        more = pad(weights, whole.shape[1])
        effect, covariance, k, dof = kenward_roger(y, whole, more, partials, (90,))
        assert estimate.variance[voxel] == pytest.approx(covariance[0, 0] * (1 + 2 * k[0]), rel=CLOSE)
        assert estimate.dof[voxel] == pytest.approx(dof[0], rel=CLOSE)
    np.testing.assert_allclose(same.effect, estimate.effect, rtol=CLOSE)
    np.testing.assert_allclose(same.variance, estimate.variance, rtol=CLOSE)


def test_bins_are_near_what_each_voxel_has_by_itself(rng, monkeypatch):
    """The log variance differs by far less than it is known (a standard deviation of .3 for 20 dof)."""
    matrix, n_voxels = make_matrix(rng, (150,)), 300
    halves = [simulate(rng, np.array(a), (150,), n_voxels // 2) for a in ((0.6, 0.2), (0.1, 0.0, 0.2))]
    series = np.concatenate(halves, axis=1)
    weights = contrast(pad([[1.0]], matrix.shape[1]))
    binned = estimate_t(fit(series, matrix, (150,), 4), weights)
    monkeypatch.setattr(restricted_likelihood, "N_BINS", n_voxels)
    monkeypatch.setattr(restricted_likelihood, "EXACT_ROUNDS", 6)
    monkeypatch.setattr("bidsapp.stats.noise.autocorrelation.N_BINS", n_voxels)
    alone = estimate_t(fit(series, matrix, (150,), 4), weights)
    difference = np.log(binned.variance / alone.variance)
    assert np.std(difference) < 0.02
    assert abs(np.mean(difference)) < 0.02
    assert np.std((binned.effect - alone.effect) / np.sqrt(alone.variance)) < 0.02
    assert np.corrcoef(np.log(binned.dof), np.log(alone.dof))[0, 1] > 0.95


def test_results_change_as_little_as_the_series(rng):
    """Rounding differs between machines; it must not grow where voxels share bins."""
    matrix = make_matrix(rng, (100,))
    kinds = (0.7, 0.2), (0.1, 0.0, 0.2), (-0.3,)
    series = np.concatenate([simulate(rng, np.array(a), (100,), 500) for a in kinds], axis=1)
    weights = contrast(pad([[1.0]], matrix.shape[1]))
    plain = estimate_t(fit(series, matrix, (100,), 3), weights)
    for _ in range(3):
        moved = estimate_t(fit(series + 1e-5 * rng.normal(size=series.shape), matrix, (100,), 3), weights)
        # A few may go to another minimum.
        assert np.mean(np.abs(moved.variance / plain.variance - 1) > 1e-3) < 0.005
        assert np.mean(np.abs(moved.dof / plain.dof - 1) > 1e-3) < 0.005


def test_white_noise_gets_no_correlation_and_fewer_degrees_of_freedom(rng):
    matrix = make_matrix(rng, (150,))
    ours = fit(rng.normal(size=(150, 2000)) + 9, matrix, (150,), 4)
    assert np.abs(ours.autocorrelation.mean(axis=1)).max() < 0.02
    estimate = estimate_t(ours, contrast(pad([[1.0]], matrix.shape[1])))
    assert np.median(estimate.dof) < 0.6 * ours.dof


def test_units_and_drifts_of_a_series_change_no_t(rng):
    matrix = make_matrix(rng, (120,))
    series = simulate(rng, np.array([0.5, 0.2]), (120,), 50)
    weights = contrast(pad([[1.0]], matrix.shape[1]))
    plain = estimate_t(fit(series, matrix, (120,), 4), weights)
    drifts = matrix[:, 2:] @ rng.normal(size=(matrix.shape[1] - 2, 50))
    moved = estimate_t(fit(1e4 * (series + 3 * drifts), matrix, (120,), 4), weights)
    for name in ("effect", "variance"):
        scale = 1e4 if name == "effect" else 1e8
        unit = np.sqrt(plain.variance) if name == "effect" else plain.variance
        np.testing.assert_allclose(
            getattr(moved, name) / scale / unit, getattr(plain, name) / unit, atol=1e-4
        )


def test_order_of_voxels_and_threads_change_nothing(rng):
    matrix = make_matrix(rng, (90,))
    series = simulate(rng, np.array([0.5]), (90,), 50)
    weights = contrast(pad([[1.0]], matrix.shape[1]))
    one = estimate_t(fit(series, matrix, (90,), 3), weights)
    two = estimate_t(fit(series, matrix, (90,), 3, n_threads=2), weights)
    np.testing.assert_array_equal(one.variance, two.variance)
    turned = estimate_t(fit(series[:, ::-1], matrix, (90,), 3), weights)
    np.testing.assert_allclose(turned.variance[::-1], one.variance, rtol=1e-6)


def test_voxels_without_noise_are_nan(rng):
    matrix = make_matrix(rng, (90,))
    series = simulate(rng, np.array([0.5]), (90,), 100)
    series[:, 3] = 812.3
    series[:, 5] = 50 + matrix @ rng.normal(size=matrix.shape[1])
    rows = pad(np.eye(2), matrix.shape[1])
    ours = fit(series, matrix, (90,), 3)
    estimate, joint = estimate_t(ours, contrast(rows[:1])), estimate_f(ours, contrast(rows, "F"))
    for values in (estimate.variance, estimate.dof, joint.covariance[0, 0], joint.dof, ours.r_square):
        assert np.flatnonzero(np.isnan(values)).tolist() == [3, 5]


def test_unit_roots_stay_within_their_limit(rng):
    """A walk has its greatest restricted likelihood at the limit; nothing breaks there."""
    matrix = make_matrix(rng, (80,), n_columns=2)
    series = rng.normal(size=(80, 40)).cumsum(axis=0)
    sums = accumulate([series], make_time_model(matrix), n_lags=3, scaling="none")
    noise = estimate_noise(sums, "ar3-reml")
    assert noise.likelihood.at_limit > 0.1
    estimate = estimate_t(fit(series, matrix, (80,), 3), contrast(pad([[1.0]], matrix.shape[1])))
    assert np.isfinite(t_to_z(estimate.effect / np.sqrt(estimate.variance), estimate.dof)).all()


def test_runs_too_short_for_an_order_are_refused(rng):
    matrix = make_matrix(rng, (20,), n_columns=2)
    with pytest.raises(InputError, match="order 12 needs runs of 24 volumes"):
        fit(rng.normal(size=(20, 3)), matrix, (20,), 12)
