from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bidsapp.errors import InputError, SettingsError
from bidsapp.plan.group.options import (
    add_notes,
    add_variance_groups,
    check_options,
    count_needed,
    exclude_listed,
    gather_notes,
    read_conjunctions,
    redundant_columns,
    single_levels,
    unusual_values,
)
from bidsapp.records.maps import Contrast, Design
from bidsapp.records.plan import DatasetFit, DatasetModel
from bidsapp.settings.parts import GroupOptions


def make_fit(matrix, columns, contrasts=()):
    rows = tuple(f"sub-{index + 1:02d}" for index in range(len(matrix)))
    return DatasetFit(
        node="node",
        entities={"task": "x"},
        contrast="go",
        subjects=rows,
        inputs=(),
        design=Design(np.asarray(matrix, float), columns, rows),
        contrasts=contrasts,
        group_contrasts={},
        excluded={},
        covariates={},
    )


@pytest.fixture
def fit():
    contrast = Contrast("mean", "t", ("1",), np.ones((1, 1)))
    return make_fit(np.ones((4, 1)), ("1",), (contrast,))


@pytest.mark.parametrize(("text", "needed"), [("all", 21), ("15", 15), ("0.5", 11), ("99", 21)])
def test_needed_inputs_are_a_number_or_a_fraction(text, needed):
    assert count_needed(text, 21) == needed


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan"])
def test_needed_inputs_without_sense_are_refused(text):
    with pytest.raises(SettingsError, match="--min-subjects"):
        GroupOptions(min_subjects=text)


@pytest.mark.parametrize(("last", "told"), [(47, []), (999, ["sub-08: the age of 999 is far"])])
def test_slopes_of_groups_are_judged_by_the_covariate_itself(last, told):
    ages = np.array([20, 34, 28, 45, 39, 52, 30, last], float)
    is_a = np.arange(8) < 3
    centred = ages - ages.mean()
    matrix = np.column_stack([is_a, ~is_a, centred * is_a, centred * ~is_a])
    fit = make_fit(matrix, ("group.a", "group.b", "age:group.a", "group.b:age"))
    people = {f"{k + 1:02d}": {"age": age} for k, age in enumerate(ages)}
    found = list(dict.fromkeys(unusual_values(fit, people)))
    assert [note.partition(" from")[0] for note in found] == told


def test_a_factor_level_with_one_subject_is_named():
    fit = make_fit([[1, 0], [1, 0], [0, 1]], ("group.a", "group.b"))
    assert "sub-03 alone has group.b" in single_levels(fit)[0]


def test_a_column_that_others_make_up_is_named():
    fit = make_fit([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1]], ("1", "group.a", "group.b"))
    assert "group.b says nothing" in redundant_columns(fit)[0]


def test_a_full_rank_design_has_no_note(fit):
    assert add_notes(fit, {}).notes == ()


def test_notes_of_all_fits_are_said_once_and_others_name_their_contrast(fit):
    fits = (
        replace(fit, excluded={"sub-09": "no value for age"}),
        replace(fit, contrast="stop", notes=("odd",)),
    )
    fits[1].excluded["sub-09"] = "no value for age"
    assert gather_notes(DatasetModel("node", {}, {}, fits)) == [
        "node: sub-09 is left out: no value for age.",
        "node (stop): odd",
    ]


def test_variance_groups_come_from_the_column(fit):
    people = {f"{index + 1:02d}": {"site": "AABB"[index]} for index in range(4)}
    assert add_variance_groups(fit, people, "site").variance_groups == ("A", "A", "B", "B")


def test_variance_group_of_one_subject_is_refused(fit):
    people = {f"{index + 1:02d}": {"site": "AAAB"[index]} for index in range(4)}
    with pytest.raises(SettingsError, match="B has one subject"):
        add_variance_groups(fit, people, "site")


def test_subject_without_a_variance_group_is_named(fit):
    people = {f"{index + 1:02d}": {"site": [*"AAB", None][index]} for index in range(4)}
    with pytest.raises(SettingsError, match="no value for sub-04"):
        add_variance_groups(fit, people, "site")


def test_excluded_estimates_are_left_out_with_a_reason(tmp_path):
    (tmp_path / "exclude.json").write_text('{"01": "moved"}')
    entries = [SimpleNamespace(key=SimpleNamespace(entities=(("sub", label),))) for label in ("01", "02")]
    kept, excluded = exclude_listed(entries, [tmp_path, Path("nowhere")])
    assert kept == (entries[1],)
    assert excluded == {"sub-01": "excluded: moved"}


def test_conjunctions_are_read():
    assert read_conjunctions(["both=a, b"]) == {"both": ("a", "b")}


def test_conjunction_of_an_unknown_contrast_is_refused(fit):
    with pytest.raises(SettingsError, match="no node makes the t contrasts mean, other. There are: mean"):
        check_options([fit], GroupOptions(conjunction=("x=mean,other",)))


def test_mask_that_is_not_there_is_refused(fit):
    with pytest.raises(InputError, match="no file nowhere.nii"):
        check_options([fit], GroupOptions(mask="nowhere.nii"))
