"""The engine against brute force over all arrangements, and its invariances."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from oracles import clusters_of, enhanced, enhanced_by_steps, f_map, t_map
from scipy import stats

from bidsapp.errors import ModelError, SettingsError
from bidsapp.inference.permutation import permute
from bidsapp.inference.shuffles.partition import partition_design
from bidsapp.inference.voxels.linear import prepare_linear_test
from bidsapp.records.maps import Geometry, InferenceOptions

SHAPE = (7, 6, 5)


@pytest.fixture
def geometry():
    mask = np.ones(SHAPE, bool)
    mask[0, 0, :] = False
    mask[3, 3, 3] = False
    return Geometry(mask, np.diag([2.0, 2.0, 2.0, 1.0]))


def smooth_data(rng, geometry, n_subjects):
    volumes = rng.normal(size=(n_subjects, *SHAPE))
    volumes = volumes + np.roll(volumes, 1, 1) + np.roll(volumes, 1, 2) + np.roll(volumes, 1, 3)
    volumes[:, 4:, 3:, 2:] += 1.0
    return volumes[:, geometry.mask]


def brute_force(maps, geometry, cutoff, two_tailed):
    """Return the maxima of height, extent, mass and TFCE of every map."""
    maxima = []
    for one in maps:
        heights, sizes, masses, scores = [], [0], [0.0], [0.0]
        for sign in (1, -1) if two_tailed else (1,):
            volume = geometry.volume(sign * one, fill=0.0)
            heights.append((sign * one).max())
            _, size, mass = clusters_of(volume, cutoff, 3, cutoff)
            sizes.extend(size)
            masses.extend(mass)
            scores.append(enhanced(volume).max())
        maxima.append([max(heights), max(sizes), max(masses), max(scores)])
    return np.array(maxima).T


def share_at_least(observed, null):
    return (null[None, :] >= observed[:, None] - 1e-9).mean(axis=1)


@pytest.mark.parametrize("tail", ["two", "positive"])
def test_all_flips_equal_brute_force(tail, geometry, rng):
    data = smooth_data(rng, geometry, 6)
    flips = np.array(list(product((1, -1), repeat=6)))
    ones = np.ones((6, 1))
    maps = np.array([t_map(data * flip[:, None], ones, [1]) for flip in flips])
    options = InferenceOptions(tail=tail, cluster_forming_p=0.05, n_shuffles=64, alpha=0.05)
    result = permute(data, ones, [[1]], geometry, options)
    expected = brute_force(maps, geometry, stats.t.isf(0.05, 5), tail == "two")
    words = {"two": "largest absolute value of both tails", "positive": "positive tail"}
    assert (result.conventions["Tails"], result.conventions["TwoSided"]) == (words[tail], tail == "two")
    for name, null, tolerance in zip(
        ("height", "extent", "mass", "tfce"), expected, (1e-9, 0, 1e-9, 1e-9), strict=True
    ):
        np.testing.assert_allclose(
            np.sort(result.statistics[name].null_max), np.sort(null), rtol=tolerance, atol=1e-9
        )
    sized = np.abs(maps) if tail == "two" else maps
    np.testing.assert_array_equal(result.p, (sized >= sized[0] - 1e-9).mean(axis=0))
    np.testing.assert_array_equal(result.statistics["height"].p_fwe, share_at_least(sized[0], expected[0]))


CONVENTIONS = [
    *({}, {"tail": "positive"}, {"tail": "negative"}, {"mass": "raw"}, {"scale": "z"}),
    *({"connectivity": 6}, {"connectivity": 18}, {"tfce_powers": (1.0, 2.0)}, {"tfce_steps": 25}),
    {"tfce_powers": (1.0, 2.0), "tfce_steps": 25, "scale": "z", "mass": "raw", "tail": "negative"},
]


@pytest.mark.parametrize("conventions", CONVENTIONS, ids=str)
def test_observed_maps_equal_brute_force(conventions, geometry, rng):
    data, ones = smooth_data(rng, geometry, 6), np.ones((6, 1))
    options = InferenceOptions(cluster_forming_p=0.05, n_shuffles=16, alpha=0.2, **conventions)
    found = permute(data, ones, [[1]], geometry, options).statistics
    expected = observed_maps(t_map(data, ones, [1]), geometry, options)
    for name, values in expected.items():
        largest = np.abs(values).max()
        assert largest > 0
        np.testing.assert_allclose(found[name].observed, values, atol=1e-9 * largest)


def observed_maps(t, geometry, options):
    """Return the signed maps of every statistic of a t map with 5 degrees of freedom."""
    z = np.sign(t) * stats.norm.isf(stats.t.sf(np.abs(t), 5))
    heights, cutoff = (z, stats.norm.isf(0.05)) if options.scale == "z" else (t, stats.t.isf(0.05, 5))
    offset = cutoff if options.mass == "excess" else 0.0
    maps = {"height": t} | {name: np.zeros(len(t)) for name in ("extent", "mass", "tfce")}
    for sign in {"two": (1, -1), "positive": (1,), "negative": (-1,)}[options.tail]:
        side = geometry.volume(np.maximum(sign * heights, 0), fill=0.0)
        rank = {6: 1, 18: 2, 26: 3}[options.connectivity]
        labels, sizes, masses = clusters_of(side, cutoff, rank, offset)
        by_steps = enhanced_by_steps(side, 25, options.tfce_powers)
        scores = by_steps if options.tfce_steps else enhanced(side, options.tfce_powers)
        volumes = [np.append(0, values)[labels] for values in (sizes, masses)]
        for name, volume in zip(("extent", "mass", "tfce"), (*volumes, scores), strict=True):
            maps[name] += sign * volume[geometry.mask]
    return maps


def test_all_orders_of_a_covariate_equal_brute_force(geometry, rng):
    data = smooth_data(rng, geometry, 5)
    matrix = np.column_stack([np.array([0.3, -1.2, 0.8, 2.0, -0.1]), np.ones(5)])
    maps = [t_map(data[list(order)], matrix, [1, 0]) for order in permutations(range(5))]
    options = InferenceOptions(n_shuffles=120, statistics=("height",))
    result = permute(data, matrix, [[1, 0]], geometry, options)
    null = np.sort(np.abs(maps).max(axis=1))
    np.testing.assert_allclose(np.sort(result.statistics["height"].null_max), null, rtol=1e-9)


def test_nuisance_follows_freedman_and_lane(geometry, rng):
    """Residuals on the nuisance are permuted and the whole model is fitted again."""
    data = smooth_data(rng, geometry, 6)
    nuisance = np.column_stack([np.ones(6), rng.normal(size=6)])
    effect = np.array([1.0, 1, 1, 0, 0, 0])
    matrix = np.column_stack([effect, nuisance])
    residuals = data - nuisance @ np.linalg.pinv(nuisance) @ data
    maps = [t_map(residuals[list(order)], matrix, [1, 0, 0]) for order in permutations(range(6))]
    options = InferenceOptions(n_shuffles=720, statistics=("height",), tail="positive")
    result = permute(data, matrix, [[1, 0, 0]], geometry, options)
    null = np.sort(np.max(maps, axis=1))
    np.testing.assert_allclose(np.sort(result.statistics["height"].null_max), null, rtol=1e-8)


def test_f_of_three_groups_equals_brute_force(geometry, rng):
    data = smooth_data(rng, geometry, 6)
    matrix = np.kron(np.eye(3), np.ones((2, 1)))
    weights = np.array([[1.0, -1, 0], [0, 1, -1]])
    maps = np.array([f_map(data[list(order)], matrix, weights) for order in permutations(range(6))])
    options = InferenceOptions(n_shuffles=90, alpha=0.1, statistics=("height", "tfce"))
    result = permute(data, matrix, weights, geometry, options)
    assert result.n_distinct == 90
    np.testing.assert_array_equal(result.p, (maps >= maps[0] - 1e-9).mean(axis=0))


def test_the_negative_tail_is_the_positive_one_of_the_opposite_contrast(geometry, rng):
    data = smooth_data(rng, geometry, 8)
    negative = permute(data, np.ones((8, 1)), [[1]], geometry, InferenceOptions(tail="negative"))
    opposite = permute(data, np.ones((8, 1)), [[-1]], geometry, InferenceOptions(tail="positive"))
    for name, found in negative.statistics.items():
        np.testing.assert_array_equal(found.p_fwe, opposite.statistics[name].p_fwe)
        np.testing.assert_allclose(found.observed, -opposite.statistics[name].observed)


@pytest.mark.parametrize("factor", [1e6, 1e-6])
def test_units_of_the_data_do_not_matter(factor, geometry, rng):
    data = smooth_data(rng, geometry, 9)
    options = InferenceOptions(n_shuffles=200)
    one, other = (
        permute(values, np.ones((9, 1)), [[1]], geometry, options) for values in (data, data * factor)
    )
    for name, found in one.statistics.items():
        np.testing.assert_array_equal(found.p_fwe, other.statistics[name].p_fwe)


def test_points_without_a_test_are_nan_and_change_nothing_else(geometry, rng):
    data = smooth_data(rng, geometry, 8)
    data[:, 0] = 0.0
    data[:, 1] = 3.0
    data[:, 2] = np.nan
    result = permute(data, np.ones((8, 1)), [[1]], geometry, InferenceOptions(n_shuffles=100))
    assert np.isnan(result.statistic[:3]).all()
    assert np.isnan(result.p[:3]).all()
    assert np.isfinite(result.statistics["tfce"].p_fwe[3:]).all()


def test_cluster_p_values_count_the_observed_map_and_the_background_is_1(geometry, rng):
    data = smooth_data(rng, geometry, 8) + 3.0
    result = permute(
        data, np.ones((8, 1)), [[1]], geometry, InferenceOptions(tail="positive", n_shuffles=256)
    )
    extent = result.statistics["extent"]
    outside = extent.observed == 0
    assert extent.p_fwe[~outside].min() >= 1 / 256
    assert (extent.p_fwe[outside] == 1).all()


@pytest.mark.parametrize("value", [2.3, 3.1])
def test_a_z_value_as_cluster_forming_threshold_is_explained(value, geometry, rng):
    options = InferenceOptions(cluster_forming_p=value)
    with pytest.raises(SettingsError, match="looks like a z or t value"):
        permute(smooth_data(rng, geometry, 8), np.ones((8, 1)), [[1]], geometry, options)


def test_too_few_subjects_for_alpha_are_refused(geometry, rng):
    with pytest.raises(SettingsError, match="16 distinct"):
        permute(smooth_data(rng, geometry, 4), np.ones((4, 1)), [[1]], geometry, InferenceOptions())


@pytest.mark.parametrize("tail", ["two", "positive", "negative"])
@pytest.mark.parametrize("design", ["mean", "groups", "covariate", "three groups", "no intercept"])
def test_screened_points_and_whole_maps_give_the_same_numbers(design, tail, geometry, rng):
    matrix, weights = {
        "mean": (np.ones((12, 1)), [[1]]),
        "groups": (np.repeat(np.eye(2), [5, 7], axis=0), [[1, -1]]),
        "covariate": (np.column_stack([rng.normal(size=(12, 3)), np.ones(12)]), [[1, 0, 0, 0]]),
        "three groups": (np.repeat(np.eye(3), 4, axis=0), [[1, -1, 0], [0, 1, -1]]),
        "no intercept": (np.repeat([[1.0], [-1.0]], 6, axis=0), [[1]]),
    }[design]
    data = smooth_data(rng, geometry, 12)
    few = ("height", "extent", "mass")
    screened, whole = (
        permute(
            data,
            matrix,
            weights,
            geometry,
            InferenceOptions(tail=tail, n_shuffles=300, cluster_forming_p=0.02, statistics=names),
        )
        for names in (few, (*few, "tfce"))
    )
    np.testing.assert_array_equal(screened.p, whole.p)
    for name in few:
        np.testing.assert_allclose(
            screened.statistics[name].null_max, whole.statistics[name].null_max, rtol=1e-9
        )


@pytest.mark.parametrize("statistics", [("height",), ("height", "extent"), ("height", "tfce")])
def test_results_do_not_depend_on_threads(statistics, geometry, rng):
    data = smooth_data(rng, geometry, 12)
    one, two = (
        permute(
            data,
            np.ones((12, 1)),
            [[1]],
            geometry,
            InferenceOptions(n_shuffles=300, statistics=statistics, n_threads=n),
        )
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one.p, two.p)
    for name in statistics:
        assert one.statistics[name].null_max.tobytes() == two.statistics[name].null_max.tobytes()


def test_one_subject_is_refused(geometry, rng):
    with pytest.raises(ModelError, match="no degrees of freedom"):
        permute(smooth_data(rng, geometry, 1), np.ones((1, 1)), [[1]], geometry, InferenceOptions())


def test_a_block_with_one_member_only_keeps_its_row(geometry, rng):
    blocks = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5])
    condition = np.array([1, -1] * 5 + [0.0])
    matrix = np.column_stack([condition, np.eye(6)[blocks]])
    options = InferenceOptions(n_shuffles=100, blocks=blocks, alpha=0.1, statistics=("height",))
    result = permute(smooth_data(rng, geometry, 11), matrix, np.eye(7)[:1], geometry, options)
    assert result.n_distinct == 2**5


def test_an_infinite_t_under_a_shuffle_stays_a_number(geometry):
    data = np.outer([1.0, 1, 1, 1, 1, -1], np.ones(geometry.n_points))
    options = InferenceOptions(n_shuffles=64, cluster_forming_p=0.05)
    result = permute(data, np.ones((6, 1)), [[1]], geometry, options)
    assert np.isfinite(result.statistics["tfce"].null_max).all()
    assert result.statistics["height"].p_fwe[0] == pytest.approx(14 / 64)


def test_effects_in_single_precision_give_the_same_as_in_double(geometry, rng):
    effects = smooth_data(rng, geometry, 9).astype(np.float32)
    options = InferenceOptions(n_shuffles=200, statistics=("height", "extent", "mass", "tfce"))
    single, double = (
        permute(data, np.ones((9, 1)), [[1.0]], geometry, options)
        for data in (effects, effects.astype(np.float64))
    )
    for name, found in single.statistics.items():
        np.testing.assert_array_equal(found.null_max, double.statistics[name].null_max)
        np.testing.assert_array_equal(found.p_fwe, double.statistics[name].p_fwe)


@pytest.mark.parametrize("tail", ["two", "positive", "negative"])
@pytest.mark.parametrize("statistics", [("height",), ("extent",), ("mass", "height"), ("tfce",)])
def test_clusters_have_the_sign_of_their_points_and_a_forming_threshold(geometry, rng, tail, statistics):
    data = smooth_data(rng, geometry, 9)
    options = InferenceOptions(tail=tail, n_shuffles=300, cluster_forming_p=0.02, statistics=statistics)
    result = permute(data, np.ones((9, 1)), [[1]], geometry, options)
    formed = {"extent", "mass"} & set(statistics)
    assert result.forming == (pytest.approx(stats.t.isf(0.02, 8)) if formed else None)
    for name in formed:
        signs = np.sign(result.statistics[name].observed)
        members = signs != 0
        np.testing.assert_array_equal(np.sign(result.statistic[members]), signs[members])
        assert set() < set(signs[members]) <= {"two": {-1, 1}, "positive": {1}, "negative": {-1}}[tail]


@pytest.mark.parametrize(("n_shuffles", "exact"), [(255, False), (256, True), (1000, True)])
def test_what_is_said_of_the_shuffles_is_so(geometry, rng, n_shuffles, exact):
    data, ones = smooth_data(rng, geometry, 8), np.ones((8, 1))
    options = InferenceOptions(n_shuffles=n_shuffles, statistics=("height",))
    result = permute(data, ones, [[1]], geometry, options)
    assert (result.exact, result.n_distinct, result.n_shuffles) == (exact, 256, 256 if exact else 255)
    assert result.smallest_p == (2 / 256 if exact else 1 / 255)
    assert (result.test, result.dof, result.scheme) == ("t", (1.0, 7.0), "sign-flip")
    null = result.statistics["height"].null_max
    assert len(null) == result.n_shuffles
    assert null[0] == pytest.approx(np.abs(result.statistic).max())
    reached = [value for value in np.unique(null) if np.mean(null >= value * (1 - 1e-9)) <= 0.05]
    assert result.statistics["height"].cutoff == reached[0]
    counted = permute(data, ones, [[1]], geometry, replace(options, uncorrected=False))
    assert counted.p is None


@pytest.mark.parametrize("unit", [1e-100, 1.0, 1e100])
def test_points_that_are_constant_but_for_rounding_are_left_out(geometry, rng, unit):
    data = smooth_data(rng, geometry, 8)
    data[:, 0] = 1.0 + 1e-13 * rng.normal(size=8)
    data[:, 1] = 1.0 + 1e-3 * rng.normal(size=8)
    matrix = np.column_stack([np.ones(8), rng.normal(size=8)])
    data[:, 2] = matrix @ [2.0, 3.0]
    options = InferenceOptions(n_shuffles=60, statistics=("height",))
    found = permute(data * unit, matrix, [[0, 1]], geometry, options)
    assert np.flatnonzero(np.isnan(found.statistic)).tolist() == [0, 2]
    np.testing.assert_allclose(found.statistic[1], t_map(data[:, 1:2], matrix, [0, 1])[0], rtol=1e-6)


def test_t_and_the_share_of_variance_are_turned_into_each_other(geometry, rng):
    """w**2 / (1 - w**2) times the degrees of freedom is t**2, or F times its rows."""
    for n_rows, dof in ((1, 9.0), (2, 9.0)):
        matrix = np.eye(n_rows + 1)[np.arange(9 + n_rows + 1) % (n_rows + 1)]
        weights = np.eye(n_rows + 1)[:n_rows] - np.eye(n_rows + 1)[1:]
        test = prepare_linear_test(
            np.ones((len(matrix), 1)), partition_design(matrix, weights), matrix[:, :0]
        )
        assert (test.dof, test.name, test.is_signed) == (
            (n_rows, dof),
            "t" if n_rows == 1 else "F",
            n_rows == 1,
        )
        w = np.array([-0.7, 0.0, 0.5, 0.99]) if n_rows == 1 else np.array([0.0, 0.5, 0.99])
        expected = w**2 / (1 - w**2) * dof / n_rows
        expected = np.sign(w) * np.sqrt(expected) if n_rows == 1 else expected
        np.testing.assert_allclose(test.statistic(w), expected, rtol=1e-9)
        np.testing.assert_allclose(test.to_w(expected), w, rtol=1e-9)
        np.testing.assert_allclose(test.to_w(np.array([np.inf])), 1.0)
        assert np.isfinite(test.statistic(np.array([1.0]))).all()
        p = 0.003
        expected = stats.t.isf(p, 9) if n_rows == 1 else stats.f.isf(p, 2, 9)
        assert test.cutoff(p) == pytest.approx(expected)
        assert test.z(expected) == pytest.approx(stats.norm.isf(p))


def test_f_has_one_tail_whatever_is_asked_for(geometry, rng):
    data, matrix = smooth_data(rng, geometry, 12), np.repeat(np.eye(3), 4, axis=0)
    found = [
        permute(
            data,
            matrix,
            [[1, -1, 0], [0, 1, -1]],
            geometry,
            InferenceOptions(tail=tail, n_shuffles=60, statistics=("height", "mass"), cluster_forming_p=0.02),
        )
        for tail in ("two", "positive", "negative")
    ]
    np.testing.assert_allclose(found[0].statistic, f_map(data, matrix, np.array([[1.0, -1, 0], [0, 1, -1]])))
    for other in found[1:]:
        np.testing.assert_array_equal(other.p, found[0].p)
        for name in ("height", "mass"):
            np.testing.assert_array_equal(other.statistics[name].null_max, found[0].statistics[name].null_max)
            np.testing.assert_array_equal(other.statistics[name].observed, found[0].statistics[name].observed)


def test_orders_of_a_difference_without_an_intercept_equal_brute_force(geometry, rng):
    """Residuals do not sum to zero then, so that the places of the higher value do not tell all."""
    data, matrix = smooth_data(rng, geometry, 6) + 2.0, np.repeat([1.0, -1.0], 3)[:, None]
    maps = [t_map(data[list(order)], matrix, [1]) for order in permutations(range(6))]
    options = InferenceOptions(n_shuffles=720, statistics=("height",), alpha=0.2)
    result = permute(data, matrix, [[1]], geometry, options)
    assert (result.scheme, result.n_distinct) == ("permutation", 20)
    null = np.unique(np.round(np.abs(maps).max(axis=1), 9))
    np.testing.assert_allclose(np.unique(np.round(result.statistics["height"].null_max, 9)), null)
