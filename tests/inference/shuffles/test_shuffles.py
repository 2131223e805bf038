"""Which shuffles are made, how many exist, and that they depend on the seed alone."""

from itertools import permutations
from math import comb, factorial
from types import SimpleNamespace

import numpy as np
import pytest

from bidsapp.errors import SettingsError
from bidsapp.inference.permutation import permute
from bidsapp.inference.shuffles import arrangements
from bidsapp.inference.shuffles.make import check_attainable, fixed_directions, make_shuffles, smallest_p
from bidsapp.inference.shuffles.partition import partition_design
from bidsapp.inference.shuffles.schemes import choose_scheme
from bidsapp.records.maps import Geometry, InferenceOptions


def shuffles(matrix, weights, **more):
    return make_shuffles(partition_design(matrix, weights), InferenceOptions(**more))


def two_groups(n_first, n_second):
    first = np.repeat([1.0, 0.0], [n_first, n_second])
    return np.column_stack([first, 1 - first])


def test_a_mean_is_tested_by_sign_flips():
    assert shuffles(np.ones((10, 1)), [[1]]).scheme == "sign-flip"


def test_a_mean_beside_a_covariate_that_is_not_centred_is_tested_by_sign_flips(rng):
    matrix = np.column_stack([np.ones(12), rng.normal(5, 1, size=12)])
    assert shuffles(matrix, [[1, 0]]).scheme == "sign-flip"


def test_a_cell_mean_is_tested_by_sign_flips():
    assert shuffles(two_groups(6, 6), [[1, 0]]).scheme == "sign-flip"


@pytest.mark.parametrize("with_intercept", [True, False])
def test_the_scheme_of_a_group_difference_ignores_an_intercept_column(with_intercept, rng):
    """An intercept column in the design makes nilearn flip signs here."""
    cells = np.column_stack([two_groups(6, 6), rng.normal(size=12)])
    by_intercept = np.column_stack([np.repeat([0.5, -0.5], 6), cells[:, 2], np.ones(12)])
    matrix, weights = (by_intercept, [[1, 0, 0]]) if with_intercept else (cells, [[1, -1, 0]])
    assert shuffles(matrix, weights, n_shuffles=50).scheme == "permutation"


def test_same_shuffles_for_two_ways_to_write_two_groups():
    by_cell = shuffles(two_groups(5, 7), [[1, -1]], n_shuffles=100)
    group = np.repeat([1.0, -1.0], [5, 7])
    by_intercept = shuffles(np.column_stack([group, np.ones(12)]), [[1, 0]], n_shuffles=100)
    np.testing.assert_array_equal(by_cell.order, by_intercept.order)


@pytest.mark.parametrize(("n_first", "n_second"), [(3, 3), (2, 5), (4, 6)])
def test_arrangements_of_two_groups_are_counted_and_enumerated(n_first, n_second):
    made = shuffles(two_groups(n_first, n_second), [[1, -1]], n_shuffles=1000)
    labels = {tuple(order < n_first) for order in made.order}
    assert (made.exact, made.n_distinct, len(made), len(labels)) == (
        True,
        *[comb(n_first + n_second, n_first)] * 3,
    )


def test_a_long_enumeration_has_all_arrangements():
    made = shuffles(two_groups(2, 10), [[1, -1]], n_shuffles=100)
    assert len({tuple(np.sort(np.flatnonzero(order < 2))) for order in made.order}) == comb(12, 2)


def test_flips_are_enumerated_without_repeats():
    made = shuffles(np.ones((5, 1)), [[1]], n_shuffles=1000)
    assert (len(made), len(np.unique(made.signs, axis=0))) == (32, 32)


def test_a_covariate_has_as_many_arrangements_as_orders(rng):
    matrix = np.column_stack([rng.normal(size=5), np.ones(5)])
    assert shuffles(matrix, [[1, 0]], n_shuffles=1000).n_distinct == factorial(5)


def test_both_schemes_multiply():
    made = shuffles(two_groups(2, 2), [[1, -1]], n_shuffles=1000, scheme="both")
    assert (made.n_distinct, len(made)) == (6 * 16, 96)


def test_the_first_shuffle_is_the_observed_arrangement(rng):
    matrix = np.column_stack([rng.normal(size=30), np.ones(30)])
    made = shuffles(matrix, [[1, 0]], n_shuffles=20)
    np.testing.assert_array_equal(made.order[0], np.arange(30))


@pytest.mark.parametrize("scheme", ["sign-flip", "permutation", "both"])
def test_a_shuffle_depends_on_seed_and_number_alone(scheme):
    few = shuffles(two_groups(12, 15), [[1, -1]], n_shuffles=20, scheme=scheme, seed=3)
    many = shuffles(two_groups(12, 15), [[1, -1]], n_shuffles=9000, scheme=scheme, seed=3)
    np.testing.assert_array_equal(few.order, many.order[:20])
    np.testing.assert_array_equal(few.signs, many.signs[:20])


def test_random_shuffles_do_not_repeat():
    made = shuffles(np.ones((10, 1)), [[1]], n_shuffles=1000)
    assert (made.exact, len(np.unique(made.signs, axis=0))) == (False, 1000)


def test_applied_columns_meet_the_data_as_the_shuffle_says(rng):
    made = shuffles(two_groups(4, 5), [[1, -1]], n_shuffles=30, scheme="both")
    column, data = rng.normal(size=(9, 1)), rng.normal(size=9)
    slow = [column[o, 0] @ (s * data) for o, s in zip(made.order, made.signs, strict=True)]
    np.testing.assert_allclose(made.apply(column)[:, 0] @ data, slow)


def test_rows_stay_in_their_blocks(rng):
    blocks = np.repeat(np.arange(4), 3)
    condition = np.tile([1.0, -1.0, 0.0], 4)
    matrix = np.column_stack([condition, np.kron(np.eye(4), np.ones((3, 1)))])
    made = shuffles(matrix, np.eye(5)[:1], n_shuffles=50, blocks=blocks)
    assert (made.scheme, made.mode, made.n_distinct) == ("permutation", "within", 6**4)
    np.testing.assert_array_equal(blocks[made.order], np.tile(blocks, (50, 1)))


def test_a_block_of_one_row_does_not_change_the_scheme():
    blocks, condition = np.array([0, 0, 1, 1, 2, 2, 3]), np.array([1.0, 0, 1, 0, 1, 0, 1])
    matrix = np.column_stack([condition, np.eye(4)[blocks]])
    made = shuffles(matrix, np.eye(5)[:1], n_shuffles=50, blocks=blocks)
    assert (made.scheme, made.mode, made.n_distinct) == ("permutation", "within", 8)


def test_rows_are_permuted_within_blocks_that_are_unlike_where_that_is_asked_for():
    blocks, condition = np.repeat([0, 1], 4), np.array([1.0, 1, 1, 0, 1, 0, 0, 0])
    matrix = np.column_stack([condition, np.ones(8)])
    made = shuffles(matrix, [[1, 0]], n_shuffles=50, blocks=blocks, block_mode="within")
    assert (made.scheme, made.mode, made.n_distinct) == ("permutation", "within", 16)


def test_whole_blocks_move_for_an_effect_between_them(rng):
    blocks = np.repeat(np.arange(6), 2)
    matrix = np.column_stack([np.repeat([1.0, 0.0], 6), np.ones(12)])
    made = shuffles(matrix, [[1, 0]], n_shuffles=50, blocks=blocks)
    assert (made.scheme, made.mode, made.n_distinct) == ("permutation", "whole", 20)
    np.testing.assert_array_equal(made.order[:, 1::2], made.order[:, ::2] + 1)


def test_whole_subjects_flip_for_a_mean_of_their_rows():
    blocks = np.repeat(np.arange(6), 2)
    made = shuffles(np.ones((12, 1)), [[1]], n_shuffles=100, blocks=blocks, block_mode="dependent")
    assert (made.scheme, made.mode, made.n_distinct) == ("sign-flip", "whole", 64)
    np.testing.assert_array_equal(made.signs[:, ::2], made.signs[:, 1::2])


def test_rows_of_a_subject_never_change_places():
    """Cells may differ in variance: an effect that varies within subjects is flipped with them."""
    subjects = np.repeat(np.arange(8), 3)
    matrix = np.column_stack([np.tile(np.eye(3), (8, 1)), np.repeat(np.eye(8), 3, axis=0)])
    weights = np.array([[1.0, -1, 0, *[0] * 8]])
    made = shuffles(matrix, weights, n_shuffles=256, blocks=subjects, block_mode="dependent")
    assert (made.scheme, made.mode, made.n_distinct) == ("sign-flip", "whole", 256)


@pytest.mark.parametrize("mode", ["auto", "within"])
def test_a_mean_flips_row_by_row_within_blocks(mode):
    blocks = np.repeat(np.arange(4), 3)
    made = shuffles(np.ones((12, 1)), [[1]], n_shuffles=100, blocks=blocks, block_mode=mode)
    assert (made.scheme, made.mode, made.n_distinct) == ("sign-flip", "within", 2**12)


def test_a_mean_flips_by_whole_blocks_where_that_is_asked_for():
    blocks = np.repeat(np.arange(6), 2)
    made = shuffles(np.ones((12, 1)), [[1]], n_shuffles=100, blocks=blocks, block_mode="whole")
    assert (made.scheme, made.n_distinct) == ("sign-flip", 64)


@pytest.mark.parametrize(("n_blocks", "size"), [(4, 6), (8, 4), (3, 5)])
def test_a_covariate_that_does_not_sum_to_zero_in_blocks_is_permuted_within_them(n_blocks, size, rng):
    blocks = np.repeat(np.arange(n_blocks), size)
    matrix = np.column_stack([np.ones(n_blocks * size), rng.normal(size=n_blocks * size) + blocks])
    made = shuffles(matrix, [[0, 1]], n_shuffles=50, blocks=blocks)
    expected = "permutation", "within", factorial(size) ** n_blocks
    assert (made.scheme, made.mode, made.n_distinct) == expected


def test_groups_unbalanced_over_sites_are_permuted_within_them(rng):
    blocks, group = np.repeat([0, 1, 2], [4, 5, 6]), np.array([1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 1])
    made = shuffles(np.column_stack([group, 1 - group]), [[1, -1]], n_shuffles=50, blocks=blocks)
    expected = "permutation", "within", comb(4, 1) * comb(5, 2) * comb(6, 1)
    assert (made.scheme, made.mode, made.n_distinct) == expected


def test_groups_of_sites_move_as_whole_blocks_beside_a_covariate(rng):
    """The covariate varies within sites, and so does what is left of the groups beside it."""
    blocks, group = np.repeat(np.arange(6), 4), np.repeat([1.0, 0.0], 12)
    matrix = np.column_stack([group, 1 - group, rng.normal(size=24) + group])
    made = shuffles(matrix, [[1, -1, 0]], n_shuffles=50, blocks=blocks)
    assert (made.scheme, made.mode) == ("permutation", "whole")


def scheme_of(matrix, weights, **more):
    return choose_scheme(partition_design(matrix, weights), InferenceOptions(**more))


def test_an_effect_between_variance_groups_is_flipped():
    groups = np.repeat([0, 1], [6, 14])
    found = scheme_of(two_groups(6, 14), [[1, -1]], variance_groups=groups)
    assert found.options.scheme == "sign-flip"
    assert "between variance groups" in found.reason


def test_a_covariate_is_permuted_within_variance_groups_without_means_of_their_own(rng):
    groups = np.repeat([3, 7], [6, 14])
    matrix = np.column_stack([np.ones(20), rng.normal(size=20) + groups])
    made = shuffles(matrix, [[0, 1]], n_shuffles=50, variance_groups=groups)
    assert (made.scheme, made.mode, made.n_distinct) == (
        "permutation",
        "within",
        factorial(6) * factorial(14),
    )


def test_rows_stay_in_their_variance_group_within_blocks(rng):
    blocks, groups = np.repeat([0, 1], 6), np.tile([0, 0, 1, 1, 1, 0], 2)
    matrix = np.column_stack([np.ones(12), rng.normal(size=12)])
    made = shuffles(matrix, [[0, 1]], n_shuffles=50, blocks=blocks, variance_groups=groups)
    for labels in (blocks, groups):
        np.testing.assert_array_equal(labels[made.order], np.tile(labels, (50, 1)))


def test_permuting_between_variance_groups_as_asked_for_is_warned_of():
    groups = np.repeat([0, 1], [6, 14])
    found = scheme_of(two_groups(6, 14), [[1, -1]], variance_groups=groups, scheme="permutation")
    assert found.options.scheme == "permutation"
    assert "many times alpha" in found.warnings[0]


def test_one_variance_group_changes_no_scheme():
    found = scheme_of(two_groups(6, 14), [[1, -1]], variance_groups=np.zeros(20))
    assert found.options.scheme == "permutation"


def test_blocks_of_one_row_cannot_be_shuffled_within():
    with pytest.raises(SettingsError, match="nothing to shuffle .* --block-mode whole"):
        shuffles(two_groups(3, 3), [[1, -1]], blocks=np.arange(6), block_mode="within")


def test_both_tails_halve_the_attainable_p_of_flips():
    part = partition_design(np.ones((6, 1)), [[1]])
    made = make_shuffles(part, InferenceOptions())
    assert smallest_p(made, part, part.nuisance, even=True) == 2 / 64
    assert smallest_p(made, part, part.nuisance, even=False) == 1 / 64


@pytest.mark.parametrize(
    ("codes", "blocks", "n_ties"),
    [
        ("aaabbbccc", None, 6),
        ("aabbccc", None, 2),
        ("abbbb", None, 1),
        ("aabbaabb", [0, 0, 0, 0, 1, 1, 1, 1], 2),
    ],
)
def test_arrangements_that_give_the_same_f_tie_in_the_smallest_p(codes, blocks, n_ties, rng):
    matrix = (np.array(list(codes))[:, None] == np.unique(list(codes))).astype(float)
    weights = np.eye(matrix.shape[1])[:-1] - np.eye(matrix.shape[1])[1:]
    blocks = None if blocks is None else np.array(blocks)
    options = InferenceOptions(n_shuffles=2000, alpha=0.5, blocks=blocks, statistics=("height",))
    part = partition_design(matrix, weights)
    made = make_shuffles(part, options)
    nothing = np.zeros((len(codes), 0))
    assert smallest_p(made, part, nothing, even=True) == n_ties / len(made)
    # Groups far apart reach it.
    effects = matrix @ [[0.0], [100.0], [300.0]][: matrix.shape[1]] + rng.normal(size=(len(codes), 1))
    geometry = Geometry(np.ones((1, 1, 1), bool), np.eye(4))
    found = permute(effects, matrix, weights, geometry, options)
    assert found.p[0] == pytest.approx(found.smallest_p) == n_ties / len(made)


def test_an_alpha_out_of_reach_is_refused_with_the_numbers():
    with pytest.raises(SettingsError, match=r"smallest p-value it can give is 0.125 \(16 distinct"):
        check_attainable(2 / 16, 0.05, 16)


def test_an_alpha_out_of_reach_of_whole_blocks_is_refused_with_why_they_are_whole(rng):
    blocks = np.repeat(np.arange(3), 5)
    matrix = np.column_stack([np.ones(15), blocks])
    options = InferenceOptions(n_shuffles=100, blocks=blocks)
    geometry = Geometry(np.ones((2, 2, 2), bool), np.eye(4))
    why = "6 distinct arrangements exist; permutation: .*whole blocks, for the effect lies between them"
    with pytest.raises(SettingsError, match=why):
        permute(rng.normal(size=(15, 8)), matrix, [[0, 1]], geometry, options)


def test_an_alpha_nearly_out_of_reach_is_warned_of():
    assert "few results can survive" in check_attainable(0.03, 0.05, 32)


@pytest.mark.parametrize(("p", "is_warned"), [(0.05, True), (0.0101, True), (0.01, False), (0.001, False)])
def test_alpha_itself_can_be_reached_and_a_fifth_of_it_is_not_near(p, is_warned):
    assert bool(check_attainable(p, 0.05, 100)) == is_warned


@pytest.mark.parametrize(
    ("mode", "blocks", "remedy"),
    [
        ("within", np.arange(6), "within.*rows of every block are alike or alone. Use --block-mode whole"),
        (
            "whole",
            np.repeat([0, 1], [2, 4]),
            "whole.*no two blocks of one size differ. Use --block-mode within",
        ),
        ("auto", None, "permutation, free.*all rows are alike. Check the design"),
    ],
)
def test_where_there_is_nothing_to_shuffle_the_remedy_is_named(mode, blocks, remedy):
    part = partition_design(two_groups(2, 4), [[1, -1]])
    if blocks is None:
        part = SimpleNamespace(effect=np.ones((6, 1)), nuisance=part.nuisance, n_rows=1)
    options = InferenceOptions(blocks=blocks, block_mode=mode, scheme="permutation")
    with pytest.raises(SettingsError, match=remedy):
        make_shuffles(part, options)


@pytest.mark.parametrize(
    ("mode", "blocks", "n_fixed"),
    [
        ("free", None, 1),
        ("within", [0, 0, 0, 1, 1, 1, 1, 2, 2, 2], 3),
        ("whole", [0, 0, 1, 1, 2, 2, 2, 3, 3, 3], 5),
    ],
)
def test_directions_that_every_shuffle_keeps(mode, blocks, n_fixed, rng):
    """All of them: random weights of rows are kept in their part along these directions alone."""
    matrix = np.column_stack([rng.normal(size=10), np.ones(10)])
    blocks = None if blocks is None else np.array(blocks)
    made = shuffles(matrix, [[1, 0]], n_shuffles=500, blocks=blocks, block_mode=mode, scheme="permutation")
    fixed = fixed_directions(made, blocks, 10)
    np.testing.assert_array_equal(made.apply(fixed), np.broadcast_to(fixed.T, (len(made), *fixed.T.shape)))
    assert fixed.shape == (10, n_fixed)
    assert np.linalg.matrix_rank(fixed) == n_fixed
    moved = (made.apply(np.eye(10)) - np.eye(10)).reshape(-1, 10)
    assert 10 - np.linalg.matrix_rank(moved) == n_fixed
    flipped = shuffles(np.ones((10, 1)), [[1]], n_shuffles=50)
    assert fixed_directions(flipped, None, 10).shape == (10, 0)


@pytest.mark.parametrize("codes", [[0], [0, 0, 0], [2, 0, 1], [1, 0, 1, 0, 0], [0, 1, 2, 2, 1]])
def test_arrangements_are_all_that_differ_the_given_one_first(codes):
    found = list(arrangements._arrangements(np.array(codes)))
    assert found[0] == tuple(codes)
    assert len(found) == len(set(found))
    assert set(found) == set(permutations(codes))


def test_a_long_pool_has_the_arrangements_of_a_short_one(monkeypatch):
    """Equal units keep their order; the first arrangement is the given one."""
    pool, codes = np.array([1, 3, 4, 6, 7]), np.array([9, 0, 9, 1, 0, 9, 1, 2])
    short = arrangements._pool_orders(pool, codes)
    monkeypatch.setattr(arrangements, "factorial", lambda n: 10**9)
    long = arrangements._pool_orders(pool, codes)
    np.testing.assert_array_equal(short[0], pool)
    np.testing.assert_array_equal(long[0], pool)
    assert {tuple(codes[order]) for order in short} == {tuple(codes[order]) for order in long}
    assert len(short) == len(long) == 5 * 4 * 3 * 2 // (2 * 2)
    for order in long:
        assert sorted(order) == pool.tolist()
        for code in (0, 1):
            assert np.all(np.diff(order[codes[order] == code]) > 0)


def test_equal_rows_have_equal_codes_in_the_order_of_their_appearance():
    columns = np.array([[3.0, -1], [1, 5], [3 + 1e-8, -1], [1, 5 + 1e-6], [0.0, 0], [-0.0, 0]])
    np.testing.assert_array_equal(arrangements.row_codes(columns), [0, 1, 0, 2, 3, 3])
    np.testing.assert_array_equal(arrangements.row_codes(1e-9 * columns), [0, 1, 0, 2, 3, 3])
    np.testing.assert_array_equal(arrangements.row_codes(np.zeros((3, 1))), [0, 0, 0])


def test_drawn_arrangements_depend_on_the_seed_and_reach_every_place():
    made = [shuffles(two_groups(12, 15), [[1, -1]], n_shuffles=400, seed=seed) for seed in (3, 3, 4)]
    assert made[0].digest() == made[1].digest() != made[2].digest()
    assert made[0].seed == 3
    assert (np.sort(made[0].order, axis=1) == np.arange(27)).all()
    # Each row of the first group comes to each place as often: 400 * 12 / 27, with a spread of about 10.
    reached = np.count_nonzero(made[0].order < 12, axis=0)
    np.testing.assert_allclose(reached, 400 * 12 / 27, atol=50)
    flips = shuffles(np.ones((30, 1)), [[1]], n_shuffles=400).signs
    assert set(np.unique(flips)) == {-1, 1}
    np.testing.assert_allclose(np.count_nonzero(flips < 0, axis=0), 200, atol=50)


def test_whole_blocks_of_different_sizes_change_places_with_those_of_their_size(rng):
    blocks = np.repeat(np.arange(6), [2, 2, 2, 3, 3, 1])
    matrix = np.column_stack([rng.normal(size=13), np.ones(13)])
    made = shuffles(matrix, [[1, 0]], n_shuffles=50, blocks=blocks, block_mode="whole")
    assert (made.n_distinct, made.exact) == (factorial(3) * factorial(2), True)
    sizes = np.array([2, 2, 2, 3, 3, 1])[blocks]
    np.testing.assert_array_equal(sizes[made.order], np.tile(sizes, (12, 1)))
    # Rows stay together, in their order.
    for rows in (slice(0, 2), slice(2, 4), slice(6, 9), slice(9, 12)):
        assert (np.diff(made.order[:, rows], axis=1) == 1).all()
    assert (made.order[:, 12] == 12).all()


@pytest.mark.parametrize(("n_shuffles", "exact", "length"), [(63, False, 63), (64, True, 64), (65, True, 64)])
def test_all_arrangements_are_made_where_they_are_few_enough(n_shuffles, exact, length):
    made = shuffles(np.ones((6, 1)), [[1]], n_shuffles=n_shuffles)
    assert (made.exact, len(made), made.n_distinct) == (exact, length, 64)
    assert made.is_mirrored == exact
    part = partition_design(np.ones((6, 1)), [[1]])
    assert smallest_p(made, part, part.nuisance, even=True) == (2 if exact else 1) / length


def test_all_flips_are_mirrored_and_all_orders_are_not():
    made = shuffles(np.ones((5, 1)), [[1]])
    np.testing.assert_array_equal(made.signs, -made.signs[::-1])
    assert not shuffles(two_groups(3, 3), [[1, -1]]).is_mirrored
    assert not shuffles(two_groups(2, 2), [[1, -1]], scheme="both").is_mirrored


def test_variance_groups_that_change_places_tie_only_where_the_groups_are_of_one_size():
    """Of two groups the exchange of all rows turns the sign of v, which counts for two tails."""
    for sizes, n_ties in (((4, 4), 2), ((3, 5), 1)):
        groups = np.repeat([0, 1], sizes)
        part = partition_design(two_groups(*sizes), [[1, -1]])
        made = make_shuffles(part, InferenceOptions(n_shuffles=2000, scheme="permutation"))
        nothing = np.zeros((8, 0))
        assert smallest_p(made, part, nothing, even=True, groups=groups) * len(made) == n_ties
        assert smallest_p(made, part, nothing, even=False, groups=groups) * len(made) == 1
