"""A run without a condition, from the events to what the estimates say of themselves."""

import json
import shutil

import pandas as pd
import pytest
from outcomes import call_app

from bidsapp.errors import EXIT_DATA


@pytest.fixture(scope="module")
def dataset(tiny_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("missing") / "data"
    shutil.copytree(tiny_dataset, folder)
    (path,) = folder.glob("sub-01/func/*run-2_events.tsv")
    events = pd.read_csv(path, sep="\t")
    events[events["trial_type"] == "face"].to_csv(path, sep="\t", index=False)
    return folder


def run(dataset, policy):
    out = dataset.parent / policy
    options = ["--participant-label", "01", "--missing-condition", policy, "--noise-model", "ols"]
    return call_app([dataset, out, "participant", *options]), out


def sidecar(out, contrast):
    (path,) = out.glob(f"sub-01/func/*node-subjectLevel_contrast-{contrast}_stat-effect_statmap.json")
    return json.loads(path.read_text())


def test_estimate_says_which_runs_made_it_and_which_did_not(dataset):
    code, out = run(dataset, "drop")
    assert code == 0
    assert sidecar(out, "face")["Runs"] == ["sub-01 task-viewing run-1", "sub-01 task-viewing run-2"]
    assert sidecar(out, "house")["Runs"] == ["sub-01 task-viewing run-1"]
    record = json.loads((out / "logs" / "sub-01_participant.json").read_text())
    estimates = {e["contrast"]: e for e in record["estimates"] if e["level"] == "subject"}
    assert estimates["faceMinusHouse"]["left_out"] == [
        {"run": "sub-01 task-viewing run-2", "reason": "no trial_type.house here"}
    ]
    assert not list(out.glob("sub-01/func/*run-2*contrast-house_*"))


def test_zero_keeps_the_weights_of_what_is_there(dataset):
    code, out = run(dataset, "zero")
    assert code == 0
    (path,) = out.glob("sub-01/func/*run-2_*contrasts.tsv")
    table = pd.read_csv(path, sep="\t").set_index("contrast")
    assert table.loc["faceMinusHouse", "trial_type.face"] == 1.0
    assert "house" not in table.index
    assert len(sidecar(out, "faceMinusHouse")["Runs"]) == 2


def test_error_stops_and_names_the_run(dataset, capsys):
    code, out = run(dataset, "error")
    assert code == EXIT_DATA
    assert "sub-01 task-viewing run-2: contrasts can not be made" in capsys.readouterr().err
    assert not out.exists()
