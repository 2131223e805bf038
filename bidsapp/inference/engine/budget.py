"""How many shuffles are followed together, and on how many threads, in the memory that there is.

Results depend on neither.
"""

from bidsapp.errors import SettingsError
from bidsapp.inference.voxels.linear import LinearTest
from bidsapp.inference.voxels.test import VoxelTest
from bidsapp.records.arrays import Maps
from bidsapp.records.maps import InferenceOptions

# Shuffles screened together, without and with points of clusters to remember; and whole maps at a time.
SCREENED, SCREENED_WITH_CLUSTERS, WHOLE = 16384, 2048, 8
# With fewer together, what each batch costs beside its shuffles would count.
FEWEST = 64
# Bytes.
DOUBLE = 8
# Doubles for each weight of a shuffle (with what makes it, and its copy in single precision), and for each
# point above the cluster-forming threshold (where, which shuffle, how high; unsorted and sorted).
WEIGHT_COPIES, EVENT_COPIES = 4, 8
# Doubles a point of a whole map, by statistic: the map, its size, its z and what these are made of.
MAP_COPIES = {"t": 8, "F": 12, "v": 14, "G": 14}


def check_memory(effects: Maps, options: InferenceOptions) -> None:
    """Raise SettingsError where the data to be shuffled do not fit.

    Parameters
    ----------
    effects : ndarray, shape (n_subjects, n_points) or (n_subjects, n_maps, n_points)
    """
    needed = effects.size * DOUBLE / 1e9
    left = max(options.memory_gb, 0.0)
    if needed > left:
        n_rows, n_points = effects.shape[0], effects.shape[-1]
        raise SettingsError(
            f"shuffling {n_rows} rows of {n_points} voxels needs {needed:.2g} GB more than is in use, and "
            f"{left:.2g} GB are left. Raise --mem-gb, restrict the voxels with --mask, or set "
            "--n-permutations 0."
        )


def count_screened(test: LinearTest, space_has_clusters: bool, options: InferenceOptions) -> int:
    """Return how many shuffles are screened together."""
    n_subjects, n_points = test.data.shape
    n_weights = test.partition.n_rows + test.nuisance.shape[1]
    doubles = WEIGHT_COPIES * n_weights * n_subjects
    most = SCREENED
    if space_has_clusters:
        most = SCREENED_WITH_CLUSTERS
        doubles += 2 * EVENT_COPIES * options.cluster_forming_p * n_points
    return int(min(most, max(FEWEST, _left(test, options) / (DOUBLE * doubles))))


def count_threads(test: VoxelTest, options: InferenceOptions) -> int:
    """Return how many threads may follow whole maps, of those that there are."""
    n_points = test.data.shape[-1]
    copies = MAP_COPIES.get(test.name)
    if copies is None:
        n_maps = test.data.shape[1]
        copies = 4 + n_maps * (1 + test.nuisance.shape[1]) + 2 * n_maps**2
    of_a_thread = WHOLE * copies * n_points * DOUBLE
    return int(min(max(options.n_threads, 1), max(1, _left(test, options) / of_a_thread)))


def _left(test: VoxelTest, options: InferenceOptions) -> float:
    """Return the bytes that are left beside the data of a test."""
    return options.memory_gb * 1e9 - test.data.nbytes
