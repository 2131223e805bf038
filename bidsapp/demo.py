"""Write a small dataset with a known effect: ``python -m bidsapp.demo OUT``.

Raw BIDS, fMRIPrep-style derivatives in MNI space, and the true effects (in percent signal change) in
``OUT/truth``. The brain mask is the one that nilearn bundles; everything else is simulated.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.datasets import load_mni152_brain_mask
from nilearn.glm.first_level import compute_regressor
from nilearn.image import resample_img
from numpy.random import Generator
from numpy.typing import NDArray

from bidsapp.errors import EXIT_CANNOT_CREATE, EXIT_OK, SettingsError
from bidsapp.model.strategy import MOTION
from bidsapp.records.arrays import Maps, Mask, Matrix
from bidsapp.records.documents import Document

TASK, SPACE = "viewing", "MNI152NLin2009cAsym"
CONDITIONS = ("face", "house")
REPETITION_TIME = 2.0
BASELINE = 1000.0
# Position in mm, radius in mm, effect of a face and of a house in percent.
REGIONS = (
    ((0, -86, 4), 14, (2.0, 2.0)),  # visual cortex: both alike
    ((42, -52, -18), 12, (2.0, 0.4)),  # right fusiform: faces
    ((-42, -54, -18), 12, (1.7, 0.4)),  # left fusiform: faces
    ((28, -44, -10), 10, (0.3, 1.8)),  # right parahippocampal: houses
    ((0, 52, -6), 12, (-0.6, -0.6)),  # medial prefrontal: below baseline
)
NOISE_PERCENT, AUTOCORRELATION = 1.2, 0.35
# A rotation of one radian moves the cortex by about 50 mm (Power et al. 2012).
HEAD_RADIUS_MM = 50


@dataclass(frozen=True)
class Scene:
    """What all runs share: ``effects`` has shape (n_conditions, n_points)."""

    folder: Path
    mask: Mask
    affine: Matrix
    effects: Maps
    n_volumes: int

    @property
    def derivatives(self) -> Path:
        """The folder of the preprocessed data."""
        return self.folder / "derivatives" / "fmriprep"


def make_demo(
    folder: str | Path,
    *,
    n_subjects: int = 8,
    voxel_size_mm: float = 4.0,
    n_volumes: int = 100,
    seed: int = 0,
) -> None:
    """Write the dataset: two runs a subject, conditions face and house, groups control and patient.

    The same arguments give the same values. Subjects differ in the size of their responses by 20 %, and
    patients' responses to faces are smaller by 30 % of the true effect.

    Raises
    ------
    SettingsError
        The folder is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(
            f"{folder} exists and is not empty. Name a new folder.", exit_code=EXIT_CANNOT_CREATE
        )
    mask, affine = _make_grid(voxel_size_mm)
    scene = Scene(folder, mask, affine, _true_effects(mask, affine), n_volumes)
    subjects = [f"{number:02d}" for number in range(1, n_subjects + 1)]
    groups = ["control" if number % 2 == 0 else "patient" for number in range(n_subjects)]
    _write_descriptions(scene)
    _write_participants(scene, subjects, groups, np.random.default_rng([seed, 0]))
    _write_truth(scene)
    for number, (subject, group) in enumerate(zip(subjects, groups, strict=True), start=1):
        rng = np.random.default_rng([seed, number])
        gains = 1 + 0.2 * rng.standard_normal(len(CONDITIONS)) - [0.3 * (group == "patient"), 0.0]
        for run in ("1", "2"):
            _write_run(scene, f"sub-{subject}", run, gains[:, None] * scene.effects, rng)


def _make_grid(voxel_size_mm: float) -> tuple[Mask, Matrix]:
    """Return the brain mask and affine of an MNI grid."""
    shape = tuple(int(np.ceil(extent / voxel_size_mm)) for extent in (144, 184, 160))
    affine = np.diag([voxel_size_mm] * 3 + [1.0])
    affine[:3, 3] = (-72, -108, -72)
    image = resample_img(
        load_mni152_brain_mask(resolution=2),
        target_affine=affine,
        target_shape=shape,
        interpolation="nearest",
        force_resample=True,
        copy_header=True,
    )
    return np.asarray(image.dataobj) > 0, affine


def _true_effects(mask: Mask, affine: Matrix) -> Maps:
    positions = nib.affines.apply_affine(affine, np.argwhere(mask))
    effects = np.zeros((len(CONDITIONS), len(positions)))
    for centre, radius, sizes in REGIONS:
        distance = np.linalg.norm(positions - centre, axis=1) / radius
        # A Gaussian bump, exactly zero beyond its radius, so that truth has an edge.
        effects += np.outer(sizes, np.where(distance <= 1, np.exp(-(distance**2)), 0.0))
    return effects


def _write_descriptions(scene: Scene) -> None:
    common = {"Name": "TaskGLM demo", "BIDSVersion": "1.10.0", "License": "CC0", "Authors": ["TaskGLM"]}
    generated = {"GeneratedBy": [{"Name": "fMRIPrep", "Version": "simulated"}]}
    _write_json(scene.folder / "dataset_description.json", common | {"DatasetType": "raw"})
    _write_json(
        scene.derivatives / "dataset_description.json", common | {"DatasetType": "derivative"} | generated
    )
    (scene.folder / "README").write_text(
        "Simulated by `python -m bidsapp.demo`. The raw images are placeholders of 4 x 4 x 4 voxels; the\n"
        "preprocessed ones in derivatives/fmriprep hold the data. True effects (percent signal change) are\n"
        "in truth/.\n"
    )
    (scene.folder / ".bidsignore").write_text("truth\n")
    _write_json(
        scene.folder / f"task-{TASK}_bold.json", {"TaskName": TASK, "RepetitionTime": REPETITION_TIME}
    )
    levels = {name: f"Picture of a {name}" for name in CONDITIONS}
    columns = {
        "trial_type": {"Description": "Kind of picture", "Levels": levels},
        "response_time": {"Description": "Time from onset to key press", "Units": "s"},
    }
    _write_json(scene.folder / f"task-{TASK}_events.json", columns)


def _write_participants(scene: Scene, subjects: Sequence[str], groups: Sequence[str], rng: Generator) -> None:
    table = pd.DataFrame(
        {
            "participant_id": [f"sub-{subject}" for subject in subjects],
            "age": rng.integers(20, 60, len(subjects)),
            "sex": rng.choice(["F", "M"], len(subjects)),
            "group": groups,
        }
    )
    _write_table(scene.folder / "participants.tsv", table)
    columns = {
        "age": {"Description": "Age of the participant", "Units": "years"},
        "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
        "group": {"Description": "Group", "Levels": {"control": "healthy", "patient": "patient"}},
    }
    _write_json(scene.folder / "participants.json", columns)


def _write_truth(scene: Scene) -> None:
    maps = dict(zip(CONDITIONS, scene.effects, strict=True))
    maps["faceMinusHouse"] = maps["face"] - maps["house"]
    for name, effect in maps.items():
        volume = np.zeros(scene.mask.shape, np.float32)
        volume[scene.mask] = effect
        _save(nib.Nifti1Image(volume, scene.affine), scene.folder / "truth" / f"{name}.nii.gz")


def _write_run(scene: Scene, subject: str, run: str, effects: Maps, rng: Generator) -> None:
    stem = f"{subject}_task-{TASK}_run-{run}"
    raw = scene.folder / subject / "func"
    events = _make_events(scene.n_volumes, rng)
    _write_table(raw / f"{stem}_events.tsv", events)
    _save(
        _series_image(np.zeros((4, 4, 4, scene.n_volumes), np.int16), np.eye(4)), raw / f"{stem}_bold.nii.gz"
    )
    confounds = _make_confounds(scene.n_volumes, rng)
    derived = scene.derivatives / subject / "func"
    _write_table(derived / f"{stem}_desc-confounds_timeseries.tsv", confounds)
    components = {"Method": "aCompCor", "Mask": "combined", "Retained": True}
    columns = {name: components for name in confounds.columns if name.startswith("a_comp_cor")}
    _write_json(derived / f"{stem}_desc-confounds_timeseries.json", columns)
    percent = _simulate(scene, effects, events, confounds, rng)
    volume = np.zeros((*scene.mask.shape, scene.n_volumes), np.int16)
    volume[scene.mask] = np.round(BASELINE * (1 + percent / 100)).T
    place = derived / f"{stem}_space-{SPACE}"
    _save(_series_image(volume, scene.affine), f"{place}_desc-preproc_bold.nii.gz")
    timing = {
        "RepetitionTime": REPETITION_TIME,
        "StartTime": REPETITION_TIME / 2,
        "SliceTimingCorrected": True,
    }
    _write_json(f"{place}_desc-preproc_bold.json", timing | {"TaskName": TASK, "SkullStripped": False})
    _save(nib.Nifti1Image(scene.mask.astype(np.uint8), scene.affine), f"{place}_desc-brain_mask.nii.gz")
    _write_json(f"{place}_desc-brain_mask.json", {"Type": "Brain", "RawSources": []})


def _make_events(n_volumes: int, rng: Generator) -> pd.DataFrame:
    """Return pictures of 3 s in random order with gaps of 3 to 7 s."""
    onsets = 4.0 + np.cumsum(3.0 + rng.uniform(3, 7, n_volumes)).round(1)
    onsets = onsets[onsets < n_volumes * REPETITION_TIME - 12]
    kinds = rng.permutation(np.resize(CONDITIONS, len(onsets)))
    times = rng.uniform(0.4, 1.2, len(onsets)).round(3)
    times[rng.random(len(onsets)) < 0.1] = np.nan
    return pd.DataFrame({"onset": onsets, "duration": 3.0, "trial_type": kinds, "response_time": times})


def _make_confounds(n_volumes: int, rng: Generator) -> pd.DataFrame:
    """Return confounds named and n/a as fMRIPrep writes them."""
    scale = np.repeat([0.03, 0.0006], 3)  # mm and radians a volume
    motion = np.cumsum(scale * rng.standard_normal((n_volumes, 6)), axis=0)
    table = {}
    for name, values in zip(MOTION, motion.T, strict=True):
        step = np.r_[np.nan, np.diff(values)]
        table[name], table[f"{name}_derivative1"] = values, step
        table[f"{name}_power2"], table[f"{name}_derivative1_power2"] = values**2, step**2
    steps = np.abs(np.diff(motion, axis=0)) * np.repeat([1, HEAD_RADIUS_MM], 3)
    table["framewise_displacement"] = np.r_[np.nan, steps.sum(axis=1)]
    table["std_dvars"] = np.r_[np.nan, 1 + 0.05 * rng.standard_normal(n_volumes - 1)]
    for name in ("csf", "white_matter", "global_signal"):
        table[name] = BASELINE + rng.standard_normal(n_volumes)
    for number in range(6):
        table[f"a_comp_cor_{number:02d}"] = rng.standard_normal(n_volumes) / np.sqrt(n_volumes)
    frames = np.arange(n_volumes)
    for number in range(int(2 * n_volumes * REPETITION_TIME / 128)):
        phase = np.pi * (number + 1) * (frames + 0.5) / n_volumes
        table[f"cosine{number:02d}"] = np.sqrt(2 / n_volumes) * np.cos(phase)
    table["non_steady_state_outlier00"] = (frames == 0).astype(int)
    return pd.DataFrame(table)


def _simulate(
    scene: Scene, effects: Maps, events: pd.DataFrame, confounds: pd.DataFrame, rng: Generator
) -> Maps:
    """Return percent signal change, shape (n_volumes, n_points): effects, motion, drift, AR(1) noise."""
    frames = REPETITION_TIME * (np.arange(scene.n_volumes) + 0.5)
    regressors = []
    for kind in CONDITIONS:
        rows = events[events.trial_type == kind]
        condition = np.stack([rows.onset, rows.duration, np.ones(len(rows))])
        regressors.append(compute_regressor(condition, "spm", frames)[0][:, 0])
    shape = (scene.n_volumes, effects.shape[1])
    noise = rng.standard_normal(shape, dtype=np.float32)
    keep = np.float32(AUTOCORRELATION)
    for volume in range(1, scene.n_volumes):
        noise[volume] = keep * noise[volume - 1] + np.sqrt(1 - keep**2) * noise[volume]
    nuisance = confounds[list(MOTION)].to_numpy() * np.repeat([1, HEAD_RADIUS_MM], 3)
    nuisance = np.column_stack([nuisance, np.linspace(-1, 1, scene.n_volumes)])
    weights = 0.5 * rng.standard_normal((nuisance.shape[1], shape[1]))
    percent = np.column_stack(regressors) @ effects + NOISE_PERCENT * noise + nuisance @ weights
    percent[0] += 6  # magnetisation before its steady state
    return percent


def _series_image(volume: NDArray[np.int16], affine: Matrix) -> nib.Nifti1Image:
    image = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((*image.header.get_zooms()[:3], REPETITION_TIME))
    return image


def _save(image: nib.Nifti1Image, path: str | Path) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


def _write_table(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a", float_format="%.8g")


def _write_json(path: str | Path, content: Document) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the demo dataset from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bidsapp.demo", description=__doc__.split(":")[0] + ".")
    parser.add_argument("out", type=Path, help="folder to write, new or empty")
    parser.add_argument("--subjects", type=int, default=8, help="number of subjects (default: %(default)s)")
    parser.add_argument("--voxel-size", type=float, default=4.0, metavar="MM", help="(default: %(default)s)")
    parser.add_argument("--volumes", type=int, default=100, help="volumes of a run (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default: %(default)s)")
    args = parser.parse_args(argv)
    sizes = {"n_subjects": args.subjects, "voxel_size_mm": args.voxel_size, "n_volumes": args.volumes}
    try:
        make_demo(args.out, **sizes, seed=args.seed)
    except SettingsError as error:
        parser.exit(error.exit_code, f"{error}\n")
    sys.stdout.write(f"{args.out}\n")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
