"""Combine the estimates of runs (or sessions) whose variances are known: fixed effects.

The model over inputs is b = M g + e with independent e of known covariance; an estimate of the level
above is a contrast of g. Inputs are rows of ``matrix``; a column of ones averages them.
"""

import numpy as np

from bidsapp.records import Estimate, JointEstimate

# Estimated weights make the combined variance too small; below these degrees of freedom of an input it is
# corrected (Meier 1953, Biometrics 9:59-73; 1 % of the variance at 100 each). Above, it is the plain
# 1 / sum of precisions that other programs report.
MEIER_BELOW = 20.0


def combine_estimates(estimates, matrix=None, weights=None, *, method="precision", name=None):
    """Return one estimate from the estimates of many inputs.

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
    Estimate
        Variance: 1 / sum of precisions (precision), the propagated one (equal). Degrees of freedom by
        Satterthwaite from those of the inputs. A voxel uses the inputs that have it; NaN where they
        cannot estimate the contrast.

    Notes
    -----
    A single input weighted 1 comes back as it is.
    """
    first = estimates[0]
    matrix, weights = _design(len(estimates), matrix, weights)
    combine = METHODS[method]
    if len(estimates) == 1 and matrix.size == 1 and matrix[0, 0] * weights[0] == 1.0:
        return Estimate(name or first.contrast, first.effect, first.variance, first.dof)
    effect = np.stack([e.effect for e in estimates]).astype(float)
    variance = np.stack([e.variance for e in estimates]).astype(float)
    dof = np.stack([np.broadcast_to(e.dof, effect.shape[1]) for e in estimates]).astype(float)
    valid = np.isfinite(effect) & (variance > 0)
    combined, total, pooled = (np.full(effect.shape[1], np.nan) for _ in range(3))
    for pattern, voxels in _patterns(valid):
        if not _can_estimate(matrix[pattern], weights):
            continue
        part = np.ix_(pattern, voxels)
        inputs = effect[part], variance[part], dof[part]
        combined[voxels], total[voxels], pooled[voxels] = combine(*inputs, matrix[pattern], weights)
    return Estimate(name or first.contrast, combined, total, pooled)


def combine_joint_estimates(estimates, *, name=None, method="precision"):
    """Return one joint estimate (for F) from those of many inputs, with their full covariances.

    Precision: S = (sum V_i^-1)^-1, b = S sum V_i^-1 b_i. The degrees of freedom are Satterthwaite's for
    the trace of S, each input's part being S V_i^-1 S.
    """
    first = estimates[0]
    if len(estimates) == 1:
        return JointEstimate(name or first.contrast, first.effect, first.covariance, first.dof)
    n_rows, n_voxels = first.effect.shape
    effect, covariance = np.full((n_rows, n_voxels), np.nan), np.full((n_rows, n_rows, n_voxels), np.nan)
    pooled = np.full(n_voxels, np.nan)
    valid = np.stack(
        [np.isfinite(e.covariance).all(axis=(0, 1)) & np.isfinite(e.effect).all(axis=0) for e in estimates]
    )
    for pattern, voxels in _patterns(valid):
        if pattern.size == 0:
            continue
        used = [estimates[i] for i in pattern]
        effects = [e.effect[:, voxels].T for e in used]
        covariances = [np.moveaxis(e.covariance[:, :, voxels], -1, 0) for e in used]
        dof = [np.broadcast_to(e.dof, n_voxels)[voxels] for e in used]
        shares = _matrix_shares(covariances, method)
        pieces = [w @ v @ np.swapaxes(w, 1, 2) for w, v in zip(shares, covariances, strict=True)]
        total = sum(pieces)
        effect[:, voxels] = sum((w @ b[..., None])[..., 0] for w, b in zip(shares, effects, strict=True)).T
        covariance[:, :, voxels] = np.moveaxis(total, 0, -1)
        traces = np.stack([np.trace(piece, axis1=1, axis2=2) for piece in pieces])
        pooled[voxels] = np.square(traces.sum(axis=0)) / np.sum(np.square(traces) / np.stack(dof), axis=0)
    return JointEstimate(name or first.contrast, effect, covariance, pooled)


def _design(n_inputs, matrix, weights):
    matrix = np.ones((n_inputs, 1)) if matrix is None else np.asarray(matrix, float)
    if weights is None:
        weights = np.eye(matrix.shape[1])[0]
    return matrix, np.asarray(weights, float).ravel()


def _patterns(valid):
    """Yield every set of inputs that share voxels, as indices of inputs and of voxels."""
    packed, inverse = np.unique(valid, axis=1, return_inverse=True)
    inverse = inverse.ravel()
    for number, column in enumerate(packed.T):
        yield np.flatnonzero(column), np.flatnonzero(inverse == number)


def _can_estimate(matrix, weights):
    if len(matrix) == 0:
        return False
    rest = weights - weights @ np.linalg.pinv(matrix) @ matrix
    return np.abs(rest).max() < 1e-8 * np.abs(weights).max()


def _combine_by_precision(effect, variance, dof, matrix, weights):
    """Return effect, variance and dof of the combination weighted by precision."""
    # Relative precisions keep the normal equations well scaled, whatever the unit.
    precision = variance.min(axis=0) / variance
    normal = np.linalg.pinv(np.einsum("ij,iv,ik->vjk", matrix, precision, matrix), hermitian=True)
    share = precision * (matrix @ (normal @ weights).T)
    effect, pieces, total, pooled = _propagate(share, effect, variance, dof)
    leverage = precision * np.einsum("ij,vjk,ik->iv", matrix, normal, matrix)
    # Meier's factor 1 + 4 sum p(1 - p) / dof of a weighted mean, for any design: p are leverages there.
    excess = np.sum(4.0 * pieces * (1.0 - leverage) / dof, axis=0)
    return effect, np.where(dof.min(axis=0) < MEIER_BELOW, total + excess, total), pooled


def _combine_equally(effect, variance, dof, matrix, weights):
    """Return effect, variance and dof of the combination with equal weights."""
    share = (weights @ np.linalg.pinv(matrix))[:, None]
    effect, _, total, pooled = _propagate(share, effect, variance, dof)
    return effect, total, pooled


def _combine_by_residuals(effect, variance, dof, matrix, weights):  # noqa: ARG001
    """Return effect, variance and dof of ordinary least squares over the inputs."""
    inverse = np.linalg.pinv(matrix)
    share = weights @ inverse
    left = len(matrix) - np.linalg.matrix_rank(matrix)
    rest = effect - matrix @ (inverse @ effect)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = share @ share * np.square(rest).sum(axis=0) / np.float64(left)
    return share @ effect, np.where(total > 0, total, np.nan), float(left)


def _propagate(share, effect, variance, dof):
    """Return the weighted sum, the parts of its variance, their sum, and Satterthwaite's dof."""
    pieces = np.square(share) * variance
    total = pieces.sum(axis=0)
    return (
        np.sum(share * effect, axis=0),
        pieces,
        total,
        np.square(total) / np.sum(np.square(pieces) / dof, axis=0),
    )


METHODS = {"precision": _combine_by_precision, "equal": _combine_equally, "ols": _combine_by_residuals}


def _matrix_shares(covariances, method):
    """Return the weight matrices, shape (n_voxels, n_rows, n_rows), one an input."""
    if method == "equal":
        return [np.broadcast_to(np.eye(v.shape[1]) / len(covariances), v.shape) for v in covariances]
    precisions = [np.linalg.inv(v) for v in covariances]
    total = np.linalg.inv(sum(precisions))
    return [total @ p for p in precisions]
