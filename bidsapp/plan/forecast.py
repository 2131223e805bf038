"""A rough forecast of what a run will cost, from headers and designs only."""

from dataclasses import dataclass

from bidsapp.errors import AppError
from bidsapp.inputs.images import read_header

# Assumed orders of magnitude for one processor, to tell minutes from hours: decompression and smoothing, per
# voxel and volume; the sums of the model, per voxel, volume and column.
SECONDS_PER_VALUE = 4e-8
SECONDS_PER_PRODUCT = 1e-9
# Volumes of the series that are held at once, and maps that a model needs besides its coefficients.
VOLUMES_HELD = 32
MAPS_HELD = 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one processor, and gigabytes."""

    seconds: float
    memory_gb: float


def forecast_run(fit):
    """Return the cost of a run fit; the whole grid counts, as no mask is read."""
    try:
        shape = read_header(fit.runs[0].bold).shape
    except AppError:
        return Cost(0.0, 0.0)
    n_voxels = shape[0] * shape[1] * shape[2]
    n_volumes, n_columns = fit.design.matrix.shape
    n_effects = sum(len(contrast.weights) for contrast in fit.contrasts)
    seconds = n_voxels * n_volumes * (SECONDS_PER_VALUE + n_columns * SECONDS_PER_PRODUCT)
    held = VOLUMES_HELD + MAPS_HELD + 2 * n_columns + 2 * n_effects
    return Cost(seconds, n_voxels * held * 8 / 1e9)
