"""What users bring, faulty or odd: the right numbers, or a word; and nobody else suffers."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from makers.brain import copy_subjects
from outcomes import call_app

import bidsapp.participant.fit
import bidsapp.participant.subject
import bidsapp.report.pages
from bidsapp.errors import InputError
from bidsapp.report.sections import subject_runs

RUN = Path(__file__).parents[2] / "run.py"
STEM = "sub-01_task-viewing_run-1"


@pytest.fixture(scope="module")
def one_subject(tiny_dataset, tmp_path_factory):
    """Return a copy of the dataset with one subject of two runs; read only."""
    return copy_subjects(tiny_dataset, tmp_path_factory.mktemp("one") / "bids")


@pytest.fixture
def dataset(one_subject, tmp_path):
    folder = tmp_path / "bids"
    shutil.copytree(one_subject, folder)
    return folder


@pytest.fixture
def two(tiny_dataset, tmp_path):
    """Return a copy with two subjects."""
    return copy_subjects(tiny_dataset, tmp_path / "two", 2)


@pytest.fixture(scope="module")
def expected(one_subject, tmp_path_factory):
    """Return the results of the dataset as it is."""
    out = tmp_path_factory.mktemp("expected")
    assert run(one_subject, out) == 0
    return out


def run(dataset, out, *more, pages=False):
    """Run the participant level; with a noise model of one order, as none is chosen here."""
    always = ["--n-cpus", "1", "--noise-model", "ar1-reml"]
    return call_app([dataset, out, "participant", *always, *more], pages=pages)


def warnings_in(text):
    return [line for line in text.splitlines() if " WARNING " in line]


def errors_in(text):
    return [line for line in text.splitlines() if " ERROR " in line]


def problems_in(text):
    return [line for line in text.splitlines() if " PROBLEM: " in line]


def record(out, subject="01"):
    return json.loads((out / f"logs/sub-{subject}_participant.json").read_text())


def find_map(out, stat, contrast="face", *, run="_run-1"):
    (path,) = out.glob(
        f"sub-01/func/sub-01_task-viewing{run}_space-*contrast-{contrast}_stat-{stat}_*.nii.gz"
    )
    return path


def find_model_map(out, stat):
    (path,) = out.glob(f"sub-01/func/sub-01_task-viewing_run-1_*stat-{stat}_*.nii.gz")
    return path


def values(path):
    return nib.load(path).get_fdata()


def sidecar(path):
    return json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())


def events(dataset, pattern="sub-*/func/*_events.tsv"):
    return sorted(dataset.glob(pattern))


def edit_events(paths, change):
    for path in paths:
        table = pd.read_csv(path, sep="\t", keep_default_na=False)
        change(table).to_csv(path, sep="\t", index=False)


def edit_series(dataset, change, run="1"):
    """Rewrite a series as float32 with its values changed."""
    (path,) = dataset.glob(f"derivatives/*/sub-01/func/*run-{run}_*desc-preproc_bold.nii.gz")
    image = nib.load(path)
    data = np.asarray(image.dataobj, np.float32)
    change(data)
    header = image.header.copy()
    header.set_data_dtype(np.float32)
    nib.save(nib.Nifti1Image(data, image.affine, header), path)
    return path


def set_displacement(dataset, above=()):
    """Let framewise displacement exceed 90 mm at these volumes only."""
    (path,) = dataset.glob("derivatives/*/sub-01/func/*run-1_desc-confounds_timeseries.tsv")
    table = pd.read_csv(path, sep="\t", na_values="n/a")
    table["framewise_displacement"] = np.where(np.isin(table.index, above), 99.0, 0.1)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def assert_said_again(dataset, out, capsys, lines, *flags):
    """Call again what is finished: the same warnings, and nothing done."""
    assert run(dataset, out, *flags) == 0
    again = capsys.readouterr().err
    assert "sub-01: finished before" in again
    assert [words_of(line) for line in warnings_in(again)] == [words_of(line) for line in lines]


def words_of(line):
    return line.partition(" WARNING ")[2]


@pytest.mark.parametrize(
    ("volumes", "value", "said"),
    [
        ([76, 77, 78, 79], 0.0, "4 of 80 volumes hold no data .*: 77 to 80"),
        ([0, 1], 0.0, "2 of 80 volumes hold no data .*: 1 to 2"),
        ([40], np.nan, "1 of 80 volumes hold no data .*: 41"),
        ([20, 50], 731.0, "2 of 80 volumes hold no data .*: 21, 51"),
    ],
)
def test_volumes_without_data_are_left_out_as_if_censored(dataset, tmp_path, capsys, volumes, value, said):
    out, by_hand = tmp_path / "out", tmp_path / "by_hand"
    censor = ("--confounds", "motion6+scrub[90,90]")
    set_displacement(dataset, volumes)
    assert run(dataset, by_hand, *censor) == 0
    edit_series(dataset, lambda data: data.__setitem__((..., volumes), value))
    set_displacement(dataset)
    capsys.readouterr()
    assert run(dataset, out, *censor) == 0
    (line,) = warnings_in(capsys.readouterr().err)
    assert re.search(f"sub-01 task-viewing run-1: {said}", line)
    assert_said_again(dataset, out, capsys, [line], *censor)
    for stat in ("effect", "variance", "t"):
        np.testing.assert_array_equal(values(find_map(out, stat)), values(find_map(by_hand, stat)))
    assert find_model_map(out, "rsquare").read_bytes() == find_model_map(by_hand, "rsquare").read_bytes()
    assert record(out)["runs"][0]["censored"] == volumes
    for path in (find_map(out, "effect"), find_map(out, "effect", run="")):
        assert any("hold no data" in words for words in sidecar(path)["Warnings"])


def test_a_run_of_which_much_is_empty_fails(dataset, tmp_path, capsys):
    edit_series(dataset, lambda data: data.__setitem__((..., slice(50, None)), 0))
    assert run(dataset, tmp_path / "out") == 1
    (line,) = errors_in(capsys.readouterr().err)
    assert "sub-01 task-viewing run-1: 30 of 80 volumes hold no data" in line
    assert record(tmp_path / "out")["status"] == "partial"


def test_a_contrast_of_which_only_empty_volumes_tell_is_not_made(dataset, tmp_path, capsys):
    def last_only(table):
        return table.assign(trial_type=["house"] * (len(table) - 1) + ["face"])

    edit_events(events(dataset, "sub-01/func/*run-1_events.tsv"), last_only)
    onset = pd.read_csv(events(dataset)[0], sep="\t")["onset"].iloc[-1]
    edit_series(dataset, lambda data: data.__setitem__((..., slice(int(onset / 2), None)), 0))
    assert run(dataset, tmp_path / "out") == 0
    assert any("not made: face" in line for line in warnings_in(capsys.readouterr().err))
    assert not list((tmp_path / "out").glob("sub-01/func/*run-1*contrast-face_*"))


@pytest.fixture
def block(one_subject):
    """Return a block of voxels deep in the mask, as slices, and all voxels within 6 voxels of it."""
    (path,) = one_subject.glob("derivatives/*/sub-01/func/*run-1_*brain_mask.nii.gz")
    centre = np.round(np.argwhere(values(path) > 0).mean(axis=0)).astype(int)
    return tuple(slice(c - 1, c + 1) for c in centre)


@pytest.mark.parametrize("when", [[30], list(range(80))])
def test_voxels_without_a_value_stay_out_and_spoil_no_other(dataset, tmp_path, capsys, block, when):
    out, expected = tmp_path / "out", tmp_path / "expected"
    # The default noise model makes bins of all voxels' coefficients, so that each voxel has a part in all.
    white = ("--noise-model", "ols")
    assert run(dataset, expected, *white) == 0
    capsys.readouterr()
    edit_series(dataset, lambda data: data.__setitem__((*block, when), np.nan))
    assert run(dataset, out, *white) == 0
    said = warnings_in(capsys.readouterr().err)
    (line,) = [line for line in said if "NaN" in line]
    assert re.search(r"run-1: 8 of [\d,]+ voxels of the mask have no value \(NaN\)", line)
    assert_said_again(dataset, out, capsys, said, *white)
    effect, wanted = values(find_map(out, "effect")), values(find_map(expected, "effect"))
    assert np.isnan(effect[block]).all()
    there = np.isfinite(wanted)
    there[block] = False
    assert np.isfinite(effect[there]).all()
    # Voxels far away are the same; those beside it are smoothed from fewer neighbours.
    assert np.abs(effect - wanted)[there].max() < 0.5 * wanted[there].std()
    assert np.median(np.abs(effect - wanted)[there]) == 0
    both = values(find_map(out, "effect", run=""))
    np.testing.assert_array_equal(both[block], values(find_map(expected, "effect", run="_run-2"))[block])


def shrink_mask(dataset, share):
    """Keep a share of the voxels of a brain mask, from the left."""
    (path,) = dataset.glob("derivatives/*/sub-01/func/*run-1_*brain_mask.nii.gz")
    image = nib.load(path)
    mask = np.asarray(image.dataobj) > 0
    mask[mask] = np.arange(mask.sum()) < share * mask.sum()
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), image.affine), path)


@pytest.mark.parametrize("share", [0.1, 1e-5])
def test_a_brain_mask_of_a_small_part_is_a_warning(dataset, tmp_path, capsys, share):
    shrink_mask(dataset, share)
    assert run(dataset, tmp_path / "out") == 0
    (line,) = warnings_in(capsys.readouterr().err)
    assert "sub-01 task-viewing run-1: the brain mask is far smaller than the data" in line
    assert_said_again(dataset, tmp_path / "out", capsys, [line])
    for end in ("_run-1", ""):
        (words,) = sidecar(find_map(tmp_path / "out", "t", run=end))["Warnings"]
        assert "is far smaller" in words
    assert "Warnings" not in sidecar(find_map(tmp_path / "out", "t", run="_run-2"))


def test_a_brain_mask_of_half_the_brain_is_taken(dataset, tmp_path, capsys):
    shrink_mask(dataset, 0.5)
    assert run(dataset, tmp_path / "out") == 0
    assert not warnings_in(capsys.readouterr().err)


def test_missing_values_outside_the_mask_change_nothing(dataset, tmp_path, capsys, expected):
    (path,) = dataset.glob("derivatives/*/sub-01/func/*run-1_*brain_mask.nii.gz")
    outside = values(path) == 0
    edit_series(dataset, lambda data: data.__setitem__(outside, np.nan))
    assert run(dataset, tmp_path / "out") == 0
    assert not warnings_in(capsys.readouterr().err)
    wanted = values(find_map(expected, "effect"))
    np.testing.assert_allclose(values(find_map(tmp_path / "out", "effect")), wanted)


# Events


def times(factor, *columns):
    def change(table):
        return table.assign(**{name: pd.to_numeric(table[name]) * factor for name in columns})

    return change


@pytest.mark.parametrize(
    ("factor", "columns", "said"),
    [
        (1000, ("onset", "duration"), "lie outside the run .*; are they milliseconds"),
        (1000, ("onset",), "lie outside the run .*; are they milliseconds"),
        (10, ("onset", "duration"), "lie outside the run .*; are they tenths of seconds"),
        (1000, ("duration",), "last longer than the run .*; are they milliseconds"),
    ],
)
def test_times_in_another_unit_end_their_run(dataset, tmp_path, capsys, factor, columns, said):
    edit_events(events(dataset, "sub-01/func/*run-1_events.tsv"), times(factor, *columns))
    assert run(dataset, tmp_path / "out", "--dry-run") == 1
    (line,) = problems_in(capsys.readouterr().out)
    assert re.search(f"sub-01 task-viewing run-1: .* events {said}", line)


def test_times_in_another_unit_everywhere_are_told_run_by_run(dataset, tmp_path, capsys):
    edit_events(events(dataset), times(1000, "onset", "duration"))
    assert run(dataset, tmp_path / "out") == 65
    said = capsys.readouterr().err
    assert "sub-01 task-viewing run-1: " in said
    assert "sub-01 task-viewing run-2: " in said
    assert "are they milliseconds" in said


def shuffled_twice(table):
    return pd.concat([table, table.iloc[:3]]).sample(frac=1, random_state=1)


def some_late(table):
    return table.assign(onset=[*table.onset[:-2], 170.0, 180.0])


def in_minutes(table):
    return table.assign(onset=table.onset / 60, duration=table.duration / 60)


def without_a_time(name):
    def change(table):
        return table.astype({name: object}).assign(**{name: ["n/a", *table[name][1:]]})

    return change


def one_long(table):
    return table.assign(duration=[999.0, *table.duration[1:]])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shuffled_twice, "3 rows repeat the onset, trial_type of another row"),
        (some_late, r"2 of \d+ events lie outside the run"),
        (one_long, r"1 of \d+ events last longer than the run"),
        (in_minutes, r"all \d+ events lie in the first [\d.]+ s of a run of 160 s"),
        (without_a_time("onset"), "1 events without an onset are left out"),
        (without_a_time("duration"), "1 events without a duration are taken as impulses"),
        (times(10, "duration"), "events of one condition are on at the same time for most of their time"),
    ],
)
def test_events_that_cannot_be_meant_are_a_warning_everywhere(dataset, tmp_path, capsys, change, said):
    out = tmp_path / "out"
    edit_events(events(dataset, "sub-01/func/*run-1_events.tsv"), change)
    assert run(dataset, out, "--dry-run") == 0
    assert re.search(f"WARNING: sub-01 task-viewing run-1: .*{said}", capsys.readouterr().out)
    assert run(dataset, out) == 0
    (line,) = warnings_in(capsys.readouterr().err)
    assert re.search(f"sub-01 task-viewing run-1: .*{said}", line)
    assert_said_again(dataset, out, capsys, [line])
    for path in (find_map(out, "t"), find_map(out, "t", run="")):
        (words,) = sidecar(path)["Warnings"]
        assert re.search(said, words)
    assert "Warnings" not in sidecar(find_map(out, "t", run="_run-2"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.rename(columns={"trial_type": "stim_type"}), "no column trial_type"),
        (lambda t: t.assign(kind=t.trial_type, trial_type="n/a"), "trial_type is n/a in every row"),
    ],
)
def test_events_without_trial_types_are_one_condition_with_a_warning(dataset, tmp_path, capsys, change, said):
    edit_events(events(dataset), change)
    assert run(dataset, tmp_path / "out") == 0
    (line,) = warnings_in(capsys.readouterr().err)
    assert said in line
    assert re.search(r"may hold conditions: (stim_type|kind) \(2 values\)", line)
    assert said in sidecar(find_map(tmp_path / "out", "t", "task"))["Warnings"][0]


@pytest.mark.parametrize("missing", ["n/a", "NA", ""])
def test_events_of_no_trial_type_are_shown_and_no_condition(dataset, tmp_path, missing):
    def some(table):
        return table.assign(trial_type=[missing] * 3 + [*table.trial_type[3:]])

    edit_events(events(dataset), some)
    assert run(dataset, tmp_path / "out", pages=True) == 0
    assert record(tmp_path / "out")["status"] == "complete"
    assert {e["contrast"] for e in record(tmp_path / "out")["estimates"]} == {
        "face",
        "house",
        "faceMinusHouse",
        "effectsOfInterest",
    }
    assert (tmp_path / "out/sub-01.html").is_file()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("onset", "ONSET").replace("duration", "Duration"), "did you mean 'ONSET'"),
        (lambda text: text.replace("\t", ","), "is not tab-separated: its first line is 'onset,duration"),
        (lambda text: text.replace("\t", ";"), "is not tab-separated: its first line is 'onset;duration"),
        (lambda text: text.replace("\t", "    "), "is not tab-separated: its first line is 'onset  "),
        (lambda text: text.replace("response_time", "trial_type"), "has several columns 'trial_type'"),
    ],
)
def test_events_that_nobody_can_read_are_told_by_their_reader(dataset, tmp_path, capsys, change, said):
    for path in events(dataset):
        path.write_text(change(path.read_text()))
    assert run(dataset, tmp_path / "out") == 65
    told = capsys.readouterr().err
    assert f"{STEM}_events.tsv" in told
    assert said in told


def beside_the_images(dataset):
    for path in events(dataset):
        shutil.move(path, dataset / "derivatives/fmriprep/sub-01/func" / path.name)


def linked(*parts):
    """Return a function that puts a folder elsewhere and a link in its place."""

    def change(dataset):
        for root in (dataset, dataset / "derivatives/fmriprep"):
            folder = root.joinpath(*parts)
            target = dataset.parent / f"store-{root.name}"
            folder.rename(target)
            folder.symlink_to(target)
        (dataset / "sub-01" / "sub-01").symlink_to(dataset)

    return change


@pytest.mark.parametrize(
    "change", [beside_the_images, linked("sub-01"), linked("sub-01", "func")], ids=["events", "sub", "func"]
)
def test_files_are_found_where_they_are(dataset, tmp_path, expected, change):
    change(dataset)
    assert run(dataset, tmp_path / "out") == 0
    wanted = values(find_map(expected, "t", run=""))
    np.testing.assert_array_equal(values(find_map(tmp_path / "out", "t", run="")), wanted)


# Timing, confounds, grids


def drop_sidecars(dataset, pattern):
    (dataset / "task-viewing_bold.json").unlink()
    for path in dataset.glob(f"derivatives/*/sub-01/func/{pattern}_bold.json"):
        path.unlink()


def set_header_time(dataset, seconds):
    (path,) = dataset.glob("derivatives/*/sub-01/func/*run-1_*desc-preproc_bold.nii.gz")
    image = nib.load(path)
    image.header.set_zooms((*image.header.get_zooms()[:3], seconds))
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header), path)


def test_a_header_that_contradicts_other_runs_ends_its_run(dataset, tmp_path, capsys):
    drop_sidecars(dataset, "*run-1*")
    set_header_time(dataset, 1.0)
    assert run(dataset, tmp_path / "out") == 1
    assert (
        "its image header says 1 s, other runs of the task have 2 s" in errors_in(capsys.readouterr().err)[0]
    )


def test_a_repetition_time_of_a_header_is_a_warning(dataset, tmp_path, capsys):
    drop_sidecars(dataset, "*")
    assert run(dataset, tmp_path / "out") == 0
    (said,) = warnings_in(capsys.readouterr().err)
    assert "run-2: No RepetitionTime in the sidecar: 2 s is taken from the image header" in said
    assert "run-1" in said


def edit_confounds(dataset, change):
    (path,) = dataset.glob("derivatives/*/sub-01/func/*run-1_desc-confounds_timeseries.tsv")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    change(table).to_csv(path, sep="\t", index=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(framewise_displacement="n/a"), "all values of column framewise_displacement"),
        (lambda t: t.assign(std_dvars="n/a"), "all values of column std_dvars are missing"),
        (lambda t: pd.concat([t, t.iloc[-3:]]), "has 83 rows and the images have 80 volumes"),
        (lambda t: t.iloc[4:], "has 76 rows and the images have 80 volumes"),
    ],
)
def test_confounds_that_cannot_be_used_end_their_run(dataset, tmp_path, capsys, change, said):
    edit_confounds(dataset, change)
    assert run(dataset, tmp_path / "out", "--confounds", "motion6+scrub", "--dry-run") == 1
    (line,) = problems_in(capsys.readouterr().out)
    assert "sub-01 task-viewing run-1: " in line
    assert said in line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("\t", ","), "is not tab-separated: its first line is 'trans_x,"),
        (lambda text: text.replace("trans_", "Trans_"), "did you mean 'Trans_x'?"),
        (lambda text: text.replace(".", ","), "column trans_x, line 2: '-?0,\\d+' is not a number"),
    ],
)
def test_confounds_that_a_spreadsheet_wrote_are_told(dataset, tmp_path, capsys, change, said):
    (path,) = dataset.glob("derivatives/*/sub-01/func/*run-1_desc-confounds_timeseries.tsv")
    path.write_text(change(path.read_text()))
    assert run(dataset, tmp_path / "out", "--dry-run") == 1
    (line,) = problems_in(capsys.readouterr().out)
    assert "sub-01 task-viewing run-1: " in line
    assert re.search(said, line)


def test_events_before_a_late_start_end_their_run(dataset, tmp_path, capsys):
    (path,) = dataset.glob("derivatives/*/sub-01/func/*run-1_*bold.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"StartTime": 1000}))
    assert run(dataset, tmp_path / "out", "--dry-run") == 1
    (line,) = problems_in(capsys.readouterr().out)
    assert re.search(
        r"(\d+) of \1 events lie outside the run \(.* that begins at 1,000 s \(StartTime\)\)", line
    )


def test_a_mask_of_several_volumes_is_told_by_the_plan(dataset, tmp_path, capsys):
    (path,) = dataset.glob("derivatives/*/sub-01/func/*run-1_*brain_mask.nii.gz")
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.stack([np.asarray(image.dataobj)] * 2, axis=-1), image.affine), path)
    assert run(dataset, tmp_path / "out", "--dry-run") == 1
    (line,) = problems_in(capsys.readouterr().out)
    assert "sub-01 task-viewing run-1 has a mask of 2 volumes" in line


def smaller(data, affine):
    return data[1:], affine


def moved(data, affine):
    affine = affine.copy()
    affine[0, 3] += 4
    return data, affine


def other_voxels(data, affine):
    return data, affine @ np.diag([1.1, 1.1, 1.1, 1])


@pytest.mark.parametrize("change", [smaller, moved, other_voxels])
def test_runs_on_two_grids_are_not_combined_and_others_are(two, tmp_path, capsys, change):
    for ending in ("desc-preproc_bold", "desc-brain_mask"):
        (path,) = two.glob(f"derivatives/*/sub-01/func/*run-2_*{ending}.nii.gz")
        image = nib.load(path)
        data, affine = change(np.asarray(image.dataobj), image.affine)
        nib.save(nib.Nifti1Image(data, affine, image.header), path)
    assert run(two, tmp_path / "out", "--dry-run") == 1
    assert re.search(r"PROBLEM: .*run-2.* is on another grid than .*run-1", capsys.readouterr().out)
    assert run(two, tmp_path / "out") == 1
    (line,) = errors_in(capsys.readouterr().err)
    assert "sub-01" in line
    assert "is on another grid" in line
    assert record(tmp_path / "out")["status"] == "partial"
    assert record(tmp_path / "out", "02")["status"] == "complete"
    assert not [e for e in record(tmp_path / "out")["estimates"] if e["level"] == "subject"]


# Whatever a participant meets ends that participant only


def test_no_run_at_all_is_told_run_by_run(two, tmp_path, capsys):
    for path in two.rglob("*_bold.json"):
        path.write_text(json.dumps({"RepetitionTime": 2000}))
    assert run(two, tmp_path / "out") == 65
    told = capsys.readouterr().err
    assert told.count("has a RepetitionTime of 2000 s") == 4


def fails_for_first(error, function):
    """Return a function that raises for sub-01 and works for others."""

    def change(*arguments, **more):
        if any(mark in repr(arguments[:2]) for mark in ("sub-01", "'01'")):
            raise error
        return function(*arguments, **more)

    return change


@pytest.mark.parametrize("error", [InputError("it is broken."), ValueError("what nobody thought of")])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (bidsapp.participant.subject, "fit_run"),
        (bidsapp.participant.fit, "intersect_masks"),
        (bidsapp.participant.subject, "forecast_gb"),
        (bidsapp.participant.subject, "write_subject_report"),
    ],
)
def test_an_error_of_one_participant_lets_others_finish(two, capsys, monkeypatch, error, module, name):
    out = two.parent / "out"
    monkeypatch.setattr(module, name, fails_for_first(error, getattr(module, name)))
    assert run(two, out, pages=name == "write_subject_report") == 1
    (line,) = errors_in(capsys.readouterr().err)
    assert "sub-01" in line
    assert str(error) in line
    assert record(out, "02")["status"] == "complete"
    assert (out / "sub-02.html").is_file() == (name == "write_subject_report")
    log = out / "logs/sub-01_traceback.txt"
    assert isinstance(error, InputError) or "what nobody thought of" in log.read_text()
    monkeypatch.undo()
    assert run(two, out) == 0
    assert not log.exists()


def test_a_section_that_cannot_be_made_costs_only_itself(two, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    sections, runs = bidsapp.report.pages.SUBJECT_SECTIONS, subject_runs.make_sections

    def broken(results, book):
        if results.name == "sub-01":
            raise TypeError("this section is broken")
        return runs(results, book)

    broken.__module__ = runs.__module__
    changed = tuple(broken if make is runs else make for make in sections)
    monkeypatch.setattr(bidsapp.report.pages, "SUBJECT_SECTIONS", changed)
    edit_series(two, lambda data: data.__setitem__((..., 40), 0))
    edit_events(events(two, "sub-01/func/*run-1_events.tsv"), some_late)
    assert run(two, out, pages=True) == 1
    said = capsys.readouterr().err
    told = "1 of 80 volumes hold no data", "events lie outside the run"
    assert all(any(words in line for line in warnings_in(said)) for words in told)
    (line,) = errors_in(said)
    assert "sub-01" in line
    assert "subject runs" in line
    assert record(out)["status"] == "complete"
    assert "this section is broken" in (out / "sub-01.html").read_text()
    monkeypatch.undo()
    assert run(two, out, pages=True) == 0
    page = (out / "sub-01.html").read_text()
    assert "this section is broken" not in page
    assert all(words in page for words in told)


def test_a_participant_without_any_estimate_has_failed(two, tmp_path, capsys):
    def without_events(table):
        return table.assign(trial_type="n/a")

    edit_events(events(two, "sub-02/func/*_events.tsv"), without_events)
    assert run(two, tmp_path / "out") == 1
    (line,) = errors_in(capsys.readouterr().err)
    assert "sub-02: no run can make any contrast" in line
    assert record(tmp_path / "out", "02")["status"] == "failed"


def test_a_lost_contrast_is_a_warning(two, tmp_path, capsys):
    def no_face(table):
        return table[table.trial_type != "face"]

    edit_events(events(two, "sub-02/func/*run-1_events.tsv"), no_face)
    assert run(two, tmp_path / "out") == 0
    (line,) = [line for line in warnings_in(capsys.readouterr().err) if "faceMinusHouse" in line]
    assert "sub-02 task-viewing run-1: not made: " in line


# Surroundings


@pytest.mark.parametrize("form", ["--dry-run", "--dry-run=json"])
@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["ascii", "C locale"],
)
def test_a_terminal_of_any_alphabet_shows_the_plan(dataset, tmp_path, environment, form):
    edit_events(events(dataset), lambda t: t.assign(trial_type=t.trial_type.replace("face", "stra\u00dfe")))
    done = subprocess.run(
        [sys.executable, str(RUN), str(dataset), str(tmp_path / "out"), "participant", form],
        env={"PATH": ""} | environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"stra\\" in done.stdout


def link_nowhere(path):
    path.unlink()
    path.symlink_to("../../.git/annex/objects/aa/bb/MD5E-s1")


def make_pointer(path):
    path.write_text("/annex/objects/MD5E-s100--0123456789abcdef.nii.gz\n")


@pytest.mark.parametrize("change", [link_nowhere, make_pointer])
@pytest.mark.parametrize(
    "pattern",
    [
        "derivatives/*/sub-01/func/*run-1_*desc-preproc_bold.nii.gz",
        "derivatives/*/sub-01/func/*run-1_*brain_mask.nii.gz",
        "derivatives/*/sub-01/func/*run-1_*timeseries.tsv",
        "derivatives/*/sub-01/func/*run-1_*preproc_bold.json",
        "sub-01/func/*run-1_events.tsv",
    ],
)
def test_content_that_was_not_fetched_is_called_so(dataset, tmp_path, capsys, change, pattern):
    (path,) = dataset.glob(pattern)
    change(path)
    assert run(dataset, tmp_path / "out", "--dry-run") == 1
    (line,) = problems_in(capsys.readouterr().out)
    assert "run-1" in line
    assert re.search(
        f"{path.name} is a (link|pointer) to content that is not here. Fetch it: datalad get", line
    )


def test_a_sidecar_of_confounds_that_was_not_fetched_ends_its_run(dataset, tmp_path, capsys):
    (path,) = dataset.glob("derivatives/*/sub-01/func/*run-1_*timeseries.json")
    link_nowhere(path)
    assert run(dataset, tmp_path / "out", "--dry-run", "--confounds", "acompcor2") == 1
    (line,) = problems_in(capsys.readouterr().out)
    assert f"sub-01 task-viewing run-1: {path} is a link to content that is not here" in line


def rename_all(dataset, old, new):
    for path in sorted(dataset.rglob(f"*{old}*"), key=lambda path: -len(path.parts)):
        path.rename(path.with_name(path.name.replace(old, new)))


@pytest.mark.parametrize("label", ["my_02", "my 02", "my-02", "my.02", "m\u00fc02"])
def test_a_label_of_other_signs_is_told(two, tmp_path, capsys, label):
    rename_all(two, "sub-02", f"sub-{label}")
    assert run(two, tmp_path / "out", "--dry-run") == 1
    (line,) = problems_in(capsys.readouterr().out)
    assert f"sub-{label} has a label with other signs. A label is of letters and digits" in line


@pytest.mark.parametrize(("task", "part"), [("view_ing", "'ing'"), ("view ing", "'task-view ing'")])
def test_other_signs_in_a_task_end_the_runs_of_it(two, tmp_path, capsys, task, part):
    for folder in (two / "sub-02", two / "derivatives/fmriprep/sub-02"):
        rename_all(folder, "task-viewing", f"task-{task}")
    assert run(two, tmp_path / "out", "--dry-run") == 1
    (line,) = problems_in(capsys.readouterr().out)
    assert f"has {part} in the name sub-02_task-{task}_run-1" in line


def test_components_of_two_masks_stand_for_the_combined_one_with_a_warning(dataset, tmp_path, capsys):
    def rename(table):
        parts = [name.replace("a_comp_cor_0", "cw"[k % 2] + "_comp_cor_0") for k, name in enumerate(table)]
        return table.set_axis(parts, axis=1)

    edit_confounds(dataset, rename)
    next(dataset.glob("derivatives/*/sub-01/func/*run-1_*timeseries.json")).unlink()
    assert run(dataset, tmp_path / "out", "--dry-run", "--confounds", "acompcor2") == 0
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.startswith("WARNING")]
    assert "acompcor takes as many of c_comp_cor and of w_comp_cor each" in line
    assert len(re.findall(r"[cw]_comp_cor_\d", said.split("run-2:")[0])) >= 4
