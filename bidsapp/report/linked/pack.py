"""Arrays as text that a page holds: bytes in planes, gzip, base64. Equal arrays are held once."""

import base64
import gzip
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from bidsapp.records.arrays import Labels, Map, Maps
from bidsapp.records.documents import Document

# Printed digits: a statistic in thousandths, p in ten thousandths below .001 and thousandths above.
STATISTIC_STEP, SIZE_STEP, DOF_STEP, P_STEPS = 0.001, 0.01, 0.1, 10_000
# A share of shuffles may be this far from a whole count, from its storage as -log10 in float32.
COUNT_TOLERANCE = 0.1
# Where p has four digits: what has three, .001 or more.
FOUR_DIGITS = 0.00095
NONE_8, TOP_8 = 255, 254


@dataclass(slots=True)
class Parts:
    """The arrays of a page by the digest of their text."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, values: NDArray[np.generic], step: float = 1.0) -> Document:
        """Keep whole numbers; return how a page finds and reads them: number times ``step``."""
        text = pack(values)
        key = blake2b(text.encode(), digest_size=8).hexdigest()
        self.texts[key] = text
        return {"part": key, "type": values.dtype.name, "step": step}


def pack(values: NDArray[np.generic]) -> str:
    """Return an array as text: first the first bytes of all numbers, then the second: they pack small."""
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
    planes = little.ravel().view("u1").reshape(-1, values.dtype.itemsize).T
    # A fixed time makes equal content equal bytes. Level 9 takes six times as long for one per cent less.
    return base64.b64encode(gzip.compress(planes.tobytes(), 6, mtime=0)).decode()


def unpack(text: str, kind: str) -> NDArray[np.generic]:
    """Return the array of a text from ``pack``, in one dimension."""
    dtype = np.dtype(kind).newbyteorder("<")
    planes = np.frombuffer(gzip.decompress(base64.b64decode(text)), "u1").reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).ravel().view(dtype)


def code_steps(values: Map, step: float) -> Labels:
    """Return values as whole numbers of steps, int16 where they fit, else int32; the lowest is "none"."""
    scaled = np.rint(np.asarray(values, float) / step)
    largest = np.max(np.abs(scaled), initial=0.0, where=np.isfinite(scaled))
    kind = np.int16 if largest < np.iinfo(np.int16).max else np.int32
    top = np.iinfo(kind).max
    coded: Labels = np.clip(np.nan_to_num(scaled, nan=0.0, posinf=top, neginf=-top), -top, top).astype(kind)
    coded[np.isnan(scaled)] = np.iinfo(kind).min
    return coded


def code_statistic(values: Map) -> Labels:
    """Return a statistic in thousandths that are rounded to hundredths as the values themselves are."""
    coded = code_steps(values, STATISTIC_STEP)
    side = np.sign(np.nan_to_num(np.asarray(values, float)) / STATISTIC_STEP - coded)
    doubtful = (np.abs(coded.astype(np.int64)) % 10 == 5) & np.isfinite(values)
    coded[doubtful] += side[doubtful].astype(coded.dtype)
    return coded


def printed_digits(errors: Map) -> NDArray[np.uint8]:
    """Return the decimals of printed estimates: to two digits of their standard errors, at most six."""
    known = np.where(errors > 0, errors, 1e-2)
    digits: NDArray[np.uint8] = np.clip(1 - np.floor(np.log10(known)), 0, 6).astype(np.uint8)
    return digits


def code_p(p: Map) -> Labels:
    """Return p as the page prints it, in ten thousandths, uint16: three decimals, four below .001.

    0 is less than .0001, the largest number is none.
    """
    # Longer than p: a product that is rounded to a half would be rounded otherwise than p itself.
    known = np.nan_to_num(np.asarray(p, float), nan=1.0).astype(np.longdouble)
    printed = np.where(known < FOUR_DIGITS, np.rint(known * P_STEPS), np.rint(known * P_STEPS / 10) * 10)
    printed[known < 1 / P_STEPS] = 0
    return np.where(np.isnan(p), np.iinfo(np.uint16).max, printed).astype(np.uint16)


def code_percent(shares: Map) -> Labels:
    """Return shares as whole per cent, uint8; the largest number is none."""
    # Halves as of the shares themselves, not as of their storage in float32.
    percent = np.rint(np.round(100 * np.asarray(shares, float), 4))
    coded: Labels = np.nan_to_num(percent, nan=NONE_8).astype(np.uint8)
    return coded


def code_counts(p: Map, n_shuffles: int) -> Labels | None:
    """Return shares of shuffles as counts, 0 where there is no p; None where they are no such shares."""
    counts = np.asarray(p, float) * n_shuffles
    known = np.isfinite(counts)
    whole = np.rint(counts, where=known, out=np.zeros_like(counts))
    if np.any(np.abs(counts - whole)[known] > COUNT_TOLERANCE) or np.any(whole[known] < 1):
        return None
    found: Labels = whole.astype(np.uint16 if n_shuffles < np.iinfo(np.uint16).max else np.uint32)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Values of rows in 8 bits: (start + code / 254 x range) x step at each point, 255 for none.

    ``error`` is the largest error of all, as a share of the standard deviation between rows at its point.
    """

    codes: NDArray[np.uint8]
    start: NDArray[np.int16]
    span: NDArray[np.uint16]
    step: float
    error: float


def code_rows(values: Maps) -> Rows:
    """Return the effects of subjects, shape (n_rows, n_points), in 8 bits with a scale at each point."""
    values = np.where(np.isfinite(values), values, np.nan).astype(float)
    known = np.isfinite(values)
    low = np.min(values, axis=0, initial=np.inf, where=known)
    high = np.max(values, axis=0, initial=-np.inf, where=known)
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
    step = float(max(np.abs(low).max(initial=0.0), np.abs(high).max(initial=0.0))) / 32766 or 1.0
    start = np.floor(low / step)
    span = np.maximum(np.ceil(high / step) - start, 1)
    codes = np.rint((values / step - start) / span * TOP_8)
    back = (start + codes / TOP_8 * span) * step
    n = known.sum(axis=0)
    mean = np.sum(values, axis=0, where=known) / np.maximum(n, 1)
    spread = np.sqrt(np.sum(np.square(values - mean), axis=0, where=known) / np.maximum(n - 1, 1))
    worst = np.max(np.abs(back - values), axis=0, initial=0.0, where=known)
    error = np.max(worst / np.where(spread > 0, spread, np.inf), initial=0.0)
    coded = np.where(known, codes, NONE_8).astype(np.uint8)
    return Rows(coded, start.astype(np.int16), span.astype(np.uint16), step, float(error))
