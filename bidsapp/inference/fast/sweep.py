"""Threshold-free cluster enhancement without the enhanced map: its largest value, points that reach a value.

All points of a cluster gain the same between two heights, so a cluster need only remember its best
point. The points come in from the highest down; a new point joins the clusters around it. Clusters are few
against points, so every point keeps the number it was given and ``owner`` says, at once, which cluster
that number belongs to by now: numbers of the smaller cluster are handed over when two meet. Where points are
counted, a number also keeps what its own cluster had gained beyond its owner's: a point has gained what that
of its number has since it came.
"""

from typing import TypeAlias

import numba
import numpy as np

from bidsapp.inference.fast.simd import prefetch
from bidsapp.records.arrays import Labels, Maps, Numbers

# The labels of the points, the lists of the clusters (4, n) and their gains (2, n).
State: TypeAlias = tuple[Labels, Labels, Numbers]

compiled = numba.njit(cache=True, nogil=True)
# Heights are sorted by 22 bits in two passes of 11; an insertion pass sets right what 22 bits cannot tell.
DIGIT = 11
BINS = 1 << DIGIT
NONE = np.uint32(0)
ONE = np.uint32(1)
LOW = np.uint64(0xFFFFFFFF)
# The points come in an order that no processor can foresee. Asking for the neighbours of a point so many
# points early, and then for the labels of these, halves the time of a sweep.
TABLE_AHEAD, LABELS_AHEAD = np.uint64(16), np.uint64(6)


@compiled
def largest_enhanced(
    maps: Maps, neighbours: Labels, size_powers: Numbers, height_power: float, two_tailed: bool
) -> Numbers:
    """Return the largest enhanced value of each map.

    Parameters
    ----------
    maps : ndarray of float64, shape (n_maps, n_points)
        Points at 0 and below are in no cluster; with two tails they form clusters of their own.
    neighbours : ndarray of uint32, shape (n_points, k)
        n_points where there is no neighbour.
    size_powers : ndarray, shape (n_points + 1,)
        Each cluster size to its power.
    """
    n_maps, n_points = maps.shape
    maxima = np.zeros(n_maps)
    heights, points = np.empty(n_points), np.empty(n_points, np.uint32)
    sorted_heights, sorted_points = np.empty(n_points), np.empty(n_points, np.uint32)
    power = height_power + 1.0
    sorting = np.empty((2, n_points), np.uint64), np.empty((2, BINS), np.int64)
    state = (
        np.zeros(n_points + 1, np.uint32),
        np.zeros((4, n_points + 1), np.uint32),
        np.zeros((2, n_points + 1)),
    )
    for j in range(n_maps):
        for sign in (1.0, -1.0):
            if sign < 0 and not two_tailed:
                continue
            # Without a branch: a point that is not above is written over by the next.
            n_above = 0
            for point in range(n_points):
                height = sign * maps[j, point]
                heights[n_above] = height
                points[n_above] = point
                n_above += height > 0
            if n_above == 0:
                continue
            order = _sort_down(heights[:n_above], sorting)
            for i in range(n_above):
                source = order[i] & LOW
                sorted_points[i] = points[source]
                height = heights[source]
                sorted_heights[i] = height * height * height if power == 3.0 else height**power
            best = _sweep(sorted_heights[:n_above], sorted_points, neighbours, size_powers, state)
            maxima[j] = max(maxima[j], best / power)
    return maxima


@compiled
def _sort_down(heights: Numbers, sorting: tuple[Labels, Labels]) -> Labels:
    """Return the order of positive heights from the largest, packed in the low half of each number."""
    (order, other), (low, high) = sorting
    n = len(heights)
    top = 0.0
    for i in range(n):
        top = max(top, heights[i])
    scale = (2.0 ** (2 * DIGIT) - 1) / top
    last = np.uint64(2 ** (2 * DIGIT) - 1)
    mask = np.uint64(BINS - 1)
    low[:] = 0
    high[:] = 0
    # The largest height has key 0, and each number holds its key above its place; both digits are counted.
    for i in range(n):
        key = last - np.uint64(heights[i] * scale)
        order[i] = (key << np.uint64(32)) | np.uint64(i)
        low[key & mask] += 1
        high[key >> np.uint64(DIGIT)] += 1
    # From counts to where the numbers of each digit begin.
    n_low, n_high = 0, 0
    for b in range(BINS):
        low[b], n_low = n_low, n_low + low[b]
        high[b], n_high = n_high, n_high + high[b]
    # By the low digit first; the second pass, by the high one, keeps that order within each of its digits.
    for i in range(n):
        b = (order[i] >> np.uint64(32)) & mask
        other[low[b]] = order[i]
        low[b] += 1
    for i in range(n):
        b = other[i] >> np.uint64(32 + DIGIT)
        order[high[b]] = other[i]
        high[b] += 1
    # Heights of one key stand side by side in any order: each moves up past the lower ones before it.
    for i in range(1, n):
        packed = order[i]
        height = heights[packed & LOW]
        k = i
        while k > 0 and heights[order[k - 1] & LOW] < height:
            order[k] = order[k - 1]
            k -= 1
        order[k] = packed
    sorted_down: Labels = order[:n]
    return sorted_down


@compiled
def _sweep(heights: Numbers, points: Labels, neighbours: Labels, size_powers: Numbers, state: State) -> float:
    """Return the largest enhanced value times the height power.

    ``state`` is the labels of the points (zeros, also on return), the lists of the clusters and their gains.
    ``heights`` are sorted down and already raised to their power. The cluster that grew last is kept in
    local variables: low down nearly all points join one cluster, and waiting for its numbers to come back
    from memory would take half the time.
    """
    labels, lists, gains = state
    owner, size = lists[0], lists[3]
    best, level = gains
    n_clusters = NONE
    current, current_size, current_best, current_level = NONE, np.uint64(0), 0.0, 0.0
    # Addresses once: asking an array for its own takes time.
    addresses = np.uint64(neighbours.ctypes.data), np.uint64(labels.ctypes.data)
    points = points[: len(heights)]
    for i in range(np.uint64(len(heights))):
        _fetch_ahead(i, points, neighbours, addresses)
        point, height = points[i], heights[i]
        mine, is_alone = _around(neighbours, point, labels, owner)
        # Beside the current cluster alone, as low down nearly all are: it grows in local variables.
        if mine == current and is_alone and mine != NONE:
            current_best += size_powers[current_size] * (current_level - height)
            current_level = height
            current_size += np.uint64(1)
            labels[point] = mine
            continue
        # Beside no cluster: a new one.
        if mine == NONE:
            n_clusters = np.uint32(n_clusters + ONE)
            labels[point] = n_clusters
            _start(n_clusters, height, lists, gains)
            continue
        # Beside others: the current cluster may be one of them, so its numbers go back to memory first.
        if current != NONE:
            size[current], best[current], level[current] = current_size, current_best, current_level
        _lower(mine, height, size_powers, size, gains)
        if not is_alone:
            mine = _join_all(mine, (point, height), neighbours, size_powers, state)
        labels[point] = mine
        size[mine] = np.uint32(size[mine] + ONE)
        # The current cluster may have been handed over; the larger of it and the one that grew is kept.
        current = owner[current]
        if current == NONE or size[mine] > size[current]:
            current = mine
        current_size, current_best, current_level = np.uint64(size[current]), best[current], level[current]
    if current != NONE:
        size[current], best[current], level[current] = current_size, current_best, current_level
    return _finish(n_clusters, size_powers, state)


@compiled
def _fetch_ahead(i: int, points: Labels, neighbours: Labels, addresses: tuple[np.uint64, np.uint64]) -> None:
    """Ask for what a later point will need: its neighbours, or their labels."""
    table_at, labels_at = addresses
    n_neighbours = np.uint64(neighbours.shape[1])
    if i + TABLE_AHEAD < np.uint64(len(points)):
        prefetch(table_at + np.uint64(4) * n_neighbours * np.uint64(points[i + TABLE_AHEAD]))
    if i + LABELS_AHEAD < np.uint64(len(points)):
        later = points[i + LABELS_AHEAD]
        for k in range(n_neighbours):
            prefetch(labels_at + np.uint64(4) * np.uint64(neighbours[later, k]))


@compiled
def _around(neighbours: Labels, point: int, labels: Labels, owner: Labels) -> tuple[np.uint32, bool]:
    """Return a cluster next to a point (NONE if none is) and whether it is the only one."""
    mine, least = NONE, np.uint32(0xFFFFFFFF)
    for k in range(np.uint64(neighbours.shape[1])):
        theirs = owner[labels[neighbours[point, k]]]
        mine = max(mine, theirs)
        # NONE becomes the largest number, so that points outside clusters do not count.
        least = min(least, np.uint32(theirs - ONE))
    return mine, np.uint32(least + ONE) == mine


@compiled
def _start(cluster: np.uint32, height: float, lists: Labels, gains: Numbers) -> None:
    """Make a cluster of one point."""
    owner, following, last, size = lists
    best, level = gains
    owner[cluster], following[cluster], last[cluster], size[cluster] = cluster, NONE, cluster, ONE
    best[cluster], level[cluster] = 0.0, height


@compiled
def _lower(cluster: np.uint32, height: float, size_powers: Numbers, size: Labels, gains: Numbers) -> None:
    """Add to a cluster what it gains down to a height."""
    best, level = gains
    best[cluster] += size_powers[size[cluster]] * (level[cluster] - height)
    level[cluster] = height


@compiled
def _join_all(
    mine: np.uint32, place: tuple[int, float], neighbours: Labels, size_powers: Numbers, state: State
) -> np.uint32:
    """Join all clusters next to a point; return the one that remains."""
    point, height = place
    labels, lists, gains = state
    owner, size = lists[0], lists[3]
    for k in range(np.uint64(neighbours.shape[1])):
        theirs = owner[labels[neighbours[point, k]]]
        if theirs != NONE and theirs != mine:
            _lower(theirs, height, size_powers, size, gains)
            mine = _join(mine, theirs, gains[0], lists)
    return mine


@compiled
def _finish(n_clusters: np.uint32, size_powers: Numbers, state: State) -> float:
    """Clear the labels; return the best value of the clusters that remain, lowered to 0."""
    labels, lists, gains = state
    owner, size = lists[0], lists[3]
    best, level = gains
    labels[:] = NONE
    top = 0.0
    for cluster in range(np.uint64(1), np.uint64(n_clusters) + np.uint64(1)):
        if owner[cluster] == cluster:
            top = max(top, best[cluster] + size_powers[size[cluster]] * level[cluster])
    return top


@compiled
def _join(one: np.uint32, other: np.uint32, best: Numbers, lists: Labels) -> np.uint32:
    """Hand the numbers of the smaller cluster over to the larger; return the larger."""
    owner, following, last, size = lists
    if size[other] > size[one]:
        one, other = other, one
    best[one] = max(best[one], best[other])
    size[one] = np.uint32(size[one] + size[other])
    # Every number that belongs to ``other``, along its list, belongs to ``one`` from now on.
    number = other
    while number != NONE:
        owner[number] = one
        number = following[number]
    following[last[one]] = other
    last[one] = last[other]
    return one


@compiled
def count_enhanced(
    values: Numbers, neighbours: Labels, size_powers: Numbers, height_power: float, cutoff: float
) -> int:
    """Return how many points have an enhanced value of at least a cut-off.

    Parameters
    ----------
    values : ndarray of float64, shape (n_points,)
        Points at 0 and below are in no cluster.
    neighbours, size_powers
        As of `largest_enhanced`.
    """
    above = np.flatnonzero(values > 0).astype(np.uint32)
    n_above, n_points, power = len(above), len(values), height_power + 1.0
    if n_above == 0:
        return 0
    sorting = np.empty((2, n_above), np.uint64), np.empty((2, BINS), np.int64)
    order = _sort_down(values[above], sorting)
    points = above[(order & LOW).astype(np.int64)]
    heights = values[points] ** power
    lists, gains = np.zeros((4, n_points + 1), np.uint32), np.zeros((2, n_points + 1))
    state = np.zeros(n_points + 1, np.uint32), lists, gains
    labels, owner, size, (gained, level) = state[0], lists[0], lists[3], gains
    beyond, joined, n_clusters = np.zeros(n_points + 1), np.zeros(n_above), NONE
    addresses = np.uint64(neighbours.ctypes.data), np.uint64(labels.ctypes.data)
    for i in range(np.uint64(n_above)):
        _fetch_ahead(i, points, neighbours, addresses)
        point, height = points[i], heights[i]
        mine, is_alone = _around(neighbours, point, labels, owner)
        if mine == NONE:
            n_clusters = np.uint32(n_clusters + ONE)
            labels[point] = n_clusters
            _start(n_clusters, height, lists, gains)
            continue
        _lower(mine, height, size_powers, size, gains)
        if not is_alone:
            mine = _gather(mine, (point, height), neighbours, size_powers, state, beyond)
        labels[point] = mine
        size[mine] = np.uint32(size[mine] + ONE)
        joined[i] = gained[mine]
    n_reaching = 0
    for i in range(np.uint64(n_above)):
        number = labels[points[i]]
        cluster = owner[number]
        last = gained[cluster] + size_powers[size[cluster]] * level[cluster]
        n_reaching += last + beyond[number] - joined[i] >= cutoff * power
    return n_reaching


@compiled
def _gather(
    mine: np.uint32,
    place: tuple[int, float],
    neighbours: Labels,
    size_powers: Numbers,
    state: State,
    beyond: Numbers,
) -> np.uint32:
    """Join all clusters next to a point, whose numbers keep what they had gained; return what remains."""
    point, height = place
    labels, lists, gains = state
    owner, following, size, gained = lists[0], lists[1], lists[3], gains[0]
    for k in range(np.uint64(neighbours.shape[1])):
        theirs = owner[labels[neighbours[point, k]]]
        if theirs in (NONE, mine):
            continue
        _lower(theirs, height, size_powers, size, gains)
        smaller, larger = (mine, theirs) if size[theirs] > size[mine] else (theirs, mine)
        ahead, number = gained[smaller] - gained[larger], smaller
        while number != NONE:
            beyond[number] += ahead
            number = following[number]
        kept = gained[larger]
        mine = _join(mine, theirs, gained, lists)
        gained[mine] = kept
    return mine
