"""Effect and variance maps of eight subjects and three contrasts, small: for the options of the group."""

import nibabel as nib
import numpy as np
import pandas as pd

from makers.brain import (
    SPACE,
    describe,
    make_grid,
    plant,
    save_image,
    save_map,
    smooth_noise,
    write_json,
    write_table,
)

VOXEL_MM = 12.0
N_SUBJECTS, N_PATIENTS = 8, 5
# Centre and radius in mm; effects of A, B and C.
REGIONS = (((0, -80, 4), 30, [1.5, 1.0, 0.2]), ((0, 50, -6), 30, [-1.5, 0.4, 0.1]))
# The last subject has no data below this height in mm.
CUT_MM = -40
# What the sidecars of the maps say that they were made with.
FACTS = {
    "Units": "% signal change",
    "SmoothingFWHM": 5.0,
    "Scaling": "percent",
    "NoiseModel": "auto",
    "NoiseSmoothingFWHM": 0.0,
    "FixedEffects": "precision",
    "DerivativeBoost": False,
    "Confounds": "motion6",
    "HighPassPeriod": 128.0,
    "HRFModel": "spm",
    "MissingCondition": "drop",
    "ModelName": "x",
}


def make_group_maps(folder, *, contrasts="ABC", seed=0, moved=False):
    """Write the maps with sidecars, participants.tsv (group, site, family, age) and masks to choose from.

    ``moved``: the maps of the second subject lie on a grid of their own.
    """
    mask, affine = make_grid(VOXEL_MM)
    truth = plant(REGIONS, mask, affine)
    height = nib.affines.apply_affine(affine, np.argwhere(mask))[:, 2]
    describe(folder, "derivative")
    for subject in range(N_SUBJECTS):
        rng = np.random.default_rng([seed, subject])
        common = 0.5 * smooth_noise(rng, mask, 0.8, 1)[0]
        for contrast, effect in zip("ABC", truth, strict=True):
            # Controls vary more: groups with a variance of their own.
            own = (0.5 if subject < N_PATIENTS else 1.0) * smooth_noise(rng, mask, 0.8, 1)[0]
            values = effect + common + own
            if subject == N_SUBJECTS - 1:
                values = np.where(height < CUT_MM, np.nan, values)
            variances = 0.1 * rng.chisquare(20, len(values)) / 20 * (1 + subject % 3)
            if contrast not in contrasts:
                continue
            stem = f"sub-{subject + 1:02d}_task-x_space-{SPACE}_contrast-{contrast}"
            place = folder / f"sub-{subject + 1:02d}" / stem
            grid = affine.copy()
            grid[:3, 3] += 4 * (moved and subject == 1)
            save_map(values, mask, grid, f"{place}_stat-effect_statmap.nii.gz")
            save_map(variances, mask, grid, f"{place}_stat-variance_statmap.nii.gz")
            for stat in ("effect", "variance"):
                write_json(place.with_name(f"{place.name}_stat-{stat}_statmap.json"), FACTS)
    _write_people(folder)
    _write_masks(folder / "code", mask, affine)


def _write_people(folder):
    number = np.arange(N_SUBJECTS)
    table = {
        "participant_id": [f"sub-{label + 1:02d}" for label in number],
        "group": np.where(number < N_PATIENTS, "patient", "control"),
        "site": np.array(["north", "south"])[number % 2],
        "family": [f"f{label // 2}" for label in number],
        "age": 20 + (7 * number) % 23,
    }
    write_table(folder / "participants.tsv", pd.DataFrame(table))


def _write_masks(folder, mask, affine):
    """Write the back of the brain as a mask, the same on another grid, and halves as regions."""
    y = nib.affines.apply_affine(affine, np.argwhere(np.ones(mask.shape)))[:, 1].reshape(mask.shape)
    save_image(nib.Nifti1Image(((y < 0) & mask).astype(np.uint8), affine), folder / "back.nii.gz")
    shifted = affine.copy()
    shifted[:3, 3] += 4
    save_image(nib.Nifti1Image(((y < 0) & mask).astype(np.uint8), shifted), folder / "shifted.nii.gz")
    halves = np.where(mask, 1 + (y < 0), 0)
    save_image(nib.Nifti1Image(halves.astype(np.int16), affine), folder / "halves.nii.gz")
    (folder / "halves.tsv").write_text("index\tname\n1\tfront\n2\tback\n")
