"""The data classes that the stages hand to each other.

Voxels ("points") are always the last axis of an array; maps become volumes only in ``outputs`` and
``report``. Arrays in a record are never written to after creation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from bidsapp.records.arrays import Labels, Map, Maps, Mask, Matrix, Numbers
from bidsapp.records.documents import Document

Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """A recording beside a run (``_physio``, ``_stim``) with the metadata that apply to it, both as found."""

    path: Path
    metadata: Document


@dataclass(frozen=True, slots=True)
class Run:
    """One preprocessed BOLD series and the files that belong to it.

    ``entities`` holds every BIDS entity of the BOLD file by its short name (``sub``, ``ses``, ``task``,
    ``acq``, ``dir``, ``run``, ``space``, ``res``, ...), as spelled in its name, in BIDS order.
    ``repetition_time`` and ``start_time`` are in seconds; frame k is at ``k * TR + start_time``. ``notes``
    are what results of this run depend on; ``grid`` is the shape (x, y, z) and the affine of the series.
    """

    entities: dict[str, str]
    bold: Path
    mask: Path
    events: Path | None
    confounds: Path | None
    repetition_time: float
    start_time: float
    start_time_source: str
    n_volumes: int
    metadata: Document = field(default_factory=dict)
    recordings: tuple[RecordingFile, ...] = ()
    notes: tuple[str, ...] = ()
    grid: tuple[tuple[int, ...], tuple[tuple[float, ...], ...]] | None = None

    @property
    def label(self) -> str:
        """The run in words, as messages name it: ``sub-01 task-stroop run-2``."""
        return run_label(self.entities)


def run_label(entities: Mapping[str, str]) -> str:
    """Return the run of these entities in words."""
    shown = ("sub", "ses", "task", "acq", "dir", "run", "echo")
    return " ".join(f"{key}-{entities[key]}" for key in shown if key in entities)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Named weights over the columns of a design.

    ``weights`` has shape (n_rows, n_columns), in the order of ``columns``; ``test`` is "t" or "F".
    """

    name: str
    test: str
    columns: tuple[str, ...]
    weights: Matrix


@dataclass(frozen=True, slots=True)
class Design:
    """A design matrix, shape (n_rows, n_columns), with the names of its columns.

    ``rows`` names the rows where they are not time points (subjects, runs).
    """

    matrix: Matrix
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

    def entity(self, name: str) -> str | None:
        """Return the value of one entity, or None."""
        return dict(self.entities).get(name)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the maps of an estimate are read from their files, where these do not just hold a map each.

    Attributes
    ----------
    effect, variance : int or None
        Which volume of its file each is, from 0; None where the file is one volume.
    variance_from : {"variance", "t"}
        What the file of the variance holds. Of t, the variance is the square of effect / t.
    factor : float
        What the variances in the file are multiplied by.
    """

    effect: int | None = None
    variance: int | None = None
    variance_from: Literal["variance", "t"] = "variance"
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class EstimateFile:
    """The maps of one estimate on disk.

    Attributes
    ----------
    key : EstimateKey
        Names as the sidecar gives them, else as the file's name does; node and level are "" where unknown.
    variance : Path or None
        What the variance is read from.
    dof : float
        NaN where unknown.
    dof_map : Path or None
        Where the degrees of freedom vary over voxels; their median counts.
    metadata : dict
        The sidecar of the effect map, or what another program's files say in its stead.
    reading : Reading
    """

    key: EstimateKey
    effect: Path
    variance: Path | None
    dof: float
    dof_map: Path | None = None
    metadata: Document = field(default_factory=dict)
    reading: Reading = Reading()


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
    effect: Map
    variance: Map
    dof: float | Map


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
    effect: Maps
    covariance: NDArray[np.floating]
    dof: float | Map


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

    mask: Mask
    affine: Matrix

    @property
    def n_points(self) -> int:
        """The length of the voxel axis."""
        return int(np.count_nonzero(self.mask))

    @property
    def voxel_volume_mm3(self) -> float:
        """The volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def voxel_sizes_mm(self) -> Numbers:
        """The length of a voxel along each axis, shape (3,)."""
        sizes: Numbers = np.sqrt(np.sum(np.square(self.affine[:3, :3]), axis=0))
        return sizes

    def coordinates(self) -> Matrix:
        """Return the positions of all points in mm, shape (n_points, 3)."""
        return np.argwhere(self.mask) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def volume(self, values: NDArray[Value], fill: float = np.nan) -> NDArray[Value]:
        """Return values (n_points,) as a volume of the mask's shape, ``fill`` outside the mask."""
        volume = np.full(self.mask.shape, fill, dtype=np.result_type(values, np.min_scalar_type(fill)))
        volume[self.mask] = values
        return volume

    def neighbours(self, connectivity: int) -> NDArray[np.int32]:
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
    coverage : ndarray of int, shape (x, y, z), or None
        The number of inputs with data in every voxel of the grid, those outside the geometry included.
    shares : ndarray, shape (n_inputs,), or None
        The share of each input in the voxels that at least half of the inputs cover.
    digests : tuple of str
        Of the effects of each input: equal for equal maps.
    scales : ndarray, shape (n_inputs,), or None
        The median absolute effect of each input.
    notes : tuple of str
        What a reader must know of the inputs: who costs the others many voxels.
    """

    labels: tuple[str, ...]
    geometry: Geometry
    effect: Maps
    variance: Maps | None
    dof: Numbers
    coverage: Labels | None = None
    shares: Numbers | None = None
    digests: tuple[str, ...] = ()
    scales: Numbers | None = None
    notes: tuple[str, ...] = ()


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

    matrix: Matrix
    contrasts: tuple[Contrast, ...]
    variance_groups: Labels | None = None
    clusters: Labels | None = None

    @property
    def has_repeats(self) -> bool:
        """Whether a subject has several rows."""
        return self.clusters is not None and len(np.unique(self.clusters)) < len(self.clusters)

    def keep_rows(self, rows: Labels | Mask) -> "GroupDesign":
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
        What else the estimator found ("tau2", "isquared", "cochranq"), the same for all contrasts of a fit.
    """

    contrast: str
    test: str
    effect: Maps
    variance: Map | None
    statistic: Map
    z: Map
    p: Map
    dof: Map
    dof_numerator: int
    maps: dict[str, Map] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class InferenceOptions:
    """How a contrast is tested by shuffling.

    Attributes
    ----------
    n_shuffles : int
        The observed arrangement among them; fewer are made where fewer exist.
    tail : {"two", "positive", "negative"}
        ``two`` pools both tails in one null, as the maximum of the absolute statistic.
    statistics : tuple of str
        Names in ``inference.statistics.STATISTICS``.
    cluster_forming_p : float
        One-sided p-value; with tail ``two`` it is used in each tail.
    connectivity, tfce_connectivity : {6, 18, 26}
    tfce_powers : tuple of float
        Powers of extent and of height.
    tfce_steps : int
        0: the exact integral; else a sum over so many steps of each map's maximum, as PALM does.
    mass : {"excess", "raw"}
        Sum of the statistic above the threshold, or of the whole statistic.
    scale : {"t", "z"}
        What cluster mass and TFCE are computed on. F, v and G are always turned into z.
    scheme : {"auto", "sign-flip", "permutation", "both"}
    blocks : ndarray, shape (n_subjects,), or None
        Exchangeability blocks.
    block_mode : {"auto", "within", "whole", "dependent"}
        Shuffle the rows of each block, or whole blocks; by the effect; by the effect where the rows of a
        block depend on each other.
    variance_groups : ndarray, shape (n_subjects,), or None
        Groups of rows with a variance of their own: the statistic is v (one row) or G.
    uncorrected : bool
        Whether to count exceedances in every voxel.
    tail_approximation : {"none", "gpd", "gamma"}
    stop_when_decided : bool
        Stop early once no voxel's p_fwe can cross alpha any more.
    n_threads : int
    memory_gb : float
        What shuffling may use beyond what is in use when it starts.
    """

    n_shuffles: int = 1000
    seed: int = 0
    alpha: float = 0.05
    tail: str = "two"
    statistics: tuple[str, ...] = ("height", "extent", "mass", "tfce")
    cluster_forming_p: float = 0.001
    connectivity: int = 26
    tfce_connectivity: int = 6
    tfce_powers: tuple[float, float] = (0.5, 2.0)
    tfce_steps: int = 0
    mass: str = "excess"
    scale: str = "t"
    scheme: str = "auto"
    blocks: Labels | None = None
    block_mode: str = "auto"
    variance_groups: Labels | None = None
    uncorrected: bool = True
    tail_approximation: str = "none"
    stop_when_decided: bool = False
    n_threads: int = 1
    memory_gb: float = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class StatisticInference:
    """One statistic of a map with its null distribution.

    Attributes
    ----------
    observed : ndarray, shape (n_points,)
        Signed; for cluster statistics the value of the point's cluster (0 outside clusters).
    p_fwe : ndarray, shape (n_points,)
        Corrected over the map; NaN where the test could not be made, 1 outside clusters.
    null_max : ndarray, shape (n_shuffles,)
        The first is the observed map's.
    cutoff : float
        The smallest size in the null whose corrected p is at most alpha; NaN where there is none.
    """

    name: str
    observed: Map
    p_fwe: Map
    null_max: Numbers
    cutoff: float = float("nan")


# How the conventions of an inference name a statistic that is not the one of the estimator's map.
SCORE_T = "t of the subjects' scores"
SCORE_T2 = "Hotelling's T2 of the subjects' contrasts, as F"
LEAST_SQUARES = {"t": "t of least squares", "F": "F of least squares"}
OTHER_STATISTICS = frozenset({SCORE_T, SCORE_T2, *LEAST_SQUARES.values()})


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """What shuffling says about one contrast.

    Attributes
    ----------
    test : {"t", "F", "v", "G", "T2", "Wilks", "T2 by group"}
        The statistic of a voxel.
    dof : tuple of float
        (n_rows, residual); NaN as residual where it differs between voxels.
    statistic : ndarray, shape (n_points,)
        The observed map; NaN where the test could not be made.
    scheme : {"sign-flip", "permutation", "both"}
    n_distinct : int
        How many different arrangements of the data exist.
    exact : bool
        All of them were used.
    smallest_p : float
        The smallest p-value that this test can give.
    p : ndarray, shape (n_points,), or None
        Uncorrected p of each voxel by shuffling.
    statistics : dict of str to StatisticInference
    forming : float or None
        The cluster-forming threshold, on the scale that clusters are formed on; None where no statistic is of
        clusters.
    warnings : tuple of str
        What a reader of the results must know, in sentences.
    conventions : dict
        Every convention behind the numbers, for sidecars.
    shuffles_digest : str
        The same for contrasts that were shuffled alike.
    """

    test: str
    dof: tuple[float, float]
    statistic: Map
    options: InferenceOptions
    scheme: str
    n_shuffles: int
    n_distinct: int
    exact: bool
    smallest_p: float
    p: Map | None
    statistics: dict[str, StatisticInference]
    forming: float | None
    warnings: tuple[str, ...] = ()
    conventions: Document = field(default_factory=dict)
    shuffles_digest: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Threshold:
    """A cut-off with its error rate, applied to one map.

    Attributes
    ----------
    name : str
        As in ``inference.thresholds.THRESHOLDS``.
    description : str
        In words, with the error rate.
    cutoff : float
        Smallest surviving value of ``scale``; NaN where nothing survives or no such value exists.
    scale : str
        What ``cutoff`` is a value of: "t", "F", "z", "voxels", "mass", "tfce", ...
    surviving : ndarray of bool, shape (n_points,)
    adjusted : ndarray, shape (n_points,), or None
        Adjusted p or q of each point.
    reason : str
        Why the threshold could not be computed; empty where it could.
    warnings : tuple of str
    """

    name: str
    description: str
    alpha: float
    cutoff: float
    scale: str
    surviving: Mask
    adjusted: Map | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The maps of one contrast that thresholds are applied to.

    Attributes
    ----------
    test : {"t", "F", "v", "G", "T2", "Wilks", "T2 by group", "z"}
    statistic, z : ndarray, shape (n_points,)
        NaN where there is no test.
    log_p : ndarray, shape (n_points,)
        Natural logarithm of the uncorrected parametric p for ``tail``.
    dof : tuple of float
        (n_rows, residual).
    tail : {"two", "positive", "negative"}
        Always "positive" for tests without a sign.
    geometry : Geometry
    inference : Inference or None
        None where nothing was shuffled.
    cluster_forming_p : float
        One-sided.
    connectivity : {6, 18, 26}
    smoothness : Smoothness or None
        What random-field theory needs; None where residuals are not at hand.
    """

    test: str
    statistic: Map
    z: Map
    log_p: Map
    dof: tuple[float, float]
    tail: str
    geometry: Geometry
    inference: Inference | None = None
    cluster_forming_p: float = 0.001
    connectivity: int = 26
    smoothness: "Smoothness | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Smoothness:
    """How smooth the noise of a map is (random-field theory).

    Attributes
    ----------
    fwhm_voxels : ndarray, shape (3,)
        Full width at half maximum along the axes of the grid.
    resels : ndarray, shape (4,)
        Resel counts of dimension 0 to 3.
    n_points : int
        Voxels of the search volume.
    """

    fwhm_voxels: Numbers
    resels: Numbers
    n_points: int
