"""Bad input through the command line: a clear message, the right exit code, nothing half-written."""

import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from documents import contrast, factor_and_convolve, make_document, run_node, write_model
from makers.brain import copy_subjects
from outcomes import call_app

SPACE = "space-MNI152NLin2009cAsym"


@pytest.fixture
def dataset(tiny_dataset, tmp_path):
    """Return a copy of the demo dataset with two of its subjects, to be damaged."""
    return copy_subjects(tiny_dataset, tmp_path / "bids", 2)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def call(dataset, out, capfd):
    """Return a function that runs the app and returns its exit code and what it said."""

    def run(*arguments, levels=("participant",), bids_dir=dataset, pages=False):
        always = ("--n-cpus", "1", "--noise-model", "ols")
        code = call_app([bids_dir, out, *levels, *always, *arguments], pages=pages)
        captured = capfd.readouterr()
        return code, " ".join((captured.err + captured.out).split())

    return run


def derived(dataset, subject, run, ending):
    folder = dataset / "derivatives/fmriprep" / f"sub-{subject}" / "func"
    (path,) = folder.glob(f"*_run-{run}_*{ending}")
    return path


def raw_events(dataset, subject, run):
    return dataset / f"sub-{subject}/func/sub-{subject}_task-viewing_run-{run}_events.tsv"


def edit_confounds(dataset, subject, run, change):
    path = derived(dataset, subject, run, "confounds_timeseries.tsv")
    change(pd.read_csv(path, sep="\t", na_values="n/a")).to_csv(path, sep="\t", index=False, na_rep="n/a")


def write_model_of(dataset, condition, **wanted):
    rules = [contrast("c", [condition], [1])]
    node = run_node(["trial_type.*", 1], Name="runs", Transformations=factor_and_convolve(), Contrasts=rules)
    return write_model(make_document(node, Input=wanted), dataset.parent)


def test_unknown_participant(call, out):
    code, said = call("--participant-label", "sub-09")
    assert code == 18
    assert "No preprocessed BOLD of sub-09" in said
    assert "01" in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("flag", "label", "near"),
    [("--task-label", "viewin", "viewing"), ("--run-label", "3", "1, 2"), ("--session-label", "a", "none")],
)
def test_unknown_label_of_another_kind(call, out, flag, label, near):
    code, said = call(flag, label)
    assert code == 18
    assert near in said
    assert not out.exists()


def test_unknown_space(call, out):
    code, said = call("--space", "MNI152NLin6Asym")
    assert code == 18
    assert "There are: MNI152NLin2009cAsym" in said
    assert not out.exists()


def test_missing_folder(call, out, tmp_path):
    code, said = call(bids_dir=tmp_path / "nowhere")
    assert code == 66
    assert "nowhere does not exist" in said
    assert not out.exists()


def test_folder_that_is_no_dataset(call, out, tmp_path):
    (tmp_path / "empty").mkdir()
    code, said = call(bids_dir=tmp_path / "empty")
    assert code == 16
    assert "is not a BIDS dataset" in said
    assert not out.exists()


def test_no_derivatives(call, dataset, out):
    shutil.rmtree(dataset / "derivatives")
    code, said = call()
    assert code == 66
    assert "Name the folder of fMRIPrep's output with --derivatives" in said
    assert not out.exists()


def assert_only_that_run_is_lost(out, subject="02", kept="2"):
    """Check that the other run of a subject, and the other subject, are finished."""
    others = [label for label in ("01", "02") if label != subject]
    assert [record(out, label)["status"] for label in others] == ["complete"]
    assert record(out, subject)["status"] == "partial"
    assert [run["entities"]["run"] for run in record(out, subject)["runs"]] == [kept]
    assert record(out, subject)["estimates"]


def test_missing_events_of_two_runs_are_named_together(call, dataset, out):
    raw_events(dataset, "01", "2").unlink()
    raw_events(dataset, "02", "1").unlink()
    code, said = call("--dry-run")
    assert code == 1
    assert "sub-01 task-viewing run-2 has no events file" in said
    assert "sub-02_task-viewing_run-1_events.tsv" in said
    assert not out.exists()


def test_no_events_at_all(call, dataset, out):
    for path in dataset.glob("sub-*/func/*_events.tsv"):
        path.unlink()
    code, said = call()
    assert code == 66
    assert "No events file for any run of task viewing" in said
    assert not out.exists()


def test_events_with_a_fault_name_file_column_and_line(call, dataset, out):
    raw_events(dataset, "02", "1").write_text("onset\tduration\ttrial_type\n1\t2\tface\nsoon\t2\thouse\n")
    code, said = call(pages=True)
    assert code == 1
    assert "sub-02 task-viewing run-1" in said
    assert "column onset, line 3: 'soon' is not a number" in said
    assert_only_that_run_is_lost(out)
    assert (out / "index.html").is_file()
    assert (out / "sub-02.html").is_file()


def test_missing_confounds_column(call, dataset, out):
    edit_confounds(dataset, "02", "1", lambda table: table.drop(columns="trans_x"))
    code, said = call()
    assert code == 1
    assert "sub-02 task-viewing run-1" in said
    assert "trans_x" in said
    assert_only_that_run_is_lost(out)


def test_missing_confounds_file(call, dataset, out):
    derived(dataset, "02", "1", "confounds_timeseries.tsv").unlink()
    code, said = call()
    assert code == 1
    assert "sub-02 task-viewing run-1" in said
    assert "confounds" in said
    assert_only_that_run_is_lost(out)


def test_confounds_of_another_length(call, dataset, out):
    edit_confounds(dataset, "02", "1", lambda table: table.iloc[:-3])
    code, said = call()
    assert code == 1
    assert "has 77 rows and the images have 80 volumes" in said
    assert_only_that_run_is_lost(out)


def test_mask_on_another_grid_ends_its_run(call, dataset, out):
    path = derived(dataset, "02", "1", "desc-brain_mask.nii.gz")
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[:-1], image.affine), path)
    code, said = call()
    assert code == 1
    assert "sub-02 task-viewing run-1" in said
    assert "run-1_space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz is on another grid" in said
    assert_only_that_run_is_lost(out)


def test_missing_mask(call, dataset, out):
    derived(dataset, "02", "1", "desc-brain_mask.nii.gz").unlink()
    code, said = call()
    assert code == 1
    assert "sub-02 task-viewing run-1 has no brain mask" in said
    assert_only_that_run_is_lost(out)


def test_volume_given_as_series(call, dataset, out):
    path = derived(dataset, "01", "1", "desc-preproc_bold.nii.gz")
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[..., 0], image.affine), path)
    code, said = call()
    assert code == 1
    assert "sub-01 task-viewing run-1 is not a series of volumes" in said
    assert_only_that_run_is_lost(out, "01")


def test_output_folder_inside_the_input(dataset, capfd):
    target = dataset / "results"
    assert call_app([dataset, target, "participant"]) == 64
    assert "lies inside the input" in capfd.readouterr().err
    assert not target.exists()


def test_output_folder_is_the_input(dataset, capfd):
    before = sorted(path.name for path in dataset.iterdir())
    assert call_app([dataset, dataset, "participant"]) == 64
    assert "Use for example" in capfd.readouterr().err
    assert sorted(path.name for path in dataset.iterdir()) == before


def test_output_folder_of_another_program(call, out):
    out.mkdir()
    description = json.dumps({"Name": "x", "GeneratedBy": [{"Name": "fMRIPrep"}]})
    (out / "dataset_description.json").write_text(description)
    code, said = call()
    assert code == 73
    assert "holds another dataset" in said
    assert (out / "dataset_description.json").read_text() == description
    assert not list(out.rglob("*.nii.gz"))


def test_model_with_a_condition_that_does_not_exist(call, dataset, out):
    code, said = call("--model", write_model_of(dataset, "trial_type.hause"))
    assert code == 65
    assert "trial_type.hause" in said
    assert "Did you mean 'trial_type.house'" in said
    assert not out.exists()


def test_fault_of_a_run_that_the_model_leaves_out_does_not_count(call, dataset):
    raw_events(dataset, "02", "2").unlink()
    code, _ = call("--model", write_model_of(dataset, "trial_type.house", run=["1"]), "--dry-run")
    assert code == 0
    code, said = call("--model", write_model_of(dataset, "trial_type.house", run=["2"]), "--dry-run")
    assert code == 1
    assert "sub-02 task-viewing run-2 has no events file" in said


def test_contrast_with_a_condition_that_does_not_exist(call, out):
    code, said = call("--contrast", "a=face - hause")
    assert code == 64
    assert "hause" in said
    assert "house" in said
    assert not out.exists()


@pytest.mark.parametrize(("content", "says"), [(None, "missing.json"), ("{", "line 1"), ("[]", "object")])
def test_model_file_that_is_none(call, out, tmp_path, content, says):
    path = tmp_path / "missing.json"
    if content is not None:
        path.write_text(content)
    code, said = call("--model", path)
    assert code == (66 if content is None else 65)
    assert says in said
    assert not out.exists()


def test_unknown_level_and_unknown_flag(call, out):
    assert call(levels=("subject",))[0] == 17
    code, said = call("--smoothing", "6")
    assert code == 64
    assert "--smoothing-fwhm" in said
    assert not out.exists()


def test_unknown_confound_strategy(call, out):
    code, said = call("--confounds", "motion7")
    assert code == 64
    assert "motion6" in said
    assert not out.exists()


def test_group_before_participant(call):
    code, said = call(levels=("group",))
    assert code == 66
    assert "participant level first" in said


def test_group_in_a_native_space(call, dataset, out):
    for path in (dataset / "derivatives").rglob(f"*_{SPACE}_*"):
        path.rename(path.with_name(path.name.replace(SPACE, "space-T1w")))
    code, said = call(levels=("participant", "group"))
    assert code == 64
    assert "T1w differs between participants" in said
    assert not out.exists()


def unfinished(out):
    """Return files that an interrupted write would leave."""
    return [path for path in out.rglob("*") if path.name.startswith(".") and path.name != ".bidsignore"]


def record(out, subject):
    return json.loads((out / f"logs/sub-{subject}_participant.json").read_text())


def test_truncated_series_fails_its_run_and_the_others_go_on(call, dataset, out):
    path = derived(dataset, "02", "1", "desc-preproc_bold.nii.gz")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, said = call()
    assert code == 1
    assert path.name in said
    assert "truncated" in said
    assert record(out, "01")["status"] == "complete"
    assert record(out, "02")["status"] == "partial"
    assert [run["label"] for run in record(out, "02")["runs"]] == ["sub-02 task-viewing run-2"]
    assert not list(out.glob("sub-02/func/*run-1*"))
    assert unfinished(out) == []
    for image in out.rglob("*.nii.gz"):
        nib.load(image).get_fdata()


def test_subject_without_a_usable_run_fails_and_the_others_go_on(call, dataset, out):
    for run in ("1", "2"):
        raw_events(dataset, "02", run).unlink()
    code, said = call()
    assert code == 1
    assert "sub-02" in said
    assert "has no events file" in said
    assert record(out, "01")["status"] == "complete"
    assert record(out, "02")["status"] == "failed"
    assert unfinished(out) == []
