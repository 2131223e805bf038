"""Contrasts of higher nodes that name what comes from below; names without prefix or in another case."""

import copy
import json

import pytest
from documents import contrast, make_document, make_node
from three_conditions import RUN as THREE
from three_conditions import make_model

from bidsapp.errors import ModelError
from bidsapp.model.read import parse_model

CONVOLVED = ["trial_type.a", "trial_type.b", "rt"]
RUN = make_node(
    THREE,
    Model={"X": [*CONVOLVED, 1], "HRF": {"Variables": CONVOLVED, "Model": "spm"}},
    Contrasts=[contrast("diff", CONVOLVED[:2], [1, -1])],
    DummyContrasts={"Contrasts": ["trial_type.a"], "Test": "t"},
)


def higher(level, name, contrasts=(), dummy=None, group_by=None):
    node = {"Level": level, "Name": name, "Model": {"Type": "meta", "X": [1]}}
    node["GroupBy"] = group_by or (["subject", "contrast"] if level == "Subject" else ["contrast"])
    node["Contrasts"] = list(contrasts)
    return node | ({} if dummy is None else {"DummyContrasts": dummy})


def read(*nodes, **more):
    return parse_model(json.dumps({**make_model(RUN, *nodes), **more}))


def names(node):
    return [rule.name for rule in node.contrasts]


def test_contrast_of_run_columns_is_made_in_the_runs_and_passed_on():
    rule = contrast("mean", ["trial_type.a", "trial_type.b"], [0.5, 0.5])
    model = read(higher("Subject", "subject", [rule]))
    run, subject = model.nodes
    assert names(run) == ["diff", "mean"]
    assert run.contrasts[1].weights == ((0.5, 0.5),)
    assert (names(subject), subject.dummy.contrasts) == ([], None)
    assert model.edges[0].filter == {"contrast": ("mean",)}
    assert any("made in each run" in note for note in model.notes)


def test_beside_dummy_contrasts_everything_passes():
    model = read(higher("Subject", "subject", [contrast("mean", ["trial_type.a"], [1])], dummy={"Test": "t"}))
    assert names(model.nodes[0]) == ["diff", "mean"]
    assert model.edges[0].filter == {}


def test_node_grouped_by_subject_alone_keeps_its_contrasts_apart():
    rules = [contrast("one", ["trial_type.a"], [1]), contrast("two", ["trial_type.b"], [1])]
    model = read(higher("Subject", "subject", rules, group_by=["subject"]))
    assert model.nodes[1].group_by == ("subject", "contrast")
    assert model.edges[0].filter == {"contrast": ("one", "two")}


def test_f_of_run_columns_is_joined_over_the_runs():
    rule = contrast("any", ["trial_type.a", "trial_type.b"], [[1, 0], [0, 1]], "F")
    model = read(higher("Subject", "subject", [rule]))
    assert model.nodes[0].contrasts[1].test == "F"
    assert model.nodes[1].software["TaskGLM"]["JointF"]


def test_contrast_of_a_dataset_node_comes_through_the_nodes_between():
    model = read(
        higher("Subject", "subject", dummy={"Contrasts": ["diff"], "Test": "t"}),
        higher("Dataset", "dataset", [contrast("mean", ["trial_type.a", "rt"], [1, 1])]),
    )
    assert model.edges[0].filter == {"contrast": ("diff", "mean")}
    assert model.edges[1].filter == {"contrast": ("mean",)}


def test_name_of_an_incoming_contrast_stands_for_it():
    model = read(higher("Subject", "subject", [contrast("renamed", ["diff"], [1])]))
    assert model.nodes[0].contrasts[1].conditions == ("trial_type.a", "trial_type.b")
    assert model.edges[0].filter == {"contrast": ("renamed",)}


def test_dummy_contrasts_that_name_incoming_contrasts_are_a_filter():
    model = read(higher("Subject", "subject", dummy={"Contrasts": ["diff"], "Test": "t"}))
    assert model.nodes[1].dummy.contrasts is None
    assert model.edges[0].filter == {"contrast": ("diff",)}


@pytest.mark.parametrize("wanted", [["dif"], ["diff", "trial_type.b"]])
def test_dummy_contrasts_that_cannot_come_in_are_refused(wanted):
    with pytest.raises(ModelError, match=rf"DummyContrasts.Contrasts\[\d\]: '{wanted[-1]}' is not in X"):
        read(higher("Subject", "subject", dummy={"Contrasts": wanted, "Test": "t"}))


def test_contrast_on_the_intercept_stays():
    model = read(higher("Subject", "subject", [contrast("named", [1], [1])]))
    assert names(model.nodes[1]) == ["named"]
    assert model.edges[0].filter == {}


def test_x_that_repeats_the_columns_of_the_runs_is_what_comes_in():
    node = higher("Subject", "subject", [contrast("mean", ["trial_type.a", "rt"], [1, 1])])
    node["Model"]["X"] = [*CONVOLVED, 1]
    model = read(node)
    assert model.nodes[1].x == ("intercept",)
    assert names(model.nodes[0]) == ["diff", "mean"]
    assert any("X of 'subject' repeats columns of 'run'" in note for note in model.notes)


def test_f_of_run_columns_at_a_dataset_node_is_a_test_within_subjects():
    rule = contrast("any", ["trial_type.a", "trial_type.b"], [[1, 0], [0, 1]], "F")
    model = read(higher("Subject", "subject", dummy={"Test": "t"}), higher("Dataset", "dataset", [rule]))
    dataset = model.nodes[2]
    assert names(dataset) == []
    assert [test["Name"] for test in dataset.software["TaskGLM"]["SubjectContrasts"]] == ["any"]


def test_name_that_nothing_has_is_refused():
    with pytest.raises(ModelError, match="trial_type.c"):
        read(higher("Subject", "subject", [contrast("c", ["trial_type.c"], [1])]))


def test_without_runs_the_columns_are_the_estimates_that_contrasts_name():
    rules = [contrast("diff", ["faces", "houses"], [1, -1])]
    subject = higher("Subject", "subject", rules, {"Contrasts": ["faces", "words"], "Test": "t"})
    on_intercept = higher("Dataset", "dataset", [contrast("mean", [1], [1])])
    model = parse_model(json.dumps(make_model(subject, on_intercept)))
    below, above = model.nodes
    assert (below.x, below.group_by) == (("faces", "houses", "words"), ("subject",))
    assert (above.x, above.group_by) == (("intercept",), ("contrast",))
    assert any("read as the incoming contrasts that its contrasts name" in note for note in model.notes)


def test_written_model_is_read_the_same_without_notes():
    rules = [contrast("mean", ["trial_type.a", "trial_type.b"], [0.5, 0.5])]
    first = read(higher("Subject", "subject", rules), Input={"task": ["t"]})
    again = parse_model(first.text)
    assert (again.nodes, again.edges, again.notes) == (first.nodes, first.edges, ())


@pytest.mark.parametrize("name", ["a", "A", "trial_type.A", "Trial_Type.a"])
def test_condition_without_its_prefix_or_in_another_case(name):
    rule = contrast("c", [name, "trial_type.b"], [1, -1])
    run = copy.deepcopy(RUN) | {"Contrasts": [rule]}
    model = parse_model(json.dumps(make_document(run)))
    assert model.nodes[0].contrasts[0].conditions == ("trial_type.a", "trial_type.b")
    assert any(f"{name!r} is read as 'trial_type.a'" in note for note in model.notes)


def test_condition_that_may_be_two_columns_is_refused_with_both():
    run = copy.deepcopy(RUN)
    run["Model"]["X"].insert(0, "response.a")
    run["Contrasts"] = [contrast("c", ["a"], [1])]
    with pytest.raises(ModelError, match=r"'a' may be 'response.a' or 'trial_type.a'"):
        parse_model(json.dumps(make_document(run)))


def test_level_of_a_column_in_another_case():
    node = higher("Dataset", "dataset", [contrast("c", ["Group.blind"], [1])])
    node["Model"]["X"] = ["group", 1]
    model = read(node)
    assert model.nodes[1].contrasts[0].conditions == ("group.blind",)
