"""A design over time, prepared for sums over time: an orthonormal basis, the contrasts it can estimate.

Words: ``lag k`` pairs volumes t and t + k; D_k is the symmetric matrix with ones on both k-th
off-diagonals (D_0 the identity), so the precision matrix of an AR(p) process is a weighted sum of D_0 to
D_p up to its corners. ``basis`` Q holds orthonormal columns that span the design.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from bidsapp.errors import InputError
from bidsapp.records.arrays import Mask, Matrix
from bidsapp.stats.linear import make_basis

# A constant of which less than this is left beside the design is in its span, but for rounding.
IN_SPAN = 1e-8


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
    keep : ndarray of bool, shape (n_volumes,)
        False in the dropped volumes, whose values count nowhere.
    baseline : ndarray of bool, shape (n_volumes,)
        The volumes that enter the mean: neither dropped nor modelled by a column of their own.
    dof : int
        Number of volumes less the rank.
    has_constant : bool
        Whether the design spans a constant in every run.
    starts : tuple of int
        The first volume of each run; runs that are fitted together share no lag.
    whole : TimeModel or None
        The model of all runs that are fitted together, where this is one run's part of it.
    """

    basis: Matrix
    to_basis: Matrix
    keep: Mask
    baseline: Mask
    dof: int
    has_constant: bool
    starts: tuple[int, ...] = (0,)
    whole: "TimeModel | None" = None

    @property
    def n_volumes(self) -> int:
        """The number of volumes, dropped ones included."""
        return len(self.basis)

    @property
    def rank(self) -> int:
        """The rank of the design, dropped volumes included."""
        return int(self.basis.shape[1])

    @property
    def runs(self) -> list[slice]:
        """The volumes of each run, as slices."""
        return [slice(*ends) for ends in pairwise((*self.starts, self.n_volumes))]

    def lagged(self, k: int) -> Matrix:
        """Return D_k times the basis, run by run."""
        return np.concatenate([lagged(self.basis[run], k) for run in self.runs])

    def departures(self, k: int) -> Matrix:
        """Return what D_k times the basis has outside the basis, (I - QQ')D_kQ, run by run."""
        whole = self.whole or self
        return self.lagged(k) - self.basis @ (whole.basis.T @ whole.lagged(k))

    def of_run(self, run: slice) -> "TimeModel":
        """Return the model's part over one run, which sums are made with; its basis is not orthonormal."""
        return replace(
            self,
            basis=self.basis[run],
            keep=self.keep[run],
            baseline=self.baseline[run],
            starts=(0,),
            whole=self,
        )


def make_time_model(matrix: Matrix, keep: Mask | None = None, starts: Sequence[int] = (0,)) -> TimeModel:
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
    basis, to_basis = make_basis(full)
    basis, rank = np.ascontiguousarray(basis), basis.shape[1]
    if rank >= n_volumes:
        raise InputError(
            f"The design has {n_columns} regressors of rank {rank} for {n_volumes} volumes "
            f"({np.count_nonzero(~keep)} dropped): nothing is left to estimate the noise from. "
            "Use fewer confounds or drop fewer volumes."
        )
    model = TimeModel(
        basis=basis,
        to_basis=to_basis[:n_columns],
        keep=keep,
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
        has_constant=bool((np.linalg.norm(rest, axis=0) < IN_SPAN * np.sqrt(n_volumes)).all()),
    )


def _find_baseline(full: Matrix, keep: Mask) -> Mask:
    """Return the volumes that are kept and have no column of their own."""
    own = (np.count_nonzero(full, axis=0) == 1).nonzero()[0]
    baseline = keep.copy()
    baseline[np.abs(full[:, own]).argmax(axis=0)] = False
    return baseline if baseline.any() else keep


def lagged(series: Matrix, k: int) -> Matrix:
    """Return D_k times a series, shape (n_volumes, ...)."""
    if k == 0:
        return series
    result = np.zeros_like(series)
    result[k:] += series[:-k]
    result[:-k] += series[k:]
    return result
