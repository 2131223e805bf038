"""What a linked view shows, as plain arrays: it knows neither records nor files.

Maps are values of the points of one ``Geometry``, shape (n_points,), NaN where there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bidsapp.records.arrays import Labels, Map, Maps, Mask, Matrix, Numbers
from bidsapp.records.maps import Geometry
from bidsapp.report.drawing.background import Background


@dataclass(frozen=True, slots=True, eq=False)
class Statistic:
    """The map that is drawn and cut.

    Attributes
    ----------
    name : str
        "t", "z" or "F".
    values : ndarray, shape (n_points,)
    dof : tuple of float or None
        One number, of F two, without the last where that differs between voxels; None where not known.
    dof_map : ndarray, shape (n_points,), or None
        The last, where it differs between voxels.
    signed : bool
        Whether values below zero have a meaning; F has one colour.
    tail : {"two", "positive", "negative"}
        In which a threshold looks.
    curve : ndarray, shape (n, 2), or None
        Values of the statistic, ascending from 0, and their uncorrected p, one-sided in each tail: what the
        slider says of a threshold. No voxel's p is read from it.
    null_max : ndarray or None
        The largest value of each shuffle, the same of a corrected p.
    """

    name: str
    values: Map
    dof: tuple[float, ...] | None
    signed: bool
    tail: str = "two"
    curve: Matrix | None = None
    null_max: Numbers | None = None
    dof_map: Map | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """The estimated effect: its name in words, its unit, its standard error.

    ``quantile`` is the t of its interval, a map where the degrees of freedom differ between voxels.
    """

    name: str
    unit: str
    values: Map
    errors: Map
    quantile: float | Map


@dataclass(frozen=True, slots=True, eq=False)
class Size:
    """A standardised effect with the limits of its interval where it has one; ``name`` as ``Hedges' g``."""

    name: str
    values: Map
    low: Map | None = None
    high: Map | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Detectable:
    """The smallest effect that is found with a power (of 1)."""

    values: Map
    power: float


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A threshold and what survives it.

    Attributes
    ----------
    method : str
        As in the tables of the page.
    title, label : str
        In words; in a word or two.
    survives : ndarray of bool, shape (n_points,)
    p : ndarray, shape (n_points,), or None
        Its p (or q) at each voxel, of clusters that of the voxel's; NaN where it has none.
    n_shuffles : int or None
        Where p is a share of shuffles: of how many.
    cutoff : float or None
        The smallest value of the drawn statistic that survives, where the rule is such a cut-off.
    share : ndarray, shape (n_points,), or None
        Of a rule that has no p: the share of active voxels in the voxel's cluster, at least.
    """

    method: str
    title: str
    label: str
    survives: Mask
    p: Map | None = None
    n_shuffles: int | None = None
    cutoff: float | None = None
    share: Map | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """The region of each voxel: an index of ``names``, -1 for none; and its percentage where it has one."""

    title: str
    names: Sequence[str]
    regions: Labels
    percent: Map | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Subjects:
    """The effect of every input, and how to draw it.

    Attributes
    ----------
    names : sequence of str
        Of the subject of each row.
    values : ndarray, shape (n_rows, n_points)
    unit : str
    groups, cells : sequence of str
        Their names; one group has the name "".
    group, cell : sequence of int
        Of each row.
    covariate : ndarray, shape (n_rows,), or None
        Where the slope of a covariate is tested: its value; the rows are drawn over it.
    axis : str
        The name of the covariate.
    own_slopes : bool
        Whether each group has a slope of its own; else all have the tested one.
    start : int or None
        Where the effect is a difference of two groups or cells: the one that it is counted from.
    joined : int
        How many cells one after the other a line joins: the levels of the last factor; 0 for all.
    note : str
        What a reader has to know of the values.
    """

    names: Sequence[str]
    values: Maps
    unit: str
    groups: Sequence[str] = ("",)
    group: Sequence[int] = ()
    cells: Sequence[str] = ()
    cell: Sequence[int] = ()
    covariate: Numbers | None = None
    axis: str = ""
    own_slopes: bool = False
    start: int | None = None
    joined: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A contrast as the view shows it; several with one anchor are layers of one view.

    Attributes
    ----------
    anchor : str
        Of the place in the page.
    limit : float
        The value of the strongest colour.
    position : sequence of float
        Where the cross-hair begins, in mm.
    underlays : sequence of Background
        The first is drawn at the start.
    on_cortex : bool
        Whether positions are those of the cortex: MNI space.
    rules : sequence of Rule
        The first is the main one.
    words : tuple of str
        What above and below zero mean.
    layer : str
        Its name among the layers; the first is shown at the start.
    note : str
        What stands in the place of the subjects' effects where there are none.
    """

    anchor: str
    geometry: Geometry
    statistic: Statistic
    limit: float
    position: Sequence[float]
    underlays: Sequence[Background]
    on_cortex: bool = True
    rules: Sequence[Rule] = ()
    effect: Effect | None = None
    size: Size | None = None
    detectable: Detectable | None = None
    atlases: Sequence[Atlas] = ()
    subjects: Subjects | None = None
    words: tuple[str, str] = ("above zero", "below zero")
    layer: str = ""
    note: str = ""
