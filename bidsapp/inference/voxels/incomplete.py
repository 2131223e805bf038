"""Points that lack some subjects: each is shuffled with the subjects that it has.

A shuffle of all subjects is one of any set of them: signs are those of its subjects, and an order is that in
which its rows appear. So one set of shuffles serves all points, and the maximum over them is that of one map.
Points of one set of subjects are tested together, by the design of these rows. They have fewer degrees of
freedom: their t or F is turned into that of the same p with the degrees of freedom of all subjects.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from scipy import special

from bidsapp.errors import AppError
from bidsapp.inference.shuffles.arrangements import row_codes
from bidsapp.inference.shuffles.make import Shuffles, fixed_directions
from bidsapp.inference.shuffles.partition import Partition, drop_fixed, partition_design
from bidsapp.inference.voxels.test import FOLLOWED_AS_Z, VoxelTest
from bidsapp.records.arrays import Labels, Map, Maps, Mask, Matrix
from bidsapp.records.maps import InferenceOptions
from bidsapp.stats.blocks import find_patterns

# ``prepare(effects, partition, nuisance, options)``.
Prepare: TypeAlias = Callable[[Maps, Partition, Matrix, InferenceOptions], VoxelTest]

# Below this p a statistic is as large as can be told.
SMALLEST_P = 1e-300
NOT_SHUFFLED = (
    "{} voxels lack a subject and have no p by shuffling: whole blocks that lack different rows cannot "
    "change places. --block-mode within, or --min-subjects all, tests the same voxels in all maps."
)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Points with one set of subjects.

    Attributes
    ----------
    rows : ndarray of int, shape (n_present,)
    points : ndarray of int, shape (n,)
    test : VoxelTest
        Of these rows and points.
    """

    rows: Labels
    points: Labels
    test: VoxelTest


@dataclass(frozen=True, slots=True, eq=False)
class IncompleteTest(VoxelTest):
    """A test whose points have different subjects; all but ``usable`` is that of the points with all.

    Attributes
    ----------
    whole : VoxelTest
        The test of the points with all subjects; its data are those of all points.
    parts : tuple of Part
    orders : ndarray of int, shape (n_shuffles, n_subjects)
        Of the shuffles; rows of the design that are alike have changed places at random.
    arranged : ndarray of int, shape (n_subjects,)
        The rows, block after block.
    """

    whole: VoxelTest
    parts: tuple[Part, ...]
    orders: Labels
    arranged: Labels

    def maps(self, shuffles: Shuffles, which: slice) -> Maps:
        """Return the statistic of some shuffles, shape (n, n_points)."""
        maps = self.whole.maps(shuffles, which)
        for part in self.parts:
            found = part.test.maps(self._of_present(shuffles, which, part.rows), slice(None))
            maps[:, part.points] = as_of_all(found, part.test, self.whole)
        return maps

    def observed(self, shuffles: Shuffles) -> Map:
        """Return the observed statistic with each point's own degrees of freedom, shape (n_points,)."""
        observed = self.whole.observed(shuffles)
        for part in self.parts:
            first = self._of_present(shuffles, slice(0, 1), part.rows)
            observed[part.points] = part.test.observed(first)
        return observed

    def _of_present(self, shuffles: Shuffles, which: slice, rows: Labels) -> Shuffles:
        """Return some shuffles as they shuffle these rows alone."""
        number = np.full(len(self.arranged), -1)
        number[rows] = np.arange(len(rows))
        order = np.tile(np.arange(len(rows)), (len(self.orders[which]), 1))
        if shuffles.scheme != "sign-flip":
            met = number[self.orders[which][:, self.arranged]]
            places = number[self.arranged]
            order[:, places[places >= 0]] = met[met >= 0].reshape(len(met), -1)
        return replace(shuffles, order=order, signs=shuffles.signs[which][:, rows])


def as_of_all(found: Maps, test: VoxelTest, whole: VoxelTest) -> Maps:
    """Return values of a test of fewer subjects as those of the same p of the test of all."""
    if whole.name in FOLLOWED_AS_Z:
        return test.z(found)
    (n_rows, dof), (_, own) = whole.dof, test.dof
    if whole.is_signed:
        p = np.maximum(special.stdtr(own, -np.abs(found)), SMALLEST_P)
        return np.copysign(special.stdtrit(dof, p), found)
    p = np.maximum(special.fdtrc(n_rows, own, found), SMALLEST_P)
    x = special.betaincinv(0.5 * dof, 0.5 * n_rows, p)
    return dof * (1.0 - x) / (n_rows * x)


def add_incomplete(
    test: VoxelTest,
    effects: Maps,
    design: tuple[Matrix, Matrix],
    shuffles: Shuffles,
    options: InferenceOptions,
    prepare: Prepare,
) -> tuple[VoxelTest, str]:
    """Return a test with the points that lack subjects, and what must be said of points left out.

    Parameters
    ----------
    test : VoxelTest
        Of the points with all subjects.
    effects : ndarray, shape (n_subjects, n_points) or (n_subjects, n_maps, n_points)
    design : tuple
        Matrix and weights.
    shuffles : Shuffles
    options : InferenceOptions
    prepare : callable
        ``prepare(effects, partition, nuisance, options)`` returns a test.
    """
    finite = np.isfinite(effects)
    present: Mask = finite if np.ndim(effects) == 2 else np.all(finite, axis=1)
    complete = present.all(axis=0)
    if complete.all():
        return test, ""
    if shuffles.mode == "whole" and shuffles.scheme != "sign-flip":
        return test, NOT_SHUFFLED.format(np.count_nonzero(~complete))
    data, usable, parts = test.data, test.usable.copy(), []
    for rows, points in find_patterns(present, 1):
        if len(rows) == len(present):
            continue
        made = _prepare_part(effects, design, (rows, points), (shuffles, options, prepare))
        if made is not None:
            # The data of the whole are those that a saved state is known by.
            data[np.ix_(rows, *map(np.arange, data.shape[1:-1]), points)] = made.data
            usable[points] = made.usable
            parts.append(Part(rows, points, made))
    if not parts:
        return test, ""
    blocks = np.zeros(len(present), int) if options.blocks is None else np.asarray(options.blocks)
    orders = _mix_like_rows(shuffles, test.partition, options, blocks)
    whole = test.name, test.partition, test.nuisance, data, usable, test.dof, test.direction
    return IncompleteTest(*whole, test, tuple(parts), orders, np.argsort(blocks, kind="stable")), ""


def _prepare_part(
    effects: Maps,
    design: tuple[Matrix, Matrix],
    pattern: tuple[Labels, Labels],
    how: tuple[Shuffles, InferenceOptions, Prepare],
) -> VoxelTest | None:
    """Return the test of a set of rows and points; None where these rows cannot make it."""
    (matrix, weights), (rows, points), (shuffles, options, prepare) = design, pattern, how
    blocks, groups = (
        None if values is None else np.asarray(values)[rows]
        for values in (options.blocks, options.variance_groups)
    )
    try:
        partition = partition_design(np.asarray(matrix, float)[rows], weights)
        nuisance = drop_fixed(partition.nuisance, fixed_directions(shuffles, blocks, len(rows)))
        own = replace(options, blocks=blocks, variance_groups=groups)
        return prepare(effects[rows][..., points], partition, nuisance, own)
    except AppError:
        return None


def _mix_like_rows(
    shuffles: Shuffles, partition: Partition, options: InferenceOptions, blocks: Labels
) -> Labels:
    """Return the orders of shuffles with rows that are alike in random places.

    An enumeration has one order for each different arrangement, in which like rows stand in one order; of
    these, some arrangements of fewer rows would be had more often than others.
    """
    if not shuffles.exact or shuffles.scheme == "sign-flip":
        return shuffles.order
    groups = np.zeros(len(blocks)) if options.variance_groups is None else options.variance_groups
    codes = row_codes(np.column_stack([partition.basis, blocks, groups]))
    rng = np.random.Generator(np.random.PCG64(shuffles.seed))
    mixed = np.argsort(codes + rng.random((len(shuffles), len(codes))), axis=1, kind="stable")
    exchange = np.empty_like(mixed)
    exchange[:, np.argsort(codes, kind="stable")] = mixed
    exchange[0] = np.arange(len(codes))
    return np.take_along_axis(exchange, shuffles.order, axis=1)
