"""Combine the estimates of runs (or sessions) whose variances are known: fixed effects.

The model over inputs is b = M g + e with independent e of known covariance; an estimate of the level
above is a contrast of g. Inputs are rows of ``matrix``; a column of ones averages them.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bidsapp.records.arrays import Map, Maps, Mask, Matrices, Matrix, Numbers
from bidsapp.records.maps import Estimate, JointEstimate
from bidsapp.stats.blocks import find_patterns
from bidsapp.stats.linear import find_rank, find_regular, is_estimable, sum_squares, unless_perfect

# Effect, variance and degrees of freedom of a combination, and what each input carries into it.
Combined: TypeAlias = tuple[Map, Map, float | Map, Maps]


def combine_with_shares(
    estimates: Sequence[Estimate],
    matrix: Matrix | None = None,
    weights: Numbers | None = None,
    *,
    method: str = "precision",
    name: str | None = None,
) -> tuple[Estimate, Maps]:
    """Return one estimate from the estimates of many inputs, and what each input carries into it.

    Parameters
    ----------
    estimates : sequence of Estimate
    matrix : ndarray, shape (n_inputs, n_columns), or None
        The design over inputs; None: a column of ones.
    weights : ndarray, shape (n_columns,), or None
        The contrast over its columns, applied with its signs; None: (1, 0, ..., 0).
    method : {"precision", "equal", "ols"}
        Weigh inputs by the inverse of their variances; or all alike; or all alike with the variance from
        the differences between the inputs, theirs ignored.

    Returns
    -------
    combined : Estimate
        Variance: 1 / sum of precisions (precision), made larger for weights that are estimated (Meier 1953,
        Biometrics 9:59-73); the propagated one (equal). Degrees of freedom by Satterthwaite from those of
        the inputs. A voxel uses the inputs that have it; NaN where they cannot estimate the contrast, and
        with ols where they do not differ, but for rounding of their effects.
    carried : ndarray, shape (n_inputs, n_voxels)
        The weight of each input, times the root of what enlarges its part of the variance: the sum of its
        squares times the inputs' variances is the variance.

    Notes
    -----
    A single input weighted 1 comes back as it is.
    """
    first = estimates[0]
    matrix = np.ones((len(estimates), 1)) if matrix is None else np.asarray(matrix, float)
    weights = np.eye(matrix.shape[1])[0] if weights is None else np.ravel(weights).astype(float)
    combine = METHODS[method]
    if len(estimates) == 1 and matrix.size == 1 and matrix[0, 0] * weights[0] == 1.0:
        whole = Estimate(name or first.contrast, first.effect, first.variance, first.dof)
        return whole, np.ones((1, len(first.effect)))
    effect = np.stack([e.effect for e in estimates]).astype(float)
    variance = np.stack([e.variance for e in estimates]).astype(float)
    dof = np.stack([np.broadcast_to(e.dof, effect.shape[1]) for e in estimates]).astype(float)
    valid = np.isfinite(effect) & (variance > 0)
    combined, total, pooled = (np.full(effect.shape[1], np.nan) for _ in range(3))
    shares = np.zeros(effect.shape)
    for pattern, voxels in find_patterns(valid):
        if not is_estimable(matrix[pattern], weights[None]):
            continue
        part = np.ix_(pattern, voxels)
        inputs = effect[part], variance[part], dof[part]
        *found, shares[part] = combine(*inputs, matrix[pattern], weights)
        combined[voxels], total[voxels], pooled[voxels] = found
    return Estimate(name or first.contrast, combined, total, pooled), shares


def combine_joint_estimates(
    estimates: Sequence[JointEstimate],
    *,
    name: str | None = None,
    method: str = "precision",
) -> JointEstimate:
    """Return one joint estimate (for F) from those of many inputs, with their full covariances.

    Precision: S = (sum V_i^-1)^-1, b = S sum V_i^-1 b_i with weights W_i = S V_i^-1. The covariance is
    S + 4 sum (I - W_i) W_i S / dof_i: Meier's correction for estimated weights, in more rows (the
    second-order expansion for V_i known but for a factor; Kenward and Roger 1997, Biometrics 53:983-997).
    The degrees of freedom are Satterthwaite's for the shares tr W_i of the inputs. Nothing depends on the
    unit or the choice of the rows.

    Returns
    -------
    JointEstimate
        A voxel uses the inputs whose covariance there can be inverted; NaN where there is none.
    """
    first = estimates[0]
    if len(estimates) == 1:
        return JointEstimate(name or first.contrast, first.effect, first.covariance, first.dof)
    effects = np.stack([e.effect.T for e in estimates])
    covariances = np.stack([np.moveaxis(e.covariance, -1, 0) for e in estimates])
    dof = np.stack([np.broadcast_to(e.dof, effects.shape[1]) for e in estimates]).astype(float)
    effect, covariance = np.full(first.effect.shape, np.nan), np.full(first.covariance.shape, np.nan)
    pooled = np.full(effects.shape[1], np.nan)
    for pattern, voxels in find_patterns(_are_usable(effects, covariances)):
        part = np.ix_(pattern, voxels)
        shares, total, pooled[voxels] = _combine_rows(covariances[part], dof[part], method)
        effect[:, voxels] = np.einsum("ivrs,ivs->rv", shares, effects[part])
        covariance[:, :, voxels] = np.moveaxis(total, 0, -1)
    return JointEstimate(name or first.contrast, effect, covariance, pooled)


def _are_usable(effects: Maps, covariances: Matrices) -> Mask:
    """Return where inputs have effects and covariances that can be inverted, shape (n_inputs, n_voxels)."""
    sizes = np.sqrt(np.maximum(np.diagonal(covariances, axis1=-2, axis2=-1), 0.0))
    usable: Mask = np.all(np.isfinite(covariances), axis=(-2, -1)) & np.all(np.isfinite(effects), axis=-1)
    usable &= np.all(sizes > 0, axis=-1)
    sizes = sizes[usable]
    usable[usable] = find_regular(covariances[usable] / (sizes[:, :, None] * sizes[:, None, :]))
    return usable


def _combine_rows(
    covariances: NDArray[np.floating], dof: Maps, method: str
) -> tuple[NDArray[np.floating], Matrices, Map]:
    """Return the weights of the inputs, the covariance of the combination and its degrees of freedom.

    Parameters
    ----------
    covariances : ndarray, shape (n_inputs, n_voxels, n_rows, n_rows)
    dof : ndarray, shape (n_inputs, n_voxels)

    Returns
    -------
    shares : ndarray, shape of covariances
    total : ndarray, shape (n_voxels, n_rows, n_rows)
    pooled : ndarray, shape (n_voxels,)
    """
    unit = np.eye(covariances.shape[-1])
    if method == "equal":
        shares = np.broadcast_to(unit / len(covariances), covariances.shape)
    else:
        precisions = np.linalg.inv(covariances)
        shares = np.linalg.inv(precisions.sum(axis=0)) @ precisions
    pieces = shares @ covariances @ np.swapaxes(shares, -1, -2)
    total = pieces.sum(axis=0)
    traces = np.trace(np.linalg.solve(total, pieces), axis1=-2, axis2=-1)
    pooled = len(unit) ** 2 / np.sum(np.square(traces) / dof, axis=0)
    if method != "equal":
        total = total + np.sum(4.0 * (unit - shares) @ pieces / dof[..., None, None], axis=0)
    return shares, total, pooled


def _combine_by_precision(
    effect: Maps, variance: Maps, dof: Maps, matrix: Matrix, weights: Numbers
) -> Combined:
    """Return effect, variance and dof of the combination weighted by precision, and what each carries."""
    # Relative precisions keep the normal equations well scaled, whatever the unit.
    precision = variance.min(axis=0) / variance
    normal = np.linalg.pinv(np.einsum("ij,iv,ik->vjk", matrix, precision, matrix), hermitian=True)
    share = precision * (matrix @ (normal @ weights).T)
    effect, pieces, total, pooled = _propagate(share, effect, variance, dof)
    leverage = precision * np.einsum("ij,vjk,ik->iv", matrix, normal, matrix)
    # Meier's factor 1 + 4 sum p(1 - p) / dof of a weighted mean, for any design: p are leverages there.
    excess = np.sum(4.0 * pieces * (1.0 - leverage) / dof, axis=0)
    return effect, total + excess, pooled, share * np.sqrt(1.0 + 4.0 * (1.0 - leverage) / dof)


def _combine_equally(effect: Maps, variance: Maps, dof: Maps, matrix: Matrix, weights: Numbers) -> Combined:
    """Return effect, variance and dof of the combination with equal weights, and what each carries."""
    share = (weights @ np.linalg.pinv(matrix))[:, None]
    effect, _, total, pooled = _propagate(share, effect, variance, dof)
    return effect, total, pooled, share


def _combine_by_residuals(
    effect: Maps, variance: Maps, dof: Maps, matrix: Matrix, weights: Numbers
) -> Combined:
    """Return effect, variance and dof of least squares over the inputs, and the weight of each."""
    inverse = np.linalg.pinv(matrix)
    share = weights @ inverse
    left = len(matrix) - find_rank(matrix)
    rest = effect - matrix @ (inverse @ effect)
    squares = unless_perfect(sum_squares(rest), sum_squares(effect))
    return share @ effect, share @ share * squares / max(left, 1), float(left), share[:, None]


def _propagate(share: Maps, effect: Maps, variance: Maps, dof: Maps) -> tuple[Map, Maps, Map, Map]:
    """Return the weighted sum, the parts of its variance, their sum, and Satterthwaite's dof."""
    pieces = np.square(share) * variance
    total = pieces.sum(axis=0)
    return (
        np.sum(share * effect, axis=0),
        pieces,
        total,
        np.square(total) / np.sum(np.square(pieces) / dof, axis=0),
    )


METHODS: dict[str, Callable[[Maps, Maps, Maps, Matrix, Numbers], Combined]] = {
    "precision": _combine_by_precision,
    "equal": _combine_equally,
    "ols": _combine_by_residuals,
}
