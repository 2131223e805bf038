"""What the residuals of a group model say of its errors: their variance by input, and their skewness."""

import numpy as np
from scipy import special

from bidsapp.records.arrays import Map, Maps, Matrix, Numbers
from bidsapp.stats.blocks import cut_blocks
from bidsapp.stats.group.variance_groups import NOTHING
from bidsapp.stats.linear import PERFECT_FIT, make_basis

# Mean logarithm of a chi-square variable of one degree of freedom.
MEAN_LOG = special.digamma(0.5) + np.log(2.0)


def measure_errors(effects: Maps, matrix: Matrix) -> tuple[Numbers, float]:
    """Return the variance of the errors of each input, and the mean skewness of all errors.

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_voxels)
        Voxels with a missing input, or that the design fits perfectly, are left out.
    matrix : ndarray, shape (n_inputs, n_columns)

    Returns
    -------
    variances : ndarray, shape (n_inputs,)
        Geometric mean over voxels of the squared residual over its share 1 - h, corrected for its bias under
        normal errors; NaN for an input that the design fits perfectly.
    skewness : float
        Mean over voxels of the adjusted skewness of the residuals; NaN where no voxel has residuals.
    """
    basis, _ = make_basis(matrix)
    share = 1.0 - np.einsum("ir,ir->i", basis, basis)
    known = share > NOTHING
    logs, skewness, count = np.zeros(len(effects)), 0.0, 0
    for block in cut_blocks(effects.shape[1], 2 * len(effects)) if known.any() else ():
        values = np.asarray(effects[:, block], float)
        values = values[:, np.isfinite(values).all(axis=0)]
        residuals = values - basis @ (basis.T @ values)
        least = PERFECT_FIT * np.square(values).sum(axis=0)
        good = (np.square(residuals[known]) > least).all(axis=0)
        logs += np.log(np.square(np.where(known[:, None], residuals, 1.0)[:, good])).sum(axis=1)
        skewness += _skewness(residuals[:, good]).sum()
        count += int(np.count_nonzero(good))
    if not count:
        return np.full(len(effects), np.nan), np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        variances = np.exp(logs / count - MEAN_LOG) / np.where(known, share, np.nan)
    return variances, skewness / count


def _skewness(residuals: Maps) -> Map:
    """Return the adjusted Fisher-Pearson skewness of every voxel."""
    n = len(residuals)
    moments = [np.mean(residuals**power, axis=0) for power in (2, 3)]
    skewness: Map = np.sqrt(n * (n - 1.0)) / max(n - 2.0, 1.0) * moments[1] / moments[0] ** 1.5
    return skewness
