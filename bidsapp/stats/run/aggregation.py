"""One series for each region of a mask, as Options.Aggregate of a model asks for.

The series of a region stands at every one of its voxels, so that all that follows is the same as for voxels.
A block is a part of the volumes, shape (n_volumes, n_voxels); a region is the voxels with one label.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from bidsapp.records.arrays import Labels, Maps, Numbers

METHODS = ("mean", "pca")


def aggregate_series(blocks: Iterable[Maps], labels: Labels, method: str) -> Iterator[Maps]:
    """Yield the blocks of a series with every voxel replaced by the series of its region.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n_volumes_in_block, n_voxels)
    labels : ndarray, shape (n_voxels,)
    method : {"mean", "pca"}
        "mean": the average of the voxels. "pca": their first principal component, which holds all blocks
        in memory; see `first_component`.
    """
    index, sizes = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    order = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    if method == "mean":
        for block in blocks:
            sums = np.add.reduceat(block[:, order].astype(np.float64), starts, axis=1)
            yield (sums / sizes).astype(np.float32)[:, index]
        return
    blocks = [block.copy() for block in blocks]
    series = np.concatenate(blocks)
    regions = np.split(order, starts[1:])
    components = np.column_stack([first_component(series[:, region]) for region in regions])
    for part in np.split(components, np.cumsum([len(block) for block in blocks])[:-1]):
        yield part.astype(np.float32)[:, index]


def first_component(series: Maps) -> Numbers:
    """Return the first principal component of the voxels of a region, shape (n_volumes,).

    In units of the data: the weighted mean of the voxels' deviations from their own means, about the
    region's mean. The weights are the loadings: their absolute values sum to 1, most of them are positive.
    """
    series = series.astype(np.float64)
    deviations = series - series.mean(axis=0)
    values, vectors = np.linalg.eigh(deviations @ deviations.T)
    loadings = vectors[:, -1] @ deviations
    total = np.abs(loadings).sum()
    if values[-1] <= 0 or total == 0:
        return np.full(len(series), series.mean())
    loadings *= np.sign(loadings.sum() or 1.0) / total
    component: Numbers = deviations @ loadings + series.mean()
    return component
