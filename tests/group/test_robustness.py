"""The table of robustness: its numbers are those of a run with that estimator, or without that subject."""

import json
import shutil
from functools import partial
from itertools import product

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from effect_maps import AFFINE, run_group, write_effect_maps
from scipy import ndimage

from bidsapp.errors import EXIT_OK
from bidsapp.group import stage

SHAPE, N_SUBJECTS = (9, 9, 7), 12
ALONE = ["--main-threshold", "uncorrected"]
DESIGNS = {
    "mean": ["--group-design", "paired", "A", "B"],
    "groups": ["--group-design", "two-sample", "group"],
    "covariate": ["--group-design", "covariate", "age"],
    "pooled": ["--group-design", "repeated-measures", "cell=A,B,C", "--error-term", "pooled"],
    "F": ["--group-design", "anova", "family"],
    "vectors": ["--group-design", "repeated-measures", "cell=A,B,C"],
}
CONTRAST = {
    "mean": "AVsB",
    "groups": "AXVsY",
    "covariate": "AAge",
    "pooled": "d",
    "F": "AFamily",
    "vectors": "cell",
}


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Return effect and variance maps of three contrasts; one subject is far from the others."""
    rng = np.random.default_rng(11)
    age, group = np.arange(N_SUBJECTS), np.arange(N_SUBJECTS) % 2
    effects = {}
    for number, name in enumerate("ABC"):
        values = rng.standard_normal((N_SUBJECTS, *SHAPE))
        values[:, 2:5, 2:5, 2:5] += 2.5 - number
        values[:, 6:8, 6:8, 3:6] += (5 * group + 0.5 * age)[:, None, None, None] / (1 + number)
        values[3, 2:5, 2:5, 2:5] += 6.0
        values[:, 6:8, 1:4, 1:4] += 3.0 * (name == "B")
        effects[name] = values
    people = {"group": [*"xy"] * 6, "age": age, "family": [*"pqr"] * 4}
    folder = write_effect_maps(tmp_path_factory.mktemp("robust") / "maps", effects, people)
    for path in sorted(folder.glob("sub-*/*_stat-effect_statmap.nii.gz")):
        image = nib.Nifti1Image(rng.uniform(0.2, 2.0, SHAPE).astype(np.float32), AFFINE)
        nib.save(image, str(path).replace("stat-effect", "stat-variance"))
    return folder


@pytest.fixture(scope="module")
def call(maps, tmp_path_factory):
    """Return what runs a design once with some flags, without its pages."""
    done, alone = {}, tmp_path_factory.mktemp("robust") / "A"
    shutil.copytree(maps, alone, ignore=shutil.ignore_patterns("*contrast-[BC]*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "write_group_report", lambda *words, **more: None)
        patch.setattr(stage, "write_overview", lambda *words, **more: None)
        yield partial(_run, done, {"between": alone, "within": maps}, tmp_path_factory)


def _run(done, folders, tmp_path_factory, design, *more, shuffles=0):
    key = (design, *more, shuffles)
    if key not in done:
        within = design in ("mean", "pooled", "vectors")
        named = ["--group-contrast", "d=A - C"] if design == "pooled" else []
        maps, out = folders["within" if within else "between"], tmp_path_factory.mktemp("out")
        done[key] = run_group(maps, out, *DESIGNS[design], *named, *more, shuffles=shuffles)
        assert done[key].code == EXIT_OK
    return done[key]


def contrast_of(run, design):
    return next(c for c in run.record["contrasts"] if c["maps"]["p"].count(f"_contrast-{CONTRAST[design]}_"))


def table_of(run, design):
    path = run.folder / contrast_of(run, design)["robustness"]
    return pd.read_csv(path, sep="\t"), json.loads(path.with_suffix(".json").read_text())


def values_at(run, design, table, stat="statistic"):
    maps = contrast_of(run, design)["maps"]
    path = maps["F" if "F" in maps else "t"] if stat == "statistic" else maps[stat]
    voxels = np.rint(table[["peak_x", "peak_y", "peak_z"]].to_numpy() / 4).astype(int)
    return nib.load(run.folder / path).get_fdata()[tuple(voxels.T)]


def at_peaks(table, estimator, left_out=None):
    rows = table[(table["estimator"] == estimator) & table["peak_x"].notna()]
    return rows[rows["left_out"].isna() if left_out is None else rows["left_out"] == left_out]


@pytest.mark.parametrize("design", DESIGNS)
def test_the_own_estimator_has_the_values_of_the_maps(call, design):
    run = call(design, *ALONE)
    table, _ = table_of(run, design)
    own = at_peaks(table, "ols")
    assert 1 <= len(own) <= 6
    np.testing.assert_allclose(own["statistic"], values_at(run, design, own), rtol=1e-5)


@pytest.mark.parametrize(
    ("design", "estimator"),
    [("mean", "huber"), *product(["groups", "covariate", "F"], ["reml", "huber"])],
)
def test_others_have_the_values_of_a_run_with_them(call, design, estimator):
    table, _ = table_of(call(design, *ALONE), design)
    rows = at_peaks(table, estimator)
    run = call(design, *ALONE, "--group-estimator", estimator)
    assert len(rows)
    np.testing.assert_allclose(rows["statistic"], values_at(run, design, rows), rtol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("subject", ["01", "04"])
def test_leaving_a_subject_out_is_a_run_without_it(call, design, subject):
    table, about = table_of(call(design, *ALONE), design)
    without = call(design, *ALONE, "--exclude-participant-label", subject)
    rows = at_peaks(table, "ols", f"sub-{subject}")
    np.testing.assert_allclose(rows["statistic"], values_at(without, design, rows), rtol=1e-5)
    size = table[table["peak_x"].isna() & (table["left_out"] == f"sub-{subject}")]["n_voxels"]
    if design == "vectors":
        assert not len(size)
        assert "least squares of one map a subject" in about["SurvivingSize"]
        return
    record = contrast_of(call(design, *ALONE), design)
    cutoff = record["thresholds"][0]["cutoff"]
    name = "F" if "F" in record["maps"] else "t"
    found = nib.load(without.folder / contrast_of(without, design)["maps"][name]).get_fdata()
    assert size.tolist() == [np.sum(np.abs(found) >= cutoff)]


@pytest.mark.parametrize("threshold", ["tfce", "mass", "extent", "height"])
@pytest.mark.parametrize("tail", ["two", "positive"])
def test_the_surviving_size_is_counted_by_the_cutoff_of_all(call, threshold, tail):
    flags = ["--main-threshold", threshold, "--tail", tail, "--alpha", "0.1"]
    run = call("mean", *flags, shuffles=64)
    table, _ = table_of(run, "mean")
    main = contrast_of(run, "mean")["thresholds"][0]
    sizes = table[table["peak_x"].isna()].set_index("left_out")["n_voxels"]
    assert sizes[sizes.index.isna()].tolist() == [main["n_voxels"]]
    without = call("mean", *flags, "--exclude-participant-label", "04", shuffles=64)
    t = np.nan_to_num(without.map("contrast-AVsB_stat-t"))
    sides = [t, -t] if tail == "two" else [t]
    if threshold == "height":
        values = [np.maximum(side, 0) for side in sides]
    elif threshold == "tfce":
        tfce = without.map("contrast-AVsB_stat-tfce")
        values = [np.maximum(side, 0) for side in (tfce, -tfce)[: len(sides)]]
    else:
        values = [_of_clusters(side, main["forming"], threshold) for side in sides]
    assert sizes["sub-04"] == sum(np.sum(one >= main["cutoff"]) for one in values)
    assert sizes.nunique() > 1


def _of_clusters(values, forming, what):
    """Return size or mass of the cluster of each voxel, formed at the t of all subjects."""
    labels, n = ndimage.label(values >= forming, np.ones((3, 3, 3)))
    ids = np.arange(n + 1)
    sums = ndimage.sum_labels(np.ones_like(values) if what == "extent" else values - forming, labels, ids)
    return np.where(labels > 0, sums[labels], 0)


def test_what_is_not_fitted_is_said(call):
    _, about = table_of(call("mean", *ALONE), "mean")
    assert list(about["NotFitted"]) == ["reml"]
    assert "of the same runs" in about["NotFitted"]["reml"]
    _, about = table_of(call("vectors", *ALONE), "vectors")
    assert set(about["NotFitted"]) == {"reml", "huber"}
    table, _ = table_of(call("groups", *ALONE, "--variance-groups", "group"), "groups")
    assert set(table["estimator"]) == {"ols", "reml"}


def test_where_nothing_survives_there_are_the_strongest_peaks(call):
    run = call("mean", "--main-threshold", "bonferroni", "--alpha", "1e-12")
    table, about = table_of(run, "mean")
    own = at_peaks(table, "ols")
    assert not about["Survives"]
    assert abs(own["statistic"].iloc[0]) == pytest.approx(np.nanmax(np.abs(run.map("contrast-AVsB_stat-t"))))


def test_subjects_and_pairs_go_the_way_of_the_effect(call, maps):
    def effects(table, name):
        voxels = tuple(np.rint(table[["peak_x", "peak_y", "peak_z"]].to_numpy() / 4).astype(int).T)
        paths = sorted(maps.glob(f"sub-*/*_contrast-{name}_stat-effect_statmap.nii.gz"))
        return np.array([nib.load(path).get_fdata()[voxels] for path in paths])

    table, about = table_of(call("mean", *ALONE), "mean")
    own = at_peaks(table, "ols")
    difference = effects(own, "A") - effects(own, "B")
    agree = np.sum(np.sign(difference) == np.sign(own["statistic"].to_numpy()), axis=0)
    assert (about["Compared"], own["n_compared"].unique().tolist()) == ("subjects", [12])
    np.testing.assert_array_equal(own["n_agree"], agree)

    for design, order in (("groups", np.arange(12) % 2), ("covariate", np.arange(12))):
        table, about = table_of(call(design, *ALONE), design)
        own = at_peaks(table, "ols")
        values = effects(own, "A")
        pairs = [(i, j) for i in range(12) for j in range(12) if order[i] > order[j]]
        rising = np.array([values[i] > values[j] for i, j in pairs]).sum(axis=0)
        is_up = np.array([value[1] for value in _slopes(values, order)]) > 0
        assert (about["Compared"], own["n_compared"].unique().tolist()) == ("pairs", [len(pairs)])
        np.testing.assert_array_equal(own["n_agree"], np.where(is_up, rising, len(pairs) - rising))

    table, about = table_of(call("F", *ALONE), "F")
    assert about["Compared"] is None
    assert at_peaks(table, "ols")["n_agree"].isna().all()


def _slopes(values, order):
    matrix = np.column_stack([np.ones(len(order)), order])
    return np.linalg.lstsq(matrix, values, rcond=None)[0].T
