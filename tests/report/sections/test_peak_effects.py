"""Effects of subjects at peaks: groups, intervals, where the numbers come from."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from saved_records import make
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from bidsapp.outputs.results import Results
from bidsapp.outputs.saved.group import GroupContrastRecord, GroupRecord
from bidsapp.report.sections.peak_effects import (
    draw_strips,
    find_cells,
    find_groups,
    find_joined,
    group_cells,
    place_key,
    read_effects,
    summarise,
    summarise_within,
)

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


def test_levels_of_a_formula_make_groups(tmp_path):
    results, _ = make_results(tmp_path, {"participant_id": LABELS, "intercept": 1, "group[T.p]": [1, 0, 0]})
    levels = {"group.c": LABELS[1:], "group.p": LABELS[:1]}
    told = replace(results, record=replace(results.record, groups=levels))
    assert find_groups(told, [f"{label} faces" for label in LABELS[:2]]) == {
        "group.c": [f"{LABELS[1]} faces"],
        "group.p": [f"{LABELS[0]} faces"],
    }


def test_intervals_within_subjects_of_two_cells_are_those_of_the_difference(rng):
    values = rng.normal(0, 1, (9, 2)) + rng.normal(0, 20, (9, 1))
    means, halves = summarise_within(values)
    interval = ttest_1samp(values[:, 1] - values[:, 0], 0).confidence_interval(0.95)
    np.testing.assert_allclose(means, values.mean(axis=0))
    np.testing.assert_allclose(halves * np.sqrt(2), (interval.high - interval.low) / 2)


def test_intervals_within_subjects_have_moreys_correction(rng):
    values = rng.normal(0, 1, (12, 4))
    centred = values - values.mean(axis=1, keepdims=True) + values.mean()
    expected = student.ppf(0.975, 11) * centred.std(axis=0, ddof=1) / np.sqrt(12) * np.sqrt(4 / 3)
    np.testing.assert_allclose(summarise_within(values + np.arange(12)[:, None])[1], expected)


def test_a_missing_cell_costs_its_subject_nothing_else(rng):
    values = rng.normal(0, 1, (5, 3))
    values[0, 1], values[1:, 2] = np.nan, np.nan
    means, halves = summarise_within(values)
    np.testing.assert_allclose(means, [values[:, 0].mean(), values[1:, 1].mean(), values[0, 2]])
    assert np.isfinite(halves).tolist() == [True, True, False]


def test_cells_are_those_of_subjects_with_several():
    assert find_cells(["sub-01 a b", "sub-01 c", "sub-02 a b", "sub-02 c"]) == ["a b", "c"]
    assert find_cells(["sub-01 a", "sub-02 a"]) == []
    assert find_cells(LABELS) == []
    assert find_cells(["sub-01", "sub-01 a", "sub-01 b"]) == []


def test_subjects_with_several_maps_have_lines_over_cells_by_group(tmp_path):
    design = {"participant_id": LABELS, "patient": [1, 0, 0], "control": [0, 1, 1]}
    results, contrast = make_results(tmp_path, design)
    place = {"cluster_id": [1], "peak": [1], "peak_x": [-4.0], "peak_y": [0.0], "peak_z": [2.0]}
    values = {f"{name} {cell}": [float(k)] for k, name in enumerate(LABELS) for cell in ("faces", "houses")}
    strips = draw_strips(results, contrast, pd.DataFrame(place | values))
    body = strips["-4,0,2"].body
    assert [body.count(f"<title>{label}</title>") for label in LABELS] == [1, 1, 1]
    # A mean a cell and group, one of each in the legend: patients have dots, controls triangles.
    assert (body.count("<circle"), body.count("l4.4 7.6h-8.8z")) == (3, 3)
    assert body.count(">faces<") == body.count(">houses<") == 1
    assert ">patient<" in body


def test_lines_join_the_levels_of_the_last_factor_alone(tmp_path):
    results, contrast = make_results(tmp_path, {"participant_id": LABELS, "intercept": 1})
    words = ["repeated-measures", "stimulus=F,S", "presentation=Ini,Imm,Del"]
    results.record.settings["group"] = {"group_design": words}
    cells = [f"{when}{what}" for what in "FS" for when in ("Ini", "Imm", "Del")]
    assert find_joined(results, cells) == 3
    # A contrast of some levels has their cells alone.
    assert find_joined(results, [cell for cell in cells if "Imm" not in cell]) == 2
    assert find_joined(results, cells[:5]) == 5
    assert find_joined(results, ["faces", "houses"]) == 2
    place = {"cluster_id": [1], "peak": [1], "peak_x": [-4.0], "peak_y": [0.0], "peak_z": [2.0]}
    values = {f"{name} {cell}": [float(k)] for name in LABELS for k, cell in enumerate(cells)}
    body = draw_strips(results, contrast, pd.DataFrame(place | values))["-4,0,2"].body
    # Of each subject and of the means.
    assert body.count("<polyline") + body.count("<path") == 2 * (len(LABELS) + 1)


def test_rows_of_a_pooled_model_make_no_groups(tmp_path):
    rows = [f"{name} {cell}" for name in LABELS for cell in ("a", "b")]
    results, _ = make_results(tmp_path, {"participant_id": rows, "a": [1, 0] * 3, "b": [0, 1] * 3})
    found = group_cells(results, dict.fromkeys(rows, 1.0), ["a", "b"])
    assert list(found) == [""]
    assert found[""].names == LABELS


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
