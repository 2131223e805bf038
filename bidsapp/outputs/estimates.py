"""Writers of estimates: one image and one complete sidecar for each map."""

from collections.abc import Mapping
from pathlib import Path

from bidsapp.names import map_path, model_fit_path, sidecar_path
from bidsapp.outputs.files import write_json
from bidsapp.outputs.images import write_map
from bidsapp.outputs.sidecars import map_sidecar
from bidsapp.records.arrays import Map
from bidsapp.records.documents import Document
from bidsapp.records.maps import EstimateKey, Geometry


def write_estimate(
    output_dir: Path, key: EstimateKey, maps: Mapping[str, Map], geometry: Geometry, fields: Document
) -> dict[str, str]:
    """Write the maps of an estimate.

    Parameters
    ----------
    output_dir : Path
    key : EstimateKey
    maps : dict of ndarray, shape (n_points,)
        By stat label: effect, variance, t, F, z, p, dof.
    geometry : Geometry
    fields : dict
        Fields of the sidecar of every map.

    Returns
    -------
    dict of str
        The path of each map, relative to the output folder.
    """
    entities = dict(key.entities)
    paths = {}
    for stat, values in maps.items():
        paths[stat] = map_path(entities, node=key.node, contrast=key.contrast, stat=stat)
        write_described_map(output_dir, paths[stat], values, geometry, map_sidecar(stat, **fields))
    return paths


def write_fit_maps(
    output_dir: Path,
    node: str,
    entities: Mapping[str, str],
    maps: Mapping[str, Map],
    geometry: Geometry,
    fields: Document,
) -> dict[str, str]:
    """Write maps of the fit of a model (R squared, residual variance, ...); return their paths by stat."""
    paths = {}
    for stat, values in maps.items():
        paths[stat] = model_fit_path(entities, node=node, stat=stat)
        write_described_map(output_dir, paths[stat], values, geometry, map_sidecar(stat, **fields))
    return paths


def write_described_map(
    output_dir: Path, path: str, values: Map, geometry: Geometry, sidecar: Document
) -> None:
    """Write one map with its sidecar; ``path`` is relative to the output folder."""
    space = sidecar.get("SpatialReference")
    write_map(Path(output_dir) / path, values, geometry, space=space)
    write_json(Path(output_dir) / sidecar_path(path), sidecar)
