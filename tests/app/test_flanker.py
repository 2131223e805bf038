"""The whole line on the semi-real flanker dataset: agreement with nilearn, and the planted truth found."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest
from makers.flanker import REGIONS, make_flanker
from nilearn.glm.contrasts import compute_contrast, compute_fixed_effects
from nilearn.glm.first_level import FirstLevelModel, mean_scaling, run_glm
from nilearn.glm.second_level import SecondLevelModel
from nilearn.image import smooth_img

from bidsapp.cli.main import main
from bidsapp.inputs.images.series import open_series
from bidsapp.records.maps import Contrast, Geometry
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.glm import estimate_t, fit_run_glm
from bidsapp.stats.run.maps import make_t_maps
from bidsapp.stats.run.sums import accumulate

pytestmark = [
    pytest.mark.slow,
    # nilearn warns of the mask that it is given.
    pytest.mark.filterwarnings("ignore:.*Generation of a mask:RuntimeWarning"),
]

CONTRAST = "incongruentGtCongruent"
EXPRESSION = f"{CONTRAST}=incongruent_correct - congruent_correct"
# Ours is float32 streaming with double sums, nilearn's double on float32 maps.
RELATIVE = 1e-4
# nilearn cuts autocorrelations to bins of 0.01; a coefficient on an edge may fall to either side. Where each
# program smooths in float32, coefficients differ by some 1e-6: one voxel in 5,000 within that of an edge.
BIN = 0.01
MAX_ON_BIN_EDGE = 3
MAX_SHARE_ON_BIN_EDGE = 1 / 3000
N_SUBJECTS = 8


@pytest.fixture(scope="module")
def flanker(tmp_path_factory):
    """Return the folders of the dataset and of the results of both levels."""
    folder = tmp_path_factory.mktemp("flanker")
    make_flanker(folder / "bids", n_subjects=N_SUBJECTS)
    arguments = [str(folder / "bids"), str(folder / "out"), "participant", "group", "--noise-model", "ar1"]
    assert main([*arguments, "--contrast", EXPRESSION, "--n-permutations", "500"]) == 0
    return folder / "bids", folder / "out"


@pytest.fixture(scope="module")
def record(flanker):
    """Return the record of the first subject."""
    return json.loads((flanker[1] / "logs" / "sub-01_participant.json").read_text())


def values(path, mask):
    return np.asarray(nibabel.load(path).dataobj, float)[mask]


def find_estimate(record, level, **entities):
    matches = [
        estimate
        for estimate in record["estimates"]
        if estimate["level"] == level
        and estimate["contrast"] == CONTRAST
        and all(estimate["entities"].get(key) == value for key, value in entities.items())
    ]
    assert len(matches) == 1
    return matches[0]


def assert_close(ours, theirs):
    """Compare relative to the larger of the value and the map's typical size (effects cross zero)."""
    scale = np.maximum(np.abs(theirs), np.nanmedian(np.abs(theirs)))
    assert np.nanmax(np.abs(ours - theirs) / scale) < RELATIVE


@pytest.mark.parametrize("index", [0, 1])
def test_a_run_agrees_with_nilearn_in_every_voxel(flanker, record, index):
    run = record["runs"][index]
    out = flanker[1]
    design = pd.read_csv(out / run["design"], sep="\t")
    mask_image = nibabel.load(out / run["mask"])
    mask = np.asarray(mask_image.dataobj) > 0
    model = FirstLevelModel(mask_img=mask_image, smoothing_fwhm=6, noise_model="ar1", minimize_memory=True)
    model.fit(run["files"]["bold"], design_matrices=design.drop(columns="frame_time", errors="ignore"))
    weights = next(made["weights"] for made in run["contrasts"] if made["name"] == CONTRAST)
    columns = [name for name in design.columns if name != "frame_time"]
    vector = np.array([weights.get(name, 0.0) for name in columns])
    theirs = model.compute_contrast(vector, output_type="all")
    apart = np.abs(values(out / run["model_fit"]["ar1"], mask) - model.labels_[0].astype(float))
    same_bin = np.isclose(apart, 0, atol=1e-6)
    assert np.mean(~same_bin) <= MAX_SHARE_ON_BIN_EDGE
    np.testing.assert_allclose(apart[~same_bin], BIN, rtol=1e-4)
    estimate = find_estimate(record, "run", run=run["entities"]["run"])
    kinds = {"effect": "effect_size", "variance": "effect_variance", "t": "stat", "z": "z_score"}
    for ours, name in kinds.items():
        expected = np.asarray(theirs[name].dataobj, float)[mask]
        assert_close(values(out / estimate["maps"][ours], mask)[same_bin], expected[same_bin])


@pytest.mark.parametrize("fwhm", [0, 6])
def test_the_model_equals_nilearns_strictly_given_the_same_images(flanker, record, tmp_path, fwhm):
    """Both programs smooth in float32, each with its rounding; given the same images the model is left."""
    run = record["runs"][0]
    design = pd.read_csv(flanker[1] / run["design"], sep="\t").to_numpy()
    image = nibabel.load(run["files"]["bold"])
    if fwhm:
        image = smooth_img(image, fwhm)
        image.set_data_dtype(np.float32)
    path = tmp_path / "bold.nii.gz"
    nibabel.save(image, path)
    mask = nibabel.load(flanker[1] / run["mask"])
    geometry = Geometry(np.asarray(mask.dataobj) > 0, mask.affine)
    weights = np.eye(design.shape[1])[0] - np.eye(design.shape[1])[1]
    ours, coefficient = fit_like_nilearn(path, geometry, design, weights)
    data = nibabel.load(path).get_fdata(dtype=np.float64)[geometry.mask].T
    labels, results = run_glm(mean_scaling(data)[0], design, "ar1")
    theirs = compute_contrast(labels, results, weights)
    expected = [theirs.effect_size(), theirs.effect_variance(), theirs.stat(), theirs.z_score()]
    same_bin = np.isclose(coefficient, np.asarray(labels, float))
    assert np.count_nonzero(~same_bin) <= MAX_ON_BIN_EDGE
    for name, wanted in zip(("effect", "variance", "t", "z"), expected, strict=True):
        np.testing.assert_allclose(ours[name][same_bin], np.ravel(wanted)[same_bin], rtol=RELATIVE)


def fit_like_nilearn(path, geometry, design, weights):
    """Return our maps of a contrast of a series that is not smoothed further, and the noise coefficients."""
    series = open_series(path, geometry)
    model = make_time_model(design)
    model = replace(model, baseline=np.ones_like(model.baseline))
    stored = series.slope, series.intercept
    fitted = fit_run_glm(accumulate(series.blocks(32), model, stored=stored), noise_model="ar1")
    columns = tuple(map(str, range(len(weights))))
    estimate = estimate_t(fitted, Contrast("difference", "t", columns, weights[None]))
    return make_t_maps(estimate), fitted.autocorrelation[0]


def test_a_subject_agrees_with_nilearns_weighted_fixed_effects(flanker, record):
    out = flanker[1]
    combined = find_estimate(record, "subject")
    runs = [find_estimate(record, "run", run=run["entities"]["run"]) for run in record["runs"]]
    mask_image = nibabel.load(out / combined["mask"])
    mask = np.asarray(mask_image.dataobj) > 0
    effect, variance, t, _ = compute_fixed_effects(
        [out / run["maps"]["effect"] for run in runs],
        [out / run["maps"]["variance"] for run in runs],
        mask=mask_image,
        precision_weighted=True,
        dofs=[run["dof"] for run in runs],
    )
    expected = {
        name: np.asarray(image.dataobj, float)[mask]
        for name, image in zip("evt", (effect, variance, t), strict=True)
    }
    # nilearn takes the weights for known; ours allow for their estimation (Meier 1953).
    shares = np.stack([expected["v"] / values(out / run["maps"]["variance"], mask) for run in runs])
    factor = 1 + sum(4 * p * (1 - p) / run["dof"] for p, run in zip(shares, runs, strict=True))
    assert_close(values(out / combined["maps"]["effect"], mask), expected["e"])
    assert_close(values(out / combined["maps"]["variance"], mask), factor * expected["v"])
    assert_close(values(out / combined["maps"]["t"], mask), expected["t"] / np.sqrt(factor))


@pytest.fixture(scope="module")
def group(flanker):
    """Return what the group record says of the contrast, with the record."""
    paths = sorted((flanker[1] / "logs").glob("*_group.json"))
    records = [json.loads(path.read_text()) for path in paths]
    return next((r, c) for r in records for c in r["contrasts"] if c["name"] == CONTRAST)


def test_the_group_agrees_with_nilearns_second_level(flanker, group):
    out, (record, contrast) = flanker[1], group
    mask_image = nibabel.load(out / record["mask"])
    mask = np.asarray(mask_image.dataobj) > 0
    effects = [
        find_estimate(json.loads(path.read_text()), "subject")["maps"]["effect"]
        for path in sorted((out / "logs").glob("sub-*_participant.json"))
    ]
    model = SecondLevelModel(mask_img=mask_image, minimize_memory=True)
    design = pd.DataFrame({"intercept": np.ones(len(effects))})
    model.fit([str(out / path) for path in effects], design_matrix=design)
    theirs = model.compute_contrast("intercept", output_type="all")
    kinds = {"effect": "effect_size", "variance": "effect_variance", "t": "stat", "z": "z_score"}
    for ours, name in kinds.items():
        expected = np.asarray(theirs[name].dataobj, float)[mask]
        assert_close(values(out / contrast["maps"][ours], mask), expected)


def region_means(flanker, group, name):
    """Return the mean t within each planted region, and in voxels where nothing was planted."""
    bids, out = flanker
    record, _ = group
    contrast = next(entry for entry in record["contrasts"] if entry["name"] == name)
    image = nibabel.load(out / record["mask"])
    mask = np.asarray(image.dataobj) > 0
    positions = nibabel.affines.apply_affine(image.affine, np.argwhere(mask))
    t = values(out / contrast["maps"]["t"], mask)
    near = {
        r: np.linalg.norm(positions - centre, axis=1) < radius / 1.5
        for r, (centre, radius, _) in REGIONS.items()
    }
    nothing = values(bids / "truth" / "incongruent.nii.gz", mask) ** 2 < 1e-4
    return {region: t[voxels].mean() for region, voxels in near.items()}, t[nothing].mean()


def test_the_regions_of_a_condition_are_recovered(flanker, group):
    means, background = region_means(flanker, group, "incongruent_correct")
    assert means.pop("medialPrefrontal") < -3
    assert min(means.values()) > 3
    assert abs(background) < 0.5


def test_the_regions_of_the_conflict_are_recovered_and_no_others(flanker, group):
    means, background = region_means(flanker, group, CONTRAST)
    assert means["preSMA"] > 3
    assert means["intraparietal"] > 2
    assert max(abs(means[region]) for region in ("visual", "motor")) < 2
    assert abs(background) < 0.5


def test_effects_go_with_the_truth(flanker, group):
    record, _ = group
    contrast = next(entry for entry in record["contrasts"] if entry["name"] == "incongruent_correct")
    mask = np.asarray(nibabel.load(flanker[1] / record["mask"]).dataobj) > 0
    truth = values(flanker[0] / "truth" / "incongruent.nii.gz", mask)
    assert np.corrcoef(truth, values(flanker[1] / contrast["maps"]["effect"], mask))[0, 1] > 0.7
