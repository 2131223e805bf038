"""Amplitudes that count the derivatives of the response in (Calhoun et al. 2004, NeuroImage 22:252-257).

The amplitude of a condition is sign(b1) sqrt(b1^2 + b2^2 + b3^2) over the parameters of the response and its
derivatives, each times the length of its column relative to the response's. It is never near zero, so its t
against zero is too large; differences between conditions, and the level above, are what it is for.
"""

from collections.abc import Sequence

import numpy as np

from bidsapp.records.arrays import Map, Maps, Matrix, Numbers
from bidsapp.records.maps import Contrast, Estimate
from bidsapp.stats.run.glm import FittedRun, assess_variance, estimate_t

DERIVATIVES = ("derivative", "dispersion")


def estimate_boosted_t(fitted: FittedRun, contrast: Contrast, matrix: Matrix) -> Estimate:
    """Return the estimate of a contrast of amplitudes; the plain one where no column has a derivative.

    Parameters
    ----------
    fitted : FittedRun
    contrast : Contrast
        Of one row, over the columns of the responses, which the design can estimate.
    matrix : ndarray, shape (n_volumes, n_columns)
        The design, for the lengths of its columns.

    Returns
    -------
    Estimate
        The variance is that of the linear approximation at the estimate (delta method).
    """
    weights = np.atleast_2d(contrast.weights)[0]
    families = [_find_family(contrast.columns, index) for index in np.flatnonzero(weights).tolist()]
    if all(len(family) == 1 for family in families):
        return estimate_t(fitted, contrast)
    lengths = np.linalg.norm(matrix, axis=0)
    columns = [index for family in families for index in family]
    rows = fitted.model.to_basis[columns]
    parameters = rows @ fitted.parameters.T
    effect, gradient = np.zeros(parameters.shape[1]), np.zeros_like(parameters)
    start = 0
    for family in families:
        part = slice(start, start + len(family))
        amplitude, slope = _amplitude(parameters[part], lengths[family] / lengths[family[0]])
        effect += weights[family[0]] * amplitude
        gradient[part] = weights[family[0]] * slope
        start += len(family)
    variance, dof = assess_variance(fitted, rows, gradient)
    return Estimate(contrast.name, effect, variance, dof)


def _find_family(columns: Sequence[str], index: int) -> list[int]:
    """Return the index of a response and those of its derivatives."""
    names = [f"{columns[index]}_{part}" for part in DERIVATIVES]
    return [index, *(columns.index(name) for name in names if name in columns)]


def _amplitude(parameters: Maps, lengths: Numbers) -> tuple[Map, Maps]:
    """Return the amplitude and its derivatives by the parameters."""
    scaled = parameters * lengths[:, None]
    size = np.sqrt(np.square(scaled).sum(axis=0))
    sign = np.sign(parameters[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        return sign * size, sign * scaled * lengths[:, None] / size
