"""What each subject shows at each peak."""

import numpy as np
import pandas as pd

from bidsapp.records.arrays import Labels, Matrix
from bidsapp.records.maps import EffectStack, Geometry


def make_peak_effects(peaks: pd.DataFrame, stack: EffectStack) -> pd.DataFrame:
    """Return the effect of every subject at every peak.

    Parameters
    ----------
    peaks : DataFrame
        As ``make_cluster_table`` gives.
    stack : EffectStack

    Returns
    -------
    DataFrame
        One row a peak: ``cluster_id``, ``peak``, its position, then one column a subject (NaN: no data).
    """
    columns = ["cluster_id", "peak", "peak_x", "peak_y", "peak_z"]
    points = find_points(peaks[columns[2:]].to_numpy(float), stack.geometry)
    effects = pd.DataFrame(stack.effect[:, points].T, columns=list(stack.labels))
    return pd.concat([peaks[columns].reset_index(drop=True), effects], axis=1)


def find_points(positions: Matrix, geometry: Geometry) -> Labels:
    """Return the index of the point at each position in mm.

    Raises
    ------
    ValueError
        A position is not in the mask.
    """
    inverse = np.linalg.inv(geometry.affine)
    voxels = np.rint(positions @ inverse[:3, :3].T + inverse[:3, 3]).astype(int).reshape(-1, 3)
    index = geometry.volume(np.arange(geometry.n_points), fill=-1)
    inside = np.all((voxels >= 0) & (voxels < index.shape), axis=1)
    points = np.where(inside, index[tuple(np.where(inside[:, None], voxels, 0).T)], -1)
    if np.any(points < 0):
        raise ValueError(f"{positions[points < 0][0].tolist()} mm is not in the mask")
    return points
