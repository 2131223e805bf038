"""Null data for every combination of design, estimator, variance groups, missing data and scheme.

The rows of ``python -m benchmarks.group_error_rates --rows``; ``docs/group-statistics.md`` shows them.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from bidsapp.errors import AppError
from bidsapp.inference.permutation import permute
from bidsapp.records import Contrast, Geometry, GroupDesign, InferenceOptions
from bidsapp.stats.flip_scores import make_flip_scores
from bidsapp.stats.group_estimators import ESTIMATORS, GROUPWISE, USES_VARIANCES, fit_group

ALPHA, N_SHUFFLES = 0.05, 199
SHAPE = (10, 10, 10)
# Batches of independent voxels, each with shuffles of its own.
N_BATCHES = 10
SIZES = {
    "mean": (12,),
    "covariate": (16,),
    "mean of two scanners": (8, 12),
    "covariate over two scanners": (8, 12),
    "two groups": (8, 12),
    "two groups beside a covariate": (8, 12),
    "three groups (F)": (5, 7, 8),
}
ERRORS = {"normal": 1.0, "sd 3 and 1": 3.0, "skewed": 1.0}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    design: str
    errors: str = "normal"
    estimator: str = "ols"
    variance_groups: bool = False
    missing: bool = False
    scheme: str = "auto"

    def words(self):
        """Return the cells of the line."""
        given = "by group" if self.variance_groups else "one"
        return (
            self.design,
            self.errors,
            self.estimator,
            given,
            "some" if self.missing else "none",
            self.scheme,
        )


def make_rows():
    """Return every Row that the command line accepts, and some where it warns."""
    single = ("mean", "covariate", "two groups", "two groups beside a covariate", "three groups (F)")
    several = tuple(name for name, sizes in SIZES.items() if len(sizes) > 1)
    rows = [Row(design, estimator=name) for design, name in product(single, ESTIMATORS)]
    rows += [Row(design, estimator=name, missing=True) for design, name in product(single, ("ols", "reml"))]
    rows += [Row(design, "sd 3 and 1", name, True) for design, name in product(several, GROUPWISE)]
    rows += [Row(design, "sd 3 and 1", "ols", True, True) for design in several]
    rows += [Row(design, "sd 3 and 1") for design in several]
    rows += [Row("two groups", "sd 3 and 1", "sandwich"), Row("two groups", "sd 3 and 1", scheme="sign-flip")]
    rows += [Row(design, scheme="sign-flip") for design in single[1:]]
    rows += [Row("two groups", "sd 3 and 1", variance_groups=True, scheme="permutation")]
    return rows + [Row("mean", "skewed"), Row("covariate", "skewed"), Row("two groups", "skewed")]


def make_design(row):
    """Return matrix, weights and the group of each subject."""
    sizes, name = SIZES[row.design], row.design
    groups = np.repeat(np.arange(len(sizes)), sizes)
    covariate = np.random.default_rng(0).normal(size=len(groups))
    covariate -= covariate.mean()
    one, cells = np.ones((len(groups), 1)), np.eye(len(sizes))[groups]
    designs = {
        "mean": (one, [[1]]),
        "mean of two scanners": (one, [[1]]),
        "covariate": (np.column_stack([one, covariate]), [[0, 1]]),
        "covariate over two scanners": (np.column_stack([one, covariate]), [[0, 1]]),
        "two groups": (cells, [[1, -1]]),
        "two groups beside a covariate": (np.column_stack([cells, covariate]), [[1, -1, 0]]),
        "three groups (F)": (cells, [[1, -1, 0], [0, 1, -1]]),
    }
    matrix, weights = designs[name]
    return matrix, np.array(weights, float), groups


def draw(row, n_voxels, rng, *, smooth=False):
    """Return null effects and their variances; the first subjects lack some voxels where data are missing."""
    _, _, groups = make_design(row)
    shape = (len(groups), n_voxels)
    noise = rng.exponential(size=shape) - 1.0 if row.errors == "skewed" else rng.normal(size=shape)
    if smooth:
        maps = noise.reshape(-1, *SHAPE)
        maps = ndimage.gaussian_filter(maps, (0, 1, 1, 1), mode="wrap")
        noise = maps.reshape(shape) / maps.std()
    spread = rng.chisquare(20, shape) / 20 * (1.0 if row.estimator == "fixed" else 0.1)
    between = np.where(groups == 0, ERRORS[row.errors], 1.0)[:, None] * (row.estimator != "fixed")
    weighing = row.estimator in USES_VARIANCES
    effects = noise * np.sqrt(between**2 + spread * weighing)
    if row.missing:
        for subject, part in ((0, 0.3), (len(groups) // 2, 0.2), (len(groups) - 1, 0.1)):
            effects[subject, int(n_voxels * part) : int(n_voxels * (part + 0.25))] = np.nan
    return effects, spread if weighing else None


def measure(row, *, n_voxels, n_sets):
    """Return the parametric size, that by shuffling and the family-wise error; NaN where there is none."""
    matrix, weights, groups = make_design(row)
    columns = tuple(map(str, range(matrix.shape[1])))
    test = "t" if len(weights) == 1 else "F"
    design = GroupDesign(
        matrix,
        (Contrast("c", test, columns, weights),),
        variance_groups=groups if row.variance_groups else None,
        clusters=np.arange(len(groups)),
    )
    effects, variances = draw(row, n_voxels, np.random.default_rng(1))
    needed = len(groups) - 2 if row.missing else None
    p = fit_group(effects, variances, design, estimator=row.estimator, min_inputs=needed)[0].p
    if row.estimator != "ols" and (matrix.shape[1] > 1 or row.variance_groups):
        return np.mean(p < ALPHA), np.nan, np.nan
    try:
        return np.mean(p < ALPHA), *_shuffle(row, design, n_voxels // N_BATCHES, n_sets)
    except AppError:
        return np.mean(p < ALPHA), np.nan, np.nan


def _shuffle(row, design, n_batch, n_sets):
    """Return the size of p by shuffling over batches of voxels, and the family-wise error over sets."""
    alone, smooth = [], []
    for seed in range(N_BATCHES):
        alone.append(np.mean(_permute(row, design, (n_batch, 1, 1), seed).p <= ALPHA))
    for seed in range(n_sets):
        found = _permute(row, design, SHAPE, seed, smooth=True).statistics["height"].p_fwe
        smooth.append(np.nanmin(found) <= ALPHA)
    return np.mean(alone), np.mean(smooth) if smooth else np.nan


def _permute(row, design, shape, seed, *, smooth=False):
    rng = np.random.default_rng([seed, 2])
    effects, variances = draw(row, int(np.prod(shape)), rng, smooth=smooth)
    if row.estimator != "ols":
        effects = make_flip_scores(effects, variances, row.estimator)
    # 199 shuffles with the observed one among 200: p <= .05 has a size of .05.
    options = InferenceOptions(
        n_shuffles=N_SHUFFLES + 1,
        seed=seed,
        statistics=("height",),
        scheme=row.scheme,
        variance_groups=design.variance_groups,
    )
    geometry = Geometry(np.ones(shape, bool), np.eye(4))
    return permute(effects, design.matrix, design.contrasts[0].weights, geometry, options)
