"""From a planned group fit to its estimates: read, restrict, collapse within subjects, fit, effect sizes."""

from dataclasses import dataclass, replace

import numpy as np

from bidsapp.group_within import blocks_of, fit_vectors
from bidsapp.inputs.group_masks import restrict_stack
from bidsapp.inputs.resampling import smooth_stack
from bidsapp.inputs.stacks import read_stack
from bidsapp.plan.group_options import count_needed
from bidsapp.records import GroupDesign
from bidsapp.stats.effect_sizes import partial_r2, standardise
from bidsapp.stats.flip_scores import make_flip_scores
from bidsapp.stats.group_estimators import USES_VARIANCES, fit_group
from bidsapp.stats.repeated_measures import (
    balanced_weights,
    fit_greenhouse_geisser,
    make_scores,
    orthonormalise_rows,
)

ESTIMATOR_WORDS = {
    "ols": "ordinary least squares",
    "reml": "mixed effects, REML, Knapp-Hartung standard errors",
    "flame1": "mixed effects, REML, as FSL's FLAME 1",
    "dl": "mixed effects, DerSimonian-Laird, Knapp-Hartung standard errors",
    "fixed": "fixed effects (known variances)",
    "huber": "robust regression (Huber)",
    "sandwich": "least squares with a sandwich covariance (CR2, Satterthwaite)",
}
SPHERICITY = (
    "One model of all cells with a column a subject pools the errors of all differences and assumes "
    "sphericity. Where cells differ in variance or correlation its p-values can be far too small{}. The "
    "default error term (partitioned) assumes nothing of the kind."
)
CORRECTED = "; the F with Greenhouse-Geisser's correction (FGG, pGG) is beside it"
UNCORRECTED = (
    "; Greenhouse-Geisser's correction needs every cell of every subject, which --group-estimator sandwich "
    "does not"
)
# A cell's map has a variance but no file has the covariance of two cells.
UNCORRELATED = (
    "The variance of each subject's contrast is the sum of its cells' variances times the squared weights, "
    "as if the estimates of the cells were uncorrelated, for no file holds their covariance. Make the "
    "contrast at the run level to have its own variance."
)
ONLY_FLIPS = (
    "the estimator {} is shuffled in one-sample designs only: the signs of subjects of unequal precision may "
    "be flipped, but the subjects are not exchangeable"
)
MULTIVARIATE_IS_OLS = (
    "the multivariate test of several rows uses no variance maps; --group-estimator {} is left aside."
)
MULTIVARIATE = "multivariate test of the contrasts within subjects (Wilks' lambda, Rao's F; Hotelling's T2)"


@dataclass(frozen=True)
class FittedGroup:
    """The estimates of a group fit with the stack they came from and what must be said of them.

    ``design`` is the records.GroupDesign that was fitted; ``no_shuffling`` says why none may follow (""
    where it may); ``scores`` is what is shuffled in place of the effects: the maps of a multivariate test
    (n_subjects, n_rows, n_voxels), or what each subject adds to an estimator that is not least squares.
    """

    stack: object
    design: GroupDesign
    estimates: list
    estimator: str
    warnings: list
    no_shuffling: str = ""
    scores: np.ndarray | None = None

    @property
    def data(self):
        """What is shuffled."""
        return self.stack.effect if self.scores is None else self.scores


def estimator_in_words(fitted):
    """Return how a fit was made, as records, sidecars and the methods text say it."""
    if np.ndim(fitted.scores) == 3:
        return MULTIVARIATE
    words = ESTIMATOR_WORDS[fitted.estimator]
    if fitted.design.variance_groups is None:
        return words
    if fitted.estimator == "ols":
        return f"{words}, a variance for each group (Welch-Satterthwaite t, Johansen's F)"
    return f"{words}, a variance between subjects for each group"


def read_inputs(fit, settings):
    """Return the stack of a fit's inputs, on one grid, inside the mask, smoothed.

    Where maps are made within subjects (``fit.within``), the stack is that of the cells.
    """
    options = settings.group
    share = count_needed(options.min_subjects, len(fit.inputs)) / len(fit.inputs)
    stack = read_stack(fit.inputs, minimum_share=share, resample=options.resample)
    # Smoothing before the mask: voxels outside it take part, as the first level's did.
    stack = smooth_stack(stack, options.group_smoothing_fwhm)
    return restrict_stack(stack, options.mask, resample=options.resample)


def fit_inputs(fit, stack, settings):
    """Return the FittedGroup of a fit."""
    if fit.within is None:
        return _fit_rows(fit, stack, settings)
    n_cells = len(fit.within.cells)
    scores = score_cells(fit.within.weights, stack.effect, n_cells)
    if len(scores) > 1:
        return _fit_vectors(fit, stack, scores, settings)
    weighs = settings.group.group_estimator in USES_VARIANCES and stack.variance is not None
    variance = score_variances(fit.within.weights, stack.variance, n_cells) if weighs else None
    collapsed = replace(stack, labels=stack.labels[::n_cells], effect=scores[0], variance=variance)
    fitted = _fit_rows(fit, collapsed, settings)
    if weighs:
        fitted.warnings.append(UNCORRELATED)
    return fitted


def score_cells(weights, effect, n_cells):
    """Return the contrast maps of every subject, float32, shape (n_rows, n_subjects, n_voxels).

    Parameters
    ----------
    weights : ndarray, shape (n_rows, n_cells)
    effect : ndarray, shape (n_subjects * n_cells, n_voxels)
        The cells of the first subject, then of the next.
    """
    n_inputs, n_voxels = effect.shape
    scores = np.empty((len(weights), n_inputs // n_cells, n_voxels), np.float32)
    for block in blocks_of(n_voxels):
        cells = effect[:, block].reshape(n_inputs // n_cells, n_cells, -1).transpose(1, 0, 2)
        scores[:, :, block] = make_scores(weights, cells.astype(float))
    return scores


def score_variances(weights, variance, n_cells):
    """Return the variance of the one contrast map of every subject, float32, shape (n_subjects, n_voxels).

    The sum of the variances of the cells times their squared weights: that of uncorrelated cells. NaN where
    a cell with a weight has no variance.

    Parameters
    ----------
    weights : ndarray, shape (1, n_cells)
    variance : ndarray, shape (n_subjects * n_cells, n_voxels)
    """
    used = np.flatnonzero(weights[0])
    squares = np.square(weights[0, used]).astype(np.float32)
    cells = (variance[cell::n_cells] for cell in used)
    return sum(square * cell for square, cell in zip(squares, cells, strict=True))


def _fit_rows(fit, stack, settings):
    options = settings.group
    estimator, warnings = choose_estimator(fit, options.group_estimator)
    design = make_design(fit)
    groups, repeated = design.variance_groups, len(set(fit.subjects)) < len(fit.subjects)
    needed = count_needed(options.min_subjects, len(stack.effect))
    estimates = fit_group(
        stack.effect, stack.variance, design, estimator=estimator, min_inputs=needed, tail=options.tail
    )
    if estimator == "ols" and groups is None:
        estimates = [add_effect_sizes(estimate) for estimate in estimates]
    if repeated and estimator == "ols":
        estimates = [
            add_greenhouse_geisser(estimate, contrast, design, stack)
            for estimate, contrast in zip(estimates, fit.contrasts, strict=True)
        ]
        warnings.append(warn_of_sphericity(estimates))
    if estimator == "ols":
        return FittedGroup(stack, design, estimates, estimator, warnings)
    reason = why_not_shuffled(design, estimator)
    flips = settings.permutation.n_permutations and not reason
    scores = make_flip_scores(stack.effect, stack.variance, estimator) if flips else None
    return FittedGroup(stack, design, estimates, estimator, warnings, reason, scores)


def make_design(fit):
    """Return the records.GroupDesign of a fit that has one map a row."""
    repeated = len(set(fit.subjects)) < len(fit.subjects)
    numbers = np.unique(fit.subjects, return_inverse=True)[1] if repeated else np.arange(len(fit.subjects))
    groups = np.unique(fit.variance_groups, return_inverse=True)[1] + 1 if fit.variance_groups else None
    return GroupDesign(fit.design.matrix, fit.contrasts, groups, numbers)


def why_not_shuffled(design, estimator):
    """Return why an estimator cannot be shuffled in a design; empty where it can."""
    return "" if estimator == "ols" or is_one_sample(design) else ONLY_FLIPS.format(estimator)


def _fit_vectors(fit, stack, scores, settings):
    """Return the multivariate test of several rows within subjects."""
    design = GroupDesign(fit.design.matrix, fit.contrasts)
    wanted = settings.group.group_estimator
    warnings = [] if wanted == "ols" else [f"{fit.contrast}: {MULTIVARIATE_IS_OLS.format(wanted)}"]
    needed = count_needed(settings.group.min_subjects, scores.shape[1])
    estimates = fit_vectors(scores, design, needed)
    return FittedGroup(stack, design, estimates, "ols", warnings, scores=scores.transpose(1, 0, 2))


def is_one_sample(design):
    """Tell whether a design has one mean and one row a subject, all with one variance between them."""
    constant = design.matrix.shape[1] == 1 and np.ptp(design.matrix) == 0
    return constant and design.variance_groups is None and len(set(design.clusters)) == len(design.clusters)


def choose_estimator(fit, wanted):
    """Return the estimator of a fit, and what must be said: a meta node has fixed effects."""
    if fit.method == "meta" and wanted == "ols":
        words = (
            f"{fit.node}: a node of type meta is fitted by fixed effects; --group-estimator reml generalises"
        )
        return "fixed", [words + " to other subjects."]
    return wanted, []


def add_effect_sizes(estimate):
    """Return a least-squares estimate with partial R2 and, for t, d and Hedges' g with its interval."""
    squared = np.square(estimate.statistic) if estimate.test == "t" else estimate.statistic
    maps = {"partialrsquare": partial_r2(squared, estimate.dof_numerator, estimate.dof)}
    others = {name: values for name, values in estimate.maps.items() if name != "unit_error"}
    if estimate.test == "t":
        size = standardise(estimate.statistic, estimate.dof, estimate.maps["unit_error"])
        maps |= {"d": size.d, "g": size.g, "gLow": size.low, "gHigh": size.high}
    return replace(estimate, maps=others | maps)


def warn_of_sphericity(estimates):
    """Return what must be said of a pooled error, and what stands beside the F tests."""
    corrected = {"FGG" in estimate.maps for estimate in estimates if estimate.test == "F"}
    return SPHERICITY.format("" if not corrected else CORRECTED if True in corrected else UNCORRECTED)


def add_greenhouse_geisser(estimate, contrast, design, stack):
    """Return a pooled F with Greenhouse and Geisser's beside it, where the design is balanced."""
    weights = balanced_weights(design.matrix, contrast.weights, design.clusters)
    if estimate.test != "F" or weights is None:
        return estimate
    order = np.argsort(design.clusters, kind="stable")
    maps = {name: np.full(estimate.z.shape, np.nan) for name in ("FGG", "pGG", "epsilonGG")}
    for block in blocks_of(len(estimate.z)):
        scores = score_cells(orthonormalise_rows(weights), stack.effect[order, block], weights.shape[1])
        found = fit_greenhouse_geisser(scores, np.ones((scores.shape[1], 1)), np.ones(1))
        values = found.statistic, found.p, found.epsilon_gg
        for array, value in zip(maps.values(), values, strict=True):
            array[block] = np.where(np.isfinite(estimate.z[block]), value, np.nan)
    return replace(estimate, maps=estimate.maps | maps)
