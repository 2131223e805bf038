"""All-Resolutions Inference against closed testing by brute force."""

from itertools import combinations

import numpy as np
import pytest

from bidsapp.inference.ari import find_discoveries


def simes(p, alpha):
    p = np.sort(p)
    return bool((p <= alpha * np.arange(1, len(p) + 1) / len(p)).any())


def closed_testing(p, members, alpha):
    """Return the smallest number of active points of a set: its size less the largest subset not rejected.

    A subset is rejected when every superset of it is rejected by Simes' test.
    """
    m = len(p)
    everything = [set(s) for n in range(1, m + 1) for s in combinations(range(m), n)]
    kept = [s for s in everything if not simes(p[list(s)], alpha)]
    largest = max((len(s & set(members)) for s in kept), default=0)
    return len(members) - largest


@pytest.mark.parametrize("seed", range(25))
def test_counts_equal_closed_testing_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    m = int(rng.integers(3, 9))
    p = rng.uniform(size=m) ** rng.choice([1, 3, 6])
    discoveries = find_discoveries(p, 0.1)
    for n in range(1, m + 1):
        members = list(rng.choice(m, n, replace=False))
        assert discoveries.count(members) == closed_testing(p, members, 0.1)


def test_no_proportion_exceeds_1_where_everything_is_active():
    """nilearn returns 1.2 here (u = 0 is allowed)."""
    p = np.full(10, 1e-300)
    p[:5] = 0.0
    assert find_discoveries(p, 0.05).proportion(np.arange(10)) == 1.0


def test_proportions_grow_with_alpha(rng):
    p = np.append(rng.uniform(size=60), rng.uniform(size=20) * 1e-4)
    counts = [find_discoveries(p, alpha).count(np.arange(50, 80)) for alpha in (0.001, 0.01, 0.05, 0.2)]
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_points_without_a_test_are_not_members():
    p = np.array([1e-9, np.nan, 1e-9, 0.9])
    assert find_discoveries(p, 0.05).proportion([0, 1, 2]) == 1.0


def test_a_set_without_tests_has_no_proportion():
    assert np.isnan(find_discoveries(np.array([0.5, np.nan]), 0.05).proportion([1]))


@pytest.mark.parametrize("seed", range(30))
def test_p_at_the_edge_of_simes_test_count_as_rejected(seed):
    """Of binary fractions, which are exact."""
    rng = np.random.default_rng(seed)
    p = rng.integers(0, 9, 4) / 16
    discoveries = find_discoveries(p, 0.5)
    for n in range(1, 5):
        for members in combinations(range(4), n):
            assert discoveries.count(list(members)) == closed_testing(p, list(members), 0.5)
