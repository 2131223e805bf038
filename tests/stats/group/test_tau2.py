import numpy as np
import pytest

from bidsapp.stats.group import tau2 as module
from bidsapp.stats.group.tau2 import (
    estimate_tau2,
    estimate_tau2_by_group,
    project,
    project_groups,
    restricted_deviance,
    start_tau2,
)


def test_projection_is_the_one_of_whole_matrices(rng):
    spread = rng.uniform(0.2, 2.0, (9, 3))
    effects = rng.normal(size=(9, 3))
    X = np.linalg.qr(rng.normal(size=(9, 2)))[0]
    found = project(effects, spread, X)
    for voxel in range(3):
        W = np.diag(1 / spread[:, voxel])
        P = W - W @ X @ np.linalg.inv(X.T @ W @ X) @ X.T @ W
        y = effects[:, voxel]
        expected = [y @ P @ y, y @ P @ P @ y, np.trace(P), np.trace(P @ P)]
        ours = [found.q[voxel], found.score_square[voxel], found.trace[voxel], found.information[voxel]]
        np.testing.assert_allclose(ours, expected, rtol=1e-10)


@pytest.mark.parametrize("spread", [1e-6, 1.0, 1e6])
def test_search_ends_in_every_voxel(rng, spread):
    """Few inputs with variances five orders apart are the hardest case for Fisher scoring."""
    variances = spread * 10 ** rng.uniform(-3, 2, (5, 4000))
    effects = rng.normal(0, np.sqrt(variances + spread * 10 ** rng.uniform(-4, 2, 4000)))
    found = estimate_tau2(effects, variances, np.full((5, 1), 5**-0.5))
    assert np.isfinite(found).all()
    assert (found >= 0).all()


def test_the_highest_of_several_maxima_is_found(rng):
    """Variances over five orders of magnitude, as the pain studies have."""
    variances = 10 ** rng.uniform(-1, 4, (10, 300))
    effects = rng.normal(0, np.sqrt(variances + 10 ** rng.uniform(-1, 4, 300)))
    basis = np.full((10, 1), 10**-0.5)
    found = estimate_tau2(effects, variances, basis)
    grid = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 1500)])
    lowest = np.min([restricted_deviance(effects, variances + value, basis) for value in grid], axis=0)
    assert (restricted_deviance(effects, variances + found, basis) <= lowest + 1e-8).all()


def test_blocks_do_not_change_the_estimates(rng, monkeypatch):
    variances = rng.uniform(0.1, 1.0, (8, 50))
    effects = rng.normal(0, 1, (8, 50))
    basis = np.full((8, 1), 8**-0.5)
    whole = estimate_tau2(effects, variances, basis)
    monkeypatch.setattr(module, "LOOP_NUMBERS", 8 * 7)
    np.testing.assert_allclose(estimate_tau2(effects, variances, basis), whole, rtol=1e-9, atol=1e-12)


def whole_projection(X, spread):
    W = np.diag(1 / spread)
    return W - W @ X @ np.linalg.inv(X.T @ W @ X) @ X.T @ W


def test_the_start_is_the_moment_estimate_of_hedges_and_olkin(rng):
    """For a mean: the variance of the effects less the mean sampling variance, but not below 0."""
    effects, variances = 3.0 * rng.normal(size=(7, 40)), rng.uniform(0.1, 8.0, (7, 40))
    expected = np.maximum(effects.var(axis=0, ddof=1) - variances.mean(axis=0), 0.0)
    assert 0 < np.count_nonzero(expected) < 40
    np.testing.assert_allclose(start_tau2(effects, variances, np.full((7, 1), 7**-0.5)), expected, atol=1e-12)


def test_the_deviance_is_that_of_whole_matrices(rng):
    spread, effects = rng.uniform(0.2, 2.0, (9, 5)), rng.normal(size=(9, 5))
    X = np.linalg.qr(rng.normal(size=(9, 2)))[0]
    expected = [
        np.log(s).sum() + np.linalg.slogdet(X.T @ np.diag(1 / s) @ X)[1] + y @ whole_projection(X, s) @ y
        for s, y in zip(spread.T, effects.T, strict=True)
    ]
    np.testing.assert_allclose(restricted_deviance(effects, spread, X), expected, rtol=1e-10)


GROUPS = np.array([0] * 6 + [1] * 5 + [2] * 7)


def test_projections_of_groups_are_those_of_whole_matrices(rng):
    spread, effects = rng.uniform(0.2, 2.0, (18, 3)), rng.normal(size=(18, 3))
    X = np.linalg.qr(rng.normal(size=(18, 2)))[0]
    members = [np.flatnonzero(group == GROUPS) for group in range(3)]
    score, information = project_groups(effects, spread, X, members)
    for voxel in range(3):
        P, y = whole_projection(X, spread[:, voxel]), effects[:, voxel]
        for g, rows in enumerate(members):
            part = np.zeros((18, 18))
            part[rows, rows] = 1.0
            expected = y @ P @ part @ P @ y - np.trace(P @ part)
            assert score[voxel, g] == pytest.approx(expected, rel=1e-8)
            for h, others in enumerate(members):
                expected = np.square(P[np.ix_(rows, others)]).sum()
                assert information[voxel, g, h] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("sizes", [(4, 6), (3, 5, 8), (10, 10)])
@pytest.mark.parametrize("shared", [False, True])
def test_search_for_groups_ends_in_every_voxel(rng, sizes, shared):
    """Scoring alone left 1 to 20 voxels of 10,000 without an estimate after 200 steps."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    variances = rng.lognormal(0, 1.5, (len(groups), 6000))
    effects = rng.normal(0, np.sqrt(variances + 0.5 * groups[:, None]))
    basis = np.ones((len(groups), 1)) if shared else (groups[:, None] == np.arange(len(sizes))).astype(float)
    basis /= np.linalg.norm(basis, axis=0)
    assert np.isfinite(estimate_tau2_by_group(effects, variances, basis, groups)).all()


def test_each_group_is_at_the_top_of_the_likelihood_or_rests_at_0(rng):
    variances = rng.uniform(0.2, 2.0, (18, 200))
    effects = rng.normal(0, np.sqrt(variances + np.array([0.0, 1.0, 4.0])[GROUPS][:, None]))
    X = np.linalg.qr(np.column_stack([np.ones(18), np.arange(18)]))[0]
    found = estimate_tau2_by_group(effects, variances, X, GROUPS)
    assert np.isfinite(found).all()
    members = [np.flatnonzero(group == GROUPS) for group in range(3)]
    score, information = project_groups(effects, variances + found[GROUPS], X, members)
    score = (score / np.sqrt(np.einsum("vgg->vg", information))).T
    assert (found == 0).any(axis=1).all()
    assert (found > 0).any(axis=1).all()
    np.testing.assert_allclose(score[found > 0], 0.0, atol=1e-7)
    assert (score[found == 0] <= 1e-7).all()
    # Better than both neighbours, too, so that the score is no mistake.
    here = restricted_deviance(effects, variances + found[GROUPS], X)
    for group in range(3):
        for factor in (0.9, 1.1):
            moved = found.copy()
            moved[group] = factor * moved[group] + 1e-3
            assert (here <= restricted_deviance(effects, variances + moved[GROUPS], X) + 1e-9).all()


def test_a_search_that_starts_on_the_grid_is_over_in_few_rounds(rng, monkeypatch):
    """By the secant; halving the bracket would need 30 rounds for the same digits."""
    variances = 10 ** rng.uniform(-1, 1, (12, 300))
    effects = rng.normal(0, np.sqrt(variances + 1.0))
    rounds = []

    def count(*args):
        rounds.append(len(args[0].T))
        return project(*args)

    monkeypatch.setattr(module, "project", count)
    estimate_tau2(effects, variances, np.full((12, 1), 12**-0.5))
    assert len(rounds) <= 10


@pytest.mark.parametrize(
    ("step", "step_before", "bracket", "expected"),
    [
        # From .5 to 1 the step falls by a fifth, and would be 0 at 3.
        (1.0, 1.25, (1.0, 4.0), 3.0),
        # Outside the bracket the step itself stands, and where it leads outside, too, the middle.
        (1.0, 1.25, (1.0, 2.5), 2.0),
        (1.0, 1.25, (1.0, 1.5), 1.25),
        (1.0, 0.5, (1.0, np.inf), 2.0),
        # Not below 0; without a step before there is no secant.
        (-2.0, -2.0, (0.0, 1.0), 0.0),
        (0.25, np.nan, (1.0, 4.0), 1.25),
    ],
)
def test_the_next_value_is_the_secants_the_steps_or_the_middle_of_the_bracket(
    step, step_before, bracket, expected
):
    now, last = (np.array([1.0]), np.array([step])), (np.array([0.5]), np.array([step_before]))
    found = module._next_tau2(now, last, tuple(map(np.array, bracket)))
    np.testing.assert_allclose(found, expected)
