"""How much memory a subject needs, forecast and measured."""

import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from bidsapp.errors import AppError
from bidsapp.inputs.images.read import read_header, read_mask
from bidsapp.inputs.images.series import BLOCK_VOLUMES
from bidsapp.records.maps import Run
from bidsapp.records.plan import RunFit, SubjectPlan
from bidsapp.settings.parts import RunOptions
from bidsapp.stats.noise.models import SMOOTHING_LEVELS, WATCHED_VOXELS, count_lags
from bidsapp.vocabulary.noise import NOISE_MODELS

# The interpreter with all libraries, compiled loops and a report, measured on Linux with the pinned packages.
BASE_GB = 0.29
DOUBLE, SINGLE = 8, 4
# Maps of doubles a voxel: of the fit (squares, ends, unit, quality), and of an estimate while written.
FIT_MAPS, ESTIMATE_MAPS = 24, 10
# Doubles a voxel and lag while noise is estimated (products, ends, coefficients of two rounds), a watched
# value (as read, as residual, whitened and its spectrum), and volumes while coefficients are smoothed.
LAG_MAPS, WATCHED_COPIES, SMOOTHED_VOLUMES = 8, 5, 4
# Copies of a whole volume that a thread holds while it smooths, and the writer while it packs.
VOLUME_COPIES = 4


@dataclass(frozen=True, slots=True)
class Shares:
    """How a job's processors and memory are shared out.

    Attributes
    ----------
    subjects, runs : int
        How many subjects are treated side by side, and how many runs of each.
    threads : int
        Of each run.
    forecast_gb : float
        The peak memory of the largest subject.
    """

    subjects: int
    runs: int
    threads: int
    forecast_gb: float


def share_out(subjects: Sequence[SubjectPlan], options: RunOptions, n_cpus: int, limit_gb: float) -> Shares:
    """Return the shares: first subjects side by side, then runs, then threads, as the memory allows."""
    if not subjects:
        return Shares(1, 1, n_cpus, 0.0)
    largest = find_largest(subjects)
    alone = forecast_gb(largest, options, 1, 1)
    n_subjects = max(1, min(n_cpus, len(subjects), int(limit_gb / alone)))
    threads = n_cpus // n_subjects
    for n_runs in range(min(threads, len(largest.runs)), 1, -1):
        forecast = forecast_gb(largest, options, n_runs, threads // n_runs)
        if n_subjects * forecast <= limit_gb:
            return Shares(n_subjects, n_runs, threads // n_runs, forecast)
    return Shares(n_subjects, 1, threads, forecast_gb(largest, options, 1, threads))


def forecast_gb(subject: SubjectPlan, options: RunOptions, n_runs: int, n_threads: int) -> float:
    """Return the peak memory of one subject in GB: its largest fits, and the estimates to be combined."""
    needs = [_fit_bytes(fit, options, n_threads) for fit in subject.runs]
    kept = sum(held for _, held in needs)
    peaks = sorted((peak for peak, _ in needs), reverse=True)
    return BASE_GB + (sum(peaks[:n_runs]) + kept) / 1e9


def find_largest(subjects: Sequence[SubjectPlan]) -> SubjectPlan:
    """Return the subject with the largest designs."""
    return max(subjects, key=lambda subject: sum(fit.design.matrix.size for fit in subject.runs))


def read_sizes(run: Run, known: dict[tuple[int, ...], int]) -> tuple[int, int]:
    """Return the voxels of a run's grid and of its mask, 0 where they cannot be read.

    Parameters
    ----------
    known : dict
        Shape of a grid -> voxels of its mask: one mask stands for all of the same grid.
    """
    try:
        shape = read_header(run.bold).shape[:3]
        if shape not in known:
            known[shape] = read_mask(run.mask).n_points
    except AppError:
        return 0, 0
    return prod(shape), known[shape]


def peak_gb() -> float:
    """Return the peak memory of this process so far in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def used_gb() -> float:
    """Return the memory of this process at this moment in GB (where the system does not tell, its peak)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return peak_gb()
    return pages * resource.getpagesize() / 1e9


def _fit_bytes(fit: RunFit, options: RunOptions, n_threads: int) -> tuple[int, int]:
    """Return the bytes of one fit at its peak, and of the estimates that it leaves."""
    grid, n_voxels = read_sizes(fit.runs[0], {})
    if not grid:
        return 0, 0
    rank = fit.design.matrix.shape[1] + int((~fit.keep).sum())
    times = [run.repetition_time for run in fit.runs]
    n_lags = count_lags(options.noise_model, min(times), len(fit.design.matrix) - rank)
    # The sums of more than one lag are in single precision; those of joined runs are added up.
    lags = n_lags * rank * (DOUBLE if n_lags < 2 else SINGLE)
    sums = n_voxels * (DOUBLE * (rank + 2) + lags) * len(fit.runs)
    blocks = 2 * BLOCK_VOLUMES * n_voxels * SINGLE + VOLUME_COPIES * (n_threads + 1) * grid * SINGLE
    fitted = n_voxels * DOUBLE * (rank + FIT_MAPS + LAG_MAPS * n_lags)
    fitted += _noise_bytes(options, len(fit.design.matrix), n_voxels, grid)
    rows = [len(contrast.weights) for contrast in fit.contrasts]
    # Degrees of freedom have a map where each voxel has its own.
    with_dof = int(NOISE_MODELS[options.noise_model].is_corrected)
    kept = n_voxels * DOUBLE * sum(n + n * n + with_dof for n in rows)
    # Of conditions with several columns their effects, and what the variance at a voxel needs.
    n_columns = sum(len(response.columns) for response in fit.responses)
    kept += n_voxels * (SINGLE * n_columns + bool(n_columns) * DOUBLE * (2 + n_lags))
    # The first component of a region needs the whole series, once as it is and once put together.
    held = 2 * n_voxels * len(fit.design.matrix) * SINGLE if fit.aggregate == "pca" else 0
    writing = n_threads * (n_voxels * DOUBLE * ESTIMATE_MAPS + VOLUME_COPIES * grid * SINGLE)
    return sums + max(blocks + held, fitted) + writing, kept


def _noise_bytes(options: RunOptions, n_volumes: int, n_voxels: int, grid: int) -> int:
    """Return the bytes of watched voxels, and of the levels that coefficients are smoothed in."""
    is_smoothed = options.noise_smoothing_fwhm > 0
    # The width of the noise is that of the watched voxels and their next neighbours along three axes.
    watched = min(WATCHED_VOXELS * (4 if is_smoothed else 1), n_voxels) * n_volumes * DOUBLE * WATCHED_COPIES
    levels = n_voxels * SMOOTHING_LEVELS + SMOOTHED_VOLUMES * grid
    return watched + is_smoothed * levels * DOUBLE
