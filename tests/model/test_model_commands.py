import json

import pytest

from bidsapp.errors import EXIT_CANNOT_CREATE, EXIT_DATA, EXIT_NO_INPUT, EXIT_OK, EXIT_USAGE
from bidsapp.model.__main__ import main


@pytest.fixture
def dataset(tmp_path):
    for task in ("stroop", "rest2"):
        path = tmp_path / "sub-01" / "func" / f"sub-01_task-{task}_run-1_events.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("onset\tduration\ttrial_type\n1\t1\tgo\n5\t1\tstop\n9\t1\tn/a\n")
    return tmp_path


def test_new_model_passes_its_own_check(dataset, tmp_path, capsys):
    path = tmp_path / "m_smdl.json"
    assert main(["new", str(dataset), "--task", "stroop", "-o", str(path)]) == EXIT_OK
    assert main(["check", str(path)]) == EXIT_OK
    assert "t goMinusStop; F effectsOfInterest" in capsys.readouterr().out


def test_new_model_has_the_asked_contrast(dataset, capsys):
    assert main(["new", str(dataset), "-t", "stroop", "--contrast", "mean=(go + stop) / 2"]) == EXIT_OK
    document = json.loads(capsys.readouterr().out)
    assert document["Nodes"][0]["Contrasts"][0] == {
        "Name": "mean",
        "ConditionList": ["trial_type.go", "trial_type.stop"],
        "Weights": [0.5, 0.5],
        "Test": "t",
    }


@pytest.mark.parametrize(("task", "said"), [([], "rest2, stroop"), (["--task", "x"], "rest2, stroop")])
def test_task_must_be_one_of_the_dataset(dataset, capsys, task, said):
    assert main(["new", str(dataset), *task]) == EXIT_USAGE
    assert said in capsys.readouterr().err


def test_file_that_is_there_is_not_written_over(dataset, tmp_path, capsys):
    path = tmp_path / "m.json"
    path.write_text("mine")
    assert main(["new", str(dataset), "-t", "stroop", "-o", str(path)]) == EXIT_CANNOT_CREATE
    assert path.read_text() == "mine"


def test_faults_of_a_model_go_to_the_error_stream(tmp_path, capsys):
    path = tmp_path / "m.json"
    path.write_text('{\n "Name": "a",\n "Nodez": []\n}')
    assert main(["check", str(path)]) == EXIT_DATA
    assert capsys.readouterr().err.startswith("error: m.json")


def test_folder_that_is_not_there(capsys):
    assert main(["new", "/nowhere/at/all"]) == EXIT_NO_INPUT


def test_model_is_checked_against_a_dataset(shared, tmp_path, capsys):
    path = tmp_path / "m.json"
    data = shared / "data" / "haxby2001-bids"
    assert main(["new", str(data), "-o", str(path)]) == EXIT_OK
    assert main(["check", str(path), "--bids-dir", str(data)]) == EXIT_OK
    assert "Every run makes all its contrasts." in capsys.readouterr().out
