"""The v and G statistics: variances that differ between groups of rows, under every shuffle.

v (one row; Welch 1951, Aspin & Welch 1949) and G (several rows; Winkler 2014) weigh each row by its
group's own residual variance. Their degrees of freedom differ between voxels and shuffles; so every map,
also that of the height, is followed as the z-value of the same parametric p.
"""

from dataclasses import dataclass

import numba
import numpy as np
from scipy import special

from bidsapp.inference.partition import Partition
from bidsapp.stats.distributions import f_to_z, t_to_z

compiled = numba.njit(cache=True, nogil=True)


@dataclass(frozen=True, slots=True, eq=False)
class GroupedTest:
    """A contrast with data and variance groups, ready to be shuffled.

    Attributes
    ----------
    groups : ndarray of int, shape (n_subjects,)
        Numbers from 0.
    data : ndarray of float64, shape (n_subjects, n_points)
        Residuals on the nuisance, of length 1; zero where the test cannot be made.
    usable : ndarray of bool, shape (n_points,)
    direction : {1, -1}
    """

    partition: Partition
    groups: np.ndarray
    data: np.ndarray
    usable: np.ndarray
    direction: int = 1

    @property
    def name(self):
        """What the statistic is called."""
        return "v" if self.partition.n_rows == 1 else "G"

    @property
    def dof(self):
        """Numerator degrees of freedom; those of the residuals differ between voxels."""
        return float(self.partition.n_rows), float("nan")

    @property
    def is_signed(self):
        """Whether the statistic has two tails."""
        return self.name == "v"

    def statistics(self, shuffles, which):
        """Return v or G and its residual degrees of freedom under some shuffles, each (n, n_points)."""
        basis = self.partition.basis
        weights = np.ascontiguousarray(shuffles.apply(basis, which))
        met = np.ascontiguousarray(self.groups[shuffles.order[which]])
        n_groups = self.groups.max() + 1
        grams = np.stack([basis[self.groups == g].T @ basis[self.groups == g] for g in range(n_groups)])
        counts = np.bincount(self.groups).astype(float)
        return grouped_statistics(weights, met, self.data, grams, counts, self.partition.n_rows)

    def maps(self, shuffles, which):
        """Return z-values of some shuffles, shape (n, n_points)."""
        statistic, dof = self.statistics(shuffles, which)
        if self.name == "v":
            return self.direction * t_to_z(statistic, dof)
        return f_to_z(statistic, self.partition.n_rows, dof)

    def observed(self, shuffles):
        """Return the observed v or G, shape (n_points,)."""
        return self.statistics(shuffles, slice(0, 1))[0][0]

    def cutoff(self, p):
        """Return z with an upper-tail p."""
        return float(-special.ndtri(p))

    def z(self, statistic):
        """Return z-values: the maps are z already."""
        return statistic


@compiled
def grouped_statistics(weights, met, data, grams, counts, n_effects):
    """Return v (signed) or G with its degrees of freedom.

    Parameters
    ----------
    weights : ndarray, shape (n_shuffles, n_basis, n_subjects)
        The shuffled orthonormal basis of the design, effects first.
    met : ndarray of int, shape (n_shuffles, n_subjects)
        The variance group of the design row that each row of the data meets.
    grams : ndarray, shape (n_groups, n_basis, n_basis)
        Inner products of the basis within each group.
    counts : ndarray, shape (n_groups,)
    """
    n_shuffles, n_basis, n_subjects = weights.shape
    n_groups, n_points = len(counts), data.shape[1]
    statistic = np.zeros((n_shuffles, n_points))
    dof = np.ones((n_shuffles, n_points))
    freedom = counts.copy()
    for g in range(n_groups):
        freedom[g] -= np.trace(grams[g])
    projected = np.zeros((n_groups, n_basis))
    squares = np.zeros(n_groups)
    for j in range(n_shuffles):
        for v in range(n_points):
            projected[:] = 0.0
            squares[:] = 0.0
            for i in range(n_subjects):
                value, g = data[i, v], met[j, i]
                squares[g] += value * value
                for k in range(n_basis):
                    projected[g, k] += weights[j, k, i] * value
            if squares.sum() > 0.0:
                statistic[j, v], dof[j, v] = _one(projected, squares, grams, counts, freedom, n_effects)
    return statistic, dof


@compiled
def _one(projected, squares, grams, counts, freedom, n_effects):
    """Return the statistic and degrees of freedom of one point."""
    n_groups = len(counts)
    coefficients = projected.sum(axis=0)
    inner = np.zeros_like(grams[0])
    w = np.zeros(n_groups)
    for g in range(n_groups):
        fitted = np.dot(coefficients, np.dot(grams[g], coefficients))
        rest = squares[g] - 2.0 * np.dot(coefficients, projected[g]) + fitted
        w[g] = freedom[g] / max(rest, 1e-14)
        inner += w[g] * grams[g]
    spread = np.ascontiguousarray(np.linalg.inv(inner)[:n_effects, :n_effects])
    effect = coefficients[:n_effects]
    bound = 0.0
    total = np.dot(w, counts)
    for g in range(n_groups):
        bound += (1.0 - counts[g] * w[g] / total) ** 2 / freedom[g]
    s = n_effects
    if s == 1:
        return effect[0] / np.sqrt(spread[0, 0]), 1.0 / bound
    scale = 1.0 + 2.0 * (s - 1) / (s * (s + 2)) * bound
    quadratic = np.dot(effect, np.linalg.solve(spread, effect))
    return quadratic / (scale * s), s * (s + 2) / (3.0 * bound)
