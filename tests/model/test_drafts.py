"""Templates, MATLAB's scalars and older drafts: one meaning each, said in a note."""

import copy
import json

import pytest
from documents import make_node
from three_conditions import RUN as RUN_NODE
from three_conditions import SUBJECT, make_model

from bidsapp.errors import ModelError
from bidsapp.model.read import parse_model

TWO = ["trial_type.a", "trial_type.b"]
MODEL = make_model(
    make_node(
        RUN_NODE,
        Model={"X": [*TWO, 1], "HRF": {"Variables": TWO, "Model": "spm"}},
        DummyContrasts={"Contrasts": ["trial_type.a"], "Test": "t"},
    ),
    SUBJECT,
)


def changed(path, value):
    """Return the model with another value at a path; a value of None takes the key away."""
    document = copy.deepcopy(MODEL)
    *where, last = path
    table = document
    for key in where:
        table = table[key] if isinstance(table, list) else table.setdefault(key, {})
    if value is None:
        del table[last]
    else:
        table[last] = value
    return document


def read(document, name="model-x_smdl.json"):
    return parse_model(json.dumps(document), name)


RUN, RUN_MODEL = ("Nodes", 0), ("Nodes", 0, "Model")
BLANKS = {
    "mask": ((*RUN_MODEL, "Options", "Mask"), " "),
    "mask-object": ((*RUN_MODEL, "Options", "Mask"), {"suffix": ""}),
    "software": ((*RUN_MODEL, "Software"), ""),
    "software-object": ((*RUN_MODEL, "Software"), {}),
    "transformations": ((*RUN, "Transformations"), {"Transformer": "", "Instructions": []}),
    "contrast": (
        (*RUN, "Contrasts"),
        [{"Name": "", "ConditionList": [""], "Weights": [""], "Test": "t"}],
    ),
    "contrast-rows": (
        (*RUN, "Contrasts"),
        [{"Name": " ", "ConditionList": ["", ""], "Weights": [["", ""]], "Test": "F"}],
    ),
    "dummy": ((*RUN, "DummyContrasts"), {"Contrasts": [""], "Test": "t"}),
    "dummy-list": ((*RUN, "DummyContrasts"), [""]),
}


@pytest.mark.parametrize("kind", BLANKS)
def test_what_a_template_leaves_empty_is_as_if_absent(kind):
    path, value = BLANKS[kind]
    bare = copy.deepcopy(MODEL)
    if path[-1] == "DummyContrasts":
        del bare["Nodes"][0]["DummyContrasts"]
    found = read(changed(path, value))
    assert found.nodes == read(bare).nodes
    assert any("not filled in: as if absent" in note for note in found.notes)


@pytest.mark.parametrize("path", [(*RUN_MODEL, "X", 0), (*RUN_MODEL, "HRF", "Variables", 0)])
def test_template_that_is_not_filled_in_is_refused_in_one_line(path):
    with pytest.raises(ModelError) as raised:
        read(changed(path, ""))
    assert str(raised.value).count("\n") == 0
    assert "not filled in" in str(raised.value)


SINGLE = {
    "Nodes[0].Model.HRF.Variables": (*RUN_MODEL, "HRF", "Variables"),
    "Nodes[1].Model.X": ("Nodes", 1, "Model", "X"),
    "Nodes[0].DummyContrasts.Contrasts": (*RUN, "DummyContrasts", "Contrasts"),
    "Nodes[1].GroupBy": ("Nodes", 1, "GroupBy"),
}


@pytest.mark.parametrize("where", SINGLE)
def test_one_value_is_a_list_of_one(where):
    path = SINGLE[where]
    value = {"Variables": "trial_type.a", "X": 1, "Contrasts": "trial_type.a", "GroupBy": "subject"}[path[-1]]
    found = read(changed(path, value))
    assert found.nodes == read(changed(path, [value])).nodes
    assert [note for note in found.notes if "list of one" in note and where in note]


def test_one_object_is_a_list_of_one():
    contrast = {"Name": "c", "ConditionList": "trial_type.a", "Weights": 1, "Test": "t"}
    listed = contrast | {"ConditionList": ["trial_type.a"], "Weights": [1]}
    found = read(changed((*RUN, "Contrasts"), contrast))
    assert found.nodes == read(changed((*RUN, "Contrasts"), [listed])).nodes
    assert len([note for note in found.notes if "list of one" in note]) == 1


def test_one_edge_with_one_value_in_its_filter():
    edge = {"Source": "run", "Destination": "subject", "Filter": {"contrast": "trial_type.a"}}
    (found,) = read(MODEL | {"Edges": edge}).edges
    assert found.filter == {"contrast": ("trial_type.a",)}


def test_one_node_and_one_task():
    document = MODEL | {"Nodes": copy.deepcopy(MODEL["Nodes"][0]), "Input": {"task": "t"}}
    found = read(document)
    assert [node.name for node in found.nodes] == ["run"]
    assert found.input == {"task": ("t",)}


@pytest.mark.parametrize(("version", "read_as"), [(1.0, "1.0"), ("v1.0.0", "1.0.0"), (1, "1")])
def test_versions_of_another_form(version, read_as):
    found = read(MODEL | {"BIDSModelVersion": version})
    assert json.loads(found.text)["BIDSModelVersion"] == read_as
    assert any("BIDSModelVersion" in note for note in found.notes)


@pytest.mark.parametrize("version", ["draft", True, "vv1.0.0"])
def test_what_is_no_version_is_refused(version):
    with pytest.raises(ModelError, match="BIDSModelVersion"):
        read(MODEL | {"BIDSModelVersion": version})


@pytest.mark.parametrize(("seconds", "hertz"), [(125, 0.008), (128.0, 1 / 128)])
def test_seconds_of_a_filter_become_hertz(seconds, hertz):
    found = read(changed((*RUN_MODEL, "Options", "high_pass_filter_cutoff_secs"), seconds))
    assert found.nodes[0].options.high_pass_hz == pytest.approx(hertz)
    assert f"is read as HighPassFilterCutoffHz {hertz:.6g}" in " ".join(found.notes)


@pytest.mark.parametrize("seconds", [0, -3, "128", True])
def test_seconds_that_are_none_are_refused(seconds):
    with pytest.raises(ModelError, match="high_pass_filter_cutoff_secs"):
        read(changed((*RUN_MODEL, "Options", "high_pass_filter_cutoff_secs"), seconds))


def test_mask_of_the_model_is_that_of_its_options():
    assert read(changed((*RUN_MODEL, "Mask"), {"desc": "brain"})).nodes[0].options.mask == {"desc": "brain"}


def test_old_names_of_what_is_convolved():
    document = changed((*RUN_MODEL, "HRF"), None)
    document["Nodes"][0]["Model"]["HRF_variables"] = ["trial_type.a", "trial_type.b"]
    assert read(document).nodes == read(MODEL).nodes


def test_grouping_of_an_edge_is_that_of_its_destination():
    document = changed(("Nodes", 1, "GroupBy"), None)
    document["Edges"] = [{"Src": "run", "Dst": "subject", "GroupBy": ["subject", "contrast"]}]
    assert read(document).nodes == read(MODEL).nodes


def test_two_groupings_that_differ_are_refused():
    edges = [{"Source": "run", "Destination": "subject", "GroupBy": ["subject"]}]
    with pytest.raises(ModelError, match="GroupBy"):
        read(MODEL | {"Edges": edges})


def test_model_without_a_name_is_named_after_its_file():
    document = {key: value for key, value in MODEL.items() if key != "Name"}
    assert read(document, "model-faces_smdl.json").name == "model-faces"


def test_comments_and_schemas_are_left_alone_and_kept():
    document = MODEL | {"$schema": "bids.json", "_comment": "mine"}
    document["Nodes"] = [MODEL["Nodes"][0] | {"_note": {"deep": [1]}}, MODEL["Nodes"][1]]
    found = read(document)
    assert found.nodes == read(MODEL).nodes
    kept = json.loads(found.text)
    assert (kept["$schema"], kept["_comment"], kept["Nodes"][0]["_note"]) == (
        "bids.json",
        "mine",
        {"deep": [1]},
    )


def test_plain_list_of_dummy_contrasts():
    found = read(changed((*RUN, "DummyContrasts"), ["trial_type.a"]))
    assert found.nodes == read(MODEL).nodes
