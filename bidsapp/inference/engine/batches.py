"""Follow all shuffles of a test, in batches, on several threads.

Two routes lead to the same numbers. Where only the height and the clusters of a linear test are asked for,
points are screened stretch by stretch and never become a map (``screening.py``). Everything else takes
whole maps. Neither the threads nor the memory change a result: maxima and counts do not depend on how the
shuffles are cut into batches (``budget.py``).
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bidsapp.inference.engine.budget import WHOLE, count_screened, count_threads
from bidsapp.inference.fast.kernels import find_cluster_maxima
from bidsapp.inference.fast.screening import screen_points
from bidsapp.inference.fast.simd import BLOCK
from bidsapp.inference.pvalues import TIE
from bidsapp.inference.shuffles.make import Shuffles
from bidsapp.inference.statistics import STATISTICS
from bidsapp.inference.statistics.statistic import Batch, Space
from bidsapp.inference.voxels.linear import LinearTest
from bidsapp.inference.voxels.test import VoxelTest
from bidsapp.records.arrays import Labels, Map, Maps, Matrix, Numbers
from bidsapp.records.maps import InferenceOptions
from bidsapp.stats.blocks import STRETCH, cut

# The maxima of each statistic (n,) by its name, and how many shuffles reach each point (n_points,).
Followed: TypeAlias = tuple[dict[str, Numbers], Labels | None]
# Points above the cluster-forming threshold: the shuffle, the point and w of each.
Events: TypeAlias = Sequence[NDArray[Any]]

# No w reaches this: there are no clusters to form.
NO_CUTOFF = 2.0
# Points above the cutoff that there is room for at first, 3 MB; of more, the stretch is done again.
EVENTS = 200_000
# Batches a worker of a cluster has in hand: few enough to show progress, enough to keep it busy.
IN_HAND = 4
# Shuffles between two looks at whether enough were made.
FINER = 256
# Single precision rounds by 6e-8; roundings of a sum over n subjects add like their root. Six times that for
# each row of weights, and a little for w itself, are not reached.
MARGIN, MARGIN_OF_SUM = 1e-6, 4e-7


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Job:
    """What the engine follows: a test, its shuffles, what to look at, how many together, on how many threads.

    ``needs`` are the fields of ``Batch`` that the statistics read; ``reached`` (n_points,) are the values
    that count as reaching the observed map, in units of the statistic; None when exceedances are not counted.
    """

    test: VoxelTest
    shuffles: Shuffles
    space: Space
    statistics: tuple[str, ...]
    needs: frozenset[str]
    reached: Map | None
    batch: int
    n_threads: int

    @property
    def n_followed(self) -> int:
        """How many shuffles must be looked at: the first half where the others give the same by symmetry."""
        is_even = self.space.two_tailed or not self.test.is_signed
        return len(self.shuffles) // 2 if self.shuffles.is_mirrored and is_even else len(self.shuffles)

    def digest(self) -> str:
        """Return a text that is the same for the same data, shuffles and statistics only."""
        text = hashlib.sha256(np.ascontiguousarray(self.test.data).data)
        text.update(self.shuffles.digest().encode())
        space = self.space
        shown = (self.statistics, space.cutoff, space.offset, space.two_tailed, space.tfce_powers)
        text.update(repr((*shown, space.tfce_steps, self.reached is None)).encode())
        text.update(space.neighbours.data)
        return text.hexdigest()


def make_job(
    test: VoxelTest, shuffles: Shuffles, space: Space, options: InferenceOptions, observed: Map
) -> Job:
    """Return the job of a test with its observed map (n_points,)."""
    reached = None
    if options.uncorrected:
        size = np.abs(observed) if space.two_tailed else observed
        reached = np.where(np.isfinite(size), size - TIE * np.abs(size), np.inf)
    needs = frozenset(STATISTICS[name].words.needs for name in options.statistics)
    if is_screened(test, needs):
        sizes = count_screened(test, "clusters" in needs, options), max(options.n_threads, 1)
    else:
        sizes = 8 * WHOLE, count_threads(test, options)
    return Job(test, shuffles, space, options.statistics, needs, reached, *sizes)


def batches(job: Job, start: int = 0, *, finer: bool = False) -> list[slice]:
    """Return the slices of shuffles that are followed together; ``finer`` to look often whether to stop."""
    return cut(job.n_followed, min(job.batch, FINER) if finer else job.batch, start)


def follow_each(
    job: Job, parts: Sequence[slice], tell: Callable[[int], None] | None = None
) -> Iterator[tuple[slice, Followed]]:
    """Yield every batch (slice of the shuffles) and what `follow` returns for it.

    Batches are followed one after another here, or side by side by the workers of joblib's current backend.
    ``tell`` is told how many shuffles are followed, within a batch too where that is followed here.
    """
    # None: as the loop below has it, of a backend that somebody chose; -1 would be all processors.
    n_workers = effective_n_jobs(None)
    size = 1 if n_workers == 1 else IN_HAND * n_workers
    held = _hold(job)
    here = tell if n_workers == 1 else None
    for start in range(0, len(parts), size):
        some = parts[start : start + size]
        yield from zip(some, Parallel()(delayed(follow)(held, which, here) for which in some), strict=True)


def _hold(job: Job) -> object:
    """Return the job as the loops of joblib take it.

    A Dask cluster holds it as the result of a task, which is done again when the worker that held it dies;
    what joblib itself sends to a worker is lost with it, and the run with that.
    """
    client = getattr(get_active_backend()[0], "client", None)
    return job if client is None else client.submit(_itself, job, pure=False)


def _itself(job: Job) -> Job:
    return job


class Meter:
    """Adds up what threads have done of a batch, and tells it in shuffles.

    Parameters
    ----------
    which : slice
        The shuffles of the batch.
    n_units : int
        What there is to do in it.
    tell : callable, optional
    """

    def __init__(self, which: slice, n_units: int, tell: Callable[[int], None] | None) -> None:
        self._which, self._n_units, self._tell = which, n_units, tell
        self._done, self._lock = 0, Lock()

    def add(self, n_units: int) -> None:
        """Count units as done."""
        if self._tell is None:
            return
        with self._lock:
            self._done += n_units
            self._tell(
                self._which.start + (self._which.stop - self._which.start) * self._done // self._n_units
            )


def follow(job: Job, which: slice, tell: Callable[[int], None] | None = None) -> Followed:
    """Return the maxima of every statistic (name -> (n,)) and how many shuffles reach each point.

    Parameters
    ----------
    which : slice
        Of the shuffles.
    tell : callable, optional
        Is told how many shuffles are followed, from several threads but never at once.
    """
    with threadpool_limits(1), ThreadPoolExecutor(job.n_threads) as pool:
        batch, counts = (
            _screen(job, job.test, which, pool, tell)
            if is_screened(job.test, job.needs)
            else _map(job, which, pool, tell)
        )
    return {name: batch[name] for name in job.statistics}, counts


def is_screened(test: VoxelTest, needs: Collection[str]) -> TypeGuard[LinearTest]:
    """Return whether the fast route serves."""
    return isinstance(test, LinearTest) and "maps" not in needs


def _screen(
    job: Job,
    test: LinearTest,
    which: slice,
    pool: ThreadPoolExecutor,
    tell: Callable[[int], None] | None,
) -> Followed:
    """Follow a batch point by point."""
    space = job.space
    weights = test.weights(job.shuffles, which)
    rows, scale = test.sign_tables(job.shuffles, weights)
    n_points = test.data.shape[1]
    meter = Meter(which, n_points, tell)
    parts = _cut(n_points, job.n_threads, STRETCH)
    has_clusters = "clusters" in job.needs
    cutoff = float(test.to_w(space.statistic_cutoff)) if has_clusters else NO_CUTOFF
    settings = (test.partition.n_rows, space.two_tailed, cutoff, _margin(weights))
    reached = None if job.reached is None else test.to_w(job.reached)

    def look(part: slice) -> tuple[Numbers, Labels, Events]:
        return _screen_part(part, test.data, (weights, rows, scale), settings, reached, meter)

    found = list(pool.map(look, parts))
    height = test.statistic(np.max([best for best, _, _ in found], axis=0))
    counts = None if reached is None else np.concatenate([counts for _, counts, _ in found])
    clusters: Matrix = np.empty((0, 2))
    if has_clusters:
        events = [np.concatenate(columns) for columns in zip(*[e for _, _, e in found], strict=True)]
        clusters = _clusters_of_events(events, len(weights), job, test, pool)
    batch = Batch(height, clusters)
    return {name: STATISTICS[name].maxima(batch, space) for name in job.statistics}, counts


def _screen_part(
    part: slice,
    data: Maps,
    shuffled: tuple[Numbers, Labels, Numbers],
    settings: tuple[int, bool, float, float],
    reached: Map | None,
    meter: Meter,
) -> tuple[Numbers, Labels, Events]:
    """Screen the points of one thread, a stretch at a time; return best, counts and events."""
    best = np.full(len(shuffled[0]), 0.0 if settings[1] or settings[0] > 1 else -1.0)
    counts = np.zeros(part.stop - part.start, np.int32)
    kept = []
    capacity = EVENTS
    for start in range(part.start, part.stop, STRETCH):
        stop = min(start + STRETCH, part.stop)
        room = -(-(stop - start) // BLOCK) * BLOCK
        stretch = np.zeros((len(data), room))
        stretch[:, : stop - start] = data[:, start:stop]
        goal = np.zeros(0)
        if reached is not None:
            goal = np.full(room, np.inf)
            goal[: stop - start] = reached[start:stop]
        while True:
            events = (np.empty(capacity, np.int32), np.empty(capacity, np.int32), np.empty(capacity))
            here = np.zeros(room, np.int32)
            found = (best, here)
            n_events = screen_points(stretch, shuffled, settings, goal, found, events)
            if n_events <= capacity:
                break
            capacity = 2 * n_events
        counts[start - part.start : stop - part.start] = here[: stop - start]
        kept.append((events[0][:n_events].copy(), events[1][:n_events] + start, events[2][:n_events].copy()))
        meter.add(stop - start)
    return best, counts, [np.concatenate(columns) for columns in zip(*kept, strict=True)]


def _clusters_of_events(
    events: Events, n_shuffles: int, job: Job, test: LinearTest, pool: ThreadPoolExecutor
) -> Matrix:
    """Return the largest cluster size and mass of each shuffle from its points above the cutoff."""
    shuffle, point, w = events
    order = np.argsort(shuffle, kind="stable")
    starts = np.searchsorted(shuffle[order], np.arange(n_shuffles + 1))
    heights = job.space.scale(test.statistic(w[order]))
    point = np.ascontiguousarray(point[order], np.int32)

    def look(part: slice) -> Matrix:
        own = starts[part.start : part.stop + 1]
        return find_cluster_maxima(own, point, heights, job.space.neighbours, job.space.offset)

    return np.concatenate(list(pool.map(look, _cut(n_shuffles, job.n_threads, 1))))


def _map(job: Job, which: slice, pool: ThreadPoolExecutor, tell: Callable[[int], None] | None) -> Followed:
    """Follow a batch by whole maps."""
    meter = Meter(which, which.stop - which.start, tell)

    def look(piece: slice) -> Followed:
        found = _map_piece(job, piece)
        meter.add(piece.stop - piece.start)
        return found

    results = list(pool.map(look, cut(which.stop, WHOLE, which.start)))
    maxima = {name: np.concatenate([m[name] for m, _ in results]) for name in job.statistics}
    counted = [counts for _, counts in results if counts is not None]
    return maxima, np.sum(counted, axis=0) if counted else None


def _map_piece(job: Job, piece: slice) -> Followed:
    space = job.space
    maps = job.test.maps(job.shuffles, piece)
    size = np.abs(maps) if space.two_tailed else maps
    counts = None if job.reached is None else np.count_nonzero(size >= job.reached, axis=0)
    clusters: Matrix = np.empty((0, 2))
    spatial: Maps = np.empty((0, 0))
    if job.needs != {"height"}:
        spatial = space.scale(maps)
    if "clusters" in job.needs:
        above = (np.abs(spatial) if space.two_tailed else spatial) >= space.cutoff
        shuffle, point = np.nonzero(above)
        starts = np.searchsorted(shuffle, np.arange(len(maps) + 1))
        found = starts, point.astype(np.int32), spatial[above]
        clusters = find_cluster_maxima(*found, space.neighbours, space.offset)
    batch = Batch(size.max(axis=1), clusters, spatial)
    return {name: STATISTICS[name].maxima(batch, space) for name in job.statistics}, counts


def _cut(n: int, n_parts: int, unit: int) -> list[slice]:
    """Return slices of 0 to n, about equal, at multiples of a unit."""
    n_units = -(-n // unit)
    edges = [min(n, unit * (n_units * k // n_parts)) for k in range(n_parts + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]


def _margin(weights: Numbers) -> float:
    """Return how far single-precision sums over the subjects may be off in w."""
    return float(MARGIN + MARGIN_OF_SUM * np.sqrt(weights.shape[2]) * weights.shape[1])
