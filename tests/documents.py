"""Model documents that tests share: their nodes, contrasts and instructions."""

import copy
import json
from pathlib import Path


def contrast(name, conditions, weights, test="t"):
    """Return a contrast of a model."""
    return {"Name": name, "ConditionList": list(conditions), "Weights": list(weights), "Test": test}


def transformations(*steps, transformer="pybids-transforms-v1"):
    """Return a block of instructions."""
    return {"Transformer": transformer, "Instructions": list(steps)}


def factor(column="trial_type"):
    """Return the instruction that makes a column of each level."""
    return {"Name": "Factor", "Input": [column]}


def factor_and_convolve():
    """Return the transformations that nearly every model of a run begins with."""
    return transformations(factor(), {"Name": "Convolve", "Input": ["trial_type.*"], "Model": "spm"})


def run_node(x, **changes):
    """Return a Run node over these columns; other keys of its Model in ``Model``."""
    node = {"Level": "Run", "Name": "run", "GroupBy": ["run", "subject"]}
    return make_node(node | {"Model": {"Type": "glm", "X": list(x)}}, **changes)


def higher_node(level, x=(1,), **changes):
    """Return a node of a level above the runs, which passes each contrast on."""
    group_by = ["contrast"] if level == "Dataset" else [level.lower(), "contrast"]
    node = {"Level": level, "Name": level.lower(), "GroupBy": group_by}
    node |= {"Model": {"Type": "glm", "X": list(x)}, "DummyContrasts": {"Test": "t"}}
    return make_node(node, **changes)


def make_node(node, **changes):
    """Return a copy of a node with other keys; None takes a key away, a dict goes into its Model."""
    node = copy.deepcopy(node)
    for key, value in changes.items():
        if value is None:
            node.pop(key, None)
        elif key == "Model":
            node["Model"] |= value
        else:
            node[key] = value
    return node


def make_document(*nodes, **changes):
    """Return a model document of these nodes, one after the other unless ``Edges`` says otherwise."""
    head = {"Name": "m", "BIDSModelVersion": "1.0.0"}
    return head | {key: changes[key] for key in changes if key == "Input"} | {"Nodes": list(nodes)} | changes


def write_model(document, folder):
    """Write a model and return its path."""
    path = Path(folder) / "model-m_smdl.json"
    path.write_text(json.dumps(document, indent=1))
    return path
