"""Options that make sense, what they mean in the space of a map, and in words for sidecars."""

from scipy import special

from bidsapp.errors import SettingsError
from bidsapp.inference.pvalues import TIE
from bidsapp.inference.shuffles.make import Shuffles
from bidsapp.inference.statistics.statistic import Space
from bidsapp.inference.voxels.test import VoxelTest
from bidsapp.records.arrays import Maps
from bidsapp.records.documents import Document
from bidsapp.records.maps import Geometry, Inference, InferenceOptions
from bidsapp.settings.parts import PermutationOptions
from bidsapp.vocabulary.statistics import STATISTICS

# How sidecars name the statistic of a voxel where its letter does not say it all.
STATISTIC_WORDS = {
    "v": "t with variances by group, followed as z",
    "G": "F with variances by group, followed as z",
    "T2": "Hotelling's T2, as F",
    "Wilks": "Wilks' lambda, as Rao's F",
    "T2 by group": "T2 with covariances by group, as F, followed as z",
}

FOLLOWED = tuple(STATISTICS)
FORMED = tuple(name for name, words in STATISTICS.items() if words.needs == "clusters")
# The conventions that are about some statistics only; all others are about every p by shuffling.
BELONGS = {
    **dict.fromkeys(("Family", "TailApproximation"), FOLLOWED),
    **dict.fromkeys(
        (
            "ClusterFormingP",
            "ClusterFormingTail",
            "ClusterFormingThreshold",
            "ClusterFormingRelation",
            "ClusterConnectivity",
            "ClusterScale",
        ),
        FORMED,
    ),
    **{key: (name,) for name, words in STATISTICS.items() for key in words.conventions},
}


def conventions_of(inference: Inference, name: str | None) -> Document:
    """Return the conventions behind the p of a statistic, or, where ``name`` is None, the uncorrected p."""
    return {key: value for key, value in inference.conventions.items() if name in BELONGS.get(key, (name,))}


def check_options(options: InferenceOptions) -> None:
    """Raise SettingsError for options that cannot be meant."""
    PermutationOptions(cluster_forming_p=options.cluster_forming_p, statistics=options.statistics)
    if options.n_shuffles < 2:
        raise SettingsError("permutation inference needs at least 2 shuffles.")


def make_space(test: VoxelTest, geometry: Geometry, options: InferenceOptions) -> Space:
    """Return neighbours and thresholds, in units of the map that clusters are formed on."""
    p = options.cluster_forming_p
    on_z = options.scale == "z" or test.name != "t"
    statistic_cutoff = test.cutoff(p)
    cutoff = float(-special.ndtri(p)) if on_z else statistic_cutoff
    return Space(
        neighbours=geometry.neighbours(options.connectivity),
        tfce_neighbours=geometry.neighbours(options.tfce_connectivity),
        cutoff=cutoff,
        statistic_cutoff=statistic_cutoff,
        scale=test.z if on_z else as_it_is,
        offset=cutoff if options.mass == "excess" else 0.0,
        two_tailed=test.is_signed and options.tail == "two",
        tfce_powers=options.tfce_powers,
        tfce_steps=options.tfce_steps,
    )


def as_it_is(statistic: Maps) -> Maps:
    """Return the statistic: t maps are their own scale."""
    return statistic


def describe_conventions(
    test: VoxelTest, shuffles: Shuffles, space: Space, options: InferenceOptions
) -> Document:
    """Return every convention behind the numbers, by the names that sidecars give them."""
    on_z = space.scale is not as_it_is
    side = options.tail if test.is_signed else "upper"
    tfce = "exact integral" if not options.tfce_steps else f"{options.tfce_steps} steps of each maximum"
    return {
        "NullHypothesis": "shuffles keep what is exchangeable when the contrast is zero (Freedman-Lane)",
        "Statistic": STATISTIC_WORDS.get(test.name, test.name),
        "TwoSided": space.two_tailed,
        "Tails": "largest absolute value of both tails" if space.two_tailed else f"{side} tail",
        "PValue": "share of shuffles at or above the observed value, the observed one among them",
        "TieTolerance": TIE,
        "Family": "the points of the contrast",
        "ShuffleMode": shuffles.mode,
        "ExchangeabilityBlocks": options.blocks is not None,
        "VarianceGroups": options.variance_groups is not None,
        "ClusterFormingP": options.cluster_forming_p,
        "ClusterFormingTail": "one-sided, in each tested tail",
        "ClusterFormingThreshold": space.cutoff,
        "ClusterFormingRelation": "at or above",
        "ClusterConnectivity": options.connectivity,
        "ClusterMass": "sum above the threshold" if options.mass == "excess" else "sum of the statistic",
        "ClusterScale": "z" if on_z else test.name,
        "TFCE": tfce,
        "TFCEScale": "z" if on_z else test.name,
        "TFCEConnectivity": options.tfce_connectivity,
        "TFCEExtentPower": options.tfce_powers[0],
        "TFCEHeightPower": options.tfce_powers[1],
        "TailApproximation": options.tail_approximation,
        "StopWhenDecided": options.stop_when_decided,
    }
