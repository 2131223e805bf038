"""How much of every atlas region is active, at least: All-Resolutions Inference as a table."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from bidsapp.group.shuffling import make_evidence
from bidsapp.inference.thresholds.discoveries import region_proportions
from bidsapp.records.maps import Geometry, GroupEstimate, InferenceOptions
from bidsapp.tables.atlas import Atlas

COLUMNS = {
    "atlas": {"Description": "Atlas"},
    "region": {
        "Description": "Region of the atlas (of a probabilistic one: the most probable at each voxel)"
    },
    "n_voxels": {"Description": "Voxels of the region in the analysis mask"},
    "tdp_positive": {
        "Description": "Lower bound of the share of the region's voxels with a positive effect "
        "(All-Resolutions Inference, simultaneous over all regions)"
    },
    "tdp_negative": {"Description": "The same for negative effects"},
    "tdp": {"Description": "The same for F tests, which have no sign"},
}


def make_discoveries(
    estimate: GroupEstimate, geometry: Geometry, atlases: Iterable[Atlas], options: InferenceOptions
) -> pd.DataFrame:
    """Return a row for every region of every atlas that has a voxel in the mask.

    Parameters
    ----------
    estimate : GroupEstimate
    geometry : Geometry
    atlases : list of Atlas
    options : InferenceOptions
    """
    evidence = make_evidence(estimate, None, geometry, options)
    positions = geometry.coordinates()
    rows = []
    for atlas in atlases:
        # 0 is outside for region_proportions, and a region for some atlases.
        regions = atlas.regions_at(positions) + 1
        shares = region_proportions(evidence, options.alpha, regions)
        for region, found in shares.items():
            counts = {"n_voxels": int(np.count_nonzero(regions == region))}
            named = {f"tdp_{sign}": share for sign, share in found.items()}
            if estimate.test == "F":
                named = {"tdp": found["positive"]}
            name = atlas.names.get(region - 1, f"region {region - 1}")
            rows.append({"atlas": atlas.key, "region": name, **counts, **named})
    return pd.DataFrame(rows)
