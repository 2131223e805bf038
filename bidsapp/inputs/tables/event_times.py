"""Whether the times of events can be meant, given how long their run lasts: often their unit is another."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bidsapp.errors import Caution, InputError
from bidsapp.inputs.tables.events import TRIAL_TYPE
from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.records.maps import Run

# Parts of a second that times are found in, the largest first.
UNITS = {10: "tenths of seconds", 100: "hundredths of seconds", 1000: "milliseconds", 10**6: "microseconds"}
LIKELY = {1000: "milliseconds", 10**6: "microseconds"}
# No response lasts longer; an event that ends earlier before the first volume leaves nothing in the run.
LONGEST_RESPONSE = 32.0
# Of the time with events of a condition, that with several at once; the rest is a condition as usual.
MOST_COVERED = 0.5
# Events of which none comes after this part of the run are few, or in minutes.
EARLY, FEW_EVENTS = 0.1, 4


def check_times(table: pd.DataFrame, run: Run) -> list[Caution]:
    """Return cautions on events of which times cannot be meant.

    Parameters
    ----------
    table : DataFrame
        As from `read_events`.
    run : Run

    Raises
    ------
    InputError
        Most events lie outside the run, or every one of several outlasts it; without the name of the run.
    """
    length = run.n_volumes * run.repetition_time
    onset = pd.to_numeric(table["onset"]).to_numpy(float) - run.start_time
    duration = pd.to_numeric(table["duration"]).fillna(0).to_numpy(float)
    cautions = [*_outside(onset, duration, length, run.start_time), *_too_long(duration, length)]
    cautions += _all_early(onset, duration, length)
    return cautions or _covered(table, onset, np.minimum(duration, length), length)


def _all_early(onset: Numbers, duration: Numbers, length: float) -> list[Caution]:
    """Return a caution where no event comes after the first part of the run."""
    end = (onset + duration).max(initial=-LONGEST_RESPONSE)
    if len(onset) < FEW_EVENTS or not 0 < end < EARLY * length:
        return []
    return [
        Caution(
            f"all {len(onset)} events lie in the first {end:,.3g} s of a run of {length:,g} s. "
            "Are the onsets in seconds?"
        )
    ]


def _outside(onset: Numbers, duration: Numbers, length: float, start: float) -> list[Caution]:
    late = onset > length
    outside = late | (onset + duration < -LONGEST_RESPONSE)
    if not outside.any():
        return []
    begins = f" that begins at {start:,g} s (StartTime)" if abs(start) > LONGEST_RESPONSE else ""
    first, last = onset.min() + start, onset.max() + start
    extremes = f"onsets from {first:,g} to {last:,g} s, a run of {length:,g} s{begins}"
    counted = f"{outside.sum()} of {len(onset)} events lie outside the run ({extremes})"
    if outside.sum() > len(onset) / 2:
        raise InputError(
            f"{counted}{_unit(onset.max(), length, UNITS)} Give onsets in seconds from the first volume."
        )
    what = "begin after its end" if late.sum() == outside.sum() else "end before it"
    return [Caution(f"{counted}: {outside.sum()} {what} and are not used. Are the onsets those of this run?")]


def _too_long(duration: Numbers, length: float) -> list[Caution]:
    long = duration > length
    if not long.any():
        return []
    counted = (
        f"{long.sum()} of {len(duration)} events last longer than the run (durations up to "
        f"{duration.max():,g} s, a run of {length:,g} s)"
    )
    if long.sum() > 1 and long.sum() == (duration > 0).sum():
        raise InputError(f"{counted}{_unit(duration.max(), length, LIKELY)} Give durations in seconds.")
    return [Caution(f"{counted}: their regressors do not vary as they should. Correct the durations.")]


def _unit(largest: float, length: float, units: Mapping[int, str]) -> str:
    """Return a question after the unit in which the largest time would fit into the run."""
    fits = [word for parts, word in units.items() if 0 < largest / parts <= length]
    return f"; are they {fits[0]}?" if fits else "."


def _covered(table: pd.DataFrame, onset: Numbers, duration: Numbers, length: float) -> list[Caution]:
    """Return a caution on conditions of which events are on at the same time for most of their time."""
    kinds = table[TRIAL_TYPE].to_numpy() if TRIAL_TYPE in table else np.full(len(table), "event", object)
    shares = {}
    for kind in pd.unique(kinds[pd.notna(kinds)]):
        mine = (kinds == kind) & (duration > 0)
        times = np.unique(np.column_stack([onset[mine], onset[mine] + duration[mine]]), axis=0)
        if len(times) > 1:
            shares[kind] = _share_covered(np.clip(times, 0, length))
    covered = [f"{kind} ({share:.0%})" for kind, share in shares.items() if share > MOST_COVERED]
    if not covered:
        return []
    return [
        Caution(
            "events of one condition are on at the same time for most of their time: "
            f"{', '.join(covered)}. Their responses add up. Are the durations in seconds?"
        )
    ]


def _share_covered(times: Matrix) -> float:
    """Return the part of the time with any event that has several; ``times`` has shape (n_events, 2)."""
    edges = times.T.ravel()
    order = np.argsort(edges, kind="stable")
    count = np.cumsum(np.repeat([1, -1], len(times))[order])[:-1]
    steps = np.diff(edges[order])
    on = steps[count > 0].sum()
    return steps[count > 1].sum() / on if on > 0 else 0.0
