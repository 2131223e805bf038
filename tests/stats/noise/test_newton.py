"""The pieces of the search for partial autocorrelations, each against numpy."""

import numpy as np
import oracles
import pytest

from bidsapp.stats.noise import newton
from bidsapp.stats.noise.autoregression import (
    curve_of_log_determinant,
    log_determinant,
    log_determinant_slope,
    step_down,
    to_coefficients,
)

ORDERS = [1, 2, 3, 5]


@pytest.fixture(params=ORDERS, ids="order {}".format)
def order(request):
    return request.param


@pytest.fixture
def definite(order, rng):
    root = rng.normal(size=(order + 3, order))
    return root.T @ root


def test_a_system_is_solved_by_its_factor(definite, order, rng):
    right, out, triangle = rng.normal(size=order), np.empty(order), definite.copy()
    assert newton.factor(triangle)
    np.testing.assert_allclose(np.tril(triangle), np.linalg.cholesky(definite), rtol=1e-10)
    newton.solve(triangle, right, out)
    np.testing.assert_allclose(out, np.linalg.solve(definite, right), rtol=1e-8)


def test_a_matrix_that_is_not_definite_has_no_factor(definite, order):
    lowest = np.linalg.eigvalsh(definite)[0]
    assert not newton.factor(definite - 1.01 * lowest * np.eye(order))
    assert not newton.factor(np.zeros((order, order)))


def test_stages_of_partials_and_log_determinant(order, rng):
    partials = rng.uniform(-0.8, 0.8, order)
    coefficients = to_coefficients(partials[None])[0]
    found, stages = np.empty(order), np.zeros((order, order))
    assert step_down(coefficients, found, stages)
    np.testing.assert_allclose(found, partials, rtol=1e-10)
    for k in range(order):
        np.testing.assert_allclose(
            stages[k, : k + 1], to_coefficients(partials[None, : k + 1])[0], atol=1e-10
        )
    covariance = oracles.ar_covariance(partials, [order + 4])
    np.testing.assert_allclose(log_determinant(found), np.linalg.slogdet(covariance)[1], rtol=1e-10)

    slope, steps = np.empty(order), np.eye(order) * 1e-6
    log_determinant_slope(found, stages, slope)

    def value(moved):
        assert step_down(moved, found, stages)
        return log_determinant(found)

    differences = [(value(coefficients + step) - value(coefficients - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(slope, differences, rtol=1e-5, atol=1e-7)


def test_a_process_with_a_unit_root_is_not_stationary(order):
    partials = np.full(order, 0.3)
    for last in (1.0, -1.0, 1.5):
        partials[-1] = last
        coefficients = to_coefficients(partials[None])[0]
        assert not step_down(coefficients, np.empty(order), np.zeros((order, order)))


def test_partials_beyond_the_limit_are_cut(order):
    partials = np.linspace(-0.999, 0.99, order) if order > 1 else np.array([0.99])
    limit = newton.LARGEST_PARTIAL
    coefficients = to_coefficients(partials[None])[0]
    newton.step_up(partials, coefficients)
    expected = to_coefficients(np.clip(partials, -limit, limit)[None])[0]
    np.testing.assert_allclose(coefficients, expected, atol=1e-12)


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
        self.work = np.zeros((5 + order, 2 * order + 2))

    def value(self, d):
        """Return the deviance at the centre + d."""
        partials, stages = np.empty(len(d)), np.zeros((len(d), len(d)))
        if not step_down(self.centre + d, partials, stages):
            return np.inf
        q = self.q + self.slope @ d + d @ self.curve @ d / 2
        log_v = np.linalg.slogdet(oracles.ar_covariance(partials, [len(d) + 3]))[1]
        return log_v + self.log_g @ d + d @ self.curve_g @ d / 2 + self.dof * np.log(q)


@pytest.fixture
def problem(order, rng):
    return Problem(order, rng)


def test_the_deviance_is_its_formula(problem, order, rng):
    d = 0.01 * rng.normal(size=order)
    assert newton.place(problem.about, d, problem.work)
    found = newton.deviance(problem.form, problem.about, problem.dof, d, problem.work)
    assert found == pytest.approx(problem.value(d), rel=1e-9)
    problem.form[0, 0] = -1e6
    assert newton.deviance(problem.form, problem.about, problem.dof, d, problem.work) == np.inf


@pytest.mark.parametrize("is_convex", [True, False])
def test_the_step_is_newtons(problem, order, rng, is_convex):
    """Second derivatives of log|V| come as they are given; where none are convex the inverse stands in."""
    if not is_convex:
        problem.about[2 + order : 2 + 2 * order] = -1e6 * np.eye(order)
    d = 0.01 * rng.normal(size=order)
    newton.place(problem.about, d, problem.work)
    newton.deviance(problem.form, problem.about, problem.dof, d, problem.work)
    step = np.zeros((order + 1, order))
    gain = newton.find_step(problem.form, problem.about, problem.dof, problem.work, step)
    steps = np.eye(order) * 1e-5
    slope = np.array([(problem.value(d + one) - problem.value(d - one)) / 2e-5 for one in steps])
    q = problem.q + problem.slope @ d + d @ problem.curve @ d / 2
    of_q = (problem.slope + problem.curve @ d) / q
    curve = problem.curve_g + problem.curve_v + problem.dof * (problem.curve / q - np.outer(of_q, of_q))
    eigenvalues = np.linalg.eigvalsh(curve)
    inverse = np.linalg.inv(curve) if is_convex and eigenvalues[0] > 0 else np.linalg.inv(problem.curve)
    np.testing.assert_allclose(step[order], -inverse @ slope, rtol=1e-4, atol=1e-7)
    assert gain == pytest.approx(slope @ inverse @ slope, rel=1e-4)


def test_trials_stay_where_the_expansion_holds(problem, order):
    for size, expected in ((3.0, 1.0), (0.2, 0.2)):
        problem.about[2 + 3 * order :] = np.eye(order) * 400.0
        trial = np.zeros(order)
        trial[0] = size / 20.0
        newton.place(problem.about, trial, problem.work)
        assert 20.0 * np.linalg.norm(trial) == pytest.approx(expected)


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
