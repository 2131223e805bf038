"""Conversions between t, F, z and p that lose nothing in the tails.

Every conversion goes through the logarithm of the smaller tail, so that a z of 38 and more (p below the
smallest double) keeps its digits. NaN passes through. ``dof`` may be a number or one value a voxel.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Values: TypeAlias = NDArray[np.floating]
# Below this log probability the direct tail functions come near the smallest normal double (log 2.2e-308)
# and lose digits; there the continued fraction in log space takes over.
SMALLEST_DIRECT = -650.0
# The continued fraction needs about sqrt(max(a, b)) steps; the limit serves a million degrees of freedom.
MAX_STEPS = 5000
# A step that changes less changes no digit of a double but the last.
STEP_TOLERANCE = 1e-15


def t_to_z(t: ArrayLike, dof: ArrayLike) -> Values:
    """Return the z-values whose one-sided p-values are those of t; the sign is kept."""
    t, dof = _floats(t, dof)
    return np.copysign(log_p_to_z(_log_upper_t(np.abs(t), dof)), t)


def f_to_z(f: ArrayLike, dof_numerator: ArrayLike, dof: ArrayLike) -> Values:
    """Return the z-values whose upper-tail p-values are those of F; negative where F is below its median."""
    f, dof_numerator, dof = _floats(f, dof_numerator, dof)
    log_upper, log_lower = _log_tails_f(f, dof_numerator, dof)
    is_upper = log_upper <= log_lower
    return np.where(is_upper, 1.0, -1.0) * log_p_to_z(np.where(is_upper, log_upper, log_lower))


def to_z(statistic: Values, test: str, dof: tuple[float, float]) -> Values:
    """Return z-values of the same p as t or F with degrees of freedom (numerator, residual); z as it is."""
    if test == "z":
        return statistic
    return t_to_z(statistic, dof[1]) if test == "t" else f_to_z(statistic, *dof)


def find_height(p: float, test: str, dof: tuple[float, float]) -> float:
    """Return the t, F or z with an upper-tail p."""
    if test == "F":
        return float(special.fdtri(*dof, 1 - p))
    return float(-special.stdtrit(dof[1], p) if test == "t" else -special.ndtri(p))


def z_to_log_p(z: ArrayLike, *, tail: str = "two") -> Values:
    """Return the natural logarithm of the p-values of z.

    Parameters
    ----------
    tail : {"two", "positive", "negative"}
        The alternative hypothesis.
    """
    (z,) = _floats(z)
    if tail == "two":
        log_p: Values = np.minimum(special.log_ndtr(-np.abs(z)) + np.log(2.0), 0.0)
        return log_p
    return special.log_ndtr(-z if tail == "positive" else z)


def log_p_to_z(log_p: ArrayLike) -> Values:
    """Return the z-values whose upper-tail p-values have these logarithms."""
    return -special.ndtri_exp(np.asarray(log_p, float))


def p_to_t(p: ArrayLike, dof: ArrayLike) -> Values:
    """Return the t-values with these one-sided upper-tail p-values."""
    return -special.stdtrit(*_floats(dof, p))


def _floats(*values: ArrayLike) -> tuple[Values, ...]:
    return tuple(np.asarray(value, float) for value in values)


def _log_upper_t(t: Values, dof: Values) -> Values:
    """Return log P(T > t) for t >= 0."""
    t, dof = np.broadcast_arrays(t, dof)
    with np.errstate(divide="ignore"):
        log_p = np.array(np.log(special.stdtr(dof, -t)))
    # Infinite degrees of freedom are the normal distribution.
    normal = np.isinf(dof)
    log_p[normal] = special.log_ndtr(-t[normal])
    tiny = (log_p < SMALLEST_DIRECT) & np.isfinite(t) & ~normal
    log_p[tiny] = _log_beta_fraction(0.5 * dof[tiny], 0.5, np.square(t[tiny]) / dof[tiny]) - np.log(2.0)
    return log_p


def _log_tails_f(f: Values, dof_numerator: Values, dof: Values) -> tuple[Values, Values]:
    """Return log P(F > f) and log P(F < f)."""
    f, dof_numerator, dof = np.broadcast_arrays(f, dof_numerator, dof)
    with np.errstate(divide="ignore"):
        upper = np.array(np.log(special.fdtrc(dof_numerator, dof, f)))
        lower = np.array(np.log(special.fdtr(dof_numerator, dof, f)))
    # Infinite degrees of freedom: F times its numerator's is chi-square.
    chi = np.isinf(dof)
    upper[chi], lower[chi] = _log_tails_chi_square(f[chi], dof_numerator[chi])
    tiny = (upper < SMALLEST_DIRECT) & np.isfinite(f) & ~chi
    half_numerator, half = 0.5 * dof_numerator[tiny], 0.5 * dof[tiny]
    upper[tiny] = _log_beta_fraction(half, half_numerator, f[tiny] * half_numerator / half)
    return upper, lower


def _log_tails_chi_square(f: Values, dof: Values) -> tuple[Values, Values]:
    """Return log P(X / dof > f) and log P(X / dof < f) of a chi-square variable X."""
    half, shape = 0.5 * f * dof, 0.5 * dof
    with np.errstate(divide="ignore"):
        upper, lower = np.log(special.gammaincc(shape, half)), np.log(special.gammainc(shape, half))
    tiny = (upper < SMALLEST_DIRECT) & np.isfinite(f)
    half, shape = half[tiny], shape[tiny]
    # DLMF 8.11.2; the terms fall by (shape - k) / half, far below 1 where the probability is tiny.
    term, series = np.ones_like(half), np.ones_like(half)
    for k in range(1, 40):
        term = term * (shape - k) / half
        series += term
    upper[tiny] = (shape - 1) * np.log(half) - half - special.gammaln(shape) + np.log(series)
    return upper, lower


def _log_beta_fraction(a: Values, b: Values | float, ratio: Values) -> Values:
    """Return log I_x(a, b) at x = 1 / (1 + ratio), the regularised incomplete beta function.

    By the continued fraction of DLMF 8.17.22 with Lentz's method; it converges fast for
    x < (a + 1) / (a + b + 2), which holds wherever the probability is tiny.
    """
    x = 1.0 / (1.0 + ratio)
    log_front = (
        -a * np.log1p(ratio) + b * (np.log(ratio) - np.log1p(ratio)) - np.log(a) - special.betaln(a, b)
    )
    c = np.ones_like(x)
    d = 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    fraction = d.copy()
    for m in range(1, MAX_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / (1.0 + term * d)
            c = 1.0 + term / c
            step = c * d
            fraction *= step
        if np.all(np.abs(step - 1.0) < STEP_TOLERANCE):
            break
    log_p: Values = log_front + np.log(fraction)
    return log_p
