"""Turn events into values at the volumes: convolved with a response, or sampled as they are."""

from collections.abc import Sequence

import numpy as np

from bidsapp.design.responses import MIN_ONSET, convolve_events, respond_to_event
from bidsapp.design.transformers.variables import Namespace, Variable
from bidsapp.records.arrays import Numbers
from bidsapp.records.plan import Response


def convolve_variable(
    variable: Variable, name: str, model: str, delays: Sequence[int], namespace: Namespace
) -> dict[str, Variable]:
    """Return the convolved variables of an event variable, by name.

    Parameters
    ----------
    model : str
        One of HRF_MODELS; derivatives give further variables, ``<name>_derivative`` and so on.
    delays : tuple of int
        For "fir", in volumes.
    """
    events, times = _events(variable, namespace), namespace.volume_times
    values, mixing = convolve_events(events, model, delays, times)
    names = response_names(name, model, delays)
    made = {key: Variable(key, column) for key, column in zip(names, values.T, strict=True)}
    duration = float(np.median(events[1])) if len(events[1]) else 0.0
    step = float(np.min(np.diff(times)))
    seconds, shapes = respond_to_event(model, delays, step, duration, mixing)
    namespace.responses[name] = Response(name, tuple(names), duration, seconds, shapes), made
    return made


def response_names(name: str, model: str, delays: Sequence[int] = ()) -> list[str]:
    """Return the names of the columns that a response gives one condition."""
    if model == "fir":
        return [f"{name}_delay_{delay}" for delay in delays]
    return [name, *(f"{name}_{part}" for part in model.split(" + ")[1:])]


def sample_variable(variable: Variable, frame_times: Numbers) -> Numbers:
    """Return a variable's values at the volumes, shape (n_volumes,).

    The value of a volume is the mean of the events over the repetition time around it; events add up
    where they overlap, and an event without duration lasts one volume.
    """
    if not variable.is_sparse:
        return np.nan_to_num(variable.values)
    step = float(np.min(np.diff(frame_times)))
    onset, duration = variable.events
    there = ~np.isnan(variable.values) & ~np.isnan(onset)
    onset, amplitude = onset[there], variable.values[there]
    duration = np.where(duration[there] > 0, duration[there], step)
    starts = frame_times[:, np.newaxis] - step / 2
    overlap = np.minimum(starts + step, onset + duration) - np.maximum(starts, onset)
    means: Numbers = np.clip(overlap, 0.0, None) @ amplitude / step
    return means


def _events(variable: Variable, namespace: Namespace) -> tuple[Numbers, Numbers, Numbers]:
    """Return onsets, durations and amplitudes; a dense variable is one event a volume."""
    times = namespace.volume_times
    if not variable.is_sparse:
        step = float(np.min(np.diff(times)))
        return times, np.full(len(times), step), np.nan_to_num(variable.values)
    onset, duration = variable.events
    there = ~np.isnan(variable.values) & ~np.isnan(onset)
    onset, duration = onset[there], np.nan_to_num(duration[there])
    amplitude = variable.values[there]
    real = amplitude != 0
    early = real & (onset < times[0] + MIN_ONSET)
    if early.any():
        namespace.notes.append(
            f"{early.sum()} events of {variable.name!r} begin more than {-MIN_ONSET:g} s before the first "
            "volume; only what is left of them then is used"
        )
    if (real & (duration <= 0)).any():
        # The column equals nilearn's; SPM's would be higher, and its effect smaller.
        namespace.notes.append(
            f"events of {variable.name!r} have no duration and last 1/50 of the repetition time: the unit of "
            "the effect is that of a long event, far above the change that is seen; t does not depend on it"
        )
    return onset, np.maximum(duration, 0.0), amplitude
