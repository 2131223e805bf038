"""How shuffles and points are cut up, which no result depends on."""

from types import SimpleNamespace

import numpy as np
import pytest

from bidsapp.inference.engine import batches as engine
from bidsapp.inference.engine.batches import batches
from bidsapp.inference.permutation import permute
from bidsapp.records.maps import Geometry, InferenceOptions
from bidsapp.stats.blocks import STRETCH


@pytest.mark.parametrize("unit", [1, 7])
@pytest.mark.parametrize("n_parts", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [0, 1, 6, 7, 8, 20, 21, 22, 100])
def test_a_range_is_cut_into_equal_parts_at_multiples_of_a_unit(n, n_parts, unit):
    parts = engine._cut(n, n_parts, unit)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(n))
    assert len(parts) == min(n_parts, -(-n // unit))
    assert all(part.start % unit == 0 for part in parts)
    n_units = [-(-(part.stop - part.start) // unit) for part in parts]
    assert max(n_units, default=0) - min(n_units, default=0) <= 1


@pytest.mark.parametrize(
    ("start", "finer", "expected"),
    [
        (0, False, [(0, 400), (400, 800), (800, 1000)]),
        (400, False, [(400, 800), (800, 1000)]),
        (0, True, [(0, 256), (256, 512), (512, 768), (768, 1000)]),
        (1000, False, []),
    ],
)
def test_batches_follow_each_other_to_the_last_shuffle(start, finer, expected):
    found = batches(SimpleNamespace(batch=400, n_followed=1000), start, finer=finer)
    assert [(part.start, part.stop) for part in found] == expected


def test_batches_that_are_small_anyway_do_not_grow():
    found = batches(SimpleNamespace(batch=8, n_followed=20), finer=True)
    assert [part.stop for part in found] == [8, 16, 20]


@pytest.mark.parametrize(
    ("is_mirrored", "is_signed", "two_tailed", "expected"),
    [
        (True, True, True, 32),
        (True, True, False, 64),
        (True, False, False, 32),
        (False, True, True, 64),
        (False, False, False, 64),
    ],
)
def test_half_of_all_flips_is_enough_for_an_even_statistic(is_mirrored, is_signed, two_tailed, expected):
    class Flips(list):
        pass

    flips = Flips(range(64))
    flips.is_mirrored = is_mirrored
    test, space = SimpleNamespace(is_signed=is_signed), SimpleNamespace(two_tailed=two_tailed)
    job = engine.Job(test, flips, space, ("height",), frozenset(), None, 8, 1)
    assert job.n_followed == expected


def make_line(n_points):
    return Geometry(np.ones((n_points, 1, 1), bool), np.eye(4))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_more_points_in_clusters_than_there_is_room_for_change_nothing(rng, monkeypatch, n_threads):
    data, matrix = rng.normal(size=(10, 700)), np.repeat(np.eye(2), 5, axis=0)
    options = InferenceOptions(
        n_shuffles=60, statistics=("height", "extent", "mass"), cluster_forming_p=0.2, n_threads=n_threads
    )
    much = permute(data, matrix, [[1, -1]], make_line(700), options)
    monkeypatch.setattr(engine, "EVENTS", 7)
    little = permute(data, matrix, [[1, -1]], make_line(700), options)
    np.testing.assert_array_equal(little.p, much.p)
    for name, found in much.statistics.items():
        np.testing.assert_array_equal(little.statistics[name].null_max, found.null_max)


TWO, THREE = np.repeat([0, 1], [4, 8]), np.repeat([0, 1, 2], 4)
KINDS = {
    "t": ((), np.column_stack([np.ones(12), np.arange(12)]), [[0, 1]], {}),
    "t of whole maps": ((), np.ones((12, 1)), [[1]], {"statistics": ("height", "tfce")}),
    "F": ((), np.eye(3)[THREE], [[1, -1, 0], [0, 1, -1]], {}),
    "v": ((), np.eye(2)[TWO], [[1, -1]], {"variance_groups": TWO}),
    "G": ((), np.eye(3)[THREE], [[1, -1, 0], [0, 1, -1]], {"variance_groups": THREE}),
    "T2": ((2,), np.ones((12, 1)), [[1]], {}),
    "Wilks": ((2,), np.eye(3)[THREE], [[1, -1, 0], [0, 1, -1]], {}),
    "T2 by group": ((2,), np.eye(2)[TWO], [[1, -1]], {"variance_groups": TWO}),
}


@pytest.mark.parametrize(("maps", "matrix", "weights", "how"), KINDS.values(), ids=KINDS)
def test_points_beyond_a_stretch_are_tested_as_by_themselves(rng, maps, matrix, weights, how):
    """Some lack a subject, which the second stretch has, too."""
    data = rng.normal(size=(12, *maps, STRETCH + 40))
    data[0, ..., 3] = data[0, ..., STRETCH + 7] = data[3, ..., STRETCH + 8] = np.nan
    options = InferenceOptions(**{"n_shuffles": 20, "statistics": ("height",)} | how)
    parts = slice(0, STRETCH), slice(STRETCH, None)
    first, second = (
        permute(data[..., part], matrix, weights, make_line(data[0, ..., part].shape[-1]), options)
        for part in parts
    )
    whole = permute(data, matrix, weights, make_line(STRETCH + 40), options)
    np.testing.assert_array_equal(whole.p, np.append(first.p, second.p))
    np.testing.assert_allclose(whole.statistic, np.append(first.statistic, second.statistic), rtol=1e-9)
    if "tfce" not in options.statistics:
        maxima = np.maximum(*(one.statistics["height"].null_max for one in (first, second)))
        np.testing.assert_allclose(whole.statistics["height"].null_max, maxima, rtol=1e-9)
