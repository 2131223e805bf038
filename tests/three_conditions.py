"""A dataset of three conditions whose estimates are correlated, and models of it.

Task t, 2 runs of 120 volumes of 2 s, 125 voxels; 100 + 1.0 a + 0.5 b + 0.25 c (a box that begins 4 s after
each event) + white noise of deviation 1; a subject's own effect of a is 1.0 + 0.3 z. Everything is drawn
from seed 0 in a fixed order, so that values of one subject do not change with the number of subjects.
"""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from documents import make_document, write_model
from outcomes import call_app

from bidsapp.plan import make_participant_plan
from bidsapp.settings.parts import ModelOptions, Selection, Settings

TR, N_VOLUMES, SHAPE = 2.0, 120, (5, 5, 5)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
SPACE = "space-MNI152NLin2009cAsym"
PLAIN = ["--noise-model", "ols", "--scaling", "none", "--smoothing-fwhm", "0", "--n-cpus", "1"]
MOTION = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "framewise_displacement"]


def draw_events(rng):
    """Return events every 6 to 9 s, and two numbers of each."""
    onset = np.arange(4.0, N_VOLUMES * TR - 12, 6.0)
    onset = (onset + rng.uniform(0, 3, len(onset))).round(2)
    kinds = rng.permutation(np.resize(["a", "b", "c"], len(onset)))
    times = rng.uniform(0.4, 1.6, len(onset)).round(3)
    gains = rng.integers(5, 40, len(onset))
    columns = {"onset": onset, "duration": 2.0, "trial_type": kinds, "response_time": times, "gain": gains}
    return pd.DataFrame(columns)


def draw_run(rng, events, effects):
    """Return the series of a run as an image, and its confounds."""
    times, signal = TR * np.arange(N_VOLUMES), np.zeros(N_VOLUMES)
    kinds = events["trial_type"] if "trial_type" in events else ["a"] * len(events)
    for onset, duration, kind in zip(events["onset"], events["duration"], kinds, strict=True):
        signal[(times >= onset + 4) & (times < onset + duration + 6)] += effects.get(kind, 0.5)
    series = 100 + signal + rng.standard_normal((*SHAPE, N_VOLUMES))
    confounds = pd.DataFrame(rng.standard_normal((N_VOLUMES, len(MOTION))) * 0.1, columns=MOTION)
    return nib.Nifti1Image(series.astype("float32"), AFFINE), confounds


def make_three_conditions(folder, *, n_subjects=8, sessions=(None,), events=None, participants=None):
    """Write the dataset with its derivatives in ``derivatives/fmriprep``; return the folder.

    Parameters
    ----------
    events : DataFrame, optional
        Of every run, in place of those drawn.
    participants : str, optional
        The text of participants.tsv; else group, age and sex.
    """
    folder = Path(folder)
    prep = folder / "derivatives" / "fmriprep"
    prep.mkdir(parents=True)
    about = {"Name": "three conditions", "BIDSVersion": "1.9.0"}
    (folder / "dataset_description.json").write_text(json.dumps(about))
    about |= {"DatasetType": "derivative", "GeneratedBy": [{"Name": "fMRIPrep", "Version": "24.1.0"}]}
    (prep / "dataset_description.json").write_text(json.dumps(about))
    (folder / "participants.tsv").write_text(participants or describe_participants(n_subjects))
    rng = np.random.default_rng(0)
    for number in range(n_subjects):
        effects = {"a": 1.0 + 0.3 * rng.standard_normal(), "b": 0.5, "c": 0.25}
        for session in sessions:
            for run in (1, 2):
                drawn = draw_events(rng)
                drawn = drawn if events is None else events
                image, confounds = draw_run(rng, drawn, effects)
                stem = f"sub-{number + 1:02d}_" + (f"ses-{session}_" if session else "") + f"task-t_run-{run}"
                write_run(folder, prep, stem, drawn, image, confounds)
    return folder


def describe_participants(n_subjects):
    """Return the text of a participants.tsv."""
    rows = [
        f"sub-{k + 1:02d}\t{('patient', 'control')[k % 2]}\t{21 + 4 * k}\t{('F', 'M')[k // 2 % 2]}"
        for k in range(n_subjects)
    ]
    return "\n".join(["participant_id\tgroup\tage\tsex", *rows]) + "\n"


def write_run(folder, prep, stem, events, image, confounds):
    """Write the files of one run."""
    parts = [part for part in stem.split("_") if part.startswith(("sub-", "ses-"))]
    raw, derived = (root.joinpath(*parts, "func") for root in (folder, prep))
    for where in (raw, derived):
        where.mkdir(parents=True, exist_ok=True)
    events.to_csv(raw / f"{stem}_events.tsv", sep="\t", index=False, na_rep="n/a")
    image.header.set_zooms((3, 3, 3, TR))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, derived / f"{stem}_{SPACE}_desc-preproc_bold.nii.gz")
    mask = nib.Nifti1Image(np.ones(SHAPE, "uint8"), AFFINE)
    nib.save(mask, derived / f"{stem}_{SPACE}_desc-brain_mask.nii.gz")
    sidecar = json.dumps({"TaskName": "t", "RepetitionTime": TR, "SkullStripped": False})
    (derived / f"{stem}_{SPACE}_desc-preproc_bold.json").write_text(sidecar)
    confounds.to_csv(derived / f"{stem}_desc-confounds_timeseries.tsv", sep="\t", index=False)


# Of the values by other routes six decimals are given.
DIGITS = 6e-7
# Two runs of 116 dof: the variance is that given times 1 to 1 + 2 / 116, for weights that are estimated.
ESTIMATED = 2 / 116
CONDITIONS = ["trial_type.a", "trial_type.b", "trial_type.c"]
RUN = {
    "Level": "Run",
    "Name": "run",
    "GroupBy": ["run", "subject"],
    "Model": {"Type": "glm", "X": [*CONDITIONS, 1], "HRF": {"Variables": CONDITIONS, "Model": "spm"}},
    "DummyContrasts": {"Contrasts": CONDITIONS, "Test": "t"},
}
SUBJECT = {
    "Level": "Subject",
    "Name": "subject",
    "GroupBy": ["subject", "contrast"],
    "Model": {"Type": "meta", "X": [1]},
    "DummyContrasts": {"Test": "t"},
}
DATASET = {
    "Level": "Dataset",
    "Name": "dataset",
    "GroupBy": ["contrast"],
    "Model": {"Type": "glm", "X": [1]},
    "DummyContrasts": {"Test": "t"},
}


def make_model(*nodes, **changes):
    """Return a model document of these nodes, one after the other unless ``Edges`` says otherwise."""
    return make_document(*nodes, **({"Input": {"task": ["t"]}} | changes))


def kept_index(dataset):
    """Return the folder of the index of a dataset that no test changes, which stands beside it; else None."""
    folder = Path(dataset).parent / "index"
    return str(folder) if folder.is_dir() else None


def plan(dataset, document, folder, subjects=("01",)):
    """Return the participant plan of a model."""
    settings = Settings(
        Path(dataset),
        Path(folder) / "out",
        ("participant",),
        selection=Selection(participant_label=tuple(subjects), bids_database_dir=kept_index(dataset)),
        model=ModelOptions(model=str(write_model(document, folder))),
    )
    return make_participant_plan(settings)


def column(made, name, subject=0, run=0):
    """Return a column of X of a run of a plan."""
    design = made.subjects[subject].runs[run].design
    return design.matrix[:, design.columns.index(name)]


def run_app(dataset, document, folder, *flags, levels=("participant",), pages=False):
    """Run the app on a model; return the exit code."""
    model = write_model(document, folder)
    words = [dataset, Path(folder) / "out", *levels, "--model", model, *PLAIN, *flags]
    index = kept_index(dataset)
    return call_app([*words, "--bids-database-dir", index] if index else words, pages=pages)


def read_map(folder, node, contrast, stat, where="sub-01/func", more=""):
    """Return the values of one map."""
    pattern = f"{where}/*_node-{node}_contrast-{contrast}_stat-{stat}_statmap.nii.gz"
    (path,) = [
        p for p in (Path(folder) / "out").glob(pattern) if more in p.name and (more or "_run-" not in p.name)
    ]
    return nib.load(path).get_fdata()
