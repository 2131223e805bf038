"""Models of further repositories end as their index says: read, with a note, or refused for its reason."""

import csv
import re

import pytest
import references

from bidsapp.errors import ModelError
from bidsapp.model.read import read_model

# What ends otherwise than the index says, and why.
ARGUED = {
    # Its HRF stands above the runs and names conditions that X does not have: nothing would be convolved.
    "VisualBraille_analysis/models_model-visualEventRelatedNEW_smdl.json": "HRF: belongs to a Run node"
}
SMALLEST_RATE = 0.97
N_MODELS = 114
# Words of the messages for the reasons that the index gives.
REASONS = {
    "condition that X does not hold": "is not in X",
    "misspelt key": "unknown key",
    "a Run node without Model": "Model: is missing",
    "random effects": "VarianceComponents",
    "Formula without 0 or 1": "has neither 0 nor 1",
}
INDEX = references.find("models/more/INDEX.tsv")


def outcomes(path):
    """Return file -> (what is right, the reason) of an index."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {row["file"]: tuple(row["right"].partition(": ")[::2]) for row in rows}


def read(path):
    """Return how a model file ends, and the message of a refusal."""
    try:
        model = read_model(path)
    except ModelError as error:
        return "refuse", str(error)
    return "run with note" if model.notes else "run", ""


@pytest.mark.parametrize("index", INDEX)
def test_models_end_as_the_index_says(index):
    table = outcomes(index)
    assert len(table) == N_MODELS
    assert 1 - len(ARGUED) / len(table) >= SMALLEST_RATE
    wrong = []
    for name, (right, reason) in table.items():
        found, message = read(index.parent / name)
        if name in ARGUED:
            assert re.search(ARGUED[name], message)
        elif right == "refuse":
            words = [there for asked, there in REASONS.items() if reason.startswith(asked)]
            if found != "refuse" or not any(word in message for word in words):
                wrong.append((name, reason, found, message))
        elif right != "either" and found != right:
            wrong.append((name, right, found, message))
    assert not wrong
