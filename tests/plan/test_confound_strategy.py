"""Confound strategies in the automatic model, on the demo dataset."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from bidsapp.errors import SettingsError
from bidsapp.plan import make_participant_plan
from bidsapp.settings.parts import ModelOptions, Selection, Settings


def first_fit(dataset, strategy):
    settings = Settings(
        Path(dataset),
        Path("out"),
        ("participant",),
        selection=Selection(participant_label=("01",)),
        model=ModelOptions(confounds=strategy),
    )
    return make_participant_plan(settings).subjects[0].runs[0]


def test_columns_of_the_strategy_are_confounds_of_the_design(tiny_dataset):
    fit = first_fit(tiny_dataset, "motion6+acompcor3+wmcsf")
    expected = ["non_steady_state_outlier00", "trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    expected += ["a_comp_cor_00", "a_comp_cor_01", "a_comp_cor_02", "white_matter", "csf"]
    assert list(fit.confounds) == expected


def test_no_confounds_leave_the_first_volumes_in(tiny_dataset):
    assert first_fit(tiny_dataset, "none").confounds == ()


def test_cosines_of_the_strategy_replace_the_filter(tiny_dataset):
    fit = first_fit(tiny_dataset, "motion6+cosine")
    assert [name for name in fit.design.columns if "cosine" in name] == ["cosine00", "cosine01"]
    assert fit.high_pass_hz is None


def test_scrubbing_drops_the_volumes_above_the_thresholds(tiny_dataset):
    path = next(tiny_dataset.rglob("sub-01*run-1_desc-confounds_timeseries.tsv"))
    table = pd.read_csv(path, sep="\t", na_values="n/a")
    threshold = float(table.framewise_displacement.quantile(0.9))
    fit = first_fit(tiny_dataset, f"motion6+scrub[{threshold:.6f},9]")
    expected = (table.framewise_displacement > round(threshold, 6)).to_numpy()
    assert 0 < expected.sum() < 20
    assert (fit.keep == ~expected).all()


def test_unknown_strategy_is_refused_before_anything_is_read(tiny_dataset):
    with pytest.raises(SettingsError, match="did you mean 'acompcor'"):
        first_fit(tiny_dataset, "acompcorr")


def test_missing_column_names_the_run(tiny_dataset, tmp_path):
    dataset = tmp_path / "dataset"
    shutil.copytree(tiny_dataset, dataset)
    path = next(dataset.rglob("sub-01*run-1_desc-confounds_timeseries.tsv"))
    pd.read_csv(path, sep="\t", na_values="n/a").drop(columns="csf").to_csv(path, sep="\t", na_rep="n/a")
    settings = Settings(dataset, tmp_path, ("participant",), model=ModelOptions(confounds="wmcsf"))
    first, *others = make_participant_plan(settings).subjects
    (problem,) = first.problems
    assert "sub-01 task-viewing run-1: " in problem
    assert "no column 'csf', which wmcsf needs" in problem
    assert [fit.label for fit in first.runs] == ["sub-01 task-viewing run-2"]
    assert not any(subject.problems for subject in others)
