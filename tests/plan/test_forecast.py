"""The forecast of the dry run: it counts what costs, and is stated in text and in JSON."""

import io
import json
from dataclasses import replace

import pytest

from bidsapp.job.finished import find_work
from bidsapp.plan import make_participant_plan, show_plans
from bidsapp.plan.forecast import SECONDS_TO_START, forecast_plan
from bidsapp.plan.memory import forecast_gb
from bidsapp.settings.parts import Control, Settings


@pytest.fixture(scope="module")
def planned(tiny_dataset, tmp_path_factory):
    settings = Settings(tiny_dataset, tmp_path_factory.mktemp("out"), ("participant",))
    return make_participant_plan(settings).subjects, settings


def test_no_subjects_cost_nothing(planned):
    assert forecast_plan((), planned[1].run) == {"seconds": 0.0, "memory_gb": 0.0}


def test_every_subject_costs_the_same(planned):
    subjects, settings = planned
    one, all_four = (forecast_plan(some, settings.run)["seconds"] for some in (subjects[:1], subjects))
    assert all_four - SECONDS_TO_START == pytest.approx(4 * (one - SECONDS_TO_START), abs=0.25)


def test_more_contrasts_cost_more(planned):
    subjects, settings = planned
    fewer = replace(subjects[0], runs=tuple(replace(fit, contrasts=()) for fit in subjects[0].runs))
    assert (
        forecast_plan([fewer], settings.run)["seconds"] < forecast_plan(subjects[:1], settings.run)["seconds"]
    )


def test_memory_is_what_the_participant_stage_reckons_with(planned):
    subjects, settings = planned
    assert forecast_plan(subjects, settings.run)["memory_gb"] == round(
        forecast_gb(subjects[0], settings.run, 1, 1), 3
    )


@pytest.mark.parametrize("kind", ["text", "json"])
def test_dry_run_states_designs_outputs_and_the_forecast(planned, kind):
    settings = replace(planned[1], control=Control(dry_run=kind))
    stream = io.StringIO()
    assert show_plans(settings, find_work, stream) == 0
    shown = stream.getvalue()
    if kind == "json":
        plan = json.loads(shown)["participant"]
        fit = plan["subjects"][0]["runs"][0]
        assert {"columns", "rank", "condition_number", "dof", "inputs"} <= fit.keys()
        assert {"variance_inflation", "outputs", "weights"} <= fit["contrasts"][0].keys()
        assert plan["forecast"]["seconds"] > 0
    else:
        assert "contrast-{face,house,faceMinusHouse}_stat-{effect,variance,t,z,p}_statmap.nii.gz" in shown
        assert "condition number" in shown
        assert "GB for the largest participant" in shown
