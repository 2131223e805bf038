"""No key of a model is dropped in silence: another value changes the plan, is noted, or is refused."""

import copy
import json
from typing import get_args

import pytest
import three_conditions
from documents import contrast, factor, make_document, make_node, transformations
from pydantic import BaseModel
from synthetic import estimates_of, make_dataset, make_events, make_participants
from three_conditions import SUBJECT

import bidsapp.plan.participant.make
from bidsapp.errors import AppError, ModelError
from bidsapp.model.read import parse_model
from bidsapp.model.schema import DocumentShape
from bidsapp.model.software import OURS
from bidsapp.plan import make_group_plan, make_participant_plan
from bidsapp.plan.group import make as group_plan
from bidsapp.settings.parts import ModelOptions, Settings

A_B = ["trial_type.a", "trial_type.b"]
CONTRAST = contrast("diff", A_B, [1, -1])
FACTOR = transformations(factor())
RUN = make_node(
    three_conditions.RUN,
    Transformations=FACTOR,
    Model={"X": [*A_B, 1], "HRF": {"Variables": A_B, "Model": "spm"}},
    Contrasts=[CONTRAST],
    DummyContrasts={"Contrasts": ["trial_type.a"], "Test": "t"},
)
DATASET = make_node(three_conditions.DATASET, Model={"X": [1, "age"]})
EDGES = [
    {"Source": "run", "Destination": "subject"},
    {"Source": "subject", "Destination": "dataset", "Filter": {"contrast": ["diff"]}},
]
BASE = make_document(RUN, SUBJECT, DATASET, Input={"task": ["task"]}, Edges=EDGES)
RUN_MODEL, SUBJECT_MODEL, DATASET_MODEL = (("Nodes", index, "Model") for index in range(3))
# Another value of each key of the schema, and where it stands.
OTHERS = {
    "Name": (("Name",), "other"),
    "Input": (("Input",), {"task": ["task"], "subject": ["01", "02", "03", "04", "05"]}),
    "Nodes": (("Nodes",), [RUN, SUBJECT]),
    "Nodes.Level": (("Nodes", 1, "Level"), "Session"),
    "Nodes.Name": (("Nodes", 0, "Name"), "subject"),
    "Nodes.GroupBy": (("Nodes", 0, "GroupBy"), ["subject"]),
    "Nodes.Transformations": (
        ("Nodes", 0, "Transformations"),
        {"Transformer": "bidspm", "Instructions": [{"Name": "Add", "Input": "onset", "Value": 1}]},
    ),
    "Nodes.Transformations.Transformer": (("Nodes", 0, "Transformations", "Transformer"), "bidspm"),
    "Nodes.Transformations.Instructions": (
        ("Nodes", 0, "Transformations", "Instructions"),
        [{"Name": "Filter", "Input": ["trial_type"], "Query": "onset > 60"}],
    ),
    "Nodes.Model": (RUN_MODEL, {"Type": "glm", "X": [*A_B, 1]}),
    "Nodes.Model.Type": ((*DATASET_MODEL, "Type"), "meta"),
    "Nodes.Model.X": ((*RUN_MODEL, "X"), [*A_B, "trans_x", 1]),
    "Nodes.Model.Formula": ((*DATASET_MODEL, "Formula"), "0 + C(sex)"),
    "Nodes.Model.HRF": ((*RUN_MODEL, "HRF"), {"Variables": A_B, "Model": "glover"}),
    "Nodes.Model.HRF.Variables": ((*RUN_MODEL, "HRF", "Variables"), A_B[:1]),
    "Nodes.Model.HRF.Model": ((*RUN_MODEL, "HRF", "Model"), "spm + derivative"),
    "Nodes.Model.HRF.Parameters": ((*RUN_MODEL, "HRF", "Parameters"), {"PeakDelay": 5}),
    "Nodes.Model.Options": ((*RUN_MODEL, "Options"), {"HighPassFilterCutoffHz": 0.01}),
    "Nodes.Model.Options.HighPassFilterCutoffHz": ((*RUN_MODEL, "Options"), {"HighPassFilterCutoffHz": 0.02}),
    "Nodes.Model.Options.LowPassFilterCutoffHz": ((*RUN_MODEL, "Options"), {"LowPassFilterCutoffHz": 0.2}),
    "Nodes.Model.Options.ReplaceVariables": ((*RUN_MODEL, "Options"), {"ReplaceVariables": {"a": "b"}}),
    "Nodes.Model.Options.Mask": ((*RUN_MODEL, "Options"), {"Mask": {"suffix": ["mask"]}}),
    "Nodes.Model.Options.Aggregate": ((*RUN_MODEL, "Options"), {"Aggregate": "mean"}),
    "Nodes.Model.Software": ((*RUN_MODEL, "Software"), {"FSL": {"Film": True}}),
    "Nodes.Contrasts": (("Nodes", 0, "Contrasts"), [CONTRAST | {"Name": "other"}]),
    "Nodes.Contrasts.Name": (("Nodes", 0, "Contrasts", 0, "Name"), "other"),
    "Nodes.Contrasts.ConditionList": (("Nodes", 0, "Contrasts", 0, "ConditionList"), A_B[::-1]),
    "Nodes.Contrasts.Weights": (("Nodes", 0, "Contrasts", 0, "Weights"), [1, 1]),
    "Nodes.Contrasts.Test": (("Nodes", 0, "Contrasts", 0, "Test"), "F"),
    "Nodes.DummyContrasts": (("Nodes", 1, "DummyContrasts"), None),
    "Nodes.DummyContrasts.Contrasts": (("Nodes", 0, "DummyContrasts", "Contrasts"), A_B[1:]),
    "Nodes.DummyContrasts.Test": (("Nodes", 0, "DummyContrasts", "Test"), "pass"),
    "Edges": (("Edges",), BASE["Edges"][:1]),
    "Edges.Source": (("Edges", 1, "Source"), "run"),
    "Edges.Destination": (("Edges", 0, "Destination"), "dataset"),
    "Edges.Filter": (("Edges", 1, "Filter"), {"contrast": ["trial_type.a"]}),
    "Software.Confounds": ((*RUN_MODEL, "Software"), {"TaskGLM": {"Confounds": "motion6"}}),
    "Software.PartialF": ((*RUN_MODEL, "Software"), {"TaskGLM": {"PartialF": True}}),
    "Software.JointF": ((*SUBJECT_MODEL, "Software"), {"TaskGLM": {"JointF": True}}),
    "Software.SubjectLevel": ((*SUBJECT_MODEL, "Software"), {"TaskGLM": {"SubjectLevel": "ols"}}),
    "Software.Descriptive": ((*DATASET_MODEL, "Software"), {"TaskGLM": {"Descriptive": ["age"]}}),
    "Software.GroupWeights": ((*DATASET_MODEL, "Software"), {"TaskGLM": {"GroupWeights": "size"}}),
    "Software.SubjectContrasts": (
        (*DATASET_MODEL, "Software"),
        {"TaskGLM": {"SubjectContrasts": [{"Name": "d", "Cells": ["diff"], "Weights": [[2]]}]}},
    ),
}
# Words about the model, which its copy keeps; the version, of which all are read alike.
KEPT = ("Description", "BIDSModelVersion")
# What other keys must be for one of ours to matter: an F test with a condition that runs lack, say.
ONLY_WITH = {"Software.PartialF", "Software.JointF", "Software.GroupWeights"}


def keys_of(shape, where=""):
    """Yield the path of every key of a shape, without positions in lists."""
    for name, field in shape.model_fields.items():
        here = f"{where}.{name}".lstrip(".")
        yield here
        kinds = [field.annotation, *get_args(field.annotation)]
        kinds += [kind for part in kinds for kind in get_args(part)]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys_of(kind, here)


def changed(path, value):
    document = copy.deepcopy(BASE)
    *where, last = path
    table = document
    for key in where:
        table = table[key]
    if value is None:
        del table[last]
    else:
        table[last] = value
    return document


def contrasts_of(fit):
    return [(c.name, c.test, c.columns, c.weights.tolist()) for c in fit.contrasts]


def describe(plan, group):
    """Return everything of two plans that decides what is computed, or is said."""
    said = [plan.documents[0].name, plan.notes, group and group.notes]
    for subject in plan.subjects:
        for fit in subject.runs:
            said += [fit.node, fit.entities, fit.design.columns, fit.design.matrix.tolist(), fit.aggregate]
            said += [contrasts_of(fit), [run.mask for run in fit.runs], fit.notes]
        for fit in subject.combinations:
            said += [fit.node, fit.level, fit.entities, contrasts_of(fit), fit.inputs, fit.method, fit.notes]
    for fit in [fit for model in group.models for fit in model.fits] if group else ():
        said += [fit.node, fit.contrast, fit.subjects, fit.design.columns, contrasts_of(fit), fit.method]
        said += [fit.inputs, fit.descriptive, fit.within and fit.within.weights.tolist()]
    return repr(said)


@pytest.fixture
def outcome(tmp_path, monkeypatch):
    """Return a function that gives what becomes of a model, in words."""
    dataset = make_dataset(tmp_path, make_events((), {"trial_type": ["a", "b"]}))
    monkeypatch.setattr(bidsapp.plan.participant.make, "open_dataset", lambda *_, **__: dataset)
    monkeypatch.setattr(group_plan, "find_people", lambda *_: (make_participants(), []))

    def find(document):
        path = tmp_path / "m_smdl.json"
        path.write_text(json.dumps(document))
        settings = Settings(tmp_path, tmp_path, ("participant",), model=ModelOptions(model=str(path)))
        try:
            plan = make_participant_plan(settings)
            monkeypatch.setattr(group_plan, "find_estimates", lambda *_: estimates_of(plan, tmp_path))
            has_group = any(node.level == "Dataset" for node in plan.model.nodes)
            return describe(plan, make_group_plan(settings) if has_group else None)
        except AppError as error:
            return f"refused: {error}"

    return find


def test_every_key_of_the_schema_is_tried():
    keys = {key for key in keys_of(DocumentShape) if key.rpartition(".")[2] not in KEPT}
    assert keys | {f"Software.{name}" for name in OURS} == set(OTHERS)


@pytest.mark.parametrize("key", [key for key in OTHERS if key not in ONLY_WITH])
def test_another_value_changes_the_plan_or_is_said(key, outcome):
    before = outcome(BASE)
    assert not before.startswith("refused")
    assert outcome(changed(*OTHERS[key])) != before


@pytest.mark.parametrize("key", KEPT)
def test_what_is_only_said_is_kept(key):
    document = BASE | {key: "1.0.0rc7"}
    assert "1.0.0rc7" in parse_model(json.dumps(document)).text


PLACES = {
    "the model": (),
    "Nodes": ("Nodes", 0),
    "Model": RUN_MODEL,
    "HRF": (*RUN_MODEL, "HRF"),
    "Transformations": ("Nodes", 0, "Transformations"),
    "Contrasts": ("Nodes", 0, "Contrasts", 0),
    "DummyContrasts": ("Nodes", 0, "DummyContrasts"),
    "Edges": ("Edges", 0),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", ["Descriptionn", "Colour"])
def test_an_unknown_key_is_refused_with_the_nearest_or_all(place, key):
    hint = "did you mean 'Description'" if key == "Descriptionn" else "known keys are"
    with pytest.raises(ModelError, match=rf"{key}: unknown key; {hint}"):
        parse_model(json.dumps(changed((*PLACES[place], key), "x")))
