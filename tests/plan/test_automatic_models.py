"""The automatic models: one a task, the same whichever participants are analysed, followed by the group."""

from dataclasses import replace

import pytest
from synthetic import estimates_of, make_dataset, make_events, make_participants

import bidsapp.plan.group.make
import bidsapp.plan.participant.make
from bidsapp.errors import InputError, SettingsError
from bidsapp.job.output_folder import prepare_output
from bidsapp.names import model_path
from bidsapp.plan import make_group_plan, make_participant_plan
from bidsapp.plan.show import missing_table
from bidsapp.plan.text import table_lines
from bidsapp.settings.parts import ModelOptions, Selection, Settings

LEVELS = {"stroop": ["congruent", "incongruent"], "faces": ["face", "house", "object"]}


@pytest.fixture
def two_tasks(tmp_path, monkeypatch):
    """Return a dataset with two tasks; stroop has two sessions and events files of its own for each."""
    folder = tmp_path / "data"
    folder.mkdir()
    faces = make_dataset(folder, make_events([], {"trial_type": LEVELS["faces"]}), tasks=("faces",))
    stroop = make_dataset(
        folder, make_events([], {"trial_type": LEVELS["stroop"]}), tasks=("stroop",), sessions=("a", "b")
    )
    for session in ("a", "b"):
        path = folder / "sub-02" / f"ses-{session}" / "func"
        path.mkdir(parents=True)
        events = (folder / "task-stroop_events.tsv").read_text()
        (path / f"sub-02_ses-{session}_task-stroop_events.tsv").write_text(events)
    dataset = replace(faces, runs=faces.runs + stroop.runs)

    def opened(_, selection, **__):
        labels = selection.participant_label
        runs = [run for run in dataset.runs if not labels or run.entities["sub"] in labels]
        tasks = selection.task_label
        runs = [run for run in runs if not tasks or run.entities["task"] in tasks]
        return replace(dataset, runs=tuple(runs))

    monkeypatch.setattr(bidsapp.plan.participant.make, "open_dataset", opened)
    return folder


def plan_of(folder, out, *, contrast=(), **selection):
    settings = Settings(
        folder,
        out,
        ("participant",),
        selection=Selection(**selection),
        model=ModelOptions(contrast=contrast),
    )
    return make_participant_plan(settings)


def test_every_task_has_a_model_of_its_own(two_tasks, tmp_path):
    plan = plan_of(two_tasks, tmp_path)
    assert [model.name for model in plan.documents] == ["faces auto", "stroop auto"]
    made = {
        task: {c.name for fit in plan.subjects[0].runs if fit.entities["task"] == task for c in fit.contrasts}
        for task in LEVELS
    }
    assert made["stroop"] == {"congruent", "incongruent", "congruentMinusIncongruent", "effectsOfInterest"}
    assert {"face", "house", "object"} < made["faces"]
    tasks = {fit.entities["task"] for fit in plan.subjects[0].combinations}
    assert tasks == set(LEVELS)


def test_table_leaves_the_contrasts_of_other_tasks_blank(two_tasks, tmp_path):
    table = missing_table(plan_of(two_tasks, tmp_path, participant_label=("01",)))
    reasons = {
        row["run"]: dict(zip(table["contrasts"], row["reasons"], strict=True)) for row in table["rows"]
    }
    assert reasons["sub-01 task-faces run-1"]["face"] == ""
    assert reasons["sub-01 task-faces run-1"]["congruent"] is None
    assert table_lines(table) == ["Every run makes all its contrasts."]


def test_a_contrast_belongs_to_the_tasks_that_have_its_conditions(two_tasks, tmp_path):
    plan = plan_of(two_tasks, tmp_path, contrast=("conflict=incongruent - congruent",))
    made = {
        fit.entities["task"] for fit in plan.subjects[0].runs for c in fit.contrasts if c.name == "conflict"
    }
    assert made == {"stroop"}


def test_a_contrast_that_no_task_can_make_is_refused(two_tasks, tmp_path):
    with pytest.raises(SettingsError, match="no condition 'incongruous'"):
        plan_of(two_tasks, tmp_path, contrast=("conflict=incongruous - congruent",))


@pytest.mark.parametrize("label", ["01", "12"])
def test_one_participant_alone_gets_the_model_of_all(label, two_tasks, tmp_path):
    everyone = plan_of(two_tasks, tmp_path).documents
    assert [m.text for m in plan_of(two_tasks, tmp_path, participant_label=(label,)).documents] == [
        m.text for m in everyone
    ]
    assert "session" in everyone[1].nodes[1].group_by
    assert "session" not in everyone[0].nodes[1].group_by


def test_one_session_asked_for_is_one_session(two_tasks, tmp_path):
    plan = plan_of(two_tasks, tmp_path, task_label=("stroop",), session_label=("a",))
    assert "session" not in plan.model.nodes[1].group_by


def test_group_follows_the_models_of_all_tasks(two_tasks, tmp_path, monkeypatch):
    plan, out = plan_of(two_tasks, tmp_path / "out"), tmp_path / "out"
    settings = Settings(two_tasks, out, ("group",))
    prepare_output(plan, settings.output_dir)
    assert all((out / model_path(model.name)).is_file() for model in plan.documents)
    monkeypatch.setattr(bidsapp.plan.group.make, "find_estimates", lambda *_: estimates_of(plan, two_tasks))
    monkeypatch.setattr(bidsapp.plan.group.make, "find_people", lambda *_: (make_participants(), []))
    group = make_group_plan(settings)
    fits = [fit for model in group.models for fit in model.fits]
    assert {(model.entities["task"], model.entities.get("ses")) for model in group.models} == {
        ("faces", None),
        ("stroop", "a"),
        ("stroop", "b"),
    }
    assert {fit.formula for fit in fits} == {"effect ~ 1"}
    assert all(len(fit.subjects) == 12 for fit in fits)


def test_group_without_the_models_tests_the_mean_of_each_task(two_tasks, tmp_path, monkeypatch):
    plan = plan_of(two_tasks, tmp_path)
    of_subjects = [entry for entry in estimates_of(plan, two_tasks) if "run" not in dict(entry.key.entities)]
    monkeypatch.setattr(bidsapp.plan.group.make, "find_estimates", lambda *_: tuple(of_subjects))
    monkeypatch.setattr(bidsapp.plan.group.make, "find_people", lambda *_: ({}, []))
    group = make_group_plan(Settings(two_tasks, tmp_path / "elsewhere", ("group",)))
    fits = [fit for model in group.models for fit in model.fits]
    assert {fit.formula for fit in fits} == {"effect ~ 1"}
    assert {fit.entities["task"] for fit in fits} == set(LEVELS)


def test_faults_of_all_tasks_are_told_together(two_tasks, tmp_path):
    for task in LEVELS:
        (two_tasks / f"task-{task}_events.tsv").write_text("onset\tduration\ttrial_type\nx\t1\ta\n")
    with pytest.raises(InputError, match=r"(?s)task-faces.*task-stroop"):
        plan_of(two_tasks, tmp_path)
