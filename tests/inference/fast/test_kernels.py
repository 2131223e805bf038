"""Clusters and enhanced maps against obvious versions, on random maps of several spaces."""

from types import SimpleNamespace

import numpy as np
import pytest
from oracles import enhanced
from scipy import ndimage

from bidsapp.inference.fast import kernels
from bidsapp.inference.statistics import STATISTICS
from bidsapp.inference.statistics.clusters import find_clusters, label_clusters
from bidsapp.inference.statistics.statistic import Batch, Space
from bidsapp.records.maps import Geometry

# Neighbours of a voxel and the rank of scipy's structure that has them.
RANKS = {6: 1, 18: 2, 26: 3}
SHAPES = [(5, 6, 4), (9, 3, 1), (1, 1, 7)]


def neighbours_of(shape, number):
    return Geometry(np.ones(shape, bool), np.eye(4)).neighbours(number)


@pytest.fixture(params=[(shape, number) for shape in SHAPES for number in RANKS], ids=str)
def space(request):
    """Return a shape, the neighbours of its voxels and scipy's structure."""
    shape, number = request.param
    structure = ndimage.generate_binary_structure(3, RANKS[number])
    return SimpleNamespace(shape=shape, neighbours=neighbours_of(shape, number), structure=structure)


@pytest.fixture
def maps(space, rng):
    """Return maps with equal heights, zeros and both signs; the last ones are empty or full."""
    n_points = len(space.neighbours)
    made = np.round(rng.normal(size=(12, n_points)), 1)
    return np.vstack([made, np.zeros(n_points), np.full(n_points, 2.0), np.full(n_points, -2.0)])


def test_components_are_scipys_numbered_by_their_first_point(space, maps):
    for above in maps >= 0.5:
        expected, _ = ndimage.label(above.reshape(space.shape), space.structure)
        np.testing.assert_array_equal(label_clusters(above, space.neighbours), expected.ravel())


def parts_of(volume, cutoff, structure, two_tailed):
    """Return the components of both signs as masks with their sign."""
    parts = []
    for sign in (1, -1) if two_tailed else (1,):
        labels, count = ndimage.label(sign * volume >= cutoff, structure)
        parts += [(sign, (labels == k + 1).ravel()) for k in range(count)]
    return parts


@pytest.mark.parametrize("two_tailed", [True, False])
@pytest.mark.parametrize(("cutoff", "offset"), [(0.5, 0.0), (0.7, 0.7), (1.0, 0.3)])
def test_sizes_and_masses_are_those_of_the_components(space, maps, two_tailed, cutoff, offset):
    """A point at the cut-off belongs to a cluster; points of different sign never to the same."""
    parts = [parts_of(one.reshape(space.shape), cutoff, space.structure, two_tailed) for one in maps]
    sizes = [max((mask.sum() for _, mask in each), default=0) for each in parts]
    masses = [
        max(((np.abs(one[mask]) - offset).sum() for _, mask in each), default=0.0)
        for one, each in zip(maps, parts, strict=True)
    ]
    above = [np.flatnonzero((one >= cutoff) | (two_tailed & (one <= -cutoff))) for one in maps]
    starts = np.cumsum([0, *map(len, above)])
    points = np.concatenate(above).astype(np.int32)
    heights = np.concatenate([one[chosen] for one, chosen in zip(maps, above, strict=True)])
    found = kernels.find_cluster_maxima(starts, points, heights, space.neighbours, offset)
    np.testing.assert_array_equal(found[:, 0], sizes)
    np.testing.assert_allclose(found[:, 1], masses, rtol=1e-12, atol=1e-12)

    batch = Batch(height=np.zeros(len(maps)), clusters=found)
    np.testing.assert_array_equal(STATISTICS["extent"].maxima(batch, None), sizes)
    np.testing.assert_allclose(STATISTICS["mass"].maxima(batch, None), masses, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("two_tailed", [True, False])
def test_clusters_of_a_map_are_numbered_from_the_largest(space, maps, two_tailed):
    cutoff, offset = 0.5, 0.2
    for one in maps:
        found = find_clusters(one, cutoff, space.neighbours, two_tailed=two_tailed, offset=offset)
        parts = parts_of(one.reshape(space.shape), cutoff, space.structure, two_tailed)
        key = [(-mask.sum(), -np.abs(one[mask]).max()) for _, mask in parts]
        assert sorted(key) == list(zip(-found.size, -np.abs(one[found.peak]), strict=True))
        assert found.labels.max(initial=0) == len(parts)
        for sign, mask in parts:
            (label,) = np.unique(found.labels[mask])
            assert np.count_nonzero(found.labels == label) == mask.sum() == found.size[label - 1]
            assert found.sign[label - 1] == sign
            highest = np.flatnonzero(mask)[np.argmax(np.abs(one[mask]))]
            assert found.peak[label - 1] == highest
            assert found.mass[label - 1] == pytest.approx((np.abs(one[mask]) - offset).sum())
        signed = np.append(0, found.size * found.sign)[found.labels]
        np.testing.assert_array_equal(STATISTICS["extent"].enhance(one, found, None), signed)
        signed = np.append(0.0, found.mass * found.sign)[found.labels]
        np.testing.assert_array_equal(STATISTICS["mass"].enhance(one, found, None), signed)


def make_space(space, two_tailed, powers, steps=0):
    return Space(space.neighbours, space.neighbours, 1.0, 1.0, np.abs, 0.0, two_tailed, powers, steps)


@pytest.mark.parametrize("powers", [(0.5, 2.0), (1.0, 2.0), (0.6, 1.3)])
@pytest.mark.parametrize("two_tailed", [True, False])
def test_enhanced_maps_are_the_exact_integral(space, maps, powers, two_tailed):
    shape, structure = space.shape, space.structure
    given = make_space(space, two_tailed, powers)
    tops = []
    for one in maps:
        expected = enhanced(one.reshape(shape), powers, structure)
        if two_tailed:
            expected = expected - enhanced(-one.reshape(shape), powers, structure)
        found = STATISTICS["tfce"].enhance(one, None, given)
        np.testing.assert_allclose(found, expected.ravel(), rtol=1e-10, atol=1e-10)
        tops.append(np.abs(expected).max())
    found = STATISTICS["tfce"].maxima(Batch(height=np.zeros(len(maps)), maps=maps), given)
    np.testing.assert_allclose(found, tops, rtol=1e-10, atol=1e-12)


def on_steps(volume, structure, powers, n_steps):
    """Return the TFCE of the positive part of a volume on steps of its own maximum."""
    total, top = np.zeros(volume.shape), volume.max(initial=0.0)
    for height in top * np.arange(1, n_steps + 1) / n_steps if top > 0 else ():
        labels, _ = ndimage.label(volume >= min(height, top), structure)
        sizes = np.bincount(labels.ravel()).astype(float)
        total += np.where(labels > 0, sizes[labels] ** powers[0], 0.0) * height ** powers[1] * top / n_steps
    return total.ravel()


@pytest.mark.parametrize("n_steps", [1, 7, 100])
def test_maps_enhanced_on_steps_are_the_sum_over_them(space, rng, n_steps):
    powers = (0.5, 2.0)
    maps = rng.normal(size=(4, len(space.neighbours)))
    for two_tailed in (True, False):
        given = make_space(space, two_tailed, powers, n_steps)
        tops = []
        for one in maps:
            volume = one.reshape(space.shape)
            expected = on_steps(volume, space.structure, powers, n_steps)
            if two_tailed:
                expected = expected - on_steps(-volume, space.structure, powers, n_steps)
            np.testing.assert_allclose(STATISTICS["tfce"].enhance(one, None, given), expected, atol=1e-12)
            tops.append(np.abs(expected).max())
        found = STATISTICS["tfce"].maxima(Batch(height=np.zeros(4), maps=maps), given)
        np.testing.assert_allclose(found, tops, rtol=1e-12)


def test_many_points_of_nearly_the_same_height_are_swept_in_their_order(rng):
    """Heights that 22 bits cannot tell apart are sorted all the same."""
    shape = (14, 13, 12)
    neighbours = neighbours_of(shape, 6)
    one = 1.0 + 1e-9 * rng.random(np.prod(shape)) + (rng.random(np.prod(shape)) < 0.1)
    given = make_space(SimpleNamespace(neighbours=neighbours), True, (0.5, 2.0))
    found = STATISTICS["tfce"].maxima(Batch(height=np.zeros(1), maps=one[None]), given)
    expected = np.abs(STATISTICS["tfce"].enhance(one, None, given)).max()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
