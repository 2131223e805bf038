"""The variance between inputs, tau2, by restricted maximum likelihood, in many voxels at once.

Words: ``spread`` is s_i^2 + tau2; the score is y'PPy - tr P and the expected information tr PP (both
twice the derivatives of the restricted log-likelihood; Viechtbauer 2005, Raudenbush 2009).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bidsapp.records.arrays import Labels, Map, Maps, Mask, Matrices, Matrix
from bidsapp.stats.blocks import cut_blocks, members_of
from bidsapp.stats.linear import invert_all, solve_weighted, weighted_gram

# Voxels that have not come to a maximum by then have no result.
MAX_ITERATIONS = 1000
# Scoring for groups goes to a flat maximum in ever smaller steps; after so many, Newton's go there.
PATIENCE = 50
# Newton's steps stay below so many times those of scoring; they are far too long near an inflection.
LONGEST = 20.0
# Relative to tau2 plus the typical variance; metafor's 1e-8 needs a margin.
TOLERANCE = 1e-11
# The grid on which the highest maximum is looked for: 0, then geometric steps of about 2.
GRID_START = 1e-4
GRID_SIZE = 14
# Numbers of the arrays in the loop, so that they stay in the processor's cache: 1 MB.
LOOP_NUMBERS = 2**17


@dataclass(frozen=True, slots=True)
class Projection:
    """What the restricted likelihood needs at one tau2; every array has shape (n_voxels,).

    ``q`` is y'Py, ``score_square`` y'PPy, ``trace`` tr P, ``information`` tr PP.
    """

    q: Map
    score_square: Map
    trace: Map
    information: Map


def project(effects: Maps, spread: Maps, basis: Matrix) -> Projection:
    """Return the Projection at weights 1 / spread, shape (n_inputs, n_voxels)."""
    weights = 1.0 / spread
    squares = weights * weights
    coefficients, inverse = solve_weighted(basis, effects, weights)
    residuals = effects - basis @ coefficients
    turned = inverse @ weighted_gram(basis, squares)
    cubes = weighted_gram(basis, squares * weights)
    square = np.einsum("vij,vji->v", turned, turned)
    return Projection(
        q=np.einsum("iv,iv,iv->v", weights, residuals, residuals),
        score_square=np.einsum("iv,iv,iv->v", squares, residuals, residuals),
        trace=weights.sum(axis=0) - np.einsum("vii->v", turned),
        information=squares.sum(axis=0) - 2.0 * np.einsum("vij,vji->v", inverse, cubes) + square,
    )


def estimate_tau2(effects: Maps, variances: Maps, basis: Matrix) -> Map:
    """Return the REML tau2 of every voxel, shape (n_voxels,); NaN where it is not found.

    The restricted likelihood can have several maxima where variances differ by orders of magnitude. A
    coarse grid finds the highest; Fisher scoring, sped up by secant steps and kept within the bracket that
    the signs of the score give, goes from there to the maximum itself, or to 0.

    Parameters
    ----------
    effects, variances : ndarray, shape (n_inputs, n_voxels)
    basis : ndarray, shape (n_inputs, rank)
        Orthonormal columns.
    """
    tau2 = np.empty(effects.shape[1])
    for block in cut_blocks(len(tau2), len(effects), block_numbers=LOOP_NUMBERS):
        tau2[block] = _search(effects[:, block], variances[:, block], basis)
    return tau2


def start_tau2(effects: Maps, variances: Maps, basis: Matrix) -> Map:
    """Return the moment estimate without weights (Hedges and Olkin 1985), the start of the search."""
    residuals = effects - basis @ (basis.T @ effects)
    kept = 1.0 - np.einsum("ir,ir->i", basis, basis)
    dof = len(effects) - basis.shape[1]
    excess = np.einsum("iv,iv->v", residuals, residuals) - kept @ variances
    tau2: Map = np.maximum(0.0, excess / dof)
    return tau2


def restricted_deviance(effects: Maps, spread: Maps, basis: Matrix) -> Map:
    """Return minus twice the restricted log-likelihood but for a constant, shape (n_voxels,)."""
    weights = 1.0 / spread
    gram = weighted_gram(basis, weights)
    right = basis.T @ (weights * effects)
    explained = np.einsum("iv,vij,jv->v", right, invert_all(gram), right, optimize=True)
    squares = np.einsum("iv,iv,iv->v", weights, effects, effects)
    deviance: Map = np.log(spread).sum(axis=0) + np.linalg.slogdet(gram)[1] + squares - explained
    return deviance


def _scan(effects: Maps, variances: Maps, basis: Matrix) -> tuple[Map, Map, Map]:
    """Return the best tau2 of the grid in every voxel, and its neighbours on the grid as a bracket."""
    residuals = effects - basis @ (basis.T @ effects)
    # Beyond the variance of the effects the likelihood falls; 4 leaves room for unequal variances.
    top = 4.0 * np.einsum("iv,iv->v", residuals, residuals) / (len(effects) - basis.shape[1])
    grid = np.concatenate([[0.0], np.geomspace(GRID_START, 1.0, GRID_SIZE)])
    best, lowest = np.zeros(len(top), int), np.full(len(top), np.inf)
    for place, part in enumerate(grid):
        # Deviations from the fit are enough, and lose nothing to a large mean.
        deviance = restricted_deviance(residuals, variances + part * top, basis)
        better = deviance < lowest
        best[better], lowest[better] = place, deviance[better]
    low = np.where(best > 0, grid[np.maximum(best - 1, 0)], 0.0) * top
    high = np.where(best < GRID_SIZE, grid[np.minimum(best + 1, GRID_SIZE)] * top, np.inf)
    return grid[best] * top, low, high


def _search(effects: Maps, variances: Maps, basis: Matrix) -> Map:
    n_voxels = effects.shape[1]
    result = np.full(n_voxels, np.nan)
    active = np.arange(n_voxels)
    typical = variances.mean(axis=0)
    tau2, low, high = _scan(effects, variances, basis)
    before, step_before = np.full(n_voxels, np.nan), np.full(n_voxels, np.nan)
    for _ in range(MAX_ITERATIONS):
        state = project(effects, variances + tau2, basis)
        step = (state.score_square - state.trace) / state.information
        # The sign of the score says on which side the maximum is: it stays within [low, high].
        low, high = np.where(step > 0, tau2, low), np.where(step > 0, high, tau2)
        following = _next_tau2((tau2, step), (before, step_before), (low, high))
        moved = np.abs(following - tau2)
        done = ~(moved > TOLERANCE * (tau2 + typical))
        result[active[done]] = following[done]
        before, step_before, tau2 = tau2, step, following
        if done.all():
            break
        # Voxels that are done leave the arrays: late rounds are for few.
        if done.any():
            keep = ~done
            active, effects, variances = active[keep], effects[:, keep], variances[:, keep]
            arrays = (tau2, before, step_before, low, high, typical)
            tau2, before, step_before, low, high, typical = (array[keep] for array in arrays)
    return result


def _next_tau2(now: tuple[Map, Map], last: tuple[Map, Map], bracket: tuple[Map, Map]) -> Map:
    """Return the secant step where it falls inside the bracket, else the scoring step, else the middle."""
    (tau2, step), (before, step_before), (low, high) = now, last, bracket
    with np.errstate(divide="ignore", invalid="ignore"):
        secant = tau2 - step * (tau2 - before) / (step - step_before)
    # At 0 with a falling likelihood the bracket is [0, 0]: the estimate stays there.
    scoring = np.maximum(tau2 + step, 0.0)
    middle = 0.5 * (low + np.where(np.isfinite(high), high, low))
    inside = (secant > low) & (secant < high)
    following = np.where(inside, secant, scoring)
    outside = ~inside & ((scoring < low) | (scoring > high))
    return np.where(outside, middle, following)


def estimate_tau2_by_group(effects: Maps, variances: Maps, basis: Matrix, groups: Labels) -> Maps:
    """Return the REML tau2 of each group of inputs in every voxel, shape (n_groups, n_voxels).

    Fisher scoring with the block information matrix; a group whose estimate is at 0 and whose score is
    negative rests there. Steps that swing back are halved; where the search takes long, Newton's steps end
    it. NaN where it does not end.

    Parameters
    ----------
    effects, variances : ndarray, shape (n_inputs, n_voxels)
    basis : ndarray, shape (n_inputs, rank)
    groups : ndarray of int, shape (n_inputs,)
        0, 1, ...
    """
    members = members_of(groups)
    tau2 = np.tile(start_tau2(effects, variances, basis), (len(members), 1))
    result = np.full(tau2.shape, np.nan)
    active = np.arange(effects.shape[1])
    typical = variances.mean(axis=0)
    damping, before = np.ones(len(active)), np.zeros_like(tau2)
    for iteration in range(MAX_ITERATIONS):
        step = _group_step(
            effects, variances + tau2[groups], basis, (members, tau2), newton=iteration >= PATIENCE
        )
        swings = (step * before).sum(axis=0) < -0.5 * np.square(before).sum(axis=0)
        damping = np.where(swings, 0.5 * damping, damping)
        following = np.maximum(tau2 + damping * step, 0.0)
        done = ~(np.abs(following - tau2) > TOLERANCE * (tau2 + typical)).any(axis=0)
        result[:, active[done]] = following[:, done]
        keep = ~done
        if not keep.any():
            break
        tau2, before = following[:, keep], step[:, keep]
        active, effects, variances = active[keep], effects[:, keep], variances[:, keep]
        damping, typical = damping[keep], typical[keep]
    return result


def _group_step(
    effects: Maps, spread: Maps, basis: Matrix, state: tuple[Sequence[Labels], Maps], *, newton: bool
) -> Maps:
    """Return the step of each group by expected or, where it is positive definite, observed information.

    Shape (n_groups, n_voxels).
    """
    members, tau2 = state
    score, information = project_groups(effects, spread, basis, members)
    resting: Mask = (tau2.T <= 0) & (score <= 0)
    score[resting] = 0.0
    expected = _leave_out(information, resting)
    if newton:
        observed = _leave_out(_observe(effects, spread, basis, members) - information, resting)
        concave: Mask = np.all(np.linalg.eigvalsh(observed) > 0, axis=1)
        expected = np.where(concave[:, None, None], observed + expected / LONGEST, expected)
    return np.linalg.solve(expected, score[:, :, None])[:, :, 0].T


def _leave_out(information: Matrices, resting: Mask) -> Matrices:
    """Return the information without the groups that rest at 0, of which the step is their score."""
    information = np.where(resting[:, :, None] | resting[:, None, :], 0.0, information)
    groups = np.arange(resting.shape[1])
    information[:, groups, groups] += resting
    return information


def _observe(effects: Maps, spread: Maps, basis: Matrix, members: Sequence[Labels]) -> Matrices:
    """Return 2 r_g' P r_h with r = P y, shape (n_voxels, n_groups, n_groups).

    Less the expected information it is that of the data: minus the derivatives of the score.
    """
    weights = 1.0 / spread
    inverse = invert_all(weighted_gram(basis, weights))

    def project_out(values: Maps) -> Maps:
        coefficients = np.einsum("vij,jv->iv", inverse, basis.T @ (weights * values))
        rest: Maps = weights * (values - basis @ coefficients)
        return rest

    turned = project_out(effects)
    result = np.empty((effects.shape[1], len(members), len(members)))
    for place, rows in enumerate(members):
        own = np.zeros(turned.shape)
        own[rows] = turned[rows]
        products = turned * project_out(own)
        for other, others in enumerate(members):
            result[:, place, other] = 2.0 * products[others].sum(axis=0)
    return result


def project_groups(
    effects: Maps, spread: Maps, basis: Matrix, members: Sequence[Labels]
) -> tuple[Maps, Matrices]:
    """Return what the restricted likelihood says of a tau2 for each group, but for factors of 2.

    Returns
    -------
    score : ndarray, shape (n_voxels, n_groups)
        y'P P_g y - tr P_g, with P_g the columns of P of a group.
    information : ndarray, shape (n_voxels, n_groups, n_groups)
        tr P_g P_h.
    """
    weights = 1.0 / spread
    coefficients, inverse = solve_weighted(basis, effects, weights)
    turned_residuals = np.square(weights * (effects - basis @ coefficients))
    squares = weights * weights
    score, turned, diagonal = [], [], []
    for rows in members:
        part = inverse @ weighted_gram(basis[rows], squares[rows])
        cubes = weighted_gram(basis[rows], squares[rows] * weights[rows])
        trace = weights[rows].sum(axis=0) - np.einsum("vii->v", part)
        score.append(turned_residuals[rows].sum(axis=0) - trace)
        diagonal.append(squares[rows].sum(axis=0) - 2.0 * np.einsum("vij,vji->v", inverse, cubes))
        turned.append(part)
    parts = np.stack(turned, axis=1)
    information = np.einsum("vgij,vhji->vgh", parts, parts)
    groups = np.arange(len(members))
    information[:, groups, groups] += np.stack(diagonal, axis=-1)
    return np.stack(score, axis=-1), information
