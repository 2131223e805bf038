"""The records of a plan: what will be computed, from which files. No array in them is image data."""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from bidsapp.records.arrays import Mask, Matrix, Numbers
from bidsapp.records.documents import Document
from bidsapp.records.maps import Contrast, Design, EstimateFile, EstimateKey, Run
from bidsapp.records.model import Model


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """What the columns of a condition say of the response to one event.

    Attributes
    ----------
    name : str
        Of the variable that was convolved.
    columns : tuple of str
    duration : float
        Of the event in seconds, the median of the condition's.
    seconds : ndarray, shape (n_times,)
        After its onset.
    shapes : ndarray, shape (n_times, n_columns)
        Times the parameters of the columns they add up to the response.
    """

    name: str
    columns: tuple[str, ...]
    duration: float
    seconds: Numbers
    shapes: Matrix


@dataclass(frozen=True, slots=True)
class RunFit:
    """One model over the volumes of one run (or of several, one after the other).

    Attributes
    ----------
    node : str
    runs : tuple of Run
    entities : dict
        What the outputs are named by.
    design : Design
        Rows are volumes, those of all runs one after the other.
    contrasts : tuple of Contrast
    skipped : dict of str to str
        Contrasts that can not be made here, and why.
    conditions, confounds : tuple of str
        Columns that come from the events, and from the confounds.
    keep : ndarray of bool, shape (n_volumes,)
        False where a volume is censored.
    descriptions : dict of str to str
        What each column is.
    events : tuple of dict
        The events as used: onset, duration, trial_type.
    notes : tuple of str
    made_with : dict
        What of the model decides the numbers, by the names of sidecar fields.
    asked : dict of str to dict
        The t contrasts as the model writes them: name -> condition -> weight.
    aggregate : {"none", "mean", "pca"}
        How the voxels of each region of the mask become one series.
    responses : tuple of Response
        Of conditions with several columns; of runs that are fitted together none.
    """

    node: str
    runs: tuple[Run, ...]
    entities: dict[str, str]
    design: Design
    contrasts: tuple[Contrast, ...]
    skipped: dict[str, str]
    conditions: tuple[str, ...]
    confounds: tuple[str, ...]
    keep: Mask
    descriptions: dict[str, str]
    events: tuple[Document, ...] = ()
    high_pass_hz: float | None = None
    notes: tuple[str, ...] = ()
    made_with: Document = field(default_factory=dict)
    asked: dict[str, dict[str, float]] = field(default_factory=dict)
    aggregate: str = "none"
    responses: tuple[Response, ...] = ()

    @property
    def level(self) -> str:
        """The level of its estimates."""
        return "run"

    @property
    def label(self) -> str:
        """The runs in words."""
        return " + ".join(run.label for run in self.runs)

    @property
    def rows(self) -> list[slice]:
        """The rows of each run in the design, as slices."""
        ends = np.cumsum([0, *(run.n_volumes for run in self.runs)]).tolist()
        return [slice(*pair) for pair in pairwise(ends)]


@dataclass(frozen=True, slots=True)
class CombineFit:
    """Estimates of one subject combined by a Session or Subject node.

    Attributes
    ----------
    node, level : str
        ``level`` is "session" or "subject".
    entities : dict
        Those that the node does not average over.
    contrast : str or None
        The incoming contrast; None where several come in.
    inputs : tuple of EstimateKey
        The rows of the design.
    contrasts : tuple of Contrast
        Named as the outputs are; "F" where a joint F is made from the inputs' joint effects.
    group_contrasts : dict of str to str
        The name of each output contrast to the name that the node gives it ("1" on the intercept).
    method : str
        "fixed" (weighted by precision, known variances) or "ols".
    shares_runs : bool
        Whether inputs were made from the same run, whose noise they share.
    goes_on : bool
        Whether a later combination takes the results.
    """

    node: str
    level: str
    entities: dict[str, str]
    contrast: str | None
    inputs: tuple[EstimateKey, ...]
    design: Design
    contrasts: tuple[Contrast, ...]
    group_contrasts: dict[str, str]
    method: str
    skipped: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shares_runs: bool = False
    goes_on: bool = False

    @property
    def method_in_words(self) -> str:
        """The method as a report names it."""
        shared = ", covariance within runs" if self.shares_runs else ""
        return {"fixed": "fixed effects", "ols": "ordinary least squares"}[self.method] + shared


@dataclass(frozen=True, slots=True)
class SubjectPlan:
    """What is computed for one subject.

    Attributes
    ----------
    combinations : tuple of CombineFit
        In an order in which inputs come first.
    problems : tuple of str
        Why the subject, or a part of it, can not be analysed; the others go on.
    """

    subject: str
    runs: tuple[RunFit, ...]
    combinations: tuple[CombineFit, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> tuple[RunFit | CombineFit, ...]:
        """All fits, in an order in which inputs come first."""
        return self.runs + self.combinations


@dataclass(frozen=True, slots=True)
class ParticipantPlan:
    """The participant stage.

    ``documents`` are the models, one unless several tasks have an automatic model each; ``links`` maps the
    name of each input dataset to its folder.
    """

    documents: tuple[Model, ...]
    subjects: tuple[SubjectPlan, ...]
    links: dict[str, Path]
    notes: tuple[str, ...] = ()

    @property
    def model(self) -> Model:
        """The first model."""
        return self.documents[0]


@dataclass(frozen=True, slots=True)
class Within:
    """A contrast within subjects: one map a subject and row is made from the maps of the cells.

    The inputs of the fit are those of the first subject in the order of ``cells``, then of the next.

    Attributes
    ----------
    cells : tuple of str
        Contrasts of the subjects, with the labels of entities that tell cells apart (``faces ses-pre``).
    weights : ndarray, shape (n_rows, n_cells)
    """

    cells: tuple[str, ...]
    weights: Matrix

    @property
    def test(self) -> Literal["t", "F"]:
        """The test of its mean: several rows are tested together, by Hotelling's T2."""
        return "t" if len(self.weights) == 1 else "F"

    @property
    def in_words(self) -> str:
        """The rows as one writes them, ``A - 0.5 B; B - C``."""
        return "; ".join(
            "".join(f" {weight:+g} {cell}" for cell, weight in zip(self.cells, row, strict=True) if weight)
            .replace("+1 ", "+ ")
            .replace("-1 ", "- ")
            .strip()
            .removeprefix("+ ")
            for row in self.weights
        )


@dataclass(frozen=True, slots=True)
class Margin:
    """A contrast over the means of a formula's levels and cells, or over slopes.

    Attributes
    ----------
    rows : tuple of dict
        Of each row, level or cell (``group.patient:site.A``) -> weight; ``mean`` is that of all cells.
    subjects : dict of str to int
        Levels or cells, and how many rows they have.
    slope : str
        The columns of numbers whose slope it is; empty where it is over means.
    averaged : tuple of str
        Factors that are averaged over, each level alike.
    at_mean : tuple of str
        Variables that are at their mean.
    """

    rows: tuple[dict[str, float], ...]
    subjects: dict[str, int]
    slope: str
    averaged: tuple[str, ...]
    at_mean: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DatasetFit:
    """One group design of a Dataset node, over the estimates of one incoming contrast.

    Attributes
    ----------
    node : str
        Named as its outputs are: with the value of a participants column that the node groups by.
    contrast : str or None
        The incoming contrast; None where several come in.
    subjects : tuple of str
        One for each row of the design.
    inputs : tuple of EstimateFile
        The input of each row, as ``inputs.estimates`` found it.
    group_contrasts : dict of str to str
        The name of each output contrast to the name that the node gives it ("1" on the intercept).
    excluded : dict of str to str
        Subjects that are left out, and why.
    covariates : dict of str to dict
        Subject to its values of the columns that the design uses.
    method : str
        "glm" or "meta" (known variances), as the node's Type.
    variance_groups : tuple of str
        The variance group of each row; empty where all share one.
    blocks : tuple of str
        The exchangeability block of each row; empty where none were asked for.
    within : Within or None
        Where the rows of the design are made from several inputs each.
    graph : dict
        The model's nodes and edges with the numbers of estimates, as ``plan.graph`` describes them.
    descriptive : tuple of str
        The contrasts that are no hypotheses: means of groups, which come with a design.
    family : tuple of str
        The contrasts whose errors are controlled together with those of the node's other fits.
    factors : dict of str to list of str
        Columns of the participants with a few levels, and the level of each row.
    group_by : dict of str to str
        The values of the participants columns that the node groups by.
    resampled : tuple of str
        The subjects with maps on another grid than the first, which are resampled to it.
    coding : str
        How the variables of a formula are coded, in sentences.
    levels : dict of str to tuple of int
        Levels of a formula's factors (``group.patient``) to the rows that have them.
    numbers : tuple of str
        Columns of a formula that vary with numbers: covariates, and what they are multiplied with.
    margins : dict of str to Margin
        Contrasts over means of these levels, and over slopes.
    """

    node: str
    entities: dict[str, str]
    contrast: str | None
    subjects: tuple[str, ...]
    inputs: tuple[EstimateFile, ...]
    design: Design
    contrasts: tuple[Contrast, ...]
    group_contrasts: dict[str, str]
    excluded: dict[str, str]
    covariates: dict[str, dict[str, float]]
    method: str = "glm"
    formula: str = ""
    skipped: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    variance_groups: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    within: Within | None = None
    graph: Document = field(default_factory=dict)
    descriptive: tuple[str, ...] = ()
    family: tuple[str, ...] = ()
    factors: dict[str, list[str]] = field(default_factory=dict)
    group_by: dict[str, str] = field(default_factory=dict)
    resampled: tuple[str, ...] = ()
    coding: str = ""
    levels: dict[str, tuple[int, ...]] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    margins: dict[str, Margin] = field(default_factory=dict)

    @property
    def level(self) -> str:
        """The level of its node."""
        return "dataset"

    @property
    def n_scores(self) -> int:
        """How many maps of each row are tested together: several in a multivariate test within subjects."""
        return 1 if self.within is None else len(self.within.weights)

    @property
    def input_cells(self) -> tuple[str, ...]:
        """Of each input the cell that it is, else its contrast."""
        if self.within is None:
            return tuple(entry.key.contrast for entry in self.inputs)
        return self.within.cells * len(self.subjects)


@dataclass(frozen=True, slots=True)
class DatasetModel:
    """The fits of one Dataset node that share their entities; they make one record."""

    node: str
    entities: dict[str, str]
    group_by: dict[str, str]
    fits: tuple[DatasetFit, ...]


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """The group stage; ``documents`` as in `ParticipantPlan`, ``models`` what is fitted."""

    documents: tuple[Model, ...]
    models: tuple[DatasetModel, ...]
    links: dict[str, Path]
    notes: tuple[str, ...] = ()
