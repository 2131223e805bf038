"""Designs drawn at random, with subjects who lack voxels, against statsmodels and formulas written out."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import optimize, stats

from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.estimators import fit_group

N_VOXELS = 4


class Drawn:
    """12 to 20 subjects in one to three groups, up to two covariates, unequal variances, missing data."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        n, n_groups, n_covariates = rng.integers(12, 21), rng.integers(1, 4), rng.integers(0, 3)
        self.groups = rng.permutation(np.arange(n) % n_groups)
        covariates = rng.normal(size=(n, n_covariates)) * 10.0 ** rng.integers(-3, 4, n_covariates)
        self.matrix = np.column_stack([np.eye(n_groups)[self.groups], covariates])
        self.variances = rng.uniform(0.2, 2.0, (n, N_VOXELS))
        self.effects = rng.normal(size=(n, N_VOXELS)) * (1.0 + self.groups[:, None])
        # Of every group three subjects or more are left.
        lost = [rng.choice(np.flatnonzero(self.groups == group)) for group in range(n_groups)]
        self.effects[lost[0], 1] = self.effects[lost, 2] = np.nan
        self.rows = rng.normal(size=(rng.integers(1, self.matrix.shape[1] + 1), self.matrix.shape[1]))

    def fit(self, estimator, *, grouped=False):
        columns = tuple(map(str, range(self.matrix.shape[1])))
        tests = Contrast("t", "t", columns, self.rows[:1]), Contrast("F", "F", columns, self.rows)
        groups = self.groups + 1 if grouped else None
        design = GroupDesign(self.matrix, tests, groups, np.arange(len(self.matrix)))
        return fit_group(self.effects, self.variances, design, estimator=estimator, min_inputs=3)

    def voxels(self):
        """Yield every voxel with the values, variances, design and groups of the subjects it has."""
        for voxel in range(N_VOXELS):
            there = np.isfinite(self.effects[:, voxel])
            parts = self.effects[:, voxel], self.variances[:, voxel], self.matrix, self.groups
            yield voxel, *(part[there] for part in parts)


SEEDS = pytest.mark.parametrize("seed", range(24))


def assert_t(found, voxel, effect, error, dof):
    """Check effect, t, degrees of freedom and p of a voxel."""
    got = found.effect[voxel], found.statistic[voxel], found.dof[voxel], found.p[voxel]
    p = 2 * stats.t.sf(abs(effect / error), dof)
    np.testing.assert_allclose(got, (effect, effect / error, dof, p), rtol=2e-5)


@SEEDS
def test_least_squares_is_that_of_statsmodels(seed):
    drawn = Drawn(seed)
    t, f = drawn.fit("ols")
    for voxel, y, _, matrix, _ in drawn.voxels():
        model = sm.OLS(y, matrix).fit()
        one, all_rows = model.t_test(drawn.rows[:1]), model.f_test(drawn.rows)
        assert_t(t, voxel, one.effect[0], one.sd.item(), model.df_resid)
        np.testing.assert_allclose(f.statistic[voxel], all_rows.fvalue, rtol=1e-6)
        np.testing.assert_allclose(f.p[voxel], all_rows.pvalue, rtol=1e-5)
        assert (f.dof_numerator, f.dof[voxel]) == (len(drawn.rows), model.df_resid)


@SEEDS
def test_sandwich_of_a_row_a_subject_is_hc2(seed):
    drawn = Drawn(seed)
    t, _ = drawn.fit("sandwich")
    for voxel, y, _, matrix, _ in drawn.voxels():
        one = sm.OLS(y, matrix).fit(cov_type="HC2").t_test(drawn.rows[:1])
        np.testing.assert_allclose(t.effect[voxel], one.effect[0], rtol=1e-6)
        np.testing.assert_allclose(t.statistic[voxel], one.effect[0] / one.sd.item(), rtol=1e-6)
        p = 2 * stats.t.sf(abs(t.statistic[voxel]), t.dof[voxel])
        np.testing.assert_allclose(t.p[voxel], p, rtol=1e-6)


@SEEDS
def test_variance_by_group_is_the_exact_one_of_the_least_squares_effect(seed):
    drawn = Drawn(seed)
    t, _ = drawn.fit("ols", grouped=True)
    for voxel, y, _, matrix, groups in drawn.voxels():
        hat = matrix @ np.linalg.pinv(matrix)
        shares = (drawn.rows[0] @ np.linalg.pinv(matrix)) ** 2
        rest, kept = (y - hat @ y) ** 2, 1 - np.diag(hat)
        members = [groups == group for group in range(groups.max() + 1)]
        pieces = np.array([rest[m].sum() / kept[m].sum() * shares[m].sum() for m in members])
        freedom = np.array([kept[m].sum() for m in members])
        error = np.sqrt(pieces.sum())
        np.testing.assert_allclose(t.statistic[voxel], t.effect[voxel] / error, rtol=1e-6)
        if matrix.shape[1] == len(members):
            welch = pieces.sum() ** 2 / (pieces**2 / freedom).sum()
            assert_t(t, voxel, drawn.rows[0] @ np.linalg.pinv(matrix) @ y, error, welch)


def weigh(y, spread, matrix):
    """Return coefficients, their covariance and the weighted squares of what is left."""
    inverse = np.linalg.inv(matrix.T @ (matrix / spread[:, None]))
    coefficients = inverse @ matrix.T @ (y / spread)
    return coefficients, inverse, np.sum((y - matrix @ coefficients) ** 2 / spread)


@SEEDS
@pytest.mark.parametrize("estimator", ["reml", "flame1", "dl", "fixed"])
def test_mixed_effects_are_those_of_the_formulas(seed, estimator):
    drawn = Drawn(seed)
    t, _ = drawn.fit(estimator)
    for voxel, y, variances, matrix, _ in drawn.voxels():
        dof = len(y) - matrix.shape[1]
        tau2 = {"fixed": lambda *_: 0.0, "dl": by_moments}.get(estimator, by_likelihood)(y, variances, matrix)
        coefficients, inverse, squares = weigh(y, variances + tau2, matrix)
        scale = squares / dof if estimator in ("reml", "dl") else 1.0
        error = np.sqrt(drawn.rows[0] @ inverse @ drawn.rows[0] * scale)
        assert_t(t, voxel, drawn.rows[0] @ coefficients, error, np.inf if estimator == "fixed" else dof)


def by_moments(y, variances, matrix):
    """Return tau2 of DerSimonian and Laird."""
    _, inverse, squares = weigh(y, variances, matrix)
    trace = np.sum(1 / variances) - np.trace(inverse @ matrix.T @ (matrix / variances[:, None] ** 2))
    return max(0.0, (squares - len(y) + matrix.shape[1]) / trace)


def by_likelihood(y, variances, matrix):
    """Return tau2 of the largest restricted likelihood."""

    def deviance(tau2):
        _, inverse, squares = weigh(y, variances + tau2, matrix)
        return squares + np.log(variances + tau2).sum() - np.linalg.slogdet(inverse)[1]

    grid = np.concatenate([[0.0], np.geomspace(1e-4, 100, 60)])
    best = np.argmin([deviance(tau2) for tau2 in grid])
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = optimize.minimize_scalar(deviance, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    return found.x if found.fun < deviance(0.0) else 0.0
