"""Write the files of maps/ and tables/ from the folder of references: ``python collect.py REFERENCE``.

Values within the mask only, as the programs wrote them (float32); p-values of an exhaustive test as counts.
maps/README.md says what each file holds and where it comes from.
"""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
N_FLIPS = 1024
N_RUN_VOXELS = 200
# Voxels that all, some and too few of the 21 studies cover, and the cube around the posterior insula.
N_FULL, N_PARTIAL, N_FEW = 25, 30, 10
MIN_STUDIES = 15
INSULA_MM = (32, -16, 14)


def read(path):
    return np.asarray(nib.load(path).dataobj, np.float32)


def collect_groups(source):
    mask = read(source / "mask.nii.gz") > 0
    for name in ("one_sample", "two_groups", "repeated_measures"):
        arrays = {"mask": mask, "affine": nib.load(source / "mask.nii.gz").affine}
        for path in sorted((source / name).glob("*.nii.gz")):
            key, values = path.name.removesuffix(".nii.gz"), read(path)[mask].T
            counted = name == "one_sample" and ("pfwe" in key or "uncorrected" in key)
            arrays[key] = np.rint(values * N_FLIPS).astype(np.int16) if counted else values
        for path in sorted((source / name).glob("*.csv")):
            arrays[path.stem] = np.loadtxt(path, delimiter=",", ndmin=2)
        np.savez_compressed(HERE / "maps" / f"{name}.npz", **arrays)


def collect_run(source):
    t = read(source / "spm_none_t.nii.gz")
    places = np.argwhere(np.isfinite(t) & (t != 0))
    places = places[np.sort(np.random.default_rng(0).choice(len(places), N_RUN_VOXELS, replace=False))]
    pick = tuple(places.T)
    arrays = {"bold": read(source / "bold.nii.gz")[pick].T}
    for name in ("t", "F", "effect", "residual_variance"):
        arrays[name] = read(source / f"spm_none_{name}.nii.gz")[pick]
    arrays["design"] = np.loadtxt(source / "spm_none_design.csv", delimiter=",")
    np.savez_compressed(HERE / "maps" / "run_level.npz", **arrays)


def collect_pain(source):
    paths = {s: sorted(source.glob(f"sub-*/*_stat-{s}_statmap.nii.gz")) for s in ("effect", "variance")}
    maps = {stat: np.array([read(path) for path in found]) for stat, found in paths.items()}
    affine = nib.load(paths["effect"][0]).affine
    n = (np.isfinite(maps["effect"]) & (maps["variance"] > 0)).sum(axis=0)
    centre = np.rint(np.linalg.inv(affine) @ [*INSULA_MM, 1])[:3].astype(int)
    rng = np.random.default_rng(0)
    n_studies = len(paths["effect"])
    kinds = ((n == n_studies, N_FULL), ((n >= MIN_STUDIES) & (n < n_studies), N_PARTIAL))
    kinds = (*kinds, ((n > 0) & (n < MIN_STUDIES), N_FEW))
    chosen = [rng.choice(np.argwhere(there), size, replace=False) for there, size in kinds]
    cube = centre + np.argwhere(np.ones((3, 3, 3))) - 1
    places = np.unique(np.concatenate([cube, *chosen]), axis=0)
    arrays = {stat: values[(slice(None), *places.T)] for stat, values in maps.items()}
    np.savez_compressed(HERE / "maps" / "pain.npz", places=places, affine=affine, shape=n.shape, **arrays)


def collect_noise(source):
    """Write designs and series in steps of 1e-6 (they were rounded to these)."""
    given = np.load(source / "reference.npz")
    kept = ("z", "effect", "variance", "k", "dof", "inside")
    arrays = {key: given[key] for key in given.files if key.split("_")[1] in kept}
    for key in given.files:
        if key.split("_")[1] in "xy":
            arrays[key] = np.rint(1e6 * given[key]).astype(np.int32)
    np.savez_compressed(HERE / "maps" / "run_noise.npz", **arrays)


def collect_flanker(source):
    """Write a row a run: onsets in s, answers in ms, and kinds, of which capitals are wrong answers."""
    rows = []
    letters = {f"{k}_{a}": k[0] if a == "correct" else k[0].upper()
               for k in ("congruent", "incongruent") for a in ("correct", "incorrect")}  # fmt: skip
    for path in sorted(source.glob("sub-*/func/*_events.tsv")):
        table = pd.read_csv(path, sep="\t")
        assert (table["duration"] == 2).all()
        kinds = "".join(table["trial_type"].map(letters))
        cells = (table[name].map("{:g}".format).str.cat(sep=" ") for name in ("onset", "ResponseTime"))
        rows.append([path.name[4:6], path.name.split("run-")[1][:2], kinds, *cells])
    made = pd.DataFrame(rows, columns=["subject", "run", "kinds", "onsets", "response_times"])
    people = pd.read_csv(source / "participants.tsv", sep="\t")
    people["subject"] = people["participant_id"].str[4:]
    made.merge(people[["subject", "sex", "age"]]).to_csv(
        HERE / "tables" / "flanker_events.tsv", sep="\t", index=False
    )


def collect_tables(source):
    text = (source / "random_field_spm.csv").read_text()
    (HERE / "tables" / "random_field_spm.csv").write_text(text)
    response = np.loadtxt(source / "spm_hrf.csv", delimiter=",", ndmin=2)[:, 0]
    np.savetxt(HERE / "tables" / "spm_hrf.csv", response, fmt="%.12g")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    collect_groups(folder / "reference")
    collect_run(folder / "reference" / "run_level")
    collect_noise(folder / "noise")
    collect_pain(folder / "data" / "pain21-4mm")
    collect_flanker(folder / "data" / "flanker-events")
    collect_tables(folder / "reference" / "tables")
