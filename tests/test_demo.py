"""The dataset that the app writes for a first try."""

import json
import subprocess

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bidsapp.demo import CONDITIONS, REGIONS, main, make_demo
from bidsapp.inputs.dataset.open import open_dataset
from bidsapp.settings.parts import Selection


def test_dataset_reader_finds_every_run(tiny_dataset):
    dataset = open_dataset(tiny_dataset, Selection())
    assert len(dataset.runs) == 8
    assert dataset.faults == ()
    assert {run.start_time for run in dataset.runs} == {1.0}
    assert {(run.repetition_time, run.n_volumes) for run in dataset.runs} == {(2.0, 80)}


def test_raw_part_is_valid_bids(tiny_dataset):
    command = ["bids-validator-deno", str(tiny_dataset), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_truth_peaks_where_the_regions_are(tiny_dataset):
    image = nib.load(tiny_dataset / "truth/faceMinusHouse.nii.gz")
    peak = np.unravel_index(np.argmax(image.get_fdata()), image.shape)
    centre = REGIONS[1][0]
    assert np.linalg.norm(nib.affines.apply_affine(image.affine, peak) - centre) < 8


def test_image_carries_the_effect_where_truth_says(tiny_dataset):
    truth = nib.load(tiny_dataset / "truth/face.nii.gz").get_fdata()
    stem = (
        tiny_dataset / "derivatives/fmriprep/sub-01/func/sub-01_task-viewing_run-1_space-MNI152NLin2009cAsym"
    )
    series = nib.load(f"{stem}_desc-preproc_bold.nii.gz").get_fdata()
    visual = series[truth > 1.2].mean(axis=0)[1:]
    elsewhere = series[(truth == 0) & (series.mean(axis=-1) > 0)].mean(axis=0)[1:]
    assert visual.std() > 2 * elsewhere.std()


def test_confounds_begin_with_missing_values(tiny_dataset):
    path = next(tiny_dataset.rglob("*desc-confounds_timeseries.tsv"))
    table = pd.read_csv(path, sep="\t", na_values="n/a")
    assert table.isna().sum().sum() == 14  # 6 derivatives, their squares, displacement and DVARS
    assert table.iloc[1:].notna().all(axis=None)


def test_both_conditions_occur_in_every_run(tiny_dataset):
    for path in tiny_dataset.glob("sub-*/func/*_events.tsv"):
        assert set(pd.read_csv(path, sep="\t").trial_type) == set(CONDITIONS)


def test_same_seed_gives_the_same_dataset(tiny_dataset, tmp_path):
    make_demo(tmp_path / "again", n_subjects=1, voxel_size_mm=8.0, n_volumes=80)
    name = "sub-01/func/sub-01_task-viewing_run-2_events.tsv"
    assert (tmp_path / "again" / name).read_text() == (tiny_dataset / name).read_text()


def test_folder_with_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path)])
    assert caught.value.code == 73
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
