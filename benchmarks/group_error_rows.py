"""Null data for every combination of design, estimator, variance groups, missing data and scheme.

The rows of ``python -m benchmarks.group_error_rates --rows``; ``docs/group-statistics.md`` shows them.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from benchmarks.null_sets import ALPHA, SHAPE, mean_and_error, measure_shuffled
from bidsapp.group.fit import why_not_shuffled
from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.estimators import fit_group
from bidsapp.stats.group.flip_scores import make_flip_scores
from bidsapp.vocabulary.estimators import ESTIMATORS

SCHEMES = ("auto", "sign-flip", "permutation", "both")
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
    """Return every Row that the command line accepts, then some whose errors a test does not allow for."""
    every = product(SIZES, ESTIMATORS, (False, True), (False, True), SCHEMES)
    rows = [
        Row(design, "sd 3 and 1" if grouped else "normal", estimator, grouped, missing, scheme)
        for design, estimator, grouped, missing, scheme in every
    ]
    several = [name for name, sizes in SIZES.items() if len(sizes) > 1]
    wrong = [Row(design, "sd 3 and 1", name) for name in ("ols", "sandwich") for design in several]
    wrong += [Row("two groups", "sd 3 and 1", scheme="sign-flip")]
    wrong += [Row(design, "skewed") for design in ("mean", "covariate", "two groups")]
    return [*filter(is_accepted, rows), *wrong]


def is_accepted(row):
    """Return whether the command line does what a Row says, and no Row before it is the same."""
    across = row.design.endswith("two scanners")
    if row.variance_groups and (
        not ESTIMATORS[row.estimator].allows_variance_groups or len(SIZES[row.design]) == 1
    ):
        return False
    if across and not row.variance_groups:
        return False
    if row.scheme == "auto":
        return True
    # Permutations leave a mean in place, alone (refused) or beside flips (the same), but for variance groups.
    # Where the effect lies between variance groups auto flips signs, too.
    if row.design.startswith("mean"):
        return row.estimator == "ols" and row.variance_groups and row.scheme == "both"
    usual = "sign-flip" if row.variance_groups and not across else "permutation"
    return row.estimator == "ols" and row.scheme != usual


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
    """Return null effects and their variances; three subjects lack some voxels where data are missing.

    Smooth voxels are those of sets, of which each lacks the same.
    """
    _, _, groups = make_design(row)
    shape = (len(groups), n_voxels)
    noise = rng.exponential(size=shape) - 1.0 if row.errors == "skewed" else rng.normal(size=shape)
    if smooth:
        maps = ndimage.gaussian_filter(noise.reshape(-1, *SHAPE), (0, 1, 1, 1), mode="wrap")
        noise = maps.reshape(shape) / maps.std()
    spread = rng.chisquare(20, shape) / 20 * (1.0 if row.estimator == "fixed" else 0.1)
    between = np.where(groups == 0, ERRORS[row.errors], 1.0)[:, None] * (row.estimator != "fixed")
    weighing = ESTIMATORS[row.estimator].needs_variances
    effects = noise * np.sqrt(between**2 + spread * weighing)
    if row.missing:
        for subject, part in ((0, 0.3), (len(groups) // 2, 0.2), (len(groups) - 1, 0.1)):
            sets = effects[subject].reshape(-1, int(np.prod(SHAPE)) if smooth else n_voxels)
            sets[:, int(sets.shape[1] * part) : int(sets.shape[1] * (part + 0.25))] = np.nan
    return effects, spread if weighing else None


def measure(row, *, n_voxels, n_sets):
    """Return the parametric size, that by shuffling and the family-wise error, with their standard errors.

    Returns
    -------
    list of (float, float)
        NaN where there is no p by shuffling, or no set.
    """
    design = make_group_design(row)
    effects, variances = draw(row, n_voxels, np.random.default_rng(1))
    needed = len(design.matrix) - 2 if row.missing else None
    p = fit_group(effects, variances, design, estimator=row.estimator, min_inputs=needed)[0].p
    if why_not_shuffled(design, row.estimator):
        n_sets = 0
    shuffled = measure_shuffled(lambda n, rng: draw_shuffled(row, n, rng), design, n_sets, scheme=row.scheme)
    return [mean_and_error(p < ALPHA), *shuffled]


def draw_shuffled(row, n_voxels, rng):
    """Return what is shuffled of smooth null voxels."""
    effects, variances = draw(row, n_voxels, rng, smooth=True)
    return effects if row.estimator == "ols" else make_flip_scores(effects, variances, row.estimator)


def make_group_design(row):
    """Return the GroupDesign of a row, with its contrast."""
    matrix, weights, groups = make_design(row)
    columns = tuple(map(str, range(matrix.shape[1])))
    contrast = Contrast("c", "t" if len(weights) == 1 else "F", columns, weights)
    apart = groups if row.variance_groups else None
    return GroupDesign(matrix, (contrast,), apart, np.arange(len(groups)))
