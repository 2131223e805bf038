"""The voxels that are worked on together: blocks of them, and those that have the same inputs."""

from collections.abc import Iterator

import numpy as np

from bidsapp.records.arrays import Labels, Mask

# Numbers of a block in double precision, so that a fit of any number of inputs stays small: 32 MB.
BLOCK_NUMBERS = 2**22
# Points whose statistics under some shuffles are made together.
STRETCH = 4096


def cut_blocks(n_voxels: int, numbers_a_voxel: int, block_numbers: int | None = None) -> list[slice]:
    """Return slices of the voxels, each of at most so many numbers and of one voxel at least."""
    return cut(n_voxels, max(1, (block_numbers or BLOCK_NUMBERS) // numbers_a_voxel))


def cut(n: int, size: int, start: int = 0) -> list[slice]:
    """Return slices of some length that cover ``start`` to n."""
    return [slice(first, min(first + size, n)) for first in range(start, n, size)]


def members_of(groups: Labels) -> list[Labels]:
    """Return the rows of each group, in the order of its numbers."""
    return [np.flatnonzero(groups == group) for group in np.unique(groups)]


def find_patterns(
    present: Mask, min_inputs: int = 1, counts: Labels | None = None
) -> Iterator[tuple[Labels, Labels]]:
    """Yield each set of inputs that some voxels have in common, with those voxels.

    Parameters
    ----------
    present : ndarray of bool, shape (n_inputs, n_voxels)
    min_inputs : int
        Voxels with fewer inputs are left out, those without any always.
    counts : ndarray, shape (n_voxels,), optional
        What is counted in place of the inputs.

    Yields
    ------
    tuple of ndarray
        The inputs (indices) and the voxels (indices); a voxel occurs once.
    """
    counts = present.sum(axis=0) if counts is None else counts
    enough = np.flatnonzero(counts >= max(min_inputs, 1))
    # A voxel's inputs as the bits of one key: sorting keys takes a fraction of the time of sorting columns.
    packed = np.ascontiguousarray(np.packbits(present[:, enough], axis=0).T)
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(np.bincount(inverse, minlength=len(first)))
    for index, members in enumerate(np.split(order, ends[:-1]) if len(first) else []):
        yield np.flatnonzero(present[:, enough[first[index]]]), enough[members]
