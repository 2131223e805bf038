"""One least-squares model of several rows a subject: p-values and shuffles that assume no sphericity.

The t and F maps of such a model pool the errors of all differences, and are those of every program. What is
concluded from them is not: p and z come from each contrast's own error, and whole subjects are shuffled.
"""

from dataclasses import replace

import numpy as np

from bidsapp.errors import SettingsError
from bidsapp.group_within import blocks_of, score_cells
from bidsapp.plan.group_options import count_needed
from bidsapp.records import Contrast, EffectStack, GroupDesign, GroupEstimate
from bidsapp.stats.distributions import t_to_z, z_to_log_p
from bidsapp.stats.estimability import find_rank, invert_gram
from bidsapp.stats.group_estimators import fit_group
from bidsapp.stats.repeated_measures import balanced_weights, fit_greenhouse_geisser, orthonormalise_rows

SPHERICITY = (
    "Several rows a subject in one least-squares model: its t and F maps assume errors that are alike and "
    "equally correlated (sphericity). Their p, z and thresholds do not: they come from {}."
)
OWN_ERROR = "the error of each contrast alone, for F with Greenhouse-Geisser's degrees of freedom"
SANDWICH = "a sandwich covariance (CR2) where a subject lacks a cell or the weights differ between subjects"
NOT_WITHIN = (
    "Not shuffled: with a pooled error term only contrasts within subjects that weigh the cells of all "
    "subjects alike can be. Use --error-term partitioned."
)


def has_repeats(design: GroupDesign) -> bool:
    """Return whether a subject has several rows."""
    return design.clusters is not None and len(np.unique(design.clusters)) < len(design.clusters)


def require_subjects(stack: EffectStack, design: GroupDesign, minimum: str) -> EffectStack:
    """Return the stack with NaN in voxels that fewer subjects than ``--min-subjects`` have all rows of."""
    order = np.argsort(design.clusters, kind="stable")
    starts = np.flatnonzero(np.diff(design.clusters[order], prepend=-1))
    complete = np.logical_and.reduceat(np.isfinite(stack.effect[order]), starts, axis=0).sum(axis=0)
    few = complete < count_needed(minimum, len(starts))
    return replace(stack, effect=np.where(few, np.nan, stack.effect)) if few.any() else stack


def correct_pooled(estimates: list, design: GroupDesign, effect: np.ndarray, tail: str) -> list:
    """Return estimates of a pooled model with z and p that do not assume sphericity.

    F has Greenhouse and Geisser's F, p and epsilon beside it where every cell of every subject is there.
    """
    own = [_own_error(*pair, design, effect, tail) for pair in zip(estimates, design.contrasts, strict=True)]
    left = [np.isfinite(first.z) & ~np.isfinite(found.z) for first, found in zip(estimates, own, strict=True)]
    if not any(part.any() for part in left):
        return own
    voxels = np.flatnonzero(np.any(left, axis=0))
    needed = min(find_rank(design.matrix) + 1, len(effect))
    robust = fit_group(effect[:, voxels], None, design, estimator="sandwich", min_inputs=needed, tail=tail)
    trios = zip(own, left, robust, strict=True)
    return [_fill(found, voxels, part[voxels], other) for found, part, other in trios]


def _fill(estimate, voxels, wanted, other):
    """Return an estimate with z and p of another in some voxels."""
    if not wanted.any():
        return estimate
    z, p = estimate.z.copy(), estimate.p.copy()
    z[voxels[wanted]], p[voxels[wanted]] = other.z[wanted], other.p[wanted]
    return replace(estimate, z=z, p=p, p_from=f"{estimate.p_from}; {SANDWICH}".removeprefix("; "))


def _own_error(estimate: GroupEstimate, contrast: Contrast, design, effect, tail):
    """Return an estimate with z and p from the contrast's own error; NaN where that cannot be had."""
    nothing = np.full(estimate.z.shape, np.nan)
    rows = own_rows(design, contrast)
    if rows is None:
        return replace(estimate, z=nothing, p=nothing, p_from="")
    order = np.argsort(design.clusters, kind="stable")
    arrays = {name: nothing.copy() for name in ("statistic", "z", "p", "epsilon_gg")}
    for block in blocks_of(len(estimate.z)):
        scores = score_cells(rows, effect[order, block], rows.shape[1])
        found = _test_scores(scores, estimate.test, tail)
        there = np.isfinite(estimate.z[block])
        for name, array in arrays.items():
            array[block] = np.where(there, found[name], np.nan)
    beside = {"FGG": "statistic", "pGG": "p", "epsilonGG": "epsilon_gg"} if estimate.test == "F" else {}
    maps = estimate.maps | {stat: arrays[name] for stat, name in beside.items()}
    return replace(estimate, z=arrays["z"], p=arrays["p"], maps=maps, p_from=OWN_ERROR)


def _test_scores(scores, test, tail):
    n_subjects = scores.shape[1]
    found = fit_greenhouse_geisser(scores, np.ones((n_subjects, 1)), np.ones(1))
    known = {name: getattr(found, name) for name in ("statistic", "z", "p", "epsilon_gg")}
    if test == "F":
        return known
    z = t_to_z(np.sign(found.effect[0]) * np.sqrt(found.statistic), n_subjects - 1)
    return known | {"z": z, "p": np.exp(z_to_log_p(z, tail=tail))}


def own_rows(design: GroupDesign, contrast: Contrast) -> np.ndarray | None:
    """Return orthonormal weights of the cells of each subject, or None where subjects are not alike."""
    weights = balanced_weights(design.matrix, contrast.weights, design.clusters)
    if weights is None:
        return None
    rows = orthonormalise_rows(weights)
    # The sign of one row is that of the effect.
    return rows * np.sign(np.sum(rows * weights)) if len(rows) == 1 else rows


def pair_with_subjects(design: GroupDesign, contrast: Contrast, effect: np.ndarray) -> tuple:
    """Return what is shuffled for a contrast of a pooled model: maps of whole subjects, and their design.

    A contrast between subjects stays as it is: its blocks, the subjects, are permuted whole.

    Returns
    -------
    data : ndarray, shape (n_subjects, n_voxels) or, for several rows, (n_subjects, n_rows, n_voxels)
    design : GroupDesign
        A mean of the subjects.
    contrast : Contrast
        That mean.

    Raises
    ------
    SettingsError
        Subjects are not weighed alike.
    """
    rows = own_rows(design, contrast)
    if rows is None and _lies_between(design, contrast):
        return effect, design, contrast
    if rows is None:
        raise SettingsError(NOT_WITHIN)
    order = np.argsort(design.clusters, kind="stable")
    scores = score_cells(rows, effect[order], rows.shape[1])
    data = scores[0] if len(scores) == 1 else scores.transpose(1, 0, 2)
    mean = replace(contrast, test="t", columns=("mean",), weights=np.ones((1, 1)))
    return data, GroupDesign(np.ones((len(data), 1)), (mean,)), mean


def _lies_between(design, contrast):
    """Return whether a contrast weighs all rows of a subject alike."""
    effective = (np.atleast_2d(contrast.weights) @ invert_gram(design.matrix) @ design.matrix.T).T
    sums = np.zeros((design.clusters.max() + 1, effective.shape[1]))
    np.add.at(sums, design.clusters, effective)
    means = sums / np.bincount(design.clusters)[:, None]
    return bool(np.abs(effective - means[design.clusters]).max() < 1e-8 * np.abs(effective).max())


def first_rows(design: GroupDesign) -> np.ndarray:
    """Return the first row of each subject, in the order of the subjects' numbers."""
    return np.unique(design.clusters, return_index=True)[1]


def warn_of_sphericity(estimates: list) -> str:
    """Return what must be said of a pooled error."""
    sources = dict.fromkeys(part for estimate in estimates for part in estimate.p_from.split("; ") if part)
    return SPHERICITY.format("; and from ".join(sources))
