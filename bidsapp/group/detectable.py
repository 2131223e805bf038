"""The smallest effect that a contrast could have found, in every voxel and over all of them."""

from dataclasses import dataclass

import numpy as np

from bidsapp.inference.heights import Height, find_height_of
from bidsapp.outputs.saved.group import DetectableRecord
from bidsapp.records.arrays import Map
from bidsapp.records.documents import Document
from bidsapp.records.maps import Evidence, GroupEstimate, Threshold
from bidsapp.stats.group.power import POWER, find_detectable

SHARES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True, eq=False)
class Detectable:
    """The smallest effect that is found with a power of `POWER`, (n_voxels,), and the height it needs."""

    values: Map
    height: Height

    def describe(self) -> DetectableRecord | None:
        """Return its record; None where no voxel has a value."""
        known = self.values[np.isfinite(self.values)]
        if not len(known):
            return None
        quarter, half, most = np.quantile(known, SHARES).tolist()
        height = self.height
        return DetectableRecord(
            power=POWER,
            height=height.words,
            t=height.t,
            p=height.p,
            quarter=quarter,
            half=half,
            three_quarters=most,
        )

    @property
    def fields(self) -> Document:
        """What the sidecar of the map says."""
        return {
            "Power": POWER,
            "HeightThreshold": self.height.words,
            "HeightThresholdT": self.height.t,
            "HeightThresholdP": self.height.p,
        }


def make_detectable(
    estimate: GroupEstimate, evidence: Evidence, main: Threshold, alpha: float
) -> Detectable | None:
    """Return the smallest effect that a t contrast could have found; None of other tests.

    Parameters
    ----------
    estimate : GroupEstimate
    evidence : Evidence
        Of the same contrast.
    main : Threshold
        The main one.
    alpha : float
        Of thresholds that control an error.
    """
    if estimate.test != "t" or estimate.variance is None:
        return None
    height = find_height_of(main, evidence, alpha)
    variance = np.where(np.isfinite(estimate.statistic), estimate.variance, np.nan)
    return Detectable(find_detectable(variance, estimate.dof, height.at), height)
