"""How many subjects, or pairs of subjects, go the way of a contrast."""

import numpy as np

from bidsapp.records.arrays import Labels, Map, Maps, Matrix, Numbers
from bidsapp.stats.linear import invert_gram

# Weights and values of regressors that differ by less than this part of the largest are the same.
SAME = 1e-6
# A contrast over a design with so many values at most compares those above zero with those below.
FEW_VALUES = 3


def count_agreeing(effects: Maps, matrix: Matrix, weights: Numbers) -> tuple[str, Labels, Labels]:
    """Return how many subjects show the sign of an effect, or how many pairs its order.

    Of a mean, the subjects that it is over are counted. Of a difference, the pairs with one subject on each
    side; of a slope, the pairs whose values of the covariate differ: it is Kendall's concordance. What is
    explained by columns on which the contrast has no weight is taken off before.

    Parameters
    ----------
    effects : ndarray, shape (n_subjects, n_voxels)
        NaN where a subject has no data.
    matrix : ndarray, shape (n_subjects, n_columns)
    weights : ndarray, shape (n_columns,)

    Returns
    -------
    unit : {"subjects", "pairs"}
    agree, compared : ndarray of int, shape (n_voxels,)
        Ties do not agree.
    """
    regressor = matrix @ weights
    regressor = np.where(np.abs(regressor) > SAME * np.abs(regressor).max(), regressor, 0.0)
    own = weights @ invert_gram(matrix) @ matrix.T
    is_mean = abs(own.sum()) > SAME * np.abs(own).sum()
    values = np.asarray(effects, float)
    agree, compared = np.zeros((2, values.shape[1]), int)
    for voxel, column in enumerate(values.T):
        known = np.isfinite(column)
        adjusted, effect = _adjust(column[known], matrix[known], weights)
        if is_mean:
            agreeing = np.sign(adjusted * regressor[known] * effect)[regressor[known] != 0]
        else:
            agreeing = _pairs(adjusted, regressor[known]) * np.sign(effect)
        agree[voxel], compared[voxel] = np.sum(agreeing > 0), len(agreeing)
    return "subjects" if is_mean else "pairs", agree, compared


def _adjust(values: Map, matrix: Matrix, weights: Numbers) -> tuple[Map, float]:
    """Return values without what the columns without weight explain, and the effect."""
    coefficients = invert_gram(matrix) @ (matrix.T @ values)
    others = weights == 0
    return values - matrix[:, others] @ coefficients[others], float(weights @ coefficients)


def _pairs(values: Map, regressor: Numbers) -> Map:
    """Return 1 for each pair in the order of the regressor, -1 for each in the opposite one, 0 for ties."""
    used = np.ones(len(regressor), bool)
    is_balance = regressor.min() < 0 < regressor.max()
    if is_balance and len(np.unique(regressor.round(12))) <= FEW_VALUES:
        used = regressor != 0
    values, regressor = values[used], regressor[used]
    above = np.subtract.outer(regressor, regressor) > SAME * np.abs(regressor).max(initial=0.0)
    order: Map = np.sign(np.subtract.outer(values, values))[above]
    return order
