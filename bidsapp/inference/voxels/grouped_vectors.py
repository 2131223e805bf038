"""T2 of several maps a subject with a covariance for each group of subjects, under every shuffle.

The statistic is that of ``stats.repeated_measures.fit_unequal_covariances``: the least-squares effect over
the sum of what each group adds to its covariance, as F with the degrees of freedom of Nel and van der Merwe
(1986) or, for several rows between subjects, of Krishnamoorthy and Yu (2004). These differ between voxels
and shuffles; so every map is followed as the z-value of the same parametric p.
"""

from typing import TypeAlias

import numba
import numpy as np

from bidsapp.inference.fast.screening import SMALLEST_REST
from bidsapp.inference.shuffles.make import Shuffles
from bidsapp.inference.shuffles.partition import Partition
from bidsapp.inference.voxels.grouped import FollowedAsZ, check_freedom, invert, meet_groups
from bidsapp.inference.voxels.null_fit import fit_under_null
from bidsapp.inference.voxels.wilks import residuals_of_maps
from bidsapp.records.arrays import Labels, Maps, Matrix, Numbers
from bidsapp.stats.blocks import STRETCH, cut
from bidsapp.stats.group.repeated_measures import own_columns

# Inner products of the effects within each group, its residual freedom, the group of each own column.
About: TypeAlias = tuple[Numbers, Numbers, Labels]

compiled = numba.njit(cache=True, nogil=True)
# F of fewer residual degrees of freedom does not exist; shuffles of small groups come near it.
FEWEST_DOF = 1.0


class GroupedVectorsTest(FollowedAsZ):
    """T2 of several maps a subject, from orthonormal rows, with a covariance for each group."""

    __slots__ = ()

    def statistics(self, shuffles: Shuffles, which: slice) -> tuple[Maps, Maps]:
        """Return F and its residual degrees of freedom under some shuffles, each (n, n_points)."""
        n_subjects, n_maps, n_points = self.data.shape
        own, about = _about_groups(self.partition, self.groups)
        weights = shuffles.apply(np.hstack([self.partition.effect, own]), which)
        in_group = meet_groups(self.groups, shuffles, which)
        if (in_group == in_group[0]).all():
            in_group = in_group[:1]
        results = np.zeros((len(weights), n_points)), np.ones((len(weights), n_points))
        for points in cut(n_points, STRETCH):
            data = self.data[:, :, points]
            products = (data[:, :, None] * data[:, None]).reshape(n_subjects, -1)
            squares = in_group.reshape(-1, n_subjects) @ products
            projected = weights.reshape(-1, n_subjects) @ data.reshape(n_subjects, -1)
            fill_vectors(
                projected.reshape(*weights.shape[:2], n_maps, -1),
                squares.reshape(*in_group.shape[:2], n_maps, n_maps, -1),
                about,
                results,
                points.start,
            )
        return results


def prepare_grouped_vectors_test(effects: Maps, partition: Partition, groups: Labels) -> GroupedVectorsTest:
    """Return the test of a partition on data of shape (n_subjects, n_maps, n_points).

    Raises
    ------
    ModelError
        Too few subjects for the covariance of the maps.
    SettingsError
        The effect rests on a group whose rows the design fits perfectly.
    """
    names, index = np.unique(groups, return_inverse=True)
    grams, freedom, _ = _about_groups(partition, index)[1]
    check_freedom(names, grams, freedom)
    data, usable = residuals_of_maps(effects, partition)
    length = np.sqrt(np.square(data).sum(axis=(0, 1)))
    data *= np.where(usable, 1.0 / np.where(usable, length, 1.0), 0.0)
    data = fit_under_null(data, partition.nuisance, index)
    dof = float(partition.n_rows * data.shape[1]), np.nan
    return GroupedVectorsTest("T2 by group", partition, partition.nuisance, data, usable, dof, 1, index)


def _about_groups(partition: Partition, groups: Labels) -> tuple[Matrix, About]:
    """Return the columns of each group's own fit, 0 elsewhere, and what the kernel must know of the groups.

    Returns
    -------
    own : ndarray, shape (n_subjects, n_own)
    about : tuple of ndarray
        Inner products of the effects within each group, its residual freedom, the group of each own column.
    """
    members = [groups == group for group in range(groups.max() + 1)]
    parts = [own_columns(partition.basis[mine]) for mine in members]
    own = np.zeros((len(groups), sum(part.shape[1] for part in parts)))
    owner = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    for group, (mine, part) in enumerate(zip(members, parts, strict=True)):
        own[np.ix_(mine, owner == group)] = part
    grams = np.stack([partition.effect[mine].T @ partition.effect[mine] for mine in members])
    freedom = np.array([float(len(part) - part.shape[1]) for part in parts])
    return own, (grams, freedom, owner)


@compiled
def fill_vectors(
    projected: Numbers, squares: Numbers, about: About, results: tuple[Maps, Maps], start: int
) -> None:
    """Fill F and its residual degrees of freedom from the point ``start``.

    Parameters
    ----------
    projected : ndarray, shape (n_shuffles, n_effects + n_own, n_maps, n_points)
        Coefficients of the shuffled effects and of each group's own columns.
    squares : ndarray, shape (n_shuffles or 1, n_groups, n_maps, n_maps, n_points)
        Cross-products of the rows that each group meets; 1 where they are the same in all shuffles.
    about : tuple of ndarray
        As of `_about_groups`.
    results : tuple of ndarray
        Statistic and degrees of freedom, shape (n_shuffles, all points).
    """
    statistic, dof = results
    grams, freedom, owner = about
    n_shuffles, _, n_maps, n_points = projected.shape
    n_groups, n_effects = len(grams), grams.shape[1]
    covariances = np.empty((n_groups, n_maps, n_maps))
    size = n_effects * n_maps
    room = np.empty((size, size)), np.empty((size, size)), np.empty((size, size))
    for j in range(n_shuffles):
        for v in range(n_points):
            found, products = projected[j, :, :, v], squares[j % len(squares), :, :, :, v]
            if products.sum() == 0.0:
                continue
            # The covariance of a group is about its own fit: what its columns explain is taken away.
            for g in range(n_groups):
                covariances[g] = products[g]
                for k in range(len(owner)):
                    if owner[k] == g:
                        _take_away(found[n_effects + k], covariances[g])
                covariances[g] /= max(freedom[g], SMALLEST_REST)
            statistic[j, start + v], dof[j, start + v] = _refer_to_f(
                found[:n_effects], covariances, (grams, freedom), room
            )


@compiled
def _take_away(coefficients: Numbers, products: Matrix) -> None:
    """Take what a column explains from cross-products."""
    for q in range(len(coefficients)):
        for r in range(len(coefficients)):
            products[q, r] -= coefficients[q] * coefficients[r]


@compiled
def _refer_to_f(
    effect: Matrix, covariances: Numbers, about: tuple[Numbers, Numbers], room: tuple[Matrix, Matrix, Matrix]
) -> tuple[float, float]:
    """Return F and its residual degrees of freedom of one point."""
    grams, freedom = about
    inverse, piece, turned = room
    n_effects, n_maps = effect.shape
    size = n_effects * n_maps
    inverse[:] = 0.0
    for g in range(len(covariances)):
        _add_piece(grams[g], covariances[g], inverse)
    total = _spread(inverse) if n_effects == 1 else float(size + size**2)
    invert(inverse)
    # With one row between, traces of the pieces themselves; with several, of their shares in the whole.
    bound = 0.0
    for g in range(len(covariances)):
        if freedom[g] == 0.0:
            continue
        piece[:] = 0.0
        _add_piece(grams[g], covariances[g], piece)
        if n_effects > 1:
            _multiply(inverse, piece, turned)
            bound += _spread(turned) / freedom[g]
        else:
            bound += _spread(piece) / freedom[g]
    dof = max(total / bound - size + 1, FEWEST_DOF)
    return _quadratic(effect, inverse) * dof / ((dof + size - 1) * size), dof


@compiled
def _quadratic(effect: Matrix, inverse: Matrix) -> float:
    """Return T2."""
    n_effects, n_maps = effect.shape
    total, a = 0.0, 0
    for h in range(n_effects):
        for q in range(n_maps):
            b = 0
            for k in range(n_effects):
                for r in range(n_maps):
                    total += effect[h, q] * inverse[a, b] * effect[k, r]
                    b += 1
            a += 1
    return total


@compiled
def _add_piece(gram: Matrix, covariance: Matrix, total: Matrix) -> None:
    """Add what a group adds to the covariance of the effects: the product of Kronecker."""
    n_effects, n_maps = len(gram), len(covariance)
    # Divisions of indices would take longer than all else.
    a = 0
    for h in range(n_effects):
        for q in range(n_maps):
            b = 0
            for k in range(n_effects):
                for r in range(n_maps):
                    total[a, b] += gram[h, k] * covariance[q, r]
                    b += 1
            a += 1


@compiled
def _multiply(first: Matrix, second: Matrix, product: Matrix) -> None:
    """Fill a product of small matrices, for which a call of BLAS takes longer."""
    size = len(product)
    for a in range(size):
        for b in range(size):
            product[a, b] = 0.0
            for c in range(size):
                product[a, b] += first[a, c] * second[c, b]


@compiled
def _spread(matrix: Matrix) -> float:
    """Return tr(V V) + tr(V)^2: how much an estimated covariance varies, times its degrees of freedom."""
    trace, square = 0.0, 0.0
    for a in range(len(matrix)):
        trace += matrix[a, a]
        for b in range(len(matrix)):
            square += matrix[a, b] * matrix[b, a]
    return square + trace * trace
