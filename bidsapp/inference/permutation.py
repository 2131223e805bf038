"""The engine: shuffle a group test, follow the maximum of every statistic of its map.

A shuffle keeps what the null hypothesis makes exchangeable; the maximum of a statistic over the map, in
every shuffle, is the null against which each point's own value is compared. The engine knows no statistic by
name; it hands each what it needs.
"""

from dataclasses import replace

import numpy as np
from scipy import special

from bidsapp.errors import SettingsError
from bidsapp.inference.clusters import find_clusters
from bidsapp.inference.engine import batches, follow_each, make_job
from bidsapp.inference.grouped_test import GroupedTest
from bidsapp.inference.hotelling_test import prepare_hotelling_test
from bidsapp.inference.linear_test import prepare_linear_test
from bidsapp.inference.partition import drop_fixed, partition_design
from bidsapp.inference.pvalues import TIE, p_from_counts, p_from_null, p_interval
from bidsapp.inference.shuffles import (
    check_attainable,
    choose_scheme,
    fixed_directions,
    make_shuffles,
    smallest_p,
)
from bidsapp.inference.statistics import STATISTICS
from bidsapp.inference.statistics.statistic import Space
from bidsapp.inference.tails import p_from_tail
from bidsapp.records import ClusterInference, Inference, StatisticInference

# Early stopping: no decision on fewer shuffles, and at this confidence that p stays on its side of alpha.
FEWEST_DECIDED, DECIDED = 200, 0.999


def permute(effects, matrix, weights, geometry, options, *, monitor=None):
    """Return what shuffling says about one contrast of a group design.

    Parameters
    ----------
    effects : ndarray, shape (n_subjects, n_points)
        With three axes (n_subjects, n_maps, n_points) the test is Hotelling's T2 of all maps.
        Points with a value that is not finite, or that do not vary, are left out: NaN.
    matrix : ndarray, shape (n_subjects, n_columns)
    weights : ndarray, shape (n_rows, n_columns)
        One row is a t test, several are an F test.
    geometry : Geometry
    options : InferenceOptions
    monitor : object, optional
        ``progress(done, total)`` is called after each batch, ``save(state)`` with arrays from which a later
        call goes on, and at the start ``load()``, which returns the last state or None.

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
    options, notes = place_in_variance_groups(partition, options)
    shuffles, nuisance = _shuffle_design(partition, options)
    test = _prepare(effects, partition, nuisance, options)
    lowest = smallest_p(
        shuffles,
        partition,
        even=not test.is_signed or options.tail == "two",
        has_nuisance=nuisance.shape[1] > 0,
    )
    notes.append(check_attainable(lowest, options.alpha, shuffles.n_distinct))
    observed = np.where(test.usable, test.maps(shuffles, slice(0, 1))[0], np.nan)
    space = make_space(test, geometry, options)
    enhanced = {name: _enhance(STATISTICS[name], observed, space) for name in options.statistics}
    sizes = {name: np.abs(found) if space.two_tailed else found for name, found in enhanced.items()}
    job = make_job(test, shuffles, space, options, observed)
    nulls, counts, n_shuffles = _run(job, options, sizes, monitor)
    if n_shuffles < len(shuffles):
        notes.append(
            f"Shuffling stopped after {n_shuffles} of {len(shuffles)}: hardly a corrected p can cross alpha "
            "any more."
        )
    return Inference(
        test=test.name,
        dof=test.dof,
        statistic=np.where(test.usable, test.observed(shuffles), np.nan),
        options=options,
        scheme=shuffles.scheme,
        n_shuffles=n_shuffles,
        n_distinct=shuffles.n_distinct,
        exact=shuffles.exact and n_shuffles == len(shuffles),
        smallest_p=lowest,
        p=None if counts is None else np.where(test.usable, p_from_counts(counts, n_shuffles), np.nan),
        statistics={
            name: StatisticInference(
                name,
                test.direction * enhanced[name],
                _corrected(sizes[name], observed, null, options),
                null,
            )
            for name, null in nulls.items()
        },
        clusters=_observed_clusters(observed, test, space, nulls, options),
        warnings=tuple(filter(None, notes)),
        shuffles_digest=shuffles.digest(),
        conventions=describe_conventions(test, shuffles, space, options),
    )


def place_in_variance_groups(partition, options):
    """Return options whose blocks respect the variance groups, and what a reader must know of that.

    Rows of different variance are not exchangeable: they are permuted within their groups where the effect
    can be tested there. An effect between the groups leaves only free permutation, which the studentised
    statistic makes right for many subjects (Janssen 1997), or sign flips.
    """
    groups = options.variance_groups
    if groups is None or options.blocks is not None or options.scheme == "sign-flip":
        return options, []
    if choose_scheme(partition.effect)[0] == "sign-flip":
        return options, []
    if choose_scheme(partition.effect, groups) == ("permutation", "within"):
        return replace(options, blocks=np.asarray(groups), block_mode="within"), []
    return options, [
        "Rows of different variance are permuted, for the effect lies between the variance groups: the "
        "p-values are right for many subjects, not exact for few."
    ]


def _shuffle_design(partition, options):
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


def _prepare(effects, partition, nuisance, options):
    """Return the test that the data and the options ask for."""
    direction = -1 if options.tail == "negative" and partition.n_rows == 1 else 1
    if np.ndim(effects) == 3:
        return prepare_hotelling_test(effects, partition, nuisance)
    test = prepare_linear_test(effects, partition, nuisance, direction=direction)
    if options.variance_groups is None or len(np.unique(options.variance_groups)) == 1:
        return test
    groups = np.unique(options.variance_groups, return_inverse=True)[1]
    return GroupedTest(partition, groups, test.data, test.usable, direction)


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
        two_tailed=test.is_signed and options.tail == "two",
        tfce_powers=options.tfce_powers,
        tfce_steps=options.tfce_steps,
    )


def as_it_is(statistic):
    """Return the statistic: t maps are their own scale."""
    return statistic


def _run(job, options, observed, monitor):
    """Return the null maxima of each statistic, the exceedance counts, and how many shuffles were followed."""
    done, nulls, counts = _resume(job, monitor)
    parts = [part for part in batches(job, finer=options.stop_when_decided) if part.start >= done]
    for which, (maxima, reached) in follow_each(job, parts):
        for name in job.statistics:
            nulls[name][which] = maxima[name]
        if counts is not None:
            counts += reached
        done = which.stop
        if monitor is not None:
            monitor.save(_state(job, done, nulls, counts))
            monitor.progress(done, len(job.shuffles))
        if options.stop_when_decided and is_decided(observed, nulls, done, options.alpha):
            break
    return {name: null[:done] for name, null in nulls.items()}, counts, done


def _state(job, done, nulls, counts):
    """Return what a later call needs to go on, as arrays."""
    state = {f"null_{name}": null[:done] for name, null in nulls.items()}
    more = {} if counts is None else {"counts": counts}
    return {"digest": np.array(job.digest()), "done": np.array(done), **state, **more}


def _resume(job, monitor):
    """Return where an interrupted call stood, or the start; a state of other data or options is not used."""
    nulls = {name: np.full(len(job.shuffles), np.nan) for name in job.statistics}
    counts = None if job.reached is None else np.zeros(len(job.reached), np.int64)
    state = monitor.load() if monitor is not None else None
    if not state or str(state["digest"]) != job.digest():
        return 0, nulls, counts
    done = int(state["done"])
    for name, null in nulls.items():
        null[:done] = state[f"null_{name}"]
    return done, nulls, counts if counts is None else state["counts"].astype(np.int64)


def is_decided(observed, nulls, done, alpha):
    """Return whether more shuffles would hardly move a corrected p across alpha.

    Parameters
    ----------
    observed : dict of str to ndarray
        The size of every statistic in every point or cluster.
    """
    if done < FEWEST_DECIDED:
        return False
    for name, values in observed.items():
        p = np.unique(p_from_null(values[np.isfinite(values)], nulls[name][:done]))
        lower, upper = p_interval(p, done, DECIDED)
        if np.any((lower <= alpha) & (upper > alpha)):
            return False
    return True


def _enhance(statistic, observed, space):
    """Return the observed map of a statistic, signed; the voxel's own statistic with NaN as it is."""
    if statistic.needs == "height":
        return observed
    spatial = np.nan_to_num(space.scale(observed))
    return statistic.enhance(spatial, _clusters(spatial, space), space)


def _clusters(spatial, space):
    return find_clusters(
        spatial, space.cutoff, space.neighbours, two_tailed=space.two_tailed, offset=space.offset
    )


def _corrected(size, observed, null, options):
    """Return corrected p; NaN where there is no test."""
    p = p_from_tail(size, null, options.tail_approximation)
    return np.where(np.isfinite(observed), p, np.nan)


def _observed_clusters(observed, test, space, nulls, options):
    """Return the clusters of the observed map with their corrected p."""
    if not {"extent", "mass"} & set(nulls):
        return None
    found = _clusters(np.nan_to_num(space.scale(observed)), space)
    values = {"extent": found.size.astype(float), "mass": found.mass}
    p = {
        name: p_from_tail(values[name], nulls[name], options.tail_approximation)
        for name in values
        if name in nulls
    }
    sign = found.sign * test.direction
    return ClusterInference(found.labels, sign, found.size, found.mass, found.peak, p, space.cutoff)


def describe_conventions(test, shuffles, space, options):
    """Return every convention behind the numbers, by the names that sidecars give them."""
    on_z = space.scale is not as_it_is
    tfce = "exact integral" if not options.tfce_steps else f"{options.tfce_steps} steps of each maximum"
    return {
        "NullHypothesis": "shuffles keep what is exchangeable when the contrast is zero (Freedman-Lane)",
        "Statistic": {"v": "Aspin-Welch v, followed as z", "G": "G, followed as z"}.get(test.name, test.name),
        "TwoSided": space.two_tailed,
        "Tails": "largest absolute value of both tails" if space.two_tailed else f"{options.tail} tail",
        "PValue": "share of shuffles at or above the observed value, the observed one among them",
        "TieTolerance": TIE,
        "ShuffleMode": shuffles.mode,
        "ExchangeabilityBlocks": options.blocks is not None,
        "VarianceGroups": options.variance_groups is not None,
        "ClusterFormingP": options.cluster_forming_p,
        "ClusterFormingTail": "one-sided, in each tested tail",
        "ClusterFormingThreshold": space.cutoff,
        "ClusterFormingRelation": "at or above",
        "ClusterConnectivity": options.connectivity,
        "ClusterMass": "sum above the threshold" if options.mass == "excess" else "sum of the statistic",
        "ClusterScale": "z" if on_z else test.name,
        "TFCE": tfce,
        "TFCEScale": "z" if on_z else test.name,
        "TFCEConnectivity": options.tfce_connectivity,
        "TFCEExtentPower": options.tfce_powers[0],
        "TFCEHeightPower": options.tfce_powers[1],
        "TailApproximation": options.tail_approximation,
        "StopWhenDecided": options.stop_when_decided,
    }
