"""The engine: shuffle a group test, follow the maximum of every statistic of its map.

A shuffle keeps what the null hypothesis makes exchangeable; the maximum of a statistic over the map, in
every shuffle, is the null against which each point's own value is compared. The engine knows no statistic by
name; it hands each what it needs.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bidsapp.inference.conventions import FORMED, check_options, describe_conventions, make_space
from bidsapp.inference.engine.batches import make_job
from bidsapp.inference.engine.budget import check_memory
from bidsapp.inference.engine.following import AllFollowed, Monitor, follow_all
from bidsapp.inference.shuffles.make import (
    Shuffles,
    check_attainable,
    fixed_directions,
    make_shuffles,
    smallest_p,
)
from bidsapp.inference.shuffles.partition import Partition, drop_fixed, partition_design
from bidsapp.inference.shuffles.schemes import Scheme, choose_scheme
from bidsapp.inference.statistics import STATISTICS
from bidsapp.inference.statistics.clusters import find_clusters
from bidsapp.inference.statistics.statistic import Space
from bidsapp.inference.tails import find_cutoff, p_from_tail
from bidsapp.inference.voxels.grouped import prepare_grouped_test
from bidsapp.inference.voxels.grouped_vectors import prepare_grouped_vectors_test
from bidsapp.inference.voxels.incomplete import add_incomplete
from bidsapp.inference.voxels.linear import prepare_linear_test
from bidsapp.inference.voxels.test import VoxelTest
from bidsapp.inference.voxels.wilks import prepare_wilks_test
from bidsapp.records.arrays import Map, Maps, Matrix, Numbers
from bidsapp.records.maps import Geometry, Inference, InferenceOptions, StatisticInference


def permute(
    effects: Maps,
    matrix: Matrix,
    weights: Matrix,
    geometry: Geometry,
    options: InferenceOptions,
    *,
    monitor: Monitor | None = None,
) -> Inference:
    """Return what shuffling says about one contrast of a group design.

    Parameters
    ----------
    effects : ndarray, shape (n_subjects, n_points)
        With three axes (n_subjects, n_maps, n_points) the test is Wilks' lambda of all maps; with variance
        groups T2 with a covariance for each, of maps from orthonormal rows.
        A point is shuffled with the subjects that have a finite value there; points that do not vary, or
        whose subjects cannot make the contrast, are left out: NaN.
    matrix : ndarray, shape (n_subjects, n_columns)
    weights : ndarray, shape (n_rows, n_columns)
        One row is a t test, several are an F test.
    geometry : Geometry
    options : InferenceOptions
    monitor : Monitor, optional

    Returns
    -------
    Inference

    Raises
    ------
    SettingsError
        When an option has no sense here, or alpha cannot be reached.
    ModelError
        When the contrast cannot be estimated.
    """
    check_memory(effects, options)
    layout = lay_out(matrix, weights, options, n_maps=np.shape(effects)[1] if np.ndim(effects) == 3 else 1)
    whole, test, left_out = prepare_test(effects, (matrix, weights), layout)
    shown = _observe(test, layout, geometry)
    shuffles, options = layout.shuffles, layout.scheme.options
    job = make_job(test, shuffles, shown.space, options, shown.statistic)
    followed = follow_all(job, options, shown.sizes, monitor)
    stopped = ""
    if followed[2] < len(shuffles):
        stopped = (
            f"Shuffling stopped after {followed[2]} of {len(shuffles)}: hardly a corrected p can cross alpha "
            "any more."
        )
    return replace(
        _compare(test, layout, shown, followed),
        warnings=tuple(filter(None, [*layout.notes, left_out, stopped])),
        conventions=describe_conventions(test, shuffles, shown.space, options)
        | {"SchemeReason": layout.scheme.reason, "IncompleteVoxels": int(np.sum(test.usable > whole.usable))},
    )


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What is known of a test by shuffling before there are data."""

    partition: Partition
    scheme: Scheme
    shuffles: Shuffles
    nuisance: Matrix
    smallest_p: float
    notes: tuple[str, ...]


def lay_out(matrix: Matrix, weights: Matrix, options: InferenceOptions, *, n_maps: int = 1) -> Layout:
    """Return the `Layout` of a contrast; ``n_maps`` is the number of maps of each subject.

    Raises
    ------
    SettingsError, ModelError
        As `permute`.
    """
    check_options(options)
    partition = partition_design(matrix, weights)
    scheme = choose_scheme(partition, options)
    options = scheme.options
    shuffles, nuisance = _shuffle_design(partition, options)
    is_signed = partition.n_rows == 1 and n_maps == 1
    lowest = smallest_p(
        shuffles,
        partition,
        nuisance,
        even=not is_signed or options.tail == "two",
        groups=options.variance_groups,
    )
    how = f"{options.scheme}: {scheme.reason}"
    notes = (*scheme.warnings, check_attainable(lowest, options.alpha, shuffles.n_distinct, how=how))
    return Layout(partition, scheme, shuffles, nuisance, lowest, notes)


def _shuffle_design(partition: Partition, options: InferenceOptions) -> tuple[Shuffles, Matrix]:
    """Return the shuffles and the nuisance that they change."""
    shuffles = make_shuffles(partition, options)
    fixed = fixed_directions(shuffles, options.blocks, len(partition.effect))
    nuisance = drop_fixed(partition.nuisance, fixed)
    changing = nuisance
    if options.variance_groups is not None:
        groups = np.unique(options.variance_groups, return_inverse=True)[1]
        changing = np.column_stack([nuisance, groups])
    if changing.shape[1]:
        shuffles = make_shuffles(partition, options, changing=changing)
    return shuffles, nuisance


def prepare_test(
    effects: Maps, design: tuple[Matrix, Matrix], layout: Layout
) -> tuple[VoxelTest, VoxelTest, str]:
    """Return the test of the points with all subjects, that of all points, and what must be said of them.

    Parameters
    ----------
    effects : ndarray
        As of `permute`.
    design : tuple
        Matrix and weights.
    layout : Layout
        Of this design.
    """
    options = layout.scheme.options
    whole = _prepare(effects, layout.partition, layout.nuisance, options)
    return whole, *add_incomplete(whole, effects, design, layout.shuffles, options, _prepare)


def _prepare(effects: Maps, partition: Partition, nuisance: Matrix, options: InferenceOptions) -> VoxelTest:
    """Return the test that the data and the options ask for."""
    direction = -1 if options.tail == "negative" and partition.n_rows == 1 else 1
    groups = options.variance_groups
    if groups is not None and len(np.unique(groups)) == 1:
        groups = None
    if np.ndim(effects) == 3:
        if groups is None:
            return prepare_wilks_test(effects, partition, nuisance)
        return prepare_grouped_vectors_test(effects, partition, groups)
    test = prepare_linear_test(effects, partition, nuisance, direction=direction)
    return test if groups is None else prepare_grouped_test(test, groups)


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The observed map (n_points,) and the map of every statistic by its name, signed."""

    space: Space
    statistic: Map
    enhanced: dict[str, Map]

    @property
    def sizes(self) -> dict[str, Map]:
        """What is compared with the null: in both tails, how far from 0."""
        return {name: np.abs(one) if self.space.two_tailed else one for name, one in self.enhanced.items()}


def _observe(test: VoxelTest, layout: Layout, geometry: Geometry) -> Observed:
    """Return what the data show as they are; NaN where there is no test."""
    space = make_space(test, geometry, layout.scheme.options)
    statistic = np.where(test.usable, test.maps(layout.shuffles, slice(0, 1))[0], np.nan)
    spatial = np.nan_to_num(space.scale(statistic))
    clusters = find_clusters(
        spatial, space.cutoff, space.neighbours, two_tailed=space.two_tailed, offset=space.offset
    )
    chosen = [STATISTICS[name] for name in layout.scheme.options.statistics]
    # The voxel's own statistic stays as it is, with NaN, and in its own units.
    enhanced = {
        one.words.name: statistic if one.words.needs == "height" else one.enhance(spatial, clusters, space)
        for one in chosen
    }
    return Observed(space, statistic, enhanced)


def _compare(test: VoxelTest, layout: Layout, shown: Observed, followed: AllFollowed) -> Inference:
    """Return the p-values of what was observed."""
    (nulls, counts, n_shuffles), shuffles, options = followed, layout.shuffles, layout.scheme.options

    def p_of(values: Numbers, name: str) -> Numbers:
        return p_from_tail(values, nulls[name], options.tail_approximation)

    sizes = shown.sizes
    return Inference(
        test=test.name,
        dof=test.dof,
        statistic=np.where(test.usable, test.observed(shuffles), np.nan),
        options=options,
        scheme=shuffles.scheme,
        n_shuffles=n_shuffles,
        n_distinct=shuffles.n_distinct,
        exact=shuffles.exact and n_shuffles == len(shuffles),
        smallest_p=layout.smallest_p,
        p=None if counts is None else np.where(test.usable, counts / n_shuffles, np.nan),
        statistics={
            name: StatisticInference(
                name,
                test.direction * shown.enhanced[name],
                np.where(np.isfinite(shown.statistic), p_of(sizes[name], name), np.nan),
                null,
                find_cutoff(null, partial(p_of, name=name), options.alpha),
            )
            for name, null in nulls.items()
        },
        forming=shown.space.cutoff if set(FORMED) & set(nulls) else None,
        shuffles_digest=shuffles.digest(),
    )
