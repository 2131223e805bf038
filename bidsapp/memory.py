"""How much memory a subject needs, forecast and measured."""

import resource
import sys

from bidsapp.errors import AppError
from bidsapp.inputs.images import read_header, read_mask
from bidsapp.run_series import BLOCK_VOLUMES
from bidsapp.stats.autocorrelation import count_lags

# The interpreter with all libraries, measured on Linux with the pinned packages.
BASE_GB = 0.30
DOUBLE, SINGLE = 8, 4
# Maps of doubles a voxel: of the fit (squares, ends, unit, quality), and of an estimate while written.
FIT_MAPS, ESTIMATE_MAPS = 24, 10
# Copies of a whole volume that a thread holds while it smooths, and the writer while it packs.
VOLUME_COPIES = 4


def forecast_gb(subject, settings, n_threads):
    """Return the peak memory of one subject in GB: the largest fit, and the estimates kept to be combined."""
    needs = [_fit_bytes(fit, settings, n_threads) for fit in subject.runs]
    kept = sum(held for _, held in needs)
    return BASE_GB + (max((peak for peak, _ in needs), default=0) + kept) / 1e9


def peak_gb():
    """Return the peak memory of this process so far in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def count_workers(subjects, settings, n_cpus, limit_gb):
    """Return how many subjects may run side by side, and the forecast of the largest."""
    if not subjects:
        return 1, 0.0
    largest = max(subjects, key=lambda subject: sum(fit.design.matrix.size for fit in subject.runs))
    forecast = forecast_gb(largest, settings, 1)
    return max(1, min(n_cpus, len(subjects), int(limit_gb / forecast))), forecast


def _fit_bytes(fit, settings, n_threads):
    """Return the bytes of one fit at its peak, and of the estimates that it leaves."""
    try:
        n_voxels = read_mask(fit.runs[0].mask).n_points
        grid = 1
        for size in read_header(fit.runs[0].bold).shape[:3]:
            grid *= size
    except AppError:
        return 0, 0
    rank = fit.design.matrix.shape[1] + int((~fit.keep).sum())
    n_lags = count_lags(settings.run.noise_model)
    sums = n_voxels * DOUBLE * ((n_lags + 1) * rank + 2) * len(fit.runs)
    blocks = 2 * BLOCK_VOLUMES * n_voxels * SINGLE + VOLUME_COPIES * (n_threads + 1) * grid * SINGLE
    fitted = n_voxels * DOUBLE * (rank + FIT_MAPS + 4 * n_lags)
    rows = [len(contrast.weights) for contrast in fit.contrasts]
    kept = n_voxels * DOUBLE * sum(n + n * n for n in rows)
    writing = n_voxels * DOUBLE * ESTIMATE_MAPS + VOLUME_COPIES * grid * SINGLE
    return sums + max(blocks, fitted) + writing, kept
