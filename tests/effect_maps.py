"""A folder of effect maps from arrays, and one run of the group level on it."""

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from outcomes import call_app

SPACE = "MNI152NLin2009cAsym"
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def write_effect_maps(folder, contrasts, people):
    """Write the effect maps of subjects and their table; return the folder.

    Parameters
    ----------
    contrasts : dict of str to sequence
        An array (x, y, z) a subject; None where the subject has no such map. ``ses-pre_A``: of a session.
    people : dict of str to sequence
        Columns of participants.tsv.
    """
    labels = [f"sub-{i + 1:02d}" for i in range(len(next(iter(contrasts.values()))))]
    folder.mkdir(parents=True)
    (folder / "dataset_description.json").write_text('{"Name": "maps", "BIDSVersion": "1.10.0"}')
    table = pd.DataFrame({"participant_id": labels, **people})
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    for name, maps in contrasts.items():
        for label, effect in zip(labels, maps, strict=True):
            if effect is not None:
                *entities, contrast = name.split("_")
                stem = "_".join(
                    [label, *entities, f"task-x_space-{SPACE}_contrast-{contrast}_stat-effect_statmap.nii.gz"]
                )
                (folder / label).mkdir(exist_ok=True)
                nib.save(nib.Nifti1Image(np.asarray(effect, np.float32), AFFINE), folder / label / stem)
    return folder


@dataclass(frozen=True)
class GroupRun:
    """A finished run of the group level."""

    folder: Path
    code: int

    def map(self, name):
        """Return the values of the one map whose name ends so."""
        (path,) = (self.folder / "group").glob(f"*_{name}_statmap.nii.gz")
        return nib.load(path).get_fdata()

    def names(self):
        """Return the labels of the contrasts that have p-values."""
        paths = (self.folder / "group").glob("*_stat-p_statmap.nii.gz")
        return {path.name.split("_contrast-")[1].split("_")[0] for path in paths}

    @property
    def record(self):
        """The record of the group model."""
        (path,) = (self.folder / "logs").glob("*_group.json")
        return json.loads(path.read_text())


def run_group(maps, output, *more, shuffles=0, pages=False):
    """Run the group level on a folder of maps."""
    words = [maps, output, "group", "--estimates", maps, "--n-permutations", shuffles, "--n-cpus", 1, *more]
    return GroupRun(output, call_app(words, pages=pages))
