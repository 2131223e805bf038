"""The names of the noise models, and the order that a repetition time asks for; imports nothing slow."""

import math
import re
from typing import Literal, TypeAlias

from bidsapp.errors import SettingsError

Kind: TypeAlias = Literal["ols", "nilearn", "grid", "reml"]
# Correlations of fMRI noise reach over some seconds, whatever the sampling: lags up to about 4 s make the
# misfit of an autoregressive process small at every repetition time (docs/noise.md, "Order").
SECONDS = 4.0
LEAST_ORDER, MAX_ORDER = 4, 12
# Short runs are right with fewer lags (docs/noise.md, "Short runs"). Those within these seconds are needed
# most: one for so many residual degrees of freedom beyond so many. Others need more.
DOF_PER_LAG, DOF_WITHOUT_LAG = 6, 20
DOF_PER_FURTHER_LAG = 18
# Voxels whose whitened residuals are looked at: the share outside a test is known to .007 where they are
# independent; and levels of the mean intensity that coefficients are smoothed in.
WATCHED_VOXELS, SMOOTHING_LEVELS = 1000, 8
NOMINAL_SIZE, WARN_ABOVE = 0.05, 0.06
# Repetition time (s) and share of p < .05 without an effect, the mean over noise and designs of
# ``python -m benchmarks.noise_models`` (docs/noise.md); beyond the ends as at them.
MEASURED_SIZES: dict[Kind, tuple[tuple[float, float], ...]] = {
    "grid": ((0.35, 0.23), (0.5, 0.19), (0.8, 0.12), (1.0, 0.11), (1.5, 0.08), (2.0, 0.058)),
    "nilearn": ((0.35, 0.27), (0.5, 0.22), (0.8, 0.14), (1.0, 0.13), (1.5, 0.12), (2.0, 0.10)),
    "ols": ((0.35, 0.32), (0.5, 0.28), (0.8, 0.21), (1.0, 0.16), (1.5, 0.16), (2.0, 0.17)),
}
# The names without "-reml" that are kept from earlier versions.
MAX_SHORT_NAME = 6


def parse_noise_model(name: str) -> tuple[Kind, int | None]:
    """Return the kind ("ols", "nilearn", "grid" or "reml") and the order of a noise model.

    ``ols``; ``ar1``: nilearn's estimator; ``ar1-reml``: first order on a grid; ``ar2-reml`` to ``ar12-reml``
    (or ``ar2`` to ``ar6``): restricted likelihood with corrected variance; ``auto``: that with the order of
    ``choose_order`` (None here).
    """
    if name == "auto":
        return "reml", None
    if name == "ols":
        return "ols", 0
    if name in ("ar1", "ar1-reml"):
        return ("nilearn" if name == "ar1" else "grid"), 1
    match = re.fullmatch(r"ar([1-9]\d?)(-reml)?", name)
    if match and 2 <= int(match[1]) <= (MAX_ORDER if match[2] else MAX_SHORT_NAME):
        return "reml", int(match[1])
    raise SettingsError(
        f"Unknown noise model {name!r}. Use auto, ar1-reml to ar{MAX_ORDER}-reml, ar1, "
        f"ar2 to ar{MAX_SHORT_NAME}, or ols."
    )


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
    order = parse_noise_model(name)[1]
    if order is not None:
        return order
    if repetition_time is None or dof is None:
        raise ValueError(f"the order of {name} needs the repetition time and the degrees of freedom")
    return choose_order(repetition_time, dof, shortest)


def name_noise_model(name: str, order: int) -> str:
    """Return the name that says the order: ``auto`` and ``ar4`` are ``ar4-reml``."""
    return f"ar{order}-reml" if parse_noise_model(name)[0] == "reml" else name


def expected_size(name: str, repetition_time: float) -> float:
    """Return the share of voxels without an effect with p < .05 that a noise model is measured to give."""
    kind = parse_noise_model(name)[0]
    if kind == "reml":
        return NOMINAL_SIZE
    times, sizes = [time for time, _ in MEASURED_SIZES[kind]], [size for _, size in MEASURED_SIZES[kind]]
    place = math.log(min(max(repetition_time, times[0]), times[-1]))
    for k in range(1, len(times)):
        if place <= math.log(times[k]):
            low, high = math.log(times[k - 1]), math.log(times[k])
            return sizes[k - 1] + (sizes[k] - sizes[k - 1]) * (place - low) / (high - low)
    return sizes[-1]


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
