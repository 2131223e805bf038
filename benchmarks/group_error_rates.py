"""Type I error and power of the group estimators by simulation, at a nominal 5 %, two-sided.

    python -m benchmarks.group_error_rates [--experiments 20000]
    python -m benchmarks.group_error_rates --rows 0:20 [--voxels 20000] [--sets 2000]

Every experiment is a voxel: effects are normal with the subjects' known variances s2 (chi-square with 5
degrees of freedom over 5) plus tau2. In the scenarios "noisy", some subjects have 25 times the variance.
Power is at a mean of 1. Below, tests of conditions within 8 subjects whose errors have unequal variances and
correlations. "flips" are sign flips of the scores (all 1,024 of 10 subjects, else 1,000). The standard error
of a rate of 0.05 from 20,000 experiments is 0.0015.

With ``--rows`` instead: the combinations of design, estimator, variance groups, missing data and scheme that
the command line accepts (``group_error_rows``), the size in so many null voxels of the parametric p, and in
so many null sets of 1,000 smooth voxels that of p by 40 shuffles, and the family-wise error of the largest.
"""

import argparse

import numpy as np

from benchmarks.group_error_rows import make_rows, measure
from bidsapp.inference.permutation import permute
from bidsapp.records.maps import Contrast, Geometry, GroupDesign, InferenceOptions
from bidsapp.stats.group.estimators import fit_group
from bidsapp.stats.group.flip_scores import make_flip_scores
from bidsapp.stats.group.repeated_measures import (
    fit_greenhouse_geisser,
    fit_wilks,
    make_scores,
    orthonormalise_rows,
)

# Subjects, tau2, subjects with 25 times the variance.
SCENARIOS = {
    "N 10, tau2 0": (10, 0.0, 0),
    "N 10, tau2 0.3": (10, 0.3, 0),
    "N 10, tau2 1": (10, 1.0, 0),
    "N 10, tau2 0.3, 2 noisy": (10, 0.3, 2),
    "N 20, tau2 1, 3 noisy": (20, 1.0, 3),
}
ONE_SAMPLE = ("ols", "fixed", "flame1", "dl", "reml", "huber")
FLIPPED = ("reml", "huber")
ALPHA = 0.05
# Errors of three conditions: variances 0.25, 1 and 9, correlations as of a common factor.
MIXING = np.array([[0.5, 0.0, 0.0], [0.5, 0.87, 0.0], [0.0, 1.5, 2.6]])


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=20000)
    parser.add_argument("--rows", metavar="FIRST:LAST", help="lines of the table of combinations, or all")
    parser.add_argument("--voxels", type=int, default=20000)
    parser.add_argument("--sets", type=int, default=2000)
    arguments = parser.parse_args()
    if arguments.rows:
        print_rows(arguments)
        return
    n_experiments = arguments.experiments
    print(f"type I error / power, {n_experiments} experiments")
    flips = [f"{name} flips" for name in FLIPPED]
    print(f"{'':26s}" + "".join(f"{name:>15s}" for name in (*ONE_SAMPLE, *flips)))
    for title, scenario in SCENARIOS.items():
        rates = simulate_one_sample(*scenario, n_experiments=n_experiments)
        print(f"{title:26s}" + "".join(f"{size:8.3f}/{power:.3f} " for size, power in rates.values()))
    print("\ntwo groups of 8 and 24, variances 4 and 1, type I error")
    for name, size in simulate_two_groups(n_experiments).items():
        print(f"{name:40s}{size:8.3f}")
    print("\n8 subjects x 3 conditions, not spherical, type I error")
    for name, size in simulate_within(n_experiments).items():
        print(f"{name:40s}{size:8.3f}")


def print_rows(arguments):
    """Print lines of the table of combinations in Markdown, with the standard error of each rate."""
    rows = make_rows()
    first, _, last = arguments.rows.partition(":")
    chosen = rows if arguments.rows == "all" else rows[int(first or 0) : int(last or len(rows))]
    for row in chosen:
        found = measure(row, n_voxels=arguments.voxels, n_sets=arguments.sets)
        cells = ["-" if np.isnan(rate) else f"{rate:.3f} ({error:.3f})" for rate, error in found]
        n_sets = "-" if np.isnan(found[-1][0]) else str(arguments.sets)
        print("| " + " | ".join([*row.words(), *cells, n_sets]) + " |", flush=True)


def simulate_one_sample(n_subjects, tau2, n_noisy, *, n_experiments, seed=0):
    """Return estimator -> (type I error, power) of a scenario."""
    rng = np.random.default_rng(seed)
    variances = rng.chisquare(5, (n_subjects, n_experiments)) / 5
    variances[:n_noisy] *= 25.0
    null = rng.standard_normal((n_subjects, n_experiments)) * np.sqrt(variances + tau2)
    design = GroupDesign(np.ones((n_subjects, 1)), (Contrast("mean", "t", ("1",), np.ones((1, 1))),))
    rates = {}
    for estimator in ONE_SAMPLE:
        found = [fit_group(null + mean, variances, design, estimator=estimator)[0].p for mean in (0.0, 1.0)]
        rates[estimator] = tuple(float(np.mean(p < ALPHA)) for p in found)
    for estimator in FLIPPED:
        found = [flip_scores(null + mean, variances, estimator) for mean in (0.0, 1.0)]
        rates[f"{estimator} flips"] = tuple(float(np.mean(p <= ALPHA)) for p in found)
    return rates


def flip_scores(effects, variances, estimator):
    """Return the uncorrected p of every experiment by sign flips of the scores."""
    geometry = Geometry(np.ones((effects.shape[1], 1, 1), bool), np.eye(4))
    n_shuffles = min(2 ** len(effects), 1024) if len(effects) <= 10 else 1000
    options = InferenceOptions(n_shuffles=n_shuffles, seed=0, statistics=("height",))
    scores = make_flip_scores(effects, variances, estimator)
    return permute(scores, np.ones((len(effects), 1)), np.ones((1, 1)), geometry, options).p


def simulate_two_groups(n_experiments, seed=1):
    """Return test -> type I error for a difference of groups with unequal variances and sizes."""
    rng = np.random.default_rng(seed)
    groups = np.repeat([1, 2], [8, 24])
    effects = rng.standard_normal((32, n_experiments)) * np.where(groups == 1, 2.0, 1.0)[:, None]
    matrix = (groups[:, None] == [1, 2]).astype(float)
    contrast = (Contrast("difference", "t", ("a", "b"), np.array([[1.0, -1.0]])),)
    designs = {
        "pooled variance (ols)": (GroupDesign(matrix, contrast), "ols"),
        "variance groups (v)": (GroupDesign(matrix, contrast, groups), "ols"),
        "sandwich (CR2)": (GroupDesign(matrix, contrast, None, np.arange(32)), "sandwich"),
    }
    return {
        name: float(np.mean(fit_group(effects, None, design, estimator=estimator)[0].p < ALPHA))
        for name, (design, estimator) in designs.items()
    }


def simulate_within(n_experiments, seed=2, n_subjects=8):
    """Return test -> type I error for conditions within subjects under a covariance that is not spherical."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((3, n_subjects, n_experiments))
    cells = np.einsum("ck,kiv->civ", MIXING, noise) + rng.standard_normal((n_subjects, n_experiments))
    pair, all_rows = np.array([[1.0, -1, 0]]), np.array([[1.0, -1, 0], [0, 1, -1]])
    last = np.array([[0.0, 1, -1]])
    columns = tuple(f"c{index}" for index in range(3 + n_subjects))
    matrix = np.column_stack([np.repeat(np.eye(3), n_subjects, axis=0), np.tile(np.eye(n_subjects), (3, 1))])
    padded = [np.pad(rows, ((0, 0), (0, n_subjects))) for rows in (pair, last, all_rows)]
    tests = zip(("pair", "last", "all"), ("t", "t", "F"), padded, strict=True)
    contrasts = tuple(Contrast(name, test, columns, weights) for name, test, weights in tests)
    pooled = fit_group(cells.reshape(-1, n_experiments), None, GroupDesign(matrix, contrasts))
    one_group = np.ones((n_subjects, 1)), np.ones(1)
    p = {
        "pair, pooled error": pooled[0].p,
        "pair, partitioned error": fit_wilks(make_scores(pair, cells), *one_group).p,
        "other pair, pooled error": pooled[1].p,
        "other pair, partitioned error": fit_wilks(make_scores(last, cells), *one_group).p,
        "F, pooled error": pooled[2].p,
        "F, Hotelling": fit_wilks(make_scores(all_rows, cells), *one_group).p,
        "F, Greenhouse-Geisser": fit_greenhouse_geisser(
            make_scores(orthonormalise_rows(all_rows), cells), *one_group
        ).p,
    }
    return {name: float(np.mean(values < ALPHA)) for name, values in p.items()}


if __name__ == "__main__":
    main()
