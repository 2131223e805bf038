"""Read the effect and variance maps of many inputs as one stack.

A voxel has no data where the effect is NaN or infinite, and where it is exactly 0 without a positive variance
(programs that write 0 outside the brain); a zero effect with a positive variance is data. A variance that is
not positive and finite is unknown (NaN).
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bidsapp.errors import InputError, in_lines
from bidsapp.inputs.images.read import check_grid, read_header, read_volume, whole_grid
from bidsapp.inputs.images.resampling import resample_map
from bidsapp.records.arrays import Labels, Matrix
from bidsapp.records.collect import collect
from bidsapp.records.maps import EffectStack, EstimateFile, Geometry, Reading
from bidsapp.records.progress import Tell, nobody

# A part of the voxels that most inputs share, whose loss is worth a warning.
LARGE_LOSS = 0.1
MAX_NAMED = 20
# Inputs whose values are kept in one array: at 2 mm 60 MB, which the C library gives back when they go.
TOGETHER = 64
Volume: TypeAlias = NDArray[np.float32]
Shape: TypeAlias = tuple[int, ...]
# The values of the voxels with data, one after the other; which voxels those are, packed; one input.
Values: TypeAlias = NDArray[np.float32]
Bits: TypeAlias = NDArray[np.uint8]
Row: TypeAlias = tuple[Bits, Values, Values | None, float]


def read_stack(
    files: Sequence[EstimateFile],
    *,
    minimum_share: float = 1.0,
    resample: bool = False,
    tell: Tell = nobody,
) -> EffectStack:
    """Read the maps of one contrast from many inputs.

    Every file is read once and only voxels with data are held, so memory is that of the stack itself and
    one volume.

    Parameters
    ----------
    files : sequence of EstimateFile
    minimum_share : float
        The geometry holds the voxels where at least this share of the inputs has data (1: all of them).
    resample : bool
        Bring maps that are on another grid to that of the first; otherwise they are refused.
    tell : callable, optional
        Is told how many files are read.

    Returns
    -------
    EffectStack

    Raises
    ------
    InputError
        A file is unreadable, on another grid than the first, or no voxel is left.
    """
    try:
        rows, marks, grid, coverage = _read_rows(files, resample, tell)
    except InputError as error:
        raise _all_faults(files, resample) or error from error
    needed = count_share(minimum_share, len(files))
    mask = coverage >= needed
    if not mask.any():
        raise InputError(
            f"No voxel has data in {needed} of {len(files)} inputs. "
            f"The smallest is {_smallest(files, rows)}. Leave it out, or ask for a smaller share."
        )
    notes = find_losses(files, [row[0] for row in rows], coverage, minimum_share)
    digests, scales = zip(*marks, strict=True)
    stack = _assemble(files, rows, Geometry(mask, grid.affine), coverage)
    return replace(stack, digests=digests, scales=np.array(scales), notes=notes)


def count_share(share: float, n_inputs: int) -> int:
    """Return how many inputs a share above 0 is."""
    return math.ceil(share * n_inputs - 1e-9)


def _read_rows(
    files: Sequence[EstimateFile], resample: bool, tell: Tell
) -> tuple[list[Row], list[tuple[str, np.floating]], Geometry, Labels]:
    """Return the data of every input, its digest and scale, the grid, and the coverage of each voxel."""
    first = read_header(files[0].effect)
    grid = whole_grid(first.shape[:3], first.affine)
    rows: list[Row] = []
    marks, coverage = [], np.zeros(grid.mask.shape, np.int32)
    for file in files:
        effect, variance = _read_pair(file, grid, resample)
        there = np.isfinite(effect)
        coverage += there
        dof = _read_dof(file)
        marks.append((_digest(there, effect), np.median(np.abs(effect[there]))))
        rows.append((np.packbits(there), effect[there], None if variance is None else variance[there], dof))
        if len(rows) % TOGETHER == 0:
            rows[-TOGETHER:] = _put_together(rows[-TOGETHER:])
        tell(len(rows), len(files))
    return rows, marks, grid, coverage


def _digest(there: NDArray[np.bool_], effect: Volume) -> str:
    """Return a text that is the same for maps with the same effects in the same voxels only."""
    digest = hashlib.blake2b(np.packbits(there).tobytes(), digest_size=16)
    digest.update(effect[there].astype(np.float32).tobytes())
    return digest.hexdigest()


def _all_faults(files: Sequence[EstimateFile], resample: bool) -> InputError | None:
    """Return one error with the faults of all files; those on another grid than most are named, not most."""
    faults, placed = [], []
    for file in files:
        try:
            effect, _, affine = _read_own_grid(file)
        except InputError as error:
            faults.append(f"{_label(file)}: {error}")
            continue
        placed.append((file, effect.shape, affine))
    faults += [] if resample else list(find_other_grids(placed).values())
    return InputError(in_lines(faults)) if faults else None


def find_other_grids(placed: Sequence[tuple[EstimateFile, Shape, Matrix]]) -> dict[str, str]:
    """Return the subjects whose maps, given with their grids, are on another one than most; and in words."""
    grids = collect(
        ((shape, tuple(np.round(affine, 3).ravel().tolist())), (file, shape, affine))
        for file, shape, affine in placed
    )
    common = max(grids.values(), key=len, default=[])
    faults: dict[str, str] = {}
    for file, shape, affine in (entry for grid in grids.values() for entry in grid):
        try:
            check_grid(file.effect, shape, affine, whole_grid(*common[0][1:]), reference="most of the maps")
        except InputError as error:
            faults.setdefault(_label(file), f"{_label(file)}: {error}")
    return faults


def _label(file: EstimateFile) -> str:
    return f"sub-{file.key.entity('sub')}"


def find_losses(
    files: Sequence[EstimateFile], packed: Sequence[Bits], coverage: Labels, share: float
) -> tuple[str, ...]:
    """Return a note where a tenth of the voxels or more is lost to a few subjects, and who they are.

    Parameters
    ----------
    files : sequence of EstimateFile
    packed : list of ndarray of uint8
        Where each input has data, as from ``numpy.packbits``.
    coverage : ndarray of int, shape (x, y, z)
    share : float
        Voxels with data of at least this share of the inputs are analysed.
    """
    common = 2 * coverage >= len(files)
    n_common, n_left = (
        int(np.count_nonzero(c)) for c in (common, coverage >= count_share(share, len(files)))
    )
    if n_left >= (1 - LARGE_LOSS) * n_common:
        return ()
    rows: dict[str, list[Bits]] = {}
    for file, bits in zip(files, packed, strict=True):
        rows.setdefault(_label(file), []).append(bits)

    def presence(label: str) -> Labels:
        """Return how many maps of a subject have data, in each of the common voxels."""
        maps = (np.unpackbits(bits, count=coverage.size).astype(bool) for bits in rows[label])
        return sum((there.reshape(coverage.shape)[common] for there in maps), np.zeros(n_common, np.int32))

    shares = {label: presence(label).mean() / len(rows[label]) for label in rows}
    left, n_inputs, without, named = coverage[common], len(files), n_left, []
    for label in sorted(shares, key=lambda label: shares[label])[: len(shares) // 2]:
        left, n_inputs = left - presence(label), n_inputs - len(rows[label])
        without = int(np.count_nonzero(left >= count_share(share, n_inputs)))
        named.append(label)
        if without >= (1 - LARGE_LOSS) * n_common:
            break
    return (_loss_in_words(named, shares, n_left, without),)


def _loss_in_words(named: Sequence[str], shares: Mapping[str, float], n_left: int, without: int) -> str:
    shown = [f"{label} covers {100 * shares[label]:.0f} %" for label in named[:MAX_NAMED]]
    shown += [f"{len(named) - len(shown)} others less than most"] if len(named) > len(shown) else []
    labels = " ".join(label.removeprefix("sub-") for label in named[:MAX_NAMED])
    them = "it" if len(named) == 1 else "them"
    return (
        f"{', '.join(shown)} of the voxels that at least half of the inputs share: with {them} {n_left:,} "
        f"voxels are analysed, without {them} {without:,}. Check the masks; leave {them} out "
        f"(--exclude-participant-label {labels}), or analyse voxels that some inputs lack (--min-subjects)."
    )


def _put_together(rows: Sequence[Row]) -> list[Row]:
    """Return rows whose values are parts of one array, so that letting them go leaves no holes in memory."""
    effects = _join([effect for _, effect, _, _ in rows])
    variances = iter(_join([variance for _, _, variance, _ in rows if variance is not None]))
    return [
        (packed, effect, None if variance is None else next(variances), dof)
        for (packed, _, variance, dof), effect in zip(rows, effects, strict=True)
    ]


def _join(arrays: Sequence[Values]) -> list[Values]:
    """Return the arrays as parts of one."""
    if not arrays:
        return []
    return np.split(np.concatenate(arrays), np.cumsum([len(array) for array in arrays])[:-1])


def _smallest(files: Sequence[EstimateFile], rows: Sequence[Row]) -> str:
    sizes = [len(values) for _, values, _, _ in rows]
    index = int(np.argmin(sizes))
    return f"{files[index].effect} with {sizes[index]} voxels"


def _read_pair(file: EstimateFile, grid: Geometry, resample: bool) -> tuple[Volume, Volume | None]:
    """Return the effect with NaN where there is no data and the variance or None, on the grid."""
    effect, variance, affine = _read_own_grid(file)
    if effect.shape == grid.mask.shape and np.allclose(affine, grid.affine, atol=1e-3):
        return effect, variance
    if not resample:
        check_grid(file.effect, effect.shape, affine, grid, reference="the first of the maps")
        return effect, variance
    effect = resample_map(effect, affine, grid)
    return effect, None if variance is None else resample_map(variance, affine, grid)


def _read_own_grid(file: EstimateFile) -> tuple[Volume, Volume | None, Matrix]:
    effect, affine = read_volume(file.effect, file.reading.effect)
    effect[~np.isfinite(effect)] = np.nan
    if file.variance is None:
        effect[effect == 0] = np.nan
        variance = None
    else:
        variance = _read_variance(file.variance, file.reading, effect, affine)
        effect[(effect == 0) & np.isnan(variance)] = np.nan
    if not np.isfinite(effect).any():
        raise InputError(f"{file.effect} has no data: every voxel is 0 or NaN. Leave the participant out.")
    return effect, variance, affine


def _read_variance(path: Path, reading: Reading, effect: Volume, affine: Matrix) -> Volume:
    """Return a variance map on the grid of its effect, NaN where it is unknown."""
    variance, own = read_volume(path, reading.variance)
    check_grid(path, variance.shape, own, whole_grid(effect.shape, affine), reference="its effect map")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        variance = np.square(effect / variance) if reading.variance_from == "t" else variance * reading.factor
    variance[~(np.isfinite(variance) & (variance > 0))] = np.nan
    return variance


def _read_dof(file: EstimateFile) -> float:
    if file.dof_map is None or not math.isnan(file.dof):
        return file.dof
    values, _ = read_volume(file.dof_map)
    # Its own grid does not matter; a dof of 0 stands for no data.
    values = values[np.isfinite(values) & (values > 0)]
    return float(np.median(values)) if values.size else math.nan


def _assemble(
    files: Sequence[EstimateFile], rows: list[Row], geometry: Geometry, coverage: Labels
) -> EffectStack:
    """Return the stack; each row is let go as soon as it is copied."""
    shape = (len(rows), geometry.n_points)
    effect = np.full(shape, np.nan, np.float32)
    any_variance = any(row[2] is not None for row in rows)
    variance = np.full(shape, np.nan, np.float32) if any_variance else None
    dof, shares = np.array([row[3] for row in rows]), np.empty(len(rows))
    common = 2 * coverage >= len(rows)
    for index in range(len(rows)):
        packed, values, variances, _ = rows.pop(0)
        there = np.unpackbits(packed, count=geometry.mask.size).astype(bool).reshape(geometry.mask.shape)
        shares[index] = there[common].mean() if common.any() else np.nan
        target, source = there[geometry.mask], geometry.mask[there]
        effect[index, target] = values[source]
        if variance is not None and variances is not None:
            variance[index, target] = variances[source]
    labels = tuple(map(_label, files))
    return EffectStack(labels, geometry, effect, variance, dof, coverage, shares)
