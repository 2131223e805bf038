"""Run the batches of a job: keep the nulls, save what is needed to go on, stop when the answer is clear."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bidsapp.inference.engine.batches import Job, batches, follow_each
from bidsapp.inference.pvalues import p_from_null, p_interval
from bidsapp.records.arrays import Labels, Numbers
from bidsapp.records.maps import InferenceOptions

# What is saved of an interrupted call, by name.
State: TypeAlias = Mapping[str, NDArray[Any]]
# The null maxima of each statistic, how many shuffles reach each point, and the number of shuffles.
AllFollowed: TypeAlias = tuple[dict[str, Numbers], Labels | None, int]

# Early stopping: no decision on fewer shuffles, and at this confidence that p stays on its side of alpha.
FEWEST_DECIDED, DECIDED = 200, 0.999


class Monitor(Protocol):
    """Who is told how far the shuffles are, and keeps what a later call needs to go on."""

    def load(self) -> State | None:
        """Return what was saved last, or None."""

    def save(self, state: State) -> None:
        """Keep the state after a batch."""

    def progress(self, done: int, total: int) -> None:
        """Be told of the shuffles that are done, of all that are followed; first, of those of earlier calls.

        Within a batch from any of its threads, never from two at once.
        """


def follow_all(
    job: Job, options: InferenceOptions, observed: Mapping[str, Numbers], monitor: Monitor | None
) -> AllFollowed:
    """Return what all shuffles give, or those before the answer was clear."""
    # Of all data: as long as a batch of shuffles, so once.
    digest = job.digest() if monitor is not None else ""
    done, nulls, counts = _resume(job, monitor, digest)
    parts = batches(job, done, finer=options.stop_when_decided)
    for which, (maxima, reached) in follow_each(job, parts, _begin_telling(job, done, monitor)):
        for name in job.statistics:
            nulls[name][which] = maxima[name]
        if counts is not None and reached is not None:
            counts += reached
        done = which.stop
        if monitor is not None:
            monitor.save(_state(digest, done, nulls, counts))
            monitor.progress(done, job.n_followed)
        if options.stop_when_decided and is_decided(observed, nulls, done, options.alpha):
            break
    if done < job.n_followed or done == len(job.shuffles):
        return {name: null[:done] for name, null in nulls.items()}, counts, done
    for null in nulls.values():
        null[done:] = null[:done][::-1]
    return nulls, None if counts is None else 2 * counts, len(job.shuffles)


def _begin_telling(job: Job, done: int, monitor: Monitor | None) -> Callable[[int], None] | None:
    """Tell what was done before, and return what tells more."""
    if monitor is None:
        return None
    monitor.progress(done, job.n_followed)
    return lambda done: monitor.progress(done, job.n_followed)


def _state(digest: str, done: int, nulls: Mapping[str, Numbers], counts: Labels | None) -> State:
    """Return what a later call needs to go on, as arrays."""
    state = {f"null_{name}": null[:done] for name, null in nulls.items()}
    more = {} if counts is None else {"counts": counts}
    return {"digest": np.array(digest), "done": np.array(done), **state, **more}


def _resume(job: Job, monitor: Monitor | None, digest: str) -> tuple[int, dict[str, Numbers], Labels | None]:
    """Return where an interrupted call stood, or the start; a state of other data or options is not used."""
    nulls = {name: np.full(len(job.shuffles), np.nan) for name in job.statistics}
    counts = None if job.reached is None else np.zeros(len(job.reached), np.int64)
    state = monitor.load() if monitor is not None else None
    if not state or str(state["digest"]) != digest:
        return 0, nulls, counts
    done = int(state["done"])
    for name, null in nulls.items():
        null[:done] = state[f"null_{name}"]
    return done, nulls, counts if counts is None else state["counts"].astype(np.int64)


def is_decided(
    observed: Mapping[str, Numbers], nulls: Mapping[str, Numbers], done: int, alpha: float
) -> bool:
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
