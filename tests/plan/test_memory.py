"""The forecast of memory, and how many subjects it lets run side by side."""

from dataclasses import replace

import pytest

from bidsapp.plan import make_participant_plan
from bidsapp.plan.memory import forecast_gb, peak_gb, share_out
from bidsapp.settings.parts import Settings


@pytest.fixture(scope="module")
def planned(tiny_dataset, tmp_path_factory):
    settings = Settings(tiny_dataset, tmp_path_factory.mktemp("out"), ("participant",))
    return make_participant_plan(settings).subjects, settings


def test_forecast_grows_with_the_order_of_the_noise_model(planned):
    subjects, settings = planned
    more = replace(settings, run=replace(settings.run, noise_model="ar6"))
    assert forecast_gb(subjects[0], more, 1, 1) > forecast_gb(subjects[0], settings, 1, 1) > 0.1


def test_forecast_counts_the_levels_that_coefficients_are_smoothed_in(planned):
    subjects, settings = planned
    smoothed = replace(settings, run=replace(settings.run, noise_smoothing_fwhm=4.0))
    assert forecast_gb(subjects[0], smoothed, 1, 1) > forecast_gb(subjects[0], settings, 1, 1)


def test_memory_limits_how_many_subjects_run_side_by_side(planned):
    subjects, settings = planned
    need = forecast_gb(subjects[0], settings, 1, 1)
    assert share_out(subjects, settings, 8, 2.5 * need).subjects == 2
    assert share_out(subjects, settings, 8, 0.1 * need).subjects == 1
    assert share_out(subjects, settings, 8, 1e3).subjects == len(subjects)
    assert share_out(subjects, settings, 1, 1e3).subjects == 1


def test_processors_left_over_go_to_the_runs_of_a_subject_as_memory_allows(planned):
    subjects, settings = planned
    n_runs = len(subjects[0].runs)
    assert n_runs > 1
    shares = share_out(subjects[:1], settings, 2 * n_runs, 1e3)
    assert (shares.subjects, shares.runs, shares.threads) == (1, n_runs, 2)
    assert shares.forecast_gb > forecast_gb(subjects[0], settings, 1, 2)
    tight = share_out(subjects[:1], settings, 2 * n_runs, 1.001 * forecast_gb(subjects[0], settings, 1, 1))
    assert (tight.subjects, tight.runs, tight.threads) == (1, 1, 2 * n_runs)


def test_measured_peak_is_that_of_this_process():
    assert 0.02 < peak_gb() < 50
