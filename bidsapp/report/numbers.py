"""Numbers in sentences: a real minus, as many decimals as they can bear."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from bidsapp.report.drawing.scale import short
from bidsapp.report.linked.pack import printed_digits

# Of one estimate: the numerator's, where there is one, and the residual degrees of freedom.
Dof: TypeAlias = Sequence[float | None]


def decimals(value: float, digits: int) -> str:
    """Return a number with so many decimals."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "" if float(text) == 0 else "−")


def printed_decimals(error: float) -> int:
    """Return with how many decimals an estimate and its limits are printed: two digits of its error."""
    return int(printed_digits(np.array([error]))[0])


def size(value: float) -> str:
    """Return a positive number with three digits that count: ``0.0440``, ``12.3``, ``1,230``."""
    return f"{value:,.{int(np.clip(2 - np.floor(np.log10(value)), 0, 6))}f}" if value > 0 else "0"


def percent(share: float) -> str:
    """Return a share of 1 as ``31 %``; one that is there but rounds to none as ``< 1 %``."""
    return "< 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def real_minus(words: str) -> str:
    """Return a sum of names with real minus signs: ``A − 0.5 B``."""
    return f" {words}".replace(" - ", " − ")[1:]


def count(number: int, noun: str) -> str:
    """Return ``1 cluster``, ``1,234 voxels``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def readable(label: str) -> str:
    """Return a label of an atlas without underscores."""
    return label.replace("_", " ")


def with_dof(name: str, dof: Dof) -> str:
    """Return the name of a statistic with its degrees of freedom: ``t(12)``, ``F(2, 13.5)``, ``z``."""
    shown = [short(round(value, 1)) for value in dof if value is not None and np.isfinite(value)]
    return f"{name}({', '.join(shown)})" if shown and len(shown) == len(dof) else name
