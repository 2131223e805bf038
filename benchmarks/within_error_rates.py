"""Type I error of the tests within subjects, alone and beside groups, at a nominal 5 %.

    python -m benchmarks.within_error_rates [--rows 0:4] [--voxels 20000] [--sets 400]

Every row is a design of ``docs/group-statistics.md``: the size in so many null voxels of the parametric p,
and in so many null sets of 1,000 smooth voxels that of p by 40 shuffles, and the family-wise error of the
largest. Cells of a subject correlate; "unequal cells" have variances 0.25, 1 and 9 of the common 1. Where
data are missing, three subjects lack a quarter of the voxels each; in the pooled designs two
subjects lack a cell.
"""

import argparse
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from benchmarks.null_sets import ALPHA, SHAPE, mean_and_error, measure_shuffled
from bidsapp.group.repeated import find_tests, fit_repeated
from bidsapp.group.within import fit_vectors, score_cells
from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.repeated_measures import orthonormalise_rows

N_CELLS = 3
CELLS = {"equal cells": (1.0, 1.0, 1.0), "unequal cells": (0.5, 1.0, 3.0)}
DIFFERENCES = np.array([[1.0, -1, 0], [0, 1, -1]])


@dataclass(frozen=True)
class Row:
    """One line of the table; ``spread`` is the standard deviation of the first group over the others'."""

    design: str
    sizes: tuple
    effect: str
    cells: str = "equal cells"
    spread: float = 1.0
    variance_groups: bool = False
    missing: bool = False
    pooled: bool = False

    def words(self):
        """Return the cells of the line."""
        errors = f"{self.cells}, sd {self.spread:g} and 1" if self.spread != 1 else self.cells
        subjects = " + ".join(map(str, self.sizes))
        variance = "by group" if self.variance_groups else "one"
        return self.design, subjects, self.effect, errors, variance, "some" if self.missing else "none"


def make_rows():
    """Return the lines of the table."""
    one, two, three, slope = (
        "conditions",
        "conditions x 2 groups",
        "conditions x 3 groups",
        "conditions, covariate",
    )
    rows = [Row(one, (12,), "conditions", cells) for cells in CELLS]
    rows += [Row(one, (12,), "conditions", "unequal cells", missing=True)]
    rows += [Row(two, (8, 12), effect, "unequal cells") for effect in ("conditions", "interaction")]
    rows += [Row(three, (5, 7, 8), effect, "unequal cells") for effect in ("conditions", "interaction")]
    rows += [Row(three, (5, 7, 8), "interaction", "unequal cells", missing=True)]
    rows += [Row(slope, (16,), "slope", "unequal cells")]
    apart = {"spread": 3.0, "variance_groups": True}
    rows += [Row(two, (8, 12), effect, **apart) for effect in ("conditions", "interaction")]
    rows += [
        Row(two, (5, 15), "interaction", **apart),
        Row(two, (8, 12), "interaction", missing=True, **apart),
    ]
    rows += [Row(three, (8, 9, 10), "interaction", **apart), Row(slope, (8, 12), "slope", **apart)]
    rows += [Row(two, (8, 12), "interaction", spread=3.0)]
    for missing in (False, True):
        rows += [
            Row("pooled", (12,), effect, "unequal cells", pooled=True, missing=missing)
            for effect in ("conditions", "pair")
        ]
        rows += [Row("rows of subjects", (8, 12), "groups", "unequal cells", pooled=True, missing=missing)]
    return rows


def measure(row, *, n_voxels, n_sets):
    """Return the parametric size, that by shuffling and the family-wise error, with their standard errors."""
    _, design, estimate = prepare(row, draw(row, n_voxels, np.random.default_rng(1)))
    p = estimate().p
    repeats = design.clusters if design.has_repeats else None
    shuffled = measure_shuffled(
        lambda n, rng: prepare(row, draw(row, n, rng, smooth=True))[0],
        design,
        n_sets,
        blocks=repeats,
        block_mode="auto" if repeats is None else "dependent",
    )
    return [mean_and_error(p[np.isfinite(p)] < ALPHA), *shuffled]


def prepare(row, effects):
    """Return what is shuffled, its design with the contrast, and a function that estimates."""
    return _prepare_pooled(row, effects) if row.pooled else _prepare_partitioned(row, effects)


def draw(row, n_voxels, rng, *, smooth=False):
    """Return null effects of all cells, the cells of the first subject, then of the next.

    Smooth voxels are those of sets, of which each lacks the same.
    """
    n_subjects = sum(row.sizes)
    noise = rng.normal(size=(n_subjects * (N_CELLS + 1), n_voxels))
    if smooth:
        maps = ndimage.gaussian_filter(noise.reshape(-1, *SHAPE), (0, 1, 1, 1), mode="wrap")
        noise = maps.reshape(noise.shape) / maps.std()
    noise = noise.reshape(n_subjects, N_CELLS + 1, -1)
    cells = noise[:, 1:] * np.array(CELLS[row.cells])[:, None] + noise[:, :1]
    cells *= np.where(groups_of(row) == 0, row.spread, 1.0)[:, None, None]
    if row.missing and not row.pooled:
        for subject, part in ((0, 0.3), (n_subjects // 2, 0.2), (n_subjects - 1, 0.1)):
            sets = cells[subject].reshape(N_CELLS, -1, int(np.prod(SHAPE)) if smooth else n_voxels)
            sets[..., int(sets.shape[2] * part) : int(sets.shape[2] * (part + 0.25))] = np.nan
    return cells.reshape(-1, n_voxels)


def groups_of(row):
    """Return the group of each subject."""
    return np.repeat(np.arange(len(row.sizes)), row.sizes)


def _prepare_partitioned(row, effects):
    groups, n_groups = groups_of(row), len(row.sizes)
    matrix = np.eye(n_groups)[groups]
    weights = np.full((1, n_groups), 1 / n_groups)
    if row.effect == "interaction":
        weights = np.eye(n_groups)[:-1] - np.eye(n_groups)[1:]
    if row.effect == "slope":
        covariate = np.random.default_rng(0).normal(size=len(groups))
        matrix = np.column_stack([matrix, covariate - covariate.mean()])
        weights = np.eye(n_groups + 1)[-1:]
    contrast = Contrast("c", "t", tuple(map(str, range(matrix.shape[1]))), weights)
    design = GroupDesign(matrix, (contrast,), groups if row.variance_groups else None, np.arange(len(groups)))
    scores = score_cells(orthonormalise_rows(DIFFERENCES), effects, N_CELLS)
    needed = len(groups) - 2 if row.missing else len(groups)
    return scores.swapaxes(0, 1), design, lambda: fit_vectors(scores, design, needed)[0]


def _prepare_pooled(row, effects):
    n_subjects = sum(row.sizes)
    subjects, cells = (part.ravel() for part in np.indices((n_subjects, N_CELLS)))
    there = np.ones(len(subjects), bool)
    if row.missing:
        there[[0, 3 * N_CELLS + 2]] = False
    between = np.eye(len(row.sizes))[groups_of(row)] if row.effect == "groups" else np.eye(n_subjects)
    matrix = np.column_stack([np.eye(N_CELLS)[cells], between[subjects][:, 1:]])[there]
    rows = {"conditions": DIFFERENCES, "pair": DIFFERENCES[1:], "groups": np.zeros((1, N_CELLS))}[row.effect]
    weights = np.zeros((len(rows), matrix.shape[1]))
    weights[:, :N_CELLS] = rows
    weights[:, N_CELLS:] = row.effect == "groups"
    test = "t" if len(rows) == 1 else "F"
    contrast = Contrast("c", test, tuple(map(str, range(matrix.shape[1]))), weights)
    design = GroupDesign(matrix, (contrast,), None, subjects[there])
    (tested,) = find_tests(design)
    data = tested.data(effects[there], design.clusters)
    return (
        data,
        replace(tested.design, contrasts=(tested.contrast,)),
        lambda: fit_repeated(effects[there], design, n_subjects, "two")[0],
    )


def main():
    """Print the table in Markdown, with the standard error of each rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", metavar="FIRST:LAST", default=":")
    parser.add_argument("--voxels", type=int, default=20000)
    parser.add_argument("--sets", type=int, default=400)
    arguments = parser.parse_args()
    first, _, last = arguments.rows.partition(":")
    for row in make_rows()[int(first or 0) : int(last or 999)]:
        found = measure(row, n_voxels=arguments.voxels, n_sets=arguments.sets)
        rates = [f"{rate:.3f} ({error:.3f})" for rate, error in found]
        print("| " + " | ".join([*row.words(), *rates, str(arguments.sets)]) + " |", flush=True)


if __name__ == "__main__":
    main()
