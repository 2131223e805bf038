"""AR(p) coefficients of each voxel from bias-corrected autocovariances, gathered in bins.

Residuals are less correlated than the noise, for the design takes up a part of it. Worsley et al. (2002,
NeuroImage 15:1-15, appendix A.1) correct this: the expected sums of lagged products of the residuals are a
linear function of the autocovariances of the noise.

Words: ``partials`` are partial autocorrelations; any between -1 and 1 give a stationary process, so they,
not the coefficients, are cut and averaged.
"""

import numpy as np
from scipy.spatial import cKDTree

from bidsapp.stats.time_model import lagged

# The estimate of a few voxels is not stationary; they are cut back to a process that is.
LARGEST_PARTIAL = 0.95
# Voxels share the coefficients of one of so many bins. In whole brains the centre of a bin is nearer to a
# voxel's estimate than a third of that estimate's standard error.
MAX_BINS = 1000
# Rounds of moving the centres; the spread within bins changes by under 1 % after these.
ROUNDS = 10
# Voxels a bin that the centres are found from.
SAMPLE = 20


def find_partials(autocovariances, model):
    """Return the partial autocorrelations of the noise.

    Parameters
    ----------
    autocovariances : ndarray, shape (order + 1, n_voxels)
        Sums of r_t r_(t+k) of the least-squares residuals.
    model : TimeModel

    Returns
    -------
    ndarray, shape (order, n_voxels)
    """
    corrected = np.linalg.solve(make_bias_matrix(model, len(autocovariances)), autocovariances)
    return to_partials(corrected)


def make_bias_matrix(model, n_lags):
    """Return M with E[sums of lagged products of residuals] = M @ autocovariances of the noise."""
    residual_maker = np.eye(model.n_volumes) - model.basis @ model.basis.T
    moved = [np.concatenate([lagged(residual_maker[run], k) for run in model.runs]) for k in range(n_lags)]
    # tr(S_l R D_j R), S_l being D_l / 2 (identity at lag 0), as r'S_l r is the sum of r_t r_(t+l).
    traces = np.array([[np.sum(left * right.T) for right in moved] for left in moved])
    return traces * np.where(np.arange(n_lags) == 0, 1.0, 0.5)[:, None]


def to_partials(autocovariances):
    """Return partial autocorrelations by the Levinson-Durbin recursion, cut to a stationary process."""
    order = len(autocovariances) - 1
    variance = np.array(autocovariances[0])
    coefficients = np.zeros((order, variance.size))
    partials = np.zeros((order, variance.size))
    for k in range(order):
        rest = autocovariances[k + 1] - np.sum(coefficients[:k] * autocovariances[k:0:-1], axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            partial = np.nan_to_num(rest / variance)
        partials[k] = np.clip(partial, -LARGEST_PARTIAL, LARGEST_PARTIAL)
        coefficients[:k] -= partials[k] * coefficients[:k][::-1]
        coefficients[k] = partials[k]
        variance *= 1 - np.square(partials[k])
    return partials


def to_coefficients(partials):
    """Return AR coefficients from partial autocorrelations, both shape (n_bins, order)."""
    coefficients = np.zeros_like(partials)
    for k in range(partials.shape[1]):
        partial = partials[:, k : k + 1]
        coefficients[:, :k] -= partial * coefficients[:, :k][:, ::-1]
        coefficients[:, k : k + 1] = partial
    return coefficients


def make_bins(values, n_bins=MAX_BINS):
    """Gather points in bins by k-means, from a fixed start: the same values give the same bins.

    Parameters
    ----------
    values : ndarray, shape (n_points, n_dimensions)

    Returns
    -------
    centres : ndarray, shape (n_bins or fewer, n_dimensions)
    bins : ndarray of int, shape (n_points,)
    """
    if len(values) <= n_bins:
        return values, np.arange(len(values))
    sample = values[:: max(1, len(values) // (SAMPLE * n_bins))]
    order = np.argsort(sample[:, 0], kind="stable")
    centres = sample[order[np.linspace(0, len(sample) - 1, n_bins).astype(int)]]
    for _ in range(ROUNDS):
        _, bins = cKDTree(centres).query(sample)
        counts = np.bincount(bins, minlength=len(centres))
        sums = [np.bincount(bins, weights=column, minlength=len(centres)) for column in sample.T]
        centres = (np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None])[counts > 0]
    return centres, cKDTree(centres).query(values)[1]
