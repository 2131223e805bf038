"""The order of a noise model that a repetition time asks for, and its error rate; imports nothing slow."""

import math

import numpy as np

from bidsapp.vocabulary.noise import MAX_ORDER, NOISE_MODELS

# Correlations of fMRI noise reach over some seconds, whatever the sampling: lags up to about 4 s make the
# misfit of an autoregressive process small at every repetition time (docs/noise.md, "Order").
SECONDS = 4.0
LEAST_ORDER = 4
# Short runs are right with fewer lags (docs/noise.md, "Short runs"). Those within these seconds are needed
# most: one for so many residual degrees of freedom beyond so many. Others need more.
DOF_PER_LAG, DOF_WITHOUT_LAG = 6, 20
DOF_PER_FURTHER_LAG = 18
# Voxels whose whitened residuals are looked at: the share outside a test is known to .007 where they are
# independent; and levels of the mean intensity that coefficients are smoothed in.
WATCHED_VOXELS, SMOOTHING_LEVELS = 1000, 8
NOMINAL_SIZE, WARN_ABOVE = 0.05, 0.06


def choose_order(repetition_time: float, dof: int, shortest: float = math.inf) -> int:
    """Return the order of ``auto``: lags up to 4 s, from 4 to 12; fewer where few residual dof are left.

    A run that is fitted with others has at least two volumes a lag.
    """
    # A repetition time of 0.8 s may be stored as 0.800000012.
    within = min(math.ceil(SECONDS / repetition_time - 1e-6), (dof - DOF_WITHOUT_LAG) // DOF_PER_LAG)
    order = max(within, min(LEAST_ORDER, dof // DOF_PER_FURTHER_LAG))
    return int(max(1, min(order, MAX_ORDER, shortest // 2)))


def most_lags(dof: int) -> int:
    """Return the highest order whose size is measured to be right with so many residual dof."""
    return max(1, (dof - DOF_WITHOUT_LAG) // DOF_PER_LAG, dof // DOF_PER_FURTHER_LAG)


def count_lags(
    name: str, repetition_time: float | None = None, dof: int | None = None, shortest: float = math.inf
) -> int:
    """Return the order of a noise model, which is the number of lags that it needs the sums for.

    Parameters
    ----------
    repetition_time : float
        Seconds; ``auto`` needs it.
    dof : int
        Volumes less the rank of the design; ``auto`` needs it.
    shortest : int
        Volumes of the shortest run that is fitted with others.
    """
    order = NOISE_MODELS[name].order
    if order is not None:
        return order
    if repetition_time is None or dof is None:
        raise ValueError(f"the order of {name} needs the repetition time and the degrees of freedom")
    return choose_order(repetition_time, dof, shortest)


def name_noise_model(name: str, order: int) -> str:
    """Return the name that says the order: ``auto`` and ``ar4`` are ``ar4-reml``."""
    return f"ar{order}-reml" if NOISE_MODELS[name].is_corrected else name


def expected_size(name: str, repetition_time: float) -> float:
    """Return the share of voxels without an effect with p < .05 that a noise model is measured to give."""
    measured = NOISE_MODELS[name].sizes
    if not measured:
        return NOMINAL_SIZE
    times, sizes = zip(*measured, strict=True)
    return float(np.interp(np.log(repetition_time), np.log(times), sizes))


def warn_of_size(name: str, repetition_time: float) -> str | None:
    """Return what a user of this noise model should know of its error rate, or None."""
    size = expected_size(name, repetition_time)
    if size <= WARN_ABOVE:
        return None
    return (
        f"the noise model {name} is too simple at a repetition time of {repetition_time:g} s: about "
        f"{100 * size:.0f} % of voxels without an effect have p < .05 (docs/noise.md). Use --noise-model "
        "auto."
    )
