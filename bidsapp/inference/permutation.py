"""The engine: shuffle a group test, follow the maximum of every statistic of its map.

A shuffle keeps what the null hypothesis makes exchangeable; the maximum of a statistic over the map, in
every shuffle, is the null against which each point's own value is compared. The engine knows no statistic by
name; it hands each what it needs.
"""

import numpy as np
from scipy import special

from bidsapp.errors import SettingsError
from bidsapp.inference.clusters import find_clusters
from bidsapp.inference.engine import batches, follow, make_job
from bidsapp.inference.linear_test import prepare_linear_test
from bidsapp.inference.partition import drop_fixed, partition_design
from bidsapp.inference.pvalues import p_from_counts, p_from_null
from bidsapp.inference.shuffles import check_attainable, fixed_directions, make_shuffles, smallest_p
from bidsapp.inference.statistics import STATISTICS
from bidsapp.inference.statistics.statistic import Space
from bidsapp.records import ClusterInference, Inference, StatisticInference


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
    nulls, counts = _run(make_job(test, shuffles, space, options, observed), monitor)
    clusters = _observed_clusters(observed, test, space, nulls)
    results = {name: _result(STATISTICS[name], observed, test, space, null) for name, null in nulls.items()}
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
    p = options.cluster_forming_p
    on_z = options.scale == "z" or test.name != "t"
    statistic_cutoff = test.cutoff(p)
    cutoff = float(-special.ndtri(p)) if on_z else statistic_cutoff
    return Space(
        neighbours=geometry.neighbours(options.connectivity),
        tfce_neighbours=geometry.neighbours(options.tfce_connectivity),
        cutoff=cutoff,
        statistic_cutoff=statistic_cutoff,
        scale=test.z if on_z else as_it_is,
        offset=cutoff if options.mass == "excess" else 0.0,
        two_tailed=test.name == "t" and options.tail == "two",
        tfce_powers=options.tfce_powers,
    )


def as_it_is(statistic):
    """Return the statistic: t maps are their own scale."""
    return statistic


def _run(job, monitor):
    """Return the null maxima of each statistic and the exceedance counts of each voxel."""
    nulls = {name: np.empty(len(job.shuffles)) for name in job.statistics}
    counts = None if job.reached is None else np.zeros(len(job.reached), np.int64)
    for which in batches(job):
        maxima, reached = follow(job, which)
        for name in job.statistics:
            nulls[name][which] = maxima[name]
        if counts is not None:
            counts += reached
        if monitor is not None:
            monitor.progress(which.stop, len(job.shuffles))
    return nulls, counts


def _result(statistic, observed, test, space, null):
    """Return the observed map of a statistic with its corrected p."""
    if statistic.needs == "height":
        enhanced = observed
    else:
        spatial = np.nan_to_num(space.scale(observed))
        clusters = find_clusters(
            spatial, space.cutoff, space.neighbours, two_tailed=space.two_tailed, offset=space.offset
        )
        enhanced = statistic.enhance(spatial, clusters, space)
    size = np.abs(enhanced) if space.two_tailed else enhanced
    p = np.where(np.isfinite(observed), p_from_null(size, null), np.nan)
    return StatisticInference(statistic.name, test.direction * enhanced, p, null)


def _observed_clusters(observed, test, space, nulls):
    """Return the clusters of the observed map with their corrected p."""
    if not {"extent", "mass"} & set(nulls):
        return None
    spatial = np.nan_to_num(space.scale(observed))
    found = find_clusters(
        spatial, space.cutoff, space.neighbours, two_tailed=space.two_tailed, offset=space.offset
    )
    values = {"extent": found.size, "mass": found.mass}
    p = {name: p_from_null(values[name], nulls[name]) for name in values if name in nulls}
    sign = found.sign * test.direction
    return ClusterInference(found.labels, sign, found.size, found.mass, found.peak, p, space.cutoff)
