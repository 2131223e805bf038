"""Points that lack subjects, against brute force over the subjects that are there."""

from itertools import permutations, product
from types import SimpleNamespace

import numpy as np
import pytest
from oracles import g_map
from scipy import special, stats

from bidsapp.inference.permutation import lay_out, permute, prepare_test
from bidsapp.inference.voxels.incomplete import as_of_all
from bidsapp.records.maps import Geometry, InferenceOptions


@pytest.fixture
def geometry():
    return Geometry(np.ones((4, 3, 2), bool), np.eye(4))


def t_of(y, matrix, weights):
    """Return t and its degrees of freedom of one point."""
    inverse = np.linalg.pinv(matrix)
    rest = y - matrix @ (inverse @ y)
    dof = len(y) - np.linalg.matrix_rank(matrix)
    a = np.asarray(weights) @ inverse
    return a @ y / np.sqrt(rest @ rest / dof * (a @ a)), dof


def lacking(rng, n_subjects, n_missing=1):
    """Return data of 24 points, of which the first 8 lack the first subjects."""
    data = rng.normal(size=(n_subjects, 24))
    data[:n_missing, :8] = np.nan
    return data


@pytest.mark.parametrize("n_missing", [1, 3])
@pytest.mark.parametrize("tail", ["two", "positive", "negative"])
def test_flips_of_the_subjects_present_equal_brute_force(geometry, rng, n_missing, tail):
    data = lacking(rng, 9, n_missing)
    options = InferenceOptions(n_shuffles=512, statistics=("height",), tail=tail)
    result = permute(data, np.ones((9, 1)), [[1]], geometry, options)
    flips = np.array(list(product((1, -1), repeat=9 - n_missing)))
    direction = -1 if tail == "negative" else 1
    for point in range(8):
        here = data[n_missing:, point]
        t = direction * np.array([t_of(here * one, np.ones((len(here), 1)), [1.0])[0] for one in flips])
        reached = np.abs(t) >= np.abs(t[0]) - 1e-9 if tail == "two" else t >= t[0] - 1e-9
        assert result.statistic[point] == pytest.approx(direction * t[0])
        assert result.p[point] == pytest.approx(reached.mean())


def test_the_maximum_is_that_of_all_points_at_the_same_degrees_of_freedom(geometry, rng):
    data = lacking(rng, 8, 2)
    options = InferenceOptions(n_shuffles=256, statistics=("height",))
    found = permute(data, np.ones((8, 1)), [[1]], geometry, options)
    flips = np.array(list(product((1, -1), repeat=8)))
    ones = np.ones((8, 1))
    whole = np.array([[t_of(data[:, v] * f, ones, [1.0])[0] for v in range(8, 24)] for f in flips])
    few = np.array([[t_of((data[:, v] * f)[2:], ones[2:], [1.0])[0] for v in range(8)] for f in flips])
    same = stats.t.isf(stats.t.sf(np.abs(few), 5), 7)
    expected = np.maximum(np.abs(whole).max(axis=1), same.max(axis=1))
    np.testing.assert_allclose(np.sort(found.statistics["height"].null_max), np.sort(expected), rtol=1e-8)
    np.testing.assert_allclose(np.abs(found.statistics["height"].observed[:8]), same[0], rtol=1e-8)


def test_orders_of_the_subjects_present_equal_brute_force(geometry, rng):
    """Of 720 orders of 6 subjects each of the 120 of 5 is had 6 times."""
    matrix, data = np.column_stack([np.ones(6), rng.normal(size=6)]), lacking(rng, 6)
    options = InferenceOptions(n_shuffles=720, statistics=("height",))
    result = permute(data, matrix, [[0, 1]], geometry, options)
    for point in range(8):
        here = data[1:, point] - data[1:, point].mean()
        t = [t_of(here[list(order)], matrix[1:], [0.0, 1.0])[0] for order in permutations(range(5))]
        assert result.p[point] == pytest.approx(np.mean(np.abs(t) >= abs(t[0]) - 1e-9))


def test_orders_within_blocks_stay_within_them(geometry, rng):
    blocks = np.array([0, 1, 0, 1, 0, 1, 1])
    matrix, data = np.column_stack([np.ones(7), rng.normal(size=7)]), lacking(rng, 7)
    options = InferenceOptions(n_shuffles=144, statistics=("height",), blocks=blocks)
    result = permute(data, matrix, [[0, 1]], geometry, options)
    first, second = np.flatnonzero(blocks[1:] == 0), np.flatnonzero(blocks[1:] == 1)
    here, t = data[1:, 0] - data[1:, 0].mean(), []
    for one, other in product(permutations(first), permutations(second)):
        order = np.arange(6)
        order[first], order[second] = one, other
        t.append(t_of(here[order], matrix[1:], [0.0, 1.0])[0])
    assert result.p[0] == pytest.approx(np.mean(np.abs(t) >= abs(t[0]) - 1e-9))


def test_two_groups_that_lack_a_subject_have_each_arrangement_as_often():
    """The 126 arrangements of 4 + 5 subjects are the 56 of 3 + 5, each as often on average over seeds."""
    geometry, matrix = Geometry(np.ones((300, 1, 1), bool), np.eye(4)), np.repeat(np.eye(2), [4, 5], axis=0)
    rates = []
    for seed in range(30):
        null = np.random.default_rng(seed).normal(size=(9, 300))
        null[0] = np.nan
        options = InferenceOptions(n_shuffles=126, statistics=("height",), seed=seed)
        rates.append(np.mean(permute(null, matrix, [[1, -1]], geometry, options).p <= 0.1))
    # Five of 56 reach .1; a standard error is .003.
    assert np.mean(rates) == pytest.approx(5 / 56, abs=0.012)


def test_f_of_the_subjects_present_has_the_same_p(geometry, rng):
    matrix, weights = np.repeat(np.eye(3), 5, axis=0), np.array([[1, -1, 0], [0, 1, -1]])
    data = lacking(rng, 15, 2)
    options = InferenceOptions(n_shuffles=60, statistics=("height",))
    result = permute(data, matrix, weights, geometry, options)
    parts = [data[2:5, :8], data[5:10, :8], data[10:, :8]]
    expected = stats.f_oneway(*parts)
    np.testing.assert_allclose(result.statistic[:8], expected.statistic, rtol=1e-9)
    height = result.statistics["height"].observed[:8]
    np.testing.assert_allclose(stats.f.sf(height, 2, 12), expected.pvalue, rtol=1e-8)


def test_variance_groups_of_the_subjects_present(geometry, rng):
    groups = np.repeat([0, 1], [6, 9])
    matrix, data = np.repeat(np.eye(2), [6, 9], axis=0), lacking(rng, 15, 2)
    options = InferenceOptions(n_shuffles=60, statistics=("height",), variance_groups=groups)
    result = permute(data, matrix, [[1, -1]], geometry, options)
    squares, _ = g_map(data[2:, :8], matrix[2:], [1, -1], groups[2:])
    np.testing.assert_allclose(np.square(result.statistic[:8]), squares, rtol=1e-8)
    assert np.isfinite(result.statistics["height"].p_fwe).all()


def test_several_maps_of_the_subjects_present_equal_those_alone(geometry, rng):
    data = rng.normal(size=(9, 2, 24))
    data[0, 1, :8] = np.nan
    options = InferenceOptions(n_shuffles=512, statistics=("height",))
    result = permute(data, np.ones((9, 1)), [[1]], geometry, options)
    alone = permute(data[1:], np.ones((8, 1)), [[1]], geometry, options)
    np.testing.assert_allclose(result.statistic[:8], alone.statistic[:8], rtol=1e-8)
    np.testing.assert_allclose(result.p[:8], alone.p[:8])


def test_points_that_cannot_make_the_contrast_are_nan(geometry, rng):
    data = rng.normal(size=(12, 24))
    data[:6, 3] = data[1:, 5] = data[:, 7] = np.nan
    options = InferenceOptions(n_shuffles=60, statistics=("height",))
    result = permute(data, np.repeat(np.eye(2), 6, axis=0), [[1, -1]], geometry, options)
    assert np.flatnonzero(np.isnan(result.p)).tolist() == [3, 5, 7]


def test_whole_blocks_of_points_that_lack_a_row_are_counted(geometry, rng):
    blocks, data = np.repeat(np.arange(8), 2), lacking(rng, 16)
    matrix = np.repeat(np.eye(2), 8, axis=0)
    options = InferenceOptions(n_shuffles=60, statistics=("height",), blocks=blocks)
    result = permute(data, matrix, [[1, -1]], geometry, options)
    assert np.isnan(result.p[:8]).all()
    assert any("8 voxels lack a subject" in words for words in result.warnings)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_batches_and_threads_change_nothing(geometry, rng, n_threads):
    matrix, data = np.column_stack([np.ones(14), rng.normal(size=14)]), lacking(rng, 14, 3)
    data[6, 9:12] = np.nan
    first, second = (
        permute(data, matrix, [[0, 1]], geometry, InferenceOptions(n_shuffles=300, n_threads=n, memory_gb=gb))
        for n, gb in ((1, 4.0), (n_threads, 0.001))
    )
    np.testing.assert_array_equal(first.p, second.p)
    for name, found in first.statistics.items():
        np.testing.assert_array_equal(found.null_max, second.statistics[name].null_max)


def test_a_value_of_fewer_subjects_has_the_p_of_all():
    few, all_ = SimpleNamespace(dof=(1.0, 5.0)), SimpleNamespace(dof=(1.0, 9.0), name="t", is_signed=True)
    t = np.array([-40.0, -1.5, 0.0, 0.3, 2.5, 1e80])
    found = as_of_all(t, few, all_)
    np.testing.assert_allclose(stats.t.sf(found[:5], 9), stats.t.sf(t[:5], 5), rtol=1e-9)
    # A p below 1e-300 is as small as can be told.
    assert special.stdtr(9, -found[5]) == pytest.approx(1e-300, rel=1e-6)

    few, all_ = SimpleNamespace(dof=(2.0, 5.0)), SimpleNamespace(dof=(2.0, 9.0), name="F", is_signed=False)
    f = np.array([0.1, 1.0, 30.0, 1e200])
    found = as_of_all(f, few, all_)
    np.testing.assert_allclose(stats.f.sf(found[:3], 2, 9), stats.f.sf(f[:3], 2, 5), rtol=1e-9)
    assert special.fdtrc(2, 9, found[3]) == pytest.approx(1e-300, rel=1e-6)

    followed = SimpleNamespace(dof=(1.0, np.nan), name="v", is_signed=True)
    np.testing.assert_array_equal(as_of_all(t, SimpleNamespace(z=lambda values: -values), followed), -t)


@pytest.mark.parametrize("scheme", ["sign-flip", "both"])
def test_shuffles_of_rows_in_blocks_are_those_of_the_rows_present(geometry, rng, scheme):
    """Whole blocks that lack a row can still be flipped; orders keep the blocks of the rows present."""
    blocks = np.array([2, 0, 1, 0, 2, 1, 2, 0])
    matrix, data = np.column_stack([np.ones(8), rng.normal(size=8)]), lacking(rng, 8, 2)
    mode = "whole" if scheme == "sign-flip" else "within"
    options = InferenceOptions(
        n_shuffles=90, statistics=("height",), blocks=blocks, block_mode=mode, scheme=scheme, alpha=0.9
    )
    layout = lay_out(matrix, [[0, 1]], options)
    _, test, left_out = prepare_test(data, (matrix, [[0, 1]]), layout)
    assert left_out == ""
    present, made = np.arange(2, 8), layout.shuffles
    alone = test._of_present(made, slice(0, 90), present)
    np.testing.assert_array_equal(alone.signs, made.signs[:, 2:])
    np.testing.assert_array_equal(np.sort(alone.order, axis=1), np.tile(np.arange(6), (len(made), 1)))
    np.testing.assert_array_equal(blocks[2:][alone.order], np.tile(blocks[2:], (len(made), 1)))
    np.testing.assert_array_equal(alone.order[0], np.arange(6))
    for order, one in zip(made.order, alone.order, strict=True):
        for block in range(3):
            rows = np.flatnonzero(blocks == block)
            # The rows present meet, in their order, those of the rows that they would meet that are present.
            met = [row - 2 for row in order[rows] if row >= 2]
            assert one[[row - 2 for row in rows if row >= 2]].tolist() == met
    if scheme == "sign-flip":
        np.testing.assert_array_equal(alone.order, np.tile(np.arange(6), (len(made), 1)))


def test_one_subject_that_is_missing_everywhere_else_counts(geometry, rng):
    """A set of rows that one point has is tested with them; points of all rows stay as they are."""
    data = rng.normal(size=(9, 24))
    data[4, 5] = np.nan
    options = InferenceOptions(n_shuffles=512, statistics=("height",))
    result = permute(data, np.ones((9, 1)), [[1]], geometry, options)
    expected = stats.ttest_1samp(data, 0, nan_policy="omit").statistic
    np.testing.assert_allclose(result.statistic, np.asarray(expected), rtol=1e-9)
    assert result.conventions["IncompleteVoxels"] == 1
    complete = permute(np.nan_to_num(data), np.ones((9, 1)), [[1]], geometry, options)
    assert complete.conventions["IncompleteVoxels"] == 0
