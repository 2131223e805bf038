"""Peak memory and time of the group stage, from maps on disk to reports, for many subjects at 2 mm.

    python -m benchmarks.group_memory [--subjects 1000] [-- OPTIONS OF THE APP]

Writes random maps in the MNI brain mask at 2 mm (235,375 voxels) to a temporary folder, a quarter of a
megabyte each, runs ``run.py ... group`` on them in a process of its own and removes everything. Without
options: a one-sample test with an age covariate, 100 shuffles. Aim: below 4 GB for 1,000 subjects.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn.datasets import load_mni152_brain_mask

GOAL_GB = 4.0
OPTIONS = ("--group-design", "covariate", "age", "--n-permutations", "100")
NAME = "sub-{0}_task-rest_space-MNI152NLin2009cAsym_contrast-x_stat-effect_statmap.nii.gz"


def main():
    """Write maps, run the app, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("options", nargs="*", default=OPTIONS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        maps, output = Path(folder, "maps"), Path(folder, "out")
        write_maps(maps, arguments.subjects)
        words = [maps, output, "group", "--estimates", maps, *arguments.options]
        start = time.perf_counter()
        subprocess.run([sys.executable, "run.py", *map(str, words)], check=True)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    stack = arguments.subjects * int(load_mni152_brain_mask(resolution=2).get_fdata().sum()) * 4 / 2**30
    print(f"{arguments.subjects} subjects, {' '.join(arguments.options)}:")
    print(f"peak {peak:.2f} GB (aim {GOAL_GB:.0f}), the maps are {stack:.2f} GB in memory; {seconds:.0f} s")


def write_maps(folder, n_subjects, seed=0):
    """Write an effect map a subject, as small integers, and participants.tsv."""
    rng = np.random.default_rng(seed)
    mask = load_mni152_brain_mask(resolution=2)
    inside = mask.get_fdata() > 0
    folder.mkdir()
    (folder / "dataset_description.json").write_text('{"Name": "random maps", "BIDSVersion": "1.10.0"}')
    lines = ["participant_id\tage"]
    for label in (f"{number:04d}" for number in range(1, n_subjects + 1)):
        volume = np.zeros(inside.shape, np.int16)
        # Never 0 inside the brain, where 0 means no data.
        volume[inside] = np.rint(10 * rng.standard_normal(inside.sum(), np.float32)) * 2 + 1
        image = nib.Nifti1Image(volume, mask.affine)
        (folder / f"sub-{label}").mkdir()
        nib.save(image, folder / f"sub-{label}" / NAME.format(label))
        lines.append(f"sub-{label}\t{rng.uniform(20, 60):.1f}")
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
