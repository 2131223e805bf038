"""A series of any rate at the times of the volumes, without what the volumes are too slow to show.

Source: the windowed-sinc low-pass filter (Oppenheim and Schafer, Discrete-Time Signal Processing, 7).
"""

import numpy as np

from bidsapp.records.arrays import Numbers

# The filter reaches over this many volumes to each side: a fifth above half the volume rate it leaves less
# than 1 % of an oscillation, a fifth below it changes one by less than 1 %.
REACH_VOLUMES = 8


def resample_at(values: Numbers, sample_times: Numbers, frame_times: Numbers) -> Numbers:
    """Return an evenly sampled series at other times.

    Missing values are bridged by a straight line, and beyond its ends the series keeps its last value. A
    series that is sampled faster than the volumes is low-passed at half their rate, so that pulse and
    breathing do not come back as slow waves that nobody had.

    Parameters
    ----------
    values : ndarray, shape (n_samples,)
        NaN where missing; at least one is there.
    sample_times, frame_times : ndarray
        Seconds, increasing evenly; at least two frames.

    Returns
    -------
    ndarray, shape (n_frames,)
    """
    there = ~np.isnan(values)
    whole = np.interp(sample_times, sample_times[there], values[there])
    if len(whole) < 2:
        return np.full(len(frame_times), whole[0])
    step, volume = (float(times[1] - times[0]) for times in (sample_times, frame_times))
    if step >= volume:
        return np.interp(frame_times, sample_times, whole)
    # Imported when needed: few models have recordings, and every plan would wait for it.
    from scipy.interpolate import CubicSpline

    smooth = CubicSpline(sample_times, _low_pass(whole, step / volume))
    return smooth(np.clip(frame_times, sample_times[0], sample_times[-1]))


def _low_pass(series: Numbers, cutoff: float) -> Numbers:
    """Return a series without frequencies above ``cutoff`` times half of its own rate; ends are held."""
    from scipy.signal import fftconvolve, firwin

    reach = int(np.ceil(REACH_VOLUMES / cutoff))
    taps = firwin(2 * reach + 1, cutoff, window="hamming")
    return fftconvolve(np.pad(series, reach, mode="edge"), taps, mode="valid")
