"""Time of a shuffle: ours and nilearn's ``non_parametric_inference`` on the same data, in one run.

    python -m benchmarks.permutation [--shuffles 10000] [--tfce-shuffles 200] [--scaling [--plot FILE]]

20 subjects of smooth noise in the MNI brain mask at 2 mm (235,375 voxels). nilearn's time is the marginal
cost: the difference between two numbers of permutations, divided by their difference. Ours is the whole call
(preparation, observed map, clusters, p-values) divided by the number of shuffles; compilation is done before.
"processor" is the same in processor time, on one or more processors, whatever else the machine does.
"""

import argparse
import os
import time
import warnings

import numpy as np
from scipy import ndimage

from bidsapp.inference.permutation import permute
from bidsapp.records.maps import Geometry, InferenceOptions

CASES = {
    "max-T": ("height",),
    "clusters": ("height", "extent", "mass"),
    "TFCE": ("height", "extent", "mass", "tfce"),
}
# Permutations of nilearn whose times are compared.
NILEARN = {"max-T": (40, 240), "clusters": (10, 60), "TFCE": (2, 8)}
GOALS = {"max-T": (60, 100), "clusters": (75, 150), "TFCE": (100, 150)}


def make_data(n_subjects, resolution=2, seed=1):
    """Return smooth noise (n_subjects, n_points), the mask image and its geometry."""
    from nilearn.datasets import load_mni152_brain_mask

    image = load_mni152_brain_mask(resolution=resolution)
    mask = image.get_fdata() > 0
    rng = np.random.default_rng(seed)
    sigma = 6.0 / 2.355 / resolution
    noise = [ndimage.gaussian_filter(rng.normal(size=mask.shape), sigma)[mask] for _ in range(n_subjects)]
    return np.array(noise, np.float32), image, Geometry(mask, image.affine)


def time_ours(data, matrix, geometry, n_shuffles, *, uncorrected=False, statistics=("height",)):
    """Return seconds of one call."""
    options = InferenceOptions(
        n_shuffles=n_shuffles,
        statistics=statistics,
        uncorrected=uncorrected,
        connectivity=6,
        n_threads=len(os.sched_getaffinity(0)),
        alpha=0.5,
    )
    start = time.perf_counter()
    permute(data, matrix, np.eye(matrix.shape[1])[:1], geometry, options)
    return time.perf_counter() - start


def time_nilearn(data, image, matrix, case):
    """Return nilearn's marginal seconds a permutation."""
    import pandas as pd
    from nilearn.glm.second_level import non_parametric_inference
    from nilearn.masking import unmask

    images = [unmask(row, image) for row in data]
    names = ["intercept"] if matrix.shape[1] == 1 else [f"x{i}" for i in range(matrix.shape[1])]
    design = pd.DataFrame(matrix, columns=names)

    def run(n_perm):
        start = time.perf_counter()
        non_parametric_inference(
            images,
            design_matrix=design,
            second_level_contrast=names[0],
            mask=image,
            n_perm=n_perm,
            two_sided_test=True,
            n_jobs=2,
            random_state=0,
            threshold=0.001 if case == "clusters" else None,
            tfce=case == "TFCE",
        )
        return time.perf_counter() - start

    few, many = NILEARN[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(2)
        return (run(many) - run(few)) / (many - few)


def compare(cases, n_shuffles, n_tfce):
    """Print a row a case."""
    data, image, geometry = make_data(20)
    ones = np.ones((20, 1))
    print(f"20 subjects x {geometry.n_points} voxels, {len(os.sched_getaffinity(0))} processors, "
          f"load {os.getloadavg()[0]:.1f} at the start")  # fmt: skip
    print(f"{'':10}{'ours ms':>10}{'processor':>10}{'with p':>10}{'nilearn ms':>12}{'ratio':>8}   goal (aim)")
    for case in cases:
        count = n_tfce if case == "TFCE" else n_shuffles
        time_ours(data, ones, geometry, 24, statistics=CASES[case])
        start = time.process_time()
        ours = min(time_ours(data, ones, geometry, count, statistics=CASES[case]) for _ in range(2))
        processor = (time.process_time() - start) / 2
        counted = time_ours(data, ones, geometry, count, statistics=CASES[case], uncorrected=True)
        peer = time_nilearn(data, image, ones, case)
        goal, aim = GOALS[case]
        print(
            f"{case:10}"
            + "".join(f"{1e3 * seconds / count:10.3f}" for seconds in (ours, processor, counted))
            + f"{1e3 * peer:12.2f}{peer / (ours / count):8.0f}   {goal} ({aim})",
            flush=True,
        )


# Shuffles, subjects, voxel size in mm and covariates beside the effect: one thing varies in each group.
GROWTH = {
    "shuffles": [(1000, 20, 2, 0), (4000, 20, 2, 0), (16000, 20, 2, 0)],
    "subjects": [(1000, 20, 2, 0), (1000, 40, 2, 0), (1000, 80, 2, 0)],
    "voxels": [(1000, 20, 4, 0), (1000, 20, 3, 0), (1000, 20, 2, 0)],
    "100 subjects, 3 covariates": [(1000, 100, 2, 3)],
}


def scaling(plot):
    """Print how our processor time (so other work does not count) grows; draw it, log-log, if asked to."""
    rng, rows = np.random.default_rng(3), []
    print("| Grows | Shuffles | Subjects | Voxels | max-T, s | clusters, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for grows, sizes in GROWTH.items():
        for count, n_subjects, resolution, covariates in sizes:
            data, _, geometry = make_data(n_subjects, resolution)
            matrix = np.ones((n_subjects, 1))
            if covariates:
                matrix = np.column_stack([rng.normal(size=(n_subjects, covariates + 1)), matrix])
            seconds = []
            for case in ("max-T", "clusters"):
                time_ours(data, matrix, geometry, 24, statistics=CASES[case])
                start = time.process_time()
                time_ours(data, matrix, geometry, count, statistics=CASES[case])
                seconds.append(time.process_time() - start)
            size = {"shuffles": count, "subjects": n_subjects, "voxels": geometry.n_points}
            rows.append((grows, size.get(grows, 0), *seconds))
            print(f"| {grows} | {count} | {n_subjects} | {geometry.n_points} | "
                  f"{seconds[0]:.2f} | {seconds[1]:.2f} |", flush=True)  # fmt: skip
    if plot:
        draw(rows, plot)


def draw(rows, path):
    """Draw processor time against shuffles, subjects and voxels, on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
    for ax, grows in zip(axes, ("shuffles", "subjects", "voxels"), strict=True):
        sizes, heights, clusters = np.array([row[1:] for row in rows if row[0] == grows], float).T
        ax.loglog(sizes, clusters, "o-", label="clusters")
        ax.loglog(sizes, heights, "s-", label="max-T")
        ax.loglog(sizes, heights[0] * sizes / sizes[0], "k:", label="in proportion")
        ax.set(xlabel=grows)
    axes[0].set(ylabel="processor time, s")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=100)


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shuffles", type=int, default=10000)
    parser.add_argument("--tfce-shuffles", type=int, default=200)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--scaling", action="store_true", help="how the time grows")
    parser.add_argument("--plot", help="with --scaling: draw it into this file")
    arguments = parser.parse_args()
    if arguments.scaling:
        scaling(arguments.plot)
    else:
        compare(arguments.cases, arguments.shuffles, arguments.tfce_shuffles)


if __name__ == "__main__":
    main()
