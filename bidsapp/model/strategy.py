"""The named strategies of confounds, as ``motion24+acompcor5+scrub[0.5,1.5]``: what a text asks for."""

import re
from dataclasses import dataclass

from bidsapp.errors import SettingsError, near_or_known

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
MOTION_SUFFIXES = {
    "motion6": ("",),
    "motion12": ("", "_derivative1"),
    "motion24": ("", "_derivative1", "_power2", "_derivative1_power2"),
}
# Numbered columns: today's name and that before 1.2.
NUMBERED = {
    "acompcor": r"[acw]_comp_cor_\d+|aCompCor\d+",
    "tcompcor": r"t_comp_cor_\d+|tCompCor\d+",
    "aroma": r"aroma_motion_\d+|AROMAAggrComp\d+",
    "cosine": r"cosine_?\d+|Cosine\d+",
    "nonsteady": r"non_steady_state_outlier_?\d+|NonSteadyStateOutlier\d+",
}
NAMED = {"wmcsf": ("white_matter", "csf"), "globalsignal": ("global_signal",)}
# fMRIPrep's own thresholds for motion outliers: displacement in mm, standardised DVARS.
DEFAULT_SCRUB = (0.5, 1.5)
KNOWN = ("none", *MOTION_SUFFIXES, *NUMBERED, *NAMED, "scrub")


@dataclass(frozen=True, slots=True)
class Strategy:
    """Parts of a strategy with their numbers, None where the default counts: ``{"acompcor": 5}``.

    ``scrub`` is the pair of thresholds above which a volume is censored, or None.
    """

    text: str
    parts: dict[str, int | None]
    scrub: tuple[float, float] | None


def motion_columns(name: str) -> list[str]:
    """Return the columns of a strategy of motion."""
    return [f"{axis}{suffix}" for suffix in MOTION_SUFFIXES[name] for axis in MOTION]


def parse_strategy(text: str) -> Strategy:
    """Return the strategy of a text such as ``motion24+acompcor5+scrub[0.5,1.5]``.

    Raises
    ------
    SettingsError
    """
    parts, scrub = {}, None
    for word in re.split(r"\s*\+\s*", text.strip().lower()):
        name, numbers = _split(word)
        if name == "scrub":
            scrub = _thresholds(word, numbers)
        elif numbers is not None and (
            name not in ("acompcor", "tcompcor") or not numbers.isdecimal() or int(numbers) < 1
        ):
            raise SettingsError(f"--confounds: {word!r}: {name} takes no such number.")
        elif name != "none":
            parts[name] = None if numbers is None else int(numbers)
    motions = [name for name in parts if name in MOTION_SUFFIXES]
    if len(motions) > 1:
        raise SettingsError(f"--confounds: {' and '.join(motions)} exclude each other. Choose one.")
    return Strategy(text, parts, scrub)


def _split(word: str) -> tuple[str, str | None]:
    """Return the name of a part and its numbers as text, None where it has none."""
    if word in KNOWN:
        return word, None
    for name in KNOWN:
        rest = word.removeprefix(name)
        if rest != word and re.fullmatch(r"\[?[\d.,\s]*\]?", rest):
            return name, rest.strip("[] ") or None
    raise SettingsError(f"--confounds: unknown strategy {word!r}{near_or_known(word, KNOWN)}")


def _thresholds(word: str, numbers: str | None) -> tuple[float, float]:
    if numbers is None:
        return DEFAULT_SCRUB
    try:
        values = [float(part) for part in numbers.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or min(values) <= 0:
        raise SettingsError(f"--confounds: {word!r}: write scrub[FD,DVARS], for example scrub[0.5,1.5].")
    return (values[0], values[1] if len(values) == 2 else DEFAULT_SCRUB[1])
