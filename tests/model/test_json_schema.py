"""The JSON schema for editors knows what the reader knows."""

import json
from pathlib import Path

import pytest
import references
from documents import contrast, make_document, run_node, transformations

from bidsapp.errors import ModelError
from bidsapp.model.json_schema import SCHEMA_FILE, json_schema_text, make_json_schema
from bidsapp.model.read import parse_model, read_model
from bidsapp.model.schema import KEYS
from bidsapp.records.model import TRANSFORMER_SETS

DOCS = Path(__file__).parents[2] / "docs" / "models"
EXAMPLES = sorted(DOCS.glob("*_smdl.json"))
RUN = run_node(
    ["trial_type.a", 1],
    Transformations=transformations({"Name": "Convolve", "Input": ["trial_type.a"], "Model": "spm"}),
    Model={"Options": {"HighPassFilterCutoffHz": 0.01}},
    Contrasts=[contrast("a", ["trial_type.a"], ["1/2"])],
)
MODEL = make_document(RUN, Input={"task": ["t"]})
# What the reader refuses, each by the path of the value that is wrong.
WRONG = {
    ("Nodez",): [],
    ("Nodes", 0, "Level"): "Rum",
    ("Nodes", 0, "Name"): 3.5,
    ("Nodes", 0, "Model", "Type"): "mlm",
    ("Nodes", 0, "Model", "X", 0): {"a": 1},
    ("Nodes", 0, "Model", "Options", "HighPassFilterCutofHz"): 0.01,
    ("Nodes", 0, "Model", "Software"): {"TaskGLM": {"SubjectLevel": "mixed"}},
    ("Nodes", 0, "Model", "HRF"): {"Variables": ["trial_type.a"], "Model": "flobs"},
    ("Nodes", 0, "Contrasts", 0, "Test"): "z",
    ("Nodes", 0, "Contrasts", 0, "Weights", 0): "half",
    ("Nodes", 0, "Transformations", "Instructions", 0, "Name"): "Convolv",
    ("Nodes", 0, "Transformations", "Instructions", 0, "Model"): "gamma",
    ("Nodes", 0, "Transformations", "Instructions", 0, "Modelx"): "spm",
    ("Nodes", 0, "Transformations", "Instructions", 0, "Derivative"): "perhaps",
    ("Edges",): [{"Source": "run"}],
}


@pytest.fixture(scope="module")
def validator():
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema of the test extra is not installed")
    jsonschema.Draft202012Validator.check_schema(make_json_schema())
    return jsonschema.Draft202012Validator(make_json_schema())


def with_value(path, value):
    document = json.loads(json.dumps(MODEL))
    *parents, last = path
    table = document
    for part in parents:
        table = table[part]
    table[last] = value
    return document


def test_stored_schema_is_that_of_the_code():
    stored = (DOCS / SCHEMA_FILE).read_text(encoding="utf-8")
    assert stored == json_schema_text(), "run: PYTHONPATH=. python docs/write_usage.py"


def test_schema_has_every_key_of_the_reader():
    schema = make_json_schema()
    shapes = [set(schema["properties"]), *(set(shape["properties"]) for shape in schema["$defs"].values())]
    assert all(set(keys) in shapes for keys in KEYS.values())


def test_schema_has_every_transformer_with_its_arguments():
    steps = make_json_schema()["$defs"]["TransformationsShape"]["properties"]["Instructions"]["items"]
    rules = {rule["if"]["properties"]["Name"]["const"]: rule["then"] for rule in steps["allOf"]}
    known = {}
    for name, arguments in (item for some in TRANSFORMER_SETS.values() for item in some.items()):
        known.setdefault(name, set()).update(arguments)
    assert {name: set(rule["properties"]) - {"Name", "Description"} for name, rule in rules.items()} == known


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_fit_the_schema(validator, path):
    assert list(validator.iter_errors(json.loads(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", WRONG, ids=lambda path: ".".join(map(str, path)))
def test_schema_refuses_what_the_reader_refuses(validator, path):
    document = with_value(path, WRONG[path])
    with pytest.raises(ModelError):
        parse_model(json.dumps(document))
    assert not validator.is_valid(document)


def test_comments_fit_the_schema(validator):
    contrast = MODEL["Nodes"][0]["Contrasts"][0] | {"_why": "a", "$note": 1}
    document = with_value(("Nodes", 0, "Contrasts", 0), contrast) | {"$schema": SCHEMA_FILE, "_by": {}}
    assert parse_model(json.dumps(document)).notes == ()
    assert validator.is_valid(document)


@pytest.mark.parametrize("folder", references.find("models/*", Path.is_dir))
def test_published_models_fit_the_schema_where_they_need_no_note(folder, validator):
    """Every model that is read fits once it is in today's form, and as it is where nothing is noted."""
    for path in sorted(folder.rglob("*.json")):
        try:
            model = read_model(path)
        except ModelError:
            continue
        assert validator.is_valid(json.loads(model.text)), path.name
        assert parse_model(model.text).notes == (), path.name
        written = path.read_text(encoding="utf-8-sig")
        assert model.notes or validator.is_valid(json.loads(written)), path.name
