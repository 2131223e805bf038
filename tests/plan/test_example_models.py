"""The models of docs/models are what users start from: each is planned at both levels."""

from pathlib import Path

import numpy as np
import pytest
from synthetic import SUBJECTS, estimates_of, make_dataset, make_events, make_participants

import bidsapp.plan.group.make
import bidsapp.plan.participant.make
from bidsapp.model.json_text import format_json, parse_json
from bidsapp.model.read import read_model
from bidsapp.plan import make_group_plan, make_participant_plan
from bidsapp.settings.parts import ModelOptions, Settings

FOLDER = Path(__file__).parents[2] / "docs" / "models"
EXAMPLES = sorted(FOLDER.glob("*_smdl.json"))
CELLS = [f"{a}_{b}" for a in ("faces", "houses", "tools") for b in ("near", "mid", "far")]
LEVELS = {"stroop": ["congruent", "incongruent"], "gambles": ["trial"], "categories": CELLS}
SESSIONS = {"paired": ("pre", "post"), "severalSessions": ("1", "2")}


@pytest.fixture
def plans(tmp_path, monkeypatch):
    def make(name):
        path = FOLDER / f"model-{name}_smdl.json"
        task = read_model(path).input["task"][0]
        events = make_events(["response_time", "gain"], {"trial_type": LEVELS[task]})
        options = {"tasks": (task,), "sessions": SESSIONS.get(name, (None,))}
        dataset = make_dataset(tmp_path, events, **options)
        monkeypatch.setattr(bidsapp.plan.participant.make, "open_dataset", lambda *_, **__: dataset)
        settings = Settings(tmp_path, tmp_path, ("participant",), model=ModelOptions(model=str(path)))
        plan = make_participant_plan(settings)
        monkeypatch.setattr(
            bidsapp.plan.group.make, "find_estimates", lambda *_: estimates_of(plan, tmp_path)
        )
        monkeypatch.setattr(bidsapp.plan.group.make, "find_people", lambda *_: (make_participants(), []))
        return plan, make_group_plan(settings)

    return make


def fits_of(plan):
    return {(fit.node, fit.contrast): fit for model in plan.models for fit in model.fits}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_is_planned_without_a_remark(path, plans):
    plan, group = plans(path.name.removeprefix("model-").removesuffix("_smdl.json"))
    assert plan.model.notes == ()
    assert all(not fit.skipped and not fit.notes for subject in plan.subjects for fit in subject.runs)
    assert all(fit.contrasts and not fit.skipped for model in group.models for fit in model.fits)
    assert path.name in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_is_written_as_the_app_writes_models(path):
    text = path.read_text()
    assert format_json(parse_json(text, path.name)) + "\n" == text


def test_paired_differences_are_made_within_participants(plans):
    plan, group = plans("paired")
    (fit,) = plan.subjects[0].combinations
    assert fit.design.matrix.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert fit.contrasts[0].weights.tolist() == [[-1, 1]]
    assert list(fits_of(group)) == [("datasetLevel", "conflict postMinusPre")]


def test_interaction_has_a_slope_for_each_group(plans):
    _, group = plans("covariateInteraction")
    (fit,) = fits_of(group).values()
    assert fit.design.columns == ("intercept", "age", "group[T.patient]", "age:group[T.patient]")
    assert fit.formula == "effect ~ 1 + age * group"


def test_pooled_design_has_cells_and_participants(plans):
    _, group = plans("repeatedMeasuresPooled")
    (fit,) = fits_of(group).values()
    assert fit.design.matrix.shape == (9 * len(SUBJECTS), 9 + len(SUBJECTS))
    assert {c.name: len(c.weights) for c in fit.contrasts} == {
        "category": 2,
        "distance": 2,
        "categoryByDistance": 4,
    }


def test_partitioned_designs_have_three_rows_a_participant(plans):
    _, group = plans("repeatedMeasuresPartitioned")
    fits = fits_of(group)
    assert set(fits) == {("category", None), ("distance", None)}
    assert all(len(fit.design.matrix) == 3 * len(SUBJECTS) for fit in fits.values())


def test_fir_estimates_every_delay(plans):
    plan, _ = plans("fir")
    columns = plan.subjects[0].runs[0].design.columns
    assert [f"trial_type.congruent_delay_{k}" for k in range(8)] == list(columns[:8])


def test_modulated_regressor_is_centred(plans):
    plan, _ = plans("parametricModulation")
    design = plan.subjects[0].runs[0].design
    gain, trial = (design.matrix[:, design.columns.index(name)] for name in ("gain", "trial_type.trial"))
    assert abs(np.corrcoef(gain, trial)[0, 1]) < 0.3


def test_sessions_are_combined_and_also_tested_alone(plans):
    plan, group = plans("severalSessions")
    assert [(fit.level, len(fit.inputs)) for fit in plan.subjects[0].combinations] == [
        ("session", 2),
        ("session", 2),
        ("subject", 2),
    ]
    entities = [model.entities.get("ses") for model in group.models]
    assert sorted(map(str, entities)) == ["1", "2", "None"]


def test_participant_who_would_enter_the_group_twice_is_announced(plans, tmp_path, monkeypatch):
    path = tmp_path / "m_smdl.json"
    document = parse_json((FOLDER / "model-oneSample_smdl.json").read_text(), "m")
    del document["Nodes"][1]
    path.write_text(format_json(document))
    dataset = make_dataset(tmp_path, make_events([], {"trial_type": LEVELS["stroop"]}), tasks=("stroop",))
    monkeypatch.setattr(bidsapp.plan.participant.make, "open_dataset", lambda *_, **__: dataset)
    plan = make_participant_plan(
        Settings(tmp_path, tmp_path, ("participant",), model=ModelOptions(model=str(path)))
    )
    assert any("the group level will refuse 'datasetLevel'" in note for note in plan.notes)
