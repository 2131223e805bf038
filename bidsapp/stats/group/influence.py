"""What each input does to a group model: leverage, Cook's distance, residuals, likeness to the others.

Everything is of the least-squares fit, and summarised over voxels (Cook 1977; Luo and Nichols 2003).
"""

from dataclasses import dataclass

import numpy as np

from bidsapp.records.arrays import Maps, Matrix, Numbers
from bidsapp.stats.blocks import cut_blocks
from bidsapp.stats.linear import PERFECT_FIT, find_rank, make_basis, sum_squares

# An input whose leverage is within this of 1 is fitted perfectly and can be left out of nothing.
FULL_LEVERAGE = 1e-9
# A deleted residual beyond this is one of a thousand under a normal distribution with many inputs.
LARGE_RESIDUAL = 3.29
# Flags: see ``flag_outliers``. Cook's distance beyond 4 / n is the usual rule of thumb (Bollen and Jackman
# 1985), and beyond twice what the leverage alone gives; residuals half as large again as expected; a
# correlation half as high as the others', where they have one.
OUTLIER_DISTANCE = 3.5
LARGE_COOK = 4.0
LARGE_RMS = 1.5
BEYOND_LEVERAGE = 2.0
UNLIKE, ALIKE = 0.5, 0.2
# The median absolute deviation of a standard normal variable, as Iglewicz and Hoaglin round it.
SCALED_MAD = 0.6745


@dataclass(frozen=True, slots=True)
class Influence:
    """One value an input; every array has shape (n_inputs,).

    Attributes
    ----------
    leverage : ndarray
        Diagonal of the hat matrix; 1 / n_inputs in a one-sample design.
    cooks_distance : ndarray
        Mean over voxels.
    residual_rms : ndarray
        Root mean square of the studentised deleted residuals; 1 is expected of many inputs.
    residual_large : ndarray
        Share of voxels whose deleted residual is beyond 3.29; 0.001 is expected of many inputs.
    correlation : ndarray
        Of the input's map with what the model fitted to the others predicts for it.
    """

    leverage: Numbers
    cooks_distance: Numbers
    residual_rms: Numbers
    residual_large: Numbers
    correlation: Numbers


def measure_influence(effects: Maps, matrix: Matrix) -> Influence:
    """Return the Influence of every input.

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_voxels)
        Voxels with a missing input are left out.
    matrix : ndarray, shape (n_inputs, n_columns)

    Returns
    -------
    Influence
        NaN for an input that the design fits perfectly, or where no voxel has all inputs.
    """
    basis, _ = make_basis(matrix)
    leverage = np.einsum("ir,ir->i", basis, basis)
    sums = np.zeros((9, len(effects)))
    for block in cut_blocks(effects.shape[1], 2 * len(effects)):
        values = np.asarray(effects[:, block], float)
        values = values[:, np.isfinite(values).all(axis=0)]
        sums += _sum_block(values, basis, leverage, find_rank(matrix))
    return _summarise(sums, leverage)


def flag_outliers(influence: Influence) -> list[str]:
    """Return in words what is unusual about each input, "" where nothing is.

    An input is flagged when it lies more than 3.5 scaled median absolute deviations from the median of the
    inputs (Iglewicz and Hoaglin 1993) and the measure is also large in itself; with few inputs the first
    happens by chance.
    """
    found: list[list[str]] = [[] for _ in influence.leverage]
    cook, rms, correlation = influence.cooks_distance, influence.residual_rms, influence.correlation
    leverage, usual = influence.leverage, _middle(correlation)
    with np.errstate(divide="ignore"):
        expected = leverage / (1.0 - leverage) / leverage.sum()
    is_large = (cook > LARGE_COOK / len(cook)) & (cook > BEYOND_LEVERAGE * expected)
    rules = (
        ("Cook's distance is high", np.log(np.maximum(cook, 1e-300)), is_large),
        ("residuals are large", rms, rms > LARGE_RMS),
        ("unlike the others", -correlation, (correlation < UNLIKE * usual) & (usual > ALIKE)),
    )
    for words, values, is_large in rules:
        for index in np.flatnonzero(is_large & (_distances(values) > OUTLIER_DISTANCE)):
            found[index].append(words)
    return ["; ".join(words) for words in found]


def _distances(values: Numbers) -> Numbers:
    # Few subjects: Cook's distance may be infinite, and nobody may have a value.
    with np.errstate(divide="ignore", invalid="ignore"):
        from_centre = values - _middle(values)
        scaled = from_centre / (_middle(np.abs(from_centre)) / SCALED_MAD)
        return np.asarray(np.nan_to_num(scaled, nan=0.0, posinf=0.0))


def _middle(values: Numbers) -> float:
    """Return the median of the values that are there; NaN where none is."""
    return float(np.median(values[~np.isnan(values)])) if not np.isnan(values).all() else np.nan


def _sum_block(values: Maps, basis: Matrix, leverage: Numbers, rank: int) -> Matrix:
    """Return sums over voxels: count, Cook, squared and large residuals, and five moments of two maps."""
    residuals = values - basis @ (basis.T @ values)
    squares = sum_squares(residuals)
    good = squares > PERFECT_FIT * sum_squares(values)
    values, residuals, squares = values[:, good], residuals[:, good], squares[good]
    kept = np.where(1.0 - leverage > FULL_LEVERAGE, 1.0 - leverage, np.nan)[:, None]
    dof = len(values) - rank
    internal = np.square(residuals) / (kept * squares / dof)
    with np.errstate(divide="ignore", invalid="ignore"):
        deleted = internal * (dof - 1) / (dof - internal)
    cook = internal * leverage[:, None] / kept / rank
    predicted = values - residuals / kept
    large = (deleted > LARGE_RESIDUAL**2).sum(axis=1)
    moments = [values, predicted, values**2, predicted**2, values * predicted]
    sums = [array.sum(axis=1) for array in (cook, deleted, *moments)]
    return np.array([np.full(len(values), good.sum()), sums[0], sums[1], large, *sums[2:]])


def _summarise(sums: Matrix, leverage: Numbers) -> Influence:
    with np.errstate(divide="ignore", invalid="ignore"):
        cook, deleted, large, x, y, xx, yy, xy = sums[1:] / sums[0]
        correlation = (xy - x * y) / np.sqrt((xx - x**2) * (yy - y**2))
    large = np.where(np.isnan(deleted), np.nan, large)
    return Influence(leverage, cook, np.sqrt(deleted), large, correlation)
