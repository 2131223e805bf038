"""The records of a BIDS Stats Model, and the names that the specification knows.

A model is read by ``model.read`` and never changed afterwards. ``INTERCEPT`` is the name of the column
that a model writes as the number 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bidsapp.records.documents import Document

INTERCEPT = "intercept"
# The contrast of a design within subjects that averages an effect over groups.
MEAN_OVER_GROUPS = "mean over groups"
# The mean over all cells of a formula.
MEAN = "mean"
# Before the name of a mean: with numbers at 0, not at their means.
ZERO = "zero"
# Names of a mean that say no more than that it is one.
NO_NAMES = ("1", INTERCEPT, MEAN, MEAN_OVER_GROUPS)
LEVELS = ("Run", "Session", "Subject", "Dataset")
# The long names of BIDS entities, as models write them, and the short ones of file names.
SHORT_NAMES = {
    "subject": "sub",
    "session": "ses",
    "task": "task",
    "acquisition": "acq",
    "ceagent": "ce",
    "reconstruction": "rec",
    "direction": "dir",
    "run": "run",
    "echo": "echo",
    "part": "part",
    "space": "space",
    "resolution": "res",
    "density": "den",
    "description": "desc",
    "hemisphere": "hemi",
}
LONG_NAMES = {short: name for name, short in SHORT_NAMES.items()}


def long_names(entities: Mapping[str, str]) -> dict[str, str]:
    """Return entities by their long names."""
    return {LONG_NAMES.get(key, key): value for key, value in entities.items()}


def name_cell(labels: Mapping[str, object], contrast: str | None = None) -> str:
    """Return the name of a cell within subjects: ``A``, ``ses-pre``, ``A ses-pre``.

    Parameters
    ----------
    labels : dict
        What tells it from others: ``contrast``, and entities by their long names.
    contrast : str, optional
        The one that all cells are of.
    """
    of = labels.get("contrast", contrast)
    entities = [f"{SHORT_NAMES[name]}-{label}" for name, label in labels.items() if name != "contrast"]
    return " ".join([*([] if of is None else [str(of)]), *entities])


HRF_MODELS = (
    "spm",
    "spm + derivative",
    "spm + derivative + dispersion",
    "glover",
    "glover + derivative",
    "glover + derivative + dispersion",
    "fir",
)
PYBIDS_SET, MATLAB_SET = "pybids-transforms-v1", "bids-matlab"
# What transformers take that give an output for each input.
PAIRED = "Input Output OutputPrefix OutputSuffix"
# The transformers of pybids-transforms-v1 and what each one takes.
TRANSFORMERS = {
    name: tuple(own.split())
    for name, own in {
        "And": "Input Output",
        "Assign": "Input Output Target InputAttr TargetAttr",
        "Convolve": f"{PAIRED} Model Derivative Dispersion FIRDelays",
        "Copy": PAIRED,
        "Delete": "Input",
        "Demean": f"{PAIRED} GroupBy",
        "DropNA": PAIRED,
        "Factor": f"{PAIRED} Constraint RefLevel Sep",
        "Filter": f"{PAIRED} Query By",
        "Group": "Input Output",
        "Lag": f"{PAIRED} GroupBy Shift Order Mode Constant Difference",
        "Not": PAIRED,
        "Or": "Input Output",
        "Orthogonalize": f"{PAIRED} Other",
        "Product": "Input Output",
        "Rename": PAIRED,
        "Replace": f"{PAIRED} Replace Attribute",
        "Resample": f"{PAIRED} SamplingRate",
        "Scale": f"{PAIRED} GroupBy Demean Rescale ReplaceNa",
        "Select": "Input",
        "Split": f"{PAIRED} By",
        "Sum": "Input Output Weights",
        "Threshold": f"{PAIRED} Threshold Binarize Above Signed",
        "ToDense": f"{PAIRED} SamplingRate",
    }.items()
}
# What bids-matlab has beside them, or with other arguments.
MATLAB_TRANSFORMERS = {
    name: tuple(own.split())
    for name, own in {
        "Add": f"{PAIRED} Value Query",
        "Concatenate": "Input Output",
        "Constant": "Output Value",
        "Divide": f"{PAIRED} Value Query",
        "Factor": "Input",
        "Filter": f"{PAIRED} Query",
        "LabelIdenticalRows": "Input Cumulative",
        "Mean": "Input Output OmitNan",
        "MergeIdenticalRows": "Input",
        "Multiply": f"{PAIRED} Value Query",
        "Not": "Input Output",
        "Power": f"{PAIRED} Value Query",
        "Split": "Input By",
        "StdDev": "Input Output OmitNan",
        "Subtract": f"{PAIRED} Value Query",
    }.items()
}
TRANSFORMER_SETS = {PYBIDS_SET: TRANSFORMERS, MATLAB_SET: TRANSFORMERS | MATLAB_TRANSFORMERS}
REQUIRED_ARGUMENTS = {
    "Add": ("Value",),
    "Concatenate": ("Output",),
    "Constant": ("Output",),
    "Divide": ("Value",),
    "Multiply": ("Value",),
    "Power": ("Value",),
    "Subtract": ("Value",),
    "And": ("Output",),
    "Assign": ("Target",),
    "Copy": ("Output",),
    "Filter": ("Query",),
    "Group": ("Output",),
    "Or": ("Output",),
    "Orthogonalize": ("Other",),
    "Product": ("Output",),
    "Rename": ("Output",),
    "Replace": ("Replace",),
    "Split": ("By",),
    "Sum": ("Output",),
}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One transformation of a set; ``arguments`` by their names there, ``where`` is its JSON path."""

    name: str
    arguments: Document
    where: str
    transformer: str = PYBIDS_SET


@dataclass(frozen=True, slots=True)
class ContrastRule:
    """A contrast as the model writes it: weights over named conditions, shape (n_rows, n_conditions).

    ``test`` is "t", "F" or "pass".
    """

    name: str
    conditions: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    test: str
    where: str


@dataclass(frozen=True, slots=True)
class DummyRule:
    """One contrast for each of these columns (None: every column of X)."""

    test: str
    contrasts: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ResponseRule:
    """The HRF block: which variables are convolved, with what."""

    variables: tuple[str, ...]
    model: str
    fir_delays: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The Options block; frequencies in Hz, None where not asked for."""

    high_pass_hz: float | None = None
    low_pass_hz: float | None = None
    mask: Document | None = None
    aggregate: str = "none"


@dataclass(frozen=True, slots=True)
class Node:
    """A step of the model. ``type`` is "glm" or "meta"; ``x`` holds INTERCEPT for the number 1.

    ``invalid_contrasts`` is what becomes of contrasts that can never be made: "error", or "drop".
    """

    level: str
    name: str
    group_by: tuple[str, ...]
    x: tuple[str, ...]
    type: str = "glm"
    transformations: tuple[Instruction, ...] = ()
    formula: str | None = None
    hrf: ResponseRule | None = None
    options: ModelSettings = ModelSettings()
    software: dict[str, Document] = field(default_factory=dict)
    contrasts: tuple[ContrastRule, ...] = ()
    dummy: DummyRule | None = None
    where: str = ""
    invalid_contrasts: str = "error"

    @property
    def own(self) -> Document:
        """What its Software says to TaskGLM."""
        return self.software.get("TaskGLM", {})


@dataclass(frozen=True, slots=True)
class Edge:
    """From one node to another; ``filter`` maps a variable to the values that pass."""

    source: str
    destination: str
    filter: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that has been checked.

    Attributes
    ----------
    nodes : tuple of Node
        In an order in which every node comes after those that feed it.
    input : dict of str to tuple of str
        Entity (long name) to the labels that the model is for.
    text : str
        The model as JSON in today's form, after migration.
    notes : tuple of str
        `errors.ModelNote`: what was read otherwise than written.
    """

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    input: dict[str, tuple[str, ...]]
    description: str = ""
    text: str = ""
    notes: tuple[str, ...] = ()

    def node(self, name: str) -> Node:
        """Return the node of a name."""
        return next(node for node in self.nodes if node.name == name)

    def edges_into(self, name: str) -> tuple[Edge, ...]:
        """Return the edges that end at a node."""
        return tuple(edge for edge in self.edges if edge.destination == name)
