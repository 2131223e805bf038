"""Published layouts, and ones made like them: planned, or refused with the right reason; none crashes."""

import numpy as np
import pytest
from documents import make_document, run_node, write_model

from bidsapp.design.run import make_run_design
from bidsapp.errors import InputError
from bidsapp.inputs.dataset.occurrences import find_levels, find_tasks
from bidsapp.inputs.tables.events import read_events
from bidsapp.plan import make_participant_plan
from bidsapp.plan.automatic import make_automatic_model
from bidsapp.settings.parts import ModelOptions, Settings

FRAME_TIMES = np.arange(200) * 2.0
# Layouts whose images are raw only, with the reason that the plan gives.
REFUSED = {
    "ds000001-fmriprep": "No events file for any run of task balloonanalogrisktask",
    "fmriprep-skeletons": "it has no sub-<label> folder",
    **{
        name: "No derivatives with preprocessed BOLD"
        for name in (
            "ds003",
            "ds007",
            "ds102",
            "ds109",
            "ds114",
            "eyetracking_fmri",
            "genetics_ukbb",
            "volume_timing",
        )
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_layout_without_what_is_needed_is_refused_with_the_reason(name, layouts, tmp_path):
    settings = Settings(layouts / name, tmp_path, ("participant",))
    with pytest.raises(InputError, match=REFUSED[name]):
        make_participant_plan(settings)


def test_layout_with_sessions_and_a_resting_task_is_planned(layouts, tmp_path):
    plan = make_participant_plan(Settings(layouts / "synthetic", tmp_path, ("participant",)))
    assert all(subject.runs and not subject.problems for subject in plan.subjects)
    assert {run.entities["task"] for s in plan.subjects for fit in s.runs for run in fit.runs} == {"nback"}
    entities = [
        fit.entities for fit in plan.subjects[0].combinations if fit.contrast.startswith("faces_dist")
    ]
    assert [item["ses"] for item in entities] == ["01", "02"]


WITH_EVENTS = ("ds003", "ds007", "ds102", "ds109", "ds114", "genetics_ukbb", "synthetic")


@pytest.mark.parametrize("name", WITH_EVENTS)
def test_every_events_file_has_a_design(layouts, name):
    raw = layouts / name
    tasks = find_tasks([raw])
    assert tasks
    for task in tasks:
        levels, _ = find_levels([raw], [task])
        model = make_automatic_model(levels, task, ModelOptions(confounds="none"))
        paths = [path for path in sorted(raw.rglob("*_events.tsv")) if f"task-{task}_" in path.name]
        assert paths
        for path in paths:
            made = make_run_design(model.nodes[0], read_events(path), None, FRAME_TIMES)
            assert np.isfinite(made.design.matrix).all()
            assert made.conditions or made.missing


def test_events_without_rows_have_no_model(layouts):
    levels, _ = find_levels([layouts / "eyetracking_fmri"], ["rest"])
    with pytest.raises(InputError, match="task-rest has no events file with an onset column"):
        make_automatic_model(levels, "rest", ModelOptions())


def test_resting_state_is_planned_without_events(layouts, tmp_path):
    node = run_node(["rot_?", "trans_?", 1], GroupBy=["run", "session", "subject"])
    path = write_model(make_document(node, Input={"task": ["rest"]}), tmp_path)
    folder = layouts / "synthetic"
    plan = make_participant_plan(
        Settings(folder, tmp_path, ("participant",), model=ModelOptions(model=str(path), confounds="none"))
    )
    fits = [fit for subject in plan.subjects for fit in subject.runs]
    assert fits
    assert all(fit.events == () and fit.runs[0].entities["task"] == "rest" for fit in fits)
    assert all(len(fit.confounds) == 6 for fit in fits)
