"""Slow, obvious versions of what the package computes fast."""

import numpy as np
from scipy import linalg, ndimage, optimize, stats


def t_map(y, matrix, weights):
    """Return the OLS t map of a one-row contrast."""
    weights = np.ravel(weights)
    beta = np.linalg.pinv(matrix) @ y
    dof = len(matrix) - np.linalg.matrix_rank(matrix)
    variance = np.square(y - matrix @ beta).sum(axis=0) / dof
    scale = weights @ np.linalg.pinv(matrix.T @ matrix) @ weights
    return weights @ beta / np.sqrt(variance * scale)


def f_map(y, matrix, weights):
    """Return the OLS F map of a contrast with independent rows."""
    beta = np.linalg.pinv(matrix) @ y
    dof = len(matrix) - np.linalg.matrix_rank(matrix)
    variance = np.square(y - matrix @ beta).sum(axis=0) / dof
    effect = weights @ beta
    inverse = np.linalg.inv(weights @ np.linalg.pinv(matrix.T @ matrix) @ weights.T)
    return np.einsum("iv,ij,jv->v", effect, inverse, effect) / (len(weights) * variance)


def g_map(y, matrix, weights, groups):
    """Return the test of a least-squares effect with variances by group, and its dof, voxel after voxel.

    The variance is a' Sigma a of the effects; for one row the square of t. The scale and the dof give F the
    quantiles of the statistic to the first order. Welch's F where the columns are means of the groups.
    """
    weights = np.atleast_2d(np.asarray(weights, float))
    inverse = np.linalg.pinv(matrix)
    maker, a, s = np.eye(len(matrix)) - matrix @ inverse, weights @ inverse, len(weights)
    found = []
    for v in range(y.shape[1]):
        pieces, freedom, rest = [], [], maker @ y[:, v]
        for group in np.unique(groups):
            rows = groups == group
            freedom.append(np.trace(maker[rows][:, rows]))
            pieces.append(rest[rows] @ rest[rows] / freedom[-1] * a[:, rows] @ a[:, rows].T)
        effect, covariance = a @ y[:, v], sum(pieces)
        shares = list(zip((np.linalg.solve(covariance, piece) for piece in pieces), freedom, strict=True))
        traces = sum(np.trace(p) ** 2 / f for p, f in shares)
        products = sum(np.trace(p @ p) / f for p, f in shares)
        scale = 1.0 + 2.0 * (s * products - traces) / (s * (s + 2))
        statistic = effect @ np.linalg.solve(covariance, effect) / (s * scale)
        found.append((statistic, s * (s + 2) / (traces + 2.0 * products)))
    return np.array(found).T


def clusters_of(volume, cutoff, structure_rank, offset):
    """Return sizes and masses of the clusters of a volume at or above a cutoff, by scipy.ndimage."""
    structure = ndimage.generate_binary_structure(3, structure_rank)
    labels, count = ndimage.label(volume >= cutoff, structure)
    index = np.arange(1, count + 1)
    sizes = ndimage.sum(np.ones_like(volume), labels, index)
    masses = ndimage.sum(volume - offset, labels, index)
    return labels, np.atleast_1d(sizes), np.atleast_1d(masses)


def enhanced(volume, powers=(0.5, 2.0), structure=None):
    """Return the TFCE of the positive part of a volume, interval of heights by interval; 6 neighbours."""
    extent, height = powers
    total, below = np.zeros(volume.shape), 0.0
    for top in np.unique(volume[volume > 0]):
        labels, _ = ndimage.label(volume >= top, structure)
        sizes = np.bincount(labels.ravel()).astype(float)
        sizes[0] = 0.0
        share = (top ** (height + 1) - below ** (height + 1)) / (height + 1)
        total += np.where(labels > 0, sizes[labels] ** extent, 0.0) * share
        below = top
    return total


def enhanced_by_steps(volume, n_steps, powers=(0.5, 2.0)):
    """Return the TFCE of the positive part of a volume by steps of its maximum, each at its upper end."""
    total, step = np.zeros(volume.shape), volume.max() / n_steps
    for threshold in step * np.arange(1, n_steps + 1):
        labels, sizes, _ = clusters_of(volume, threshold, 1, 0.0)
        total += np.append(0.0, sizes)[labels] ** powers[0] * threshold ** powers[1] * step
    return total


def wilks(scores, matrix, weights):
    """Return Rao's F of Wilks' lambda and its dof, for scores (n_subjects, n_rows) of one voxel.

    Residual cross-products of the whole model and of the model in which the contrast is zero.
    """
    weights = np.atleast_2d(weights)
    _, _, directions = np.linalg.svd(weights)
    restricted = matrix @ directions[len(weights) :].T
    sizes = [
        np.linalg.det(rest.T @ rest)
        for rest in (scores - m @ np.linalg.pinv(m) @ scores for m in (matrix, restricted))
    ]
    h, q, e = len(weights), scores.shape[1], len(matrix) - np.linalg.matrix_rank(matrix)
    s = np.sqrt((h**2 * q**2 - 4) / (h**2 + q**2 - 5)) if h**2 + q**2 > 5 else 1.0
    dof = (e - (q - h + 1) / 2) * s - (h * q - 2) / 2
    root = (sizes[0] / sizes[1]) ** (1 / s)
    return (1 - root) / root * dof / (h * q), (h * q, dof)


def nel_van_der_merwe(first, second):
    """Return p of equal means of two groups, each (n_rows, n_subjects, n_voxels), unequal in covariance."""
    p = []
    for voxel in range(first.shape[2]):
        parts = [(np.cov(x[:, :, voxel]) / x.shape[1], x.shape[1] - 1) for x in (first, second)]
        total = parts[0][0] + parts[1][0]
        gap = first[:, :, voxel].mean(axis=1) - second[:, :, voxel].mean(axis=1)
        t2, q = gap @ np.linalg.solve(total, gap), len(gap)
        size = [np.trace(s @ s) + np.trace(s) ** 2 for s in (total, parts[0][0], parts[1][0])]
        nu = size[0] / (size[1] / parts[0][1] + size[2] / parts[1][1])
        p.append(stats.f.sf((nu - q + 1) / (nu * q) * t2, q, nu - q + 1))
    return np.array(p)


def ar_covariance(partials, lengths):
    """Return the covariance of an AR process (innovations of variance 1) in runs that share no lag."""
    coefficients = np.zeros(0)
    for partial in partials:
        coefficients = np.r_[coefficients - partial * coefficients[::-1], partial]
    # The Yule-Walker equations, for the autocovariances at lags 0 to the order.
    order = len(coefficients)
    system = np.eye(order + 1)
    for lag in range(order + 1):
        for k, coefficient in enumerate(coefficients, 1):
            system[lag, abs(lag - k)] -= coefficient
    values = list(np.linalg.solve(system, np.eye(order + 1)[0]))
    while len(values) < max(lengths):
        values.append(sum(c * values[-k] for k, c in enumerate(coefficients, 1)))
    return linalg.block_diag(*(linalg.toeplitz(values[:length]) for length in lengths))


def fit_ar_by_likelihood(y, matrix, order, lengths, start=0.1):
    """Return the partial autocorrelations of the greatest restricted likelihood of one series."""

    def deviance(z):
        if np.abs(z).max() > np.arctanh(0.97):
            return np.inf
        covariance = ar_covariance(np.tanh(z), lengths)
        inner = matrix.T @ np.linalg.solve(covariance, matrix)
        rest = y - matrix @ np.linalg.solve(inner, matrix.T @ np.linalg.solve(covariance, y))
        dof = len(y) - matrix.shape[1]
        logs = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(inner)[1]
        return logs + dof * np.log(rest @ np.linalg.solve(covariance, rest))

    options = {"xatol": 1e-8, "fatol": 1e-12, "maxiter": 20000, "maxfev": 20000, "adaptive": order > 2}
    return np.tanh(
        optimize.minimize(deviance, np.full(order, start), method="Nelder-Mead", options=options).x
    )


def kenward_roger(y, matrix, weights, partials, lengths):
    """Return effects, their covariance, k and dof of contrasts (n_rows, n_columns) of one series."""
    covariance = ar_covariance(partials, lengths)
    precision = np.linalg.inv(covariance)
    inner = np.linalg.inv(matrix.T @ precision @ matrix)
    maker = precision - precision @ matrix @ inner @ matrix.T @ precision
    scale = y @ maker @ y / (len(y) - matrix.shape[1])
    steps = np.eye(len(partials)) * 1e-5
    slopes = [ar_covariance(partials + s, lengths) - ar_covariance(partials - s, lengths) for s in steps]
    slopes = [covariance, *(slope / 2e-5 for slope in slopes)]
    moved = [maker @ slope for slope in slopes]
    # Information of (log s2, partials); slopes of the log variance; covariance of the effect's slopes.
    w = np.linalg.inv(0.5 * np.array([[np.sum(a * b.T) for b in moved] for a in moved]))
    k, dof = [], []
    for row in weights:
        through = precision @ matrix @ inner @ row
        size = row @ inner @ row
        gradient = np.array([through @ slope @ through / size for slope in slopes])
        adapted = np.array([[through @ a @ maker @ b @ through for b in slopes[1:]] for a in slopes[1:]])
        k.append(np.sum(w[1:, 1:] * adapted) / size)
        dof.append(2.0 / (gradient @ w @ gradient))
    effect = weights @ inner @ matrix.T @ precision @ y
    return (
        effect,
        scale * weights @ inner @ weights.T,
        np.array(k),
        np.array(dof),
    )


def residuals_under_null(data, nuisance, groups, n_fits=4):
    """Return the residuals of subjects' vectors (n_subjects, n_maps) on the nuisance, weighted by group.

    The covariance of a group is that of its last residuals, over its size less what the fit takes of it.
    """
    n_maps, members = data.shape[1], [np.flatnonzero(groups == group) for group in np.unique(groups)]
    columns, whole = np.kron(nuisance, np.eye(n_maps)), np.eye(data.size)
    rest = data
    for _ in range(n_fits):
        hat = columns @ np.linalg.inv(columns.T @ whole @ columns) @ columns.T @ whole
        rest = data - (hat @ data.ravel()).reshape(data.shape)
        weights = np.zeros_like(whole)
        for rows in members:
            own = (rows[:, None] * n_maps + np.arange(n_maps)).ravel()
            freedom = len(rows) - hat[own, own].sum() / n_maps
            block = np.linalg.inv(rest[rows].T @ rest[rows] / freedom)
            weights[np.ix_(own, own)] = np.kron(np.eye(len(rows)), block)
        whole = weights
    return rest
