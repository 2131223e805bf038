"""What the data of a group fit say against its assumptions, in words with what to do."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bidsapp.group.fit import FittedGroup
from bidsapp.group.shuffling import Shuffled
from bidsapp.records.arrays import Labels, Matrix, Numbers
from bidsapp.records.maps import Contrast, Design, GroupDesign, GroupEstimate
from bidsapp.records.plan import DatasetFit
from bidsapp.stats.group.residual_shape import measure_errors
from bidsapp.stats.group.variance_groups import NOTHING, find_dependence, find_freedom
from bidsapp.stats.linear import find_rank, invert_gram, make_basis, reduce_rows
from bidsapp.vocabulary.estimators import ESTIMATORS

# Variances of groups that differ by less do little harm: with twice as many subjects in the group of the
# smaller variance the size of t at .05 is .08 at this ratio.
UNEQUAL = 2.0
# Mean skewness of residuals (that of an exponential variable is 2) from which sign flips are doubtful.
SKEWED = 0.5
# An estimator whose weights sum to less than this share of their sizes is of no mean.
ZERO_SUM = 1e-6
# A subject who has more than this of the say in the own fitted value, and four times as much as usual: with a
# normal covariate 1 in 8 designs of 8 subjects has one, 1 in 30 of 12, fewer than 1 in 100 of 20.
LEVERAGE, UNUSUAL = 0.65, 4.0
# Share of the voxels that one input may lose before it is named, as with masks.
LOST = 0.1
# Where p was seen to be conservative: sandwich errors of fewer degrees of freedom, Huber's of fewer inputs
# beyond the rank, tests by variance groups whose quantile is smaller by a larger share for effects that go
# with residuals (sizes .01 to .05 in 480 tests of 20 subjects; of a smaller share .04 to .057).
FEW_DOF, FEW_BEYOND_RANK, SHARED = 6.0, 6, 0.08
# Residual degrees of freedom of a variance group below which flips were seen to be conservative.
FEW_IN_GROUP = 2.5


def warn_of_data(fit: DatasetFit, fitted: FittedGroup, shuffled: Sequence[Shuffled]) -> list[str]:
    """Return warnings of unequal variances, extreme leverage, skewed errors, and of conservative tests.

    Parameters
    ----------
    fit : GroupFit
    fitted : FittedGroup
    shuffled : list of Shuffled
        Of the contrasts of the fit.
    """
    design, data = fitted.design, fitted.data
    if len(data) != len(design.matrix):
        return []
    effects = fitted.stack.effect if data.ndim == 2 else data.reshape(len(data), -1)
    variances, skewness = measure_errors(effects, design.matrix)
    warnings = warn_of_leverage(fit.design)
    single = design.variance_groups is None and ESTIMATORS[fitted.estimator].supposes_one_variance
    # All rows alike: a mean, whose error needs no equal variances.
    if single and not design.has_repeats and np.ptp(design.matrix, axis=0).any():
        warnings += warn_of_variances(variances, find_groupings(fit))
    warnings += [*warn_of_caution(fitted, variances), *warn_of_no_variance(fit.design.rows, fitted)]
    flipped = [one.inference for one in shuffled if one.inference is not None]
    signs = any(inference.scheme != "permutation" for inference in flipped)
    if signs and design.variance_groups is not None and data.ndim == 2:
        warnings += _warn_of_small_groups(design.matrix, design.variance_groups)
    if abs(skewness) > SKEWED and (signs or _has_mean(design)):
        warnings.append(
            f"the errors are skewed (mean skewness {skewness:.2g}): sign flips and t suppose symmetry, and p "
            "can be half of what it should be. Look for outlying subjects, or transform the values."
        )
    return [f"{fit.contrast or fit.node}: {warning}" for warning in warnings]


def _has_mean(design: GroupDesign) -> bool:
    """Tell whether an effect is a mean, whose t supposes symmetry; differences and slopes hardly do."""
    scores = invert_gram(design.matrix) @ design.matrix.T
    estimators = (np.atleast_2d(one.weights) @ scores for one in design.contrasts)
    return any((np.abs(own.sum(axis=1)) > ZERO_SUM * np.abs(own).sum(axis=1)).any() for own in estimators)


def find_groupings(fit: DatasetFit) -> dict[str, list[str]]:
    """Return factor -> label of each row: the factors of the design, then those of the participants alone."""
    design = fit.design
    found: dict[str, list[int]] = {}
    for place, column in enumerate(design.matrix.T):
        if set(column.tolist()) == {0.0, 1.0} and not design.columns[place].startswith("subject."):
            found.setdefault(design.columns[place].partition(".")[0], []).append(place)
    labels = {
        factor: [_name_of(design.columns, places, row) for row in design.matrix]
        for factor, places in found.items()
    }
    return fit.factors | labels


def _name_of(columns: Sequence[str], places: Iterable[int], row: Numbers) -> str:
    """Return the levels that a row has."""
    return ", ".join(columns[place] for place in places if row[place] == 1.0) or "the other group"


def _medians(variances: Numbers, index: Labels) -> Numbers:
    """Return the median of each group, which one unlike subject does not make; NaN where nothing is known."""
    known = np.isfinite(variances)
    groups = (variances[known & (index == group)] for group in range(index.max() + 1))
    return np.array([np.median(group) if len(group) else np.nan for group in groups])


def warn_of_variances(variances: Numbers, groupings: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a warning where the residual variances of groups differ much over the brain.

    Parameters
    ----------
    variances : ndarray, shape (n_rows,)
    groupings : dict of str to list of str
        The label of each row.
    """
    worst = {}
    for factor, labels in groupings.items():
        names, index = np.unique(labels, return_inverse=True)
        found = _medians(variances, index)
        known = np.flatnonzero(np.isfinite(found))
        if len(known) > 1:
            low, high = known[np.argmin(found[known])], known[np.argmax(found[known])]
            worst[factor] = (found[high] / found[low], names[high], names[low])
    most = max(worst, key=lambda name: worst[name][0], default=None)
    if most is None or worst[most][0] < UNEQUAL:
        return []
    ratio, high, low = worst[most]
    return [
        f"the residual variance of {high} is {ratio:.2g} times that of {low} over the brain, which "
        "this test and permutations take for one: p is wrong, too small or too large, where groups have "
        f"unequal sizes or weights. Use --variance-groups {most} (ols, reml, flame1)."
    ]


def warn_of_caution(fitted: FittedGroup, variances: Numbers) -> list[str]:
    """Return a warning of tests whose p is larger than it should be in such a design."""
    design, n_left = fitted.design, len(fitted.design.matrix) - find_rank(fitted.design.matrix)
    if fitted.estimator == "huber" and n_left < FEW_BEYOND_RANK:
        return [
            f"robust regression with {n_left} inputs beyond the rank of the design: p is approximate (F of "
            "small groups has a size of .03 to .06 at .05); voxels that most inputs fit perfectly have none."
        ]
    if by_sandwich := _find_by_sandwich(fitted):
        known = [one for one in by_sandwich if np.isfinite(one.dof).any()]
        dofs = {one.contrast: np.nanmedian(one.dof) for one in known}
        few = [f"{name} ({dof:.2g})" for name, dof in dofs.items() if dof < FEW_DOF]
        return few and [
            f"few degrees of freedom of the sandwich error: {', '.join(few)}. Few subjects carry these "
            "contrasts; p is approximate: of a covariate too large where errors are alike in all subjects or "
            "differ between groups (size .02 to .04 at .05), too small where they grow with it (to .07)."
        ]
    # Several rows within subjects have covariances about each group's own fit.
    if fitted.estimator == "ols" and design.variance_groups is not None and fitted.data.ndim == 2:
        return _warn_of_shared_columns(design, design.variance_groups, variances)
    return []


def _find_by_sandwich(fitted: FittedGroup) -> list[GroupEstimate]:
    """Return the estimates with a sandwich error: of all contrasts, or of some of several rows a subject."""
    if fitted.tests:
        pairs = zip(fitted.tests, fitted.estimates, strict=True)
        return [estimate for test, estimate in pairs if test.method == "sandwich"]
    return fitted.estimates if fitted.estimator == "sandwich" else []


def _warn_of_shared_columns(design: GroupDesign, groups: Labels, variances: Numbers) -> list[str]:
    """Return a warning of contrasts of columns that groups of unequal variance share."""
    shared = [
        one.name for one in design.contrasts if _dependence((design.matrix, groups), one, variances) > SHARED
    ]
    return shared and [
        f"the tests of {', '.join(shared)} are conservative (size .01 to .05 at .05): groups of unequal "
        "variance share the columns, so that effects go with residuals. p by shuffling is not."
    ]


def _warn_of_small_groups(matrix: Matrix, groups: Labels) -> list[str]:
    """Return a warning of a variance group with few residuals, whose signs hardly tell its variance."""
    basis, _ = make_basis(matrix)
    smallest = find_freedom(basis, np.unique(groups, return_inverse=True)[1]).min()
    if smallest >= FEW_IN_GROUP:
        return []
    return [
        f"the smallest variance group has {smallest:.2g} degrees of freedom: so few signs hardly tell its "
        "variance, and p by sign flips is too large."
    ]


def _dependence(rows: tuple[Matrix, Labels], contrast: Contrast, variances: Numbers) -> float:
    """Return by how much the quantile of a contrast is smaller at the variances of the groups."""
    matrix, groups = rows
    basis, to_basis = make_basis(matrix)
    index = np.unique(groups, return_inverse=True)[1]
    estimators = reduce_rows(np.atleast_2d(contrast.weights)) @ to_basis @ basis.T
    sizes = np.bincount(index, np.square(estimators).sum(axis=0))
    used = np.flatnonzero(sizes > NOTHING * sizes.sum())
    found = find_dependence(basis, estimators, index, (used, _medians(variances, index)[:, None]))
    return float(found[0])


def warn_of_no_variance(rows: Sequence[str], fitted: FittedGroup) -> list[str]:
    """Return a warning of inputs that have effects without a variance, where the estimator needs one."""
    variance = fitted.stack.variance
    if not ESTIMATORS[fitted.estimator].needs_variances or variance is None or len(variance) != len(rows):
        return []
    pairs = zip(fitted.stack.effect, variance, strict=True)
    shares = [
        np.mean(np.isfinite(effect) & ~(np.isfinite(spread) & (spread > 0))) for effect, spread in pairs
    ]
    few = [f"{row} {share:.0%}" for row, share in zip(rows, shares, strict=True) if share > LOST]
    return few and [
        f"effects without a variance (0, infinite or no number), in a share of the voxels: {', '.join(few)}. "
        f"{fitted.estimator} takes these inputs as missing there. Make the variance maps again, or use ols."
    ]


def warn_of_leverage(design: Design) -> list[str]:
    """Return a warning of each row on which a fit rests."""
    basis, _ = make_basis(design.matrix)
    leverage = np.einsum("ir,ir->i", basis, basis)
    usual = np.median(leverage)
    # A leverage of 1 is that of a row with a column of its own, which a note on the design names.
    found = (leverage > LEVERAGE) & (leverage > UNUSUAL * usual) & (leverage < 1 - 1e-9)
    return [
        f"{label} has a leverage of {value:.2g} ({usual:.2g} is usual): effects rest on this row. Check its "
        "covariates, or leave it out and see what remains."
        for label, value in zip(np.array(design.rows)[found], leverage[found], strict=True)
    ]
