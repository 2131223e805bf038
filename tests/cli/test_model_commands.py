import json
import re
from xml.etree import ElementTree

import pytest

from bidsapp.errors import EXIT_CANNOT_CREATE, EXIT_DATA, EXIT_NO_INPUT, EXIT_OK, EXIT_USAGE
from bidsapp.model.__main__ import main
from bidsapp.model.json_schema import json_schema_text
from bidsapp.model.read import read_model


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


def test_model_is_checked_against_a_dataset(objects, tmp_path, capsys):
    path = tmp_path / "m.json"
    assert main(["new", str(objects), "-o", str(path)]) == EXIT_OK
    assert main(["check", str(path), "--bids-dir", str(objects)]) == EXIT_OK
    assert "Every run makes all its contrasts." in capsys.readouterr().out


def test_picture_of_a_model_counts_what_passes(tiny_dataset, tmp_path, capsys):
    """4 participants x 2 runs: 3 effects pass from each run, and 3 from each participant."""
    model, picture = tmp_path / "m_smdl.json", tmp_path / "m.svg"
    assert main(["new", str(tiny_dataset), "-o", str(model)]) == EXIT_OK
    assert main(["graph", str(model), "--bids-dir", str(tiny_dataset), "-o", str(picture)]) == EXIT_OK
    text = picture.read_text()
    assert [words for words in re.findall(r">([^<]*)</text>", text) if "estimates" in words] == [
        "24 estimates", "12 estimates", "24 estimates made", "12 estimates made",
    ]  # fmt: skip


def test_picture_without_a_dataset_has_no_numbers(tmp_path, capsys, dataset):
    model = tmp_path / "m_smdl.json"
    assert main(["new", str(dataset), "-t", "stroop", "-o", str(model)]) == EXIT_OK
    capsys.readouterr()
    assert main(["graph", str(model)]) == EXIT_OK
    picture = ElementTree.fromstring(capsys.readouterr().out)
    words = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert words[0].startswith("Run: ")
    assert not any("estimates" in text for text in words)


OLDER = {
    "Name": "older",
    "Input": {"task": "t"},
    "Steps": [
        {
            "Level": "run",
            "Model": {"X": ["trial_type.a", "$x"]},
            "AutoContrasts": ["trial_type.a"],
            "_by": "me",
        },
        {"Level": "dataset", "AutoContrasts": ["trial_type.a"]},
    ],
}


def test_migrated_model_is_the_same_without_a_note(tmp_path, capsys):
    old, new, newer = (tmp_path / f"{name}_smdl.json" for name in ("old", "new", "newer"))
    old.write_text(json.dumps(OLDER))
    assert main(["migrate", str(old), "-o", str(new)]) == EXIT_OK
    said = capsys.readouterr()
    assert said.out == ""
    assert "note: old_smdl.json, line 1: 'Steps' is read as 'Nodes'" in said.err
    assert main(["migrate", str(new), "-o", str(newer)]) == EXIT_OK
    assert main(["check", str(new)]) == EXIT_OK
    said = capsys.readouterr()
    assert "note" not in said.out + said.err
    assert newer.read_bytes() == new.read_bytes()
    assert (read_model(new).nodes, read_model(new).edges) == (read_model(old).nodes, read_model(old).edges)
    assert json.loads(new.read_text())["Nodes"][0]["_by"] == "me"


def test_migrated_model_goes_to_the_terminal_alone(tmp_path, capsys):
    path = tmp_path / "old_smdl.json"
    path.write_text(json.dumps(OLDER))
    assert main(["migrate", str(path)]) == EXIT_OK
    assert json.loads(capsys.readouterr().out)["Nodes"][1]["Level"] == "Dataset"


def test_new_model_names_the_schema_beside_it(dataset, tmp_path):
    path = tmp_path / "models" / "m_smdl.json"
    path.parent.mkdir()
    assert main(["new", str(dataset), "-t", "stroop", "-o", str(path)]) == EXIT_OK
    schema = path.with_name(json.loads(path.read_text())["$schema"])
    assert schema.read_text() == json_schema_text()
    schema.write_text("mine")
    assert main(["new", str(dataset), "-t", "stroop", "-o", str(path.with_name("n.json"))]) == EXIT_OK
    assert schema.read_text() == "mine"
