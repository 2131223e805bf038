"""Read a BOLD series as a stream: volumes are unpacked, smoothed and masked a block at a time.

The 4-D series is never held. A block has the file's stored units; ``slope`` and ``intercept`` turn them
into the image's. So integers and float32 values stay exact until the sums over time take them in.
"""

import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib

from bidsapp.errors import InputError
from bidsapp.records import Geometry

FWHM_PER_SIGMA = np.sqrt(8 * np.log(2))
# The Gaussian is cut at this many standard deviations, as scipy's filter and nilearn do.
KERNEL_REACH = 4.0
# Positions in mm (and mm per voxel) that two affines may differ by and still be the same grid.
AFFINE_TOLERANCE = 1e-3
# Volumes that are held at once; the 4-D series never is.
BLOCK_VOLUMES = 32
READ_ERRORS = (OSError, EOFError, zlib.error, isal_zlib.error)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One BOLD series, open for streaming.

    Attributes
    ----------
    slope, intercept : float
        Image value = slope * value in a block + intercept.
    empty : list of int
        Volumes (from 0) without any finite value, as far as the blocks have been read.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    slope: float
    intercept: float
    crop: tuple[slice, ...]
    kernels: tuple[np.ndarray, ...] | None
    index: np.ndarray
    n_threads: int
    empty: list[int] = field(default_factory=list)

    @property
    def n_volumes(self):
        """The number of volumes."""
        return self.shape[3]

    def blocks(self, n_volumes):
        """Yield the series in blocks of consecutive volumes.

        Yields
        ------
        ndarray of float32, shape (n_volumes or fewer, n_voxels)
            In stored units; valid until the next block is asked for. Non-finite values are zero.
        """
        starts = range(0, self.n_volumes, n_volumes)
        store = [np.empty((min(n_volumes, self.n_volumes), self.index.size), np.float32) for _ in "ab"]
        reader, workers = ThreadPoolExecutor(1), ThreadPoolExecutor(self.n_threads)
        free = SimpleQueue()
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
    def _volume_bytes(self):
        return int(np.prod(self.shape[:3])) * self.dtype.itemsize

    def _read_block(self, file, workers, free, where):
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

    def _unpack(self, raw, row, free, number):
        """Turn the bytes of volume ``number`` into one row of a block."""
        # A file lists x fastest, so its bytes are a (z, y, x) array in C order.
        stored = np.frombuffer(raw, self.dtype).reshape(self.shape[2::-1])[self.crop]
        with np.errstate(over="ignore", invalid="ignore"):
            volume = stored.astype(np.float32)
        free.put(raw)
        if self.dtype.kind == "f":
            finite = np.isfinite(volume)
            if not finite.all():
                volume[~finite] = -self.intercept / self.slope
            if not finite.any():
                self.empty.append(number)
        if self.kernels is not None:
            along_z, along_y, along_x = self.kernels
            volume = np.matmul(along_y, volume @ along_x.T)
            volume = along_z @ volume.reshape(len(volume), -1)
        np.take(volume.reshape(-1), self.index, out=row, mode="clip")


def open_series(path, geometry: Geometry, *, smoothing_fwhm_mm=0.0, n_threads=1):
    """Return a Series over the points of ``geometry``.

    Parameters
    ----------
    smoothing_fwhm_mm : float
        Full width at half maximum of a separable Gaussian in float32, mirrored at the edges of the
        image: nilearn's ``smooth_img``. 0: none.
    n_threads : int
        Threads that unpack and smooth; one more reads and decompresses.

    Raises
    ------
    InputError
        Where the file cannot be read, is not one 4-D NIfTI image, or is on another grid.
    """
    path = Path(path)
    image = _load(path)
    _check(image, geometry, path)
    scale = image.dataobj
    zooms = np.sqrt(np.sum(np.square(image.affine[:3, :3]), axis=0))
    sigmas = smoothing_fwhm_mm / (FWHM_PER_SIGMA * zooms)
    inner = [_extent(geometry.mask, axis) for axis in range(3)]
    outer, kernels = zip(*map(_make_kernel, sigmas, inner, geometry.mask.shape), strict=True)
    inside = geometry.mask[tuple(slice(*ends) for ends in inner)]
    # Positions in the (z, y, x) volume of the points in their own order: C order of (x, y, z).
    order = np.arange(inside.size, dtype=np.intp).reshape(inside.shape[::-1]).T
    return Series(
        path=path,
        shape=image.shape,
        dtype=image.header.get_data_dtype(),
        offset=int(scale.offset),
        slope=float(scale.slope),
        intercept=float(scale.inter),
        crop=tuple(slice(*ends) for ends in outer[::-1]),
        kernels=kernels[::-1] if smoothing_fwhm_mm > 0 else None,
        index=np.ascontiguousarray(order[inside]),
        n_threads=max(1, n_threads),
    )


def _load(path):
    """Return the image with its header read and its data not."""
    try:
        image = nib.load(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except (*READ_ERRORS, nib.filebasedimages.ImageFileError) as error:
        message = (
            f"{path} cannot be read as an image: its header is damaged or cut off ({error}). Restore it."
        )
        raise InputError(message) from error
    if not isinstance(image, nib.Nifti1Image):
        raise InputError(
            f"{path} is a {type(image).__name__}, not a single-file NIfTI image (.nii, .nii.gz)."
        )
    return image


def _check(image, geometry, path):
    """Raise InputError unless the image is a real 4-D series on the grid of the geometry."""
    if len(image.shape) != 4:
        raise InputError(
            f"{path} has {len(image.shape)} dimensions {image.shape}; a BOLD series has 4. "
            "Check that it is the preprocessed series, not its reference volume."
        )
    if image.header.get_data_dtype().kind not in "iuf":
        raise InputError(f"{path} holds {image.header.get_data_dtype()} values; expected real numbers.")
    same = image.shape[:3] == geometry.mask.shape and np.allclose(
        image.affine, geometry.affine, rtol=0, atol=AFFINE_TOLERANCE
    )
    if not same:
        raise InputError(
            f"{path} {image.shape[:3]} and its mask {geometry.mask.shape} are on different grids. "
            "Give a mask of the same space and resolution."
        )
    if not geometry.mask.any():
        raise InputError(f"The mask of {path} has no voxels. Give a mask that covers the brain.")


def _extent(mask, axis):
    """Return the first index of an axis that the mask reaches, and one past the last."""
    reached = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
    return (int(reached[0]), int(reached[-1]) + 1) if reached.size else (0, 0)


def _make_kernel(sigma, inner, size):
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


def _open(path):
    return igzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _read_exactly(file, buffer, series, volume):
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


def _read_end(file, series):
    """Read to the end of a compressed file, which checks its checksum."""
    try:
        file.read(1)
    except READ_ERRORS as error:
        raise _damaged(series, series.n_volumes, 0, error) from error


def _damaged(series, volume, filled, error):
    position = filled + (0 if volume is None else series.offset + volume * series._volume_bytes)
    total = series.offset + series.n_volumes * series._volume_bytes
    size = series.path.stat().st_size
    return InputError(
        f"{series.path} is damaged: reading stopped at byte {position:,} of {total:,} of the unpacked image "
        f"(volume {(volume or 0) + 1} of {series.n_volumes}; the file has {size:,} bytes): {error}. "
        "Restore the file."
    )
