"""Names for arrays in signatures; docstrings say the shapes."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# Values of points (voxels), one row an input, a shuffle or a contrast: shape (n, n_points).
Maps: TypeAlias = NDArray[np.floating]
# Values of points: shape (n_points,).
Map: TypeAlias = NDArray[np.floating]
# A design, weights, a covariance: shape (n_rows, n_columns).
Matrix: TypeAlias = NDArray[np.floating]
# A matrix for each point, bin or group, along the first axis or the last: three axes or more.
Matrices: TypeAlias = NDArray[np.floating]
# Numbers of anything else: times, degrees of freedom, a null distribution.
Numbers: TypeAlias = NDArray[np.floating]
# Which points, rows or columns.
Mask: TypeAlias = NDArray[np.bool_]
# Numbers of clusters, groups, blocks; indices; counts.
Labels: TypeAlias = NDArray[np.integer]
