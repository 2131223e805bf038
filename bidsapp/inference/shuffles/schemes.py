"""How the rows of a test may be shuffled: signs or places, rows or whole blocks, and why.

Permuting rows tests nothing about a mean, which it leaves in place: there signs are flipped, which supposes
errors symmetric about zero. Permuting rows is right where they are exchangeable: within the blocks that are
given, and never between rows of different variance, whose signs may be flipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bidsapp.inference.shuffles.arrangements import SAME_ROW
from bidsapp.inference.shuffles.partition import Partition
from bidsapp.records.arrays import Labels, Matrix
from bidsapp.records.maps import InferenceOptions
from bidsapp.stats.blocks import members_of
from bidsapp.stats.linear import orthonormalise

# A regressor whose sums are below this share of its largest value sums to zero.
ZERO_SUM = 1e-6
# An effect of which less than this is left beside columns of the blocks cannot be told from them.
NOTHING_LEFT = 1e-6
MEAN = "permuting rows leaves a mean in place"
BETWEEN_VARIANCES = "the effect lies between variance groups, whose rows cannot change places"
MIXED = (
    "Rows of variance groups are permuted, as asked for, though the effect lies between the groups: the "
    "family-wise error can be many times alpha. --shuffle-scheme auto flips signs, which is right."
)


@dataclass(frozen=True, slots=True, eq=False)
class Scheme:
    """Options without "auto", why they are so, and what must be said of them."""

    options: InferenceOptions
    reason: str
    warnings: tuple[str, ...] = ()


def choose_scheme(partition: Partition, options: InferenceOptions) -> Scheme:
    """Return the Scheme of a test.

    With blocks, ``auto`` is within them, unless the effect cannot be told from the blocks there, and so lies
    between them: then whole blocks are permuted. A mean does not lie between blocks; each row's sign is
    flipped by itself. ``dependent`` blocks (the rows of a subject) are different: cells have variances and
    correlations of their own, so that rows never change places within them; whole blocks are permuted for
    effects that are constant there, and flipped for all others.

    Parameters
    ----------
    partition : Partition
    options : InferenceOptions
    """
    wanted, effect = options.scheme, partition.effect
    mode, why = (
        ("free", "")
        if options.blocks is None
        else _choose_mode(partition, options.blocks, options.block_mode)
    )
    if wanted != "auto":
        scheme, reason = wanted, "as asked for"
    elif not _sums_to_zero(effect):
        scheme, reason = "sign-flip", MEAN
    elif options.block_mode == "dependent" and mode == "flip":
        scheme, reason = "sign-flip", "the effect varies within blocks"
    else:
        scheme, reason = "permutation", "the effect is no mean"
    mode = "whole" if mode == "flip" else mode
    chosen = replace(options, scheme=scheme, block_mode=mode)
    reason = f"{reason}; {why}" if why else reason
    if options.variance_groups is None or scheme == "sign-flip":
        return Scheme(chosen, reason)
    return _keep_variances_apart(partition, chosen, options.variance_groups, reason, asked=wanted != "auto")


def _choose_mode(partition: Partition, blocks: Labels, asked: str) -> tuple[str, str]:
    """Return within, whole or (dependent rows that can be flipped only) flip, and why."""
    effect, groups = partition.effect, members_of(blocks)
    if asked in ("within", "whole"):
        return asked, f"{asked} blocks as asked for"
    if asked == "dependent":
        if _is_constant(effect, groups):
            return "whole", "whole blocks, for the effect is the same in all rows of a block"
        return "flip", "whole blocks, whose rows may differ in variance"
    if not _sums_to_zero(effect):
        return "within", "each row by itself, for a mean does not lie between blocks"
    if _is_testable_within(partition, blocks):
        return "within", "within blocks, where the effect varies"
    return "whole", "whole blocks, for the effect lies between them"


def _keep_variances_apart(
    partition: Partition, options: InferenceOptions, variance_groups: Labels, reason: str, *, asked: bool
) -> Scheme:
    """Return the Scheme of a permutation of rows that have different variances."""
    groups = np.unique(variance_groups, return_inverse=True)[1]
    within = options.block_mode != "whole"
    cells = groups if options.blocks is None else _cross(options.blocks, groups)
    if groups.max() == 0 or (
        within and options.blocks is not None and cells.max() == len(set(options.blocks)) - 1
    ):
        return Scheme(options, reason)
    if within and _is_testable_within(partition, cells):
        options = replace(options, blocks=cells, block_mode="within")
        return Scheme(options, f"{reason}; within variance groups, where the effect varies")
    if asked:
        return Scheme(options, reason, (MIXED,))
    return Scheme(replace(options, scheme="sign-flip"), BETWEEN_VARIANCES)


def _cross(first: Labels, second: Labels) -> Labels:
    """Return the cell of each row in the crossing of two groupings."""
    cells: Labels = np.unique(np.column_stack([first, second]), axis=0, return_inverse=True)[1].ravel()
    return cells


def _sums_to_zero(effect: Matrix) -> bool:
    """Return whether all regressors of an effect sum to zero."""
    return bool(np.abs(effect.sum(axis=0)).max() < ZERO_SUM * np.abs(effect).max())


def _is_constant(effect: Matrix, groups: Sequence[Labels]) -> bool:
    """Return whether a regressor has one value in every group of rows."""
    widest = max(np.ptp(effect[rows], axis=0).max() for rows in groups)
    return bool(widest < SAME_ROW * np.abs(effect).max())


def _is_testable_within(partition: Partition, blocks: Labels) -> bool:
    """Return whether the effect can still be told from the design when each block has a column of its own."""
    columns = (np.asarray(blocks)[:, None] == np.unique(blocks)).astype(float)
    others = np.hstack([partition.nuisance, columns / np.linalg.norm(columns, axis=0)])
    basis = orthonormalise(others)
    rest = partition.effect - basis @ (basis.T @ partition.effect)
    return bool(np.linalg.svd(rest, compute_uv=False).min() > NOTHING_LEFT)
