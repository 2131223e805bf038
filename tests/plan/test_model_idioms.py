"""Ways of writing models that published ones share: each means one thing."""

import json

import documents
import pytest
from documents import contrast, higher_node, make_document, transformations
from synthetic import SUBJECTS, estimates_of, make_dataset, make_events, make_participants

import bidsapp.plan.participant.make
from bidsapp.plan import make_group_plan, make_participant_plan
from bidsapp.plan.group import make as group_plan
from bidsapp.settings.parts import ModelOptions, Settings

CONVOLVED = transformations(
    {"Name": "Factor", "Input": "trial_type"}, {"Name": "Convolve", "Input": "trial_type.*"}
)
LEVELS = {"trial_type": ["a", "b"]}


def run_node(**changes):
    a_b = contrast("a_b", ["trial_type.a", "trial_type.b"], [1, -1])
    node = documents.run_node(["trial_type.*", 1], GroupBy=["run", "session", "subject"])
    return node | {"Transformations": CONVOLVED, "Contrasts": [a_b], **changes}


def higher(level, group_by, x=(1,), **rest):
    tests = {"DummyContrasts": None} if "Contrasts" in rest else {}
    return higher_node(level, x, GroupBy=list(group_by), **tests) | rest


@pytest.fixture
def plans(tmp_path, monkeypatch):
    def make(*nodes, levels=LEVELS, columns=(), people=None, **entities):
        document = make_document(*nodes, Input={"task": "t"})
        if "Level" not in nodes[0]:
            document = nodes[0]
        path = tmp_path / "m_smdl.json"
        path.write_text(json.dumps(document))
        dataset = make_dataset(tmp_path, make_events(columns, levels), tasks=("t",), **entities)
        monkeypatch.setattr(bidsapp.plan.participant.make, "open_dataset", lambda *_, **__: dataset)
        settings = Settings(tmp_path, tmp_path, ("participant",), model=ModelOptions(model=str(path)))
        plan = make_participant_plan(settings)
        monkeypatch.setattr(group_plan, "find_estimates", lambda *_: estimates_of(plan, tmp_path))
        monkeypatch.setattr(group_plan, "find_people", lambda *_: (people or make_participants(), []))
        group = any(node.level == "Dataset" for node in plan.model.nodes)
        return plan, make_group_plan(settings) if group else None

    return make


def weights_of(fit):
    return {
        c.name: {name: w for name, w in zip(c.columns, c.weights[0], strict=True) if w} for c in fit.contrasts
    }


def group_fits(group):
    return [fit for model in group.models for fit in model.fits]


def test_levels_of_sessions_are_compared_by_their_own_names(plans):
    compare = contrast("test_gt_retest", ["test", "retest"], [1, -1])
    session = higher("Session", ["session", "subject", "contrast"])
    subject = higher("Subject", ["subject", "contrast"], ["session", 1], Contrasts=[compare])
    plan, _ = plans(run_node(), session, subject, sessions=("test", "retest"))
    fit = plan.subjects[0].combinations[-1]
    assert weights_of(fit) == {"a_b test_gt_retest": {"session.test": 1, "session.retest": -1}}
    assert sorted(fit.design.columns) == ["session.retest", "session.test"]


def test_padded_sessions_are_found_by_their_labels(plans):
    compare = contrast("late", ["01", "session.02"], [-1, 1])
    session = higher("Session", ["session", "subject", "contrast"])
    subject = higher("Subject", ["subject", "contrast"], ["session", 1], Contrasts=[compare])
    plan, _ = plans(run_node(), session, subject, sessions=("01", "02"))
    assert weights_of(plan.subjects[0].combinations[-1]) == {"a_b late": {"session.1": -1, "session.2": 1}}


def test_one_way_anova_in_the_manner_of_spm(plans):
    people = {label: {"group": ("B", "I", "BI")[k % 3]} for k, label in enumerate(SUBJECTS)}
    names = ["group.B", "group.I", "group.BI"]
    dataset = higher(
        "Dataset",
        ["contrast"],
        [1, "group"],
        Contrasts=[contrast("B > I", names, [1, -1, 0]), contrast("average", names, [1, 1, 1])],
    )
    _, group = plans(run_node(), higher("Subject", ["subject", "contrast"]), dataset, people=people)
    (fit,) = group_fits(group)
    assert weights_of(fit) == {
        "a_b B > I": {"group.B": 1, "group.I": -1},
        "a_b average": {"group.B": 1, "group.I": 1, "group.BI": 1},
    }


def test_name_of_the_incoming_contrast_in_x_is_its_mean(plans):
    subject = higher("Subject", ["subject"], ["a_b"])
    plan, _ = plans(run_node(), subject)
    (fit,) = plan.subjects[0].combinations
    assert list(weights_of(fit)) == ["a_b"]
    assert fit.design.matrix.ravel().tolist() == [1, 1]


def test_blocks_of_2018_are_read(plans):
    document = {
        "name": "old",
        "input": {"task": "t"},
        "blocks": [
            {
                "level": "run",
                "transformations": [
                    {"name": "factor", "input": ["trial_type"]},
                    {"name": "drop_na", "input": ["rt"]},
                    {"name": "demean", "input": "rt"},
                    {"name": "convolve_HRF", "input": ["rt", "trial_type.a", "trial_type.b"]},
                ],
                "model": {"variables": ["trial_type.a", "trial_type.b", "rt", "X", "RotZ"]},
                "contrasts": [
                    {
                        "name": "a_b",
                        "condition_list": ["trial_type.a", "trial_type.b"],
                        "weights": [1, -1],
                        "type": "T",
                    }
                ],
            },
            {"level": "dataset", "model": {"variables": ["a_b"]}, "AutoContrasts": ["a_b"]},
        ],
    }
    plan, group = plans(document, columns=["rt"], runs=("1",))
    assert plan.subjects[0].runs[0].design.columns[:5] == ("trial_type.a", "trial_type.b", "rt", "X", "RotZ")
    assert plan.subjects[0].runs[0].confounds == ("X", "RotZ")
    assert [fit.contrast for fit in group_fits(group)] == ["a_b"]


def test_node_that_nothing_enters_is_told(plans):
    plan, _ = plans(run_node(Contrasts=[]), higher("Subject", ["subject", "contrast"]))
    assert any(note.startswith("nothing enters 'subject'") for note in plan.notes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Software": [{"SPM": {"SerialCorrelation": "FAST"}}]}, "Software is a list"),
        (
            {"HRF": {"Variables": ["trial_type.a"], "Model": "DoubleGamma", "Parameters": {"PeakDelay": 3}}},
            "its Parameters (PeakDelay) are not used",
        ),
    ],
)
def test_what_is_read_otherwise_than_written_is_said(changes, said, plans):
    model = {"Type": "glm", "X": ["trial_type.a", "trial_type.b", 1], **changes}
    steps = {**CONVOLVED, "Instructions": CONVOLVED["Instructions"][:1]}
    plan, _ = plans(run_node(Model=model, Transformations=steps))
    assert any(said in note for note in plan.notes)
