"""The pieces of the search for partial autocorrelations, each against numpy."""

import numpy as np
import oracles
import pytest

from bidsapp.stats.noise import newton
from bidsapp.stats.noise.autoregression import (
    curve_of_log_determinant,
    log_determinant_slope,
    slope_of_log_determinant,
    step_down,
    to_coefficients,
)

ORDERS = [1, 2, 3, 5]


@pytest.fixture(params=ORDERS, ids="order {}".format)
def order(request):
    return request.param


@pytest.fixture
def matrices(order, rng):
    """Return definite matrices, (order, order, LANES)."""
    root = rng.normal(size=(newton.LANES, order + 3, order))
    return np.moveaxis(np.swapaxes(root, 1, 2) @ root, 0, -1).copy()


def test_systems_are_solved_by_their_factors(matrices, order, rng):
    values, factors, pivots = rng.normal(size=(order, newton.LANES)), matrices.copy(), np.empty(newton.LANES)
    expected = np.linalg.solve(matrices.T, values.T[..., None])[..., 0].T
    newton.factor(factors, pivots)
    for i in range(newton.LANES):
        root = np.linalg.cholesky(matrices[..., i])
        np.testing.assert_allclose(1 / np.diagonal(factors[..., i]), np.diagonal(root), rtol=1e-9)
        np.testing.assert_allclose(np.tril(factors[..., i], -1), np.tril(root, -1), rtol=1e-7, atol=1e-12)
        assert pivots[i] == pytest.approx(np.diagonal(root).min() ** 2, rel=1e-8)
    newton.solve(factors, values)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_a_matrix_that_is_not_definite_has_no_factor(matrices, order):
    lowest = np.linalg.eigvalsh(matrices[..., 1])[0]
    matrices[..., 1] -= 1.01 * lowest * np.eye(order)
    matrices[..., 2] = 0.0
    pivots = np.empty(newton.LANES)
    newton.factor(matrices, pivots)
    has_none = np.isin(np.arange(newton.LANES), [1, 2])
    np.testing.assert_array_equal(pivots <= newton.LEAST_PIVOT, has_none)


def fill_stages(coefficients):
    """Return the stages and the partials of processes (order, n)."""
    stages = np.zeros((len(coefficients), *coefficients.shape))
    stages[-1], partials = coefficients, np.empty_like(coefficients)
    step_down(stages, partials)
    return stages, partials


def log_determinant(partials):
    return np.linalg.slogdet(oracles.ar_covariance(partials, [len(partials) + 4]))[1]


def test_stages_of_partials_and_slopes_of_the_log_determinant(order, rng):
    partials = rng.uniform(-0.8, 0.8, (3, order))
    coefficients = to_coefficients(partials).T
    stages, found = fill_stages(coefficients)
    np.testing.assert_allclose(found, partials.T, rtol=1e-10)
    for k in range(order):
        expected = to_coefficients(partials[:, : k + 1]).T
        np.testing.assert_allclose(stages[k, : k + 1], expected, atol=1e-10)

    steps, slopes = np.eye(order) * 1e-6, slope_of_log_determinant(coefficients)
    for process in range(3):
        moved = [fill_stages(coefficients[:, [process]] + np.c_[one, -one])[1].T for one in steps]
        differences = [(log_determinant(after) - log_determinant(before)) / 2e-6 for after, before in moved]
        np.testing.assert_allclose(slopes[:, process], differences, rtol=1e-4, atol=1e-6)


def test_a_process_with_a_unit_root_has_a_partial_of_one(order):
    partials = np.full((3, order), 0.3)
    partials[:, -1] = 1.0, -1.0, 1.5
    found = fill_stages(to_coefficients(partials).T)[1]
    np.testing.assert_array_equal(found[-1], partials[:, -1])


class Problem:
    """A smooth function of the kind that is minimised, with its expansion about a centre."""

    def __init__(self, order, rng):
        self.partials = rng.uniform(-0.5, 0.5, order)
        self.centre = to_coefficients(self.partials[None])[0]
        self.q, self.slope, self.log_g = 5.0, *(0.3 * rng.normal(size=(2, order)))
        self.curve, self.curve_g = (root.T @ root for root in rng.normal(size=(2, order + 2, order)))
        self.curve_v = curve_of_log_determinant(self.centre)
        self.dof = 30.0
        self.form = np.zeros((order + 1, order + 1))
        self.form[0, 0], self.form[0, 1:], self.form[1:, 1:] = self.q, self.slope, self.curve / 2
        inverse, metric = np.linalg.inv(self.curve), np.eye(order)
        rows = [self.centre[None], self.log_g[None], self.curve_g, self.curve_v, inverse, metric]
        self.about = np.vstack(rows)
        self.lanes = newton.make_lanes(order)
        self.lanes.forms[:] = self.form[..., None]
        # Every search has begun.
        self.lanes.searches[:] = 0

    def put(self, d):
        """Try distances (order, LANES) from the centre."""
        self.lanes.vectors[newton.BEST], self.lanes.vectors[newton.STEP] = d, 0.0
        newton.make_trials(self.about, self.lanes)
        step_down(self.lanes.stages, self.lanes.vectors[newton.PARTIALS])
        newton.limit_trials(self.about, self.lanes)
        newton.expand(self.about, self.lanes)
        newton.find_deviance(self.dof, self.lanes)

    def value(self, d):
        """Return the deviance at the centre + d."""
        partials = fill_stages((self.centre + d)[:, None])[1][:, 0]
        if not np.abs(partials).max() < 1.0:
            return np.inf
        q = self.q + self.slope @ d + d @ self.curve @ d / 2
        log_v = np.linalg.slogdet(oracles.ar_covariance(partials, [len(d) + 3]))[1]
        return log_v + self.log_g @ d + d @ self.curve_g @ d / 2 + self.dof * np.log(q)


@pytest.fixture
def problem(order, rng):
    return Problem(order, rng)


def test_the_deviance_is_its_formula(problem, order, rng):
    d = 0.01 * rng.normal(size=(order, newton.LANES))
    problem.put(d)
    expected = [problem.value(one) for one in d.T]
    np.testing.assert_allclose(problem.lanes.numbers[newton.VALUE], expected, rtol=1e-9)
    problem.lanes.forms[0, 0] = -1e6
    problem.put(d)
    assert (problem.lanes.numbers[newton.VALUE] == np.inf).all()


@pytest.mark.parametrize("is_convex", [True, False])
def test_the_step_is_newtons(problem, order, rng, is_convex):
    """Second derivatives of log|V| come as they are given; where none are convex the inverse stands in."""
    if not is_convex:
        problem.about[2 + order : 2 + 2 * order] = -1e6 * np.eye(order)
    some, lanes = 0.01 * rng.normal(size=(order, newton.LANES)), problem.lanes
    problem.put(some)
    lanes.searches[newton.HALVINGS, 1] = 1
    slopes = lanes.vectors[newton.PARTIALS], lanes.stages, lanes.vectors[newton.SLOPE]
    log_determinant_slope(*slopes)
    newton.find_curve(problem.about, problem.dof, lanes)
    newton.factor(lanes.curve, lanes.numbers[newton.SCALE])
    newton.solve(lanes.curve, lanes.vectors[newton.NEWTON])
    newton.stand_in(problem.about, lanes)
    newton.take_step(lanes)
    d, steps = some[:, 0], np.eye(order) * 1e-5
    slope = np.array([(problem.value(d + one) - problem.value(d - one)) / 2e-5 for one in steps])
    q = problem.q + problem.slope @ d + d @ problem.curve @ d / 2
    of_q = (problem.slope + problem.curve @ d) / q
    curve = problem.curve_g + problem.curve_v + problem.dof * (problem.curve / q - np.outer(of_q, of_q))
    eigenvalues = np.linalg.eigvalsh(curve)
    inverse = np.linalg.inv(curve) if is_convex and eigenvalues[0] > 0 else np.linalg.inv(problem.curve)
    np.testing.assert_allclose(lanes.vectors[newton.STEP, :, 0], -inverse @ slope, rtol=1e-4, atol=1e-7)
    assert lanes.numbers[newton.GAIN, 0] == pytest.approx(slope @ inverse @ slope, rel=1e-4)
    # A trial that was not taken keeps the step that led to it.
    assert not lanes.vectors[newton.STEP, :, 1].any()


def test_trials_stay_where_the_expansion_holds(problem, order):
    problem.about[2 + 3 * order :] = np.eye(order) * 400.0
    d = np.zeros((order, newton.LANES))
    d[0, :2] = 3.0 / 20.0, 0.2 / 20.0
    problem.put(d)
    lengths = 20.0 * np.linalg.norm(problem.lanes.vectors[newton.TRIAL], axis=0)
    np.testing.assert_allclose(lengths[:3], [1.0, 0.2, 0.0])


def test_partials_beyond_the_limit_are_cut(problem, order):
    """In their lane alone, and the trial and its stages with them."""
    problem.about[2 + 3 * order :] = 0.0
    partials = np.tile(problem.partials, (newton.LANES, 1))
    partials[3, -1] = 0.99
    partials[4, 0] = -0.999
    problem.put(to_coefficients(partials).T - problem.centre[:, None])
    cut = np.clip(partials, -newton.LARGEST_PARTIAL, newton.LARGEST_PARTIAL)
    lanes = problem.lanes
    np.testing.assert_allclose(lanes.vectors[newton.PARTIALS], cut.T, rtol=1e-8, atol=1e-12)
    found = problem.centre[:, None] + lanes.vectors[newton.TRIAL]
    np.testing.assert_allclose(found, to_coefficients(cut).T, atol=1e-10)
    np.testing.assert_allclose(lanes.stages[-1], found, atol=1e-12)


def test_trials_that_are_no_better_halve_the_step(problem, order, rng):
    lanes = problem.lanes
    for values in lanes.vectors:
        values[:] = rng.normal(size=values.shape)
    before = lanes.vectors.copy()
    lanes.numbers[newton.VALUE], lanes.numbers[newton.LEAST] = 1.0, 0.5
    lanes.numbers[newton.LEAST, 1], lanes.searches[newton.STEPS, 2] = 1.5, -1
    newton.take_better(lanes)
    taken = np.isin(np.arange(newton.LANES), [1, 2])
    best = np.where(taken, before[newton.TRIAL], before[newton.BEST])
    np.testing.assert_array_equal(lanes.vectors[newton.BEST], best)
    np.testing.assert_array_equal(lanes.vectors[newton.STEP], 0.5 * before[newton.STEP])
    np.testing.assert_array_equal(lanes.searches[newton.HALVINGS], np.where(taken, 0, 1))
    np.testing.assert_array_equal(lanes.numbers[newton.LEAST], np.where(taken, 1.0, 0.5))


def test_the_least_deviance_is_found(problem, order):
    """Better than any point about it, within what the expansion allows."""
    found = newton.minimise(problem.form[None], problem.about, problem.dof, 1e-12)[0]
    d = to_coefficients(found[None])[0] - problem.centre
    best = problem.value(d)
    assert best < problem.value(np.zeros(order))
    assert np.abs(found).max() <= newton.LARGEST_PARTIAL
    for step in np.vstack([np.eye(order), -np.eye(order)]) * 1e-3:
        if np.linalg.norm(d + step) <= 1.0 and np.abs(found).max() < 0.96:
            assert best < problem.value(d + step)


def test_what_a_voxel_finds_hangs_on_no_other(problem, order, rng):
    """To the bit, whatever lane it is in and when it begins."""
    forms = problem.form * rng.uniform(0.5, 2.0, size=(3 * newton.LANES + 5, order + 1, order + 1))
    forms = (forms + np.swapaxes(forms, 1, 2)) / 2
    forms[:, 0, 0] = 5.0
    about = problem.about, problem.dof, 1e-3
    together = newton.minimise(forms, *about)
    turned = newton.minimise(forms[::-1].copy(), *about)[::-1]
    np.testing.assert_array_equal(turned, together)
    for voxel in (0, 40, 100):
        alone = newton.minimise(forms[voxel : voxel + 1].copy(), *about)[0]
        np.testing.assert_array_equal(alone, together[voxel])
