"""Notes on a model: each once, with the lines of the file as it was written."""

import json
import pickle

import pytest
from documents import make_document

from bidsapp.errors import ModelError
from bidsapp.model.read import parse_model
from bidsapp.plan.explain import explain_model

OLD = """{
  "Name": "old",
  "Input": {"task": "t"},
  "Steps": [
    {
      "level": "run",
      "Transformations": [
        {"Name": "Factor", "Inputs": ["trial_type"]},
        {"Name": "Convolve", "Input": ["trial_type.a", "trial_type.b"], "Model": "spm"}
      ],
      "Model": {"X": ["trial_type.a", "trial_type.b"]},
      "Contrasts": [
        {},
        {"Name": "aOnly", "ConditionList": ["trial_type.a"], "Weights": [1], "Type": "t"},
        {"Name": "both", "ConditionList": ["a", "trial_type.b"],
         "Weights": [1, 1], "Type": "T"}
      ]
    },
    {
      "level": "subject",
      "AutoContrasts": ["both"]
    }
  ]
}
"""


@pytest.fixture(scope="module")
def notes():
    return {note.split(": ", 1)[1]: note for note in parse_model(OLD, "old_smdl.json").notes}


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("'Steps' is read as 'Nodes'", (4,)),
        ("'level' is read as 'Level'", (6, 20)),
        ("Level 'run' is read as 'Run'", (6,)),
        ("Transformations are a plain list: read as pybids-transforms-v1", (7,)),
        ("Model.Type is missing in a Run node: read as 'glm'", (11,)),
        ("an empty contrast {} was left out", (12,)),
        ("'Type' is read as 'Test'", (14, 16)),
        ("Test 'T' is read as 't'", (16,)),
        ("run: 'a' is read as 'trial_type.a'", (15,)),
        ("one value stands where a list belongs, read as a list of one: Input.task", (3,)),
        ("AutoContrasts are read as DummyContrasts with the test t", (21,)),
        ("a Subject node has no Model: read as X [1]", (19,)),
        ("Model.Type is missing in a Subject node: read as 'glm'", (19,)),
    ],
)
def test_note_has_the_lines_of_the_file(notes, words, lines):
    assert notes[words].lines == lines
    assert notes[words].startswith(f"old_smdl.json, line{'s' * (len(lines) > 1)} {lines[0]}")


def test_note_is_there_once():
    found = parse_model(OLD).notes
    assert len(set(found)) == len(found)


def test_note_survives_the_way_to_a_worker():
    (note, *_) = parse_model(OLD).notes
    again = pickle.loads(pickle.dumps(note))
    assert (str(again), again.lines) == (str(note), note.lines)


def test_page_beside_the_model_has_all_notes():
    model = parse_model(OLD, "old_smdl.json")
    assert [line[2:] for line in explain_model(model).splitlines() if line[2:] in model.notes] == list(
        model.notes
    )


def test_faults_of_an_older_model_name_its_own_keys_and_lines():
    text = OLD.replace('"Weights": [1, 1]', '"Weights": [1]')
    with pytest.raises(ModelError, match=r"line 16, Steps\[0\]\.Contrasts\[2\]\.Weights"):
        parse_model(text, "old_smdl.json")


def test_text_in_todays_form_is_read_the_same_without_notes():
    model = parse_model(OLD)
    again = parse_model(model.text)
    assert (again.nodes, again.edges, again.notes) == (model.nodes, model.edges, ())
    assert again.text == model.text


def test_many_lines_are_told_in_short():
    contrast = {"Name": "c", "ConditionList": [1], "Weights": [1], "Type": "t"}
    node = {"Level": "Dataset", "Name": "d", "GroupBy": ["contrast"], "Model": {"Type": "glm", "X": [1]}}
    node["Contrasts"] = [contrast | {"Name": f"c{index}"} for index in range(20)]
    text = json.dumps(make_document(node), indent=1)
    (note,) = [note for note in parse_model(text, "m.json").notes if "Type" in note]
    assert len(note.lines) == 20
    assert note.count(",") == 7
    assert ", ...: 'Type' is read as 'Test'" in note
