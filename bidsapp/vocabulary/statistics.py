"""The statistics of a map whose maximum over the map gives a corrected p: one row a statistic."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StatisticWords:
    """How a statistic is called, and what belongs to it.

    Attributes
    ----------
    name : str
        As flags and records say: ``height``.
    label, short : str
        In words; in a word or two, for lists.
    threshold : str
        The name of its threshold, in files and records (``maxT``).
    column : str
        Of its corrected p, in tables.
    largest : str
        What the null distribution holds.
    inference : str
        How sidecars call inference by it.
    needs : {"height", "clusters", "maps"}
        What it is computed from: the highest voxel, the clusters, or the whole map of each shuffle.
    observed : str or None
        The quantity of its observed map; None for the statistic of the voxel itself.
    scale : str or None
        What its cut-off is a value of; None: the statistic of the voxel.
    cites : str
        The work that the methods text cites.
    conventions : tuple of str
        Fields of sidecars that are about this statistic alone.
    says : str
        What the methods text says of its conventions.
    """

    name: str
    label: str
    short: str
    threshold: str
    column: str
    largest: str
    inference: str
    needs: str
    observed: str | None
    scale: str | None
    cites: str
    conventions: tuple[str, ...] = ()
    says: str = ""


_ROWS = (
    StatisticWords(
        "height",
        "voxel height",
        "height",
        threshold="maxT",
        column="p_fwe",
        largest="largest statistic of each shuffle",
        inference="voxel",
        needs="height",
        observed=None,
        scale=None,
        cites="nichols2002",
    ),
    StatisticWords(
        "extent",
        "cluster extent",
        "cluster size",
        threshold="maxSize",
        column="p_fwe_size",
        largest="largest cluster of each shuffle, in voxels",
        inference="clusterSize",
        needs="clusters",
        observed="size",
        scale="voxels",
        cites="nichols2002",
    ),
    StatisticWords(
        "mass",
        "cluster mass",
        "cluster mass",
        threshold="maxMass",
        column="p_fwe_mass",
        largest="largest cluster mass of each shuffle",
        inference="clusterMass",
        needs="clusters",
        observed="mass",
        scale="mass",
        cites="nichols2002",
        conventions=("ClusterMass",),
        says="The mass of a cluster is the sum of the {mass}, of {scale}.",
    ),
    StatisticWords(
        "tfce",
        "threshold-free cluster enhancement",
        "TFCE",
        threshold="maxTFCE",
        column="p_fwe_tfce",
        largest="largest TFCE value of each shuffle",
        inference="tfce",
        needs="maps",
        observed="tfce",
        scale="tfce",
        cites="smith2009",
        conventions=("TFCE", "TFCEScale", "TFCEConnectivity", "TFCEExtentPower", "TFCEHeightPower"),
        says="Threshold-free cluster enhancement has the powers {powers} and 6 neighbours, {by}, of {scale}.",
    ),
)
STATISTICS = {row.name: row for row in _ROWS}
