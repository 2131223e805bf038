"""What the residuals of a group model say of its errors: their variance by group, and their skewness."""

import numpy as np
from scipy import special

from bidsapp.stats.group_glm import PERFECT_FIT
from bidsapp.stats.variance_groups import NOTHING, find_freedom, sum_by_group
from bidsapp.stats.weighted_solve import make_basis

# Numbers of a block in double precision.
BLOCK_NUMBERS = 2**21


def measure_errors(effects, matrix, groupings):
    """Return the variances of the errors by groups of inputs, and the mean skewness of all errors.

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_voxels)
        Voxels with a missing input, or that the design fits perfectly, are left out.
    matrix : ndarray, shape (n_inputs, n_columns)
    groupings : list of ndarray of int, shape (n_inputs,)
        The group of each input, 0, 1, ..., in several ways.

    Returns
    -------
    variances : list of ndarray, shape (n_groups,)
        Of each grouping: geometric mean over voxels, corrected for its bias under normal errors; NaN for a
        group whose inputs the design fits perfectly.
    skewness : float
        Mean over voxels of the adjusted skewness of the residuals; NaN where no voxel has residuals.
    """
    basis, _ = make_basis(matrix)
    freedoms = [find_freedom(basis, index) for index in groupings]
    logs, skewness, count = [np.zeros(len(freedom)) for freedom in freedoms], 0.0, 0
    step = max(1, BLOCK_NUMBERS // len(effects))
    for start in range(0, effects.shape[1], step):
        values = np.asarray(effects[:, start : start + step], float)
        values = values[:, np.isfinite(values).all(axis=0)]
        residuals = values - basis @ (basis.T @ values)
        good = np.full(values.shape[1], len(effects) > basis.shape[1])
        least = PERFECT_FIT * np.square(values).sum(axis=0)
        squares = [sum_by_group(np.square(residuals), index) for index in groupings]
        for found, freedom in zip(squares, freedoms, strict=True):
            good &= (found[freedom > NOTHING] > least).all(axis=0)
        good &= np.square(residuals).sum(axis=0) > least
        for sums, found, freedom in zip(logs, squares, freedoms, strict=True):
            known = freedom > NOTHING
            sums[known] += np.log(found[known][:, good]).sum(axis=1)
        skewness += _skewness(residuals[:, good]).sum()
        count += np.count_nonzero(good)
    if not count:
        return [np.full(len(freedom), np.nan) for freedom in freedoms], np.nan
    return [_mean_variance(*pair, count) for pair in zip(logs, freedoms, strict=True)], skewness / count


def _mean_variance(logs, freedom, count):
    """Return variances from sums of the logarithms of squares over voxels."""
    known = freedom > NOTHING
    # The mean logarithm of a chi-square variable is digamma(dof / 2) + log 2.
    expected = special.digamma(np.where(known, freedom, 1.0) / 2) + np.log(2.0)
    return np.where(known, np.exp(logs / count - expected), np.nan)


def _skewness(residuals):
    """Return the adjusted Fisher-Pearson skewness of every voxel."""
    n = len(residuals)
    moments = [np.mean(residuals**power, axis=0) for power in (2, 3)]
    return np.sqrt(n * (n - 1.0)) / max(n - 2.0, 1.0) * moments[1] / moments[0] ** 1.5
