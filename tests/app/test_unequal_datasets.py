"""Datasets that are not the same everywhere: notes on who lacks what, and no failures."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from makers.brain import copy_subjects

from bidsapp.cli import main as cli
from bidsapp.outputs.describe import describe_estimate
from bidsapp.participant.fit import Fitted, on_common_rows
from bidsapp.plan import make_group_plan, make_participant_plan
from bidsapp.records.maps import EstimateKey, JointEstimate


@pytest.fixture
def data(tiny_dataset, tmp_path):
    """Return a copy of two participants, to be changed."""
    return copy_subjects(tiny_dataset, tmp_path / "data", 2)


def plan(data, *arguments, level="participant"):
    words = [str(data), str(data.parent / "out"), level, *arguments]
    settings = cli.make_settings(cli.parse_arguments(words))
    return {"participant": make_participant_plan, "group": make_group_plan}[level](settings)


def runs_of(made):
    return [fit.label for subject in made.subjects for fit in subject.runs]


def add_resolution(data, pattern, label="2"):
    for path in list((data / "derivatives/fmriprep").glob(f"{pattern}_space-*")):
        path.rename(path.with_name(path.name.replace("_desc-", f"_res-{label}_desc-")))


@pytest.mark.parametrize("pattern", ["sub-02/func/*", "sub-01/func/*run-2"])
def test_the_one_image_of_a_run_is_taken_whatever_its_resolution_label(data, pattern):
    add_resolution(data, pattern)
    made = plan(data)
    assert len(runs_of(made)) == 4
    assert any("names give different resolutions (none: 0" in note for note in made.notes)


def test_images_without_a_resolution_can_be_asked_for(data):
    add_resolution(data, "sub-02/func/*")
    made = plan(data, "--res", "none")
    assert {label[:6] for label in runs_of(made)} == {"sub-01"}
    (problem,) = [subject.problems for subject in made.subjects if subject.subject == "02"]
    assert "resolution none" in problem[0]
    assert "resolution 2" in problem[0]


def test_runs_with_two_resolutions_need_a_choice(data, capfd):
    for path in list((data / "derivatives/fmriprep/sub-02/func").glob("*_space-*")):
        shutil.copy(path, path.with_name(path.name.replace("_desc-", "_res-2_desc-")))
    words = [str(data), str(data.parent / "out"), "participant", "--dry-run"]
    assert cli.main(words) == 64
    assert "none (images without res), 2" in capfd.readouterr().err
    assert len(runs_of(plan(data, "--res", "none"))) == 4


def make_rest(data, subject):
    for root in (data, data / "derivatives/fmriprep"):
        for path in list((root / f"sub-{subject}/func").iterdir()):
            if "events" in path.name:
                path.unlink()
            else:
                path.rename(path.with_name(path.name.replace("task-viewing", "task-rest")))


def test_a_participant_without_the_task_is_a_note_that_says_what_there_is(data, capfd):
    make_rest(data, "02")
    made = plan(data)
    assert [subject.subject for subject in made.subjects] == ["01"]
    assert any(re.search(r"left out, .*\(task-rest only\): 02", note) for note in made.notes)
    words = [str(data), str(data.parent / "out"), "participant", "--dry-run"]
    assert cli.main(words) == 0


def test_a_participant_without_the_task_who_is_asked_for_is_a_problem(data):
    make_rest(data, "02")
    made = plan(data, "--participant-label", "01", "02")
    assert made.subjects[1].problems == ("no run of what is analysed (task-rest only)",)


def test_a_participant_with_a_folder_of_figures_only_is_a_note(data):
    shutil.rmtree(data / "derivatives/fmriprep/sub-02/func")
    (data / "derivatives/fmriprep/sub-02/figures").mkdir()
    made = plan(data)
    assert any("left out, no preprocessed BOLD: 02" in note for note in made.notes)


def test_groups_of_sessions_are_named(tiny_dataset, tiny_results, tmp_path):
    out = shutil.copytree(tiny_results, tmp_path / "out")
    for session in ("1", "2"):
        folder = out / "sub-04" / f"ses-{session}" / "func"
        folder.mkdir(parents=True)
        for path in (out / "sub-04/func").glob("*node-subjectLevel*"):
            shutil.copy(path, folder / path.name.replace("sub-04_", f"sub-04_ses-{session}_"))
    shutil.rmtree(out / "sub-04/func")
    model = next((out / "code").glob("*smdl.json"))
    model.write_text(
        model.read_text().replace('"GroupBy": ["contrast"]', '"GroupBy": ["session", "contrast"]')
    )
    words = [str(tiny_dataset), str(out), "group"]
    made = make_group_plan(cli.make_settings(cli.parse_arguments(words)))
    lines = [note for note in made.notes if "inputs are left" in note]
    assert len(lines) == len(set(lines)) == 6
    assert {line.split(", ")[2].split(":")[0] for line in lines} == {"session 1", "session 2"}
    (fit, *_) = made.models[0].fits
    assert fit.subjects == ("sub-01", "sub-02", "sub-03")
    assert "without session, but session 1, session 2" in fit.excluded["sub-04"]


# A condition that few runs have


def change_events(data, name, change):
    path = data / "sub-01" / "func" / f"sub-01_task-viewing_{name}_events.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table["trial_type"] = change(list(table["trial_type"]))
    table.to_csv(path, sep="\t", index=False)


def f_rows(made):
    return {fit.label: list(fit.asked["effectsOfInterest"]) for s in made.subjects for fit in s.runs}


def test_the_f_test_is_of_the_conditions_that_a_run_has(data):
    change_events(data, "run-1", lambda types: ["error", *types[1:]])
    made = plan(data)
    rows = f_rows(made)
    names = [f"trial_type.{name}" for name in ("error", "face", "house")]
    assert rows.pop("sub-01 task-viewing run-1") == names
    assert all(found == names[1:] for found in rows.values())
    (note,) = [note for note in made.notes if "runs have trial_type.error" in note]
    assert note.startswith("1 of 4 runs have trial_type.error (sub-01 task-viewing run-1)")


def test_a_run_that_lacks_a_common_condition_tests_the_others(data):
    change_events(data, "run-2", lambda types: ["house"] * len(types))
    rows = f_rows(plan(data))
    assert rows["sub-01 task-viewing run-2"] == ["trial_type.house"]
    assert rows["sub-01 task-viewing run-1"] == ["trial_type.face", "trial_type.house"]


def joint(names, values):
    effect = np.array(values, float)[:, None] * np.ones(3)
    covariance = (np.outer(values, values) + np.eye(len(values)))[..., None] * np.ones(3)
    estimate = JointEstimate("f", effect, covariance, 50.0)
    key = EstimateKey("n", "run", "f", ())
    record = describe_estimate(key, estimate, method="run GLM", runs=("1",), asked=dict.fromkeys(names, 1.0))
    return Fitted(key, None, estimate, record)


def test_runs_are_joined_over_the_rows_that_all_of_them_test():
    first, second = on_common_rows([joint("abc", [1, 2, 3]), joint("ca", [5, 7])])
    np.testing.assert_array_equal(first.estimate.effect[:, 0], [1, 3])
    np.testing.assert_array_equal(second.estimate.effect[:, 0], [7, 5])
    np.testing.assert_array_equal(first.estimate.covariance[..., 0], [[2, 3], [3, 10]])
    np.testing.assert_array_equal(second.estimate.covariance[..., 0], [[50, 35], [35, 26]])
    assert list(first.record.asked) == list(second.record.asked) == ["a", "c"]


def test_runs_without_a_common_row_give_no_test():
    assert on_common_rows([joint("a", [1]), joint("b", [2])]) == []
