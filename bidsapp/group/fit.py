"""From a planned group fit to its estimates: read, restrict, collapse within subjects, fit, effect sizes."""

from dataclasses import dataclass, replace

import numpy as np

from bidsapp.group.repeated import SubjectTest, describe_tests, find_tests, fit_repeated, subjects_of
from bidsapp.group.within import fit_vectors, score_cells
from bidsapp.inputs.images.group_masks import restrict_stack
from bidsapp.inputs.images.resampling import smooth_stack
from bidsapp.inputs.images.stacks import read_stack
from bidsapp.plan.group.options import count_needed, estimator_of
from bidsapp.records.arrays import Maps, Matrix
from bidsapp.records.maps import SCORE_T, Contrast, EffectStack, GroupDesign, GroupEstimate
from bidsapp.records.plan import DatasetFit
from bidsapp.records.progress import Tell, nobody
from bidsapp.settings.parts import GroupOptions
from bidsapp.stats.group.effect_sizes import partial_r2, standardise
from bidsapp.stats.group.estimators import fit_group
from bidsapp.stats.group.flip_scores import SCORES, make_flip_scores
from bidsapp.stats.group.repeated_measures import orthonormalise_rows
from bidsapp.stats.linear import find_rank
from bidsapp.vocabulary.estimators import ESTIMATORS

OWN_ERROR = "least squares, one contrast a subject with its own error (F: Greenhouse-Geisser's dof)"
BY_GROUP = "a variance for each group (Welch-Satterthwaite t, F of Kenward and Roger's kind)"
ONLY_FLIPS = (
    "the estimator {} is shuffled in one-sample designs only: the signs of subjects of unequal precision may "
    "be flipped, but the subjects are not exchangeable"
)
MULTIVARIATE_IS_OLS = (
    "the multivariate test of several rows uses no variance maps; --group-estimator {} is left aside."
)
# With fewer degrees of freedom than this for each row the size of the test was .06 to .09 in simulations.
FEW_A_ROW = 3
FEW_IN_GROUP = (
    "The smallest variance group has {} degrees of freedom for {} rows within subjects, too few to know its "
    "covariance well: p, by shuffling too, may be somewhat too small or too large (NaN without any)."
)
MULTIVARIATE_GROUPS = (
    "multivariate test of the contrasts within subjects, a covariance for each group (Nel and van der Merwe; "
    "Krishnamoorthy and Yu)"
)
MULTIVARIATE = "multivariate test of the contrasts within subjects (Wilks' lambda, Rao's F; Hotelling's T2)"


@dataclass(frozen=True)
class FittedGroup:
    """The estimates of a group fit with the stack they came from and what must be said of them.

    ``design`` is the records.maps.GroupDesign that was fitted; ``no_shuffling`` says why none may follow (""
    where it may); ``scores`` is what is shuffled in place of the effects: the maps of a multivariate test
    (n_subjects, n_rows, n_voxels), or what each subject adds to an estimator that is not least squares;
    ``tests`` is how each contrast is tested where subjects have several rows (SubjectTest); ``cells`` is the
    stack of the cells that each row of ``stack`` was made from, None where it is that of the inputs.
    """

    stack: EffectStack
    design: GroupDesign
    estimates: list[GroupEstimate]
    estimator: str
    warnings: list[str]
    no_shuffling: str = ""
    scores: Maps | None = None
    tests: tuple[SubjectTest, ...] = ()
    cells: EffectStack | None = None

    @property
    def data(self) -> Maps:
        """What is shuffled."""
        return self.stack.effect if self.scores is None else self.scores

    def errors_of(self, index: int) -> tuple[Maps, Matrix]:
        """Return the maps whose residuals are the errors of a contrast, and their design."""
        if self.tests:
            data, design, *_ = self.to_shuffle(index)
            return data, design.matrix
        return self.stack.effect if self.data.ndim == 2 else self.data, self.design.matrix

    def to_shuffle(self, index: int) -> tuple[Maps, GroupDesign, Contrast, str | None]:
        """Return the data, design and contrast to be shuffled; the statistic where it is not the maps'."""
        if self.tests:
            test = self.tests[index]
            data = test.data(self.stack.effect, subjects_of(self.design))
            return data, test.design, test.contrast, test.statistic
        statistic = None if self.estimator == "ols" else SCORE_T
        return self.data, self.design, self.design.contrasts[index], statistic


def estimator_in_words(fitted: FittedGroup, index: int | None = None) -> str:
    """Return how a fit, or one of its contrasts, was made, as records, sidecars and the methods text say."""
    if fitted.tests:
        tests = fitted.tests if index is None else [fitted.tests[index]]
        return "; ".join(dict.fromkeys(_test_in_words(test) for test in tests))
    if fitted.scores is not None and fitted.scores.ndim == 3:
        return MULTIVARIATE if fitted.design.variance_groups is None else MULTIVARIATE_GROUPS
    words = ESTIMATORS[fitted.estimator].words
    if fitted.design.variance_groups is None:
        return words
    if fitted.estimator == "ols":
        return f"{words}, {BY_GROUP}"
    return f"{words}, a variance between subjects for each group"


def _test_in_words(test: SubjectTest) -> str:
    words = OWN_ERROR if test.method == "own error" else ESTIMATORS[test.method].words
    return words if test.design.variance_groups is None else f"{words}, {BY_GROUP}"


def read_inputs(fit: DatasetFit, options: GroupOptions, tell: Tell = nobody) -> EffectStack:
    """Return the stack of a fit's inputs, on one grid, inside the mask, smoothed; ``tell`` is told of files.

    Where maps are made within subjects (``fit.within``), the stack is that of the cells.
    """
    n_subjects = len(set(fit.subjects))
    needed = count_needed(options.min_subjects, n_subjects)
    # Of several rows a subject may have one; the maps of a contrast within subjects it has all.
    maps = len(fit.inputs) if needed == n_subjects else needed * len(fit.inputs) // len(fit.subjects)
    share = maps / len(fit.inputs)
    stack = read_stack(fit.inputs, minimum_share=share, resample=options.resample, tell=tell)
    # Smoothing before the mask: voxels outside it take part, as the first level's did.
    stack = smooth_stack(stack, options.group_smoothing_fwhm)
    return restrict_stack(stack, options.mask, resample=options.resample)


def fit_inputs(
    fit: DatasetFit, stack: EffectStack, options: GroupOptions, *, flips: bool, tell: Tell = nobody
) -> FittedGroup:
    """Return the FittedGroup of a fit, with scores whose signs can be flipped where that is wanted.

    ``tell`` is told how many voxels are fitted, where there is one map a row.
    """
    if fit.within is None:
        return _fit_rows(fit, stack, options, flips=flips, tell=tell)
    n_cells = len(fit.within.cells)
    weights = fit.within.weights
    # Tests of several rows depend on what the rows span, not on how a contrast writes it.
    rows = orthonormalise_rows(weights) if len(weights) > 1 else weights
    scores = score_cells(rows, stack.effect, n_cells)
    if len(scores) > 1:
        return _fit_vectors(fit, stack, scores, options)
    variance = None
    if ESTIMATORS[options.group_estimator].needs_variances and stack.variance is not None:
        variance = score_variances(weights, stack.variance, n_cells)
    collapsed = replace(stack, labels=stack.labels[::n_cells], effect=scores[0], variance=variance)
    return replace(_fit_rows(fit, collapsed, options, flips=flips, tell=tell), cells=stack)


def score_variances(weights: Matrix, variance: Maps, n_cells: int) -> Maps:
    """Return the variance of the one contrast map of every subject, float32, shape (n_subjects, n_voxels).

    The sum of the variances of the cells times their squared weights: the plan refuses cells of the same
    runs, whose errors are correlated. NaN where a cell with a weight has no variance.

    Parameters
    ----------
    weights : ndarray, shape (1, n_cells)
    variance : ndarray, shape (n_subjects * n_cells, n_voxels)
    """
    used = np.flatnonzero(weights[0])
    squares = np.square(weights[0, used]).astype(np.float32)
    cells = (variance[cell::n_cells] for cell in used)
    total: Maps = sum(square * cell for square, cell in zip(squares, cells, strict=True))
    return total


def _fit_rows(
    fit: DatasetFit, stack: EffectStack, options: GroupOptions, *, flips: bool, tell: Tell
) -> FittedGroup:
    estimator, warnings = choose_estimator(fit, options.group_estimator)
    design = make_design(fit)
    needed = count_needed(options.min_subjects, len(set(fit.subjects)))
    if estimator == "ols" and design.has_repeats:
        return _fit_repeated(stack, design, needed, options.tail)
    estimates = fit_group(
        stack.effect,
        stack.variance,
        design,
        estimator=estimator,
        min_inputs=needed,
        tail=options.tail,
        tell=tell,
    )
    if ESTIMATORS[estimator].has_sizes and design.variance_groups is None:
        estimates = [add_effect_sizes(estimate) for estimate in estimates]
    reason = why_not_shuffled(design, estimator)
    is_scored = flips and not reason and estimator in SCORES
    scores = make_flip_scores(stack.effect, stack.variance, estimator) if is_scored else None
    return FittedGroup(stack, design, estimates, estimator, warnings, reason, scores)


def _fit_repeated(stack: EffectStack, design: GroupDesign, needed: int, tail: str) -> FittedGroup:
    """Return the fit of several rows a subject by least squares, every contrast with its own error."""
    tests = tuple(find_tests(design))
    estimates = [
        add_effect_sizes(estimate) if "unit_error" in estimate.maps else estimate
        for estimate in fit_repeated(stack.effect, design, needed, tail)
    ]
    return FittedGroup(stack, design, estimates, "ols", [describe_tests(tests)], tests=tests)


def refit(fitted: FittedGroup, effects: Maps, variances: Maps | None, tail: str) -> list[GroupEstimate]:
    """Return the estimates of all contrasts of a fit from other data, by the estimator of its maps.

    A column of the data (a region, a voxel) is fitted with the inputs that it has, as long as they are more
    than the rank of the design.

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_columns) or, for several rows within subjects, (n_rows, ...)
    variances : ndarray, shape (n_inputs, n_columns), or None
    """
    design = fitted.design
    if fitted.tests:
        return fit_repeated(effects, design, 2, tail)
    needed = find_rank(design.matrix) + 1
    if effects.ndim == 3:
        return fit_vectors(effects, design, needed)
    return fit_group(effects, variances, design, estimator=fitted.estimator, min_inputs=needed, tail=tail)


def make_design(fit: DatasetFit) -> GroupDesign:
    """Return the records.maps.GroupDesign of a fit that has one map a row."""
    repeated = len(set(fit.subjects)) < len(fit.subjects)
    numbers = np.unique(fit.subjects, return_inverse=True)[1] if repeated else np.arange(len(fit.subjects))
    groups = np.unique(fit.variance_groups, return_inverse=True)[1] + 1 if fit.variance_groups else None
    return GroupDesign(fit.design.matrix, fit.contrasts, groups, numbers)


def why_not_shuffled(design: GroupDesign, estimator: str) -> str:
    """Return why an estimator cannot be shuffled in a design; empty where it can."""
    return "" if estimator not in SCORES or is_one_sample(design) else ONLY_FLIPS.format(estimator)


def _fit_vectors(fit: DatasetFit, stack: EffectStack, scores: Maps, options: GroupOptions) -> FittedGroup:
    """Return the multivariate test of several rows within subjects."""
    design = make_design(fit)
    wanted = options.group_estimator
    warnings = [] if wanted == "ols" else [f"{fit.contrast}: {MULTIVARIATE_IS_OLS.format(wanted)}"]
    if design.variance_groups is not None:
        groups = design.variance_groups
        parts = [design.matrix[groups == group] for group in np.unique(groups)]
        freedom = min(len(part) - find_rank(part) for part in parts)
        if freedom < FEW_A_ROW * len(scores):
            warnings.append(f"{fit.contrast}: {FEW_IN_GROUP.format(freedom, len(scores))}")
    needed = count_needed(options.min_subjects, scores.shape[1])
    estimates = fit_vectors(scores, design, needed)
    return FittedGroup(stack, design, estimates, "ols", warnings, scores=scores.transpose(1, 0, 2))


def is_one_sample(design: GroupDesign) -> bool:
    """Tell whether a design has one mean and one row a subject, all with one variance between them."""
    constant = design.matrix.shape[1] == 1 and np.ptp(design.matrix) == 0
    return constant and design.variance_groups is None and not design.has_repeats


def choose_estimator(fit: DatasetFit, wanted: str) -> tuple[str, list[str]]:
    """Return the estimator of a fit, and what must be said: a meta node has fixed effects."""
    estimator = estimator_of(fit.method, wanted)
    if estimator != wanted:
        words = (
            f"{fit.node}: a node of type meta is fitted by fixed effects; --group-estimator reml generalises"
        )
        return estimator, [words + " to other subjects."]
    return estimator, []


def add_effect_sizes(estimate: GroupEstimate) -> GroupEstimate:
    """Return a least-squares estimate with partial R2 and, for t, d and Hedges' g with its interval."""
    squared = np.square(estimate.statistic) if estimate.test == "t" else estimate.statistic
    maps = {"partialrsquare": partial_r2(squared, estimate.dof_numerator, estimate.dof)}
    others = {name: values for name, values in estimate.maps.items() if name != "unit_error"}
    if estimate.test == "t":
        size = standardise(estimate.statistic, estimate.dof, estimate.maps["unit_error"])
        maps |= {"d": size.d, "g": size.g, "gLow": size.low, "gHigh": size.high}
    return replace(estimate, maps=others | maps)
