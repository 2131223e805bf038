"""Datasets that are laid out as published ones are: names as there, images empty or tiny, tables invented.

Each layout stands for one oddity: padded run numbers, sessions with events at the root, rest beside a task,
times of volumes, names of old fMRIPrep, surfaces only, single echoes. Counts and names are those of the
datasets of the same names at OpenNeuro, in bids-examples, and among the skeletons of fMRIPrep's tests.
"""

from itertools import product

import nibabel as nib
import numpy as np
import pandas as pd

from makers.brain import SPACE, describe, save_image, save_series, write_json, write_table

# Their events have no column trial_type, and no row.
WITHOUT_TRIAL_TYPE = ("genetics_ukbb", "eyetracking_fmri")
HEADER_ALONE = ("eyetracking_fmri",)
STOP_SIGNAL = [f"stopsignalwith{kind}" for kind in ("letternaming", "manualresponse", "pseudowordnaming")]
VERBS = ["covertverbgeneration", "fingerfootlips", "overtverbgeneration", "overtwordrepetition"]
# Times of the volumes in s: three at once, then a pause.
CLUSTERED = {"VolumeTiming": [0.0, 1.0, 2.0, 6.0, 7.0, 8.0, 12.0, 13.0, 14.0]}
SLICES = {"SliceTiming": [round(0.1 * number, 1) for number in range(10)]}
TIMINGS = {
    "clusteredST": CLUSTERED | SLICES,
    "clusteredTA": CLUSTERED | {"FrameAcquisitionDuration": 1.0},
    "constantDelay": {"RepetitionTime": 2, "DelayTime": 1.0},
    "constantST": {"RepetitionTime": 2} | SLICES,
    "dense": {"RepetitionTime": 1},
    "deprecated": CLUSTERED | {"AcquisitionDuration": 1.0},
}
RAW_ONLY = ("ds003", "ds007", "ds102", "ds109", "ds114", "eyetracking_fmri", "genetics_ukbb", "volume_timing")
SKELETONS = ("ds005_outputs", "ds005_partial_outputs", "ds054_outputs", "ds210_outputs")
MOTION_TERMS = [
    f"{kind}_{axis}{end}" for end in ("", "_derivative1") for kind in ("trans", "rot") for axis in "xyz"
]
OLD_CONFOUNDS = ["CSF", "WhiteMatter", "FramewiseDisplacement", "aCompCor00", "Cosine00"]
OLD_MOTION = ["X", "Y", "Z", "RotX", "RotY", "RotZ"]


def make_layouts(folder):
    """Write every layout into a folder of its name."""
    _add_raw(folder / "ds003", _labels(13), ["rhymejudgment"])
    letters, *others = STOP_SIGNAL
    _add_raw(folder / "ds007", _labels(19), [letters], runs=("01", "02"))
    _add_raw(folder / "ds007", _labels(20), others, runs=("01", "02"))
    _add_raw(folder / "ds102", _labels(26), ["flankertask"], runs=("01", "02"))
    beliefs = ["theoryofmindwithmanualresponse"]
    _add_raw(folder / "ds109", _labels(33), beliefs, runs=("01", "02"))
    _add_raw(folder / "ds109", ["34", "35", "36"], beliefs, runs=("01",))
    _add_raw(folder / "ds114", _labels(10), VERBS, sessions=("test", "retest"), events="root")
    _add_raw(folder / "ds114", _labels(10), ["linebisection"], sessions=("test", "retest"))
    _add_raw(folder / "genetics_ukbb", _labels(14), ["FaceShapeEmotion"])
    _add_raw(folder / "genetics_ukbb", _labels(14), ["rest"], events="none")
    _add_raw(
        folder / "eyetracking_fmri", ["01"], ["rest"], sessions=("01",), runs=("01", "02"), events="root"
    )
    _make_volume_timing(folder / "volume_timing")
    _make_ds000001(folder / "ds000001-fmriprep")
    _make_skeletons(folder / "fmriprep-skeletons")
    _make_synthetic(folder / "synthetic")


def _labels(n_subjects):
    return [f"{number:02d}" for number in range(1, n_subjects + 1)]


def _stem(**entities):
    return "_".join(f"{key}-{value}" for key, value in entities.items() if value)


def _add_raw(root, subjects, tasks, *, sessions=("",), runs=("",), events="own"):
    """Add empty BOLD images, and events beside them (``own``), at the ``root`` or ``none``."""
    describe(root, "raw")
    levels = () if root.name in WITHOUT_TRIAL_TYPE else ("go", "stop")
    n_trials = 0 if root.name in HEADER_ALONE else 16
    for task in tasks:
        write_json(root / f"task-{task}_bold.json", {"RepetitionTime": 2.0, "TaskName": task})
        if events == "root":
            write_table(root / f"task-{task}_events.tsv", make_events(levels, n_trials=n_trials))
    for subject, task, session, run in product(subjects, tasks, sessions, runs):
        folder = root / f"sub-{subject}" / (f"ses-{session}" if session else "") / "func"
        stem = _stem(sub=subject, ses=session, task=task, run=run)
        _touch(folder, f"{stem}_bold.nii.gz")
        if events == "own":
            write_table(folder / f"{stem}_events.tsv", make_events(levels, n_trials=n_trials))


def make_events(levels, *, duration=2.0, gap=10.0, n_trials=16):
    """Return trials in turn; without levels there is no column trial_type."""
    table = {"onset": 4 + gap * np.arange(n_trials), "duration": duration}
    if levels:
        table["trial_type"] = np.resize(np.array(levels), n_trials)
    return pd.DataFrame(table)


def _touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def _make_volume_timing(root):
    describe(root, "raw")
    write_json(root / "task-rest_bold.json", {"TaskName": "rest"})
    for name, timing in TIMINGS.items():
        stem = _stem(sub="01", task="rest", acq=name)
        _touch(root / "sub-01" / "func", f"{stem}_bold.nii.gz")
        write_json(root / "sub-01" / "func" / f"{stem}_bold.json", timing)


def _make_ds000001(root):
    """Write a derivative alone, of fMRIPrep 20.2: the resolution in names, surfaces, AROMA."""
    describe(root, "derivative")
    endings = (
        f"space-{SPACE}_res-2_desc-preproc_bold.nii.gz",
        f"space-{SPACE}_res-2_desc-brain_mask.nii.gz",
        f"space-{SPACE}_res-2_boldref.nii.gz",
        "space-MNI152NLin6Asym_desc-smoothAROMAnonaggr_bold.nii.gz",
        "space-fsaverage5_hemi-L_bold.func.gii",
        "space-fsnative_hemi-R_bold.func.gii",
        "from-scanner_to-T1w_mode-image_xfm.txt",
        "desc-confounds_timeseries.tsv",
    )
    for subject, run in product(("10", "11", "13", "16"), "123"):
        stem = _stem(sub=subject, task="balloonanalogrisktask", run=run)
        func = root / f"sub-{subject}" / "func"
        _touch(func, *(f"{stem}_{ending}" for ending in endings))
        for kind in ("preproc_bold", "brain_mask"):
            write_json(func / f"{stem}_space-{SPACE}_res-2_desc-{kind}.json", {"SkullStripped": False})


def _make_skeletons(root):
    """Write names alone, as fMRIPrep writes them: everything is empty."""
    volume = [f"{kind}.nii.gz" for kind in ("desc-preproc_bold", "desc-brain_mask", "boldref")]
    surfaces = [
        f"hemi-{side}_space-{space}_bold.func.gii" for side in "LR" for space in ("fsaverage5", "fsnative")
    ]
    standard = [f"space-{SPACE}_{end}" for end in volume]
    others = [f"space-{name}_{end}" for name in ("T1w", "MNI152NLin6Asym") for end in volume]
    resolved = [f"space-{SPACE}_res-2_{end}" for end in volume]
    echoes = [f"echo-{echo}_desc-preproc_bold.nii.gz" for echo in (1, 2, 3)]
    gambles, game, cued = "mixedgamblestask", "machinegame", "cuedSGT"
    contents = {
        "ds005_outputs": ("01", gambles, ("01", "02"), ["desc-brain_mask.nii.gz", *surfaces]),
        "ds005_partial_outputs": ("01", gambles, ("02",), [*standard, *others, *surfaces]),
        "ds054_outputs": ("100185", game, ("01", "02"), [*volume, *resolved, *others[:3]]),
        "ds210_outputs": ("02", cued, ("01",), [*standard, *echoes, "desc-brain_mask.nii.gz"]),
    }
    for name, (subject, task, runs, endings) in contents.items():
        _touch(root / name, "dataset_description.json")
        for run in runs:
            stem = _stem(sub=subject, task=task, run=run)
            endings = [*endings, "desc-confounds_timeseries.tsv", "desc-coreg_boldref.nii.gz"]
            _touch(root / name / f"sub-{subject}" / "func", *(f"{stem}_{ending}" for ending in endings))


def _make_synthetic(root):
    """Write names of fMRIPrep 1.0.6 in two spaces, sessions, and rest beside a task; images are tiny."""
    derived = root / "derivatives" / "fmriprep"
    describe(root, "raw")
    describe(derived, "derivative")
    write_table(root / "task-nback_events.tsv", make_events(("faces_dist", "scenes_dist", "faces_target")))
    rng = np.random.default_rng(0)
    n_volumes = 80
    columns = [*OLD_CONFOUNDS, *OLD_MOTION]
    for subject, session in product(_labels(5), ("01", "02")):
        for task, run in (("nback", "01"), ("nback", "02"), ("rest", "")):
            func = (f"sub-{subject}", f"ses-{session}", "func")
            stem = _stem(sub=subject, ses=session, task=task, run=run)
            _touch(root.joinpath(*func), f"{stem}_bold.nii")
            confounds = pd.DataFrame(rng.normal(size=(n_volumes, len(columns))), columns=columns)
            write_table(derived.joinpath(*func, f"{stem}_timeseries.tsv"), confounds)
            for space in (SPACE, "T1w"):
                place = derived.joinpath(*func, f"{stem}_space-{space}")
                _save_tiny(place, n_volumes, 2.5, mask=f"{place}_label-brain_mask.nii", ending="nii")
    for task in ("nback", "rest"):
        write_json(root / f"task-{task}_bold.json", {"RepetitionTime": 2.5, "TaskName": task})


def _save_tiny(place, n_volumes, repetition_time, *, mask, ending="nii.gz"):
    """Save a series of 8 voxels and its mask, with the sidecar."""
    volume = np.ones((2, 2, 2, n_volumes), np.int16)
    save_series(volume, np.eye(4), f"{place}_desc-preproc_bold.{ending}", repetition_time=repetition_time)
    save_image(nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)), mask)
    sidecar = place.with_name(f"{place.name}_desc-preproc_bold.json")
    write_json(sidecar, {"RepetitionTime": repetition_time, "SkullStripped": False})


def make_objects(root):
    """Write 12 runs of one person who saw eight kinds of objects in blocks; images are tiny."""
    kinds = ("bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe")
    derived = root / "derivatives" / "fmriprep"
    describe(root, "raw")
    describe(derived, "derivative")
    write_table(root / "participants.tsv", pd.DataFrame({"participant_id": ["sub-01"]}))
    rng = np.random.default_rng(0)
    n_volumes, names = 121, [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    for run in _labels(12):
        func = ("sub-01", "func")
        stem = _stem(sub="01", task="objectviewing", run=run)
        blocks = make_events(tuple(rng.permutation(kinds)), duration=22.5, gap=36.0, n_trials=8)
        write_table(root.joinpath(*func, f"{stem}_events.tsv"), blocks)
        _touch(root.joinpath(*func), f"{stem}_bold.nii.gz")
        confounds = pd.DataFrame(rng.normal(size=(n_volumes, 6)), columns=names)
        write_table(derived.joinpath(*func, f"{stem}_desc-confounds_timeseries.tsv"), confounds)
        place = derived.joinpath(*func, f"{stem}_space-{SPACE}")
        _save_tiny(place, n_volumes, 2.5, mask=f"{place}_desc-brain_mask.nii.gz")
    write_json(root / "task-objectviewing_bold.json", {"RepetitionTime": 2.5, "TaskName": "objectviewing"})


def make_choices(root):
    """Write a dataset in which everything can be chosen; images are tiny. Returns a second derivative.

    Two people, sessions, tasks, runs and resolutions, and a second space; the last run of sub-02 lacks a
    condition. The second derivative, outside, has the first person alone.
    """
    derived, elsewhere = root / "data" / "derivatives" / "fmriprep", root / "elsewhere"
    for folder, kind in ((root / "data", "raw"), (derived, "derivative"), (elsewhere, "derivative")):
        describe(folder, kind)
    rng = np.random.default_rng(0)
    for subject, session, task, run in product(("01", "02"), ("a", "b"), ("x", "y"), "12"):
        func = (f"sub-{subject}", f"ses-{session}", "func")
        stem = _stem(sub=subject, ses=session, task=task, run=run)
        levels = ("go",) if (subject, session, run) == ("02", "b", "2") else ("go", "stop")
        write_table((root / "data").joinpath(*func, f"{stem}_events.tsv"), make_events(levels))
        for folder in (derived, elsewhere) if subject == "01" else (derived,):
            confounds = pd.DataFrame(rng.normal(size=(90, len(MOTION_TERMS))), columns=MOTION_TERMS)
            write_table(folder.joinpath(*func, f"{stem}_desc-confounds_timeseries.tsv"), confounds)
            for space in (f"{SPACE}_res-1", f"{SPACE}_res-2", "T1w_res-2"):
                place = folder.joinpath(*func, f"{stem}_space-{space}")
                _save_tiny(place, 90, 2.0, mask=f"{place}_desc-brain_mask.nii.gz")
    return elsewhere
