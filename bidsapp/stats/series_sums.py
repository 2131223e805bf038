"""Sums over time: all that a run-level model needs of a series, gathered in one pass.

Words: ``lag k`` pairs volumes t and t + k; D_k is the symmetric matrix with ones on both k-th
off-diagonals (D_0 the identity), so the precision matrix of an AR(p) process is a weighted sum of D_0 to
D_p up to its corners. ``basis`` Q holds orthonormal columns that span the design.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise, repeat

import numpy as np
from scipy.linalg.blas import dgemm

from bidsapp.errors import InputError

# A direction of the design with a smaller part of the largest singular value (columns scaled to length 1)
# counts as collinear.
RANK_TOLERANCE = 1e-10
# Voxels converted to double and multiplied at a time: the pieces stay in the processor's cache.
CHUNK = 1024
# A mean below this part of the standard deviation over time is no baseline to take percents of.
SMALLEST_BASELINE = 1e-6
# With fewer of its voxels having a baseline, a series has been centred.
LEAST_WITH_BASELINE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class TimeModel:
    """A design over time, prepared.

    Attributes
    ----------
    basis : ndarray, shape (n_volumes, rank)
        Orthonormal columns that span the design (and the dropped volumes, one column each), rotated so
        that Q'D_1Q is diagonal.
    to_basis : ndarray, shape (n_columns, rank)
        Parameters of the design's columns = to_basis @ parameters of the basis.
    estimable : ndarray, shape (n_columns, n_columns)
        Projection on the contrasts that the design can estimate.
    baseline : ndarray of bool, shape (n_volumes,)
        The volumes that enter the mean: neither dropped nor modelled by a column of their own.
    dof : int
        Number of volumes less the rank.
    has_constant : bool
        Whether the design spans a constant in every run.
    starts : tuple of int
        The first volume of each run; runs that are fitted together share no lag.
    """

    basis: np.ndarray
    to_basis: np.ndarray
    estimable: np.ndarray
    baseline: np.ndarray
    dof: int
    has_constant: bool
    starts: tuple[int, ...] = (0,)

    @property
    def n_volumes(self):
        """The number of volumes, dropped ones included."""
        return len(self.basis)

    @property
    def rank(self):
        """The rank of the design, dropped volumes included."""
        return self.basis.shape[1]

    @property
    def runs(self):
        """The volumes of each run, as slices."""
        return [slice(*ends) for ends in pairwise((*self.starts, self.n_volumes))]

    def lagged(self, k):
        """Return D_k times the basis, run by run."""
        return np.concatenate([lagged(self.basis[run], k) for run in self.runs])

    def of_run(self, run):
        """Return the model's part over one run, which sums are made with; its basis is not orthonormal."""
        return replace(self, basis=self.basis[run], baseline=self.baseline[run], starts=(0,))


@dataclass(frozen=True, slots=True, eq=False)
class SeriesSums:
    """Sums over time, in double precision, of y = unit * (series - offset).

    Attributes
    ----------
    model : TimeModel
    cross : ndarray, shape (n_voxels, n_lags + 1, rank)
        Q'D_k y.
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
    cross: np.ndarray
    totals: np.ndarray
    squares: np.ndarray
    head: np.ndarray
    tail: np.ndarray
    unit: np.ndarray
    offset: np.ndarray
    usable: np.ndarray
    level: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


def make_time_model(matrix, keep=None, starts=(0,)):
    """Prepare a design.

    Parameters
    ----------
    matrix : ndarray, shape (n_volumes, n_columns)
    keep : ndarray of bool, shape (n_volumes,), or None
        False drops a volume. The time axis stays whole: the volume gets a column of its own, which for
        least squares with any noise covariance is the same as leaving it out.
    starts : sequence of int
        The first volume of each run, where runs are fitted together.

    Raises
    ------
    InputError
        Where no degrees of freedom are left.
    """
    matrix = np.asarray(matrix, float)
    n_volumes, n_columns = matrix.shape
    keep = np.ones(n_volumes, bool) if keep is None else np.asarray(keep, bool)
    full = np.column_stack([matrix, np.eye(n_volumes)[:, ~keep]])
    length = np.linalg.norm(full, axis=0)
    length[length == 0] = 1.0
    left, singular, right = np.linalg.svd(full / length, full_matrices=False)
    rank = int(np.count_nonzero(singular > RANK_TOLERANCE * singular.max(initial=0.0)))
    if rank >= n_volumes:
        raise InputError(
            f"The design has {n_columns} regressors of rank {rank} for {n_volumes} volumes "
            f"({np.count_nonzero(~keep)} dropped): nothing is left to estimate the noise from. "
            "Use fewer confounds or drop fewer volumes."
        )
    basis = left[:, :rank]
    model = TimeModel(
        basis=basis,
        to_basis=(right[:rank] / singular[:rank, None] / length).T[:n_columns],
        estimable=_row_space(matrix),
        baseline=_find_baseline(full, keep),
        dof=n_volumes - rank,
        has_constant=False,
        starts=tuple(starts),
    )
    # Any rotation of the basis will do; this one makes Q'D_1Q diagonal (see ``reml``).
    _, rotation = np.linalg.eigh(basis.T @ model.lagged(1))
    basis = np.ascontiguousarray(basis @ rotation)
    ones = np.zeros((n_volumes, len(model.starts)))
    for number, run in enumerate(model.runs):
        ones[run, number] = 1.0
    rest = ones - basis @ (basis.T @ ones)
    return replace(
        model,
        basis=basis,
        to_basis=model.to_basis @ rotation,
        has_constant=bool((np.linalg.norm(rest, axis=0) < 1e-8 * np.sqrt(n_volumes)).all()),
    )


def _find_baseline(full, keep):
    """Return the volumes that are kept and have no column of their own."""
    own = (np.count_nonzero(full, axis=0) == 1).nonzero()[0]
    baseline = keep.copy()
    baseline[np.abs(full[:, own]).argmax(axis=0)] = False
    return baseline if baseline.any() else keep


def accumulate(blocks, model, *, n_lags=1, scaling="percent", stored=(1.0, 0.0), n_threads=1):
    """Return the sums over time of one run that comes in blocks of volumes.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n_volumes_in_block, n_voxels)
    model : TimeModel
        Of this run alone (``of_run``).
    n_lags : int
        The order of the noise model.
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
    rows = [*(model.lagged(k) for k in range(n_lags + 1)), np.ones((model.n_volumes, 1))]
    rows = np.column_stack([*rows, model.baseline])
    state = None
    start = 0
    with ThreadPoolExecutor(n_threads) as pool:
        for block in blocks:
            state = state or _State(block, rows.shape[1], n_lags)
            weights = np.ascontiguousarray(rows[start : start + len(block)])
            chunks = [slice(a, a + CHUNK) for a in range(0, block.shape[1], CHUNK)]
            list(pool.map(state.add, repeat(block), repeat(weights), chunks))
            start += len(block)
    if state is None or start != model.n_volumes:
        raise InputError(
            f"The series has {start} volumes and the design {model.n_volumes} rows. "
            "Check the events, the confounds and the series of this run."
        )
    return state.finish(model, scaling, stored)


def join_sums(model, parts):
    """Return the sums of runs that are fitted together from those of each, in their order."""
    first = parts[0]
    return SeriesSums(
        model=model,
        cross=sum(part.cross for part in parts),
        totals=sum(part.totals for part in parts),
        squares=sum(part.squares for part in parts),
        head=np.concatenate([part.head for part in parts]),
        tail=np.concatenate([part.tail for part in parts]),
        unit=np.concatenate([part.unit for part in parts]),
        offset=np.concatenate([part.offset for part in parts]),
        usable=np.logical_and.reduce([part.usable for part in parts]),
        level=first.level if len(parts) == 1 else sum(part.level for part in parts),
        mean=np.mean([part.mean for part in parts], axis=0),
        deviation=np.sqrt(np.mean([np.square(part.deviation) for part in parts], axis=0)),
    )


def lagged(series, k):
    """Return D_k times a series, shape (n_volumes, ...)."""
    if k == 0:
        return series
    result = np.zeros_like(series)
    result[k:] += series[:-k]
    result[:-k] += series[k:]
    return result


def _shift(model, pieces, constant):
    """Add a constant to the series whose sums these are, in place."""
    cross, totals, squares, head, tail = pieces
    n_lags = len(head)
    ones = np.ones(model.n_volumes)
    for k in range(n_lags + 1):
        partners = lagged(ones, k)
        # 1'D_k y: every volume counts twice but those without a partner at this lag.
        ends = head[:k].sum(axis=0) + tail[n_lags - k :].sum(axis=0)
        with_ones = 2 * totals - ends if k else totals
        squares[k] += constant * (2 * with_ones + constant * partners.sum())
        step = model.basis.T @ partners
        for start in range(0, len(cross), CHUNK):
            cross[start : start + CHUNK, k] += constant[start : start + CHUNK, None] * step
    totals += model.n_volumes * constant
    head += constant
    tail += constant


class _State:
    """The sums as they grow; chunks of voxels are added by different threads."""

    def __init__(self, first, n_rows, n_lags):
        n_voxels = first.shape[1]
        self.reference = first.mean(axis=0, dtype=float)
        # The mean of equal numbers may round: constant voxels must come out as exactly constant.
        constant = np.all(first == first[0], axis=0)
        self.reference[constant] = first[0, constant]
        self.sums = np.zeros((n_voxels, n_rows))
        self.squares = np.zeros((n_lags + 2, n_voxels))
        self.tail = np.zeros((n_lags, n_voxels))
        self.head = np.zeros((n_lags, n_voxels))
        self.n_lags = n_lags
        self.n_seen = np.zeros(-(-n_voxels // CHUNK), int)

    def add(self, block, weights, chunk):
        """Add one block of volumes at one chunk of voxels."""
        n_lags, part = self.n_lags, chunk.start // CHUNK
        values = np.empty((n_lags + len(block), len(self.reference[chunk])))
        values[:n_lags] = self.tail[:, chunk]
        np.subtract(block[:, chunk], self.reference[chunk], out=values[n_lags:])
        new = values[n_lags:]
        # In Fortran order: sums' += weights' new.
        target = self.sums[chunk].T
        dgemm(1.0, weights.T, new.T, beta=1.0, c=target, trans_b=True, overwrite_c=True)
        for k in range(n_lags + 1):
            earlier = values[n_lags - k : len(values) - k]
            self.squares[k, chunk] += (2.0 if k else 1.0) * np.einsum("tv,tv->v", new, earlier)
        left_out = new[weights[:, -1] == 0]
        self.squares[-1, chunk] += np.einsum("tv,tv->v", left_out, left_out)
        seen = self.n_seen[part]
        if seen < n_lags:
            count = min(n_lags - seen, len(new))
            self.head[seen : seen + count, chunk] = new[:count]
        self.tail[:, chunk] = values[len(values) - n_lags :]
        self.n_seen[part] += len(new)

    def finish(self, model, scaling, stored):
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
        cross = self.sums[:, :n_cross].reshape(len(self.sums), self.n_lags + 1, -1)
        pieces = cross, self.sums[:, -2], self.squares[:-1], self.head, self.tail
        _shift(model, pieces, -centre if is_centred else self.reference + intercept / slope)
        factor = slope * unit
        for start in range(0, len(cross), CHUNK):
            cross[start : start + CHUNK] *= factor[start : start + CHUNK, None, None]
        return SeriesSums(
            model=model,
            cross=cross,
            totals=factor * pieces[1],
            squares=np.square(factor) * pieces[2],
            head=(factor * self.head)[None],
            tail=(factor * self.tail)[None],
            unit=unit[None],
            offset=(mean if is_centred else np.zeros_like(mean))[None],
            usable=usable,
            level=mean if scaling == "none" and is_centred else np.zeros_like(mean),
            mean=mean,
            deviation=deviation,
        )


def _find_unit(mean, deviation, scaling):
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


def _row_space(matrix):
    """Return the projection on the row space of a design, its columns first scaled to length 1."""
    length = np.linalg.norm(matrix, axis=0)
    length[length == 0] = 1.0
    _, singular, right = np.linalg.svd(matrix / length, full_matrices=False)
    right = right[singular > RANK_TOLERANCE * singular.max(initial=0.0)]
    # Rows of the design are rows of the scaled one times length: scale back and make orthonormal again.
    rows, _ = np.linalg.qr((right * length).T)
    return rows @ rows.T
