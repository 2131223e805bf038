"""Sums over time: all that a run-level model needs of a series, gathered in one pass.

Words: ``lag k`` pairs volumes t and t + k; D_k is the symmetric matrix with ones on both k-th
off-diagonals (D_0 the identity), so the precision matrix of an AR(p) process is a weighted sum of D_0 to
D_p up to its corners. ``basis`` Q holds orthonormal columns that span the design.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np
from scipy.linalg.blas import dgemm

from bidsapp.errors import InputError

# A direction of the design with a smaller part of the largest singular value (columns scaled to length 1)
# counts as collinear.
RANK_TOLERANCE = 1e-10
# Voxels converted to double and multiplied at a time: the pieces stay in the processor's cache.
CHUNK = 1024


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
        Whether the design spans a constant.
    """

    basis: np.ndarray
    to_basis: np.ndarray
    estimable: np.ndarray
    baseline: np.ndarray
    dof: int
    has_constant: bool

    @property
    def n_volumes(self):
        """The number of volumes, dropped ones included."""
        return len(self.basis)

    @property
    def rank(self):
        """The rank of the design, dropped volumes included."""
        return self.basis.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class SeriesSums:
    """Sums over time of a series y, first taken about its mean, in double precision.

    Attributes
    ----------
    model : TimeModel
    cross : ndarray, shape (n_voxels, n_lags + 1, rank)
        Q'D_k y.
    totals : ndarray, shape (n_voxels,)
        Sum over all volumes.
    squares : ndarray, shape (n_lags + 1, n_voxels)
        y'D_k y.
    head, tail : ndarray, shape (n_lags, n_voxels)
        The first and last volumes.
    mean, deviation : ndarray, shape (n_voxels,)
        Of y over the baseline volumes; the standard deviation over time.
    """

    model: TimeModel
    cross: np.ndarray
    totals: np.ndarray
    squares: np.ndarray
    head: np.ndarray
    tail: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


def make_time_model(matrix, keep=None):
    """Prepare a design.

    Parameters
    ----------
    matrix : ndarray, shape (n_volumes, n_columns)
    keep : ndarray of bool, shape (n_volumes,), or None
        False drops a volume. The time axis stays whole: the volume gets a column of its own, which for
        least squares with any noise covariance is the same as leaving it out.

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
    # Any rotation of the basis will do; this one makes Q'D_1Q diagonal (see ``reml``).
    _, rotation = np.linalg.eigh(left[:, :rank].T @ lagged(left[:, :rank], 1))
    basis = left[:, :rank] @ rotation
    to_basis = (right[:rank] / singular[:rank, None] / length).T @ rotation
    own = (np.count_nonzero(full, axis=0) == 1).nonzero()[0]
    baseline = keep.copy()
    baseline[np.abs(full[:, own]).argmax(axis=0)] = False
    constant = np.ones(n_volumes)
    rest = constant - basis @ (basis.T @ constant)
    return TimeModel(
        basis=np.ascontiguousarray(basis),
        to_basis=to_basis[:n_columns],
        estimable=_row_space(matrix),
        baseline=baseline if baseline.any() else keep,
        dof=n_volumes - rank,
        has_constant=bool(np.linalg.norm(rest) < 1e-8 * np.sqrt(n_volumes)),
    )


def accumulate(blocks, model, *, n_lags=1, slope=1.0, intercept=0.0, n_threads=1):
    """Return the sums over time of a series that comes in blocks of volumes.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n_volumes_in_block, n_voxels)
    model : TimeModel
    n_lags : int
        The order of the noise model.
    slope, intercept : float
        y = slope * value + intercept.
    """
    rows = np.column_stack([*(lagged(model.basis, k) for k in range(n_lags + 1)), np.ones(model.n_volumes)])
    rows = np.column_stack([rows, model.baseline])
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
    return state.finish(model, slope, intercept)


def lagged(series, k):
    """Return D_k times a series, shape (n_volumes, ...)."""
    if k == 0:
        return series
    result = np.zeros_like(series)
    result[k:] += series[:-k]
    result[:-k] += series[k:]
    return result


def add_constant(sums, constant):
    """Return the sums of y + constant, shape (n_voxels,), exactly."""
    pieces = (sums.cross, sums.totals, sums.squares, sums.head, sums.tail)
    copies = [np.array(piece) for piece in pieces]
    _shift(sums.model, copies, constant)
    return replace(sums, **dict(zip(("cross", "totals", "squares", "head", "tail"), copies, strict=True)))


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

    def finish(self, model, slope, intercept):
        """Return the record, in the units of the image."""
        count = np.count_nonzero(model.baseline)
        centre = self.sums[:, -1] / count
        inside = self.squares[0] - self.squares[-1]
        spread = np.maximum(inside - count * np.square(centre), 0.0) / max(count - 1, 1)
        n_cross = self.sums.shape[1] - 2
        cross = self.sums[:, :n_cross].reshape(len(self.sums), self.n_lags + 1, -1)
        pieces = cross, self.sums[:, -2], self.squares[:-1], self.head, self.tail
        _shift(model, pieces, -centre)
        if slope != 1.0:
            for piece in pieces:
                piece *= slope
            self.squares *= slope
        cross, totals, squares, head, tail = pieces
        return SeriesSums(
            model=model,
            cross=cross,
            totals=totals,
            squares=squares,
            head=head,
            tail=tail,
            mean=slope * (self.reference + centre) + intercept,
            deviation=abs(slope) * np.sqrt(spread),
        )


def _row_space(matrix):
    """Return the projection on the row space of a design, its columns first scaled to length 1."""
    length = np.linalg.norm(matrix, axis=0)
    length[length == 0] = 1.0
    _, singular, right = np.linalg.svd(matrix / length, full_matrices=False)
    right = right[singular > RANK_TOLERANCE * singular.max(initial=0.0)]
    # Rows of the design are rows of the scaled one times length: scale back and make orthonormal again.
    rows, _ = np.linalg.qr((right * length).T)
    return rows @ rows.T
