"""Options.Aggregate through the app: one series for each region of a segmentation."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from documents import make_document, run_node, write_model
from outcomes import call_app

STEM = "sub-01_task-viewing_run-1_space-MNI152NLin2009cAsym"


@pytest.fixture(scope="module")
def dataset(tiny_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("aggregate") / "data"
    shutil.copytree(tiny_dataset, folder)
    func = folder / "derivatives" / "fmriprep" / "sub-01" / "func"
    mask = nib.load(func / f"{STEM}_desc-brain_mask.nii.gz")
    labels = (np.asarray(mask.dataobj) != 0) * (1 + (np.arange(mask.shape[0]) > mask.shape[0] // 2))[
        :, None, None
    ]
    nib.save(nib.Nifti1Image(labels.astype(np.int16), mask.affine), func / f"{STEM}_desc-halves_dseg.nii.gz")
    more = {
        "HRF": {"Variables": ["trial_type.face"], "Model": "spm"},
        "Options": {"Mask": {"desc": ["halves"], "suffix": ["dseg"]}, "Aggregate": "mean"},
    }
    dummy = {"Contrasts": ["trial_type.face"], "Test": "t"}
    node = run_node(["trial_type.face", 1], Model=more, DummyContrasts=dummy)
    document = make_document(node, Input={"task": ["viewing"], "run": [1]})
    return folder, write_model(document, folder.parent), labels


@pytest.fixture(scope="module")
def results(dataset):
    folder, model, _ = dataset
    out = folder.parent / "out"
    options = [
        "--participant-label",
        "01",
        "--model",
        model,
        "--noise-model",
        "ols",
        "--smoothing-fwhm",
        "0",
    ]
    assert call_app([folder, out, "participant", *options]) == 0
    return out / "sub-01" / "func"


def test_effect_of_a_region_is_that_of_its_mean_series(dataset, results):
    folder, _, labels = dataset
    (path,) = results.glob("*node-run_contrast-trialTypeFace_stat-effect_statmap.nii.gz")
    effect = nib.load(path).get_fdata()
    bold = nib.load(
        folder / "derivatives/fmriprep/sub-01/func" / f"{STEM}_desc-preproc_bold.nii.gz"
    ).get_fdata()
    (design,) = results.glob("*node-run_design.tsv")
    matrix = np.loadtxt(design, skiprows=1, ndmin=2)
    for label in (1, 2):
        mean = bold[labels == label].mean(axis=0)
        expected = np.linalg.lstsq(matrix, 100 * (mean / mean.mean() - 1), rcond=None)[0][0]
        np.testing.assert_allclose(effect[labels == label], expected, rtol=1e-4)
    assert np.isnan(effect[labels == 0]).all()


def test_sidecar_says_what_the_series_are(results):
    (path,) = results.glob("*contrast-trialTypeFace_stat-effect_statmap.json")
    assert json.loads(path.read_text())["EstimationMethod"] == "run GLM of the mean of each region"
