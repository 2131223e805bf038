"""Which rows are shuffled how.

A shuffle is an order and a sign for each row: row k of the data, times ``signs[k]``, meets row
``order[k]`` of the design. Shuffle 0 is the observed arrangement. Where all arrangements are few enough
they are enumerated; else shuffle j is the j-th new one in a stream of candidates that depends on the seed
alone, so that it depends on (seed, j) and not on how many are asked for. An arrangement counts as new when
the statistic can differ.
"""

import hashlib
from dataclasses import dataclass
from itertools import permutations, product
from math import comb, factorial

import numpy as np

from bidsapp.errors import SettingsError

# Rows of the design that differ by less than this (relative to the largest) can be exchanged unnoticed.
SAME_ROW = 1e-8
# Candidates drawn at a time; part of the stream's definition only through its order, not its size.
DRAW = 4096
# Enumerated arrangements beyond this are never needed: nobody asks for so many shuffles.
MAX_ENUMERATED = 5_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Shuffles:
    """All shuffles of one test.

    Attributes
    ----------
    order : ndarray of int, shape (n_shuffles, n_subjects)
    signs : ndarray of int8, shape (n_shuffles, n_subjects)
    scheme : {"sign-flip", "permutation", "both"}
    mode : {"free", "within", "whole"}
    n_distinct : int
    exact : bool
    seed : int
    """

    order: np.ndarray
    signs: np.ndarray
    scheme: str
    mode: str
    n_distinct: int
    exact: bool
    seed: int

    def __len__(self):
        return len(self.order)

    def digest(self):
        """Return a text that is the same for the same shuffles only."""
        return hashlib.sha256(self.order.tobytes() + self.signs.tobytes()).hexdigest()

    def apply(self, columns, which=slice(None)):
        """Return columns of the design as each shuffle lays them beside the data.

        ``apply(q)[j] @ data`` is the coefficient of q under shuffle j.

        Parameters
        ----------
        columns : ndarray, shape (n_subjects, n_columns)

        Returns
        -------
        ndarray, shape (n_shuffles, n_columns, n_subjects)
        """
        order, signs = self.order[which], self.signs[which]
        return (columns[order] * signs[:, :, None]).transpose(0, 2, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """What is shuffled: ``members`` (n_units, unit size) are row indices, ``pools`` the units that may swap.

    ``codes`` (n_units,) is equal for units whose exchange changes nothing.
    """

    members: tuple
    pools: tuple
    codes: np.ndarray


def choose_scheme(effect, blocks=None):
    """Return the scheme and the block mode that fit an effective regressor.

    Permuting rows tests nothing about a mean that it leaves in place. So rows are permuted when the
    regressor sums to zero wherever rows may be exchanged; else signs are flipped, which supposes errors
    symmetric about zero. A regressor that is constant within every block is a matter between blocks: then
    whole blocks are shuffled.

    Parameters
    ----------
    effect : ndarray, shape (n_subjects, n_rows)
    blocks : ndarray, shape (n_subjects,), optional
    """
    scale = np.abs(effect).max()
    groups = [np.arange(len(effect))] if blocks is None else _members(blocks)
    constant = all(np.ptp(effect[rows], axis=0).max() < SAME_ROW * scale for rows in groups)
    if blocks is not None and constant:
        groups = [np.arange(len(effect))]
        mode = "whole"
    else:
        mode = "free" if blocks is None else "within"
    centred = all(np.abs(effect[rows].sum(axis=0)).max() < 1e-6 * scale for rows in groups)
    if centred:
        return "permutation", mode
    return "sign-flip", "free" if blocks is None else "whole"


def make_shuffles(partition, options, *, changing=None):
    """Return the shuffles of a test.

    Parameters
    ----------
    partition : Partition
    options : InferenceOptions
    changing : ndarray, shape (n_subjects, n_columns), optional
        Further columns whose arrangement matters to the statistic (nuisance, variance groups).

    Raises
    ------
    SettingsError
        When the blocks cannot be shuffled as asked, or alpha cannot be reached.
    """
    scheme, mode = _scheme_and_mode(partition, options)
    columns = partition.effect if changing is None else np.hstack([partition.effect, changing])
    units = make_units(columns, options.blocks, mode)
    n_flip = len(units.members) if scheme != "permutation" else 0
    n_orders = count_orders(units) if scheme != "sign-flip" else 1
    n_distinct = n_orders * 2**n_flip
    if n_distinct == 1:
        raise SettingsError(_nothing_to_shuffle(scheme, mode, options.blocks))
    exact = n_distinct <= min(options.n_shuffles, MAX_ENUMERATED)
    if exact:
        order, signs = _enumerate(units, scheme)
    else:
        order, signs = _draw(units, scheme, options.n_shuffles, options.seed)
    n_rows = len(columns)
    return Shuffles(
        _rows_of(order, units, n_rows),
        _signs_of(signs, units, n_rows),
        scheme,
        mode,
        n_distinct,
        exact,
        options.seed,
    )


def make_units(columns, blocks, mode):
    """Return what is shuffled, for rows that may move freely, within blocks, or as whole blocks."""
    n_rows = len(columns)
    if mode == "whole":
        groups = _members(blocks)
        sizes = np.array([len(rows) for rows in groups])
        pools = tuple(np.flatnonzero(sizes == size) for size in np.unique(sizes))
        padded = np.zeros((len(groups), sizes.max() * columns.shape[1]))
        for place, rows in enumerate(groups):
            padded[place, : columns[rows].size] = columns[rows].ravel()
        return Units(tuple(groups), pools, _codes(padded))
    members = tuple(np.arange(n_rows)[:, None])
    pools = (np.arange(n_rows),) if mode == "free" else tuple(_members(blocks))
    return Units(members, pools, _codes(columns))


def count_orders(units):
    """Return how many orders of the units differ: a multinomial coefficient of each pool."""
    total = 1
    for pool in units.pools:
        left = len(pool)
        for n_same in np.unique(units.codes[pool], return_counts=True)[1]:
            total *= comb(left, int(n_same))
            left -= int(n_same)
    return total


def smallest_p(shuffles, partition, *, even, has_nuisance):
    """Return the smallest p that these shuffles can give.

    Where the statistic is ``even`` (both tails, F), the arrangement that turns all signs ties with the
    observed one.
    """
    n_ties = 1
    if shuffles.exact and even:
        column = np.sort(partition.effect[:, 0])
        mirrored = np.allclose(column, -column[::-1], atol=SAME_ROW)
        mirrored &= partition.n_rows == 1 and not has_nuisance and shuffles.mode == "free"
        n_ties = 2 if shuffles.scheme != "permutation" or mirrored else 1
    return n_ties / len(shuffles)


def fixed_directions(shuffles, blocks, n_rows):
    """Return a basis of the vectors that every shuffle maps to themselves, shape (n_subjects, n)."""
    if shuffles.scheme != "permutation":
        return np.zeros((n_rows, 0))
    if shuffles.mode == "free":
        return np.ones((n_rows, 1))
    groups = _members(blocks)
    if shuffles.mode == "within":
        return np.stack([np.isin(np.arange(n_rows), rows).astype(float) for rows in groups], axis=1)
    largest = max(len(rows) for rows in groups)
    sizes = sorted({len(rows) for rows in groups})
    columns = np.zeros((n_rows, largest * len(sizes)))
    for rows in groups:
        columns[rows, sizes.index(len(rows)) * largest + np.arange(len(rows))] = 1.0
    return columns[:, columns.any(axis=0)]


def check_attainable(p, alpha, n_distinct):
    """Return a warning when alpha is barely attainable; raise SettingsError when it is not."""
    if p > alpha:
        raise SettingsError(
            f"shuffling cannot reach alpha = {alpha:g}: the smallest p-value it can give is {p:.3g} "
            f"({n_distinct} distinct arrangements exist). Add subjects, raise --n-permutations if it is "
            "below their number, raise --alpha, or set --n-permutations 0."
        )
    if p > alpha / 5:
        return (
            f"The smallest p-value that the shuffles can give is {p:.3g}, near alpha = {alpha:g}: "
            "few results can survive, whatever the effect."
        )
    return ""


def _scheme_and_mode(partition, options):
    """Return the scheme and mode asked for, completed by those that fit the regressor."""
    scheme, mode = choose_scheme(partition.effect, options.blocks)
    if options.scheme != "auto":
        scheme = options.scheme
    if options.blocks is not None and options.block_mode != "auto":
        mode = options.block_mode
    return scheme, mode


def _members(blocks):
    blocks = np.asarray(blocks)
    return [np.flatnonzero(blocks == block) for block in np.unique(blocks)]


def _codes(columns):
    """Return an integer for each row, equal for equal rows."""
    scale = max(np.abs(columns).max(), 1e-300)
    rounded = np.round(columns / scale / SAME_ROW)
    return np.unique(rounded + 0.0, axis=0, return_inverse=True)[1].ravel()


def _nothing_to_shuffle(scheme, mode, blocks):
    what = "the rows of every block are alike or alone" if mode == "within" else "all rows are alike"
    remedy = "Give blocks of at least two different rows" if blocks is not None else "Check the design"
    return f"there is nothing to shuffle ({scheme}, {mode}): {what}. {remedy}, or --n-permutations 0."


def _enumerate(units, scheme):
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


def _pool_orders(pool, codes):
    """Return one order of a pool for each distinct arrangement of its codes, the given one first."""
    seen = {}
    if factorial(len(pool)) <= 50_000:
        for order in permutations(range(len(pool))):
            seen.setdefault(tuple(codes[pool[list(order)]]), pool[list(order)])
        return list(seen.values())
    return [_match(pool, codes, arrangement) for arrangement in _arrangements(codes[pool])]


def _arrangements(codes):
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


def _match(pool, codes, arrangement):
    """Return an order of the pool whose codes are the arrangement; equal units keep their order."""
    stock = {}
    for unit in pool[::-1]:
        stock.setdefault(int(codes[unit]), []).append(unit)
    return np.array([stock[code].pop() for code in arrangement])


def _combine(n_units, pools, chosen):
    order = np.arange(n_units)
    for pool, inner in zip(pools, chosen, strict=True):
        order[pool] = inner
    return order


def _draw(units, scheme, n_shuffles, seed):
    """Return the first ``n_shuffles`` different arrangements of the stream, the observed one first."""
    n_units = len(units.members)
    stream = np.random.Generator(np.random.PCG64(seed))
    seen, orders, signs = set(), [], []
    order, sign = np.arange(n_units)[None, :], np.ones((1, n_units), np.int8)
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


def _candidates(stream, units, scheme):
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


def _rows_of(order, units, n_rows):
    """Return the orders of the rows from the orders of the units."""
    largest = max(map(len, units.members))
    padded = np.array([np.resize(members, largest) for members in units.members], np.int32)
    rows = np.empty((len(order), n_rows), np.int32)
    for place, members in enumerate(units.members):
        rows[:, members] = padded[order[:, place], : len(members)]
    return rows


def _signs_of(signs, units, n_rows):
    """Return the signs of the rows from the signs of the units."""
    rows = np.empty((len(signs), n_rows), np.int8)
    for unit, members in enumerate(units.members):
        rows[:, members] = signs[:, [unit]]
    return rows
