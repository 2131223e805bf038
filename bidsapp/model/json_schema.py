"""The JSON schema of a model, for editors: made from the shapes, transformers and responses that are read.

It knows today's form of a model, which ``model migrate`` writes; older forms are read as well, with notes.
"""

from bidsapp.model.instructions import BOOLEANS, CHOICES, NUMBERS
from bidsapp.model.json_text import format_json
from bidsapp.model.nodes import GROUPINGS
from bidsapp.model.schema import DocumentShape
from bidsapp.model.software import OURS
from bidsapp.records.documents import Document
from bidsapp.records.model import HRF_MODELS, REQUIRED_ARGUMENTS, SHORT_NAMES, TRANSFORMER_SETS

SCHEMA_FILE = "model.schema.json"
# Keys that are left alone: comments, and what editors read.
PRIVATE: Document = {"^[_$]": {}}
TEXT, TEXTS = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
DELAYS = {"type": "array", "items": {"type": "integer", "minimum": 0}}
LABELS = {"type": "array", "items": {"type": ["string", "number"]}}
COLUMNS = {"type": "array", "items": {"anyOf": [TEXT, {"const": 1}]}, "minItems": 1}
WEIGHT = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\s*[+-]?(\d|\.\d)[\d./\s]*$"}]}
ROW = {"type": "array", "items": WEIGHT, "minItems": 1}
WORDS = {
    "Input": "Which runs the model is for: entity, labels.",
    "GroupBy": "One fit for each combination of these; without 'run' at a Run node, runs are joined.",
    "X": "The columns of the design: names, patterns with * and ?, and 1 for the intercept.",
    "Formula": "The design as a formula of R, with an intercept said: '1 + ...' or '0 + ...'.",
    "Type": "How a node is fitted: glm, or meta (precision weights) at Session and Subject nodes.",
    "Transformations": "What is made of the events and confounds before the design.",
    "HighPassFilterCutoffHz": "Frequency in Hz below which cosine columns take the slow waves (1 / seconds).",
    "LowPassFilterCutoffHz": "Frequency in Hz above which cosine columns take the fast waves.",
    "Mask": "The mask beside the image, by its entities.",
    "Aggregate": "One series for each region of the mask.",
    "ConditionList": "The columns that the weights are for, in their order.",
    "Weights": "One weight for each condition; rows of weights for an F test. Fractions as text: '1/3'.",
    "Test": "t, F, or pass: handed on without a test of its own.",
    "DummyContrasts": "One contrast for each column, or for those listed.",
    "Filter": "What passes along the edge: entity, column of participants.tsv or 'contrast', and its values.",
    "Variables": "The columns that are convolved with the response.",
}


def make_json_schema() -> Document:
    """Return the JSON schema (draft 2020-12) of a model in today's form."""
    schema = DocumentShape.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "BIDS Stats Model, as TaskGLM reads it"
    shapes = schema["$defs"] | {"": schema}
    for shape in shapes.values():
        shape["patternProperties"] = PRIVATE
        for key, field in shape["properties"].items():
            field.pop("title", None)
            if key in WORDS:
                field["description"] = WORDS[key]
    for where, value in _narrower().items():
        name, key = where.split(".")
        shapes[name]["properties"][key] |= value
    return schema


def json_schema_text() -> str:
    """Return the JSON schema as the text of a file."""
    return format_json(make_json_schema()) + "\n"


def _narrower() -> Document:
    """Return what is known of fields beyond their shape, by the shape and the key."""
    groupings = {"anyOf": [{"enum": list(GROUPINGS)}, TEXT]}
    return {
        ".Input": {"properties": dict.fromkeys(SHORT_NAMES, LABELS)},
        "NodeShape.GroupBy": {"items": groupings},
        "ModelShape.X": COLUMNS,
        "ModelShape.Software": {"properties": {"TaskGLM": _own_software()}},
        "ResponseShape.Model": {"enum": list(HRF_MODELS)},
        "TransformationsShape.Transformer": {"enum": list(TRANSFORMER_SETS)},
        "TransformationsShape.Instructions": {"items": _instructions()},
        "ContrastShape.ConditionList": COLUMNS,
        "ContrastShape.Weights": {"items": {"anyOf": [*WEIGHT["anyOf"], ROW]}, "minItems": 1},
    }


def _own_software() -> Document:
    choices = {key: {"enum": list(values)} for key, (_, values) in OURS.items() if values}
    more = {"Confounds": TEXT, "Descriptive": TEXTS, "SubjectContrasts": {"type": "array"}}
    return {"type": "object", "properties": choices | more, "additionalProperties": False}


def _instructions() -> Document:
    """Return the schema of an instruction: the transformers of all sets, each with what it takes in any."""
    known: dict[str, list[tuple[str, ...]]] = {}
    for name, own in (item for some in TRANSFORMER_SETS.values() for item in some.items()):
        known.setdefault(name, []).append(own)
    rules = [
        {
            "if": {"properties": {"Name": {"const": name}}, "required": ["Name"]},
            "then": {
                "properties": {"Name": {}, "Description": TEXT} | _arguments(name, sum(taken, ())),
                "patternProperties": PRIVATE,
                "required": [key for key in ("Input", *REQUIRED_ARGUMENTS.get(name, ())) if key in taken[-1]],
                "additionalProperties": False,
            },
        }
        for name, taken in known.items()
    ]
    names = {"type": "string", "enum": list(known)}
    return {"type": "object", "properties": {"Name": names}, "required": ["Name"], "allOf": rules}


def _arguments(name: str, own: tuple[str, ...]) -> Document:
    known: Document = {key: {} for key in own}
    known |= {key: {"enum": list(CHOICES[key])} for key in own if key in CHOICES}
    known |= {key: {"type": "number"} for key in own if key in NUMBERS}
    known |= {key: DELAYS for key in own if key == "FIRDelays"}
    return known | {key: {"type": "boolean"} for key in BOOLEANS.get(name, ())}
