"""Time and size of the pages of a group: ours and nilearn's on the same data, in one run.

    python -m benchmarks.reports [--contrasts 18] [--subjects 8] [--shuffles 64]

Effects are smooth noise with a response in the visual cortex that differs between contrasts, in the MNI brain
mask at 2 mm. The group level is run first; what is timed is ``run.py ... group --reports-only`` as a whole
process, so starting it counts, and nilearn's SecondLevelModel.generate_report of one contrast of a fitted
model, whose start does not count. Processor time, one thread each.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

STEM = "{subject}_task-x_space-MNI152NLin2009cAsym_res-2_contrast-{contrast}_stat-effect_statmap.nii.gz"


def main():
    """Make the data, run both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contrasts", type=int, default=18)
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--shuffles", type=int, default=64)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        maps, out = Path(folder) / "maps", Path(folder) / "out"
        write_maps(maps, arguments.subjects, arguments.contrasts)
        command = [sys.executable, "run.py", str(maps), str(out), "group", "--estimates", str(maps)]
        command += ["--n-permutations", str(arguments.shuffles), "--nprocs", "1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = processor_seconds([*command, "--reports-only"])
        describe(out, seconds, arguments.contrasts)
        nilearn = time_nilearn(maps, arguments.subjects)
        each = seconds / arguments.contrasts
        print(f"nilearn, one contrast: {nilearn:.2f} s; nilearn / ours: {nilearn / each:.1f}")


def write_maps(folder, n_subjects, n_contrasts, seed=0):
    """Write the effect maps of subjects."""
    from nilearn.datasets import load_mni152_brain_mask

    brain = load_mni152_brain_mask(resolution=2)
    inside = brain.get_fdata() > 0
    rng = np.random.default_rng(seed)
    folder.mkdir()
    (folder / "dataset_description.json").write_text('{"Name": "maps", "BIDSVersion": "1.10.0"}')
    labels = [f"sub-{i + 1:02d}" for i in range(n_subjects)]
    pd.DataFrame({"participant_id": labels}).to_csv(folder / "participants.tsv", sep="\t", index=False)
    blob = gaussian_filter((np.arange(inside.size).reshape(inside.shape) == find(brain)).astype(float), 4)
    blob /= blob.max()
    for label in labels:
        (folder / label).mkdir()
        for k in range(n_contrasts):
            noise = gaussian_filter(rng.standard_normal(inside.shape, np.float32), 1.3)
            effect = np.where(inside, noise / noise.std() + (k % 6) * blob, 0).astype(np.float32)
            name = STEM.format(subject=label, contrast=f"c{k + 1:02d}")
            nib.save(nib.Nifti1Image(effect, brain.affine), folder / label / name)


def find(image, place=(0, -84, 4)):
    """Return the index of a place in mm in the flattened grid of an image."""
    voxel = np.rint(np.linalg.inv(image.affine) @ [*place, 1])[:3].astype(int)
    return np.ravel_multi_index(voxel, image.shape)


def processor_seconds(command):
    """Return the processor time of a process and what it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def describe(out, seconds, n_contrasts):
    """Print time and sizes."""
    pages = sorted((out / "group").glob("*_report.html"))
    sizes = [path.stat().st_size / 1e6 for path in pages]
    beside = [path.stat().st_size / 1e6 for path in (out / "group/figures").glob("*_view_*.js")]
    index = (out / "group.html").stat().st_size / 1e6
    print(f"ours, {n_contrasts} contrasts: {seconds:.1f} s, {seconds / n_contrasts:.2f} s each (processor)")
    print(f"index {index:.2f} MB; pages of contrasts {min(sizes):.2f} to {max(sizes):.2f} MB")
    print(
        f"beside them {len(beside)} files, {sum(beside):.1f} MB, at most {max(beside, default=0):.1f} MB each"
    )


def time_nilearn(folder, n_subjects):
    """Return the processor time of nilearn's report of the last contrast."""
    from nilearn.glm.second_level import SecondLevelModel

    images = sorted(str(path) for path in folder.glob("sub-*/*contrast-c06_*.nii.gz"))
    model = SecondLevelModel().fit(images, design_matrix=pd.DataFrame({"intercept": np.ones(n_subjects)}))
    started = time.process_time()
    text = str(model.generate_report("intercept"))
    seconds = time.process_time() - started
    print(f"nilearn's page: {len(text) / 1e6:.2f} MB")
    return seconds


if __name__ == "__main__":
    main()
