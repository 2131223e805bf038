"""The same estimates of participants as the files of several programs."""

import json

import nibabel as nib
import numpy as np

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
SHAPE = (5, 6, 4)
CONTRASTS = ("left > right", "faces")
DOF = 57


def make_estimates(n_subjects=6, seed=0):
    """Return label -> contrast -> (effect, variance), float32, shape SHAPE, NaN outside a mask."""
    rng = np.random.default_rng(seed)
    inside = np.ones(SHAPE, bool)
    inside[0], inside[:, :, -1] = False, False

    def make():
        effect, variance = rng.normal(1, 1, SHAPE), rng.uniform(0.5, 2, SHAPE)
        return tuple(np.where(inside, values, np.nan).astype(np.float32) for values in (effect, variance))

    return {f"{i + 1:02d}": {name: make() for name in CONTRASTS} for i in range(n_subjects)}


def save(path, values, affine=AFFINE):
    """Write a float32 image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.asarray(values, np.float32), affine), path)


def write_own(folder, estimates):
    """Write the maps as the participant level does."""
    for label, maps in estimates.items():
        for name, (effect, variance) in maps.items():
            contrast = {"left > right": "leftRight", "faces": "faces"}[name]
            stem = folder / f"sub-{label}" / f"sub-{label}_contrast-{contrast}"
            save(stem.with_name(f"{stem.name}_stat-effect_statmap.nii.gz"), effect)
            save(stem.with_name(f"{stem.name}_stat-variance_statmap.nii.gz"), variance)
            sidecar = {"ContrastName": name, "DegreesOfFreedom": DOF}
            stem.with_name(f"{stem.name}_stat-effect_statmap.json").write_text(json.dumps(sidecar))
    return folder


def write_fitlins(folder, estimates):
    """Write a FitLins folder: a node of subjects, whose contrasts are named in camel case, and an F map."""
    folder.mkdir(parents=True)
    (folder / "dataset_description.json").write_text('{"Name": "FitLins", "BIDSVersion": "1.4.1"}')
    for label, maps in estimates.items():
        node = folder / "node-subjectLevel" / f"sub-{label}"
        for name, (effect, variance) in maps.items():
            contrast = {"left > right": "LeftRight", "faces": "Faces"}[name]
            for stat, values in (("effect", effect), ("variance", variance), ("t", effect)):
                save(node / f"sub-{label}_contrast-{contrast}_stat-{stat}_statmap.nii.gz", values)
        for stat in ("effect", "F"):
            save(node / f"sub-{label}_contrast-Any_stat-{stat}_statmap.nii.gz", np.ones((*SHAPE, 2)))
    return folder


def write_design_con(folder, names):
    """Write FEAT's table of contrasts."""
    lines = [f"/ContrastName{number}\t{name}" for number, name in enumerate(names, 1)]
    weights = "\n".join("1.000000e+00 0.000000e+00 " for _ in names)
    more = [
        "/NumWaves\t2",
        f"/NumContrasts\t{len(names)}",
        "/PPheights\t\t1.0\t1.0",
        "",
        "/Matrix",
        weights,
        "",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.con").write_text("\n".join(lines + more))


def write_copes(stats, maps):
    """Write the copes of one FEAT folder, which are 0 outside the mask."""
    for number, (effect, variance) in enumerate(maps, 1):
        save(stats / f"cope{number}.nii.gz", np.nan_to_num(effect))
        save(stats / f"varcope{number}.nii.gz", np.nan_to_num(variance))


def write_feat(folder, maps, *, registered=False):
    """Write one ``.feat`` of a first level; ``registered``: in the run's space, and in standard space."""
    write_design_con(folder, list(maps))
    (folder / "design.fsf").write_text("# FEAT version number\nset fmri(version) 6.00\n")
    if registered:
        save(folder / "reg" / "standard.nii.gz", np.ones(SHAPE))
        write_copes(folder / "reg_standard" / "stats", maps.values())
        native = np.ones((3, 3, 3))
        write_copes(folder / "stats", [(native, native)] * len(maps))
    else:
        write_copes(folder / "stats", maps.values())
    (folder / "stats" / "dof").write_text(f"{DOF}\n")
    return folder


def write_gfeat(folder, maps, higher=("mean",)):
    """Write one ``.gfeat``: a folder for each contrast of the runs, with a cope for each of its own."""
    for number, (name, one) in enumerate(maps.items(), 1):
        inner = folder / f"cope{number}.feat"
        write_design_con(inner, higher)
        (inner / "design.lev").write_text(f"{name}\n")
        write_copes(inner / "stats", [one] * len(higher))
        for cope in range(len(higher)):
            save(inner / "stats" / f"tdof_t{cope + 1}.nii.gz", np.where(np.isnan(one[0]), 0, DOF))
    write_design_con(folder, higher)
    return folder
