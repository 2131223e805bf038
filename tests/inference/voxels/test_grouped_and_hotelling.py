"""v, G, Hotelling's T2, also by group, and Wilks' lambda against formulas and brute force."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from oracles import g_map, residuals_under_null, wilks
from scipy import stats

from bidsapp.errors import ModelError, SettingsError
from bidsapp.inference.permutation import permute
from bidsapp.inference.shuffles.make import make_shuffles
from bidsapp.inference.shuffles.partition import partition_design
from bidsapp.inference.voxels.grouped import invert
from bidsapp.inference.voxels.wilks import log_determinant
from bidsapp.records.maps import Geometry, GroupDesign, InferenceOptions
from bidsapp.stats.distributions import f_to_z
from bidsapp.stats.group.repeated_measures import fit_unequal_covariances


@pytest.fixture
def geometry():
    return Geometry(np.ones((4, 3, 2), bool), np.eye(4))


TWO = np.repeat(np.eye(2), [4, 16], axis=0)
GROUPS = np.repeat([0, 1], [4, 16])


def rest_of_maps(data, nuisance, groups):
    """Return what is shuffled: residuals on the nuisance, by the weights of groups under the null."""
    points = range(data.shape[2])
    return np.stack([residuals_under_null(data[..., v], nuisance, groups) for v in points], axis=2)


def test_v_of_two_groups_is_welch(geometry, rng):
    data = rng.normal(size=(20, 24)) * np.where(GROUPS, 1.0, 3.0)[:, None]
    options = InferenceOptions(n_shuffles=50, statistics=("height",), variance_groups=GROUPS)
    result = permute(data, TWO, [[1, -1]], geometry, options)
    expected = stats.ttest_ind(data[:4], data[4:], equal_var=False).statistic
    assert result.test == "v"
    np.testing.assert_allclose(result.statistic, expected, rtol=1e-9)


def test_v_z_of_two_groups_has_welch_degrees_of_freedom(geometry, rng):
    data = rng.normal(size=(20, 24))
    options = InferenceOptions(n_shuffles=50, statistics=("height",), variance_groups=GROUPS)
    z = permute(data, TWO, [[1, -1]], geometry, options).statistics["height"].observed
    p = stats.ttest_ind(data[:4], data[4:], equal_var=False).pvalue
    np.testing.assert_allclose(2 * stats.norm.sf(np.abs(z)), p, rtol=1e-9)


def test_v_over_all_orders_equals_brute_force(geometry, rng):
    """The residuals on the nuisance are permuted; the groups stay with the rows of the design."""
    groups = np.repeat([0, 1], [3, 3])
    matrix = np.column_stack([np.repeat(np.eye(2), [3, 3], axis=0), rng.normal(size=6)])
    nuisance = np.column_stack([np.ones(6), matrix[:, 2]])
    data = rng.normal(size=(6, 24))
    residuals = rest_of_maps(data[:, None], nuisance, groups)[:, 0]
    found = [g_map(residuals[list(order)], matrix, [1, -1, 0], groups) for order in permutations(range(6))]
    z = stats.norm.isf([stats.t.sf(np.sqrt(squares), dof) for squares, dof in found])
    options = InferenceOptions(
        n_shuffles=720, statistics=("height",), variance_groups=groups, scheme="permutation"
    )
    result = permute(data, matrix, [[1, -1, 0]], geometry, options)
    assert result.n_distinct == 720
    np.testing.assert_allclose(
        np.sort(result.statistics["height"].null_max), np.sort(z.max(axis=1)), rtol=1e-6
    )
    np.testing.assert_array_equal(result.p, (z >= z[0] * (1 - 1e-9)).mean(axis=0))


def test_g_over_all_orders_equals_brute_force(geometry, rng):
    groups = np.repeat([0, 1, 2], [2, 2, 2])
    matrix, weights = np.kron(np.eye(3), np.ones((2, 1))), np.array([[1.0, -1, 0], [0, 1, -1]])
    data = rng.normal(size=(6, 24))
    found = [g_map(data[list(order)], matrix, weights, groups) for order in permutations(range(6))]
    z = np.array([f_to_z(g, 2.0, dof) for g, dof in found])
    options = InferenceOptions(
        n_shuffles=720, statistics=("height",), variance_groups=groups, alpha=0.1, scheme="permutation"
    )
    result = permute(data, matrix, weights, geometry, options)
    np.testing.assert_allclose(result.statistic, found[0][0], rtol=1e-9)
    np.testing.assert_array_equal(result.p, (z >= z[0] - 1e-9 * np.abs(z[0])).mean(axis=0))


def test_v_of_one_group_is_t(geometry, rng):
    data = rng.normal(size=(12, 24))
    matrix = np.column_stack([np.ones(12), rng.normal(size=12)])
    plain = InferenceOptions(n_shuffles=50, statistics=("height",))
    grouped = InferenceOptions(n_shuffles=50, statistics=("height",), variance_groups=np.zeros(12))
    t, v = (permute(data, matrix, [[1, 0]], geometry, options) for options in (plain, grouped))
    np.testing.assert_allclose(v.statistic, t.statistic, rtol=1e-9)
    np.testing.assert_array_equal(v.p, t.p)


def test_g_of_one_group_is_f(geometry, rng):
    data = rng.normal(size=(12, 24))
    matrix, weights = np.repeat(np.eye(3), 4, axis=0), [[1, -1, 0], [0, 1, -1]]
    plain = InferenceOptions(n_shuffles=50, statistics=("height",))
    grouped = InferenceOptions(n_shuffles=50, statistics=("height",), variance_groups=np.zeros(12))
    f, g = (permute(data, matrix, weights, geometry, options) for options in (plain, grouped))
    np.testing.assert_allclose(g.statistic, f.statistic, rtol=1e-9)
    np.testing.assert_array_equal(g.p, f.p)


def test_a_covariate_is_permuted_within_variance_groups(geometry, rng):
    matrix = np.column_stack([rng.normal(size=20), TWO])
    matrix[:4, 0] -= matrix[:4, 0].mean()
    matrix[4:, 0] -= matrix[4:, 0].mean()
    options = InferenceOptions(n_shuffles=50, statistics=("height",), variance_groups=GROUPS)
    result = permute(rng.normal(size=(20, 24)), matrix, [[1, 0, 0]], geometry, options)
    assert result.options.block_mode == "within"


def test_flips_of_residuals_between_variance_groups_equal_brute_force(geometry, rng):
    groups = np.repeat([0, 1], [3, 5])
    matrix = np.repeat(np.eye(2), [3, 5], axis=0)
    data = rng.normal(size=(8, 24))
    residuals = rest_of_maps(data[:, None], np.ones((8, 1)), groups)[:, 0]
    flips = np.array(list(product((1, -1), repeat=8)))
    found = [g_map(residuals * one[:, None], matrix, [1, -1], groups) for one in flips]
    z = stats.norm.isf([stats.t.sf(np.sqrt(squares), dof) for squares, dof in found])
    options = InferenceOptions(n_shuffles=256, statistics=("height",), variance_groups=groups)
    result = permute(data, matrix, [[1, -1]], geometry, options)
    assert (result.scheme, result.exact) == ("sign-flip", True)
    np.testing.assert_array_equal(result.p, (z >= z[0] * (1 - 1e-9)).mean(axis=0))


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "sds"), [((6, 14), (3.0, 1.0)), ((10, 10), (1.0, 3.0)), ((8, 24), (3, 1))])
def test_family_wise_error_between_variance_groups_is_near_alpha(sizes, sds):
    groups, matrix = np.repeat([0, 1], sizes), np.repeat(np.eye(2), sizes, axis=0)
    geometry, sd, n_sets = Geometry(np.ones((100, 1, 1), bool), np.eye(4)), np.repeat(sds, sizes), 400
    hits = 0
    for seed in range(n_sets):
        null = np.random.default_rng(seed).normal(size=(len(sd), 100)) * sd[:, None]
        options = InferenceOptions(n_shuffles=200, seed=seed, statistics=("height",), variance_groups=groups)
        found = permute(null, matrix, [[1, -1]], geometry, options).statistics["height"].p_fwe
        hits += np.nanmin(found) <= 0.05
    # Three standard errors of .011 above .05; permutations between the groups have .2 and more.
    assert hits / n_sets < 0.083


def hotelling(data):
    """Return T2 as F of data (n_subjects, n_maps)."""
    n, q = data.shape
    mean = data.mean(axis=0)
    t2 = n * mean @ np.linalg.solve(np.cov(data.T), mean)
    return (n - q) / (q * (n - 1)) * t2


def test_hotelling_over_all_flips_equals_brute_force(geometry, rng):
    data = rng.normal(size=(7, 2, 24)) + 0.5
    options = InferenceOptions(n_shuffles=128, statistics=("height",))
    result = permute(data, np.ones((7, 1)), [[1]], geometry, options)
    flips = np.array(list(product((1, -1), repeat=7)))
    maps = np.array([[hotelling(data[:, :, v] * f[:, None]) for v in range(24)] for f in flips])
    np.testing.assert_allclose(result.statistic, maps[0], rtol=1e-9)
    np.testing.assert_allclose(
        np.sort(result.statistics["height"].null_max), np.sort(maps.max(axis=1)), rtol=1e-8
    )
    np.testing.assert_array_equal(result.p, (maps >= maps[0] * (1 - 1e-9)).mean(axis=0))
    assert result.smallest_p == 2 / 128


def test_hotelling_of_one_map_is_t_squared(geometry, rng):
    data = rng.normal(size=(12, 24))
    matrix = np.column_stack([np.repeat([1.0, -1.0], 6), rng.normal(size=12), np.ones(12)])
    options = InferenceOptions(n_shuffles=60, statistics=("height",))
    t = permute(data, matrix, [[1, 0, 0]], geometry, options)
    t2 = permute(data[:, None], matrix, [[1, 0, 0]], geometry, options)
    np.testing.assert_allclose(t2.statistic, t.statistic**2, rtol=1e-8)
    np.testing.assert_array_equal(t2.p, t.p)


def test_hotelling_needs_more_subjects_than_maps(geometry, rng):
    with pytest.raises(ModelError, match="more subjects"):
        permute(rng.normal(size=(6, 6, 24)), np.ones((6, 1)), [[1]], geometry, InferenceOptions())


@pytest.mark.parametrize("n_maps", [2, 3])
def test_wilks_over_all_orders_equals_brute_force(geometry, rng, n_maps):
    """Whole vectors of residuals on the nuisance are permuted."""
    matrix = np.column_stack([np.eye(3)[np.repeat([0, 1, 2], [3, 2, 3])], rng.normal(size=8)])
    weights = np.array([[1.0, -1, 0, 0], [0, 1, -1, 0]])
    data = rng.normal(size=(8, n_maps, 24))
    nuisance = np.column_stack([np.ones(8), matrix[:, 3]])
    rest = data - np.einsum("ij,jqv->iqv", nuisance @ np.linalg.pinv(nuisance), data)
    options = InferenceOptions(n_shuffles=300, statistics=("height",), seed=4)
    result = permute(data, matrix, weights, geometry, options)
    orders = make_orders(matrix, weights, options)
    maps = np.array([[wilks(rest[o][:, :, v], matrix, weights)[0] for v in range(24)] for o in orders])
    assert result.test == "Wilks"
    np.testing.assert_allclose(result.statistic, maps[0], rtol=1e-8)
    np.testing.assert_allclose(result.statistics["height"].null_max, maps.max(axis=1), rtol=1e-8)
    np.testing.assert_array_equal(result.p, (maps >= maps[0] * (1 - 1e-9)).mean(axis=0))


def make_orders(matrix, weights, options):
    """Return the row of the data that meets each row of the design, for every shuffle."""
    partition = partition_design(matrix, weights)
    shuffles = make_shuffles(partition, options, changing=partition.nuisance)
    return np.argsort(shuffles.order, axis=1)


BY_GROUP = {
    "difference": ([4, 5], [[1.0, -1.0]]),
    "mean": ([4, 5], [[0.5, 0.5]]),
    "two rows": ([7, 7, 8], [[1.0, -1, 0], [0, 1, -1]]),
}


@pytest.mark.parametrize(("sizes", "weights"), BY_GROUP.values(), ids=BY_GROUP)
def test_t2_by_group_under_flips_equals_brute_force(geometry, rng, sizes, weights):
    groups = np.repeat(range(len(sizes)), sizes)
    design = GroupDesign(np.eye(len(sizes))[groups], (), groups)
    data = rng.normal(size=(len(groups), 2, 24)) * np.where(groups, 1.0, 3.0)[:, None, None]
    options = InferenceOptions(n_shuffles=512, statistics=("height",), variance_groups=groups, seed=3)
    result = permute(data, design.matrix, weights, geometry, options)
    partition = partition_design(design.matrix, weights)
    signs = make_shuffles(partition, result.options, changing=design.matrix).signs
    rest = rest_of_maps(data, partition.nuisance, groups)
    flipped = (rest * one[:, None, None] for one in signs)
    fits = [fit_unequal_covariances(one.swapaxes(0, 1), design, weights) for one in flipped]
    z = np.array([fit.z for fit in fits])
    assert (result.test, result.scheme) == ("T2 by group", "sign-flip")
    np.testing.assert_allclose(result.statistic, fits[0].statistic, rtol=1e-9)
    np.testing.assert_allclose(result.statistics["height"].observed, z[0], rtol=1e-7)
    np.testing.assert_array_equal(result.p, (z >= z[0] - 1e-9 * np.abs(z[0])).mean(axis=0))


def test_t2_by_group_of_one_map_is_v_squared(geometry, rng):
    data = rng.normal(size=(20, 24)) * np.where(GROUPS, 1.0, 3.0)[:, None]
    options = InferenceOptions(n_shuffles=200, statistics=("height",), variance_groups=GROUPS)
    v = permute(data, TWO, [[1, -1]], geometry, options)
    t2 = permute(data[:, None], TWO, [[1, -1]], geometry, options)
    np.testing.assert_allclose(t2.statistic, v.statistic**2, rtol=1e-8)
    np.testing.assert_array_equal(t2.p, v.p)


@pytest.mark.parametrize("scheme", ["auto", "permutation"])
def test_t2_by_group_with_a_covariate_is_permuted_in_groups_and_between_if_asked(geometry, rng, scheme):
    matrix = np.column_stack([rng.normal(size=20), TWO])
    data, weights = rng.normal(size=(20, 2, 24)), [[1, 0, 0]] if scheme == "auto" else [[0, 1, -1]]
    options = InferenceOptions(n_shuffles=60, statistics=("height",), variance_groups=GROUPS, scheme=scheme)
    result = permute(data, matrix, weights, geometry, options)
    fit = fit_unequal_covariances(data.swapaxes(0, 1), GroupDesign(matrix, (), GROUPS), weights)
    np.testing.assert_allclose(result.statistic, fit.statistic, rtol=1e-9)
    assert result.scheme == "permutation"
    assert np.isfinite(result.p).all()


def test_t2_by_group_of_the_subjects_present_equals_those_alone(geometry, rng):
    data, matrix = rng.normal(size=(20, 2, 24)), TWO
    data[-1, 1, :8] = np.nan
    options = InferenceOptions(n_shuffles=60, statistics=("height",), variance_groups=GROUPS)
    result = permute(data, matrix, [[1, -1]], geometry, options)
    part = GroupDesign(matrix[:-1], (), GROUPS[:-1])
    fit = fit_unequal_covariances(data[:-1].swapaxes(0, 1), part, [[1, -1]])
    np.testing.assert_allclose(result.statistic[:8], fit.statistic[:8], rtol=1e-9)
    np.testing.assert_allclose(result.statistics["height"].observed[:8], fit.z[:8], rtol=1e-7)


@pytest.mark.parametrize("n_maps", [None, 2])
def test_a_group_without_residuals_that_the_effect_rests_on_is_refused(geometry, rng, n_maps):
    """Its one subject is fitted perfectly; an effect that lies elsewhere does without it."""
    groups = np.array(["b", "a", "c"])[np.repeat([0, 1, 2], [1, 6, 7])]
    matrix = (groups[:, None] == ["b", "a", "c"]).astype(float)
    data = rng.normal(size=(14, 24) if n_maps is None else (14, n_maps, 24))
    options = InferenceOptions(n_shuffles=60, statistics=("height",), variance_groups=groups)
    with pytest.raises(SettingsError, match="no residual to variance group b, on which"):
        permute(data, matrix, [[1, -1, 0]], geometry, options)
    found = permute(data, matrix, [[0, 1, -1]], geometry, options)
    assert np.isfinite(found.p).all()
    if n_maps is None:
        welch = stats.ttest_ind(data[1:7], data[7:], equal_var=False).statistic
        np.testing.assert_allclose(found.statistic, welch, rtol=1e-9)


@pytest.mark.parametrize("tail", ["two", "positive", "negative"])
def test_the_tail_of_v_turns_its_sign_alone(geometry, rng, tail):
    data = rng.normal(size=(20, 24)) + 0.5 * TWO[:, :1]
    options = InferenceOptions(
        n_shuffles=300, statistics=("height",), variance_groups=GROUPS, tail=tail, alpha=0.1
    )
    found = permute(data, TWO, [[1, -1]], geometry, options)
    welch = stats.ttest_ind(data[:4], data[4:], equal_var=False)
    z = np.sign(welch.statistic) * stats.norm.isf(welch.pvalue / 2)
    np.testing.assert_allclose(found.statistic, welch.statistic, rtol=1e-9)
    np.testing.assert_allclose(found.statistics["height"].observed, z, rtol=1e-7)
    sized = {"two": np.abs(z), "positive": z, "negative": -z}[tail]
    assert found.statistics["height"].null_max[0] == pytest.approx(sized.max(), rel=1e-7)
    assert found.dof[0] == 1.0
    assert np.isnan(found.dof[1])


@pytest.mark.parametrize("size", [1, 2, 4])
def test_matrices_are_inverted_and_their_determinants_found(size, rng):
    root = rng.normal(size=(size + 3, size))
    matrix = root.T @ root
    inverse = matrix.copy()
    invert(inverse)
    np.testing.assert_allclose(inverse, np.linalg.inv(matrix), rtol=1e-9, atol=1e-12)
    assert log_determinant(matrix.copy()) == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-9)
    assert np.isfinite(log_determinant(np.zeros((size, size))))


def test_points_whose_maps_do_not_vary_or_depend_on_each_other_are_left_out(geometry, rng):
    data = rng.normal(size=(12, 2, 24))
    data[:, 1, 0] = 2.0 * data[:, 0, 0]
    data[:, 0, 1] = 3.0
    data[:, :, 2] = 0.0
    data[:, 1, 3] = 1e-3 * data[:, 1, 3]
    for groups in (None, np.repeat([0, 1], 6)):
        matrix, weights = np.repeat(np.eye(2), 6, axis=0), [[1, -1]]
        options = InferenceOptions(n_shuffles=60, statistics=("height",), variance_groups=groups)
        found = permute(data, matrix, weights, geometry, options)
        assert np.flatnonzero(np.isnan(found.statistic)).tolist() == [0, 1, 2]
        assert np.flatnonzero(np.isnan(found.p)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("grouped", [False, True])
def test_points_whose_maps_the_design_fits_perfectly_are_left_out(geometry, rng, grouped):
    """As the fit leaves them out: a map, or a sum of maps, that is the mean that is tested."""
    data = rng.normal(size=(12, 2, 24))
    data[:, 0, 0] = 100 / 3
    data[:, 1, 1] = 5.3 - 0.7 * data[:, 0, 1]
    data[:, :, 2] = [3.1, -20.7]
    data[:, 0, 3] *= 1e7
    groups = np.repeat([0, 1], 6) if grouped else None
    options = InferenceOptions(n_shuffles=60, statistics=("height",), variance_groups=groups)
    found = permute(data, np.ones((12, 1)), [[1]], geometry, options)
    assert np.flatnonzero(np.isnan(found.statistic)).tolist() == [0, 1, 2]
    assert np.flatnonzero(np.isnan(found.p)).tolist() == [0, 1, 2]


def test_degrees_of_freedom_of_several_maps(geometry, rng):
    """Rao's, and where they differ by voxel those of the numerator alone."""
    data, groups = rng.normal(size=(15, 2, 24)), np.repeat([0, 1, 2], 5)
    options = InferenceOptions(n_shuffles=60, statistics=("height", "extent"), cluster_forming_p=0.01)
    rows = [[1, -1, 0], [0, 1, -1]]
    plain = permute(data, np.eye(3)[groups], rows, geometry, options)
    assert plain.dof == (4.0, 2 * (12 - 1.0))
    assert plain.forming == pytest.approx(stats.norm.isf(0.01))
    assert plain.conventions["Statistic"] == "Wilks' lambda, as Rao's F"
    by_group = permute(data, np.eye(3)[groups], rows, geometry, replace(options, variance_groups=groups))
    assert by_group.dof[0] == 4.0
    assert np.isnan(by_group.dof[1])
    assert by_group.forming == pytest.approx(stats.norm.isf(0.01))


def test_one_variance_group_of_several_maps_is_hotellings_test(geometry, rng):
    data = rng.normal(size=(12, 2, 24))
    plain, grouped = (
        permute(
            data,
            np.ones((12, 1)),
            [[1]],
            geometry,
            InferenceOptions(n_shuffles=50, statistics=("height",), variance_groups=groups),
        )
        for groups in (None, np.full(12, "all"))
    )
    assert grouped.test == plain.test == "T2"
    np.testing.assert_array_equal(grouped.p, plain.p)
