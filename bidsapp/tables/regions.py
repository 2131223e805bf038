"""Regions of interest: which region of an atlas or label image every voxel lies in, and means over them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsapp.errors import InputError
from bidsapp.inputs.fetched import is_named
from bidsapp.inputs.images.read import read_volume
from bidsapp.records.arrays import Labels, Maps, Matrix
from bidsapp.records.maps import Geometry
from bidsapp.tables.atlas import Atlas, not_known, read_atlases, read_names
from bidsapp.tables.bundled import BUNDLED

# A subject has a value in a region when it has data in at least this part of the region's voxels.
MIN_SHARE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The regions of an atlas on a geometry.

    Attributes
    ----------
    key, title : str
    names : list of str
        Of the regions with at least one voxel.
    members : list of ndarray of int
        The voxels of each, as indices on the voxel axis.
    """

    key: str
    title: str
    names: list[str]
    members: list[Labels]


def read_regions(spec: str, geometry: Geometry) -> Regions:
    """Return the regions that ``spec`` names: a bundled atlas, or IMAGE[,LABELS.tsv].

    Parameters
    ----------
    spec : str
        An image without a table has the numbers of its labels as names.
    geometry : Geometry

    Raises
    ------
    InputError
        No such file or atlas, a table without the columns, or no region with a voxel.
    """
    atlas = read_atlas(spec)
    found = atlas.regions_at(geometry.coordinates())
    indices = [index for index in np.unique(found) if index >= 0]
    if not indices:
        raise InputError(f"--roi {spec}: no voxel of the maps lies in any of its regions.")
    names = [atlas.names.get(int(index), str(index)) for index in indices]
    return Regions(atlas.key, atlas.title, names, [np.flatnonzero(found == index) for index in indices])


def read_atlas(spec: str) -> Atlas:
    """Return the bundled atlas or label image that ``spec`` names.

    Raises
    ------
    InputError
        No such file or atlas, or a table without the columns.
    """
    return read_atlases([spec])[0] if spec in BUNDLED else _read_image(spec)


def average_regions(values: Maps, regions: Regions) -> Matrix:
    """Return the mean of every input in every region, shape (n_inputs, n_regions).

    NaN where an input has data in less than half of a region.
    """
    means = np.full((len(values), len(regions.names)), np.nan)
    for column, members in enumerate(regions.members):
        part = np.asarray(values[:, members], float)
        there = np.isfinite(part)
        enough = there.mean(axis=1) >= MIN_SHARE
        means[enough, column] = np.where(there, part, 0.0)[enough].sum(axis=1) / there[enough].sum(axis=1)
    return means


def _read_image(spec: str) -> Atlas:
    text, _, table = spec.partition(",")
    path = Path(text)
    if not is_named(path):
        raise InputError(f"--roi {text}: {not_known(text)}")
    values, affine = read_volume(path)
    values = np.rint(np.nan_to_num(values)).astype(np.int32)
    if table and not is_named(table):
        raise InputError(f"--roi: there is no table {table}.")
    names = read_names(Path(table)) if table else {int(i): str(i) for i in np.unique(values) if i != 0}
    regions = np.where(np.isin(values, list(names)) & (values != 0), values, -1).ravel()
    key = path.name.removesuffix(".gz").removesuffix(".nii")
    return Atlas(key, key, "", "", names, values.shape, affine, regions)
