"""What the data of a group fit say against its assumptions, in words with what to do."""

import numpy as np

from bidsapp.stats.residual_shape import measure_errors
from bidsapp.stats.weighted_solve import make_basis

# Variances of groups that differ by less do little harm: with twice as many subjects in the group of the
# smaller variance the size of t at .05 is .08 at this ratio.
UNEQUAL = 2.0
# Mean skewness of residuals (that of an exponential variable is 2) from which sign flips are doubtful.
SKEWED = 0.5
# A subject who has more than half of the say in the own fitted value, and three times as much as usual.
LEVERAGE, UNUSUAL = 0.5, 3.0
# Estimators that take variances as they are, whatever the groups.
HETEROSCEDASTIC = ("sandwich", "fixed")


def warn_of_data(fit, fitted, shuffled):
    """Return warnings of groups of unequal variance, extreme leverage and skewed errors under sign flips.

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
    index, factor = find_groups(fit.design)
    variances, skewness = measure_errors(effects, design.matrix, index)
    warnings = warn_of_leverage(fit.design)
    single = design.variance_groups is None and fitted.estimator not in HETEROSCEDASTIC
    if single and not design.has_repeats:
        warnings += warn_of_variances(variances, fit.design, index, factor)
    flipped = [one.inference for one in shuffled if one.inference is not None]
    if any(inference.scheme != "permutation" for inference in flipped) and abs(skewness) > SKEWED:
        warnings.append(
            f"the errors are skewed (mean skewness {skewness:.2g}): sign flips and t suppose symmetry, and p "
            "can be half of what it should be. Look for outlying subjects, or transform the values."
        )
    return [f"{fit.contrast or fit.node}: {warning}" for warning in warnings]


def find_groups(design):
    """Return the group of each row by the columns of 0 and 1 of a design, and the name of their factor."""
    binary = [
        place
        for place, column in enumerate(design.matrix.T)
        if set(column.tolist()) == {0.0, 1.0} and not design.columns[place].startswith("subject.")
    ]
    if not binary:
        return np.zeros(len(design.matrix), int), ""
    factors = {design.columns[place].partition(".")[0] for place in binary}
    index = np.unique(design.matrix[:, binary], axis=0, return_inverse=True)[1].ravel()
    return index, " and ".join(sorted(factors))


def warn_of_variances(variances, design, index, factor):
    """Return a warning where the residual variances of groups differ much over the brain."""
    known = np.flatnonzero(np.isfinite(variances))
    if len(known) < 2:
        return []
    low, high = known[np.argmin(variances[known])], known[np.argmax(variances[known])]
    ratio = variances[high] / variances[low]
    if ratio < UNEQUAL:
        return []
    names = [_name_of(design, np.flatnonzero(index == group)[0]) for group in (high, low)]
    return [
        f"the residual variance of {names[0]} is {ratio:.2g} times that of {names[1]} over the brain, which "
        "this test and permutations take for one: with groups of unequal size p is wrong. Use "
        f"--variance-groups {factor} (ols, reml, flame1)."
    ]


def _name_of(design, row):
    """Return the levels of a row."""
    levels = [name for name, value in zip(design.columns, design.matrix[row], strict=True) if value == 1.0]
    return ", ".join(name for name in levels if "." in name) or "the other group"


def warn_of_leverage(design):
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
