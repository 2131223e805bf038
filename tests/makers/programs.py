"""The same estimates of participants as the files of several programs."""

import json

import nibabel as nib
import numpy as np
from scipy.io import savemat

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
    made = {"Name": "FitLins", "PipelineDescription": {"Name": "FitLins", "Version": "0.11.0"}}
    (folder / "dataset_description.json").write_text(json.dumps(made))
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


def write_spm(folder, maps, *, names=None, more=()):
    """Write one SPM folder: a first level with its contrasts, and an F contrast.

    Parameters
    ----------
    names : list of str, optional
        Of the files of the contrasts, as SPM.mat has them.
    more : dict, optional
        Further fields of SPM, or others.
    """
    names = names or [f"con_{number:04d}.nii" for number in range(1, len(maps) + 1)]
    weights, spread = np.array([[1.0], [-1.0], [0.0]]), 0.25 * np.eye(3)
    fields = ["name", "STAT", "c", "Vcon", "Vspm"]
    rows = []
    for number, (name, (effect, variance)) in enumerate(maps.items()):
        save(folder / names[number].replace("\\", "/").rsplit("/", 1)[-1], effect)
        save(folder / f"spmT_{number + 1:04d}.nii", effect / np.sqrt(variance))
        statistic = {"fname": f"spmT_{number + 1:04d}.nii"}
        rows.append((name, "T", weights, {"fname": names[number], "dim": np.array(SHAPE)}, statistic))
        # One variance of the residuals serves all contrasts: those of the last one are true.
        save(folder / "ResMS.nii", variance / 0.5)
    rows.append(("any", "F", np.eye(3), {"fname": "ess_0003.nii"}, {"fname": "spmF_0003.nii"}))
    contrasts = np.array(rows, dtype=[(field, object) for field in fields])
    spm = {
        "SPMid": "SPM12: spm_spm (v7738)",
        "xX": {"erdf": float(DOF), "Bcov": spread},
        "VResMS": {"fname": "ResMS.nii"},
        "xCon": contrasts,
    }
    savemat(folder / "SPM.mat", {"SPM": {**spm, **dict(more)}})
    return folder


def describe_bucket(maps, labels=None):
    """Return labels, values and degrees of freedom of t of the sub-bricks of a bucket."""
    bricks = [("Full_Fstat", np.ones(SHAPE), None)]
    for name, (effect, variance) in maps.items():
        stem = f"{name}_GLT#0" if ">" in name else f"{name}#0"
        bricks += [(f"{stem}_Coef", effect, None), (f"{stem}_Tstat", effect / np.sqrt(variance), DOF)]
    values = np.nan_to_num(np.stack([brick[1] for brick in bricks], axis=-1)).astype(np.float32)
    stataux = [(i, 3, 1, dof) for i, (_, _, dof) in enumerate(bricks) if dof]
    stataux.insert(0, (0, 4, 2, 2, DOF))
    return labels or [brick[0] for brick in bricks], values, [number for row in stataux for number in row]


def write_bucket(path, maps, labels=None):
    """Write one bucket as 3dREMLfit does, in NIfTI: five axes, and labels in AFNI's extension."""
    labels, values, stataux = describe_bucket(maps, labels)
    text = "~".join(labels).replace(">", "&gt;")
    half = len(text) // 2
    attributes = [
        ("String", "BRICK_LABS", f'"{text[:half]}"\n "{text[half:]}"'),
        ("float", "BRICK_STATAUX", "\n ".join(map(str, stataux))),
        ("int", "SCENE_DATA", "2 11 1"),
    ]
    elements = [
        f'<AFNI_atr\n  ni_type="{kind}"\n  ni_dimen="1"\n  atr_name="{name}" >\n {content}\n</AFNI_atr>'
        for kind, name, content in attributes
    ]
    content = "\n".join(["<?xml version='1.0' ?>", "<AFNI_attributes", '  ni_form="ni_group" >', *elements])
    image = nib.Nifti1Image(values[:, :, :, None, :], AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(4, f"{content}\n</AFNI_attributes>".encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def write_brik(path, maps):
    """Write one bucket as 3dREMLfit does, in AFNI's own format: a header and the values."""
    labels, values, stataux = describe_bucket(maps)
    n = len(labels)
    attributes = {
        "DATASET_RANK": [3, n],
        "DATASET_DIMENSIONS": [*SHAPE, 0, 0],
        "TYPESTRING": "3DIM_HEAD_FUNC",
        "SCENE_DATA": [2, 11, 1],
        "ORIENT_SPECIFIC": [1, 2, 4],
        "ORIGIN": [0.0, 0.0, 0.0],
        "DELTA": [-4.0, -4.0, 4.0],
        "IJK_TO_DICOM_REAL": [-4.0, 0, 0, 0, 0, -4.0, 0, 0, 0, 0, 4.0, 0],
        "BYTEORDER_STRING": "LSB_FIRST",
        "BRICK_TYPES": [3] * n,
        "BRICK_FLOAT_FACS": [0.0] * n,
        "BRICK_LABS": "~".join(labels),
        "BRICK_STATAUX": [float(number) for number in stataux],
    }
    lines = []
    for name, value in attributes.items():
        kind = "string" if isinstance(value, str) else "float" if isinstance(value[0], float) else "integer"
        content = f"'{value}~" if isinstance(value, str) else " ".join(map(str, value))
        count = len(value) + isinstance(value, str)
        lines.append(f"\ntype = {kind}-attribute\nname = {name}\ncount = {count}\n{content}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))
    path.with_suffix(".BRIK").write_bytes(values.astype("<f4").tobytes(order="F"))
    return path
