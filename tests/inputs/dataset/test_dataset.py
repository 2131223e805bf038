"""Which runs are found, and what decides it."""

import json
import shutil
from pathlib import Path

import pytest
from makers.brain import copy_subjects

from bidsapp.errors import InputError, SettingsError
from bidsapp.inputs.dataset.open import open_dataset
from bidsapp.settings.parts import Selection

SPACE = "space-MNI152NLin2009cAsym"


@pytest.fixture
def dataset(tiny_dataset, tmp_path):
    return copy_subjects(tiny_dataset, tmp_path / "bids", 2)


def read(folder, levels=("participant",), **selection):
    return open_dataset(Path(folder), Selection(**selection), for_group="group" in levels)


def labels(dataset):
    return [run.label for run in dataset.runs]


def derivative_of(dataset):
    return dataset / "derivatives" / "fmriprep"


def copy_series(dataset, old, new):
    """Copy all images and sidecars of the derivative under other names."""
    for path in list(derivative_of(dataset).rglob(f"*{old}*")):
        shutil.copyfile(path, path.with_name(path.name.replace(old, new)))


def write_filter(tmp_path, content):
    path = tmp_path / "filter.json"
    path.write_text(json.dumps(content))
    return path


def test_labels_select_the_runs(dataset):
    assert labels(read(dataset, participant_label=("02",), run_label=("2",))) == ["sub-02 task-viewing run-2"]


def test_excluded_participants_are_left_out(dataset):
    assert {run.entities["sub"] for run in read(dataset, exclude_participant_label=("01",)).runs} == {"02"}


def test_excluding_an_unknown_participant_is_refused(dataset):
    with pytest.raises(InputError, match="sub-1; "):
        read(dataset, exclude_participant_label=("1",))


def test_run_label_matches_whatever_its_padding(dataset):
    assert len(read(dataset, run_label=("02",)).runs) == 2


def test_derivative_as_input_finds_its_raw_dataset_above(dataset):
    found = read(derivative_of(dataset))
    assert len(found.runs) == 4
    assert found.raw == dataset.resolve()
    assert found.participants == dataset.resolve() / "participants.tsv"


def test_derivative_elsewhere_is_named_by_the_user(dataset, tmp_path):
    shutil.move(derivative_of(dataset), tmp_path / "elsewhere")
    found = read(dataset, derivatives=(f"prep={tmp_path / 'elsewhere'}",))
    assert (len(found.runs), list(found.derivatives)) == (4, ["prep"])


def test_missing_derivative_folder_is_refused(dataset):
    with pytest.raises(SettingsError, match="there is no folder nowhere") as caught:
        read(dataset, derivatives=("nowhere",))
    assert caught.value.exit_code == 66


def test_run_in_two_derivatives_is_a_fault(dataset):
    shutil.copytree(derivative_of(dataset), dataset / "derivatives" / "other")
    faults = read(dataset, participant_label=("01",)).faults
    assert len(faults) == 2
    assert "has several preprocessed images" in faults[0]
    assert faults[0].entities["run"] == "1"


def test_several_resolutions_and_none_chosen_are_refused_listing_them(dataset):
    copy_series(dataset, SPACE, f"{SPACE}_res-2")
    with pytest.raises(SettingsError, match=r"\(images without res\), 2\. Choose one with --res"):
        read(dataset)
    assert {run.entities["res"] for run in read(dataset, res="2").runs} == {"2"}


def test_the_only_resolution_is_noted(dataset):
    assert not any("resolution" in note for note in read(dataset).notes)
    for path in derivative_of(dataset).rglob(f"*{SPACE}*"):
        path.rename(path.with_name(path.name.replace(SPACE, f"{SPACE}_res-2")))
    assert "resolution 2" in read(dataset).notes


def test_without_any_events_the_file_of_the_first_run_is_named(dataset):
    for path in dataset.rglob("*_events.tsv"):
        path.unlink()
    said = r"of task viewing \(for example sub-01_task-viewing_run-1_events\.tsv\)"
    with pytest.raises(InputError, match=said) as caught:
        read(dataset)
    assert caught.value.exit_code == 66


def test_a_task_without_events_is_left_out_unless_it_is_asked_for(dataset):
    copy_series(dataset, "task-viewing", "task-rest")
    assert "task rest: left out, for no run of it has events" in read(dataset).notes
    assert {run.entities["task"] for run in read(dataset, task_label=("viewing",)).runs} == {"viewing"}
    with pytest.raises(InputError, match="Task rest was asked for but has no events file"):
        read(dataset, task_label=("viewing", "rest"))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("viewin",), "No preprocessed BOLD of task-viewin; did you mean 'viewing'?"),
        (("x",), "No preprocessed BOLD of task-x; there are: viewing."),
        (("viewin", "x"), "No preprocessed BOLD of task-viewin, task-x; there are: viewing."),
    ],
)
def test_an_unknown_label_is_told_with_the_near_match_or_those_there_are(dataset, labels, said):
    with pytest.raises(InputError) as caught:
        read(dataset, task_label=labels)
    assert str(caught.value) == said


def test_several_spaces_without_the_default_are_refused_listing_them(dataset):
    copy_series(dataset, SPACE, "space-MNI152NLin6Asym")
    for path in derivative_of(dataset).rglob(f"*{SPACE}*"):
        path.rename(path.with_name(path.name.replace(SPACE, "space-MNIPediatricAsym")))
    with pytest.raises(SettingsError, match="MNI152NLin6Asym, MNIPediatricAsym. Choose one with --space"):
        read(dataset)


def test_only_standard_space_beside_a_native_one_is_chosen(dataset):
    for path in derivative_of(dataset).rglob(f"*{SPACE}*"):
        path.rename(path.with_name(path.name.replace(SPACE, "space-MNI152NLin6Asym")))
    copy_series(dataset, "space-MNI152NLin6Asym", "space-T1w")
    found = read(dataset)
    assert {run.entities["space"] for run in found.runs} == {"MNI152NLin6Asym"}
    assert "the only standard one" in found.notes[0]


def test_native_space_is_refused_at_the_group_level_only(dataset):
    copy_series(dataset, SPACE, "space-T1w")
    assert len(read(dataset, space="T1w").runs) == 4
    with pytest.raises(SettingsError, match="T1w differs between participants"):
        read(dataset, levels=("participant", "group"), space="T1w")


def test_run_without_an_image_in_the_chosen_space_is_a_fault(dataset):
    copy_series(dataset, SPACE, "space-T1w")
    for path in derivative_of(dataset).rglob(f"sub-02*run-1*{SPACE}*"):
        path.unlink()
    (fault,) = read(dataset).faults
    assert fault.startswith("sub-02 task-viewing run-1 has no image as chosen")
    assert "it has space T1w" in fault


def test_participant_without_preprocessed_data_is_noted_or_reported(dataset):
    (dataset / "sub-09" / "func").mkdir(parents=True)
    assert any("left out: 09" in note for note in read(dataset).notes)
    asked = read(dataset, participant_label=("01", "09"))
    assert asked.unusable == {"09": "no preprocessed data."}


def test_filter_file_chooses_other_images(dataset, tmp_path):
    copy_series(dataset, "desc-preproc_bold", "desc-smoothed_bold")
    path = write_filter(tmp_path, {"bold": {"desc": "smoothed"}})
    found = read(dataset, bids_filter_file=path)
    assert len(found.runs) == 4
    assert all("desc-smoothed" in run.bold.name for run in found.runs)


def test_filter_by_null_and_star(dataset, tmp_path):
    copy_series(dataset, "run-1", "acq-fast_run-1")
    without = read(dataset, bids_filter_file=write_filter(tmp_path, {"bold": {"acquisition": None}}))
    assert {run.entities.get("acq") for run in without.runs} == {None}
    path = write_filter(tmp_path, {"bold": {"acq": "*"}})
    assert {run.entities["acq"] for run in read(dataset, bids_filter_file=path).runs} == {"fast"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"bolt": {}}, "'bolt'; did you mean 'bold'"),
        ({"bold": "x"}, "must hold an object"),
        ([], "JSON object"),
    ],
)
def test_wrong_filter_file_is_refused(dataset, tmp_path, content, message):
    with pytest.raises((SettingsError, InputError), match=message):
        read(dataset, bids_filter_file=write_filter(tmp_path, content))


def test_database_is_made_and_used_again(dataset, tmp_path):
    database = tmp_path / "database"
    first = read(dataset, bids_database_dir=database, participant_label=("01",))
    assert list(database.rglob("*.sqlite"))
    again = read(dataset, bids_database_dir=database)
    assert (len(first.runs), len(again.runs)) == (2, 4)


def test_database_of_another_dataset_is_refused(dataset, tiny_dataset, tmp_path):
    read(tiny_dataset, bids_database_dir=tmp_path / "database")
    with pytest.raises(SettingsError, match="Name another folder"):
        read(dataset, bids_database_dir=tmp_path / "database")


def test_confounds_names_of_earlier_versions_are_found(dataset):
    for old, new in (("run-1_desc-confounds_timeseries", "run-1_desc-confounds_regressors"),):
        for path in derivative_of(dataset).rglob(f"*{old}*"):
            path.rename(path.with_name(path.name.replace(old, new)))
    for path in derivative_of(dataset).rglob("*run-2_desc-confounds_timeseries*"):
        path.rename(path.with_name(path.name.replace("_desc-confounds_timeseries", "_bold_confounds")))
    names = {run.confounds.name.split("_", 3)[3] for run in read(dataset).runs}
    assert names == {"desc-confounds_regressors.tsv", "bold_confounds.tsv"}


def test_names_of_the_first_fmriprep_are_found(dataset):
    for path in derivative_of(dataset).rglob(f"*{SPACE}_desc-preproc_bold*"):
        path.rename(path.with_name(path.name.replace(f"{SPACE}_desc-preproc_bold", f"bold_{SPACE}_preproc")))
    for path in derivative_of(dataset).rglob(f"*{SPACE}_desc-brain_mask*"):
        path.rename(path.with_name(path.name.replace(f"{SPACE}_desc-brain_mask", f"bold_{SPACE}_brainmask")))
    found = read(dataset)
    assert (len(found.runs), found.faults) == (4, ())
    assert found.runs[0].mask.name.endswith("brainmask.nii.gz")


def test_two_equal_events_files_are_a_fault(dataset):
    path = dataset / "sub-01/func/sub-01_task-viewing_run-1_events.tsv"
    shutil.copyfile(path, path.with_name("sub-01_task-viewing_run-01_events.tsv"))
    (fault,) = read(dataset).faults
    assert "several events files that apply equally" in fault


def test_repetition_time_of_the_raw_sidecar_counts_where_the_derivative_has_none(dataset):
    for path in derivative_of(dataset).rglob("*_bold.json"):
        path.write_text('{"StartTime": 0.5}')
    (dataset / "task-viewing_bold.json").write_text(
        '{"TaskName": "viewing", "RepetitionTime": 2.0, "StartTime": 9}'
    )
    run = read(dataset).runs[0]
    assert (run.repetition_time, run.start_time) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        ("{'RepetitionTime': 2}", "utf-8", "is not valid JSON (line 1"),
        ('{"RepetitionTime": 2}', "utf-16", "is not UTF-8 text (byte 0). Save it as UTF-8."),
    ],
)
def test_broken_sidecar_names_run_and_file(dataset, text, encoding, said):
    path = next(derivative_of(dataset).rglob("sub-02*run-1*_bold.json"))
    path.write_text(text, encoding)
    (fault,) = read(dataset).faults
    assert fault.startswith(f"sub-02 task-viewing run-1 {path} ")
    assert said in fault


def test_entity_that_no_output_can_carry_is_a_fault(dataset):
    copy_series(dataset, "run-1", "run-1_chunk-2")
    faults = read(dataset).faults
    assert len(faults) == 2
    assert "has 'chunk' in its name" in faults[0]
