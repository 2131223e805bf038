"""The real flanker events, unedited: errors occur in some runs only, and columns differ between runs."""

import pandas as pd
import pytest
from documents import contrast, factor_and_convolve, higher_node, make_document, run_node, write_model
from makers.flanker import write_events
from synthetic import MOTION

import bidsapp.plan.participant.make
from bidsapp.errors import InputError, ModelError
from bidsapp.inputs.dataset.open import Dataset
from bidsapp.plan import make_participant_plan
from bidsapp.plan.show import missing_table
from bidsapp.records.maps import Run
from bidsapp.settings.parts import ModelOptions, Settings

CONDITIONS = ("congruent_correct", "congruent_incorrect", "incongruent_correct", "incongruent_incorrect")
# The runs in which an incongruent trial was answered wrongly, counted in the published files by hand.
INCONGRUENT_ERRORS = {
    "01": "2", "03": "2", "07": "12", "08": "12", "11": "2",
    "16": "2", "18": "2", "21": "1", "23": "12", "26": "1",
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    raw = tmp_path_factory.mktemp("flanker")
    write_events(raw)
    runs = []
    for path in sorted(raw.glob("sub-*/func/*_events.tsv")):
        parts = dict(part.split("-", 1) for part in path.name.split("_") if "-" in part)
        entities = {**parts, "space": "MNI152NLin2009cAsym"}
        runs.append(Run(entities, path, None, path, None, 2.0, 1.0, "StartTime", 146))
    return Dataset(tuple(runs), raw / "participants.tsv", raw, {"fmriprep": raw}, (), (), {})


@pytest.fixture
def model_of(tmp_path):
    def write(x, contrasts):
        rules = [
            contrast(name, [f"trial_type.{c}" for c in weights], weights.values())
            for name, weights in contrasts.items()
        ]
        run = run_node([1, *x], Name="run_level", Transformations=factor_and_convolve(), Contrasts=rules)
        subject = higher_node("Subject", Name="subject_level")
        return write_model(make_document(run, subject, Input={"task": ["flankertask"]}), tmp_path)

    return write


CONTRASTS = {
    "conflict": {"incongruent_correct": 1, "congruent_correct": -1},
    "error": {"incongruent_incorrect": 1, "incongruent_correct": -1},
    "congruentError": {"congruent_incorrect": 1},
}


def plan_with(dataset, model, monkeypatch, **options):
    monkeypatch.setattr(bidsapp.plan.participant.make, "open_dataset", lambda *_, **__: dataset)
    settings = Settings(
        dataset.raw, dataset.raw, ("participant",), model=ModelOptions(model=str(model), **options)
    )
    return make_participant_plan(settings)


@pytest.mark.parametrize("x", [["trial_type.*"], [f"trial_type.{name}" for name in CONDITIONS]])
def test_table_of_missing_cells_is_that_of_the_events(dataset, model_of, monkeypatch, x):
    table = missing_table(plan_with(dataset, model_of(x, CONTRASTS), monkeypatch))
    assert table["contrasts"] == list(CONTRASTS)
    assert len(table["rows"]) == 52
    for row in table["rows"]:
        subject, run = row["run"][4:6], row["run"][-1]
        made = dict(zip(CONTRASTS, [not reason for reason in row["reasons"]], strict=True))
        assert made["conflict"]
        assert made["error"] == (run in INCONGRUENT_ERRORS.get(subject, ""))
        assert made["congruentError"] == ((subject, run) == ("23", "2"))


def test_reason_names_the_condition_that_the_run_lacks(dataset, model_of, monkeypatch):
    plan = plan_with(dataset, model_of(["trial_type.*"], CONTRASTS), monkeypatch)
    assert plan.subjects[0].runs[0].skipped["error"] == "no trial_type.incongruent_incorrect here"


def test_subject_estimate_is_made_from_the_runs_that_have_it(dataset, model_of, monkeypatch):
    plan = plan_with(dataset, model_of(["trial_type.*"], CONTRASTS), monkeypatch)
    made = {s.subject: {f.contrast: len(f.inputs) for f in s.combinations} for s in plan.subjects}
    assert made["01"] == {"conflict": 2, "error": 1}
    assert made["02"] == {"conflict": 2}
    assert made["23"] == {"conflict": 2, "error": 2, "congruentError": 1}


def test_missing_condition_may_be_an_error_that_names_the_run(dataset, model_of, monkeypatch):
    model = model_of(["trial_type.*"], CONTRASTS)
    with pytest.raises(InputError, match=r"sub-01 task-flankertask run-01: contrasts can not be made"):
        plan_with(dataset, model, monkeypatch, missing_condition="error")


def test_missing_condition_may_count_as_zero(dataset, model_of, monkeypatch):
    mean = {"mean": {name: 0.25 for name in CONDITIONS}}
    plan = plan_with(dataset, model_of(["trial_type.*"], mean), monkeypatch, missing_condition="zero")
    (contrast,) = plan.subjects[1].runs[0].contrasts
    weights = {n: w for n, w in zip(contrast.columns, contrast.weights[0], strict=True) if w}
    assert weights == {"trial_type.congruent_correct": 0.25, "trial_type.incongruent_correct": 0.25}


def test_condition_that_only_other_participants_have_is_missing_and_not_wrong(dataset, model_of, monkeypatch):
    alone = Dataset(dataset.runs[2:4], None, dataset.raw, dataset.derivatives, (), (), {})
    plan = plan_with(alone, model_of([f"trial_type.{c}" for c in CONDITIONS], CONTRASTS), monkeypatch)
    assert set(plan.subjects[0].runs[0].skipped) == {"error", "congruentError"}


def test_automatic_model_runs_on_all_of_them(dataset, monkeypatch):
    plan = plan_with(dataset, "auto", monkeypatch, confounds="none")
    made = [contrast.name for contrast in plan.subjects[-4].runs[1].contrasts]
    assert made[:4] == list(CONDITIONS)
    assert "congruentCorrectMinusIncongruentCorrect" in made
    assert made[-1] == "effectsOfInterest"
    assert len(made) == 4 + 6 + 1


def test_confounds_that_no_run_has_are_refused(dataset, monkeypatch):
    with pytest.raises(ModelError, match=r"no run has 'trans_x' \(nor a confounds file\)"):
        plan_with(dataset, "auto", monkeypatch)


def test_motion_columns_are_those_of_the_default(dataset, tmp_path, monkeypatch, rng):
    path = tmp_path / "confounds.tsv"
    pd.DataFrame(rng.normal(size=(146, 6)), columns=MOTION).to_csv(path, sep="\t", index=False)
    runs = tuple(
        Run(r.entities, r.bold, None, r.events, path, 2.0, 1.0, "StartTime", 146) for r in dataset.runs[:2]
    )
    small = Dataset(runs, None, dataset.raw, dataset.derivatives, (), (), {})
    plan = plan_with(small, "auto", monkeypatch)
    assert plan.subjects[0].runs[0].confounds == tuple(MOTION)
