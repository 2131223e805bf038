"""Sums over time: all that a run-level model needs of a series, gathered in one pass.

Words as in ``time_model``: D_k pairs volumes k apart, Q is the basis of the design.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from itertools import repeat
from operator import add
from typing import TypeAlias

import numpy as np
from scipy.linalg.blas import dgemm, sgemm

from bidsapp.errors import InputError
from bidsapp.records.arrays import Map, Maps, Mask, Matrices, Matrix
from bidsapp.stats.noise.time_model import TimeModel, lagged

# The sums in a record that a constant changes, but for those with the design: totals, squares, head and tail.
Pieces: TypeAlias = tuple[Map, Maps, Maps, Maps]
# Voxels converted to double and multiplied at a time: the pieces stay in the processor's cache.
CHUNK = 1024
# A mean below this part of the standard deviation over time is no baseline to take percents of.
SMALLEST_BASELINE = 1e-6
# With fewer of its voxels having a baseline, a series has been centred.
LEAST_WITH_BASELINE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class SeriesSums:
    """Sums over time, in double precision, of y = unit * (series - offset).

    The values of dropped volumes are in none of them: y is a constant of the voxel there. The design has a
    column for each, so that no fit depends on the constant.

    Attributes
    ----------
    model : TimeModel
    cross : ndarray, shape (n_voxels, 1 or 2, rank)
        Q'D_k y of lag 0, and of lag 1 where there is no other.
    departures : ndarray of float32, shape (n_voxels, 0 or n_lags, rank)
        Q'D_k r of the least-squares residuals r, lags 1 to n_lags. Drifts that the design takes up are not
        in them, so single precision is plenty.
    totals : ndarray, shape (n_voxels,)
        Sum over all volumes.
    squares : ndarray, shape (n_lags + 1, n_voxels)
        y'D_k y.
    head, tail : ndarray, shape (n_runs, n_lags, n_voxels)
        The first and last volumes of each run.
    unit, offset : ndarray, shape (n_runs, n_voxels)
    usable : ndarray of bool, shape (n_voxels,)
        Voxels that change over time and, for percent, have a baseline.
    level : ndarray, shape (n_voxels,)
        What was taken from y and belongs to its model: a constant to give back to the parameters.
    mean, deviation : ndarray, shape (n_voxels,)
        Of the series over the baseline volumes; the standard deviation over time.
    """

    model: TimeModel
    cross: Matrices
    departures: Matrices
    totals: Map
    squares: Maps
    head: Matrices
    tail: Matrices
    unit: Maps
    offset: Maps
    usable: Mask
    level: Map
    mean: Map
    deviation: Map


def accumulate(
    blocks: Iterable[Maps],
    model: TimeModel,
    *,
    n_lags: int = 1,
    scaling: str = "percent",
    stored: tuple[float, float] = (1.0, 0.0),
    n_threads: int = 1,
) -> SeriesSums:
    """Return the sums over time of one run that comes in blocks of volumes.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n_volumes_in_block, n_voxels)
    model : TimeModel
        Of this run alone (``of_run``).
    n_lags : int
        The order of the noise model. Up to one lag all sums are in double precision; with more those of
        the lags, which are most of the memory, are ``departures``.
    scaling : {"percent", "none"}
        Percent: y is the change from the mean over the baseline volumes, in percent of it. None: y is in
        the image's units.
    stored : tuple of float
        Slope and intercept: series = slope * value + intercept.

    Raises
    ------
    InputError
        Another number of volumes than the model has; no voxel changes over time; or most have no mean to
        take percents of.
    """
    n_double = n_lags if n_lags < 2 else 0
    products = [model.lagged(k) for k in range(n_double + 1)]
    rows = np.column_stack([*products, np.ones((model.n_volumes, 1)), model.baseline])
    singles = make_departure_rows(model, n_lags if n_lags > 1 else 0)
    state = None
    start = 0
    with ThreadPoolExecutor(n_threads) as pool:
        for block in blocks:
            state = state or _State(block.shape[1], (rows.shape[1], singles.shape[1]), n_lags)
            part = slice(start, start + len(block))
            keep = model.keep[part]
            if keep.any() and not model.keep[:start].any():
                state.reference[:] = _find_reference(block[keep])
            weights = np.ascontiguousarray(rows[part]), np.ascontiguousarray(singles[part], np.float32), keep
            chunks = [slice(a, a + CHUNK) for a in range(0, block.shape[1], CHUNK)]
            list(pool.map(state.add, repeat(block), repeat(weights), chunks))
            start += len(block)
        if state is None or start != model.n_volumes:
            raise InputError(
                f"The series has {start} volumes and the design {model.n_volumes} rows. "
                "Check the events, the confounds and the series of this run."
            )
        return state.finish(model, scaling, stored, pool)


def make_departure_rows(model: TimeModel, n_lags: int) -> Matrix:
    """Return the rows whose products with a series are its departures, (n_volumes, n_lags * rank)."""
    rows = [model.departures(k) for k in range(1, n_lags + 1)]
    return np.column_stack(rows) if rows else np.zeros((model.n_volumes, 0))


def join_sums(model: TimeModel, parts: Sequence[SeriesSums]) -> SeriesSums:
    """Return the sums of runs that are fitted together from those of each, in their order."""
    return SeriesSums(
        model=model,
        cross=reduce(add, (part.cross for part in parts)),
        departures=reduce(add, (part.departures for part in parts)),
        totals=reduce(add, (part.totals for part in parts)),
        squares=reduce(add, (part.squares for part in parts)),
        head=np.concatenate([part.head for part in parts]),
        tail=np.concatenate([part.tail for part in parts]),
        unit=np.concatenate([part.unit for part in parts]),
        offset=np.concatenate([part.offset for part in parts]),
        usable=np.logical_and.reduce([part.usable for part in parts]),
        level=reduce(add, (part.level for part in parts)),
        mean=np.mean([part.mean for part in parts], axis=0),
        deviation=np.sqrt(np.mean([np.square(part.deviation) for part in parts], axis=0)),
    )


def _shift(model: TimeModel, pieces: Pieces, constant: Map) -> None:
    """Add a constant to the series whose sums these are, in place."""
    totals, squares, head, tail = pieces
    n_lags = len(head)
    ones = np.ones(model.n_volumes)
    for k in range(n_lags + 1):
        partners = lagged(ones, k)
        # 1'D_k y: every volume counts twice but those without a partner at this lag.
        ends = head[:k].sum(axis=0) + tail[n_lags - k :].sum(axis=0)
        with_ones = 2 * totals - ends if k else totals
        squares[k] += constant * (2 * with_ones + constant * partners.sum())
    totals += model.n_volumes * constant
    head += constant
    tail += constant


def _find_steps(model: TimeModel, n_cross: int, n_departures: int) -> tuple[Matrix, Matrix]:
    """Return what a constant of 1 adds to cross and departures, (n_lags, rank) each."""
    ones, departures = np.ones(model.n_volumes), np.zeros((n_departures, model.rank))
    cross = np.stack([model.basis.T @ lagged(ones, k) for k in range(n_cross)])
    # A constant that the design spans has no departures.
    for k in range(0 if model.has_constant else n_departures):
        departures[k] = model.departures(k + 1).sum(axis=0)
    return cross, departures


def _find_reference(first: Maps) -> Map:
    """Return the mean of the first volumes, shape (n_voxels,), which is near that of all."""
    # The mean of equal numbers may round: constant voxels must come out as exactly constant.
    mean: Map = first.mean(axis=0, dtype=float)
    return np.where(np.all(first == first[0], axis=0), first[0], mean)


class _State:
    """The sums as they grow; chunks of voxels are added by different threads."""

    def __init__(self, n_voxels: int, n_rows: tuple[int, int], n_lags: int) -> None:
        self.reference = np.zeros(n_voxels)
        self.sums = np.zeros((n_voxels, n_rows[0]))
        self.singles = np.zeros((n_voxels, n_rows[1]), np.float32)
        self.squares = np.zeros((n_lags + 2, n_voxels))
        self.tail = np.zeros((n_lags, n_voxels))
        self.head = np.zeros((n_lags, n_voxels))
        self.n_lags = n_lags
        self.n_seen = np.zeros(-(-n_voxels // CHUNK), int)

    def add(self, block: Maps, weights: tuple[Matrix, Matrix, Mask], chunk: slice) -> None:
        """Add one block of volumes at one chunk of voxels."""
        n_lags, part = self.n_lags, chunk.start // CHUNK
        values = np.empty((n_lags + len(block), len(self.reference[chunk])))
        values[:n_lags] = self.tail[:, chunk]
        np.subtract(block[:, chunk], self.reference[chunk], out=values[n_lags:])
        new = values[n_lags:]
        new[~weights[2]] = 0.0
        # In Fortran order: sums' += weights' new.
        target = self.sums[chunk].T
        dgemm(1.0, weights[0].T, new.T, beta=1.0, c=target, trans_b=True, overwrite_c=True)
        if self.singles.shape[1]:
            single = new.astype(np.float32).T
            grown = self.singles[chunk].T
            sgemm(1.0, weights[1].T, single, beta=1.0, c=grown, trans_b=True, overwrite_c=True)
        for k in range(n_lags + 1):
            earlier = values[n_lags - k : len(values) - k]
            self.squares[k, chunk] += (2.0 if k else 1.0) * np.einsum("tv,tv->v", new, earlier)
        left_out = new[weights[0][:, -1] == 0]
        self.squares[-1, chunk] += np.einsum("tv,tv->v", left_out, left_out)
        seen = self.n_seen[part]
        if seen < n_lags:
            count = min(n_lags - seen, len(new))
            self.head[seen : seen + count, chunk] = new[:count]
        self.tail[:, chunk] = values[len(values) - n_lags :]
        self.n_seen[part] += len(new)

    def finish(
        self, model: TimeModel, scaling: str, stored: tuple[float, float], pool: ThreadPoolExecutor
    ) -> SeriesSums:
        """Return the record."""
        slope, intercept = stored
        count = np.count_nonzero(model.baseline)
        centre = self.sums[:, -1] / count
        inside = self.squares[0] - self.squares[-1]
        spread = np.maximum(inside - count * np.square(centre), 0.0) / max(count - 1, 1)
        mean, deviation = slope * (self.reference + centre) + intercept, abs(slope) * np.sqrt(spread)
        unit, usable = _find_unit(mean, deviation, scaling)
        # A design that spans a constant gives the same fit about the mean, with less rounding.
        is_centred = scaling == "percent" or model.has_constant
        n_cross = self.sums.shape[1] - 2
        cross = self.sums[:, :n_cross].reshape(len(self.sums), -1, model.rank)
        departures = self.singles.reshape(len(self.sums), -1, model.rank)
        constant, factor = -centre if is_centred else self.reference + intercept / slope, slope * unit
        pieces = self.sums[:, -2], self.squares[:-1], self.head, self.tail
        _shift(model, pieces, constant)
        steps = _find_steps(model, cross.shape[1], departures.shape[1])
        pairs: tuple[tuple[Matrices, Matrix], ...] = (cross, steps[0]), (departures, steps[1])

        def scale(start: int) -> None:
            part = slice(start, start + CHUNK)
            for values, step in pairs:
                some = values[part]
                if step.any():
                    some += np.multiply.outer(constant[part], step)
                some *= factor[part, None, None]

        list(pool.map(scale, range(0, len(cross), CHUNK)))
        for ends in (self.head, self.tail):
            ends *= factor
        return SeriesSums(
            model=model,
            cross=cross,
            departures=departures,
            totals=factor * pieces[0],
            squares=np.square(factor) * pieces[1],
            head=self.head[None],
            tail=self.tail[None],
            unit=unit[None],
            offset=(mean if is_centred else np.zeros_like(mean))[None],
            usable=usable,
            level=mean if scaling == "none" and is_centred else np.zeros_like(mean),
            mean=mean,
            deviation=deviation,
        )


def _find_unit(mean: Map, deviation: Map, scaling: str) -> tuple[Map, Mask]:
    """Return the factor from the image's units to those of the effects, and which voxels can be fitted."""
    varies = (deviation > 0) & np.isfinite(mean)
    if not varies.any():
        raise InputError("No voxel of the mask changes over time. Check the series and its mask.")
    if scaling == "none":
        return np.ones(len(varies)), varies
    usable = varies & (mean > SMALLEST_BASELINE * deviation)
    if np.count_nonzero(usable) < LEAST_WITH_BASELINE * np.count_nonzero(varies):
        raise InputError(
            f"{np.count_nonzero(usable):,} of {np.count_nonzero(varies):,} voxels have a mean above zero, so "
            "percent of the mean has no meaning: was the mean taken away from the series? Use --scaling none."
        )
    return 100.0 / np.where(usable, mean, 100.0), usable
