"""The forecast of memory, and how many subjects it lets run side by side."""

from dataclasses import replace

import pytest

from bidsapp.memory import count_workers, forecast_gb, peak_gb
from bidsapp.plan import make_participant_plan
from bidsapp.settings import Settings


@pytest.fixture(scope="module")
def planned(tiny_dataset, tmp_path_factory):
    settings = Settings(tiny_dataset, tmp_path_factory.mktemp("out"), ("participant",))
    return make_participant_plan(settings).subjects, settings


def test_forecast_grows_with_the_order_of_the_noise_model(planned):
    subjects, settings = planned
    more = replace(settings, run=replace(settings.run, noise_model="ar6"))
    assert forecast_gb(subjects[0], more, 1) > forecast_gb(subjects[0], settings, 1) > 0.1


def test_memory_limits_how_many_run_side_by_side(planned):
    subjects, settings = planned
    need = forecast_gb(subjects[0], settings, 1)
    assert count_workers(subjects, settings, 8, 2.5 * need)[0] == 2
    assert count_workers(subjects, settings, 8, 0.1 * need)[0] == 1
    assert count_workers(subjects, settings, 8, 1e3)[0] == len(subjects)
    assert count_workers(subjects, settings, 1, 1e3)[0] == 1


def test_measured_peak_is_that_of_this_process():
    assert 0.02 < peak_gb() < 50
