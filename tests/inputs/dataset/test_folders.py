"""The walk through a dataset, and what its events files hold."""

import pytest

from bidsapp.inputs.dataset.folders import walk_files
from bidsapp.inputs.dataset.occurrences import (
    find_events_files,
    find_holders,
    find_levels,
    find_sessions,
    find_tasks,
)

NAMES = [
    "task-z_events.tsv",
    "sub-01/func/sub-01_task-b_run-1_events.tsv",
    "sub-01/func/sub-01_task-b_run-2_events.tsv",
    "sub-02/ses-1/func/sub-02_ses-1_task-b_events.tsv",
    "sub-02/ses-2/beh/sub-02_ses-2_task-a_events.tsv",
    "sub-03/beh/sub-03_task-b_events.tsv",
]
PASSED_BY = [
    "sub-01/func/deeper/sub-01_task-x_events.tsv",
    "sub-01/anat/sub-01_task-x_events.tsv",
    "code/sub-01_task-x_events.tsv",
    "sub-01/func/.sub-01_task-x_events.tsv",
    "sub-01/func/sub-01_task-b_bold.json",
    "ses-1/func/ses-1_task-x_events.tsv",
    "func/task-x_events.tsv",
]


def write(root, names, text="onset\tduration\ttrial_type\n1\t1\tgo\n"):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture
def dataset(tmp_path):
    write(tmp_path, NAMES + PASSED_BY)
    return tmp_path


def relative(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


def test_files_come_folder_by_folder_in_the_order_of_names(dataset):
    assert relative(walk_files(dataset, "_events.tsv"), dataset) == NAMES


def test_folders_can_be_skipped_and_links_are_followed(dataset, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "sub-01").symlink_to(dataset / "sub-01", target_is_directory=True)
    assert relative(walk_files(other, "_events.tsv"), other) == NAMES[1:3]
    assert relative(walk_files(dataset, "_events.tsv", skip={"sub-01", "sub-02"}), dataset) == [
        NAMES[0],
        NAMES[5],
    ]
    assert list(walk_files(dataset / "absent", "")) == []
    (inside,) = walk_files(dataset / "sub-02", "_events.tsv", kind="sub-", skip={"ses-1"})
    assert inside.name == "sub-02_ses-2_task-a_events.tsv"


@pytest.fixture
def subjects(tmp_path):
    write(tmp_path / "raw", NAMES[1:])
    write(
        tmp_path / "prep", [NAMES[1], "sub-04/func/sub-04_task-b_events.tsv"], "onset\tduration\tx\n1\t1\tn\n"
    )
    write(tmp_path / "prep", ["sub-05/func/sub-05_task-b_desc-old_events.tsv"])
    return tmp_path / "raw", tmp_path / "prep"


def test_a_later_root_counts_for_subjects_without_events_so_far(subjects):
    found = [file.path.name for file in find_events_files(subjects, ("b",))]
    assert found == [
        "sub-01_task-b_run-1_events.tsv",
        "sub-01_task-b_run-2_events.tsv",
        "sub-02_ses-1_task-b_events.tsv",
        "sub-03_task-b_events.tsv",
        "sub-04_task-b_events.tsv",
    ]
    assert len(find_events_files((subjects[0], subjects[0]), ("b",))) == 4
    assert find_tasks(subjects) == ["a", "b"]


def test_levels_are_those_of_every_file_and_faults_are_told(subjects):
    write(subjects[0], ["sub-06/func/sub-06_task-b_events.tsv"], "onset\tduration\n-\t1\n")
    levels, faults = find_levels(subjects, ("b",))
    assert levels["trial_type"] == {"go"}
    assert levels["x"] == {"n"}
    (fault,) = faults
    assert "sub-06_task-b_events.tsv" in fault


def test_a_column_with_too_many_levels_stops_growing(tmp_path):
    for i in range(5):
        rows = "".join(f"{k}\t1\tt{i}x{k}\n" for k in range(150))
        write(tmp_path, [f"sub-{i}/func/sub-{i}_task-b_events.tsv"], f"onset\tduration\ttrial_type\n{rows}")
    levels, _ = find_levels((tmp_path,))
    assert len(levels["trial_type"]) == 450


def test_holders_of_a_level_are_named_up_to_three(subjects):
    write(subjects[0], ["sub-06/func/sub-06_task-b_events.tsv"], "onset\tduration\n-\t1\n")
    assert find_holders(subjects, "b", "x", "n") == "sub-04; 1 file"
    assert find_holders(subjects, "b", "trial_type", "go") == "sub-01, sub-02, sub-03; 4 files"
    write(subjects[0], ["sub-07/func/sub-07_task-b_events.tsv"])
    assert find_holders(subjects, "b", "trial_type", "go") == "sub-01, sub-02, sub-03, ...; 5 files"
    assert find_holders(subjects, "b", "trial_type", "absent") == "; 0 files"


def test_events_above_the_subjects_hold_for_all(dataset, tmp_path_factory):
    assert find_holders((dataset,), "z", "trial_type", "go") == "all participants; 1 file"
    other = tmp_path_factory.mktemp("prep")
    write(other, ["sub-09/func/sub-09_task-b_events.tsv"])
    assert len(find_events_files((dataset, other))) == len(NAMES)


def test_sessions_are_those_of_the_events_else_of_the_images(tmp_path, subjects):
    assert find_sessions(subjects, "b") == {"1"}
    assert find_sessions(subjects, "a") == {"2"}
    write(tmp_path, ["task-c_events.tsv", "sub-1/ses-x/func/sub-1_ses-x_task-c_bold.nii.gz"])
    write(tmp_path, ["sub-1/ses-y/func/sub-1_ses-y_task-d_bold.nii.gz"])
    assert find_sessions((tmp_path,), "c") == {"x"}
