"""What the residuals of a group model say of its errors: their variance by group, and their skewness."""

import numpy as np
from scipy import special

from bidsapp.stats.group_glm import PERFECT_FIT
from bidsapp.stats.variance_groups import NOTHING, find_freedom, sum_by_group
from bidsapp.stats.weighted_solve import make_basis

# Numbers of a block in double precision.
BLOCK_NUMBERS = 2**21


def measure_errors(effects, matrix, index):
    """Return the variance of the errors of each group of inputs, and the mean skewness of all errors.

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_voxels)
        Voxels with a missing input, or that the design fits perfectly, are left out.
    matrix : ndarray, shape (n_inputs, n_columns)
    index : ndarray of int, shape (n_inputs,)
        The group of each input, 0, 1, ...

    Returns
    -------
    variances : ndarray, shape (n_groups,)
        Geometric mean over voxels, corrected for its bias under normal errors; NaN for a group whose inputs
        the design fits perfectly.
    skewness : float
        Mean over voxels of the adjusted skewness of the residuals; NaN where no voxel has residuals.
    """
    basis, _ = make_basis(matrix)
    freedom = find_freedom(basis, index)
    known = freedom > NOTHING
    logs, skewness, count = np.zeros(len(freedom)), 0.0, 0
    step = max(1, BLOCK_NUMBERS // len(effects))
    for start in range(0, effects.shape[1], step):
        values = np.asarray(effects[:, start : start + step], float)
        values = values[:, np.isfinite(values).all(axis=0)]
        residuals = values - basis @ (basis.T @ values)
        squares = sum_by_group(np.square(residuals), index)
        good = (squares[known] > PERFECT_FIT * np.square(values).sum(axis=0)).all(axis=0)
        good &= len(effects) > basis.shape[1]
        logs[known] += np.log(squares[known][:, good]).sum(axis=1)
        skewness += _skewness(residuals[:, good]).sum()
        count += np.count_nonzero(good)
    if not count:
        return np.full(len(freedom), np.nan), np.nan
    # The mean logarithm of a chi-square variable is digamma(dof / 2) + log 2.
    expected = special.digamma(np.where(known, freedom, 1.0) / 2) + np.log(2.0)
    return np.where(known, np.exp(logs / count - expected), np.nan), skewness / count


def _skewness(residuals):
    """Return the adjusted Fisher-Pearson skewness of every voxel."""
    n = len(residuals)
    moments = [np.mean(residuals**power, axis=0) for power in (2, 3)]
    return np.sqrt(n * (n - 1.0)) / max(n - 2.0, 1.0) * moments[1] / moments[0] ** 1.5
