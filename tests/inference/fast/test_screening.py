"""The screen of points in single precision against the same in double precision, one number at a time."""

from itertools import product

import numpy as np
import pytest

from bidsapp.inference.engine.batches import _margin
from bidsapp.inference.fast import screening
from bidsapp.inference.fast.simd import BLOCK
from bidsapp.inference.voxels.linear import table_rows

N_SUBJECTS, N_POINTS, N_SHUFFLES = 13, 3 * BLOCK, 40
ROWS = [(1, 0), (1, 1), (1, 3), (2, 0), (2, 1), (3, 2)]


@pytest.fixture
def data(rng):
    """Return data of length 1 in every point."""
    values = rng.normal(size=(N_SUBJECTS, N_POINTS))
    return values / np.linalg.norm(values, axis=0)


def make_weights(rng, n_rows):
    """Return orthonormal rows in random orders, the first one as it is."""
    basis = np.linalg.qr(rng.normal(size=(N_SUBJECTS, n_rows)))[0]
    orders = [np.arange(N_SUBJECTS), *(rng.permutation(N_SUBJECTS) for _ in range(N_SHUFFLES - 1))]
    return np.array([basis[order].T for order in orders])


def w_of(data, weights, n_effects):
    """Return w of every shuffle and point by its formula."""
    coefficients = weights @ data
    explained = np.square(coefficients[:, :n_effects]).sum(axis=1)
    w = np.sqrt(explained / (1.0 - np.square(coefficients[:, n_effects:]).sum(axis=1)))
    return np.copysign(w, coefficients[:, 0]) if n_effects == 1 else w


@pytest.mark.parametrize(("n_effects", "n_nuisance"), ROWS)
def test_w_is_its_formula_in_both_precisions(data, rng, n_effects, n_nuisance):
    weights = make_weights(rng, n_effects + n_nuisance)
    expected = w_of(data, weights, n_effects)
    exact = [[screening.exact_w(data, v, one, n_effects) for v in range(N_POINTS)] for one in weights]
    np.testing.assert_allclose(exact, expected, rtol=1e-12, atol=1e-15)

    block, scratch = np.ascontiguousarray(data[:, :BLOCK], np.float32), np.empty((4, BLOCK), np.float32)
    for one, w in zip(weights.astype(np.float32), expected[:, :BLOCK], strict=True):
        largest = screening.combine_rows(block, one, n_effects, scratch)
        np.testing.assert_allclose(scratch[0], w, atol=1e-6)
        assert largest == np.abs(scratch[0]).max()


def test_w_of_points_that_the_nuisance_explains_is_a_number():
    data = np.zeros((2, BLOCK))
    data[1] = 1.0
    weights = np.eye(2)
    assert screening.exact_w(data + 1e-3, 0, weights, 1) == pytest.approx(1e-3 / 1e-7)
    scratch = np.empty((4, BLOCK), np.float32)
    screening.combine_rows((data + 1e-3).astype(np.float32), weights.astype(np.float32), 1, scratch)
    np.testing.assert_allclose(scratch[0], 1e-3 / np.sqrt(1e-7), rtol=1e-5)


@pytest.mark.parametrize("n_subjects", [1, 5, 6, 13])
def test_tables_hold_the_signed_sums_of_every_five_subjects(rng, n_subjects):
    block = rng.integers(-9, 9, size=(n_subjects, BLOCK)).astype(np.float32)
    n_groups = -(-n_subjects // 5)
    table = np.full((32 * n_groups, BLOCK), np.nan, np.float32)
    screening.build_tables(block, table)
    for group in range(n_groups):
        members = block[5 * group : 5 * group + 5]
        for code in range(2 ** len(members)):
            signs = np.array([-1 if code >> i & 1 else 1 for i in range(len(members))])
            np.testing.assert_array_equal(table[32 * group + code], signs @ members)

    # The rows that the signs of all subjects stand for add up to their signed sum.
    is_minus = rng.random((7, n_subjects)) < 0.5
    rows = table_rows(is_minus)
    assert rows.shape == (7, n_groups)
    np.testing.assert_array_equal(table[rows].sum(axis=1), np.where(is_minus, -1, 1) @ block)


def screen(data, shuffled, settings, reached, capacity=10_000):
    """Return the largest values, the counts and the events (n, 3) in their order, and how many there are."""
    lowest = 0.0 if settings[1] or settings[0] > 1 else -1.0
    best, counts = np.full(len(shuffled[0]), lowest), np.zeros(data.shape[1], np.int32)
    events = np.full(capacity, -9, np.int32), np.full(capacity, -9, np.int32), np.full(capacity, np.nan)
    n_events = screening.screen_points(data, shuffled, settings, reached, (best, counts), events)
    return best, counts, np.transpose(events)[: min(n_events, capacity)], n_events


@pytest.mark.parametrize("two_tailed", [True, False])
@pytest.mark.parametrize(("n_effects", "n_nuisance"), [*ROWS, (1, None)])
def test_screened_points_are_those_of_double_precision(data, rng, n_effects, n_nuisance, two_tailed):
    """Cut-offs and values to be reached are those of points, which single precision puts on either side."""
    if n_nuisance is None:
        scale = rng.uniform(0.1, 0.4, N_SUBJECTS)
        is_minus = rng.random((N_SHUFFLES, N_SUBJECTS)) < 0.5
        weights = (scale * np.where(is_minus, -1, 1))[:, None]
        shuffled = weights, table_rows(is_minus), scale
    else:
        weights = make_weights(rng, n_effects + n_nuisance)
        shuffled = weights, np.zeros((N_SHUFFLES, 0), np.int32), np.ones(N_SUBJECTS)
    w = np.array([[screening.exact_w(data, v, one, n_effects) for v in range(N_POINTS)] for one in weights])
    size = np.abs(w) if two_tailed else w
    largest = np.maximum(size.max(axis=1), 0.0 if two_tailed or n_effects > 1 else -1.0)
    for quantile, row in product((0.5, 0.9, 0.99, 1.0), range(10)):
        cutoff, reached = np.quantile(size[: row + 1], quantile, method="higher"), size[row].copy()
        settings = (n_effects, two_tailed, cutoff, _margin(weights))
        best, counts, events, n_events = screen(data, shuffled, settings, reached)
        np.testing.assert_array_equal(best, largest)
        np.testing.assert_array_equal(counts, np.count_nonzero(size >= reached, axis=0))
        shuffle, point = np.nonzero(size >= cutoff)
        assert n_events == len(shuffle)
        expected = np.column_stack([shuffle, point, w[shuffle, point]])
        np.testing.assert_array_equal(events[np.lexsort((events[:, 1], events[:, 0]))], expected)

    # Without clusters or counts; and with arrays that are too short for the events.
    best, counts, _, n_events = screen(
        data, shuffled, (n_effects, two_tailed, 2.0, _margin(weights)), np.zeros(0)
    )
    assert n_events == np.count_nonzero(size >= 2.0)
    np.testing.assert_array_equal(best, largest)
    assert not counts.any()
    cutoff = np.quantile(size, 0.9)
    settings = (n_effects, two_tailed, cutoff, _margin(weights))
    *_, events, n_events = screen(data, shuffled, settings, np.zeros(0), capacity=20)
    assert n_events == np.count_nonzero(size >= cutoff)
    assert np.isfinite(events).all()
    assert len(events) == 20


def test_the_margin_is_more_than_the_error_of_single_precision_but_not_much(data, rng):
    for n_rows in (1, 4):
        weights = make_weights(rng, n_rows)
        single = weights.astype(np.float32) @ data.astype(np.float32)
        error = np.abs(single - weights @ data).max()
        assert error < _margin(weights) < 100 * error
