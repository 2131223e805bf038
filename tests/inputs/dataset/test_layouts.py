"""Published layouts, and ones made like them: each is read, or refused with the right reason.

As they come (images are empty files), and with headers put into the empty images, which shows what would
happen with the data fetched. Raw datasets without derivatives get fMRIPrep-style ones, named as fMRIPrep
names them (``run-1`` for ``run-01``).
"""

import json
import re
import shutil
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from makers.layouts import RAW_ONLY, SKELETONS

from bidsapp.errors import AppError
from bidsapp.inputs.dataset.open import open_dataset
from bidsapp.inputs.tables.events import read_events
from bidsapp.settings.parts import Selection


def read(folder, **selection):
    return open_dataset(Path(folder), Selection(**selection))


def refusal(folder, **selection):
    with pytest.raises(AppError) as caught:
        read(folder, **selection)
    return caught.value


def image_bytes(tmp_path, n_volumes):
    """Return an image of few voxels as bytes; 3-D where ``n_volumes`` is 0."""
    shape = (2, 2, 2, n_volumes) if n_volumes else (2, 2, 2)
    image = nib.Nifti1Image(np.ones(shape, np.int16), np.eye(4))
    if n_volumes:
        image.header.set_zooms((1, 1, 1, 2.0))
        image.header.set_xyzt_units("mm", "sec")
    path = tmp_path / f"image{n_volumes}.nii.gz"
    nib.save(image, path)
    return path.read_bytes()


def copy_with_headers(source, target, tmp_path):
    """Copy a layout, with a header in every empty image and an object in every empty sidecar."""
    series, volume = image_bytes(tmp_path, 300), image_bytes(tmp_path, 0)
    for path in sorted(source.rglob("*")):
        if path.is_dir():
            continue
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        if not content and path.name.endswith(".nii.gz"):
            content = series if "_bold" in path.name else volume
        if not content and path.name.endswith(".json"):
            content = b'{"RepetitionTime": 2.0, "SkullStripped": false}'
        copy.write_bytes(content)
    return target


def add_derivatives(dataset, tmp_path):
    """Write what fMRIPrep would for every raw BOLD image."""
    series, volume = image_bytes(tmp_path, 300), image_bytes(tmp_path, 0)
    root = dataset / "derivatives" / "fmriprep"
    for bold in sorted(dataset.glob("sub-*/**/*_bold.nii.gz")):
        folder = root / bold.parent.relative_to(dataset)
        folder.mkdir(parents=True, exist_ok=True)
        stem = re.sub(r"_run-0*(\d+)", r"_run-\1", bold.name.removesuffix("_bold.nii.gz"))
        space = f"{stem}_space-MNI152NLin2009cAsym"
        (folder / f"{space}_desc-preproc_bold.nii.gz").write_bytes(series)
        (folder / f"{space}_desc-brain_mask.nii.gz").write_bytes(volume)
        (folder / f"{stem}_desc-confounds_timeseries.tsv").write_text("trans_x\n")
    description = {"Name": "x", "BIDSVersion": "1.8.0", "DatasetType": "derivative"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    return dataset


@pytest.fixture(scope="module")
def derived(layouts, tmp_path_factory):
    @cache
    def make(name):
        tmp_path = tmp_path_factory.mktemp("derived")
        dataset = tmp_path / name
        shutil.copytree(layouts / name, dataset, copy_function=shutil.copyfile)
        for folder in [dataset, *dataset.rglob("*/")]:
            folder.chmod(0o755)
        return add_derivatives(dataset, tmp_path)

    return make


@pytest.mark.parametrize("name", RAW_ONLY)
def test_raw_dataset_without_derivatives_is_refused(layouts, name):
    error = refusal(layouts / name)
    assert "No derivatives with preprocessed BOLD" in str(error)
    assert error.exit_code == 66


def test_every_published_layout_is_tested(reference):
    layouts = reference / "data" / "layouts"
    tested = {*RAW_ONLY, "synthetic", "ds000001-fmriprep", "fmriprep-skeletons"}
    assert {path.name for path in layouts.iterdir() if path.is_dir()} == tested
    skeletons = {path.name for path in (layouts / "fmriprep-skeletons").iterdir() if path.is_dir()}
    assert skeletons == set(SKELETONS)


@pytest.mark.parametrize("name", SKELETONS)
def test_skeleton_with_an_empty_description_is_refused_naming_it(layouts, name):
    error = refusal(layouts / "fmriprep-skeletons" / name)
    assert "dataset_description.json is not valid JSON" in str(error)


def test_derivative_without_its_raw_dataset_has_no_events(layouts):
    error = refusal(layouts / "ds000001-fmriprep")
    assert "No events file" in str(error)
    assert "name the raw dataset as BIDS_DIR" in str(error)


@pytest.mark.parametrize(
    ("name", "n_runs", "n_tasks"),
    [("ds003", 13, 1), ("ds007", 118, 3), ("ds102", 52, 1), ("ds109", 69, 1), ("genetics_ukbb", 14, 1)],
)
def test_derived_layout_is_read_whole(derived, name, n_runs, n_tasks):
    dataset = read(derived(name))
    assert (len(dataset.runs), dataset.faults, dataset.unusable) == (n_runs, (), {})
    assert len({run.entities["task"] for run in dataset.runs}) == n_tasks


@pytest.mark.parametrize("name", ["ds003", "ds007", "ds102", "ds109", "genetics_ukbb", "ds114"])
def test_events_of_a_derived_layout_are_read(derived, name):
    for run in read(derived(name)).runs:
        table = read_events(run.events)
        assert {"onset", "duration"} <= set(table.columns)


def test_runs_match_their_events_whatever_the_padding(derived):
    run = read(derived("ds102"), participant_label=("01",)).runs[1]
    assert run.entities["run"] == "2"
    assert run.events.name == "sub-01_task-flankertask_run-02_events.tsv"


def test_events_at_the_root_serve_every_session(derived):
    dataset = read(derived("ds114"))
    assert len(dataset.runs) == 100
    events = {run.events.name for run in dataset.runs if run.entities["task"] == "fingerfootlips"}
    assert events == {"task-fingerfootlips_events.tsv"}
    (own,) = [run for run in dataset.runs if run.label == "sub-02 ses-test task-linebisection"]
    assert own.events.name == "sub-02_ses-test_task-linebisection_events.tsv"


def test_rest_beside_a_task_is_left_out_with_a_note(derived):
    dataset = read(derived("genetics_ukbb"))
    assert {run.entities["task"] for run in dataset.runs} == {"FaceShapeEmotion"}
    assert any("task rest: left out" in note for note in dataset.notes)


def test_task_named_rest_with_events_is_read(derived):
    dataset = read(derived("eyetracking_fmri"))
    assert {run.events.name for run in dataset.runs} == {"task-rest_events.tsv"}


def test_volume_timing_is_refused_with_the_reason(derived):
    dataset_dir = derived("volume_timing")
    (dataset_dir / "task-rest_events.tsv").write_text("onset\tduration\n1\t2\n")
    dataset = read(dataset_dir)
    refused = {fault.entities["acq"]: str(fault) for fault in dataset.faults}
    assert set(refused) == {"clusteredST", "clusteredTA", "deprecated"}
    assert all("not equally spaced" in message for message in refused.values())
    assert {run.entities["acq"]: run.repetition_time for run in dataset.runs} == {
        "constantDelay": 2.0,
        "constantST": 2.0,
        "dense": 1.0,
    }


def test_synthetic_has_sessions_old_names_two_spaces_and_rest(layouts):
    dataset = read(layouts / "synthetic")
    assert len(dataset.runs) == 20
    assert dataset.faults == ()
    run = dataset.runs[0]
    assert run.mask.name.endswith("_space-MNI152NLin2009cAsym_label-brain_mask.nii")
    assert run.confounds.name == "sub-01_ses-01_task-nback_run-01_timeseries.tsv"
    assert run.events.name == "task-nback_events.tsv" or "nback_run-01_events" in run.events.name
    assert run.repetition_time == 2.5
    assert "space MNI152NLin2009cAsym, the default, of MNI152NLin2009cAsym, T1w" in dataset.notes
    assert any("task rest: left out" in note for note in dataset.notes)


def test_synthetic_in_native_space_of_one_session(layouts):
    dataset = read(layouts / "synthetic", space="T1w", session_label=("02",))
    assert {run.entities["ses"] for run in dataset.runs} == {"02"}
    assert {run.mask.name.split("_")[4] for run in dataset.runs} == {"space-T1w"}


def test_empty_images_are_refused_by_name(layouts, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "task-balloonanalogrisktask_events.tsv").write_text("onset\tduration\n1\t2\n")
    dataset = read(raw, derivatives=(str(layouts / "ds000001-fmriprep"),))
    assert dataset.runs == ()
    assert set(dataset.unusable) == {"10", "11", "13", "16"}
    assert all("is empty (0 bytes)" in reason for reason in dataset.unusable.values())


def test_ds000001_with_headers_is_read(layouts, tmp_path):
    derivative = copy_with_headers(layouts / "ds000001-fmriprep", tmp_path / "fmriprep", tmp_path)
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "task-balloonanalogrisktask_events.tsv").write_text("onset\tduration\n1\t2\n")
    dataset = read(raw, derivatives=(f"fmriprep={derivative}",))
    assert (len(dataset.runs), dataset.faults, dataset.unusable) == (12, (), {})
    assert {run.entities["res"] for run in dataset.runs} == {"2"}
    assert list(dataset.derivatives) == ["fmriprep"]


@pytest.fixture
def skeleton(layouts, tmp_path):
    def make(name, task):
        derivative = copy_with_headers(layouts / "fmriprep-skeletons" / name, tmp_path / name, tmp_path)
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        (raw / f"task-{task}_events.tsv").write_text("onset\tduration\n1\t2\n")
        return {"folder": raw, "derivatives": (str(derivative),)}

    return make


def test_surfaces_alone_are_refused(skeleton):
    error = refusal(**skeleton("ds005_outputs", "mixedgamblestask"))
    assert "only on surfaces (fsaverage5, fsnative)" in str(error)
    assert error.exit_code == 66


def test_default_space_is_chosen_among_several(skeleton):
    dataset = read(**skeleton("ds005_partial_outputs", "mixedgamblestask"))
    assert [run.entities["space"] for run in dataset.runs] == ["MNI152NLin2009cAsym"]
    assert "res" not in dataset.runs[0].entities


def test_native_series_are_passed_over_for_standard_space(skeleton):
    options = skeleton("ds054_outputs", "machinegame")
    dataset = read(**options)
    assert {run.entities["space"] for run in dataset.runs} == {"MNI152NLin2009cAsym"}
    assert {run.entities["res"] for run in dataset.runs} == {"2"}
    native = read(**options, space="func")
    assert all("space" not in run.entities for run in native.runs)
    assert len(native.runs) == len(dataset.runs) == 2


def test_combined_echoes_are_preferred(skeleton):
    options = skeleton("ds210_outputs", "cuedSGT")
    dataset = read(**options)
    assert (len(dataset.runs), dataset.faults) == (1, ())
    assert "echo" not in dataset.runs[0].entities


def test_single_echoes_alone_are_refused(skeleton):
    options = skeleton("ds210_outputs", "cuedSGT")
    for path in Path(options["derivatives"][0]).rglob("*_desc-preproc_bold.nii.gz"):
        if "_echo-" not in path.name:
            path.unlink()
    dataset = read(**options)
    assert dataset.runs == ()
    assert "single echoes only" in next(iter(dataset.unusable.values()))
