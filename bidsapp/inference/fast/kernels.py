"""Compiled loops over points: clusters and threshold-free cluster enhancement.

Every loop walks the neighbour table (n_points, k) of ``Geometry.neighbours`` and knows no other space.
"Forest" is a union-find array: the parent of each point, itself for a root.
"""

import numba
import numpy as np

from bidsapp.records.arrays import Labels, Map, Mask, Matrix, Numbers

compiled = numba.njit(cache=True, nogil=True)


@compiled
def find_root(forest: Labels, point: int) -> int:
    """Return the root of a point, halving the path on the way."""
    while forest[point] != point:
        # Its parent's parent is an ancestor, too: later ways to the root are half as long.
        forest[point] = forest[forest[point]]
        point = forest[point]
    return point


@compiled
def label_components(kinds: Labels | Mask, neighbours: Labels) -> Labels:
    """Return the component of each point, numbered from 1 by their first point; 0 where its kind is.

    Parameters
    ----------
    kinds : ndarray of int or bool, shape (n_points,)
        Points of different kinds do not join.
    neighbours : ndarray of int32, shape (n_points, k)
    """
    n_points, n_neighbours = neighbours.shape
    labels = np.zeros(n_points, np.int32)
    stack = np.empty(n_points, np.int32)
    n_components = 0
    for start in range(n_points):
        if not kinds[start] or labels[start]:
            continue
        # Depth first: the stack holds points of the component whose neighbours were not looked at.
        n_components += 1
        labels[start] = n_components
        stack[0] = start
        depth = 1
        while depth:
            depth -= 1
            point = stack[depth]
            for k in range(n_neighbours):
                other = neighbours[point, k]
                if other >= 0 and kinds[other] == kinds[start] and not labels[other]:
                    labels[other] = n_components
                    stack[depth] = other
                    depth += 1
    return labels


@compiled
def largest_clusters(
    points: Labels, heights: Numbers, neighbours: Labels, forest: Labels, offset: float
) -> tuple[int, float]:
    """Return the largest size and the largest mass of the clusters that some points form.

    Parameters
    ----------
    points : ndarray of int32, shape (n,)
        The points above the threshold.
    heights : ndarray, shape (n,)
        Their statistic; points of different sign do not join.
    forest : ndarray of int32, shape (n_points,)
        All -1; it is again when the function returns.
    offset : float
        Taken off every height before it is added to the mass.
    """
    n_points = len(points)
    parent = np.empty(n_points, np.int32)
    size = np.ones(n_points, np.int32)
    mass = np.empty(n_points, np.float64)
    # After step i the clusters are those of the points up to i: ``forest`` knows no other point yet.
    for i in range(n_points):
        point = points[i]
        forest[point] = i
        parent[i] = i
        mass[i] = abs(heights[i]) - offset
        for k in range(neighbours.shape[1]):
            other = neighbours[point, k]
            if other < 0 or forest[other] < 0 or heights[forest[other]] * heights[i] < 0:
                continue
            mine, theirs = find_root(parent, i), find_root(parent, forest[other])
            if mine != theirs:
                # The smaller goes below the larger, so that no way to a root is longer than log2(n).
                if size[mine] < size[theirs]:
                    mine, theirs = theirs, mine
                parent[theirs] = mine
                size[mine] += size[theirs]
                mass[mine] += mass[theirs]
    # Roots hold the sums of their clusters; the forest is left as it was found.
    largest, heaviest = 0, 0.0
    for i in range(n_points):
        forest[points[i]] = -1
        if parent[i] == i:
            largest = max(largest, size[i])
            heaviest = max(heaviest, mass[i])
    return largest, heaviest


@compiled
def enhance_sweep(
    values: Map, order: Labels, neighbours: Labels, extent_power: float, height_power: float
) -> Map:
    """Return the threshold-free cluster enhancement of each point by the exact integral.

    Between two successive heights the clusters do not change, so each contributes
    ``size**extent_power * (h1**(height_power + 1) - h0**(height_power + 1)) / (height_power + 1)`` to all
    its points (Smith & Nichols 2009, equation 1). Points of different sign do not join.

    Parameters
    ----------
    values : ndarray, shape (n_points,)
    order : ndarray of int, shape (n,)
        The points with a value other than zero, from the largest absolute value.
    """
    n_points = len(values)
    forest = np.full(n_points, -1, np.int32)
    size = np.ones(n_points, np.int64)
    # What a root has gathered down to ``level``; for other points the excess over their parent's.
    gathered = np.zeros(n_points)
    level = np.zeros(n_points)
    power = height_power + 1.0
    # After each point, what stands in ``gathered`` along its way to the root adds to what it has gained down
    # to the root's level.
    for point in order:
        height = abs(values[point]) ** power / power
        forest[point] = point
        level[point] = height
        root = point
        for k in range(neighbours.shape[1]):
            other = neighbours[point, k]
            if other < 0 or forest[other] < 0 or values[other] * values[point] < 0:
                continue
            other = _root_without_halving(forest, other)
            if other == root:
                continue
            # Before it joins, a cluster gains what its size gives down to this height.
            gathered[other] += size[other] ** extent_power * (level[other] - height)
            level[other] = height
            if size[other] > size[root]:
                root, other = other, root
            # Points below ``other`` will add what the root has from before they came: taken off here.
            gathered[other] -= gathered[root]
            forest[other] = root
            size[root] += size[other]
    return _collect(forest, order, gathered, size, level, extent_power)


@compiled
def _root_without_halving(forest: Labels, point: int) -> int:
    while forest[point] != point:
        point = forest[point]
    return point


@compiled
def _collect(
    forest: Labels, order: Labels, gathered: Numbers, size: Labels, level: Numbers, extent_power: float
) -> Map:
    """Return each point's sum along its path to the root, after lowering the roots to height 0."""
    scores = np.zeros(len(forest))
    for point in order:
        total = 0.0
        step = point
        while forest[step] != step:
            total += gathered[step]
            step = forest[step]
        scores[point] = total + gathered[step] + size[step] ** extent_power * level[step]
    return scores


@compiled
def find_cluster_maxima(
    starts: Labels, points: Labels, heights: Numbers, neighbours: Labels, offset: float
) -> Matrix:
    """Return the largest cluster size and mass of each map, shape (n_maps, 2).

    ``points[starts[j]:starts[j + 1]]`` are those of map j above the threshold, with their heights.
    """
    n_maps = len(starts) - 1
    maxima = np.zeros((n_maps, 2))
    forest = np.full(len(neighbours), -1, np.int32)
    for j in range(n_maps):
        chosen = slice(starts[j], starts[j + 1])
        largest, heaviest = largest_clusters(points[chosen], heights[chosen], neighbours, forest, offset)
        maxima[j, 0] = largest
        maxima[j, 1] = heaviest
    return maxima


@compiled
def enhance_on_grid(
    values: Map, neighbours: Labels, n_steps: int, extent_power: float, height_power: float
) -> Map:
    """Return the threshold-free cluster enhancement of positive values summed over equal steps.

    The steps divide the map's own maximum, as PALM has it: ``size**extent_power * h**height_power * step``.
    """
    scores = np.zeros(len(values))
    top = 0.0
    for value in values:
        top = max(top, value)
    if top <= 0.0:
        return scores
    step = top / n_steps
    for k in range(1, n_steps + 1):
        # Rounding must not lift the last step above the map.
        height = min(k * step, top)
        labels = label_components(values >= height, neighbours)
        sizes = np.bincount(labels)
        for point in range(len(values)):
            if labels[point]:
                scores[point] += sizes[labels[point]] ** extent_power * height**height_power * step
    return scores
