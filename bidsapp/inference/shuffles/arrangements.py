"""The different arrangements of units that may be shuffled: counted, enumerated, drawn without repeats."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import comb, factorial

import numpy as np

from bidsapp.records.arrays import Labels, Matrix
from bidsapp.stats.blocks import members_of

# Rows of the design that differ by less than this (relative to the largest) can be exchanged unnoticed.
SAME_ROW = 1e-8
# Candidates drawn at a time; part of the stream's definition only through its order, not its size.
DRAW = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """What is shuffled: ``members`` (n_units, unit size) are row indices, ``pools`` the units that may swap.

    ``codes`` (n_units,) is equal for units whose exchange changes nothing.
    """

    members: tuple[Labels, ...]
    pools: tuple[Labels, ...]
    codes: Labels


def make_units(columns: Matrix, blocks: Labels | None, mode: str) -> Units:
    """Return what is shuffled, for rows that may move freely, within blocks, or as whole blocks."""
    n_rows = len(columns)
    groups = [np.arange(n_rows)] if blocks is None else members_of(blocks)
    if mode == "whole":
        sizes = np.array([len(rows) for rows in groups])
        pools = tuple(np.flatnonzero(sizes == size) for size in np.unique(sizes))
        padded = np.zeros((len(groups), sizes.max() * columns.shape[1]))
        for place, rows in enumerate(groups):
            padded[place, : columns[rows].size] = columns[rows].ravel()
        return Units(tuple(groups), pools, row_codes(padded))
    members = tuple(np.arange(n_rows)[:, None])
    return Units(members, tuple(groups), row_codes(columns))


def count_orders(units: Units) -> int:
    """Return how many orders of the units differ: a multinomial coefficient of each pool."""
    total = 1
    for pool in units.pools:
        left = len(pool)
        for n_same in np.unique(units.codes[pool], return_counts=True)[1]:
            total *= comb(left, int(n_same))
            left -= int(n_same)
    return total


def enumerate_all(units: Units, scheme: str) -> tuple[Labels, Labels]:
    """Return all orders of the units and all signs, the observed arrangement first."""
    n_units = len(units.members)
    orders = np.arange(n_units)[None, :]
    if scheme != "sign-flip":
        choices = [_pool_orders(pool, units.codes) for pool in units.pools]
        orders = np.array([_combine(n_units, units.pools, chosen) for chosen in product(*choices)])
    signs = np.ones((1, n_units), np.int8)
    if scheme != "permutation":
        bits = (np.arange(2**n_units)[:, None] >> np.arange(n_units)) & 1
        signs = (1 - 2 * bits).astype(np.int8)
    return np.repeat(orders, len(signs), axis=0), np.tile(signs, (len(orders), 1))


def _pool_orders(pool: Labels, codes: Labels) -> list[Labels]:
    """Return one order of a pool for each distinct arrangement of its codes, the given one first."""
    seen: dict[tuple[int, ...], Labels] = {}
    if factorial(len(pool)) <= 50_000:
        for order in permutations(range(len(pool))):
            seen.setdefault(tuple(codes[pool[list(order)]]), pool[list(order)])
        return list(seen.values())
    return [_match(pool, codes, arrangement) for arrangement in _arrangements(codes[pool])]


def _arrangements(codes: Labels) -> Iterator[tuple[int, ...]]:
    """Yield every distinct arrangement of codes, the given one first."""
    given = tuple(int(code) for code in codes)
    yield given
    current = sorted(given)
    while True:
        if tuple(current) != given:
            yield tuple(current)
        # The next arrangement in lexicographic order.
        i = next((k for k in range(len(current) - 2, -1, -1) if current[k] < current[k + 1]), None)
        if i is None:
            return
        j = next(k for k in range(len(current) - 1, i, -1) if current[k] > current[i])
        current[i], current[j] = current[j], current[i]
        current[i + 1 :] = current[:i:-1]


def _match(pool: Labels, codes: Labels, arrangement: Sequence[int]) -> Labels:
    """Return an order of the pool whose codes are the arrangement; equal units keep their order."""
    stock: dict[int, list[int]] = {}
    for unit in pool[::-1]:
        stock.setdefault(int(codes[unit]), []).append(unit)
    return np.array([stock[code].pop() for code in arrangement])


def _combine(n_units: int, pools: Sequence[Labels], chosen: Sequence[Labels]) -> Labels:
    order = np.arange(n_units)
    for pool, inner in zip(pools, chosen, strict=True):
        order[pool] = inner
    return order


def draw_some(units: Units, scheme: str, n_shuffles: int, seed: int) -> tuple[Labels, Labels]:
    """Return the first ``n_shuffles`` different arrangements of the stream, the observed one first."""
    n_units = len(units.members)
    stream = np.random.Generator(np.random.PCG64(seed))
    seen: set[bytes] = set()
    orders, signs = [], []
    order: Labels = np.arange(n_units)[None, :]
    sign: Labels = np.ones((1, n_units), np.int8)
    while True:
        keys = np.hstack([units.codes[order].astype(np.int32), sign.astype(np.int32)])
        for key, one_order, one_sign in zip(keys, order, sign, strict=True):
            size = len(seen)
            seen.add(key.tobytes())
            if len(seen) > size:
                orders.append(one_order)
                signs.append(one_sign)
            if len(orders) == n_shuffles:
                return np.array(orders), np.array(signs)
        order, sign = _candidates(stream, units, scheme)


def _candidates(stream: np.random.Generator, units: Units, scheme: str) -> tuple[Labels, Labels]:
    """Return the next candidates of the stream."""
    n_units = len(units.members)
    numbers = stream.random((DRAW, n_units)) if scheme != "both" else stream.random((DRAW, 2 * n_units))
    order = np.tile(np.arange(n_units), (DRAW, 1))
    sign = np.ones((DRAW, n_units), np.int8)
    if scheme != "sign-flip":
        for pool in units.pools:
            order[:, pool] = pool[np.argsort(numbers[:, pool], axis=1, kind="stable")]
    if scheme != "permutation":
        sign = np.where(numbers[:, -n_units:] < 0.5, -1, 1).astype(np.int8)
    return order, sign


def row_codes(columns: Matrix) -> Labels:
    """Return an integer for each row, equal for equal rows, in the order in which they first appear.

    So contrasts of one design, whose columns tell the same rows apart, have the same arrangements.
    """
    scale = max(np.abs(columns).max(), 1e-300)
    rounded = np.round(columns / scale / SAME_ROW)
    _, first, codes = np.unique(rounded + 0.0, axis=0, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[codes.ravel()]
