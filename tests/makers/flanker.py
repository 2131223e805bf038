"""A semi-real flanker study: the published events of 26 people in 2 runs, simulated BOLD and confounds.

Events, sex and age are those of OpenNeuro ds000102 (public domain; Kelly et al. 2008, NeuroImage
39:527), as in ../reference/tables/flanker_events.tsv.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.glm.first_level import compute_regressor

from makers.brain import (
    SPACE,
    describe,
    make_grid,
    plant,
    save_image,
    save_map,
    save_series,
    smooth_noise,
    write_json,
    write_table,
)

TABLE = Path(__file__).parents[1] / "reference" / "tables" / "flanker_events.tsv"
KINDS = {
    "c": "congruent_correct",
    "C": "congruent_incorrect",
    "i": "incongruent_correct",
    "I": "incongruent_incorrect",
}
REPETITION_TIME, N_VOLUMES, BASELINE = 2.0, 146, 1000.0
# Centre and radius in mm, effects of congruent and incongruent trials in percent.
REGIONS = {
    "visual": ((0, -84, 4), 14, (1.6, 1.6)),
    "motor": ((-38, -24, 56), 11, (1.2, 1.2)),
    "preSMA": ((0, 14, 48), 11, (0.5, 1.2)),
    "intraparietal": ((-28, -62, 48), 10, (0.5, 1.0)),
    "inferiorFrontal": ((44, 10, 30), 10, (0.3, 0.9)),
    "medialPrefrontal": ((0, 52, -6), 11, (-0.4, -0.7)),
}
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]


def read_published():
    return pd.read_csv(TABLE, sep="\t", dtype={"subject": str, "run": str})


def write_events(folder, *, n_subjects=26, task="flankertask", run_width=2):
    """Write events as published: a column of n/a for each kind of error that a run does not have.

    Returns
    -------
    dict of (str, str) to DataFrame
        The events of each subject and run.
    """
    published = read_published()
    made = {}
    for row in published[published["subject"].astype(int) <= n_subjects].itertuples():
        events = _events_of(row)
        name = f"sub-{row.subject}_task-{task}_run-{row.run[-run_width:]}_events.tsv"
        write_table(folder / f"sub-{row.subject}" / "func" / name, events)
        made[row.subject, row.run[-1]] = events
    people = published.drop_duplicates("subject").head(n_subjects)
    people = people.assign(participant_id="sub-" + people["subject"])
    write_table(folder / "participants.tsv", people[["participant_id", "sex", "age"]])
    return made


def _events_of(row):
    kinds = [KINDS[letter] for letter in row.kinds]
    absent = {name: np.nan for name in (KINDS["C"], KINDS["I"]) if name not in kinds}
    answers = np.array(row.response_times.split(), float)
    onsets = np.array(row.onsets.split(), float)
    columns = {"onset": onsets, "duration": 2.0, "trial_type": kinds, **absent, "ResponseTime": answers}
    return pd.DataFrame(columns)


def make_flanker(folder, *, n_subjects=8, voxel_size_mm=4.0, seed=0):
    """Write raw data, fMRIPrep-style derivatives and the true effects in ``folder/truth``."""
    mask, affine = make_grid(voxel_size_mm)
    effects = plant(REGIONS.values(), mask, affine)
    describe(folder, "raw")
    describe(folder / "derivatives" / "fmriprep", "derivative")
    write_json(folder / "task-flanker_bold.json", {"RepetitionTime": REPETITION_TIME, "TaskName": "flanker"})
    for name, effect in zip(("congruent", "incongruent"), effects, strict=True):
        save_map(effect, mask, affine, folder / "truth" / f"{name}.nii.gz", outside=0.0)
    events = write_events(folder, n_subjects=n_subjects, task="flanker", run_width=1)
    for (subject, run), table in events.items():
        person = np.random.default_rng([seed, int(subject)])
        gains = np.abs(1 + 0.3 * person.standard_normal(2))[:, None]
        own = effects * gains + 0.15 * smooth_noise(person, mask, 2.5, 2)
        rng = np.random.default_rng([seed, int(subject), int(run)])
        _write_run(folder, f"sub-{subject}", run, (table, own, mask, affine), rng)


def _write_run(folder, subject, run, scene, rng):
    events, effects, mask, affine = scene
    stem = folder / "derivatives" / "fmriprep" / subject / "func" / f"{subject}_task-flanker_run-{run}"
    confounds = _make_confounds(rng)
    write_table(Path(f"{stem}_desc-confounds_timeseries.tsv"), confounds)
    image = f"{stem}_space-{SPACE}_res-2"
    percent = _simulate(events, effects, confounds, mask, rng)
    # Noise outside the brain, as in unmasked output of fMRIPrep.
    volume = np.abs(2 * rng.standard_normal((*mask.shape, N_VOLUMES), dtype=np.float32)).astype(np.int16)
    volume[mask] = np.round(BASELINE * (1 + percent / 100)).T
    save_series(volume, affine, f"{image}_desc-preproc_bold.nii.gz", repetition_time=REPETITION_TIME)
    timing = {"RepetitionTime": REPETITION_TIME, "StartTime": REPETITION_TIME / 2, "TaskName": "flanker"}
    write_json(Path(f"{image}_desc-preproc_bold.json"), timing | {"SkullStripped": False})
    save_image(nib.Nifti1Image(mask.astype(np.uint8), affine), f"{image}_desc-brain_mask.nii.gz")


def _make_confounds(rng):
    """Return six motion parameters (mm, radians), their derivatives, the cosines and the first volume."""
    motion = np.cumsum(np.repeat([0.02, 0.0004], 3) * rng.standard_normal((N_VOLUMES, 6)), axis=0)
    table = dict(zip(MOTION, motion.T, strict=True))
    table |= {f"{name}_derivative1": np.r_[np.nan, np.diff(values)] for name, values in table.items()}
    steps = np.abs(np.diff(motion, axis=0)) @ np.repeat([1, 50], 3)
    table["framewise_displacement"] = np.r_[np.nan, steps]
    frames = np.arange(N_VOLUMES)
    for number in range(4):
        phase = np.pi * (number + 1) * (frames + 0.5) / N_VOLUMES
        table[f"cosine{number:02d}"] = np.sqrt(2 / N_VOLUMES) * np.cos(phase)
    table["non_steady_state_outlier00"] = (frames == 0).astype(int)
    return pd.DataFrame(table)


def _simulate(events, effects, confounds, mask, rng):
    """Return percent signal change (n_volumes, n_points): responses, smooth AR(1) noise, motion and drift."""
    frames = REPETITION_TIME * (np.arange(N_VOLUMES) + 0.5)
    percent = np.zeros((N_VOLUMES, effects.shape[1]), np.float32)
    for kind, effect in zip(("congruent", "incongruent"), effects, strict=True):
        rows = events[events["trial_type"].str.startswith(f"{kind}_")]
        trials = np.stack([rows["onset"], rows["duration"], np.ones(len(rows))])
        response = compute_regressor(trials, "spm", frames)[0][:, 0]
        percent += np.outer(response / response.max(), effect * (1 + 0.15 * rng.standard_normal()))
    noise = smooth_noise(rng, mask, 0.5, N_VOLUMES)
    for volume in range(1, N_VOLUMES):
        noise[volume] = 0.35 * noise[volume - 1] + np.sqrt(1 - 0.35**2) * noise[volume]
    nuisance = confounds[MOTION].to_numpy() * np.repeat([1, 30], 3)
    nuisance = np.column_stack([nuisance, np.linspace(-0.5, 0.5, N_VOLUMES)])
    percent += 1.6 * noise + 0.8 * (nuisance @ smooth_noise(rng, mask, 1.5, 7))
    percent[0] += 6  # magnetisation before its steady state
    return percent
