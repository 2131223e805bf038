"""What a linked view gets from the record of a contrast."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bidsapp.outputs.results import read_group_results
from bidsapp.outputs.saved.group import EstimandRecord, InputRecord
from bidsapp.records.maps import Geometry
from bidsapp.report.linked.content import Subjects
from bidsapp.report.sections import linked_view
from bidsapp.report.sections.linked_view import Look, make_view
from bidsapp.report.sections.peak_effects import label_inputs
from bidsapp.report.sections.subject_maps import make_rules
from bidsapp.tables.atlas import read_atlases
from bidsapp.vocabulary.thresholds import THRESHOLDS


@pytest.fixture(scope="module")
def made(output_folder):
    """The results of a group, a contrast of it and its view."""
    (results,) = read_group_results(output_folder)
    contrast = results.record.contrasts[0]
    look = Look("c", "z", 8.0, (0, 0, 0), (), True)
    kept = [results.read_map(contrast.maps["z"]) for _ in contrast.thresholds]
    return results, contrast, make_view(results, contrast, kept, look)


def test_every_threshold_has_a_short_name():
    names = [row.short for row in THRESHOLDS.values()]
    assert all(names)
    assert len(set(names)) == len(names)
    assert max(map(len, names)) < 20


def test_maps_are_those_of_the_files(made):
    results, contrast, view = made
    mask = view.geometry.mask
    assert np.array_equal(view.statistic.values, results.read_map(contrast.maps["z"]).values[mask])
    variance = results.read_map(contrast.maps["variance"]).values[mask]
    assert view.effect.errors == pytest.approx(np.sqrt(variance))
    assert view.effect.quantile == pytest.approx(stats.t.ppf(0.975, 3))
    assert (view.effect.name, view.words) == ("mean", ("above zero", "below zero"))
    assert view.size.low == pytest.approx(view.size.values - 1, abs=1e-5)


def test_size_of_a_slope_is_its_partial_r_as_in_the_table(made):
    results, contrast, view = made
    share = contrast.maps["p"]  # any map from 0 to 1
    slope = replace(contrast, maps={**contrast.maps, "partialrsquare": share})
    size = linked_view._Reader(results, slope, view.geometry).size(slope=True)
    mask = view.geometry.mask
    assert size.name == "partial r"
    assert np.square(size.values) == pytest.approx(results.read_map(share).values[mask], abs=1e-6)
    effect = results.read_map(contrast.maps["effect"]).values[mask]
    assert np.all(size.values * effect >= 0)
    assert np.any(size.values < 0)


@pytest.mark.parametrize("choice", ["aal", "harvard_oxford"])
def test_regions_of_the_view_are_those_of_tables_of_peaks(choice):
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = (-60, -60, -30)
    geometry = Geometry(np.ones((30, 12, 12), bool), affine)
    (atlas,) = linked_view.read_regions([choice], geometry, near=True)
    (tables,) = read_atlases([choice])
    expected = tables.label_near_peaks(geometry.coordinates())
    found = ["no_label" if k < 0 else atlas.names[k] for k in atlas.regions]
    if choice == "aal":
        assert found == expected
        assert sum(name.startswith("near ") for name in found) > 100
    else:
        firsts = [label.partition("; ")[0].partition("% ") for label in expected]
        assert found == [name or label for label, _, name in firsts]
    plain = linked_view.read_regions([choice], geometry)[0]
    assert not any(name.startswith("near") for name in plain.names)


def test_p_of_thresholds_is_read_as_it_was_written(made):
    results, contrast, view = made
    rules = {rule.method: rule for rule in view.rules}
    counts = rules["maxT"].p * rules["maxT"].n_shuffles
    assert counts == pytest.approx(np.rint(counts), abs=0.01)
    assert rules["fdrBH"].n_shuffles is None
    two_sided = results.read_map(contrast.maps["p"]).values[view.geometry.mask]
    assert rules["uncorrected"].p == pytest.approx(two_sided / 2)
    assert rules["bonferroni"].n_shuffles is None
    assert rules["bonferroni"].p == pytest.approx(np.minimum(len(two_sided) * two_sided, 1), rel=1e-4)


def test_effects_of_subjects_are_their_maps(made):
    results, contrast, view = made
    for k, entry in enumerate(contrast.inputs):
        known = results.read_map(entry.effect).values[view.geometry.mask]
        assert np.array_equal(view.subjects.values[k], known)
        assert view.subjects.names[k] == entry.subject


def test_effects_of_subjects_are_those_that_were_tested_where_these_differ(made, output_folder):
    results, contrast, view = made
    settings = {"group": {"group_smoothing_fwhm": 6.0}}
    smoothed = replace(results, record=replace(results.record, settings=settings))
    before = linked_view._Reader(smoothed, contrast, view.geometry).subjects()
    assert np.array_equal(before.values, view.subjects.values)
    assert before.note.endswith(linked_view.BEFORE)
    path, values = "group/tested_effects.nii.gz", np.arange(4)[:, None] + view.statistic.values
    volumes = np.stack([view.geometry.volume(row) for row in values], axis=-1)
    nib.save(nib.Nifti1Image(volumes.astype(np.float32), view.geometry.affine), output_folder / path)
    after = linked_view._Reader(smoothed, replace(contrast, tested=path), view.geometry).subjects()
    assert after.values == pytest.approx(values)
    assert after.note == view.subjects.note


def test_a_curve_is_the_p_of_its_statistic_in_one_tail():
    z = linked_view.make_curve("z", (3.0,), 4.0)
    assert np.interp(1.959964, z[:, 0], z[:, 1]) == pytest.approx(0.025, abs=1e-4)
    f = linked_view.make_curve("F", (2.0, 14.0), 10.0)
    assert f[-1] == pytest.approx([10.0, stats.f.sf(10, 2, 14)])
    assert linked_view.make_curve("t", None, 4.0) is None


def test_uncorrected_p_is_that_of_one_tail_everywhere(made):
    results, contrast, view = made
    (rule,) = [rule for rule in view.rules if rule.method == "uncorrected"]
    assert rule.label == "uncorrected, one-sided"
    values = np.abs(view.statistic.values)
    curve = view.statistic.curve
    assert rule.p == pytest.approx(np.interp(values, curve[:, 0], curve[:, 1]), abs=1e-3)
    of_subjects = make_rules(view.statistic.values, signed=True)[1]
    assert of_subjects.label == rule.label
    assert of_subjects.p == pytest.approx(rule.p, abs=1e-3)


def test_what_cannot_be_used_is_no_choice_whatever_survives(made):
    results, contrast, _ = made
    look = Look("c", "z", 8.0, (0, 0, 0), (), True)
    kept = [results.read_map(contrast.maps["z"]) for _ in contrast.thresholds]
    for n_voxels in (0, 7):
        warned = [replace(one, warnings=("No.",), n_voxels=n_voxels) for one in contrast.thresholds]
        view = make_view(results, replace(contrast, thresholds=tuple(warned)), kept, look)
        assert [rule.method for rule in view.rules] == [contrast.main.method]


def test_effects_over_a_covariate_are_without_what_other_columns_explain():
    rng = np.random.default_rng(0)
    age, site = np.arange(12.0) - 5.5, np.tile([0.0, 1.0], 6)
    design = pd.DataFrame({"intercept": 1.0, "age": age, "site": site})
    effects = 2 + 0.5 * age[:, None] + 3 * site[:, None] + rng.normal(0, 1e-3, (12, 4))
    plain = Subjects([f"sub-{i}" for i in range(12)], effects, "%", group=[0] * 12)
    slopes = linked_view._Slopes("age", age, ("age",))
    found = linked_view._over_covariate(plain, design, slopes, shown=age + 30)
    slope = np.polyfit(found.covariate, found.values, 1)[0]
    assert slope == pytest.approx(0.5, abs=1e-3)
    residual = found.values - found.values.mean(axis=0) - 0.5 * age[:, None]
    assert np.abs(residual).max() < 0.01
    assert found.covariate[0] == 24.5
    assert "adjusted for site" in found.note


def two_slopes(made, coding):
    """Return a contrast of the slopes of two groups, its design, subjects without noise and their slopes."""
    age, patient = np.arange(12.0) - 5.5, np.repeat([0.0, 1.0], 6)
    names = [f"sub-{i:02d}" for i in range(12)]
    if coding == "intercept":
        columns = {"Intercept": 1.0, "age": age, "group[T.patient]": patient}
        columns |= {"age:group[T.patient]": age * patient}
        weights, groups = {"age:group[T.patient]": 1.0}, ("",)
    else:
        columns = {"control": 1 - patient, "patient": patient}
        columns |= {"control:age": age * (1 - patient), "patient:age": age * patient}
        weights, groups = {"patient:age": 1.0, "control:age": -1.0}, ("control", "patient")
    design = pd.DataFrame(columns | {"motion": np.cos(np.arange(12.0))}, index=names)
    effects = 1 + 3 * patient + age * np.where(patient == 1, 0.5, -0.25) + 2 * design["motion"].to_numpy()
    found = Subjects(names, effects[:, None], "%", groups=groups, group=[0] * 12)
    if coding == "cells":
        found = replace(found, group=patient.astype(int).tolist())
    return replace(made[1], weights=weights), design, found


@pytest.mark.parametrize("coding", ["intercept", "cells"])
def test_slopes_of_two_groups_are_shown_in_each(made, coding):
    contrast, design, subjects = two_slopes(made, coding)
    split = linked_view._split_by_product(contrast, design, subjects)
    names = ("not patient", "patient") if coding == "intercept" else ("control", "patient")
    assert split.groups == names
    slopes = linked_view._find_slopes(contrast, design, split)
    assert (slopes.axis, slopes.by_group) == ("age", True)
    found = linked_view._over_covariate(split, design, slopes, shown=None)
    assert found.own_slopes
    assert found.axis == "age, centred"
    for group, slope, mean in ((0, -0.25, 1), (1, 0.5, 4)):
        here = np.flatnonzero(np.array(found.group) == group)
        fit = np.polyfit(found.covariate[here], found.values[here, 0], 1)
        assert fit == pytest.approx([slope, mean + 2 * design["motion"].mean()])
    assert found.note == "Lines: the fit of each group. Dots: the subjects' effects, adjusted for motion."


def test_a_slope_that_groups_share_leaves_their_difference(made):
    contrast, design, subjects = two_slopes(made, "cells")
    design = design[["control", "patient"]].assign(age=design["control:age"] + design["patient:age"])
    contrast = replace(contrast, weights={"age": 1.0})
    slopes = linked_view._find_slopes(contrast, design, subjects)
    assert (slopes.axis, slopes.by_group) == ("age", False)
    found = linked_view._over_covariate(subjects, design, slopes, shown=None)
    assert np.array_equal(found.values, subjects.values)
    assert not found.own_slopes


def test_contrasts_of_means_have_no_slopes(made):
    contrast, design, subjects = two_slopes(made, "cells")
    for weights in ({"patient": 1.0, "control": -1.0}, {"patient:age": 1.0, "control": 1.0}):
        assert linked_view._find_slopes(replace(contrast, weights=weights), design, subjects) is None


def contrast_of(made, weights):
    record = made[1]
    estimand = {"text": "", "weights": [weights], "subjects": {}}
    return replace(record, estimand=EstimandRecord(**estimand))


def test_a_difference_of_two_is_counted_from_the_negative_one(made):
    groups = Subjects(["a", "b"], np.zeros((2, 1)), "", groups=("patient", "control"), group=(0, 1))
    contrast = contrast_of(made, {"patient": {"faces": 1.0}, "control": {"faces": -1.0}})
    assert linked_view._start(contrast, groups) == 1


def test_a_difference_of_two_cells_is_counted_from_the_negative_one(made):
    cells = Subjects(["a", "a"], np.zeros((2, 1)), "", cells=("con", "inc"), cell=(0, 1))
    contrast = contrast_of(made, {"all subjects": {"inc": 1.0, "con": -1.0}})
    assert linked_view._start(contrast, cells) == 0


def test_a_difference_says_where_it_is_drawn_from_and_what_it_is_adjusted_for(made):
    results, contrast, view = made
    reader = linked_view._Reader(results, contrast, view.geometry)
    subjects = reader.subjects()
    names = list(subjects.names)
    groups = dict.fromkeys(names, "a") | {names[0]: "b"}
    design = pd.DataFrame({"a": [groups[n] == "a" for n in names], "age": np.arange(len(names))}, index=names)
    held = replace(subjects, group=[int(groups[n] == "b") for n in names])
    assert linked_view._beside_groups(design.astype(float), held) == ["age"]
    assert "drawn from" not in subjects.note
    assert "adjusted" not in subjects.note


def test_other_contrasts_start_at_zero(made):
    cells = Subjects(["a"] * 3, np.zeros((3, 1)), "", cells=("a", "b", "c"), cell=(0, 1, 2))
    contrast = contrast_of(made, {"all subjects": {"a": 0.5, "b": 0.5, "c": -1.0}})
    assert linked_view._start(contrast, cells) is None


def test_inputs_of_one_subject_are_told_apart_by_their_contrasts(made):
    entries = [
        InputRecord(subject="sub-01", effect="a", variance=None, contrast=name) for name in ("x y", "z")
    ]
    contrast = replace(made[1], inputs=tuple(entries))
    assert label_inputs(contrast) == ["sub-01 x y", "sub-01 z"]
    earlier = replace(contrast, inputs=tuple(replace(entry, contrast=None) for entry in entries))
    assert label_inputs(earlier) == ["sub-01 1", "sub-01 2"]
    assert label_inputs(replace(contrast, inputs=tuple(entries[:1]))) == ["sub-01"]
