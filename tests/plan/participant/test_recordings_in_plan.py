"""Physiological recordings as columns of a run node, from the files of a dataset to its design."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from documents import make_document, run_node, write_model
from makers.brain import copy_subjects

from bidsapp.errors import InputError, ModelError
from bidsapp.plan import make_participant_plan
from bidsapp.settings.parts import ModelOptions, Selection, Settings

HRF = {"Variables": ["trial_type.face"], "Model": "spm"}
HERTZ, RATE = 0.03, 20.0
SIDECAR = {"SamplingFrequency": RATE, "StartTime": -4.0, "Columns": ["cardiac", "respiratory"]}


@pytest.fixture
def dataset(tiny_dataset, tmp_path):
    """One participant of the tiny dataset with the recordings of its first run."""
    folder = copy_subjects(tiny_dataset, tmp_path / "data")
    for run in ("1", "2"):
        write_recording(folder, run)
    (folder / "task-viewing_physio.json").write_text(json.dumps(SIDECAR))
    return folder


def write_recording(folder, run, change=lambda values: values):
    times = SIDECAR["StartTime"] + np.arange(0, 400, 1 / RATE)
    values = np.column_stack([np.sin(2 * np.pi * 1.1 * times), np.sin(2 * np.pi * HERTZ * times)])
    with gzip.open(folder / "sub-01" / "func" / f"sub-01_task-viewing_run-{run}_physio.tsv.gz", "wt") as file:
        np.savetxt(file, change(values), delimiter="\t", fmt="%.6f")


def plan(dataset, x=("trial_type.face", "respiratory", 1), **changes):
    dummy = {"Contrasts": ["respiratory"], "Test": "t"}
    node = run_node(x, Model={"HRF": HRF}, DummyContrasts=dummy) | changes
    path = write_model(make_document(node), dataset)
    settings = Settings(
        dataset, Path("out"), ("participant",), selection=Selection(), model=ModelOptions(model=str(path))
    )
    return make_participant_plan(settings).subjects[0].runs


def test_recording_enters_the_design_at_the_volumes(dataset):
    fit = plan(dataset)[0]
    run = fit.runs[0]
    times = run.start_time + run.repetition_time * np.arange(run.n_volumes)
    column = fit.design.matrix[:, fit.design.columns.index("respiratory")]
    np.testing.assert_allclose(column[8:-8], np.sin(2 * np.pi * HERTZ * times)[8:-8], atol=0.01)
    assert [contrast.name for contrast in fit.contrasts] == ["respiratory"]
    assert fit.descriptions["respiratory"] == "from a recording, at the volumes"


def test_used_recording_is_among_the_inputs_and_noted(dataset):
    fit = plan(dataset)[0]
    (file,) = fit.runs[0].recordings
    assert file.path.name == "sub-01_task-viewing_run-1_physio.tsv.gz"
    assert any(
        "'respiratory' comes from sub-01_task-viewing_run-1_physio.tsv.gz" in note for note in fit.notes
    )


def test_recording_that_the_model_does_not_name_is_left_alone(dataset):
    for path in dataset.rglob("*_physio.tsv.gz"):
        path.write_bytes(b"damaged")
    fit = plan(
        dataset, x=["trial_type.face", 1], DummyContrasts={"Contrasts": ["trial_type.face"], "Test": "t"}
    )[0]
    assert fit.runs[0].recordings == ()
    assert not any("physio" in note for note in fit.notes)


def test_missing_samples_are_counted(dataset):
    def spoil(values):
        values[100:150, 1] = np.nan
        return values

    write_recording(dataset, "1", spoil)
    path = dataset / "sub-01" / "func" / "sub-01_task-viewing_run-1_physio.tsv.gz"
    text = gzip.decompress(path.read_bytes()).replace(b"nan", b"n/a")
    path.write_bytes(gzip.compress(text))
    assert any("50 of 8,000 samples are missing" in note for note in plan(dataset)[0].notes)


def test_short_recording_is_held_and_noted(dataset):
    write_recording(dataset, "1", lambda values: values[:1000])
    assert any("ends" in note and "nearest value is held" in note for note in plan(dataset)[0].notes)


def test_recording_of_another_time_is_refused(dataset):
    (dataset / "task-viewing_physio.json").write_text(json.dumps(SIDECAR | {"StartTime": 5000.0}))
    with pytest.raises(InputError, match=r"sub-01 task-viewing run-1.*from 5000 to"):
        plan(dataset)


def test_column_of_two_recordings_is_refused(dataset):
    for path in (dataset / "sub-01" / "func").glob("*_physio.tsv.gz"):
        shutil.copy(path, path.with_name(path.name.replace("_physio", "_stim")))
    (dataset / "task-viewing_stim.json").write_text(json.dumps(SIDECAR))
    with pytest.raises(InputError, match="'respiratory' stands more than once"):
        plan(dataset)


def test_unusable_sidecar_is_told_where_its_column_is_wanted(dataset):
    (dataset / "task-viewing_physio.json").write_text(json.dumps({"Columns": ["cardiac", "respiratory"]}))
    with pytest.raises(InputError, match=r"sub-01 task-viewing run-1.*SamplingFrequency is None"):
        plan(dataset)


def test_recording_without_names_is_told_where_a_name_is_not_found(dataset):
    (dataset / "task-viewing_physio.json").unlink()
    contrasts = {"Contrasts": ["trial_type.face"], "Test": "t"}
    fit = plan(dataset, x=["trial_type.face", "cosine*", 1], DummyContrasts=contrasts)[0]
    assert not any("no Columns" in note for note in fit.notes)
    with pytest.raises(ModelError, match="respiratory"):
        plan(dataset)
