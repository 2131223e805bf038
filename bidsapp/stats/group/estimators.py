"""The one way into a group model: estimators by name, missing voxels, blocks of voxels, z and p.

An estimator is a function of complete data, ``fit(effects, variances, design) -> list of Fit``; what is
missing, where, and what to do about it is settled here, once for all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bidsapp.errors import ModelError
from bidsapp.records.arrays import Labels, Maps, Numbers
from bidsapp.records.maps import Contrast, GroupDesign, GroupEstimate
from bidsapp.records.progress import Tell, nobody
from bidsapp.stats.blocks import cut_blocks, find_patterns
from bidsapp.stats.distributions import f_to_z, t_to_z, z_to_log_p
from bidsapp.stats.group.mixed_effects import fit_dl, fit_fixed, fit_flame1, fit_reml
from bidsapp.stats.group.ols import Fit, fit_ols
from bidsapp.stats.group.robust import fit_huber
from bidsapp.stats.group.sandwich import fit_sandwich
from bidsapp.stats.group.variance_groups import fit_variance_groups
from bidsapp.stats.linear import check_contrasts, find_rank, is_estimable, reduce_rows
from bidsapp.vocabulary.estimators import ESTIMATORS

# Effects, variances (None for an estimator that does not weigh by them) and the design.
Estimator: TypeAlias = Callable[[Maps, Any, GroupDesign], list[Fit]]
# Effects and variances.
Data: TypeAlias = tuple[Maps, Maps | None]
# A contrast and its arrays by their names.
Result: TypeAlias = tuple[Contrast, dict[str, NDArray[np.float64]]]
# The fit of each estimator; where groups have variances of their own, that of those that allow it.
FITS: dict[str, Estimator] = {
    "ols": fit_ols,
    "reml": fit_reml,
    "flame1": fit_flame1,
    "dl": fit_dl,
    "fixed": fit_fixed,
    "huber": fit_huber,
    "sandwich": fit_sandwich,
}
FITS_BY_GROUP: dict[str, Estimator] = {"ols": fit_variance_groups, "reml": fit_reml, "flame1": fit_flame1}


def fit_group(  # noqa: PLR0913 - who is told of the progress, beside what is fitted and how
    effects: Maps,
    variances: Maps | None,
    design: GroupDesign,
    *,
    estimator: str = "ols",
    min_inputs: int | None = None,
    tail: str = "two",
    tell: Tell = nobody,
) -> list[GroupEstimate]:
    """Fit a group model in every voxel and return its contrasts.

    Parameters
    ----------
    effects : ndarray, shape (n_inputs, n_voxels)
        NaN where an input has no data.
    variances : ndarray, shape (n_inputs, n_voxels), or None
        Sampling variances of the effects. For the estimators that use them, an input is missing where its
        variance is not a positive number.
    design : GroupDesign
    estimator : str
        A key of ``ESTIMATORS``.
    min_inputs : int or None
        Fit voxels with inputs of at least so many subjects, with the rows of the design that are there; None:
        only voxels where all inputs are.
    tail : {"two", "positive", "negative"}
        Alternative hypothesis of the p-values of t contrasts.
    tell : callable, optional
        Is told how many voxels are fitted.

    Returns
    -------
    list of GroupEstimate
        In the order of ``design.contrasts``; arrays are float64 and NaN where a voxel has too few inputs,
        no residual variation, or inputs that cannot estimate the contrast. ``maps["n"]`` counts the inputs.

    Raises
    ------
    ModelError
        A contrast that the full design cannot estimate, no degrees of freedom, or no variances.
    """
    _check(effects, variances, design, estimator)
    check_contrasts(design)
    fit = (FITS if design.variance_groups is None else FITS_BY_GROUP)[estimator]
    reduced = replace(
        design,
        contrasts=tuple(
            replace(one, weights=reduce_rows(np.atleast_2d(np.asarray(one.weights, float))))
            for one in design.contrasts
        ),
    )
    weighing = variances if ESTIMATORS[estimator].needs_variances else None
    n_voxels = effects.shape[1]
    results = [_empty(contrast, n_voxels) for contrast in reduced.contrasts]
    counts = np.zeros(n_voxels)
    blocks = cut_blocks(n_voxels, len(effects))
    # A tuple travels with its task to a worker of a cluster, and again when that worker dies.
    data = ((effects[:, block], None if weighing is None else weighing[:, block]) for block in blocks)
    jobs = (delayed(_fit_block)(fit, pair, reduced, min_inputs) for pair in data)
    for block, (present, fits) in zip(blocks, Parallel(return_as="generator")(jobs), strict=True):
        counts[block] = present
        for voxels, found in fits:
            _store(results, found, block.start + voxels)
        tell(block.stop, n_voxels)
    return [_finish(result, tail, counts) for result in results]


def _fit_block(
    fit: Estimator, data: Data, design: GroupDesign, needed: int | None
) -> tuple[Labels, list[tuple[Labels, dict[int, Fit]]]]:
    """Return how many subjects every voxel of a block has, and its fits: (voxels, as of `_fit_pattern`)."""
    values, spread = np.asarray(data[0], float), None if data[1] is None else np.asarray(data[1], float)
    present = np.isfinite(values)
    if spread is not None:
        present &= np.isfinite(spread) & (spread > 0)
    counts = _count_subjects(present, design)
    enough = (len(present),) if needed is None else (needed, counts)
    with threadpool_limits(1):  # more threads would round sums otherwise
        return counts, [
            (voxels, _fit_pattern(fit, (values, spread), design, (rows, voxels)))
            for rows, voxels in find_patterns(present, *enough)
        ]


def _count_subjects(present: NDArray[np.bool_], design: GroupDesign) -> Labels:
    """Return how many subjects have any input, shape (n_voxels,)."""
    if design.clusters is not None and design.has_repeats:
        order = np.argsort(design.clusters, kind="stable")
        first = np.unique(design.clusters[order], return_index=True)[1]
        present = np.logical_or.reduceat(present[order], first)
    counts: Labels = present.sum(axis=0)
    return counts


def _check(effects: Maps, variances: Maps | None, design: GroupDesign, estimator: str) -> None:
    if effects.shape[0] != len(design.matrix):
        raise ValueError(f"{effects.shape[0]} effects for a design of {len(design.matrix)} rows")
    if ESTIMATORS[estimator].needs_variances and variances is None:
        message = f"The estimator {estimator!r} needs variance maps, and some inputs have none. Use ols."
        raise ModelError(message)
    if design.variance_groups is not None and not ESTIMATORS[estimator].allows_variance_groups:
        known = ", ".join(FITS_BY_GROUP)
        message = f"The estimator {estimator!r} knows no variance groups; {known} do."
        raise ModelError(message)
    if ESTIMATORS[estimator].needs_subjects and design.clusters is None:
        raise ModelError(f"The estimator {estimator!r} needs to know which inputs come from one subject.")
    n_inputs, rank = len(design.matrix), find_rank(design.matrix)
    if n_inputs <= rank:
        message = (
            f"{n_inputs} inputs leave no residual to a model with {rank} independent columns. Drop some."
        )
        raise ModelError(message)


def _fit_pattern(
    fit: Estimator, data: Data, design: GroupDesign, pattern: tuple[Labels, Labels]
) -> dict[int, Fit]:
    """Return the fits by the index of their contrast, of the contrasts that these inputs can estimate."""
    rows, voxels = pattern
    part = design if len(rows) == len(design.matrix) else design.keep_rows(rows)
    able = [
        index for index, contrast in enumerate(part.contrasts) if is_estimable(part.matrix, contrast.weights)
    ]
    if not able or len(rows) <= find_rank(part.matrix):
        return {}
    part = replace(part, contrasts=tuple(part.contrasts[index] for index in able))
    own = np.ix_(rows, voxels)
    effects, variances = data[0][own], None if data[1] is None else data[1][own]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return dict(zip(able, fit(effects, variances, part), strict=True))


def _empty(contrast: Contrast, n_voxels: int) -> Result:
    n_rows = len(contrast.weights)
    shapes = {"effect": (n_rows, n_voxels), "variance": n_voxels, "statistic": n_voxels, "dof": n_voxels}
    return contrast, {name: np.full(shape, np.nan) for name, shape in shapes.items()}


def _store(results: Sequence[Result], found: Mapping[int, Fit], voxels: Labels) -> None:
    for index, fit in found.items():
        arrays = results[index][1]
        arrays["effect"][:, voxels] = fit.effect
        arrays["variance"][voxels] = fit.covariance[0, 0]
        arrays["statistic"][voxels] = fit.statistic
        arrays["dof"][voxels] = fit.dof
        for name, values in fit.maps.items():
            arrays.setdefault(name, np.full(arrays["dof"].shape, np.nan))[voxels] = values


def _finish(result: Result, tail: str, counts: Numbers) -> GroupEstimate:
    """Return the estimate of a contrast; where the statistic is not a number, nothing else is."""
    contrast, arrays = result
    main = [arrays.pop(name) for name in ("effect", "variance", "statistic", "dof")]
    effect, variance, statistic, dof = main
    unknown = ~np.isfinite(statistic)
    for array in main:
        array[..., unknown] = np.nan
    is_t = contrast.test == "t"
    z = t_to_z(statistic, dof) if is_t else f_to_z(statistic, len(effect), dof)
    return GroupEstimate(
        contrast=contrast.name,
        test=contrast.test,
        effect=effect[0] if is_t else effect,
        variance=variance if is_t else None,
        statistic=statistic,
        z=z,
        p=np.exp(z_to_log_p(z, tail=tail if is_t else "positive")),
        dof=dof,
        dof_numerator=len(effect),
        maps={"n": counts, **arrays},
    )
