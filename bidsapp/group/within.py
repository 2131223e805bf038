"""Tests of several rows within subjects: whole vectors of contrasts, one a subject, at the group level."""

from collections.abc import Sequence

import numpy as np

from bidsapp.records.arrays import Labels, Maps, Mask, Matrix, Numbers
from bidsapp.records.maps import Contrast, GroupDesign, GroupEstimate
from bidsapp.stats.blocks import find_patterns
from bidsapp.stats.group.repeated_measures import fit_unequal_covariances, fit_wilks, make_scores
from bidsapp.stats.linear import check_contrasts, is_estimable, reduce_rows

# Voxels of a block.
BLOCK = 2**14


def blocks_of(n_voxels: int) -> list[slice]:
    """Return slices that cut the voxels into blocks small enough for temporary arrays in double precision."""
    return [slice(start, start + BLOCK) for start in range(0, n_voxels, BLOCK)]


def score_cells(weights: Matrix, effect: Maps, n_cells: int) -> Maps:
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


def fit_vectors(scores: Maps, design: GroupDesign, needed: int) -> list[GroupEstimate]:
    """Return the multivariate test of several rows within subjects, for each contrast between them.

    Parameters
    ----------
    scores : ndarray, shape (n_rows, n_subjects, n_voxels)
        A subject takes part in a voxel where it has all rows.
    design : GroupDesign
        Between subjects.
    needed : int
        Subjects that a voxel must have.

    Returns
    -------
    list of GroupEstimate
        NaN where the subjects that are there cannot estimate the contrast, or the covariance of the rows.
        ``maps["n"]`` counts the subjects.

    Raises
    ------
    ModelError
        A contrast that all subjects together cannot estimate.
    """
    check_contrasts(design)
    present: Mask = np.all(np.isfinite(scores), axis=0)
    patterns = list(find_patterns(present, needed))
    counts = present.sum(axis=0, dtype=float)
    return [_fit_contrast(contrast, design, scores, patterns, counts) for contrast in design.contrasts]


def _fit_contrast(
    contrast: Contrast,
    design: GroupDesign,
    scores: Maps,
    patterns: Sequence[tuple[Labels, Labels]],
    counts: Numbers,
) -> GroupEstimate:
    weights = reduce_rows(np.atleast_2d(contrast.weights))
    n_rows, _, n_voxels = scores.shape
    arrays = {name: np.full(n_voxels, np.nan) for name in ("statistic", "z", "p", "dof")}
    effect = np.full((n_rows * len(weights), n_voxels), np.nan)
    for rows, voxels in patterns:
        part = design if len(rows) == len(design.matrix) else design.keep_rows(rows)
        if not is_estimable(part.matrix, weights):
            continue
        for some in (voxels[cut] for cut in blocks_of(len(voxels))):
            values = scores[:, rows][:, :, some]
            if part.variance_groups is None:
                found = fit_wilks(values, part.matrix, weights)
            else:
                found = fit_unequal_covariances(values, part, weights)
            effect[:, some] = found.effect
            for name, array in arrays.items():
                array[some] = getattr(found, name)
    return GroupEstimate(
        contrast=contrast.name,
        test="F",
        effect=effect,
        variance=None,
        dof_numerator=len(effect),
        maps={"n": counts},
        **arrays,
    )
