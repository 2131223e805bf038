"""When the volumes of a run were acquired, from its sidecar and its image header."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bidsapp.errors import Caution, InputError
from bidsapp.inputs.dataset.index import is_finite
from bidsapp.records.collect import collect
from bidsapp.records.documents import Document
from bidsapp.records.maps import Run

# A header in "unknown" units with a TR above this holds milliseconds; a longer TR is not plausible.
LONGEST_REPETITION_TIME = 100.0
# Headers store the TR as float32 and some writers round it to a millisecond.
TOLERATED_DIFFERENCE = 0.002
UNIT_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


@dataclass(frozen=True, slots=True)
class Timing:
    """Frame k is at ``k * repetition_time + start_time`` seconds; ``source`` says why."""

    repetition_time: float
    start_time: float
    source: str
    notes: tuple[str, ...] = ()


def read_timing(metadata: Document, header_time: float, header_unit: str) -> Timing:
    """Return the timing of a run.

    The sidecar's RepetitionTime counts; the header's only where the sidecar has none. The start is the
    sidecar's StartTime; else half a TR where SliceTimingCorrected is true; else 0.

    Parameters
    ----------
    metadata : dict
        The run's sidecar, inherited fields included.
    header_time : float
        The time step of the header, in ``header_unit`` ("sec", "msec", "usec", "unknown").

    Raises
    ------
    InputError
        No usable TR, or volumes that are not equally spaced.
    """
    if "VolumeTiming" in metadata:
        raise InputError(
            "has VolumeTiming: its volumes are not equally spaced in time (sparse or clustered acquisition), "
            "which the noise models need. Leave the run out."
        )
    notes: list[str] = []
    from_header = _header_seconds(header_time, header_unit, notes)
    repetition_time = metadata.get("RepetitionTime")
    if repetition_time is None:
        repetition_time = from_header
        notes.append(
            Caution(
                f"no RepetitionTime in the sidecar: {from_header:g} s is taken from the image header, where "
                "some programs write 1 or 0. Give it in the JSON sidecar of the BOLD image."
            )
        )
    repetition_time = _checked_number("RepetitionTime", repetition_time)
    if not 0 < repetition_time <= LONGEST_REPETITION_TIME:
        raise InputError(
            f"has a RepetitionTime of {repetition_time:g} s. Give the right one, in seconds, in the JSON "
            "sidecar of the BOLD image."
        )
    if from_header > 0 and abs(from_header - repetition_time) > TOLERATED_DIFFERENCE * repetition_time:
        notes.append(
            Caution(
                f"RepetitionTime is {repetition_time:g} s in the sidecar and {from_header:g} s in the image "
                "header; the sidecar's is used"
            )
        )
    start_time, source = _start_time(metadata, repetition_time)
    if not 0 <= start_time <= repetition_time:
        notes.append(
            Caution(
                f"StartTime is {start_time:g} s in the sidecar, outside the first volume (0 to "
                f"{repetition_time:g} s): every event counts as {abs(start_time):g} s "
                f"{'later' if start_time < 0 else 'earlier'} in the series. Correct it where no volumes were "
                "removed."
            )
        )
    return Timing(repetition_time, start_time, source, tuple(notes))


def find_doubtful_times(runs: Sequence[Run]) -> dict[int, str]:
    """Return what is wrong with runs of which the header gives another TR than other runs of their task have.

    The other runs are those whose sidecars give one; where none does, a TR that most headers give.

    Returns
    -------
    dict of int to str
        Position in ``runs`` -> the fault, without the name of the run.
    """
    alike = collect(
        ((run.entities.get("task"), run.entities.get("acq")), number) for number, run in enumerate(runs)
    )
    faults = {}
    for numbers in alike.values():
        from_header = [n for n in numbers if runs[n].metadata.get("RepetitionTime") is None]
        known = [runs[n].repetition_time for n in numbers if n not in from_header]
        if not known:
            value, count = Counter(runs[n].repetition_time for n in numbers).most_common(1)[0]
            known = [value] if count > len(numbers) / 2 else []
        for number in from_header:
            own = runs[number].repetition_time
            if known and not any(abs(own - value) <= TOLERATED_DIFFERENCE * value for value in known):
                others = ", ".join(f"{value:g}" for value in sorted(set(known)))
                faults[number] = (
                    f"has no RepetitionTime in its sidecar: its image header says {own:g} s, other runs of "
                    f"the task have {others} s. Give the right one in the JSON sidecar of the BOLD image."
                )
    return faults


def _header_seconds(value: float, unit: str, notes: list[str]) -> float:
    """Return a header's time step in seconds, 0 where it has none."""
    value = float(value)
    if not 0 < value < float("inf"):
        return 0.0
    if unit not in UNIT_SECONDS and value > LONGEST_REPETITION_TIME:
        notes.append(f"the image header's time step {value:g} has no unit; taken as milliseconds")
        return value / 1000.0
    # The header holds a float32: 0.8 is 0.800000011920929.
    return float(f"{value * UNIT_SECONDS.get(unit, 1.0):.6g}")


def _start_time(metadata: Document, repetition_time: float) -> tuple[float, str]:
    if metadata.get("StartTime") is not None:
        return _checked_number("StartTime", metadata["StartTime"]), "StartTime of the sidecar"
    if metadata.get("SliceTimingCorrected") is True:
        return repetition_time / 2, "half a TR, for the slice times are corrected (SliceTimingCorrected)"
    return 0.0, "0, for the sidecar has neither StartTime nor SliceTimingCorrected"


def _checked_number(name: str, value: object) -> float:
    if not is_finite(value):
        raise InputError(
            f"has {name} {value!r} in its sidecar, which is not a number of seconds. Correct it."
        )
    return float(value)
