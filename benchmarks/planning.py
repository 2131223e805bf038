"""Time to plan a large dataset, and of pybids' own collection loading.

``python -m benchmarks.planning``: 100 subjects x 2 runs, 300-column confounds files, about 90 files a
subject as fMRIPrep writes them. Each measurement is a process of its own; memory is its peak.

* one: the plan of the participant stage for one subject with the automatic model: index, events, confounds,
  designs, contrasts, and everything that a dry run shows
* all: the same for all subjects
* pybids: BIDSLayout of all subjects, then the collections of the run level (what FitLins does before its
  first fit) of some subjects; pybids cannot be told to read only some columns. The time for all subjects is
  that of the layout and, in proportion, of the collections.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
N_COLUMNS, N_VOLUMES = 300, 190
SPACES = ("space-MNI152NLin2009cAsym_res-2", "space-MNI152NLin6Asym_res-2", "space-T1w")
FUNC_EXTRAS = (
    "desc-coreg_boldref.nii.gz",
    "desc-hmc_boldref.nii.gz",
    "from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt",
    "from-orig_to-boldref_mode-image_desc-hmc_xfm.txt",
    "hemi-L_space-fsaverage5_bold.func.gii",
    "hemi-R_space-fsaverage5_bold.func.gii",
)
ANATOMY = (
    "T1w.nii.gz",
    "dseg.nii.gz",
    "label-GM_probseg.nii.gz",
    "hemi-L_pial.surf.gii",
    "mode-image_xfm.h5",
)
LIMITS = {"one": (3.0, None), "all": (20.0, 500.0)}


def main(argv=None):
    """Write the dataset, measure, and print a table; return 0 when the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=100)
    parser.add_argument("--peer-subjects", type=int, default=2, help="subjects for pybids; 0: leave it out")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument(
        "--folder", type=Path, help="where to write the dataset (default: a temporary folder)"
    )
    args = parser.parse_args(argv)
    if args.measure:
        write_line(json.dumps(measure(args.measure, args.folder, args.peer_subjects)))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary) / "dataset"
        if not folder.exists():
            write_dataset(folder, args.subjects)
        n_files = sum(1 for path in folder.rglob("*") if path.is_file())
        write_line(f"{args.subjects} subjects x 2 runs, {n_files} files, {N_COLUMNS} confound columns")
        return compare(folder, args)


def compare(folder, args):
    """Print one line a measurement and return the exit code."""
    results = {}
    names = ["one", "all"] + (["pybids"] if args.peer_subjects else [])
    for name in names:
        command = [sys.executable, "-m", "benchmarks.planning", "--measure", name, "--folder", str(folder)]
        command += ["--peer-subjects", str(args.peer_subjects)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results[name] = json.loads(done.stdout.splitlines()[-1])
        line = "{:8s} {seconds:7.1f} s ({cpu_seconds:.1f} s of processor)  {megabytes:6.0f} MB  {runs} runs"
        write_line(line.format(name, **results[name]))
    if "pybids" in results:
        peer, ours = results["pybids"], results["all"]
        collections = (peer["cpu_seconds"] - peer["index_seconds"]) * ours["runs"] / peer["runs"]
        seconds = peer["index_seconds"] + collections
        write_line(f"pybids for all, in proportion: {seconds:.0f} s of processor")
        write_line(f"pybids / ours: {seconds / ours['cpu_seconds']:.0f}")
    kept = [
        results[name]["seconds"] < seconds and (megabytes is None or results[name]["megabytes"] < megabytes)
        for name, (seconds, megabytes) in LIMITS.items()
    ]
    write_line(f"limits (one: 3 s; all: 20 s and 500 MB): {'kept' if all(kept) else 'NOT kept'}")
    return 0 if all(kept) else 1


def measure(name, folder, peer_subjects):
    """Return seconds, peak memory and the number of runs of one measurement, imports included."""
    start = time.perf_counter()
    work = {"one": plan_one, "all": plan_all, "pybids": load_with_pybids}[name]
    runs, index_seconds = work(folder, peer_subjects) if name == "pybids" else (work(folder), 0.0)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "megabytes": used.ru_maxrss / 1024,
        "index_seconds": index_seconds,
        "runs": runs,
    }


def plan_one(folder):
    """Plan the first subject."""
    return plan_all(folder, ("001",))


def plan_all(folder, labels=()):
    """Plan the participant stage with the automatic model, describe it, and return the number of runs."""
    from bidsapp.plan import make_participant_plan
    from bidsapp.plan.show import describe_participant_plan
    from bidsapp.settings.parts import Selection, Settings

    selection = Selection(participant_label=labels, space="MNI152NLin2009cAsym")
    settings = Settings(folder, folder / "out", ("participant",), selection=selection)
    plan = make_participant_plan(settings)
    json.dumps(describe_participant_plan(plan, settings.run))
    return sum(len(subject.runs) for subject in plan.subjects)


def load_with_pybids(folder, n_subjects):
    """Load the collections of some subjects; return their number, and the seconds of the index."""
    import warnings

    from bids import BIDSLayout

    warnings.simplefilter("ignore")
    labels = [f"{number:03d}" for number in range(1, n_subjects + 1)]
    layout = BIDSLayout(folder, derivatives=folder / "derivatives" / "fmriprep")
    index_seconds = time.process_time()
    runs = 0
    for label in labels:
        wanted = {"subject": label, "task": "gamble", "space": "MNI152NLin2009cAsym", "desc": "preproc"}
        collections = layout.get_collections("run", types=["events", "regressors"], **wanted)
        runs += len(collections)
    return runs, index_seconds


def write_dataset(folder, n_subjects):
    """Write the dataset; images hold a header and a few voxels."""
    derivative = folder / "derivatives" / "fmriprep"
    image, mask = _image_bytes((2, 2, 2, N_VOLUMES)), _image_bytes((2, 2, 2))
    confounds, events = _tables()
    for number in range(1, n_subjects + 1):
        subject = f"sub-{number:03d}"
        _write(folder / subject / "anat" / f"{subject}_T1w.nii.gz", b"")
        for name in ANATOMY:
            _write(derivative / subject / "anat" / f"{subject}_{name}", b"")
        for run in (1, 2):
            raw = folder / subject / "func" / f"{subject}_task-gamble_run-{run:02d}"
            _write(Path(f"{raw}_bold.nii.gz"), image)
            _write(Path(f"{raw}_events.tsv"), events)
            stem = derivative / subject / "func" / f"{subject}_task-gamble_run-{run}"
            _write(Path(f"{stem}_desc-confounds_timeseries.tsv"), confounds)
            _write(Path(f"{stem}_desc-confounds_timeseries.json"), b"{}")
            for name in FUNC_EXTRAS:
                _write(Path(f"{stem}_{name}"), b"")
            for space in SPACES:
                _write(Path(f"{stem}_{space}_desc-preproc_bold.nii.gz"), image)
                _write(Path(f"{stem}_{space}_desc-preproc_bold.json"), b'{"RepetitionTime": 2.0}')
                _write(Path(f"{stem}_{space}_desc-brain_mask.nii.gz"), mask)
                _write(Path(f"{stem}_{space}_desc-brain_mask.json"), b"{}")
                _write(Path(f"{stem}_{space}_boldref.nii.gz"), b"")
        for number_of_figure in range(30):
            name = f"{subject}_task-gamble_run-1_desc-figure{number_of_figure}_bold.svg"
            _write(derivative / subject / "figures" / name, b"")
    _write(folder / "task-gamble_bold.json", b'{"TaskName": "gamble", "RepetitionTime": 2.0}')
    about = {"Name": "benchmark", "BIDSVersion": "1.8.0", "GeneratedBy": [{"Name": "fMRIPrep"}]}
    for root, kind in ((folder, "raw"), (derivative, "derivative")):
        _write(root / "dataset_description.json", json.dumps(about | {"DatasetType": kind}).encode())


def _image_bytes(shape):
    image = nib.Nifti1Image(np.ones(shape, np.int16), np.diag([2, 2, 2, 1]))
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms([2] * len(shape))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii.gz"
        nib.save(image, path)
        return path.read_bytes()


def _tables():
    rng = np.random.default_rng(0)
    names = [*MOTION, *(f"a_comp_cor_{number:03d}" for number in range(N_COLUMNS - len(MOTION)))]
    rows = [
        "\t".join(f"{value:.10f}" for value in row) for row in rng.standard_normal((N_VOLUMES, N_COLUMNS))
    ]
    confounds = "\n".join(["\t".join(names), *rows]) + "\n"
    trials = [f"{10 * number}\t2\t{'ab'[number % 2]}" for number in range(36)]
    return confounds.encode(), "\n".join(["onset\tduration\ttrial_type", *trials, ""]).encode()


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_line(text):
    """Write a line at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
