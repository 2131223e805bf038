"""Output names."""

import pytest

from bidsapp import names
from bidsapp.errors import ModelError

ENTITIES = {"sub": "01", "task": "nback", "run": "1", "space": "MNI152NLin2009cAsym", "res": "2"}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("face vs.house", "faceVsHouse"),
        ("A-B", "AB"),
        ("trial_type.go", "trialTypeGo"),
        ("../../x", "x"),
        ("<>", "lessGreater"),
        ("run-1", "run1"),
        ("..", "x"),
    ],
)
def test_labels_are_camel_case_of_the_alphanumeric_words(text, label):
    assert names.make_label(text) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("maison \u00e9t\u00e9", "maisonEte"),
        ("S\u00fc\u00df", "Suss"),
        ("\u0141\u00f3d\u017a", "Lodz"),
        ("\u9854", "u9854"),
        ("\u9854A", "u9854A"),
        ("\u03b1", "u03b1"),
        ("+", "plus"),
        ("-1", "minus1"),
        ("trial_type.-1", "trialTypeMinus1"),
        ("trial_type.+", "trialTypePlus"),
        ("go+", "goPlus"),
    ],
)
def test_other_alphabets_and_signs_have_labels(text, label):
    assert names.make_label(text) == label


@pytest.mark.parametrize(
    "texts",
    [
        ("\u9854", "\u5bb6"),
        ("+", "-", "++", "?", "!"),
        ("1", "-1", "+1"),
        ("a+", "a-", "a"),
        ("\u03b1", "\u03b2", "\u0391"),
        ("\u041b\u0438\u0446\u043e", "\u0414\u043e\u043c"),
    ],
)
def test_conditions_that_differ_have_labels_that_differ(texts):
    assert len({names.make_label(text).lower() for text in texts}) == len(texts)


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
