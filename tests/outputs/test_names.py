"""Output names."""

import pytest

from bidsapp.errors import ModelError
from bidsapp.outputs import names

ENTITIES = {"sub": "01", "task": "nback", "run": "1", "space": "MNI152NLin2009cAsym", "res": "2"}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("face vs.house", "faceVsHouse"),
        ("A-B", "AB"),
        ("trial_type.go", "trialTypeGo"),
        ("../../x", "x"),
        ("<>", "x"),
    ],
)
def test_labels_are_camel_case_of_the_alphanumeric_words(text, label):
    assert names.make_label(text) == label


def test_two_names_with_one_label_are_refused_with_both_names():
    with pytest.raises(ModelError, match="'A-B' and 'A > B'"):
        names.check_labels(["A-B", "A > B"], "Contrasts")


def test_a_map_path_has_its_entities_in_order():
    path = names.map_path(ENTITIES, node="runLevel", contrast="A-B", stat="effect")
    assert path == (
        "sub-01/func/sub-01_task-nback_run-1_space-MNI152NLin2009cAsym_res-2"
        "_node-runLevel_contrast-AB_stat-effect_statmap.nii.gz"
    )


def test_group_files_have_a_folder_of_their_own():
    path = names.table_path({"task": "nback"}, "clusters", node="datasetLevel", contrast="a", desc="maxT")
    assert path == "group/task-nback_node-datasetLevel_contrast-a_desc-maxT_clusters.tsv"


def test_no_label_leaves_the_output_folder():
    hostile = {"sub": "../../etc", "task": "/root", "ses": "..//.."}
    path = names.map_path(hostile, node="../n", contrast="..", stat="t")
    assert ".." not in path
    assert path.startswith("sub-etc/ses-x/func/")


def test_a_sidecar_has_the_name_of_its_file():
    assert names.sidecar_path("group/a_statmap.nii.gz") == "group/a_statmap.json"
