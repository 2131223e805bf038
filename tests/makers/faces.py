"""Maps of effects and variances of a 3 x 3 within-subject design, simulated: stimulus x presentation.

Conditions as in the study of faces of Wakeman and Henson (2015, doi:10.1038/sdata.2015.1): famous (FF),
unfamiliar (UF) and scrambled (SF) faces, seen first (Ini), again at once (Imm) and again later (Del).
"""

import numpy as np
import pandas as pd

from makers.brain import SPACE, describe, make_grid, plant, save_map, smooth_noise, write_table

CELLS = [presentation + stimulus for stimulus in ("FF", "UF", "SF") for presentation in ("Ini", "Imm", "Del")]
# Centre and radius in mm, effects of the cells in that order.
REGIONS = (
    ((42, -52, -20), 9, [1.6, 1.1, 1.4, 1.5, 1.0, 1.3, 0.4, 0.4, 0.4]),
    ((-40, -52, -20), 8, [1.3, 1.0, 1.2, 1.2, 0.9, 1.1, 0.4, 0.4, 0.4]),
    ((40, -78, -10), 9, [1.4, 1.2, 1.3, 1.4, 1.2, 1.3, 0.7, 0.7, 0.7]),
    ((0, 52, -8), 11, [0.7, 0.6, 0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
)
VARIANCE = 0.15
DEGREES_OF_FREEDOM = 200


def make_faces(folder, *, n_subjects=16, voxel_size_mm=4.0, seed=0):
    """Write a derivative dataset: effect and variance of every cell of every subject."""
    mask, affine = make_grid(voxel_size_mm)
    truth = plant(REGIONS, mask, affine)
    describe(folder, "derivative")
    sigma = 3.0 / voxel_size_mm
    for subject in range(1, n_subjects + 1):
        rng = np.random.default_rng([seed, subject])
        common = 0.8 * smooth_noise(rng, mask, sigma, 1)[0]
        gain = abs(1 + 0.3 * rng.standard_normal())
        for cell, effect in zip(CELLS, truth, strict=True):
            stem = f"sub-{subject:02d}_task-faces_space-{SPACE}_contrast-{cell}"
            place = folder / f"sub-{subject:02d}" / "func" / stem
            values = gain * effect + common + 0.5 * smooth_noise(rng, mask, sigma, 1)[0]
            save_map(values, mask, affine, f"{place}_stat-effect_statmap.nii.gz")
            spread = rng.chisquare(DEGREES_OF_FREEDOM, len(effect)) / DEGREES_OF_FREEDOM
            save_map(VARIANCE * spread, mask, affine, f"{place}_stat-variance_statmap.nii.gz")
    people = [(f"sub-{subject:02d}", "FM"[subject % 2]) for subject in range(1, n_subjects + 1)]
    write_table(folder / "participants.tsv", pd.DataFrame(people, columns=["participant_id", "sex"]))
