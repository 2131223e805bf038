"""A recording of the stimulus as a column of a run node, by command, beside values by another route.

The series is a wave below half the rate of the volumes and one above it, which may leave nothing: the
estimates are those of least squares on the first at the times of the volumes.
"""

import gzip
import json
import shutil

import numpy as np
import pytest
from documents import make_node
from nibabel import load
from nilearn.glm.first_level.hemodynamic_models import compute_regressor
from three_conditions import CONDITIONS, N_VOLUMES, RUN, TR, make_model, read_map, run_app

RATE, START, SLOW, FAST = 10.0, -40.0, 0.04, 0.45
TIMES = TR * np.arange(N_VOLUMES)


@pytest.fixture(scope="module")
def recorded(three_conditions, tmp_path_factory):
    """The participants of the dataset with a stimulus series for the runs of the first one."""
    folder = shutil.copytree(three_conditions, tmp_path_factory.mktemp("stim") / "data")
    seconds = START + np.arange(0, 340, 1 / RATE)
    values = np.sin(2 * np.pi * SLOW * seconds) + 0.5 * np.sin(2 * np.pi * FAST * seconds)
    for run in (1, 2):
        stem = folder / "sub-01" / "func" / f"sub-01_task-t_run-{run}_recording-screen_stim"
        with gzip.open(f"{stem}.tsv.gz", "wt") as file:
            np.savetxt(file, np.column_stack([values, values**2]), delimiter="\t", fmt="%.6f")
        sidecar = {"SamplingFrequency": RATE, "StartTime": START, "Columns": ["contrast", "square"]}
        stem.with_suffix(".json").write_text(json.dumps(sidecar))
    return folder


def fit_by_hand(folder, column):
    """Return effect and variance of a column beside the conditions in run 1, by least squares."""
    func = folder / "sub-01" / "func"
    lines = [line.split("\t") for line in (func / "sub-01_task-t_run-1_events.tsv").read_text().splitlines()]
    names, rows = lines[0], lines[1:]
    kinds = [row[names.index("trial_type")] for row in rows]
    boxes = np.array([[float(row[0]), float(row[1]), 1.0] for row in rows])
    columns = [
        compute_regressor(boxes[[kind == wanted for kind in kinds]].T, "spm", TIMES)[0] for wanted in "abc"
    ]
    design = np.column_stack([*columns, column, np.ones(N_VOLUMES)])
    (image,) = (folder / "derivatives/fmriprep/sub-01/func").glob("*run-1_*preproc_bold.nii.gz")
    series = load(image).get_fdata().reshape(-1, N_VOLUMES).T
    inverse = np.linalg.pinv(design)
    weights = inverse @ series
    residual = np.square(series - design @ weights).sum(axis=0) / (N_VOLUMES - design.shape[1])
    return weights[3], residual * (inverse @ inverse.T)[3, 3]


@pytest.mark.parametrize("convolved", [False, True], ids=["as it is", "convolved"])
def test_stimulus_series_is_a_column_of_the_run(recorded, tmp_path, convolved):
    node = make_node(
        RUN,
        Model={"X": [*CONDITIONS, "contrast", 1]},
        DummyContrasts={"Test": "t", "Contrasts": ["contrast"]},
    )
    if convolved:
        step = {"Name": "Convolve", "Input": ["contrast"], "Model": "spm"}
        node["Transformations"] = {"Transformer": "pybids-transforms-v1", "Instructions": [step]}
    assert run_app(recorded, make_model(node), tmp_path, "--participant-label", "01") == 0
    column = np.sin(2 * np.pi * SLOW * TIMES)
    if convolved:
        boxes = np.column_stack([TIMES, np.full(N_VOLUMES, TR), column]).T
        column = compute_regressor(boxes, "spm", TIMES)[0]
    effect, variance = fit_by_hand(recorded, column)
    found = [
        read_map(tmp_path, "run", "contrast", stat, more="_run-1").ravel() for stat in ("effect", "variance")
    ]
    assert np.corrcoef(found[0], effect)[0, 1] > 0.999
    np.testing.assert_allclose(found[0], effect, atol=0.03 * np.sqrt(variance).max())
    np.testing.assert_allclose(found[1], variance, rtol=0.02)
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "out/logs").glob("*sub-01*.json"))
    assert "recording-screen_stim.tsv.gz" in json.dumps(record)
