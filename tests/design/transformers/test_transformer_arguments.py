"""Every argument that a transformer takes changes what it makes: none is dropped in silence."""

import json

import numpy as np
import pytest
from documents import make_document

from bidsapp.design.transformers.transform import transform
from bidsapp.design.transformers.variables import Namespace, Variable, as_values
from bidsapp.errors import ModelError
from bidsapp.model.read import parse_model
from bidsapp.records.model import MATLAB_SET, PYBIDS_SET, TRANSFORMER_SETS

ONSET, DURATION = np.array([0.0, 11.0, 20.5, 31.0]), np.array([1.0, 2.0, 1.0, 4.0])
COLUMNS = {
    "onset": ONSET,
    "duration": DURATION,
    "kind": ["a", "b", "b", None],
    "gain": [1.0, 2.0, 3.0, 6.0],
    "loss": [-3.0, -3.0, 1.0, 2.0],
    "rt": [0.5, None, 0.7, 0.9],
    "one": [1.0, 1.0, 1.0, 1.0],
    "turn": [1.0, 2.0, 1.0, 2.0],
}
RUN = {"Level": "Run", "Name": "run", "GroupBy": ["run", "subject"], "Model": {"Type": "glm", "X": [1]}}
# A step of each transformer in which every other argument has something to do.
STEPS = {
    "Add": {"Input": ["gain"], "Value": 2},
    "And": {"Input": ["gain", "loss"], "Output": "x"},
    "Assign": {"Input": ["rt"], "Target": ["gain"]},
    "Concatenate": {"Input": ["kind", "gain"], "Output": "x"},
    "Constant": {"Output": "x"},
    "Convolve": {"Input": ["gain"]},
    "Copy": {"Input": ["gain"], "Output": "x"},
    "Delete": {"Input": ["gain"]},
    "Demean": {"Input": ["gain"]},
    "Divide": {"Input": ["gain"], "Value": 2},
    "DropNA": {"Input": ["rt"]},
    "Factor": {"Input": ["kind"]},
    "Filter": {"Input": ["gain"], "Query": "loss > 0"},
    "Group": {"Input": ["gain"], "Output": "x"},
    "LabelIdenticalRows": {"Input": ["turn"]},
    "Lag": {"Input": ["gain"]},
    "Mean": {"Input": ["rt"]},
    "MergeIdenticalRows": {"Input": ["kind"]},
    "Multiply": {"Input": ["gain"], "Value": 2},
    "Not": {"Input": ["loss"]},
    "Or": {"Input": ["gain", "loss"], "Output": "x"},
    "Orthogonalize": {"Input": ["gain"], "Other": ["loss"]},
    "Power": {"Input": ["gain"], "Value": 2},
    "Product": {"Input": ["gain", "loss"], "Output": "x"},
    "Rename": {"Input": ["gain"], "Output": "x"},
    "Replace": {"Input": ["gain"], "Replace": {"2": 9}},
    "Resample": {"Input": ["gain"], "SamplingRate": 0.1},
    "Scale": {"Input": ["rt"]},
    "Select": {"Input": ["gain"]},
    "Split": {"Input": ["gain"], "By": ["kind"]},
    "StdDev": {"Input": ["rt"]},
    "Subtract": {"Input": ["gain"], "Value": 2},
    "Sum": {"Input": ["gain", "loss"], "Output": "x"},
    "Threshold": {"Input": ["loss"], "Threshold": 1.5},
    "ToDense": {"Input": ["gain"], "SamplingRate": 0.1},
}
# Another value of each argument; by transformer where one does not do for all.
OTHERS = {
    "Input": ["one"],
    "Output": "y",
    "OutputPrefix": "p_",
    "OutputSuffix": "_s",
    "Above": False,
    "Attribute": "duration",
    "Binarize": True,
    "By": ["loss"],
    "Constant": 7,
    "Constraint": "drop_one",
    "Cumulative": True,
    "Demean": False,
    "Derivative": True,
    "Difference": True,
    "Dispersion": True,
    "FIRDelays": [0, 1],
    "GroupBy": ["kind"],
    "InputAttr": "onset",
    "Mode": "constant",
    "Model": "glover",
    "OmitNan": True,
    "Order": 0,
    "Other": ["rt"],
    "Query": "loss < 0",
    "RefLevel": "b",
    "Replace": {"3": 9},
    "ReplaceNa": "after",
    "Rescale": False,
    "SamplingRate": 0.2,
    "Sep": "_",
    "Shift": 2,
    "Signed": False,
    "Target": ["loss"],
    "TargetAttr": "duration",
    "Threshold": 0.5,
    "Value": 3,
    "Weights": [1, 2],
    ("Filter", "By"): ["nothing"],
    ("MergeIdenticalRows", "Input"): ["gain"],
    ("And", "Input"): ["rt", "loss"],
    ("Or", "Input"): ["rt", "rt"],
    ("Product", "Input"): ["gain", "one"],
    ("Sum", "Input"): ["gain", "one"],
}
# Arguments that act only beside another.
BESIDE = {
    "RefLevel": {"Constraint": "drop_one"},
    "FIRDelays": {"Model": "fir", "FIRDelays": [0]},
    "Constant": {"Mode": "constant"},
    "Order": {"Shift": 0.5},
}
CASES = [
    pytest.param(transformer, name, key, id=f"{transformer}-{name}-{key}")
    for transformer, known in TRANSFORMER_SETS.items()
    for name, keys in known.items()
    for key in keys
    if transformer == PYBIDS_SET or known[name] != TRANSFORMER_SETS[PYBIDS_SET].get(name)
]


def outcome(transformer, name, arguments):
    """Return what a step makes of the columns, or why it is refused."""
    block = {"Transformer": transformer, "Instructions": [{"Name": name, **arguments}]}
    document = make_document(RUN | {"Transformations": block})
    rows = np.arange(len(ONSET))
    columns = {key: as_values(np.array(values, object)) for key, values in COLUMNS.items()}
    namespace = Namespace(
        {key: Variable(key, values, ONSET, DURATION, rows) for key, values in columns.items()},
        np.arange(40) * 2.0,
    )
    try:
        transform(namespace, parse_model(json.dumps(document)).nodes[0].transformations)
    except ModelError as error:
        return str(error)
    made = {
        name: [np.asarray(part).tolist() for part in (v.values, v.onset, v.duration)]
        for name, v in namespace.variables.items()
    }
    return repr((made, namespace.groups, namespace.missing))


def test_every_transformer_has_a_step():
    assert set(STEPS) == set(TRANSFORMER_SETS[MATLAB_SET])
    assert len(CASES) > 150


@pytest.mark.parametrize(("transformer", "name", "key"), CASES)
def test_every_argument_changes_what_is_made(transformer, name, key):
    arguments = STEPS[name] | BESIDE.get(key, {})
    before = outcome(transformer, name, arguments)
    assert before.startswith("(")
    after = outcome(transformer, name, arguments | {key: OTHERS.get((name, key), OTHERS[key])})
    assert after.startswith("(")
    assert after != before


@pytest.mark.parametrize("key", ["Dense", "Groupby2", "Weight", "Colour"])
def test_an_argument_that_nothing_reads_is_refused(key):
    assert "Product has no such argument" in outcome(PYBIDS_SET, "Product", STEPS["Product"] | {key: True})
