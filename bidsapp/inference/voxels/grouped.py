"""Tests with variances that differ between groups of rows, under every shuffle.

The statistic is that of ``stats.variance_groups``: the least-squares effect with its exact variance, by
group, and Satterthwaite's degrees of freedom; of several rows F with the scale and degrees of freedom there.
For means of groups they are Welch's (1951), which Aspin & Welch's v and Winkler's G (2014) are too. The
degrees of freedom differ between voxels and shuffles; so every map, also that of the height, is followed as
the z-value of the same parametric p.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

import numba
import numpy as np

from bidsapp.errors import SettingsError
from bidsapp.inference.fast.screening import SMALLEST_REST
from bidsapp.inference.shuffles.make import Shuffles
from bidsapp.inference.voxels.linear import LinearTest
from bidsapp.inference.voxels.null_fit import fit_under_null
from bidsapp.inference.voxels.test import VoxelTest
from bidsapp.records.arrays import Labels, Map, Maps, Matrix, Numbers
from bidsapp.stats.blocks import STRETCH, cut
from bidsapp.stats.distributions import f_to_z, t_to_z
from bidsapp.stats.group.variance_groups import NOTHING

# Inner products of the basis within each group, and the group's residual freedom.
About: TypeAlias = tuple[Numbers, Numbers]

compiled = numba.njit(cache=True, nogil=True)


@dataclass(frozen=True, slots=True, eq=False)
class FollowedAsZ(VoxelTest):
    """Tests of groups whose maps are z-values; ``groups`` are numbers from 0, shape (n_subjects,).

    ``data`` are residuals as of `fit_under_null`, and ``nuisance`` is the whole of it.
    """

    groups: Labels

    @abstractmethod
    def statistics(self, shuffles: Shuffles, which: slice) -> tuple[Maps, Maps]:
        """Return the statistic and its residual degrees of freedom, each (n, n_points)."""

    def maps(self, shuffles: Shuffles, which: slice) -> Maps:
        """Return z-values of the same parametric p."""
        statistic, dof = self.statistics(shuffles, which)
        if self.is_signed:
            return self.direction * t_to_z(statistic, dof)
        return f_to_z(statistic, self.dof[0], dof)

    def observed(self, shuffles: Shuffles) -> Map:
        """Return the observed statistic, not z, shape (n_points,)."""
        first: Map = self.statistics(shuffles, slice(0, 1))[0][0]
        return first


class GroupedTest(FollowedAsZ):
    """v or G of one value a subject."""

    __slots__ = ()

    def statistics(self, shuffles: Shuffles, which: slice) -> tuple[Maps, Maps]:
        """Return v or G and its residual degrees of freedom under some shuffles, each (n, n_points)."""
        in_group = meet_groups(self.groups, shuffles, which)
        # Each weight where its row meets a group, and nothing elsewhere: sums by group are products.
        weights = in_group[:, :, None, :] * shuffles.apply(self.partition.basis, which)[:, None]
        shape = len(weights), self.data.shape[1]
        weights, in_group = weights.reshape(-1, len(self.data)), in_group.reshape(-1, len(self.data))
        statistic, dof = np.zeros(shape), np.ones(shape)
        about = about_groups(self.partition.basis, self.groups)
        for points in cut(shape[1], STRETCH):
            data = self.data[:, points]
            projected = (weights @ data).reshape(shape[0], len(about[1]), -1, data.shape[1])
            squares = (in_group @ np.square(data)).reshape(shape[0], len(about[1]), -1)
            fill_grouped(projected, squares, about, self.partition.n_rows, (statistic, dof), points.start)
        return statistic, dof


def prepare_grouped_test(test: LinearTest, groups: Labels) -> GroupedTest:
    """Return the test with variances by group of the data of a LinearTest.

    Parameters
    ----------
    groups : ndarray, shape (n_subjects,)

    Raises
    ------
    SettingsError
        The effect rests on a group whose rows the design fits perfectly.
    """
    names, index = np.unique(groups, return_inverse=True)
    grams, freedom = about_groups(test.partition.basis, index)
    n_rows = test.partition.n_rows
    check_freedom(names, grams[:, :n_rows, :n_rows], freedom)
    data = fit_under_null(test.data[:, None], test.partition.nuisance, index)[:, 0]
    name, dof = "v" if n_rows == 1 else "G", (float(n_rows), np.nan)
    nuisance = test.partition.nuisance
    return GroupedTest(name, test.partition, nuisance, data, test.usable, dof, test.direction, index)


def check_freedom(names: Labels, grams: Numbers, freedom: Numbers) -> None:
    """Raise SettingsError where effects rest on a group whose rows the design fits perfectly.

    Parameters
    ----------
    names : ndarray, shape (n_groups,)
    grams : ndarray, shape (n_groups, n_effects, n_effects)
        Inner products of the effects within each group.
    freedom : ndarray, shape (n_groups,)
        Its residual degrees of freedom.
    """
    lost = (np.einsum("gkk->g", grams) > NOTHING) & (freedom < NOTHING)
    if lost.any():
        raise SettingsError(
            f"the design leaves no residual to variance group {names[np.argmax(lost)]}, on which the effect "
            "rests. Give fewer columns or larger groups."
        )


def about_groups(basis: Matrix, groups: Labels) -> About:
    """Return the inner products of a basis within each group, and the group's residual freedom."""
    parts = [basis[groups == group] for group in range(groups.max() + 1)]
    grams = np.stack([part.T @ part for part in parts])
    counts = np.array([len(part) for part in parts], float)
    return grams, counts - np.trace(grams, axis1=1, axis2=2)


def meet_groups(groups: Labels, shuffles: Shuffles, which: slice) -> Numbers:
    """Return 1 where the row that a row of the data meets is of a group, (n_shuffles, n_groups, n_rows)."""
    met: Labels = groups[shuffles.order[which]]
    in_group: Numbers = (met[:, None, :] == np.arange(groups.max() + 1)[:, None]).astype(float)
    return in_group


@compiled
def fill_grouped(
    projected: Numbers, squares: Numbers, about: About, n_effects: int, results: tuple[Maps, Maps], start: int
) -> None:
    """Fill v (signed) or G and its degrees of freedom from the point ``start``.

    Parameters
    ----------
    projected : ndarray, shape (n_shuffles, n_groups, n_basis, n_points)
        Coefficients of the shuffled orthonormal basis of the design, effects first, summed by group.
    squares : ndarray, shape (n_shuffles, n_groups, n_points)
    about : tuple of ndarray
        Inner products of the basis within each group, and the group's residual freedom.
    results : tuple of ndarray
        Statistic and degrees of freedom, shape (n_shuffles, all points).
    """
    statistic, dof = results
    n_shuffles, n_groups, n_basis, n_points = projected.shape
    coefficients, variances = np.empty(n_basis), np.empty(n_groups)
    room = np.empty((n_effects, n_effects)), np.empty((n_effects, n_effects))
    for j in range(n_shuffles):
        for v in range(n_points):
            # Data of zeros: no test, and 0 with 1 degree of freedom stays.
            if squares[j, :, v].sum() == 0.0:
                continue
            # Coefficients of the whole basis are the sums over the groups.
            coefficients[:] = 0.0
            for g in range(n_groups):
                for k in range(n_basis):
                    coefficients[k] += projected[j, g, k, v]
            _estimate_variances(coefficients, projected[j, :, :, v], squares[j, :, v], about, variances)
            found = _statistic_of(coefficients[:n_effects], variances, about, room)
            statistic[j, start + v], dof[j, start + v] = found


@compiled
def _estimate_variances(
    coefficients: Numbers, projected: Numbers, squares: Numbers, about: About, variances: Numbers
) -> None:
    """Fill the residual variance of each group."""
    grams, freedom = about
    n_basis = len(coefficients)
    for g in range(len(variances)):
        # |y - Qc|^2 of the group's rows, from y'y, Q'y and Q'Q there.
        rest = squares[g]
        for k in range(n_basis):
            fitted = 0.0
            for i in range(n_basis):
                fitted += grams[g, k, i] * coefficients[i]
            rest += coefficients[k] * (fitted - 2.0 * projected[g, k])
        variances[g] = max(rest, SMALLEST_REST) / max(freedom[g], SMALLEST_REST)


@compiled
def _statistic_of(
    effect: Numbers, variances: Numbers, about: About, room: tuple[Matrix, Matrix]
) -> tuple[float, float]:
    """Return the statistic and degrees of freedom of one point."""
    grams, freedom = about
    s = len(effect)
    # One row: v, and Satterthwaite's degrees of freedom.
    if s == 1:
        total, bound = 0.0, 0.0
        for g in range(len(variances)):
            total += variances[g] * grams[g, 0, 0]
        for g in range(len(variances)):
            bound += (variances[g] * grams[g, 0, 0] / total) ** 2 / max(freedom[g], SMALLEST_REST)
        return effect[0] / np.sqrt(total), 1.0 / bound
    inverse, turned = room
    inverse[:] = 0.0
    for g in range(len(variances)):
        for k in range(s):
            for i in range(s):
                inverse[k, i] += variances[g] * grams[g, k, i]
    invert(inverse)
    traces, products = 0.0, 0.0
    for g in range(len(variances)):
        trace, square = _share_of_group(inverse, grams[g], variances[g], turned)
        traces += trace * trace / max(freedom[g], SMALLEST_REST)
        products += square / max(freedom[g], SMALLEST_REST)
    pairs = s * (s + 2)
    scale = 1.0 + 2.0 * (s * products - traces) / pairs
    return _quadratic(effect, inverse) / (scale * s), pairs / (traces + 2.0 * products)


@compiled
def _share_of_group(inverse: Matrix, gram: Matrix, variance: float, turned: Matrix) -> tuple[float, float]:
    """Return tr P and tr P^2 of a group's share P of the covariance."""
    s = len(inverse)
    trace, square = 0.0, 0.0
    for k in range(s):
        for i in range(s):
            turned[k, i] = 0.0
            for p in range(s):
                turned[k, i] += inverse[k, p] * gram[p, i] * variance
    for k in range(s):
        trace += turned[k, k]
        for i in range(s):
            square += turned[k, i] * turned[i, k]
    return trace, square


@compiled
def invert(matrix: Matrix) -> None:
    """Invert a positive definite matrix in place (Gauss and Jordan's elimination)."""
    s = len(matrix)
    # Columns before p are those of the inverse, the others still those of what is left to eliminate.
    for p in range(s):
        pivot = max(matrix[p, p], SMALLEST_REST)
        matrix[p, p] = 1.0
        for i in range(s):
            matrix[p, i] /= pivot
        for k in range(s):
            if k != p:
                factor = matrix[k, p]
                matrix[k, p] = 0.0
                for i in range(s):
                    matrix[k, i] -= factor * matrix[p, i]


@compiled
def _quadratic(effect: Numbers, inverse: Matrix) -> float:
    total = 0.0
    for k in range(len(effect)):
        for i in range(len(effect)):
            total += effect[k] * inverse[k, i] * effect[i]
    return total
