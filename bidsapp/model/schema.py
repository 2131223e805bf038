"""The shape of a BIDS Stats Model, strictly: an unknown key is a fault.

Only shapes are checked here (what is a list, what is a text); ``model.nodes`` checks what they mean.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """An object of a model: no key but these, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True)
    Description: str | None = None


class TransformationsShape(Strict):
    """The instructions of a node, and the set of transformers that they belong to."""

    Transformer: str
    Instructions: list[dict[str, Any]]


class ResponseShape(Strict):
    """The HRF block."""

    Variables: list[str]
    Model: str
    Parameters: dict[str, Any] | None = None


class OptionsShape(Strict):
    """Options of the estimation."""

    HighPassFilterCutoffHz: float | None = None
    LowPassFilterCutoffHz: float | None = None
    ReplaceVariables: Any = None
    Mask: dict[str, Any] | None = None
    Aggregate: Literal["none", "mean", "pca"] | None = None


class ModelShape(Strict):
    """The design of a node."""

    Type: Literal["glm", "meta"]
    X: list[Any]
    Formula: str | None = None
    HRF: ResponseShape | None = None
    Options: OptionsShape | None = None
    Software: dict[str, dict[str, Any]] | None = None


class ContrastShape(Strict):
    """A contrast."""

    Name: str
    ConditionList: list[Any]
    Weights: list[Any]
    Test: Literal["t", "F", "pass"]


class DummyShape(Strict):
    """One contrast a column."""

    Contrasts: list[Any] | None = None
    Test: Literal["t", "pass"]


class NodeShape(Strict):
    """A step of the model."""

    Level: Literal["Run", "Session", "Subject", "Dataset"]
    Name: str
    GroupBy: list[str]
    Transformations: TransformationsShape | None = None
    Model: ModelShape
    Contrasts: list[ContrastShape] | None = None
    DummyContrasts: DummyShape | None = None


class EdgeShape(Strict):
    """From one node to another."""

    Source: str
    Destination: str
    Filter: dict[str, list[Any]] | None = None


class DocumentShape(Strict):
    """A whole model."""

    Name: str
    BIDSModelVersion: str
    Input: dict[str, Any] | None = None
    Nodes: list[NodeShape]
    Edges: list[EdgeShape] | None = None


# The keys of every object, for near matches: by the key that the object stands under.
KEYS = {
    "": tuple(DocumentShape.model_fields),
    "Nodes": tuple(NodeShape.model_fields),
    "Edges": tuple(EdgeShape.model_fields),
    "Model": tuple(ModelShape.model_fields),
    "Contrasts": tuple(ContrastShape.model_fields),
    "DummyContrasts": tuple(DummyShape.model_fields),
    "Transformations": tuple(TransformationsShape.model_fields),
    "HRF": tuple(ResponseShape.model_fields),
    "Options": tuple(OptionsShape.model_fields),
}
