"""Every model that people published is planned at both levels, or refused with the right reason."""

import json

import pytest
import references
from synthetic import (
    companion,
    estimates_of,
    make_dataset,
    make_events,
    make_participants,
    named_by_model,
)

import bidsapp.plan.group.make
import bidsapp.plan.participant.make
from bidsapp.errors import ModelError
from bidsapp.plan import make_group_plan, make_participant_plan
from bidsapp.settings.parts import ModelOptions, Settings

# What is refused, and why; everything else must be planned.
REFUSED = {
    # A slip: four weights for three conditions.
    "ds003481-verbs_specs.json": "has 4 weights for 3 conditions",
    # Its description: "to test that an error is correctly thrown".
    "tests__data__ds005__models__ds-005_type-interceptonlyrunlevel_model.json": "is not in X",
    # A draft of mixed models that the specification never took up.
    "tests__data__ds005__models__ds-005_type-mfx_model.json": r"VarianceComponents: random effects",
}
# Its contrasts of one participant count as independent at the group level, where they are refused.
REFUSED_BY_GROUP = {"examples__models__ds000003__models__model-001_smdl.json": "enters 2 times"}
SMALLEST_RATE = 0.95
N_MODELS = 75
FOLDERS = ("fitlins", "model-zoo", "openneuro_glmfitlins", "pybids", "stats-models")
GAMBLES = (["gain", "loss", "distance from indifference", "RT"], {"trial_type": ["parametric gain"]})
# Columns and text levels of the events of models without companions, by a part of the file's name.
EVENTS = {
    "ds000003": ([], {"trial_type": ["word", "pseudoword"]}),
    "ds000030": ([], {"trial_type": ["BALOON", "CASH"], "action": ["ACCEPT", "EXPLODE"]}),
    "ds000114": ([], {"trial_type": ["Finger", "Foot", "Lips"]}),
    "ds000117": ([], {"stim_type": ["FAMOUS", "UNFAMILIAR", "SCRAMBLED"]}),
    "FaceRep": (
        [f"{kind}_2_lag_order_{order}" for kind in ("famous", "nonfamous") for order in (1, 2)],
        {"face_type": ["famous", "unfamiliar"], "repetition_type": ["1", "2"]},
    ),
    "MoAE": ([], {"trial_type": ["listening"]}),
    "specification": (["nuissance1", "nuissance2"], {"trial_type": ["congruent", "incongruent"]}),
    "ds2799": ([], {}),
    "ds-005": GAMBLES,
    "ds0005": GAMBLES,
    "cookiecutter": GAMBLES,
}
SESSIONS = {"ds000114": ("test", "retest"), "ds2799": ("1",)}
RUNS = {"ds000030": ("1",)}
N_SUBJECTS = {"fsl_glm": 18, "ds000003": 12, "specification": 3, "ds-005": 8}


def by_part(table, name, default):
    return next((value for part, value in table.items() if part in name), default)


def prepare_published(path, document, folder):
    """Return the dataset on which a published model is planned."""
    entities = document.get("Input", {})
    tasks = entities.get("task", ["task"])
    task = tasks if isinstance(tasks, str) else tasks[0]
    if path.parent.name != "openneuro_glmfitlins":
        columns, levels = by_part(EVENTS, path.name, None)
        subjects = [f"{k:02d}" for k in range(1, 1 + by_part(N_SUBJECTS, path.name, 3))]
        runs, sessions = by_part(RUNS, path.name, ("1", "2", "3")), by_part(SESSIONS, path.name, (None,))
    else:
        companions, study = path.parent / "companions", path.name.split("-")[0]
        details = json.loads((companions / f"{study}_basic-details.json").read_text())["Tasks"][task]
        columns, levels = companion(companions, study, task)
        if details.get("preproc_events") or study == "ds000229":
            more_columns, more_levels = named_by_model(document)
            columns, levels = [*columns, *more_columns], {**levels, **more_levels}
        subjects, sessions = entities["subject"][:2], tuple(entities.get("session", (None,)))[:2]
        runs = tuple(map(str, entities.get("run", details.get("task_runs") or [1])))[:2]
    write_scans(folder, task, subjects, runs)
    events = make_events(columns, levels)
    return make_dataset(folder, events, tasks=(task,), sessions=sessions, runs=runs, subjects=subjects)


def write_scans(folder, task, subjects, runs):
    """Write the scans.tsv that the paired model reads its column runnum from."""
    for subject in subjects:
        rows = [f"func/sub-{subject}_task-{task}_run-{run}_bold.nii.gz\t{run}" for run in runs]
        (folder / f"sub-{subject}").mkdir()
        table = "\n".join(["filename\trunnum", *rows]) + "\n"
        (folder / f"sub-{subject}" / f"sub-{subject}_scans.tsv").write_text(table)


def plan_participants(path, folder, monkeypatch):
    """Return the participant plan of a model, and its settings."""
    dataset = prepare_published(path, json.loads(path.read_text()), folder)
    settings = Settings(folder, folder, ("participant",), model=ModelOptions(model=str(path)))
    monkeypatch.setattr(bidsapp.plan.participant.make, "open_dataset", lambda *_, **__: dataset)
    return make_participant_plan(settings), settings


def plan_published(path, folder, monkeypatch):
    """Return the participant plan and the group plan (None without a Dataset node) of a model."""
    plan, settings = plan_participants(path, folder, monkeypatch)
    if all(node.level != "Dataset" for node in plan.model.nodes):
        return plan, None
    subjects = tuple(subject.subject for subject in plan.subjects)
    monkeypatch.setattr(bidsapp.plan.group.make, "find_estimates", lambda *_: estimates_of(plan, folder))
    monkeypatch.setattr(bidsapp.plan.group.make, "find_people", lambda *_: (make_participants(subjects), []))
    return plan, make_group_plan(settings)


PUBLISHED = references.find("models/*/*.json", lambda path: path.parent.name in FOLDERS)


@pytest.mark.parametrize("path", PUBLISHED)
def test_published_model_is_planned_or_refused_for_its_reason(path, tmp_path, monkeypatch):
    if path.name in REFUSED:
        with pytest.raises(ModelError, match=REFUSED[path.name]):
            plan_published(path, tmp_path, monkeypatch)
        return
    if path.name in REFUSED_BY_GROUP:
        with pytest.raises(ModelError, match=REFUSED_BY_GROUP[path.name]):
            plan_published(path, tmp_path, monkeypatch)
        return
    plan, group = plan_published(path, tmp_path, monkeypatch)
    assert all(subject.runs and not subject.problems for subject in plan.subjects)
    asked = {rule.name for rule in plan.model.nodes[0].contrasts}
    for subject in plan.subjects:
        for fit in subject.runs:
            assert asked <= {contrast.name for contrast in fit.contrasts} | set(fit.skipped)
            assert not fit.skipped
    assert group is None or all(fit.contrasts for model in group.models for fit in model.fits)


def test_nearly_all_published_models_are_planned(reference):
    paths = [parameter.values[0] for parameter in PUBLISHED]
    assert len(paths) == N_MODELS
    assert REFUSED.keys() <= {path.name for path in paths}
    assert 1 - len(REFUSED) / len(paths) >= SMALLEST_RATE
