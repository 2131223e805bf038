"""The data classes that the stages hand to each other.

Voxels ("points") are always the last axis of an array; maps become volumes only in ``outputs`` and
``report``. Arrays in a record are never written to after creation.
"""

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Run:
    """One preprocessed BOLD series and the files that belong to it.

    ``entities`` holds every BIDS entity of the BOLD file by its short name (``sub``, ``ses``, ``task``,
    ``acq``, ``dir``, ``run``, ``space``, ``res``, ...), as spelled in its name, in BIDS order.
    ``repetition_time`` and ``start_time`` are in seconds; frame k is at ``k * TR + start_time``.
    """

    entities: dict[str, str]
    bold: Path
    mask: Path | None
    events: Path | None
    confounds: Path | None
    repetition_time: float
    start_time: float
    start_time_source: str
    n_volumes: int
    metadata: dict = field(default_factory=dict)

    @property
    def label(self):
        """The run in words, as messages name it: ``sub-01 task-stroop run-2``."""
        shown = ("sub", "ses", "task", "acq", "dir", "run", "echo")
        return " ".join(f"{key}-{self.entities[key]}" for key in shown if key in self.entities)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Named weights over the columns of a design.

    ``weights`` has shape (n_rows, n_columns), in the order of ``columns``; ``test`` is "t" or "F".
    """

    name: str
    test: str
    columns: tuple[str, ...]
    weights: np.ndarray


@dataclass(frozen=True, slots=True)
class Design:
    """A design matrix, shape (n_rows, n_columns), with the names of its columns.

    ``rows`` names the rows where they are not time points (subjects, runs).
    """

    matrix: np.ndarray
    columns: tuple[str, ...]
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EstimateKey:
    """What identifies an estimate: the node that made it, its entities and its contrast.

    ``entities`` are those that the node did not average over (as in ``Run.entities``).
    """

    node: str
    level: str
    contrast: str
    entities: tuple[tuple[str, str], ...]

    def entity(self, name):
        """Return the value of one entity, or None."""
        return dict(self.entities).get(name)


@dataclass(frozen=True, slots=True)
class Estimate:
    """One t contrast: effect, sampling variance of the effect, and its degrees of freedom.

    Attributes
    ----------
    effect, variance : ndarray, shape (n_voxels,)
        NaN where the contrast could not be estimated.
    dof : float or ndarray, shape (n_voxels,)
    """

    contrast: str
    effect: np.ndarray
    variance: np.ndarray
    dof: float | np.ndarray


@dataclass(frozen=True, slots=True)
class JointEstimate:
    """One F contrast: the effects of its rows with their covariance.

    Attributes
    ----------
    effect : ndarray, shape (n_rows, n_voxels)
    covariance : ndarray, shape (n_rows, n_rows, n_voxels)
    dof : float or ndarray, shape (n_voxels,)
        Denominator degrees of freedom; the numerator's are n_rows (rows are linearly independent).
    """

    contrast: str
    effect: np.ndarray
    covariance: np.ndarray
    dof: float | np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Which points the voxel axis holds, and where they are.

    Attributes
    ----------
    mask : ndarray of bool, shape (x, y, z)
        The voxel axis lists its True voxels in C order.
    affine : ndarray, shape (4, 4)
        Voxel indices to mm.
    """

    mask: np.ndarray
    affine: np.ndarray

    @property
    def n_points(self):
        """The length of the voxel axis."""
        return int(np.count_nonzero(self.mask))

    @property
    def voxel_volume_mm3(self):
        """The volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def coordinates(self):
        """Return the positions of all points in mm, shape (n_points, 3)."""
        return np.argwhere(self.mask) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def volume(self, values, fill=np.nan):
        """Return values (n_points,) as a volume of the mask's shape, ``fill`` outside the mask."""
        volume = np.full(self.mask.shape, fill, dtype=np.result_type(values, np.min_scalar_type(fill)))
        volume[self.mask] = values
        return volume

    def neighbours(self, connectivity):
        """Return who neighbours whom.

        Parameters
        ----------
        connectivity : {6, 18, 26}
            Voxels that share a face; a face or an edge; a face, an edge or a corner.

        Returns
        -------
        ndarray of int32, shape (n_points, connectivity)
            Point indices; -1 where there is no neighbour in the mask.
        """
        reach = {6: 1, 18: 2, 26: 3}[connectivity]
        offsets = [o for o in product((-1, 0, 1), repeat=3) if 0 < sum(map(abs, o)) <= reach]
        index = np.full(np.add(self.mask.shape, 2), -1, np.int32)
        inner = tuple(np.argwhere(self.mask).T + 1)
        index[inner] = np.arange(self.n_points, dtype=np.int32)
        columns = [index[tuple(axis + step for axis, step in zip(inner, o, strict=True))] for o in offsets]
        return np.ascontiguousarray(np.stack(columns, axis=1))


@dataclass(frozen=True, slots=True)
class EffectStack:
    """The estimates of one contrast from many inputs (subjects), on one geometry.

    Attributes
    ----------
    labels : tuple of str
        The name of each row ("sub-01").
    effect : ndarray of float32, shape (n_inputs, n_voxels)
        NaN where an input has no data.
    variance : ndarray of float32, shape (n_inputs, n_voxels), or None
        None where the inputs come without variance maps.
    dof : ndarray, shape (n_inputs,)
        NaN where unknown.
    """

    labels: tuple[str, ...]
    geometry: Geometry
    effect: np.ndarray
    variance: np.ndarray | None
    dof: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class GroupDesign:
    """What a group model is fitted with, besides the effects.

    Attributes
    ----------
    matrix : ndarray, shape (n_inputs, n_columns)
    contrasts : tuple of Contrast
    variance_groups : ndarray of int, shape (n_inputs,), or None
        Inputs with the same number share a variance; None: all do.
    clusters : ndarray of int, shape (n_inputs,), or None
        Inputs with the same number come from one subject; None: each is a subject of its own.
    """

    matrix: np.ndarray
    contrasts: tuple[Contrast, ...]
    variance_groups: np.ndarray | None = None
    clusters: np.ndarray | None = None

    def keep_rows(self, rows):
        """Return the design of some of the inputs (indices, or True where kept)."""
        return GroupDesign(
            matrix=self.matrix[rows],
            contrasts=self.contrasts,
            variance_groups=None if self.variance_groups is None else self.variance_groups[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class GroupEstimate:
    """One contrast of a group model; NaN where it could not be estimated.

    Attributes
    ----------
    test : {"t", "F"}
    effect : ndarray, shape (n_voxels,) for t, (n_rows, n_voxels) for F
        The rows of an F contrast are those left after dependent ones were dropped.
    variance : ndarray, shape (n_voxels,), or None
        Sampling variance of the effect; None for F.
    statistic, z, p : ndarray, shape (n_voxels,)
    dof : ndarray, shape (n_voxels,)
        Denominator degrees of freedom.
    dof_numerator : int
        Rows of the contrast; 1 for t.
    maps : dict of str to ndarray, shape (n_voxels,)
        What else the estimator found ("tau2", "i2", "q"), the same for all contrasts of a fit.
    """

    contrast: str
    test: str
    effect: np.ndarray
    variance: np.ndarray | None
    statistic: np.ndarray
    z: np.ndarray
    p: np.ndarray
    dof: np.ndarray
    dof_numerator: int
    maps: dict[str, np.ndarray] = field(default_factory=dict)
