"""Effects of subjects at peaks: groups, intervals, where the numbers come from."""

import numpy as np
import pandas as pd
import pytest
from saved_records import make
from scipy.stats import ttest_1samp

from bidsapp.outputs.results import Results
from bidsapp.outputs.saved.group import GroupContrastRecord, GroupRecord
from bidsapp.report.sections.peak_effects import draw_strips, find_groups, place_key, read_effects, summarise

LABELS = ["sub-01", "sub-02", "sub-03"]


def make_results(folder, design, thresholds=()):
    pd.DataFrame(design).to_csv(folder / "design.tsv", sep="\t", index=False)
    subjects = [{"label": label, "used": True} for label in LABELS]
    contrast = make(GroupContrastRecord, name="c", thresholds=thresholds)
    return Results(folder, make(GroupRecord, design="design.tsv", subjects=subjects)), contrast


def test_interval_is_that_of_the_t_test():
    values = np.array([1.0, 2.0, 4.0, 3.5])
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert summarise(values) == pytest.approx((values.mean(), interval.low, interval.high))


def test_one_subject_has_no_interval():
    mean, low, high = summarise([2.0])
    assert mean == 2.0
    assert np.isnan([low, high]).all()


def test_an_intercept_makes_one_group(tmp_path):
    results, _ = make_results(tmp_path, {"participant_id": LABELS, "intercept": 1.0})
    assert find_groups(results, LABELS) == {"": LABELS}


def test_dummy_columns_make_groups_whatever_covariates_stand_beside(tmp_path):
    design = {"participant_id": LABELS, "patient": [1, 0, 0], "control": [0, 1, 1], "age": [20.0, 31, 40]}
    results, _ = make_results(tmp_path, design)
    assert find_groups(results, LABELS) == {"patient": LABELS[:1], "control": LABELS[1:]}


def test_overlapping_dummies_are_no_groups(tmp_path):
    results, _ = make_results(tmp_path, {"participant_id": LABELS, "intercept": 1, "patient": [1, 0, 0]})
    assert find_groups(results, LABELS) == {"": LABELS}


def test_several_maps_of_a_subject_make_one_group_a_cell(tmp_path):
    results, _ = make_results(tmp_path, {"participant_id": LABELS, "intercept": 1})
    labels = ["sub-01 faces", "sub-01 houses", "sub-02 faces", "sub-02 houses"]
    groups = {"faces": [labels[0], labels[2]], "houses": [labels[1], labels[3]]}
    assert find_groups(results, labels) == groups


@pytest.fixture
def effects(tmp_path):
    place = {"cluster_id": [1], "peak": [1], "peak_x": [-4.0], "peak_y": [0.0], "peak_z": [2.0]}
    frame = pd.DataFrame({**place, "sub-01": [1.0], "sub-02": [np.nan], "sub-03": [3.0]})
    frame.to_csv(tmp_path / "effects.tsv", sep="\t", index=False, na_rep="n/a")
    return tmp_path


def test_a_peak_of_two_thresholds_is_listed_once(effects):
    threshold = {"peak_effects": "effects.tsv"}
    design = {"participant_id": LABELS, "intercept": 1.0}
    results, contrast = make_results(effects, design, [threshold, threshold])
    frame = read_effects(results, contrast, None)
    assert len(frame) == 1
    assert place_key(frame.iloc[0]) == "-4,0,2"


def test_subjects_without_data_are_not_drawn(effects):
    design = {"participant_id": LABELS, "intercept": 1.0}
    results, contrast = make_results(effects, design, [{"peak_effects": "effects.tsv"}])
    strips = draw_strips(results, contrast, read_effects(results, contrast, None))
    assert list(strips) == ["-4,0,2"]
    assert strips["-4,0,2"].body.count("<circle") == 2
    assert "sub-02" not in strips["-4,0,2"].body


def test_nothing_written_gives_nothing(tmp_path):
    results, contrast = make_results(tmp_path, {"participant_id": LABELS, "intercept": 1.0})
    assert read_effects(results, contrast, None) is None
