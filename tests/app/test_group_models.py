"""Estimators, masks, coverage, exclusions, regions and conjunctions of the group level, through the app."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from documents import higher_node, make_document, write_model
from effect_maps import write_effect_maps
from group_pages import read_group_pages
from outcomes import call_app
from scipy import ndimage, stats

from bidsapp.report.drawing.scale import short

AFFINE = np.array([[6.0, 0, 0, -66], [0, 6.0, 0, -90], [0, 0, 6.0, -54], [0, 0, 0, 1]])
SHAPE = (22, 26, 20)
N_SUBJECTS = 12


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Return a folder with two contrasts of 12 subjects in two groups; sub-02 lacks the top third."""
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("options") / "maps"
    brain = np.zeros(SHAPE, bool)
    brain[4:18, 4:22, 4:16] = True
    people = []
    for subject in range(1, N_SUBJECTS + 1):
        group = "patient" if subject % 2 else "control"
        people.append((f"sub-{subject:02d}", group, 20 + subject))
        for shift, contrast in enumerate(("go", "stop")):
            there = brain.copy()
            if subject == 2:
                there[..., 12:] = False
            volume = np.where(there, rng.normal(0.5 + shift, 1.0 if subject % 2 else 2.0, SHAPE), np.nan)
            stem = f"sub-{subject:02d}_task-x_space-MNI152NLin2009cAsym_contrast-{contrast}"
            (folder / f"sub-{subject:02d}").mkdir(parents=True, exist_ok=True)
            for stat, values in (
                ("effect", volume),
                ("variance", np.where(there, rng.uniform(0.1, 1, SHAPE), np.nan)),
            ):
                path = folder / f"sub-{subject:02d}" / f"{stem}_stat-{stat}_statmap.nii.gz"
                nib.save(nib.Nifti1Image(values.astype(np.float32), AFFINE), path)
    table = pd.DataFrame(people, columns=["participant_id", "group", "age"])
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    (folder / "dataset_description.json").write_text('{"Name": "maps", "BIDSVersion": "1.10.0"}')
    return folder


def run(maps, output, *more, pages=False):
    arguments = [maps, output, "group", "--estimates", maps, "--n-permutations", "0", *more]
    return call_app(arguments, pages=pages)


@pytest.fixture(scope="module")
def output_of(maps, tmp_path_factory):
    """Return a function to the output of the maps as they are with these words; each is made once."""
    made = {}

    def make(*words, **more):
        if words not in made:
            made[words] = tmp_path_factory.mktemp("out")
            assert run(maps, made[words], *words, **more) == 0
        return made[words]

    return make


def read(output, name):
    (path,) = (output / "group").glob(f"*_{name}_statmap.nii.gz")
    return nib.load(path).get_fdata()


def stacked(maps, contrast):
    paths = sorted(maps.glob(f"sub-*/*_contrast-{contrast}_stat-effect_statmap.nii.gz"))
    return np.array([nib.load(path).get_fdata() for path in paths])


def record_of(output):
    (path,) = (output / "logs").glob("*_group.json")
    return json.loads(path.read_text())


ONE_SAMPLE = ("--group-design", "one-sample", "--conjunction", "both=go,stop")
ONE_SAMPLE = (*ONE_SAMPLE, "--cluster-forming-p", "0.01", "--connectivity", "6")
IN_GROUPS = ("--group-design", "two-sample", "group", "--alpha", "0.2")
WELCH = (*IN_GROUPS, "--variance-groups", "group")
ANY_GROUP = (*IN_GROUPS, "--group-contrast", "any=group.control; group.patient")


def test_intersection_is_the_default_and_coverage_is_written(output_of):
    out = output_of(*ONE_SAMPLE)
    assert np.isnan(read(out, "contrast-go_stat-t")[8, 8, 13])
    coverage = read(out, "contrast-go_stat-coverage")
    assert (coverage[8, 8, 13], coverage[8, 8, 8]) == (11, 12)


def test_voxels_with_enough_subjects_are_fitted_with_their_own_dof(maps, tmp_path):
    assert run(maps, tmp_path, "--group-design", "one-sample", "--min-subjects", "0.9") == 0
    dof = read(tmp_path, "contrast-go_stat-dof")
    assert (dof[8, 8, 13], dof[8, 8, 8]) == (10, 11)
    expected = stats.ttest_1samp(np.delete(stacked(maps, "go")[:, 8, 8, 13], 1), 0).statistic
    assert read(tmp_path, "contrast-go_stat-t")[8, 8, 13] == pytest.approx(expected, rel=1e-5)


def test_variance_groups_are_welchs_test(maps, output_of):
    out = output_of(*WELCH, "--n-permutations", "32", pages=True)
    values = stacked(maps, "stop")[:, 8, 8, 8]
    expected = stats.ttest_ind(values[1::2], values[0::2], equal_var=False)
    t, p = (read(out, f"contrast-stopControlVsPatient_stat-{stat}")[8, 8, 8] for stat in "tp")
    assert t == pytest.approx(expected.statistic, rel=1e-5)
    assert p == pytest.approx(expected.pvalue, rel=1e-4)


def test_mixed_effects_write_tau2_and_heterogeneity(maps, tmp_path):
    assert run(maps, tmp_path, "--group-design", "one-sample", "--group-estimator", "reml") == 0
    for stat in ("tau2", "isquared", "cochranq"):
        assert np.nanmin(read(tmp_path, f"contrast-go_stat-{stat}")) >= 0
    assert "REML" in record_of(tmp_path)["estimator"]


def test_tau2_of_variance_groups_have_the_numbers_of_their_levels_in_order(maps, tmp_path):
    words = ("--group-design", "two-sample", "group", "--variance-groups", "group")
    assert run(maps, tmp_path, *words, "--group-estimator", "reml") == 0
    for number, level in ((1, "control"), (2, "patient")):
        (path,) = (tmp_path / "group").glob(f"*_contrast-goControlVsPatient_stat-tau2{number}_statmap.json")
        assert json.loads(path.read_text())["Description"] == f"variance between inputs of group {level}"


def test_weighted_estimators_flip_the_signs_of_scores(maps, tmp_path):
    words = ("--group-design", "one-sample", "--group-estimator", "fixed", "--n-permutations", "64")
    assert run(maps, tmp_path, *words, pages=True) == 0
    paths = sorted(maps.glob("sub-*/*_contrast-go_stat-variance_statmap.nii.gz"))
    variances = np.array([nib.load(path).get_fdata() for path in paths])
    expected = stats.ttest_1samp((stacked(maps, "go") / variances)[:, 8, 8, 8], 0).statistic
    assert read(tmp_path, "contrast-go_stat-score")[8, 8, 8] == pytest.approx(expected, rel=1e-5)
    contrast = record_of(tmp_path)["contrasts"][0]
    assert contrast["permutation"]["scheme"] == "sign-flip"
    (height,) = [one for one in contrast["thresholds"] if one["method"] == "maxT"]
    assert height["scale"] == "score"
    (size,) = [one for one in contrast["thresholds"] if one["method"] == "maxSize"]
    assert size["forming_scale"] == "t of the subjects' scores"
    (page,) = (tmp_path / "group").glob("*_contrast-go_report.html")
    text = page.read_text()
    assert f"|score| ≥ {short(height['cutoff'])}" in text
    assert f"formed at t of the subjects&#39; scores {short(size['forming'])}" in text
    assert "not the t of the map: voxels of one t may differ in p" in text
    assert "effects times the weights that the estimator gives" in (tmp_path / "group.html").read_text()


@pytest.mark.parametrize(("words", "wanted"), [(ANY_GROUP, "F"), (WELCH, "z")])
def test_cutoffs_that_are_values_of_z_are_called_so(output_of, words, wanted):
    """Of F clusters are formed on z; with variances by group heights are z, too."""
    out = output_of(*words, "--n-permutations", "32", pages=True)
    contrast = next(c for c in record_of(out)["contrasts"] if c["test"] == "F" or wanted == "z")
    rules = {one["method"]: one for one in contrast["thresholds"]}
    assert rules["maxSize"]["forming"] == pytest.approx(3.0902, abs=1e-4)
    assert rules["maxSize"]["forming_scale"] == "z"
    assert rules["maxT"]["scale"] == wanted
    assert "formed at z 3.09" in read_group_pages(out)


def test_weighted_estimators_say_once_why_other_designs_are_not_shuffled(maps, tmp_path, capsys):
    words = ("--group-design", "two-sample", "group", "--group-estimator", "dl", "--n-permutations", "64")
    assert run(maps, tmp_path, *words) == 0
    said = capsys.readouterr().err
    assert said.count("Not shuffled: the estimator dl is shuffled in one-sample designs only") == 1


@pytest.mark.parametrize("estimator", ["fixed", "reml", "flame1", "dl"])
def test_estimators_that_weigh_refuse_a_pair_of_the_same_runs(maps, tmp_path, capsys, estimator):
    words = ("--group-design", "paired", "stop", "go", "--group-estimator", estimator)
    assert run(maps, tmp_path, *words) == 65
    assert "sub-01 enters with several contrasts of the same runs" in capsys.readouterr().err


def test_estimators_that_weigh_add_the_variances_of_a_pair_of_other_runs(maps, tmp_path):
    folder = tmp_path / "maps"
    shutil.copytree(maps, folder)
    for path in folder.glob("sub-*/*_contrast-stop_*"):
        path.rename(path.with_name(path.name.replace("task-x", "task-y")))
    item = {"Name": "difference", "Cells": ["stop", "go"], "Weights": [[1, -1]]}
    design = {"Software": {"TaskGLM": {"SubjectContrasts": [item]}}}
    model = write_model(make_document(higher_node("Dataset", Name="both", Model=design)), tmp_path)
    assert run(folder, tmp_path / "out", "--model", model, "--group-estimator", "fixed") == 0
    differences = (stacked(folder, "stop") - stacked(folder, "go"))[:, 8, 8, 8]
    names = [f"sub-*/*_contrast-{name}_stat-variance_statmap.nii.gz" for name in ("stop", "go")]
    variances = [
        [nib.load(path).get_fdata()[8, 8, 8] for path in sorted(folder.glob(name))] for name in names
    ]
    weights = 1 / np.sum(variances, axis=0)
    expected = (weights * differences).sum() / weights.sum()
    out = tmp_path / "out"
    assert read(out, "contrast-difference_stat-effect")[8, 8, 8] == pytest.approx(expected, rel=1e-5)
    assert read(out, "contrast-difference_stat-variance")[8, 8, 8] == pytest.approx(
        1 / weights.sum(), rel=1e-5
    )


def test_subject_without_a_covariate_is_named_in_log_and_report(maps, tmp_path, capsys):
    folder = tmp_path / "maps"
    shutil.copytree(maps, folder)
    table = pd.read_csv(folder / "participants.tsv", sep="\t")
    table["iq"] = [100.0 + row for row in range(N_SUBJECTS - 1)] + [np.nan]
    table.to_csv(folder / "participants.tsv", sep="\t", index=False, na_rep="n/a")
    assert run(folder, tmp_path / "out", "--group-design", "covariate", "iq", pages=True) == 0
    assert "sub-12 is left out: no value for iq" in capsys.readouterr().err
    assert "sub-12 is left out: no value for iq" in (tmp_path / "out" / "group.html").read_text()


def test_model_without_earlier_nodes_takes_the_maps_that_its_input_names(maps, tmp_path):
    chosen = [f"{number:02d}" for number in range(3, 11)]
    wanted = {"task": ["x"], "space": ["MNI152NLin2009cAsym"], "contrast": ["stop"], "subject": chosen}
    model = write_model(make_document(higher_node("Dataset", Name="group"), Input=wanted), tmp_path)
    assert run(maps, tmp_path / "out", "--model", model) == 0
    record = record_of(tmp_path / "out")
    assert [one["name"] for one in record["contrasts"]] == ["stop"]
    assert [one["label"] for one in record["subjects"] if one["used"]] == [f"sub-{label}" for label in chosen]
    expected = stats.ttest_1samp(stacked(maps, "stop")[2:10, 8, 8, 8], 0).statistic
    assert read(tmp_path / "out", "contrast-stop_stat-t")[8, 8, 8] == pytest.approx(expected, rel=1e-5)


def test_excluded_label_takes_no_part(maps, tmp_path):
    words = ("--group-design", "one-sample", "--exclude-participant-label", "05")
    assert run(maps, tmp_path, *words) == 0
    expected = stats.ttest_1samp(np.delete(stacked(maps, "go"), 4, axis=0)[:, 8, 8, 8], 0).statistic
    assert read(tmp_path, "contrast-go_stat-t")[8, 8, 8] == pytest.approx(expected, rel=1e-5)


def test_effect_sizes_stand_beside_t(output_of):
    out = output_of(*ONE_SAMPLE)
    t, d = (read(out, f"contrast-go_stat-{stat}")[8, 8, 8] for stat in ("t", "d"))
    assert d == pytest.approx(t / np.sqrt(N_SUBJECTS), rel=1e-6)
    low, g, high = (read(out, f"contrast-go_stat-{stat}")[8, 8, 8] for stat in ("gLow", "g", "gHigh"))
    assert low < g < high


def test_paired_is_the_t_test_of_differences(maps, tmp_path):
    assert run(maps, tmp_path, "--group-design", "paired", "stop", "go") == 0
    expected = stats.ttest_rel(stacked(maps, "stop")[:, 8, 8, 8], stacked(maps, "go")[:, 8, 8, 8])
    assert read(tmp_path, "contrast-stopVsGo_stat-t")[8, 8, 8] == pytest.approx(expected.statistic, rel=1e-5)


def test_excluded_participants_are_named_with_their_reason(maps, tmp_path):
    (tmp_path / "exclude.json").write_text('{"sub-03": "fell asleep"}')
    assert run(maps, tmp_path, "--group-design", "one-sample") == 0
    (entry,) = [item for item in record_of(tmp_path)["subjects"] if item["label"] == "sub-03"]
    assert not entry["used"]
    assert "fell asleep" in entry["reason"]


def test_influence_is_a_table_of_all_subjects(output_of):
    out = output_of(*ONE_SAMPLE)
    table = pd.read_csv(out / record_of(out)["contrasts"][0]["influence"], sep="\t")
    assert len(table) == N_SUBJECTS
    np.testing.assert_allclose(table["leverage"], 1 / N_SUBJECTS)
    assert table["coverage"].idxmin() == 1
    assert table["mean_variance"].between(0.4, 0.7).all()


def test_regions_are_tested_with_a_false_discovery_rate(maps, tmp_path):
    labels = np.zeros(SHAPE, np.int16)
    labels[4:11], labels[11:18] = 1, 2
    nib.save(nib.Nifti1Image(labels, AFFINE), tmp_path / "halves.nii.gz")
    output, words = tmp_path / "out", ("--group-design", "one-sample", "--roi", tmp_path / "halves.nii.gz")
    assert run(maps, output, *words, pages=True) == 0
    entry = next(item for item in record_of(output)["regions"] if item["contrast"] == "stop")
    table = pd.read_csv(output / entry["table"], sep="\t")
    inside = np.isfinite(read(output, "contrast-stop_stat-t"))
    means = stacked(maps, "stop")[:, inside & (labels == 1)].mean(axis=1)
    assert table.loc[0, "statistic"] == pytest.approx(stats.ttest_1samp(means, 0).statistic, rel=1e-5)
    assert table.loc[0, "sub-05"] == pytest.approx(means[4], rel=1e-5)
    assert (table["q"] >= table["p"]).all()
    assert "Regions of interest" in (output / "group.html").read_text()
    (figure,) = (output / "group" / "figures").glob("*contrast-stop*_regions.svg")
    assert "regions of halves by p-value" in figure.read_text()


def test_conjunction_is_the_smaller_z(maps, tmp_path):
    assert run(maps, tmp_path, *ONE_SAMPLE, "--tail", "positive") == 0
    go, stop, both = (read(tmp_path, f"contrast-{name}_stat-z") for name in ("go", "stop", "both"))
    np.testing.assert_allclose(both, np.minimum(go, stop), rtol=1e-6)


def test_conjunction_is_cut_and_joined_as_its_contrasts_are(output_of):
    out = output_of(*ONE_SAMPLE)
    go, stop = (read(out, f"contrast-{name}_stat-z") for name in ("go", "stop"))
    limit = stats.norm.isf(0.01)
    expected = sum(((sign * go >= limit) & (sign * stop >= limit)).sum() for sign in (1, -1))
    both = record_of(out)["contrasts"][-1]
    (rule,) = [one for one in both["thresholds"] if one["method"] == "uncorrected"]
    assert (both["name"], rule["alpha"], rule["n_voxels"]) == ("both", 0.01, expected)
    labels = nib.load(out / rule["labels"]).get_fdata()
    joined = sum(ndimage.label((np.sign(go) == sign) & (labels > 0))[1] for sign in (1, -1))
    assert rule["n_clusters"] == joined


def test_p_values_are_corrected_over_the_contrasts_of_a_model(maps, tmp_path):
    words = ("--group-design", "one-sample", "--n-permutations", "60", "--statistics", "height")
    assert run(maps, tmp_path / "each", *words) == 0
    assert run(maps, tmp_path / "all", *words, "--across-contrasts") == 0
    nulls = [
        pd.read_csv(next((tmp_path / "each/group").glob(f"*contrast-{name}_nullmax.tsv")), sep="\t")["maxT"]
        for name in ("go", "stop")
    ]
    joint = np.maximum(*nulls).to_numpy()
    t, logp = (read(tmp_path / "all", f"contrast-go_stat-{name}") for name in ("t", "logp_desc-maxT"))
    tested = np.isfinite(t)
    expected = (joint[:, None] >= np.abs(t[tested]) * (1 - 1e-6)).mean(axis=0)
    np.testing.assert_allclose(10 ** -logp[tested], expected, rtol=1e-5)
    sidecar = next((tmp_path / "all/group").glob("*contrast-go_stat-logp_desc-maxT_statmap.json"))
    assert json.loads(sidecar.read_text())["Family"].startswith("2 contrasts, maximum over contrasts")


TWO_GROUPS = ("--group-design", "two-sample", "group", "--n-permutations", "200", "--statistics", "height")


def p_of(output, contrast):
    logp = read(output, f"contrast-{contrast}_stat-logp_desc-maxT")
    return 10 ** -logp[np.isfinite(logp)]


def family_of(output, contrast):
    (path,) = (output / "group").glob(f"*contrast-{contrast}_stat-logp_desc-maxT_statmap.json")
    return json.loads(path.read_text())["Family"]


@pytest.fixture
def alone(output_of):
    """Return the output of two groups without a family."""
    return output_of(*TWO_GROUPS)


def test_means_of_groups_are_in_no_family_unless_named(maps, tmp_path, alone):
    assert run(maps, tmp_path, *TWO_GROUPS, "--across-contrasts", pages=True) == 0
    differences = ("goControlVsPatient", "stopControlVsPatient")
    for name in ("goGroupControl", "stopGroupPatient"):
        np.testing.assert_array_equal(p_of(tmp_path, name), p_of(alone, name))
        assert family_of(tmp_path, name) == "the points of the contrast"
    for name in differences:
        assert (p_of(tmp_path, name) >= p_of(alone, name) - 1e-9).all()
        assert family_of(tmp_path, name).startswith(
            "2 contrasts, maximum over contrasts in each shuffle (go "
        )
    text = (tmp_path / "logs/CITATION.md").read_text()
    assert "Family-wise errors by shuffling are over 2 contrasts, maximum over contrasts" in text
    assert "Means of groups are descriptive and not counted: go group.control" in text


def test_one_contrast_is_a_family_of_its_own(maps, tmp_path, alone, capsys):
    assert run(maps, tmp_path, *TWO_GROUPS, "--across-contrasts", "goControlVsPatient") == 0
    np.testing.assert_array_equal(p_of(tmp_path, "goControlVsPatient"), p_of(alone, "goControlVsPatient"))
    assert family_of(tmp_path, "goControlVsPatient") == "1 contrast"
    assert "errors by shuffling are over 1 contrast" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [("go group.control", "go control vs patient"), ("go group.control, go control vs patient",)],
    ids=["words", "commas"],
)
def test_contrasts_shuffled_in_different_ways_are_corrected_step_by_step(maps, tmp_path, alone, words):
    assert run(maps, tmp_path, *TWO_GROUPS, "--across-contrasts", *words, pages=True) == 0
    names = ("goGroupControl", "goControlVsPatient")
    first, second = sorted(names, key=lambda name: p_of(alone, name).min())
    least = 2 * p_of(alone, first).min()
    np.testing.assert_allclose(p_of(tmp_path, first), np.minimum(2 * p_of(alone, first), 1), rtol=1e-5)
    np.testing.assert_allclose(p_of(tmp_path, second), np.clip(p_of(alone, second), least, 1), rtol=1e-5)
    assert "2 contrasts, Bonferroni-Holm over contrasts" in family_of(tmp_path, first)
    rules = [one for contrast in record_of(tmp_path)["contrasts"] for one in contrast["thresholds"]]
    assert sum("Bonferroni-Holm" in rule["title"] for rule in rules) == 2
    assert "Bonferroni-Holm over contrasts" in (tmp_path / "group.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--across-contrasts", "goControlVsPatients"),
            "no group model tests a contrast 'goControlVsPatients'",
        ),
        (("--group-design", "two-sample", "sex"), "no column 'sex'"),
        (("--min-subjects", "many"), "--min-subjects"),
        (("--min-subjects", "inf"), "'inf' is neither all nor a number above 0"),
        (("--min-subjects", "100"), "--min-subjects 100: the largest group has"),
        (("--variance-groups", "site"), "--variance-groups: no column 'site'"),
        (("--conjunction", "x=go"), "write NAME=CONTRAST,CONTRAST"),
        (("--mask", "nowhere.nii.gz"), "nowhere.nii.gz"),
        (("--roi", "nowhere"), "--roi nowhere: neither a file nor one of aal"),
        (("--conjunction", "x=go,nogo"), "no node makes the t contrasts go, nogo. There are: go, stop"),
        (("--cluster-forming-p", "2.3"), "2.3 looks like a z or t value; as a p-value it is 0.011"),
        (("--exchangeability-blocks", "age"), "every block has a single row"),
        (("--group-contrast", "x=go"), "--group-contrast needs --formula or --group-design"),
    ],
)
def test_options_without_sense_end_with_a_message(maps, tmp_path, capsys, caplog, words, message):
    assert run(maps, tmp_path, *words) != 0
    assert message in capsys.readouterr().err + caplog.text


@pytest.mark.parametrize("sign", [1.0, 100.0], ids=["copy", "other-scale"])
def test_copied_maps_and_other_scales_are_warned_of_once_with_their_files(maps, tmp_path, capsys, sign):
    folder, out = tmp_path / "maps", tmp_path / "out"
    shutil.copytree(maps, folder)
    for path in folder.glob("sub-03/*_stat-effect_*"):
        image = nib.load(path)
        # Another file with the same values, as a copied folder that was written again.
        copy = nib.Nifti1Image(sign * image.get_fdata(), AFFINE)
        nib.save(copy, str(path).replace("sub-03", "sub-07"))
    assert run(folder, out, "--group-design", "one-sample", pages=True) == 0
    said = capsys.readouterr().err
    words = "Identical maps of sub-03, sub-07" if sign == 1 else "have another scale than those of the others"
    assert said.count(words) == 1
    assert said.count("sub-07_task-x_space-MNI152NLin2009cAsym_contrast-go_stat-effect_statmap") == 1
    assert words in (out / "group.html").read_text()
    assert len([one for one in record_of(out)["warnings"] if words in one]) == 1


def test_different_units_are_warned_of(maps, tmp_path, capsys):
    folder = tmp_path / "maps"
    shutil.copytree(maps, folder)
    for path in folder.glob("sub-*/*_stat-effect_*"):
        units = "% signal change" if "sub-04" in path.name else "image units"
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps({"Units": units}))
    assert run(folder, tmp_path / "out", "--group-design", "covariate", "age") == 0
    assert "different units (image units: sub-01" in capsys.readouterr().err
    assert record_of(tmp_path / "out")["contrasts"][0]["units"] is None


def test_map_on_another_grid_is_named_or_resampled(maps, tmp_path, capsys):
    folder = tmp_path / "maps"
    shutil.copytree(maps, folder)
    for path in folder.glob("sub-01/*.nii.gz"):
        image = nib.load(path)
        moved = AFFINE.copy()
        moved[0, 3] += 3.0
        nib.save(nib.Nifti1Image(image.get_fdata().astype(np.float32), moved), path)
    words = ["--group-design", "one-sample"]
    assert run(folder, tmp_path / "a", *words, "--dry-run") != 0
    said = capsys.readouterr().err
    assert re.search(r"sub-01: .*another grid than most of the maps.*up to 3 mm.*\n--resample brings", said)
    assert run(folder, tmp_path / "b", *words, "--resample") == 0
    others = ", ".join(f"sub-{number:02d}" for number in range(2, 8))
    note = f"the maps of {others} and 5 more are resampled to the grid of sub-01, linearly"
    assert note in capsys.readouterr().err
    assert any(note in words for words in record_of(tmp_path / "b")["warnings"])


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(maps, tmp_path):
    words = ("--group-design", "one-sample", "--n-permutations", "4000", "--statistics", "height", "tfce")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    arguments = [str(maps), str(killed), "group", "--estimates", str(maps), *words]
    code = (
        "import sys, bidsapp.cli.main, bidsapp.group.shuffling as shuffling; shuffling.SAVE_EVERY = 0.0; "
        "bidsapp.cli.main.main(sys.argv[1:])"
    )
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], start_new_session=True)
    while process.poll() is None and not list(killed.rglob("*_shuffles.npz")):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (state,) = killed.rglob("*_shuffles.npz")
    with np.load(state) as saved:
        assert 0 < saved["done"] < 4000
    assert run(maps, killed, *words) == 0
    assert not list(killed.rglob("*_shuffles.npz"))
    assert run(maps, whole, *words) == 0
    for path in whole.glob("group/*"):
        if "nullmax" in path.name or "logp" in path.name:
            assert (killed / "group" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "words", [("--group-design", "one-sample"), (*TWO_GROUPS, "--group-estimator", "huber")]
)
def test_a_family_that_cannot_be_shuffled_is_told(maps, tmp_path, words):
    shuffles = () if "huber" in words else ("--n-permutations", "0")
    assert run(maps, tmp_path, *words, *shuffles, "--across-contrasts") == 0
    said = "not shuffled, and --across-contrasts corrects p by shuffling alone"
    names = "go control vs patient, stop control vs patient" if "huber" in words else "go, stop"
    assert any(words.startswith(f"{names}: {said}") for words in record_of(tmp_path)["warnings"])


@pytest.mark.parametrize(
    "words",
    [
        ("two-sample", "group", "--variance-groups", "group"),
        ("one-sample", "--variance-groups", "group"),
        ("one-sample", "--group-estimator", "huber"),
        ("one-sample", "--group-estimator", "reml"),
    ],
)
def test_voxels_without_a_statistic_have_no_p_by_shuffling(tmp_path, rng, words):
    """All have one value in one voxel; in another the subjects of group a, which is most of them."""
    effects = rng.normal(3, 1, (12, 4, 4, 3))
    effects[:8, 1, 1, 1] = 10.0
    effects[:, 2, 2, 2] = 10.0 / 3
    folder = write_effect_maps(tmp_path / "maps", {"go": effects}, {"group": ["a"] * 8 + ["b"] * 4})
    for path in folder.rglob("*stat-effect_statmap.nii.gz"):
        variance = nib.Nifti1Image(rng.uniform(0.5, 2, (4, 4, 3)), nib.load(path).affine)
        nib.save(variance, path.with_name(path.name.replace("stat-effect", "stat-variance")))
    asked = ("--n-permutations", "100", "--statistics", "height", "--group-design", *words)
    assert run(folder, tmp_path / "out", *asked) == 0
    name = "goAVsB" if "two-sample" in words else "go"
    unknown = np.isnan(read(tmp_path / "out", f"contrast-{name}_stat-t"))
    shuffled = read(tmp_path / "out", f"contrast-{name}_stat-logp_desc-maxT")
    assert unknown[2, 2, 2]
    # A group has no variance about its own mean, Huber's M none where most are fitted perfectly.
    assert unknown[1, 1, 1] == (words[0] == "two-sample" or "huber" in words)
    np.testing.assert_array_equal(np.isnan(shuffled), unknown)


def test_inputs_are_named_from_the_output_folder_however_they_are_given(maps, tmp_path, monkeypatch):
    monkeypatch.chdir(maps.parent)
    out = tmp_path / "out"
    assert run(maps.name, out, "--group-design", "one-sample") == 0
    named = [one["effect"] for contrast in record_of(out)["contrasts"] for one in contrast["inputs"]]
    assert named
    assert all((out / path).is_file() and not Path(path).is_absolute() for path in named)


def test_record_report_and_methods_say_what_was_shuffled_and_why(maps, tmp_path):
    words = (
        "--group-design",
        "covariate",
        "age",
        "--exchangeability-blocks",
        "group",
        "--statistics",
        "height",
    )
    assert run(maps, tmp_path, *words, "--n-permutations", "50", pages=True) == 0
    found = {entry["name"]: entry["permutation"] for entry in record_of(tmp_path)["contrasts"]}["go age"]
    said = "50 permutations within blocks of 518,400 that are distinct, smallest p 0.02 ("
    assert found["mode"] == "within"
    assert found["words"].startswith(said)
    assert "within blocks, where the effect varies" in found["words"]
    assert found["words"] in read_group_pages(tmp_path)
    assert (
        "50 randomly drawn permutations within blocks (group)" in (tmp_path / "logs/CITATION.md").read_text()
    )
