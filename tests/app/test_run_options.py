"""The run level's options, from the command line to the maps, against formulas on the written design."""

import json

import nibabel
import numpy as np
import pandas as pd
import pytest
from documents import contrast, factor, make_document, run_node, transformations, write_model
from outcomes import call_app

from bidsapp.errors import EXIT_OK

# Maps are float32.
RELATIVE = 1e-4
DELAYS = (2, 3, 4)


@pytest.fixture
def analyse(tiny_dataset, tmp_path):
    """Return a function that analyses one run and gives the output folder and the record of the run."""

    def run(*options, name="out"):
        out = tmp_path / name
        chosen = ("--participant-label", "01", "--run-label", "1", "--n-cpus", "1", "--smoothing-fwhm", "0")
        assert call_app([tiny_dataset, out, "participant", *chosen, *options]) == EXIT_OK
        record = json.loads((out / "logs" / "sub-01_participant.json").read_text())
        assert len(record["runs"]) == 1
        return out, record

    return run


def read(path, mask):
    return np.asarray(nibabel.load(path).dataobj, float)[mask]


def maps_of(record, contrast):
    matches = [e for e in record["estimates"] if e["level"] == "run" and e["contrast"] == contrast]
    assert len(matches) == 1
    return matches[0]["maps"]


def read_run(out, record):
    """Return the design, the mask and the series in percent of its mean, shape (n_volumes, n_voxels)."""
    run = record["runs"][0]
    design = pd.read_csv(out / run["design"], sep="\t")
    mask = np.asarray(nibabel.load(out / run["mask"]).dataobj) > 0
    series = read(run["files"]["bold"], mask).T
    baseline = (np.abs(design.filter(like="non_steady_state")) == 0).all(axis=1).to_numpy(bool, copy=True)
    baseline[run["censored"]] = False
    return design, mask, 100 * (series / series[baseline].mean(axis=0) - 1)


def test_derivative_boost_is_the_signed_length_over_the_basis(analyse):
    options = ("--hrf-model", "spm+derivative+dispersion", "--derivative-boost", "--noise-model", "ols")
    out, record = analyse(*options)
    design, mask, series = read_run(out, record)
    beta = np.linalg.lstsq(design.to_numpy(), series)[0]
    columns = [f"trial_type.face{part}" for part in ("", "_derivative", "_dispersion")]
    rows = [design.columns.get_loc(name) for name in columns]
    lengths = np.linalg.norm(design[columns], axis=0)
    parts = beta[rows] * (lengths / lengths[0])[:, None]
    expected = np.sign(parts[0]) * np.linalg.norm(parts, axis=0)
    effect = read(out / maps_of(record, "face")["effect"], mask)
    np.testing.assert_allclose(effect, expected, rtol=RELATIVE, atol=1e-6)
    assert np.abs(effect).sum() > 1.05 * np.abs(beta[rows[0]]).sum()


def test_residuals_are_what_the_design_leaves_in_the_volumes_that_are_kept(analyse):
    out, record = analyse(
        "--residuals", "--noise-model", "ols", "--confounds", "motion12+acompcor2+scrub[0.2]"
    )
    design, mask, series = read_run(out, record)
    run = record["runs"][0]
    assert run["censored"]
    kept = np.setdiff1d(np.arange(len(series)), run["censored"])
    matrix = design.to_numpy()[kept]
    expected = series[kept] - matrix @ np.linalg.lstsq(matrix, series[kept])[0]
    image = nibabel.load(out / run["residuals"][0])
    assert image.shape == nibabel.load(run["files"]["bold"]).shape
    residuals = np.asarray(image.dataobj, float)[mask].T
    np.testing.assert_allclose(residuals[kept], expected, atol=1e-4 * expected.std())
    assert np.isnan(np.asarray(image.dataobj)[~mask]).all()


def test_higher_orders_have_a_map_each_and_may_be_smoothed(analyse):
    rough, rough_record = analyse("--noise-model", "ar4", name="rough")
    smooth, record = analyse("--noise-model", "ar4", "--noise-smoothing-fwhm", "16", name="smooth")
    _, mask, _ = read_run(smooth, record)
    paths = {name: path for name, path in record["runs"][0]["model_fit"].items() if name.startswith("ar")}
    assert sorted(paths) == ["ar1", "ar2", "ar3", "ar4"]
    for name, path in paths.items():
        before = read(rough / rough_record["runs"][0]["model_fit"][name], mask)
        assert read(smooth / path, mask).std() < 0.7 * before.std()


def test_joint_f_over_a_finite_impulse_response(analyse, tmp_path):
    """A model file with FIR columns and an F test of them all."""
    names = [f"trial_type.face_delay_{delay}" for delay in DELAYS]
    convolved = ["trial_type.face", "trial_type.house"]
    hrf = {"Variables": convolved, "Model": "fir", "Parameters": {"fir_delays": list(DELAYS)}}
    node = run_node(
        [*convolved, "trans_?", 1],
        Name="runLevel",
        Transformations=transformations(factor()),
        Model={"HRF": hrf},
        Contrasts=[contrast("anyFace", names, np.eye(3).tolist(), "F")],
    )
    path = write_model(make_document(node, Input={"task": ["viewing"]}), tmp_path)
    out, record = analyse("--model", str(path), "--noise-model", "ols", "--scaling", "none")
    design, mask, series = read_run(out, record)
    matrix = design.to_numpy()
    smaller = design.drop(columns=names).to_numpy()
    full, reduced = (
        np.square(series - m @ np.linalg.lstsq(m, series)[0]).sum(axis=0) for m in (matrix, smaller)
    )
    expected = (reduced - full) / 3 / (full / (len(matrix) - matrix.shape[1]))
    np.testing.assert_allclose(read(out / maps_of(record, "anyFace")["F"], mask), expected, rtol=RELATIVE)
