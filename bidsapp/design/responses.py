"""The haemodynamic responses, and their convolution with events.

All is done as nilearn 0.14 does it in ``hemodynamic_models``, whose import takes longer than a plan: the same
fine grid, kernels and resampling, so that columns equal those of ``make_first_level_design_matrix``. Words: a
kernel is a response on the fine grid, OVERSAMPLING samples a volume; delays are in seconds.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import lgamma
from typing import NamedTuple

import numpy as np

from bidsapp.records.arrays import Matrix, Numbers

# nilearn's defaults; an event that begins earlier, in seconds before the first volume, begins here.
MIN_ONSET = -24.0
OVERSAMPLING = 50
KERNEL_SECONDS = 32.0
# Steps of the finite differences that stand for derivatives: seconds, and of the dispersion.
TIME_STEP = 0.1
DISPERSION_STEP = 0.01
# A drawn response has about so many seconds between its points.
DRAWN_STEP = 0.5


class Shape(NamedTuple):
    """A response: peak and undershoot in seconds, their dispersions, and the undershoot's share."""

    peak: float
    undershoot: float
    widths: tuple[float, float]
    share: float


# SPM; Glover 1999. The derivative by the dispersion varies that of the peak and leaves that of the undershoot
# at 1.
SHAPES = {
    "spm": Shape(peak=6.0, undershoot=16.0, widths=(1.0, 1.0), share=0.167),
    "glover": Shape(peak=6.0, undershoot=12.0, widths=(0.9, 0.9), share=0.48),
}


def sample_events(
    onset: Numbers, duration: Numbers, amplitude: Numbers, frame_times: Numbers
) -> tuple[Numbers, Numbers]:
    """Return a boxcar of events on the fine grid, and the times of the grid.

    Parameters
    ----------
    onset, duration, amplitude : ndarray, shape (n_events,)
        Seconds; an event lasts at least one sample of the grid.
    frame_times : ndarray, shape (n_volumes,)
    """
    n_volumes = len(frame_times)
    # Rounded in nilearn's order: half a sample more or less would shift the whole grid.
    first, end = frame_times[0] + MIN_ONSET, frame_times[-1] * (1 + 1.0 / (n_volumes - 1))
    per_second = (n_volumes - 1) / (frame_times[-1] - frame_times[0])
    n_samples = per_second * ((end - frame_times[0] - MIN_ONSET) * OVERSAMPLING) + 1
    grid = np.linspace(first, end, int(np.rint(n_samples)))
    last = len(grid) - 1
    begins = np.minimum(np.searchsorted(grid, onset), last)
    ends = np.minimum(np.searchsorted(grid, onset + duration), last)
    ends[(ends == begins) & (ends < last)] += 1
    changes = np.zeros(len(grid))
    np.add.at(changes, begins, amplitude)
    np.subtract.at(changes, ends, amplitude)
    return np.cumsum(changes), grid


def convolve_events(
    events: tuple[Numbers, Numbers, Numbers], model: str, delays: Sequence[int], frame_times: Numbers
) -> tuple[Matrix, Matrix]:
    """Return the convolved columns of events, and what makes them of the columns of the kernels.

    Shapes (n_volumes, n_columns) and (n_columns, n_columns).

    Parameters
    ----------
    events : tuple of ndarray
        Onsets, durations, amplitudes.
    model : str
        One of HRF_MODELS; derivatives follow the response, made orthogonal to the columns before them.
    delays : tuple of int
        For "fir", in volumes.
    """
    boxcar, grid = sample_events(*events, frame_times)
    if model == "fir":
        columns = [_fir_column(boxcar, grid, delay, frame_times) for delay in delays]
        return np.column_stack(columns), np.eye(len(columns))
    kernels = make_kernels(model, float(np.min(np.diff(frame_times))))
    fine = [np.convolve(boxcar, kernel)[: len(grid)] for kernel in kernels]
    return _orthogonalize(np.column_stack([np.interp(frame_times, grid, values) for values in fine]))


def respond_to_event(
    model: str, delays: Sequence[int], repetition_time: float, duration: float, mixing: Matrix
) -> tuple[Numbers, Matrix]:
    """Return what the columns of ``convolve_events`` say of the response to one event.

    Parameters
    ----------
    model, delays
        As there; a column of "fir" is the response at its delay.
    repetition_time, duration : float
        In seconds; of the event.
    mixing : ndarray, shape (n_columns, n_columns)
        As from there.

    Returns
    -------
    seconds : ndarray, shape (n_times,)
        After the onset.
    shapes : ndarray, shape (n_times, n_columns)
        Times the parameters of the columns they add up to the response.
    """
    if model == "fir":
        return np.asarray(delays, float) * repetition_time, mixing
    step = repetition_time / OVERSAMPLING
    event = np.ones(max(round(duration / step), 1))
    fine = np.column_stack([np.convolve(event, kernel) for kernel in make_kernels(model, repetition_time)])
    every = max(round(DRAWN_STEP / step), 1)
    return np.arange(len(fine))[::every] * step, fine[::every] @ mixing


@lru_cache
def make_kernels(model: str, repetition_time: float) -> list[Numbers]:
    """Return the kernels of a response, ``"spm + derivative"`` and so on, as a list of arrays."""
    base, *parts = model.split(" + ")
    shape, step = SHAPES[base], repetition_time / OVERSAMPLING
    kernel = _double_gamma(step, shape)
    made = [kernel]
    if "derivative" in parts:
        made.append((kernel - _double_gamma(step, shape, later=TIME_STEP)) / TIME_STEP)
    if "dispersion" in parts:
        width = shape.widths[0]
        widths = [(width, 1.0), (width + DISPERSION_STEP, 1.0)]
        pair = [_double_gamma(step, shape._replace(widths=pair)) for pair in widths]
        made.append((pair[0] - pair[1]) / DISPERSION_STEP)
    return made


def _double_gamma(step: float, shape: Shape, later: float = 0.0) -> Numbers:
    """Return a gamma density less a share of a later one, with sum 1."""
    times = np.linspace(0, KERNEL_SECONDS, int(np.rint(KERNEL_SECONDS / step))) - later
    rise, fall = (
        _gamma_density((times - step) / width, delay / width) / width
        for delay, width in zip((shape.peak, shape.undershoot), shape.widths, strict=True)
    )
    kernel = rise - shape.share * fall
    made: Numbers = kernel / kernel.sum()
    return made


def _gamma_density(x: Numbers, shape: float) -> Numbers:
    x = np.maximum(x, 0.0)
    density: Numbers = x ** (shape - 1) * np.exp(-x - lgamma(shape))
    return density


def _fir_column(boxcar: Numbers, grid: Numbers, delay: int, frame_times: Numbers) -> Numbers:
    kernel = np.concatenate([np.zeros(delay * OVERSAMPLING), np.full(OVERSAMPLING, 1.0 / OVERSAMPLING)])
    fine = np.convolve(boxcar, kernel)[: len(grid)]
    # The mean over the volume that begins at a time, not the one that ends there.
    return np.interp(frame_times, grid[: 1 - OVERSAMPLING], fine[OVERSAMPLING - 1 :])


def _orthogonalize(columns: Matrix) -> tuple[Matrix, Matrix]:
    """Take from each column what those before it explain; return what is left, and columns -> these."""
    columns, mixing = columns.copy(), np.eye(columns.shape[1])
    for index in range(1, columns.shape[1]):
        before = columns[:, :index]
        inverse = np.linalg.pinv(before)
        mixing[:, index] -= mixing[:, :index] @ (inverse @ columns[:, index])
        columns[:, index] -= columns[:, index] @ before @ inverse
    return columns, mixing
