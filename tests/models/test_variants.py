"""Spellings and slips of every part of a model: read with a note, or refused with the nearest word."""

import json

import numpy as np
import pytest
from documents import contrast, make_node
from three_conditions import CONDITIONS, DATASET, RUN, SUBJECT, column, make_model, plan

from bidsapp.errors import AppError, ModelError, find_cautions
from bidsapp.model.read import parse_model

A, B, C = CONDITIONS
FACTOR = {"Name": "Factor", "Input": ["trial_type"]}
CONVOLVE = {"Name": "Convolve", "Input": CONDITIONS, "Model": "spm"}
EDGE = {"Source": "run", "Destination": "subject"}


def steps(*instructions, x=(*CONDITIONS, 1), transformer="pybids-transforms-v1"):
    """Return a Run node with Transformations in place of its HRF."""
    node = make_node(RUN, Model={"X": list(x)}, DummyContrasts={"Test": "t"})
    del node["Model"]["HRF"]
    return node | {"Transformations": {"Transformer": transformer, "Instructions": list(instructions)}}


def within(**changes):
    item = {"Name": "d", "Cells": [A, B], "Weights": [["1/2", -0.5]]} | changes
    return make_node(DATASET, Model={"Software": {"TaskGLM": {"SubjectContrasts": [item]}}})


def filtered(**rule):
    return make_model(RUN, SUBJECT, Edges=[EDGE | {"Filter": rule}])


READ = {
    "'auto_contrasts' is read as 'AutoContrasts'": make_node(RUN, DummyContrasts=None, auto_contrasts=True),
    "AutoContrasts are read as DummyContrasts of every column": make_node(
        RUN, DummyContrasts=None, AutoContrasts="true"
    ),
    "GroupBy 'Run' is read as 'run'": make_node(RUN, GroupBy=["Run", "subject"]),
    "GroupBy 'sub' is read as 'subject'": make_node(RUN, GroupBy=["run", "sub"]),
    "run: GroupBy has run more than once": make_node(RUN, GroupBy=["run", "subject", "run"]),
    f"run: X has {A}, intercept more than once": make_node(RUN, Model={"X": [*CONDITIONS, A, 1, "1"]}),
    "'a' of HRF is read as 'trial_type.a'": make_node(
        RUN, Model={"HRF": {"Variables": ["a", "b", "c"], "Model": "spm"}}
    ),
    "Transformer 'PyBIDS-Transforms-v1' is read as": steps(
        FACTOR, CONVOLVE, transformer="PyBIDS-Transforms-v1"
    ),
}


@pytest.mark.parametrize("words", READ)
def test_other_spellings_of_a_run_node_are_read_with_a_note(three_conditions, tmp_path, words):
    made = plan(three_conditions, make_model(READ[words], SUBJECT), tmp_path)
    (note,) = [note for note in made.notes if words in note]
    assert ", line" in note
    expected = plan(three_conditions, make_model(RUN, SUBJECT), tmp_path)
    for name in CONDITIONS:
        np.testing.assert_array_equal(column(made, name), column(expected, name))
    names = {item.name for fit in made.subjects[0].combinations for item in fit.contrasts}
    assert names >= set(CONDITIONS)
    assert parse_model(made.model.text).notes == ()


def test_names_of_hrf_are_respelled_beside_arguments_that_are_objects(three_conditions, tmp_path):
    replaced = {"Name": "Replace", "Input": ["trial_type"], "Replace": {"c": "b"}}
    node = steps(replaced, {"Name": "Factor", "Input": ["trial_type"]}, x=[A, B, 1])
    node["Model"]["HRF"] = {"Variables": ["a", B], "Model": "spm"}
    made = plan(three_conditions, make_model(node, SUBJECT), tmp_path)
    assert [note for note in made.notes if "'a' of HRF is read as 'trial_type.a'" in note]
    plain = plan(three_conditions, make_model(RUN, SUBJECT), tmp_path)
    np.testing.assert_array_equal(column(made, A), column(plain, A))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (filtered(Run=["01"]), "'Run' is read as 'run'"),
        (make_model(RUN, SUBJECT, Edges=[EDGE | {"filter": {"run": ["1"]}}]), "'filter' is read as 'Filter'"),
        (make_model(RUN, SUBJECT, Input={"task": ["t"], "run": [1.0]}), "1 runs are left out"),
    ],
)
def test_one_run_is_chosen_in_other_spellings(three_conditions, tmp_path, document, words):
    made = plan(three_conditions, document, tmp_path)
    assert [note for note in made.notes if words in note]
    assert {len(fit.inputs) for fit in made.subjects[0].combinations} == {1}


def test_dummy_contrasts_may_be_patterns_of_plain_columns(three_conditions, tmp_path):
    node = make_node(RUN, DummyContrasts={"Contrasts": ["trial_type.*"], "Test": "t"})
    made = plan(three_conditions, make_model(node, SUBJECT), tmp_path)
    assert [item.name for item in made.subjects[0].runs[0].contrasts] == CONDITIONS


REFUSED = {
    "ConditionList: names a condition twice, in two spellings": make_model(
        make_node(RUN, Contrasts=[contrast("d", [A, "a"], [1, 1])])
    ),
    "DummyContrasts.Contrasts[0]: 'trials.*' is not in X": make_model(
        make_node(RUN, DummyContrasts={"Contrasts": ["trials.*"], "Test": "t"})
    ),
    "Input.task: must be a list of labels": make_model(RUN, SUBJECT, Input={"task": [True]}),
    "Input.run: must be a list of labels": make_model(RUN, SUBJECT, Input={"run": [1.5]}),
    "Edges[0].Filter.rn: 'rn': did you mean 'run'?": filtered(rn=["1"]),
    "Edges[0].Filter.colour: is no entity; there are contrast": filtered(colour=["1"]),
    "SubjectContrasts[0].Name: must be a text": make_model(RUN, SUBJECT, within(Name=5)),
    "SubjectContrasts[0].Cells: must be names of contrasts, each once": make_model(
        RUN, SUBJECT, within(Cells=[A, A])
    ),
    "SubjectContrasts[0].Weights: must hold numbers": make_model(
        RUN, SUBJECT, within(Weights=[[True, float(10**12)]])
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_slips_are_refused_with_their_place(words):
    with pytest.raises(ModelError) as caught:
        parse_model(json.dumps(REFUSED[words], indent=1), "m.json")
    assert words in str(caught.value)
    assert "m.json, line" in str(caught.value)


def test_two_contrasts_within_subjects_of_one_name_are_refused():
    node = within()
    node["Model"]["Software"]["TaskGLM"]["SubjectContrasts"] *= 2
    with pytest.raises(
        ModelError, match=r"SubjectContrasts\[1\].Name: 'd' has the file name of an earlier one"
    ):
        parse_model(json.dumps(make_model(RUN, SUBJECT, node)))


RENAME = {"Name": "Rename", "Input": [A], "Output": ["go"]}
TAKEN = {
    "Nodes[0].Model.X: the Transformations leave no 'trial_type.b'": steps(
        FACTOR, CONVOLVE, {"Name": "Select", "Input": [A, C]}
    ),
    "Nodes[0].Model.X: the Transformations leave no 'trial_type.a'": steps(
        FACTOR, CONVOLVE, {"Name": "Delete", "Input": [A]}
    ),
    "Instructions[2]: the Transformations leave no 'trial_type.a'": steps(
        FACTOR, RENAME, CONVOLVE, x=["go", B, C, 1]
    ),
    "(Factor): Factor would make 'trial_type.a' anew, which is convolved already. Put Factor before": steps(
        CONVOLVE, FACTOR
    ),
}


@pytest.mark.parametrize("words", TAKEN)
def test_what_transformations_take_does_not_come_back(three_conditions, tmp_path, words):
    with pytest.raises(AppError) as caught:
        plan(three_conditions, make_model(TAKEN[words], SUBJECT), tmp_path)
    assert words in str(caught.value)


def test_a_response_to_what_is_convolved_already_is_told(three_conditions, tmp_path):
    node = steps(FACTOR, CONVOLVE)
    node["Model"]["HRF"] = {"Variables": [A], "Model": "glover"}
    made = plan(three_conditions, make_model(node, SUBJECT), tmp_path)
    (run, *_) = made.subjects[0].runs
    assert f"HRF leaves {A!r} as it is: it is a series, or convolved, already" in run.notes


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"contrast": [A, "nosuch"]}, "no estimate has the contrast 'nosuch'"),
        ({"contrast": ["trial_type.aa"]}, "Did you mean 'trial_type.a'?"),
        ({"run": ["1", "7"]}, "no estimate has the run '7'. There are: 1, 2."),
    ],
)
def test_values_of_a_filter_that_nothing_has_are_a_warning(three_conditions, tmp_path, rule, words):
    made = plan(three_conditions, filtered(**rule), tmp_path)
    (caution,) = [note for note in find_cautions(made.notes) if "Filter of the edge" in note]
    assert words in caution
