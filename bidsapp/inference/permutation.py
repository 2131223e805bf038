"""The engine: shuffle a group test, follow the maximum of every statistic of its map.

A shuffle keeps what the null hypothesis makes exchangeable; the maximum of a statistic over the map, in
every shuffle, is the null against which each point's own value is compared. The engine knows no statistic by
name; it hands each what it needs.
"""

import numpy as np
from scipy import special

from bidsapp.errors import SettingsError
from bidsapp.inference.clusters import find_clusters
from bidsapp.inference.kernels import cluster_maxima_of_maps
from bidsapp.inference.linear_test import prepare_linear_test
from bidsapp.inference.partition import drop_fixed, partition_design
from bidsapp.inference.pvalues import TIE, p_from_counts, p_from_null
from bidsapp.inference.shuffles import check_attainable, fixed_directions, make_shuffles, smallest_p
from bidsapp.inference.statistics import STATISTICS
from bidsapp.inference.statistics.statistic import Batch, Space
from bidsapp.records import ClusterInference, Inference, StatisticInference
from bidsapp.stats.distributions import f_to_z, t_to_z

# Shuffles computed together.
BATCH = 16


def permute(effects, matrix, weights, geometry, options, *, monitor=None):
    """Return what shuffling says about one contrast of a group design.

    Parameters
    ----------
    effects : ndarray, shape (n_subjects, n_points)
        Points with a value that is not finite, or that do not vary, are left out: NaN.
    matrix : ndarray, shape (n_subjects, n_columns)
    weights : ndarray, shape (n_rows, n_columns)
        One row is a t test, several are an F test.
    geometry : Geometry
    options : InferenceOptions
    monitor : object, optional
        Its ``progress(done, total)`` is called from time to time.

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
    check_options(options)
    partition = partition_design(matrix, weights)
    shuffles = make_shuffles(partition, options)
    nuisance = drop_fixed(
        partition.nuisance, fixed_directions(shuffles, options.blocks, len(partition.effect))
    )
    if nuisance.shape[1]:
        shuffles = make_shuffles(partition, options, changing=nuisance)
    lowest = smallest_p(shuffles, partition, options, has_nuisance=nuisance.shape[1] > 0)
    warning = check_attainable(lowest, options.alpha, shuffles.n_distinct)
    direction = -1 if options.tail == "negative" and partition.n_rows == 1 else 1
    test = prepare_linear_test(effects, partition, nuisance, direction=direction)
    observed = np.where(test.usable, test.maps(shuffles, slice(0, 1))[0], np.nan)
    space = make_space(test, geometry, options)
    nulls, counts = _run(test, shuffles, space, options, observed, monitor)
    clusters = _observed_clusters(observed, test, space, options, nulls)
    results = {
        name: _result(STATISTICS[name], observed, test, space, options, null) for name, null in nulls.items()
    }
    return Inference(
        test=test.name,
        dof=test.dof,
        statistic=direction * observed,
        options=options,
        scheme=shuffles.scheme,
        n_shuffles=len(shuffles),
        n_distinct=shuffles.n_distinct,
        exact=shuffles.exact,
        smallest_p=lowest,
        p=None if counts is None else np.where(test.usable, p_from_counts(counts, len(shuffles)), np.nan),
        statistics=results,
        clusters=clusters,
        warnings=tuple(filter(None, [warning])),
    )


def check_options(options):
    """Raise SettingsError for options that cannot be meant."""
    p = options.cluster_forming_p
    if not 0 < p < 0.5:
        hint = ""
        if p > 1:
            hint = f" {p:g} looks like a z or t value; as a p-value it is {special.ndtr(-p):.2g}."
        raise SettingsError(f"--cluster-forming-p is a p-value between 0 and 0.5, not {p:g}.{hint}")
    unknown = set(options.statistics) - set(STATISTICS)
    if unknown:
        raise SettingsError(f"unknown statistic {sorted(unknown)}; known are {', '.join(STATISTICS)}.")
    if options.n_shuffles < 2:
        raise SettingsError("permutation inference needs at least 2 shuffles.")


def make_space(test, geometry, options):
    """Return neighbours and thresholds, in units of the map that clusters are formed on."""
    if on_z(test, options):
        cutoff = float(special.ndtri(1 - options.cluster_forming_p))
    else:
        cutoff = float(-special.stdtrit(test.dof[1], options.cluster_forming_p))
    return Space(
        neighbours=geometry.neighbours(options.connectivity),
        tfce_neighbours=geometry.neighbours(options.tfce_connectivity),
        cutoff=cutoff,
        offset=cutoff if options.mass == "excess" else 0.0,
        two_tailed=is_two_tailed(test, options),
        tfce_powers=options.tfce_powers,
    )


def on_z(test, options):
    """Return whether clusters and TFCE are computed on z."""
    return options.scale == "z" or test.name != "t"


def is_two_tailed(test, options):
    """Return whether both tails are pooled."""
    return test.name == "t" and options.tail == "two"


def to_spatial(maps, test, options):
    """Return maps of the statistic on the scale that clusters and TFCE are computed on."""
    if not on_z(test, options):
        return maps
    n_rows, dof = test.dof
    return t_to_z(maps, dof) if test.name == "t" else f_to_z(maps, n_rows, dof)


def _run(test, shuffles, space, options, observed, monitor):
    """Return the null maxima of each statistic and the exceedance counts of each voxel."""
    needs = {STATISTICS[name].needs for name in options.statistics}
    nulls = {name: np.empty(len(shuffles)) for name in options.statistics}
    two = space.two_tailed
    reached = np.nan_to_num(np.abs(observed) if two else observed)
    reached = reached - TIE * np.abs(reached)
    counts = np.zeros(len(observed)) if options.uncorrected else None
    for start in range(0, len(shuffles), BATCH):
        which = slice(start, start + BATCH)
        maps = test.maps(shuffles, which)
        batch = _summarise(maps, test, space, options, needs)
        for name in options.statistics:
            nulls[name][which] = STATISTICS[name].maxima(batch, space)
        if counts is not None:
            counts += ((np.abs(maps) if two else maps) >= reached).sum(axis=0)
        if monitor is not None:
            monitor.progress(min(start + BATCH, len(shuffles)), len(shuffles))
    return nulls, counts


def _summarise(maps, test, space, options, needs):
    """Return what the statistics need to know about the maps of a batch."""
    height = np.abs(maps).max(axis=1) if space.two_tailed else maps.max(axis=1)
    if needs == {"height"}:
        return Batch(height)
    spatial = to_spatial(maps, test, options)
    clusters = None
    if "clusters" in needs:
        clusters = cluster_maxima_of_maps(
            spatial, space.cutoff, space.two_tailed, space.neighbours, space.offset
        )
    return Batch(height, clusters, spatial)


def _result(statistic, observed, test, space, options, null):
    """Return the observed map of a statistic with its corrected p."""
    if statistic.needs == "height":
        enhanced = observed
    else:
        spatial = np.nan_to_num(to_spatial(observed, test, options))
        clusters = find_clusters(
            spatial, space.cutoff, space.neighbours, two_tailed=space.two_tailed, offset=space.offset
        )
        enhanced = statistic.enhance(spatial, clusters, space)
    size = np.abs(enhanced) if space.two_tailed else enhanced
    p = np.where(np.isfinite(observed), p_from_null(size, null), np.nan)
    return StatisticInference(statistic.name, test.direction * enhanced, p, null)


def _observed_clusters(observed, test, space, options, nulls):
    """Return the clusters of the observed map with their corrected p."""
    if not {"extent", "mass"} & set(nulls):
        return None
    spatial = np.nan_to_num(to_spatial(observed, test, options))
    found = find_clusters(
        spatial, space.cutoff, space.neighbours, two_tailed=space.two_tailed, offset=space.offset
    )
    values = {"extent": found.size, "mass": found.mass}
    p = {name: p_from_null(values[name], nulls[name]) for name in values if name in nulls}
    sign = found.sign * test.direction
    return ClusterInference(found.labels, sign, found.size, found.mass, found.peak, p, space.cutoff)
