"""What the engine asks of a contrast with data, whatever its statistic."""

from typing import Protocol

from bidsapp.inference.shuffles.make import Shuffles
from bidsapp.inference.shuffles.partition import Partition
from bidsapp.records.arrays import Map, Maps, Mask, Matrix


class VoxelTest(Protocol):
    """A contrast with data, ready to be shuffled."""

    @property
    def partition(self) -> Partition:
        """Effect and nuisance of the contrast."""

    @property
    def nuisance(self) -> Matrix:
        """Of the nuisance, what shuffles change, shape (n_subjects, n)."""

    @property
    def data(self) -> Maps:
        """Of shape (n_subjects, n_points) or (n_subjects, n_maps, n_points); zero where there is no test."""

    @property
    def usable(self) -> Mask:
        """Where the test can be made, shape (n_points,)."""

    @property
    def direction(self) -> int:
        """1, or -1 where the sign is turned for the negative tail."""

    @property
    def name(self) -> str:
        """What the statistic is called."""

    @property
    def is_signed(self) -> bool:
        """Whether the statistic has two tails."""

    @property
    def dof(self) -> tuple[float, float]:
        """Numerator and residual degrees of freedom; NaN where these differ between voxels."""

    def observed(self, shuffles: Shuffles) -> Map:
        """Return the observed statistic, shape (n_points,)."""

    def cutoff(self, p: float) -> float:
        """Return the value of the maps with an upper-tail p."""

    def z(self, statistic: Maps) -> Maps:
        """Return z-values of the same p as values of the maps."""

    def maps(self, shuffles: Shuffles, which: slice) -> Maps:
        """Return the statistic of some shuffles, shape (n, n_points)."""
