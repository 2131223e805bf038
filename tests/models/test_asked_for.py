"""What a model asks for is done, or said: keys of Input, Software and Options, and commas too many."""

import json
import re

import pytest
from documents import make_node
from three_conditions import CONDITIONS, DATASET, RUN, SUBJECT, column, make_model, plan

from bidsapp.errors import ModelError
from bidsapp.model.read import parse_model

PAIR = (RUN, SUBJECT)


def read(document):
    return parse_model(json.dumps(document, indent=1), "m.json")


def with_model(node, **changes):
    return make_node(node, Model=changes)


def said(notes, *words):
    return any(all(word in note for word in words) for note in notes)


@pytest.mark.parametrize(
    "entities",
    [
        {"Task": ["t"], "Subject": ["01", "02"], "Run": [1]},
        {"task": "task-t", "sub": ["sub-01", "sub-02"], "RUN": ["run-01"]},
    ],
)
def test_input_is_read_in_any_case(three_conditions, tmp_path, entities):
    made = plan(three_conditions, make_model(*PAIR, Input=entities), tmp_path, subjects=())
    assert {subject.subject: len(subject.runs) for subject in made.subjects} == {"01": 1, "02": 1}
    assert {run.entities["run"] for subject in made.subjects for fit in subject.runs for run in fit.runs} == {
        "1"
    }
    assert said(made.notes, "line ", "is read as 'run'")
    assert said(made.notes, "runs are left out")


@pytest.mark.parametrize(
    ("key", "hint"),
    [("subjct", "subject"), ("Taskk", "task"), ("sessionn", "session"), ("colour", "there are subject")],
)
def test_what_is_no_entity_of_input_is_refused(key, hint):
    with pytest.raises(ModelError, match=rf"line \d+, Input.{key}: is no entity; .*{hint}"):
        read(make_model(*PAIR, Input={"task": ["t"], key: ["01"]}))


def test_two_spellings_of_one_entity_are_refused():
    with pytest.raises(ModelError, match="Input.Task: is no entity; did you mean 'task'"):
        read(make_model(*PAIR, Input={"task": ["t"], "Task": ["u"]}))


def test_an_entity_that_no_file_has_is_named(three_conditions, tmp_path):
    made = plan(three_conditions, make_model(*PAIR, Input={"task": ["t"], "session": ["pre"]}), tmp_path)
    assert said(made.notes, "Input names session pre; no file here has a session")


@pytest.mark.parametrize("name", ["TaskGLM", "taskglm", "TASKGLM", "Task_GLM"])
@pytest.mark.parametrize("key", ["Confounds", "confounds"])
def test_our_software_is_read_in_any_case(three_conditions, tmp_path, name, key):
    run = with_model(RUN, Software={name: {key: "motion6"}})
    made = plan(three_conditions, make_model(run, SUBJECT), tmp_path)
    assert len(made.subjects[0].runs[0].design.columns) == 10
    assert said(made.notes, "is read as 'TaskGLM'") == (name != "TaskGLM")


def test_our_software_is_read_in_any_case_at_a_subject_node():
    node = with_model(SUBJECT, Software={"taskGLM": {"subjectLevel": "ols"}})
    assert read(make_model(RUN, node)).nodes[1].software == {"TaskGLM": {"SubjectLevel": "ols"}}


@pytest.mark.parametrize(
    ("software", "message"),
    [
        ({"TaskGML": {"Confounds": "motion6"}}, "did you mean 'TaskGLM'"),
        ({"TaskGLM": {"Confund": "motion6"}}, "unknown key; did you mean 'Confounds'"),
        ({"TaskGLM": {"JointF": True}}, "JointF: belongs to a Session or Subject node"),
        ({"TaskGLM": {"GroupWeights": "size"}}, "GroupWeights: belongs to a Dataset node"),
    ],
)
def test_our_software_is_refused_where_nothing_reads_it(software, message):
    with pytest.raises(ModelError, match=message):
        read(make_model(with_model(RUN, Software=software), SUBJECT))


def test_software_of_others_is_listed():
    software = {"SPM": {"SerialCorrelation": "AR(1)"}, "FSL": {"PreWhiten": True, "Film": 1}, "AFNI": {}}
    notes = read(make_model(with_model(RUN, Software=software), SUBJECT)).notes
    assert said(
        notes,
        "run: Software of other programs is not read",
        "SPM (SerialCorrelation)",
        "FSL (PreWhiten, Film)",
    )


def modulated(**changes):
    item = {
        "Name": "rt",
        "Conditions": ["trial_type.a"],
        "Values": ["response_time"],
        "PolynomialExpansion": 1,
    }
    return with_model(RUN, Software={"SPM": {"ParametricModulations": [item | changes]}})


@pytest.mark.parametrize("factor", [False, True])
def test_a_parametric_modulation_is_a_column(three_conditions, tmp_path, factor):
    run = modulated()
    if factor:
        step = {"Name": "Factor", "Input": ["trial_type"]}
        run["Transformations"] = {"Transformer": "pybids-transforms-v1", "Instructions": [step]}
    made = plan(three_conditions, make_model(run, SUBJECT), tmp_path)
    values = column(made, "rt")
    found = [values.mean(), values.std(ddof=1), values.min(), values.max()]
    assert found == pytest.approx([0.0001, 0.0545, -0.2954, 0.1051], abs=6e-5)
    assert said(made.notes, "ParametricModulations", "rt")


@pytest.mark.parametrize(
    "changes",
    [
        {"PolynomialExpansion": 2},
        {"Conditions": ["trial_type.a", "trial_type.b"]},
        {"Conditions": ["a"]},
        {"Conditions": ["trial_type.a*"]},
        {"Conditions": [5]},
        {"Values": ["response_time", "gain"]},
        {"Orthogonalize": True},
    ],
)
def test_a_modulation_with_another_meaning_is_refused(changes):
    with pytest.raises(ModelError, match="ParametricModulations: only the first power.*Product and Assign"):
        read(make_model(modulated(**changes), SUBJECT))


HIGHER = {
    "HighPassFilterCutoffHz": (
        {"Options": {"HighPassFilterCutoffHz": 0.01}},
        "Options.HighPassFilterCutoffHz",
    ),
    "LowPassFilterCutoffHz": ({"Options": {"LowPassFilterCutoffHz": 0.1}}, "Options.LowPassFilterCutoffHz"),
    "Mask": ({"Options": {"Mask": {"suffix": ["mask"]}}}, "Options.Mask"),
    "Aggregate": ({"Options": {"Aggregate": "mean"}}, "Options.Aggregate"),
    "HRF": ({"HRF": {"Variables": ["nosuch"], "Model": "spm"}}, "HRF"),
}


@pytest.mark.parametrize("key", HIGHER)
@pytest.mark.parametrize("node", [SUBJECT, DATASET])
def test_what_only_runs_have_is_refused_above_them(key, node):
    changes, path = HIGHER[key]
    nodes = [RUN, with_model(node, **changes)]
    with pytest.raises(ModelError, match=rf"line \d+, Nodes\[1\].Model.{path}: belongs to a Run node"):
        read(make_model(*nodes))


def test_what_repeats_the_runs_is_left_out_with_a_note():
    options = {"HighPassFilterCutoffHz": 0.008, "Mask": {"suffix": ["mask"]}}
    run = with_model(RUN, Options=options)
    node = with_model(SUBJECT, HRF=RUN["Model"]["HRF"], Options={"HighPassFilterCutoffHz": 0.008})
    model = read(make_model(run, node))
    assert model.nodes[1].hrf is None
    assert model.nodes[1].options.high_pass_hz is None
    for key in ("HRF", "Options"):
        assert said(model.notes, f"subject: {key} repeats a Run node's")


def test_a_response_above_the_runs_is_that_of_the_one_run_node():
    run = make_node(RUN)
    response = run["Model"].pop("HRF")
    node = with_model(SUBJECT, HRF=response, Options={"HighPassFilterCutoffHz": 0.008})
    model = read(make_model(run, node))
    assert model.nodes[0].hrf.variables == tuple(CONDITIONS)
    assert model.nodes[0].options.high_pass_hz == 0.008
    assert model.nodes[1].hrf is None
    assert said(model.notes, "subject: HRF is read as that of the Run node")


def test_automatic_contrasts_are_those_of_every_column(three_conditions, tmp_path):
    run = make_node(RUN, DummyContrasts=None, AutoContrasts=True)
    made = plan(three_conditions, make_model(run, SUBJECT), tmp_path)
    assert [c.name for c in made.subjects[0].runs[0].contrasts] == [*CONDITIONS, "intercept"]
    assert {c.test for c in made.subjects[0].runs[0].contrasts} == {"t"}
    assert said(made.notes, "AutoContrasts", "every column of X")


def test_no_automatic_contrasts_are_none():
    model = read(make_model(make_node(RUN, DummyContrasts=None, AutoContrasts=False), SUBJECT))
    assert model.nodes[0].dummy is None
    assert said(model.notes, "AutoContrasts false")


def test_automatic_contrasts_beside_dummy_contrasts_are_refused():
    with pytest.raises(ModelError, match="AutoContrasts: unknown key"):
        read(make_model(make_node(RUN, AutoContrasts=True), SUBJECT))


def test_commas_too_many_are_left_out_with_their_lines():
    right = json.dumps(make_model(*PAIR), indent=1)
    text = re.sub(r"(\n\s*[\]}])", r",\1", right)
    model = parse_model(text, "m.json")
    assert model.nodes == read(make_model(*PAIR)).nodes
    lines = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"\s*[\]}]", line)]
    (note,) = [note for note in model.notes if "a comma too many is left out" in note]
    assert len(note.lines) == len(lines)
    assert note.lines[0] == lines[0] - 1


@pytest.mark.parametrize("text", ["[,]", "[1,,2]", "[1,,]", '{"a": 1,, }', "[,1]"])
def test_other_commas_are_refused_with_their_place(text):
    document = json.dumps(make_model(*PAIR)).replace('"t"]', f'"t"], "_more": {text}', 1)
    with pytest.raises(ModelError, match=r"line 1, column \d+: not JSON"):
        parse_model(document, "m.json")


def test_a_comma_in_a_text_is_no_comma():
    model = read(make_model(*PAIR, Name="a,]b,}"))
    assert model.name == "a,]b,}"
    assert not said(model.notes, "comma")
