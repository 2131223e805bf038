"""A forecast of what the participant stage will cost, from headers, one mask a grid, and designs."""

from collections.abc import Sequence

from bidsapp.plan.memory import find_largest, forecast_gb, read_sizes
from bidsapp.records.plan import SubjectPlan
from bidsapp.settings.parts import RunOptions

# Seconds of one processor, from five analyses on a shared machine: 2 to 12 runs of 120 to 332 volumes, voxels
# of 4 to 2 mm, 12 to 117 estimates. They took 0.8 to 1.3 times the forecast, and 0.6 to 0.8 times its memory.
SECONDS_TO_START = 3.0
# Reading and smoothing, per voxel of the grid and volume; sums, per voxel of the mask, volume and column.
SECONDS_PER_VALUE, SECONDS_PER_PRODUCT = 6e-9, 5e-10
# Maps and figures of an estimate, and per voxel of it.
SECONDS_PER_ESTIMATE, SECONDS_PER_POINT = 0.035, 2.2e-6


def forecast_plan(subjects: Sequence[SubjectPlan], options: RunOptions) -> dict[str, float]:
    """Return the seconds of one processor for all subjects, and the memory in GB of the largest one."""
    if not subjects:
        return {"seconds": 0.0, "memory_gb": 0.0}
    sizes: dict[tuple[int, ...], int] = {}
    seconds = SECONDS_TO_START
    for subject in subjects:
        for fit in subject.runs:
            n_grid, n_voxels = read_sizes(fit.runs[0], sizes)
            n_volumes, n_columns = fit.design.matrix.shape
            seconds += n_volumes * (n_grid * SECONDS_PER_VALUE + n_voxels * n_columns * SECONDS_PER_PRODUCT)
            seconds += len(fit.contrasts) * (SECONDS_PER_ESTIMATE + n_voxels * SECONDS_PER_POINT)
        n_voxels = max((read_sizes(fit.runs[0], sizes)[1] for fit in subject.runs), default=0)
        n_combined = sum(len(fit.contrasts) for fit in subject.combinations)
        seconds += n_combined * (SECONDS_PER_ESTIMATE + n_voxels * SECONDS_PER_POINT)
    return {
        "seconds": round(seconds, 1),
        "memory_gb": round(forecast_gb(find_largest(subjects), options, 1, 1), 3),
    }
