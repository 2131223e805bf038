"""Read a BOLD series as a stream: volumes are unpacked, smoothed and masked a block at a time.

The 4-D series is never held. A block has the file's stored units; ``slope`` and ``intercept`` turn them
into the image's. So integers and float32 values stay exact until the sums over time take them in.
"""

import zlib
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, TypeAlias

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from bidsapp.errors import InputError
from bidsapp.inputs.fetched import check_fetched
from bidsapp.inputs.images.read import AFFINE_TOLERANCE_MM, check_claim
from bidsapp.inputs.images.resampling import FWHM_PER_SIGMA
from bidsapp.records.arrays import Labels, Map, Maps, Mask
from bidsapp.records.maps import Geometry

# The Gaussian is cut at this many standard deviations, as scipy's filter and nilearn do.
KERNEL_REACH = 4.0
# Rows of a smoothing matrix that are multiplied together, as what is not zero in them is near by; where a
# slice of the volume has so many voxels.
BAND, LEAST_SLICE = 20, 3000
# Volumes that are held at once; the 4-D series never is.
BLOCK_VOLUMES = 32
# A volume with a smaller part of its mask is of no use; a voxel without a value in a better one is left out.
LEAST_OF_VOLUME = 0.5
# So many voxels do not have the same value by chance.
LEAST_VOXELS = 10
# Points of the mask that are looked at first, to see whether a volume has one value only.
PROBES = 64
# isal's types say that its class of errors is an error.
IsalError: type[Exception] = isal_zlib.error  # type: ignore[assignment]
READ_ERRORS: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, IsalError)
HEADER_ERRORS: tuple[type[Exception], ...] = (*READ_ERRORS, nib.filebasedimages.ImageFileError)
# Shape (z, y, x), and the matrices that smooth it along each of these axes.
Volume: TypeAlias = NDArray[np.float32]
Kernels: TypeAlias = tuple[NDArray[np.float32], ...]


@dataclass(slots=True, eq=False)
class Gaps:
    """What a series lacks, as far as it has been read, apart from its dropped volumes.

    Attributes
    ----------
    inside : ndarray of bool, shape (z, y, x)
        The voxels of the mask in the part of the volume that is read.
    dropped : frozenset of int
        Volumes that do not count.
    volumes : list of int
        Volumes (from 0) that have one value in the whole mask, or none in most of it.
    voxels : ndarray of bool, shape (z, y, x)
        Voxels of the mask without a finite value in any other volume.
    """

    inside: Mask
    dropped: frozenset[int]
    volumes: list[int] = field(default_factory=list)
    voxels: Mask = field(init=False)
    probes: Labels = field(init=False)
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.voxels = np.zeros_like(self.inside)
        points = np.flatnonzero(self.inside)
        self.probes = points[np.linspace(0, len(points) - 1, PROBES).astype(int)]

    def look(self, number: int, volume: Volume, finite: Mask | None) -> None:
        """Note what a volume lacks; ``finite`` says where it has a value (None: everywhere)."""
        if number in self.dropped:
            return
        missing = None if finite is None else ~finite & self.inside
        probed = volume.reshape(-1)[self.probes]
        suspect = (probed == probed[0]).all() or (missing is not None and missing.any())
        if suspect and _is_empty(volume[self.inside]):
            self.volumes.append(number)
        elif missing is not None:
            with self.lock:
                self.voxels |= missing

    @property
    def points(self) -> Mask:
        """The voxels without a value as points of the mask, shape (n_points,)."""
        return self.voxels.T[self.inside.T]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One BOLD series, open for streaming.

    Attributes
    ----------
    slope, intercept : float
        Image value = slope * value in a block + intercept.
    gaps : Gaps
    without : ndarray of bool, shape (z, y, x), or None
        Voxels that are left out: zero in every block, and no part of what is smoothed.
    weights : ndarray, shape (n_voxels,), or None
        The part of a voxel's smoothing kernel that is there.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    crop: tuple[slice, ...]
    kernels: Kernels | None
    index: Labels
    n_threads: int
    gaps: Gaps
    without: Mask | None = None
    weights: Map | None = None

    @property
    def n_volumes(self) -> int:
        """The number of volumes."""
        return self.shape[3]

    def blocks(self, n_volumes: int) -> Iterator[Maps]:
        """Yield the series in blocks of consecutive volumes.

        Yields
        ------
        ndarray of float32, shape (n_volumes or fewer, n_voxels)
            In stored units; valid until the next block is asked for. Values that are not finite count as
            zero, and are noted in ``gaps`` where they are in the mask.
        """
        starts = range(0, self.n_volumes, n_volumes)
        store = [np.empty((min(n_volumes, self.n_volumes), self.index.size), np.float32) for _ in "ab"]
        reader, workers = ThreadPoolExecutor(1), ThreadPoolExecutor(self.n_threads)
        free: SimpleQueue[bytearray] = SimpleQueue()
        for _ in range(self.n_threads + 2):
            free.put(bytearray(self._volume_bytes))
        try:
            with _open(self.path) as file:
                _read_exactly(file, bytearray(self.offset), self, None)
                pending = reader.submit(self._read_block, file, workers, free, (0, store[0]))
                for number, start in enumerate(starts):
                    block, tasks = pending.result()
                    following = start + n_volumes
                    if following < self.n_volumes:
                        pending = reader.submit(
                            self._read_block, file, workers, free, (following, store[1 - number % 2])
                        )
                    for task in tasks:
                        task.result()
                    yield block
                _read_end(file, self)
        finally:
            reader.shutdown(cancel_futures=True)
            workers.shutdown(cancel_futures=True)

    @property
    def _volume_bytes(self) -> int:
        return int(np.prod(self.shape[:3])) * self.dtype.itemsize

    def _read_block(
        self,
        file: BufferedIOBase,
        workers: ThreadPoolExecutor,
        free: SimpleQueue[bytearray],
        where: tuple[int, Maps],
    ) -> tuple[Maps, list[Future[None]]]:
        """Read the volumes of one block and hand each to a worker; return the block and the tasks."""
        start, store = where
        block = store[: self.n_volumes - start]
        tasks = []
        for number, row in enumerate(block):
            raw = free.get()
            try:
                _read_exactly(file, raw, self, start + number)
            except InputError:
                free.put(raw)
                raise
            tasks.append(workers.submit(self._unpack, raw, row, free, start + number))
        return block, tasks

    def _unpack(self, raw: bytearray, row: Map, free: SimpleQueue[bytearray], number: int) -> None:
        """Turn the bytes of volume ``number`` into one row of a block."""
        # A file lists x fastest, so its bytes are a (z, y, x) array in C order.
        stored = np.frombuffer(raw, self.dtype).reshape(self.shape[2::-1])[self.crop]
        with np.errstate(over="ignore", invalid="ignore"):
            volume = stored.astype(np.float32)
        free.put(raw)
        finite = np.isfinite(volume) if self.dtype.kind == "f" else None
        finite = None if finite is None or finite.all() else finite
        self.gaps.look(number, volume, finite)
        if finite is not None:
            volume[~finite] = -self.intercept / self.slope
        if self.without is not None:
            volume[self.without] = 0.0
        if self.kernels is not None:
            volume = smooth_volume(volume, self.kernels)
        np.take(volume.reshape(-1), self.index, out=row, mode="clip")
        if self.weights is not None:
            row *= self.weights


def _is_empty(values: Map) -> bool:
    """Tell whether the values of a mask are one value only, or mostly missing."""
    there = values[np.isfinite(values)]
    if len(there) < LEAST_OF_VOLUME * len(values):
        return True
    return len(there) >= LEAST_VOXELS and there.min() == there.max()


def smooth_volume(volume: Volume, kernels: Kernels) -> Volume:
    """Return a volume (z, y, x) smoothed along each axis by a matrix, shape (z, y * x)."""
    along_z, along_y, along_x = kernels
    # Small matrices are multiplied by other code: what is done together would change a last bit there.
    is_small = volume[0].size < LEAST_SLICE
    rows = volume if is_small else volume.reshape(-1, volume.shape[2])
    smoothed = (rows @ along_x.T).reshape(*volume.shape[:2], -1)
    slices = np.matmul(along_y, smoothed).reshape(len(volume), -1)
    smoothed = np.empty((len(along_z), slices.shape[1]), np.float32)
    size = len(along_z) if is_small else BAND
    for start in range(0, len(along_z), size):
        band = along_z[start : start + size]
        reached = np.flatnonzero(band.any(axis=0))
        near = slice(reached[0], reached[-1] + 1)
        np.matmul(band[:, near], slices[near], out=smoothed[start : start + size])
    return smoothed


def open_series(
    path: Path | str,
    geometry: Geometry,
    *,
    smoothing_fwhm_mm: float = 0.0,
    n_threads: int = 1,
    dropped: Collection[int] = (),
    without: Mask | None = None,
) -> Series:
    """Return a Series over the points of ``geometry``.

    Parameters
    ----------
    smoothing_fwhm_mm : float
        Full width at half maximum of a separable Gaussian in float32, mirrored at the edges of the
        image: nilearn's ``smooth_img``. 0: none.
    n_threads : int
        Threads that unpack and smooth; one more reads and decompresses.
    dropped : collection of int
        Volumes of which gaps do not count.
    without : ndarray of bool, shape (n_points,), or None
        Points that are left out, as they have no value at some volume: zero in every block, and their
        neighbours are smoothed by what else is there.

    Raises
    ------
    InputError
        Where the file cannot be read, is not one 4-D NIfTI image, or is on another grid.
    """
    path = Path(path)
    image = _load(path)
    _check(image, geometry, path)
    scale = image.dataobj
    assert isinstance(scale, nib.arrayproxy.ArrayProxy)  # as of any image that was loaded
    zooms = np.sqrt(np.sum(np.square(image.affine[:3, :3]), axis=0))
    sigmas = smoothing_fwhm_mm / (FWHM_PER_SIGMA * zooms)
    inner = [_extent(geometry.mask, axis) for axis in range(3)]
    outer, kernels = zip(*map(_make_kernel, sigmas, inner, geometry.mask.shape), strict=True)
    inside = geometry.mask[tuple(slice(*ends) for ends in inner)]
    crop = tuple(slice(*ends) for ends in outer[::-1])
    smoothing = kernels[::-1] if smoothing_fwhm_mm > 0 else None
    # Positions in the (z, y, x) volume of the points in their own order: C order of (x, y, z).
    order = np.arange(inside.size, dtype=np.intp).reshape(inside.shape[::-1]).T
    index = np.ascontiguousarray(order[inside])
    gaps = Gaps(np.ascontiguousarray(geometry.mask.T[crop]), frozenset(dropped))
    without, weights = _leave_out(without, gaps.inside, smoothing, index)
    return Series(
        path=path,
        shape=image.shape,
        dtype=image.header.get_data_dtype(),
        offset=int(scale.offset),
        slope=float(scale.slope),
        intercept=float(scale.inter),
        crop=crop,
        kernels=smoothing,
        index=index,
        n_threads=n_threads,
        gaps=gaps,
        without=without,
        weights=weights,
    )


def _leave_out(
    without: Mask | None, inside: Mask, kernels: Kernels | None, index: Labels
) -> tuple[Mask | None, Map | None]:
    """Return the points to leave out as a volume, and what the others' smoothed values are multiplied by."""
    if without is None or not without.any():
        return None, None
    volume = np.zeros(inside.shape[::-1], bool)
    volume[inside.T] = without
    volume = np.ascontiguousarray(volume.T)
    weights = np.ones(len(index), np.float32)
    if kernels is not None:
        there = smooth_volume((~volume).astype(np.float32), kernels).reshape(-1)[index]
        weights = np.divide(1.0, there, out=np.zeros_like(there), where=there > 0)
    weights[without] = 0.0
    return volume, weights


def _load(path: Path) -> nib.Nifti1Image:
    """Return the image with its header read and its data not."""
    check_fetched(path)
    try:
        image = nib.load(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except HEADER_ERRORS as error:
        message = (
            f"{path} cannot be read as an image: its header is damaged or cut off ({error}). Restore it."
        )
        raise InputError(message) from error
    if not isinstance(image, nib.Nifti1Image):
        raise InputError(
            f"{path} is a {type(image).__name__}, not a single-file NIfTI image (.nii, .nii.gz)."
        )
    check_claim(path, image)
    return image


def _check(image: nib.Nifti1Image, geometry: Geometry, path: Path) -> None:
    """Raise InputError unless the image is a real 4-D series on the grid of the geometry."""
    if len(image.shape) != 4:
        raise InputError(
            f"{path} has {len(image.shape)} dimensions {image.shape}; a BOLD series has 4. "
            "Check that it is the preprocessed series, not its reference volume."
        )
    if image.header.get_data_dtype().kind not in "iuf":
        raise InputError(f"{path} holds {image.header.get_data_dtype()} values; expected real numbers.")
    same = image.shape[:3] == geometry.mask.shape and np.allclose(
        image.affine, geometry.affine, rtol=0, atol=AFFINE_TOLERANCE_MM
    )
    if not same:
        raise InputError(
            f"{path} {image.shape[:3]} and its mask {geometry.mask.shape} are on different grids. "
            "Give a mask of the same space and resolution."
        )
    if not geometry.mask.any():
        raise InputError(f"The mask of {path} has no voxels. Give a mask that covers the brain.")


def _extent(mask: Mask, axis: int) -> tuple[int, int]:
    """Return the first index of an axis that the mask reaches, and one past the last."""
    reached = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
    return int(reached[0]), int(reached[-1]) + 1


def _make_kernel(
    sigma: float, inner: tuple[int, int], size: int
) -> tuple[tuple[int, int], NDArray[np.float32]]:
    """Return the input range and the matrix (n_out, n_in) that smooth one axis at the indices ``inner``.

    A matrix product is faster than a running filter here, needs no compiler, and does the edges exactly.
    """
    reach = int(KERNEL_REACH * sigma + 0.5)
    steps = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * np.square(steps / sigma)) if reach else np.ones(1)
    weights /= weights.sum()
    matrix = np.zeros((size, size))
    for step, weight in zip(steps, weights, strict=True):
        source = np.arange(size) + step
        # Mirrored about the edge, the edge voxel repeated: (d c b a | a b c d | d c b a).
        source = np.mod(source, 2 * size)
        source = np.minimum(source, 2 * size - 1 - source)
        matrix[np.arange(size), source] += weight
    outer = max(inner[0] - reach, 0), min(inner[1] + reach, size)
    if reach >= size:
        outer = 0, size
    return outer, np.ascontiguousarray(matrix[slice(*inner), slice(*outer)], np.float32)


def _open(path: Path) -> BufferedIOBase:
    return igzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _read_exactly(file: BufferedIOBase, buffer: bytearray, series: Series, volume: int | None) -> None:
    """Fill a buffer from a file, or raise InputError that names the file and the byte."""
    view = memoryview(buffer)
    filled = 0
    try:
        while filled < len(view):
            n_read = file.readinto(view[filled:])
            if not n_read:
                raise EOFError("the data end too early")
            filled += n_read
    except READ_ERRORS as error:
        raise _damaged(series, volume, filled, error) from error


def _read_end(file: BufferedIOBase, series: Series) -> None:
    """Read to the end of a compressed file, which checks its checksum."""
    try:
        file.read(1)
    except READ_ERRORS as error:
        raise _damaged(series, series.n_volumes, 0, error) from error


def _damaged(series: Series, volume: int | None, filled: int, error: BaseException) -> InputError:
    position = filled + (0 if volume is None else series.offset + volume * series._volume_bytes)
    total = series.offset + series.n_volumes * series._volume_bytes
    size = series.path.stat().st_size
    return InputError(
        f"{series.path} is damaged: reading stopped at byte {position:,} of {total:,} of the unpacked image "
        f"(volume {(volume or 0) + 1} of {series.n_volumes}; the file has {size:,} bytes): {error}. "
        "Restore the file."
    )
