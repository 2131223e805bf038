"""The forecast of memory, and how many subjects it lets run side by side."""

from dataclasses import replace

import pytest

from bidsapp.plan import make_participant_plan
from bidsapp.plan.memory import forecast_gb, peak_gb, share_out
from bidsapp.settings.parts import ModelOptions, RunOptions, Settings

DEFAULT = RunOptions()


@pytest.fixture(scope="module")
def planned(tiny_dataset, tmp_path_factory):
    settings = Settings(tiny_dataset, tmp_path_factory.mktemp("out"), ("participant",))
    return make_participant_plan(settings).subjects


def test_forecast_grows_with_the_order_of_the_noise_model(planned):
    more = RunOptions(noise_model="ar6")
    assert forecast_gb(planned[0], more, 1, 1) > forecast_gb(planned[0], DEFAULT, 1, 1) > 0.1


def test_forecast_counts_the_levels_that_coefficients_are_smoothed_in(planned):
    smoothed = RunOptions(noise_smoothing_fwhm=4.0)
    assert forecast_gb(planned[0], smoothed, 1, 1) > forecast_gb(planned[0], DEFAULT, 1, 1)


def test_forecast_counts_what_is_kept_of_conditions_with_several_columns(tiny_dataset, tmp_path):
    model = ModelOptions(hrf_model="spm + derivative")
    (subject, *_) = make_participant_plan(
        Settings(tiny_dataset, tmp_path, ("participant",), model=model)
    ).subjects
    bare = replace(subject, runs=tuple(replace(fit, responses=()) for fit in subject.runs))
    assert all(len(fit.responses) >= 2 for fit in subject.runs)
    assert forecast_gb(subject, DEFAULT, 1, 1) > forecast_gb(bare, DEFAULT, 1, 1)


def test_memory_limits_how_many_subjects_run_side_by_side(planned):
    need = forecast_gb(planned[0], DEFAULT, 1, 1)
    assert share_out(planned, DEFAULT, 8, 2.5 * need).subjects == 2
    assert share_out(planned, DEFAULT, 8, 0.1 * need).subjects == 1
    assert share_out(planned, DEFAULT, 8, 1e3).subjects == len(planned)
    assert share_out(planned, DEFAULT, 1, 1e3).subjects == 1


def test_processors_left_over_go_to_the_runs_of_a_subject_as_memory_allows(planned):
    n_runs = len(planned[0].runs)
    assert n_runs > 1
    shares = share_out(planned[:1], DEFAULT, 2 * n_runs, 1e3)
    assert (shares.subjects, shares.runs, shares.threads) == (1, n_runs, 2)
    assert shares.forecast_gb > forecast_gb(planned[0], DEFAULT, 1, 2)
    tight = share_out(planned[:1], DEFAULT, 2 * n_runs, 1.001 * forecast_gb(planned[0], DEFAULT, 1, 1))
    assert (tight.subjects, tight.runs, tight.threads) == (1, 1, 2 * n_runs)


def test_measured_peak_is_that_of_this_process():
    assert 0.02 < peak_gb() < 50
