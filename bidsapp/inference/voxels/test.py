"""What the engine asks of a contrast with data, whatever its statistic."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from bidsapp.inference.shuffles.make import Shuffles
from bidsapp.inference.shuffles.partition import Partition
from bidsapp.records.arrays import Map, Maps, Mask, Matrix
from bidsapp.stats.distributions import find_height, to_z

# Their degrees of freedom differ between voxels and shuffles: their maps are z-values of the same p.
FOLLOWED_AS_Z = ("v", "G", "T2 by group")


def distribution_of(name: str) -> str:
    """Return what the values of a statistic's maps are distributed as: "t", "F" or "z"."""
    if name in FOLLOWED_AS_Z:
        return "z"
    return "t" if name == "t" else "F"


@dataclass(frozen=True, slots=True, eq=False)
class VoxelTest(ABC):
    """A contrast with data, ready to be shuffled.

    Attributes
    ----------
    name : {"t", "F", "v", "G", "T2", "Wilks", "T2 by group"}
        What the statistic is called.
    partition : Partition
        Effect and nuisance of the contrast.
    nuisance : ndarray, shape (n_subjects, n)
        Of the nuisance, what shuffles change.
    data : ndarray of float64, shape (n_subjects, n_points) or (n_subjects, n_maps, n_points)
        Residuals on the nuisance; zero where there is no test.
    usable : ndarray of bool, shape (n_points,)
        Where the test can be made.
    dof : tuple of float
        Numerator and residual degrees of freedom; NaN where these differ between voxels.
    direction : {1, -1}
        -1 where the sign is turned, for the negative tail.
    """

    name: str
    partition: Partition
    nuisance: Matrix
    data: Maps
    usable: Mask
    dof: tuple[float, float]
    direction: int

    @property
    def is_signed(self) -> bool:
        """Whether the statistic has two tails."""
        return self.name in ("t", "v")

    @abstractmethod
    def maps(self, shuffles: Shuffles, which: slice) -> Maps:
        """Return the statistic of some shuffles, shape (n, n_points); where it has a sign, signed."""

    def observed(self, shuffles: Shuffles) -> Map:
        """Return the observed statistic, shape (n_points,)."""
        first: Map = self.maps(shuffles, slice(0, 1))[0]
        return self.direction * first

    def cutoff(self, p: float) -> float:
        """Return the value of the maps with an upper-tail p."""
        return find_height(p, distribution_of(self.name), self.dof)

    def z(self, statistic: Maps) -> Maps:
        """Return z-values of the same p as values of the maps; F below its median is negative."""
        return to_z(statistic, distribution_of(self.name), self.dof)
