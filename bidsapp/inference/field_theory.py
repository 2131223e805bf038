"""Random-field theory: expected numbers of clusters and p-values of their size, as SPM computes them.

Worsley 1996 (EC densities, table II), Friston 1994 (cluster size), Kiebel 1999
(smoothness from residuals). A resel is a block of one full width at half maximum along every axis.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from scipy import special

from bidsapp.records.arrays import Labels, Map, Maps, Mask, Matrix, Numbers
from bidsapp.records.maps import Geometry, Smoothness
from bidsapp.stats.linear import make_basis

# One value or many.
Values: TypeAlias = Numbers | float

# The variance of the derivative of noise is this over its squared full width at half maximum (Worsley 1996).
FOUR_LOG_2 = 4 * np.log(2)
# A smaller variance between neighbours is rounding.
LEAST_VARIANCE = 1e-12
# Below it, F is 0 to every digit of the densities.
SMALLEST_F = 1e-30


def ec_densities(u: Values, test: str, dof: tuple[float, float]) -> Numbers:
    """Return the expected Euler characteristic of dimension 0 to 3 per resel above u, shape (4,).

    Parameters
    ----------
    test : {"z", "t", "F"}
    dof : tuple of float
        (numerator, residual); t uses the second only.
    """
    if test == "z":
        return _gaussian(u)
    return _student(u, dof[1]) if test == "t" else _fisher(u, *dof)


def expected_clusters(u: Values, test: str, dof: tuple[float, float], resels: Numbers) -> Numbers:
    """Return the expected number of clusters above u in a search volume."""
    return np.tensordot(resels, ec_densities(u, test, dof), axes=1)


def cluster_p(
    size_resels: Values, u: float, test: str, dof: tuple[float, float], resels: Numbers
) -> tuple[Numbers, Numbers]:
    """Return the uncorrected and the corrected p of a cluster of some resels above u."""
    density = ec_densities(u, test, dof)
    dimension = int(np.flatnonzero(resels)[-1])
    expected = np.dot(resels, density)
    # The volume above u over the number of clusters.
    mean_size = density[0] / density[dimension]
    beta = (special.gamma(dimension / 2 + 1) / mean_size) ** (2 / dimension)
    p = np.exp(-beta * np.asarray(size_resels, float) ** (2 / dimension))
    return p, -np.expm1(-(expected + np.finfo(float).eps) * p)


def estimate_smoothness(effects: Maps, matrix: Matrix, geometry: Geometry, dof: float) -> Smoothness:
    """Return how smooth the noise is, from differences between neighbours of standardised residuals.

    Subject by subject: beside the effects only a few maps are held.

    Parameters
    ----------
    effects : ndarray, shape (n_subjects, n_points)
        Points with a value that is not finite are left out.
    matrix : ndarray, shape (n_subjects, n_columns)
    geometry : Geometry
    dof : float
        Residual degrees of freedom.
    """
    complete: Mask = np.all(np.isfinite(effects), axis=0)
    basis, _ = make_basis(matrix)
    coefficients = np.zeros((basis.shape[1], effects.shape[1]))
    for row, weights in zip(effects, basis, strict=True):
        coefficients += weights[:, None] * np.where(complete, row, 0.0)

    def residuals() -> Iterator[Map]:
        for row, weights in zip(effects, basis, strict=True):
            yield np.where(complete, row, 0.0) - weights @ coefficients

    squares = sum(np.square(row) for row in residuals())
    scale = 1.0 / np.sqrt(np.where(squares > 0, squares, 1.0))
    pairs = [
        (here[known], there[known])
        for here, there in _forward_pairs(geometry)
        for known in [complete[here] & complete[there]]
    ]
    variances = np.zeros(3)
    for row in residuals():
        unit = row * scale
        variances += [_mean_square(unit[there] - unit[here]) for here, there in pairs]
    # A residual divided by its own length is rougher than the noise (Kiebel 1999; Worsley 1996).
    variances *= (dof - 2) / (dof - 1) if dof > 2 else 1.0
    with np.errstate(divide="ignore"):
        fwhm = np.where(variances > 0, np.sqrt(FOUR_LOG_2 / np.maximum(variances, LEAST_VARIANCE)), 1.0)
    return Smoothness(fwhm, count_resels(geometry.mask, fwhm), geometry.n_points)


def count_resels(mask: Mask, fwhm_voxels: Numbers) -> Numbers:
    """Return the resel counts of dimension 0 to 3 of a mask (Worsley 1996, equations for a lattice)."""
    padded = np.pad(mask, (0, 1))
    points = np.count_nonzero(padded)
    edges = [_both(padded, (a,)) for a in range(3)]
    faces = {pair: _both(padded, pair) for pair in ((0, 1), (0, 2), (1, 2))}
    cubes = _both(padded, (0, 1, 2))
    r = 1 / np.asarray(fwhm_voxels, float)
    zero = points - sum(edges) + sum(faces.values()) - cubes
    one = sum((edges[a] - sum(n for pair, n in faces.items() if a in pair) + cubes) * r[a] for a in range(3))
    two = sum((n - cubes) * r[a] * r[b] for (a, b), n in faces.items())
    return np.array([zero, one, two, cubes * r.prod()], float)


def _mean_square(differences: Numbers) -> float:
    return np.square(differences).mean() if differences.size else 0.0


def _both(padded: Mask, axes: Sequence[int]) -> int:
    """Return how many points have all their neighbours one step along some axes (edges, faces, cubes)."""
    joint = padded
    for axis in axes:
        joint = joint & np.roll(joint, -1, axis)
    return int(np.count_nonzero(joint))


def _forward_pairs(geometry: Geometry) -> list[tuple[Labels, Labels]]:
    """Return, for every axis, the points that have a neighbour one step up, and these neighbours."""
    index = geometry.volume(np.arange(geometry.n_points), fill=-1)
    pairs: list[tuple[Labels, Labels]] = []
    for axis in range(3):
        below = np.take(index, range(index.shape[axis] - 1), axis).ravel()
        above = np.take(index, range(1, index.shape[axis]), axis).ravel()
        both = (below >= 0) & (above >= 0)
        pairs.append((below[both], above[both]))
    return pairs


def _gaussian(u: Values) -> Numbers:
    shape = np.exp(-(u**2) / 2)
    return np.array(
        [
            special.ndtr(-u),
            FOUR_LOG_2**0.5 / (2 * np.pi) * shape,
            FOUR_LOG_2 / (2 * np.pi) ** 1.5 * u * shape,
            FOUR_LOG_2**1.5 / (2 * np.pi) ** 2 * (u**2 - 1) * shape,
        ]
    )


def _student(u: Values, v: float) -> Numbers:
    ratio = np.exp(special.gammaln((v + 1) / 2) - special.gammaln(v / 2))
    shape = (1 + u**2 / v) ** ((1 - v) / 2)
    return np.array(
        [
            special.stdtr(v, -u),
            FOUR_LOG_2**0.5 / (2 * np.pi) * shape,
            FOUR_LOG_2 / (2 * np.pi) ** 1.5 * ratio / (v / 2) ** 0.5 * u * shape,
            FOUR_LOG_2**1.5 / (2 * np.pi) ** 2 * ((v - 1) * u**2 / v - 1) * shape,
        ]
    )


def _fisher(u: Values, k: float, v: float) -> Numbers:
    a = FOUR_LOG_2 / (2 * np.pi)
    log_b = special.gammaln(v / 2) + special.gammaln(k / 2)
    # The densities have limits at 0, which the powers do not.
    x = np.maximum(k * u / v, SMALLEST_F)
    shape = (1 + x) ** (-(v + k - 2) / 2)
    one = a**0.5 * np.exp(special.gammaln((v + k - 1) / 2) - log_b) * 2**0.5 * x ** ((k - 1) / 2) * shape
    two = (
        a * np.exp(special.gammaln((v + k - 2) / 2) - log_b) * x ** ((k - 2) / 2) * shape
        * ((v - 1) * x - (k - 1))
    )  # fmt: skip
    three = (
        a**1.5 * np.exp(special.gammaln((v + k - 3) / 2) - log_b) * 2**-0.5 * x ** ((k - 3) / 2) * shape
        * ((v - 1) * (v - 2) * x**2 - (2 * v * k - v - k - 1) * x + (k - 1) * (k - 2))
    )  # fmt: skip
    return np.array([special.fdtrc(k, v, u), one, two, three])
