"""Null sets that are shuffled together: the size of uncorrected p and the family-wise error of the largest.

A batch of sets is one map whose parts are the sets: one test, one draw of shuffles, and for every set the
maxima over its own voxels. Sets of a batch share their shuffles, so the standard errors are those of
batches. Maps of the statistic are those that ``permute`` follows.
"""

import numpy as np

from bidsapp.inference.permutation import lay_out, prepare_test
from bidsapp.inference.pvalues import TIE, p_from_null
from bidsapp.records.maps import InferenceOptions

ALPHA = 0.05
# The observed arrangement is one of them: p of at most 2 / 40 has a size of .05.
N_SHUFFLES = 40
SHAPE = (10, 10, 10)
SETS_PER_BATCH = 10


def measure_shuffled(draw, design, n_sets, **how):
    """Return the size of p by shuffling and the family-wise error, each with its standard error.

    Parameters
    ----------
    draw : callable
        ``draw(n_voxels, rng)`` returns null data that are shuffled, sets of smooth voxels one after another,
        (n_subjects, n_voxels) or (n_subjects, n_maps, n_voxels).
    design : GroupDesign
        With one contrast.
    n_sets : int
    how : dict
        Scheme, blocks and their mode, as of InferenceOptions.
    """
    sizes, errors = [], []
    for seed in range(n_sets // SETS_PER_BATCH):
        data = draw(SETS_PER_BATCH * int(np.prod(SHAPE)), np.random.default_rng([seed, 2]))
        options = InferenceOptions(
            n_shuffles=N_SHUFFLES,
            seed=seed,
            statistics=("height",),
            variance_groups=design.variance_groups,
            **how,
        )
        size, error = shuffle_sets(data, (design.matrix, design.contrasts[0].weights), options)
        sizes.append(size)
        errors.append(error)
    return [mean_and_error(values) for values in (sizes, errors)]


def shuffle_sets(data, design, options):
    """Return the share of voxels, and of sets, that shuffling finds in data of several sets."""
    layout = lay_out(*design, options, n_maps=data.shape[1] if data.ndim == 3 else 1)
    _, test, _ = prepare_test(data, design, layout)
    maps = np.where(test.usable, test.maps(layout.shuffles, slice(None)), np.nan)
    maps = np.abs(maps) if test.is_signed else maps
    reached = np.count_nonzero(maps >= maps[0] - TIE * np.abs(maps[0]), axis=0)[test.usable]
    largest = np.nanmax(maps.reshape(len(maps), -1, int(np.prod(SHAPE))), axis=2)
    corrected = [p_from_null(null[:1], null)[0] for null in largest.T]
    return np.mean(reached <= ALPHA * len(maps)), np.mean(np.array(corrected) <= ALPHA)


def mean_and_error(values):
    """Return a mean and its standard error; NaN of nothing."""
    if not len(values):
        return np.nan, np.nan
    return np.mean(values), np.std(values) / np.sqrt(len(values))
