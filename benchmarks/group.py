"""Time and memory of the group models: ours, nilearn's and PyMARE's on the same data, in one run.

    python -m benchmarks.group [--subjects 100] [--mixed-subjects 50] [--many 1000]

Data are random, in the MNI brain mask at 2 mm (235,375 voxels), float32 and in memory before the clock
starts. Least squares: 5 covariates beside the intercept, 3 t and 1 F contrast, with z and p; nilearn fits
images, so its time includes masking. Mixed effects: REML with Knapp-Hartung standard errors. Memory is the
growth of the peak while fitting, next to the size of the data. Each case runs in a process of its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings

import numpy as np

N_VOXELS = 235_375
GOALS = {"ols": 5.0, "reml": 60.0}


def main():
    """Run every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=100)
    parser.add_argument("--mixed-subjects", type=int, default=50)
    parser.add_argument("--many", type=int, default=1000, help="subjects of the memory case (0: none)")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        name, n_subjects = arguments.case.split(":")
        print(json.dumps(CASES[name](int(n_subjects))))
        return
    cases = [("ols", arguments.subjects), ("nilearn", arguments.subjects)]
    cases += [("reml", arguments.mixed_subjects), ("pymare", arguments.mixed_subjects)]
    cases += [("ols", arguments.many), ("reml", arguments.many // 4)] if arguments.many else []
    load = os.getloadavg()[0]
    print(f"{len(os.sched_getaffinity(0))} processors, load {load:.1f} before the start")
    for name, n_subjects in cases:
        print(describe(name, n_subjects, run_case(name, n_subjects)), flush=True)


def run_case(name, n_subjects):
    """Return what a case measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.group", "--case", f"{name}:{n_subjects}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def describe(name, n_subjects, found):
    """Return a line of the table."""
    words = {
        "ols": "least squares, ours",
        "nilearn": "least squares, nilearn SecondLevelModel",
        "reml": "REML, ours",
        "pymare": "REML, PyMARE",
    }[name]
    goal = f", goal {GOALS[name]:.0f} s" if name in GOALS and n_subjects <= 100 else ""
    memory = ""
    if "growth_mb" in found:
        memory = f"; memory {found['growth_mb']:,.0f} MB beside {found['data_mb']:,.0f} MB of data"
    return f"{words}, {n_subjects} subjects: {found['seconds']:.2f} s{goal}{memory}"


def make_effects(n_subjects, seed=0):
    """Return random effects, float32, row by row so that no double copy is ever made."""
    rng = np.random.default_rng(seed)
    effects = np.empty((n_subjects, N_VOXELS), np.float32)
    for row in effects:
        row[:] = rng.standard_normal(N_VOXELS, np.float32)
    return effects


def make_model(n_subjects):
    """Return the design and its contrasts: three slopes and the F of them."""
    rng = np.random.default_rng(1)
    matrix = np.column_stack([np.ones(n_subjects), rng.normal(size=(n_subjects, 5))])
    rows = np.eye(6)
    return matrix, [("t", rows[[1]]), ("t", rows[[2]]), ("t", rows[[0]]), ("F", rows[1:4])]


def peak_mb():
    """Return the largest memory of the process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(work, data_bytes):
    """Return seconds and the growth of the peak memory of a call."""
    before = peak_mb()
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "growth_mb": peak_mb() - before, "data_mb": data_bytes / 2**20}


def time_ols(n_subjects):
    """Time our least squares."""
    from bidsapp.records.maps import Contrast, GroupDesign
    from bidsapp.stats.group.estimators import fit_group

    matrix, rows = make_model(n_subjects)
    columns = tuple(f"x{index}" for index in range(matrix.shape[1]))
    contrasts = tuple(Contrast(f"c{i}", test, columns, weights) for i, (test, weights) in enumerate(rows))
    effects = make_effects(n_subjects)
    return measure(lambda: fit_group(effects, None, GroupDesign(matrix, contrasts)), effects.nbytes)


def time_nilearn(n_subjects):
    """Time nilearn's SecondLevelModel with the same design and contrasts."""
    import nibabel as nib
    import pandas as pd
    from nilearn.datasets import load_mni152_brain_mask
    from nilearn.glm.second_level import SecondLevelModel

    warnings.simplefilter("ignore")
    mask = load_mni152_brain_mask(resolution=2)
    inside = mask.get_fdata() > 0
    n_voxels = int(inside.sum())
    matrix, rows = make_model(n_subjects)
    design = pd.DataFrame(matrix, columns=["intercept", *(f"x{index}" for index in range(1, 6))])
    images = []
    for row in make_effects(n_subjects)[:, :n_voxels]:
        volume = np.zeros(inside.shape, np.float32)
        volume[inside] = row
        images.append(nib.Nifti1Image(volume, mask.affine))

    def work():
        model = SecondLevelModel(mask_img=mask, minimize_memory=True).fit(images, design_matrix=design)
        for test, weights in rows:
            model.compute_contrast(weights, second_level_stat_type=test, output_type="all")

    return measure(work, n_subjects * n_voxels * 4)


def make_mixed(n_subjects, n_voxels):
    """Return effects and variances with tau2 between 0 and 1."""
    rng = np.random.default_rng(2)
    variances = (rng.chisquare(20, (n_subjects, n_voxels)) / 20).astype(np.float32)
    tau2 = rng.uniform(0.0, 1.0, n_voxels).astype(np.float32)
    effects = rng.standard_normal((n_subjects, n_voxels), np.float32) * np.sqrt(variances + tau2)
    return effects, variances


def time_reml(n_subjects):
    """Time our REML with Knapp-Hartung standard errors."""
    from bidsapp.records.maps import Contrast, GroupDesign
    from bidsapp.stats.group.estimators import fit_group

    effects, variances = make_mixed(n_subjects, N_VOXELS)
    design = GroupDesign(np.ones((n_subjects, 1)), (Contrast("mean", "t", ("1",), np.ones((1, 1))),))
    size = effects.nbytes + variances.nbytes
    return measure(lambda: fit_group(effects, variances, design, estimator="reml"), size)


def time_pymare(n_subjects):
    """Time PyMARE's REML."""
    warnings.simplefilter("ignore")
    from pymare import Dataset
    from pymare.estimators import VarianceBasedLikelihoodEstimator

    effects, variances = make_mixed(n_subjects, N_VOXELS)
    data = Dataset(effects, variances, add_intercept=True)
    fit = VarianceBasedLikelihoodEstimator(method="REML").fit_dataset
    return measure(lambda: fit(data).summary().get_fe_stats(), effects.nbytes + variances.nbytes)


CASES = {"ols": time_ols, "nilearn": time_nilearn, "reml": time_reml, "pymare": time_pymare}

if __name__ == "__main__":
    main()
