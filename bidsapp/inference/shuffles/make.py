"""Which rows are shuffled how.

A shuffle is an order and a sign for each row: row k of the data, times ``signs[k]``, meets row
``order[k]`` of the design. Shuffle 0 is the observed arrangement. Where all arrangements are few enough
they are enumerated; else shuffle j is the j-th new one in a stream of candidates that depends on the seed
alone, so that it depends on (seed, j) and not on how many are asked for. An arrangement counts as new when
the statistic can differ.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from bidsapp.errors import SettingsError
from bidsapp.inference.shuffles.arrangements import (
    Units,
    count_orders,
    draw_some,
    enumerate_all,
    make_units,
)
from bidsapp.inference.shuffles.partition import SAME_SPAN, Partition
from bidsapp.inference.shuffles.schemes import choose_scheme
from bidsapp.records.arrays import Labels, Mask, Matrix, Numbers
from bidsapp.records.maps import InferenceOptions
from bidsapp.stats.blocks import members_of

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

    order: Labels
    signs: Labels
    scheme: str
    mode: str
    n_distinct: int
    exact: bool
    seed: int

    def __len__(self) -> int:
        return len(self.order)

    @property
    def is_mirrored(self) -> bool:
        """Whether shuffle j turns all signs of shuffle ``len(self) - 1 - j``, as all flips in order do."""
        return self.exact and self.scheme == "sign-flip"

    def digest(self) -> str:
        """Return a text that is the same for the same shuffles only."""
        return hashlib.sha256(self.order.tobytes() + self.signs.tobytes()).hexdigest()

    def apply(self, columns: Matrix, which: slice = slice(None)) -> Numbers:
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


def make_shuffles(
    partition: Partition, options: InferenceOptions, *, changing: Matrix | None = None
) -> Shuffles:
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
    options = choose_scheme(partition, options).options
    scheme, mode = options.scheme, "free" if options.blocks is None else options.block_mode
    columns = partition.effect if changing is None else np.hstack([partition.effect, changing])
    units = make_units(columns, options.blocks, mode)
    n_flip = len(units.members) if scheme != "permutation" else 0
    n_orders = count_orders(units) if scheme != "sign-flip" else 1
    n_distinct = n_orders * 2**n_flip
    if n_distinct == 1:
        raise SettingsError(_nothing_to_shuffle(scheme, mode, options.blocks))
    exact = n_distinct <= min(options.n_shuffles, MAX_ENUMERATED)
    if exact:
        order, signs = enumerate_all(units, scheme)
    else:
        order, signs = draw_some(units, scheme, options.n_shuffles, options.seed)
    return Shuffles(
        *_rows_of(order, signs, units, len(columns)), scheme, mode, n_distinct, exact, options.seed
    )


def smallest_p(
    shuffles: Shuffles, partition: Partition, nuisance: Matrix, *, even: bool, groups: Labels | None = None
) -> float:
    """Return the smallest p that these shuffles can give.

    Arrangements that give the same statistic as the observed one, whatever the data, tie with it: all signs
    turned where the statistic is ``even`` (both tails, F), groups of one size that change places.

    Parameters
    ----------
    nuisance : ndarray, shape (n_subjects, n)
        What of the nuisance shuffles change.
    groups : ndarray, shape (n_subjects,), optional
        Variance groups.
    """
    if not shuffles.exact:
        return 1 / len(shuffles)
    overlap = shuffles.apply(partition.effect) @ partition.effect
    same = _spans(overlap) if even else overlap[:, 0, 0] > 1 - SAME_SPAN
    same &= _spans(shuffles.apply(nuisance) @ partition.nuisance)
    if groups is not None:
        indicators = (np.asarray(groups)[:, None] == np.unique(groups)).astype(float)
        indicators /= np.linalg.norm(indicators, axis=0)
        same &= _spans(indicators[shuffles.order].transpose(0, 2, 1) @ indicators)
    return np.count_nonzero(same) / len(shuffles)


def _spans(products: Numbers) -> Mask:
    """Return whether orthonormal vectors lie in a space, from their products with its basis."""
    inside: Mask = np.square(products).sum(axis=(1, 2)) > products.shape[1] - SAME_SPAN
    return inside


def fixed_directions(shuffles: Shuffles, blocks: Labels | None, n_rows: int) -> Matrix:
    """Return a basis of the vectors that every shuffle maps to themselves, shape (n_subjects, n)."""
    if shuffles.scheme != "permutation":
        return np.zeros((n_rows, 0))
    if blocks is None:
        return np.ones((n_rows, 1))
    groups = members_of(blocks)
    if shuffles.mode == "within":
        return np.stack([np.isin(np.arange(n_rows), rows).astype(float) for rows in groups], axis=1)
    largest = max(len(rows) for rows in groups)
    sizes = sorted({len(rows) for rows in groups})
    columns = np.zeros((n_rows, largest * len(sizes)))
    for rows in groups:
        columns[rows, sizes.index(len(rows)) * largest + np.arange(len(rows))] = 1.0
    return columns[:, columns.any(axis=0)]


def check_attainable(p: float, alpha: float, n_distinct: int, *, how: str = "") -> str:
    """Return a warning when alpha is barely attainable; raise SettingsError when it is not.

    ``how`` is said beside the number of arrangements: how they are made, and why so.
    """
    if p > alpha:
        raise SettingsError(
            f"shuffling cannot reach alpha = {alpha:g}: the smallest p-value it can give is {p:.3g} "
            f"({n_distinct} distinct arrangements exist{how and f'; {how}'}). Add subjects, raise "
            "--n-permutations if it is below their number, raise --alpha, or set --n-permutations 0."
        )
    if p > alpha / 5:
        return (
            f"The smallest p-value that the shuffles can give is {p:.3g}, near alpha = {alpha:g}: "
            "few results can survive, whatever the effect. Add subjects, or raise --n-permutations if it is "
            "below the number of arrangements."
        )
    return ""


def _nothing_to_shuffle(scheme: str, mode: str, blocks: Labels | None) -> str:
    what = {
        "free": "all rows are alike",
        "within": "the rows of every block are alike or alone",
        "whole": "no two blocks of one size differ",
    }
    remedy = "Check the design"
    if blocks is not None:
        remedy = f"Use --block-mode {'whole' if mode == 'within' else 'within'}"
    return f"there is nothing to shuffle ({scheme}, {mode}): {what[mode]}. {remedy}, or --n-permutations 0."


def _rows_of(order: Labels, signs: Labels, units: Units, n_rows: int) -> tuple[Labels, Labels]:
    """Return the orders and the signs of the rows from those of the units."""
    largest = max(map(len, units.members))
    padded = np.array([np.resize(members, largest) for members in units.members], np.int32)
    rows, flips = np.empty((len(order), n_rows), np.int32), np.empty((len(signs), n_rows), np.int8)
    for place, members in enumerate(units.members):
        rows[:, members] = padded[order[:, place], : len(members)]
        flips[:, members] = signs[:, [place]]
    return rows, flips
