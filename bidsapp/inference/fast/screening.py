"""Look at all shuffles of a stretch of points in single precision; decide in double precision.

The share of variance that an effect explains is, up to its sign, the square of ``w``: t**2 is
``dof * w**2 / (1 - w**2)``. Single-precision sums say which points of a block can matter (as the
maximum, as a member of a cluster, as reaching the observed value); only there is ``w`` computed in
double precision, so that no result depends on the screen.
"""

from typing import TypeAlias

import numba
import numpy as np

from bidsapp.inference.fast.simd import BLOCK, add_rows, count_reached, weigh_rows
from bidsapp.records.arrays import Labels, Map, Maps, Matrix, Numbers

# n_effects, two_tailed, cutoff, margin.
Settings: TypeAlias = tuple[int, bool, float, float]
# Shuffle, point and w.
Events: TypeAlias = tuple[Labels, Labels, Numbers]
# Values to be reached, in double and in single precision, and how many shuffles reach them.
Goal: TypeAlias = tuple[Numbers, Numbers, Labels]

compiled = numba.njit(cache=True, nogil=True)
# Subjects whose signed sums are tabulated together: 2**5 rows of 64 points are 8 kB, four tables fit the
# first-level cache.
GROUP = 5
# What is left beside the nuisance is at least this, in double and in single precision, or a shuffle that
# explains a voxel completely would divide by zero.
SMALLEST_REST, SMALLEST_REST32 = 1e-14, np.float32(1e-7)


@compiled
def exact_w(data: Maps, point: int, weights: Matrix, n_effects: int) -> float:
    """Return w of one point in double precision; its sign is that of a single effect, else positive.

    Parameters
    ----------
    data : ndarray of float64, shape (n_subjects, n_points)
    weights : ndarray of float64, shape (n_effects + n_nuisance, n_subjects)
    """
    explained, rest, first = 0.0, 1.0, 0.0
    for k in range(weights.shape[0]):
        coefficient = 0.0
        for i in range(data.shape[0]):
            coefficient += weights[k, i] * data[i, point]
        if k < n_effects:
            explained += coefficient * coefficient
            if k == 0:
                first = coefficient
        else:
            rest -= coefficient * coefficient
    w: float = np.sqrt(explained / max(rest, SMALLEST_REST))
    return -w if n_effects == 1 and first < 0 else w


@compiled
def build_tables(block32: Maps, table: Matrix) -> None:
    """Fill the table with all signed sums of each group of subjects.

    Row ``group * 2**GROUP + code`` holds the sum over the group, with minus where the code has a 1.
    """
    n_subjects = block32.shape[0]
    two = np.float32(2.0)
    for start in range(0, n_subjects, GROUP):
        first = (start // GROUP) << GROUP
        size = min(GROUP, n_subjects - start)
        # Code 0: the sum of the group.
        table[first] = block32[start]
        for i in range(1, size):
            for v in range(BLOCK):
                table[first, v] += block32[start + i, v]
        # Codes with a 1 at i are those without, which are made already, less twice the subject.
        for i in range(size):
            subject = block32[start + i]
            for code in range(first, first + (1 << i)):
                source, target = table[code], table[code + (1 << i)]
                for v in range(BLOCK):
                    target[v] = source[v] - two * subject[v]


@compiled
def combine_rows(block32: Maps, weights32: Matrix, n_effects: int, scratch: Matrix) -> np.float32:
    """Fill w of one shuffle from all rows of its weights; return its largest absolute value.

    ``scratch`` (4, BLOCK) holds w, the sums of a row, what is explained, and the rest.
    """
    n_rows, n_subjects = weights32.shape
    base, weight = block32.ctypes.data, weights32.ctypes.data
    w, sums, explained, rest = scratch
    largest: np.float32 = weigh_rows(base, weight, n_subjects, w.ctypes.data)
    if n_rows == 1:
        return largest
    for v in range(BLOCK):
        explained[v] = w[v] * w[v]
        rest[v] = np.float32(1.0)
    for k in range(1, n_rows):
        weigh_rows(base, weight + 4 * k * n_subjects, n_subjects, sums.ctypes.data)
        if k < n_effects:
            for v in range(BLOCK):
                explained[v] += sums[v] * sums[v]
        else:
            for v in range(BLOCK):
                rest[v] -= sums[v] * sums[v]
    largest = np.float32(0.0)
    for v in range(BLOCK):
        size = np.sqrt(explained[v] / max(rest[v], SMALLEST_REST32))
        w[v] = -size if n_effects == 1 and w[v] < 0 else size
        largest = max(largest, size)
    return largest


@compiled
def screen_points(
    data: Maps,
    shuffled: tuple[Numbers, Labels, Numbers],
    settings: Settings,
    reached: Map,
    found: tuple[Numbers, Labels],
    events: Events,
) -> int:
    """Follow all shuffles over a stretch of points.

    Parameters
    ----------
    data : ndarray of float64, shape (n_subjects, n_points)
        n_points is a multiple of BLOCK.
    shuffled : tuple of ndarray
        Weights float64 (n_shuffles, n_effects + n_nuisance, n_subjects); table rows int32 (n_shuffles,
        n_groups) where the weights are a scale times signs, no columns otherwise; the scale
        (n_subjects,), ones where there are no table rows.
    settings : tuple
        n_effects, two_tailed, cutoff (2.0: no clusters), margin (error of single precision in w).
    reached : ndarray, shape (n_points,)
        Values to be reached, a tie below the observed w; empty when exceedances are not counted.
    found : tuple of ndarray
        best (n_shuffles,), updated; counts int32 (n_points,), updated.
    events : tuple of ndarray
        Shuffle, point and w of every point at or above the cutoff; filled from the start.

    Returns
    -------
    int
        How many events there are; more than fit when the arrays are too short.
    """
    weights, rows, scale = shuffled
    best, counts = found
    n_subjects, n_groups = data.shape[0], rows.shape[1]
    table = np.empty((max(n_groups, 1) << GROUP, BLOCK), np.float32)
    block32 = np.empty((n_subjects, BLOCK), np.float32)
    weights32, reached32 = weights.astype(np.float32), reached.astype(np.float32)
    scratch = np.empty((4, BLOCK), np.float32)
    n_events = 0
    for start in range(0, data.shape[1], BLOCK):
        block = data[:, start : start + BLOCK]
        for i in range(n_subjects):
            for v in range(BLOCK):
                block32[i, v] = block[i, v] * scale[i]
        if n_groups:
            build_tables(block32, table)
        single = (block32, weights32, table, rows, scratch)
        goal = (reached[start:], reached32[start:], counts[start:])
        n_events = _screen_block(start, block, weights, single, settings, (goal, best, events, n_events))
    return n_events


@compiled
def _screen_block(
    start: int,
    block: Maps,
    weights: Numbers,
    single: tuple[Maps, Numbers, Matrix, Labels, Matrix],
    settings: Settings,
    results: tuple[Goal, Numbers, Events, int],
) -> int:
    """Follow all shuffles over one block; return the number of events."""
    block32, weights32, table, rows, scratch = single
    goal, best, events, n_events = results
    n_effects, two_tailed, cutoff, margin = settings
    n_groups, has_goal, margin32 = rows.shape[1], len(goal[0]) > 0, np.float32(margin)
    # Addresses once: asking an array for its own costs as much as a block.
    w_at, table_at, rows_at = scratch.ctypes.data, table.ctypes.data, rows.ctypes.data
    reached_at, counts_at = goal[1].ctypes.data, goal[2].ctypes.data
    for j in range(len(best)):
        if n_groups:
            largest = add_rows(table_at, rows_at + 4 * j * n_groups, n_groups, w_at)
        else:
            largest = combine_rows(block32, weights32[j], n_effects, scratch)
        if has_goal and count_reached(w_at, reached_at, counts_at, margin32, two_tailed):
            _recount(scratch[0], block, weights[j], settings, goal)
        # ``best`` only grows: what is below it by more than the error of single precision cannot become the
        # maximum any more.
        if largest >= min(best[j], cutoff) - margin:
            n_events = _decide((j, start, n_events), scratch[0], block, weights[j], settings, (best, events))
    return n_events


@compiled
def _decide(
    place: tuple[int, int, int],
    w: Numbers,
    block: Maps,
    weights: Matrix,
    settings: Settings,
    results: tuple[Numbers, Events],
) -> int:
    """Compute the points of a block that can matter in double precision; return the number of events."""
    j, start, n_events = place
    n_effects, two_tailed, cutoff, margin = settings
    best, (shuffle, point, value) = results
    for v in range(BLOCK):
        size = abs(w[v]) if two_tailed else w[v]
        # ``best`` has grown since the block was looked at: fewer points are left to decide.
        if size < min(best[j], cutoff) - margin:
            continue
        exact = exact_w(block, v, weights, n_effects)
        size = abs(exact) if two_tailed else exact
        best[j] = max(best[j], size)
        if size >= cutoff:
            if n_events < len(shuffle):
                shuffle[n_events] = j
                point[n_events] = start + v
                value[n_events] = exact
            n_events += 1
    return n_events


@compiled
def _recount(w: Numbers, block: Maps, weights: Matrix, settings: Settings, goal: Goal) -> None:
    """Count again, in double precision, the points that single precision cannot tell from a tie."""
    n_effects, two_tailed, _, margin = settings
    reached, reached32, counts = goal
    for v in range(BLOCK):
        excess = (abs(w[v]) if two_tailed else w[v]) - reached32[v]
        if abs(excess) < np.float32(margin):
            exact = exact_w(block, v, weights, n_effects)
            # What single precision has counted already is taken off.
            counts[v] += ((abs(exact) if two_tailed else exact) >= reached[v]) - (excess >= 0)
