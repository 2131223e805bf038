"""The record of a Dataset node."""

from pydantic.dataclasses import dataclass

from bidsapp.outputs.saved.common import CONFIG, Dof, Maybe, Record, Weights
from bidsapp.records.documents import Document


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class ExcludedRecord:
    """A participant who is left out of a contrast."""

    subject: str
    """`sub-01`"""
    reason: str
    """Why"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class EstimandRecord:
    """What is averaged over what."""

    text: str
    """In words"""
    weights: list[dict[str, dict[str, float]]]
    """For each row of the contrast: group -> cell -> weight"""
    subjects: dict[str, int]
    """Group -> how many participants"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class InputRecord:
    """The maps of a participant that enter a contrast."""

    subject: str
    """`sub-01`"""
    effect: str
    """Path"""
    variance: str | None
    """Path"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class MainThresholdRecord:
    """How the main threshold was chosen."""

    method: str
    """`method` of the threshold"""
    declared: bool
    """Whether the user named it"""
    words: str
    """How it was chosen"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class NullRecord:
    """The null distribution of the maximum of a statistic; its cut-off is that of the threshold."""

    statistic: str
    """`method` of the threshold"""
    title: str
    """`largest statistic of each shuffle`"""
    column: str
    """Of the table"""
    observed: float
    """The value of the observed data"""
    table: str
    """Path of the table"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class PermutationRecord:
    """How a contrast was shuffled."""

    n_shuffles: int
    """The observed data among them"""
    n_distinct: int | float
    """How many different arrangements exist"""
    exact: bool
    """Whether all of them were used"""
    scheme: str
    """`sign-flip`, `permutation` or `both`"""
    mode: str | None = None
    """`free`, `within` or `whole` blocks"""
    words: str | None = None
    """All of it in a sentence, as the log has it"""
    scheme_reason: str | None = None
    """Why this scheme"""
    statistic: str | None = None
    """What was shuffled: `t`, or `t of the subjects' scores` where the signs of scores were flipped"""
    scale: str = "t"
    """`t` or `z`, what cluster mass and TFCE are of"""
    seed: int
    """Of the random numbers"""
    smallest_p: float | None = None
    """That the test can give"""
    family: str = ""
    """Over which contrasts p is corrected, and how"""
    incomplete_voxels: int = 0
    """How many voxels were shuffled without some of the participants"""
    warnings: tuple[str, ...] = ()
    """Sentences"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class ThresholdRecord:
    """What survives a threshold."""

    method: str
    """`uncorrected`, `fdrBH`, `bonferroni`, `maxT`, `maxTFCE`, `ari`, ...: the `desc-` of its files"""
    title: str
    """In words, with its error rate"""
    alpha: float
    """The error rate"""
    tail: str
    """`two`, `positive` or `negative`"""
    statistic: str
    """Key in `maps` that is drawn and cut: `z`, `t` or `F`"""
    cutoff: float | None
    """The smallest value that survives (by shuffling: that would)"""
    scale: str | None = None
    """What `cutoff` is a value of: a key of `maps` where the rule is a cut-off of that map, `tfce`, ..."""
    forming: float | None = None
    """Of clusters: the cluster-forming cut-off on the scale of `statistic`"""
    forming_p: float | None = None
    """Its one-sided p"""
    reason: str = ""
    """Why the threshold could not be computed; empty where it was"""
    warnings: tuple[str, ...] = ()
    """Sentences"""
    n_voxels: int
    """Surviving voxels, both signs"""
    n_clusters: int
    """Their clusters"""
    surviving: Maybe[str] = None
    """Path of the map of surviving values (0 elsewhere), where the rule is no plain cut-off"""
    p_map: Maybe[str] = None
    """Path of the map of corrected p as -log10"""
    clusters: str | None = None
    """Path of the table of clusters, null where nothing survives"""
    peaks: str | None = None
    """Path of the table of peaks"""
    labels: Maybe[str] = None
    """Path of the image of cluster labels"""
    peak_effects: Maybe[str] = None
    """Path of the table of every participant's effect at every peak"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class GroupContrastRecord:
    """A contrast of a group model; a conjunction has test `z` and no effect."""

    name: str
    """As in file names before it became a label"""
    input_contrast: str | None
    """The contrast of the participants; null where several come in"""
    design: str | None = None
    """Path of its design"""
    coverage: str | None = None
    """Path of the map of its number of inputs"""
    excluded: tuple[ExcludedRecord, ...] = ()
    """Who is left out of it"""
    group_contrast: str
    """The contrast over the group design (`1` for the mean)"""
    descriptive: bool = False
    """Of a mean of a group that the design brought along: no hypothesis, and in no family unless named"""
    test: str
    """`t`, `F`, or `z` of a conjunction"""
    dof: Dof
    """As of an estimate"""
    weights: Weights
    """Column -> weight, or a list of these (F)"""
    estimand: EstimandRecord | None = None
    """What it estimates; null of conjunctions"""
    n_subjects: int
    """Participants"""
    units: str | None = None
    """Of the effect, which may be for one unit of a covariate; null where inputs do not say it, or differ"""
    input_units: str | None = None
    """Of the inputs"""
    maps: dict[str, str]
    """`effect`, `variance`, `t`, `z`, `p`, `g`, ... -> path; F tests have no effect"""
    inputs: tuple[InputRecord, ...] = ()
    """What it is made from"""
    main_threshold: MainThresholdRecord | None = None
    """How its main threshold was chosen; null in records of earlier versions"""
    nulls: Maybe[tuple[NullRecord, ...]] = None
    """Null distributions"""
    permutation: Maybe[PermutationRecord] = None
    """How it was shuffled"""
    discoveries: Maybe[str] = None
    """Path of a table: at least how much of each atlas region is active"""
    thresholds: tuple[ThresholdRecord, ...]
    """In the order to be shown; the first is the main one"""
    influence: Maybe[str] = None
    """Path of a table with `participant_id` and measures of influence"""

    @property
    def main(self) -> ThresholdRecord | None:
        """The main threshold, None where there is none."""
        return next(iter(self.thresholds), None)


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class RegionsRecord:
    """A region-of-interest analysis."""

    atlas: str
    """Key of the atlas"""
    title: str | None = None
    """Its title"""
    contrast: str | None
    """The contrast of the participants; null where several come in"""
    table: str
    """Path"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class MemberRecord:
    """A row of the design, or a participant who is in none."""

    label: str
    """`sub-01`"""
    used: bool
    """Whether it is in a model"""
    reason: str = ""
    """Why it is in none, or is left out of some contrasts"""
    coverage: Maybe[float] = None
    """Share of the mask's voxels with data"""
    covariates: Document | None = None
    """Column -> value"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class GroupRecord(Record):
    """`logs/task-x_space-y_node-z_group.json`: a Dataset node."""

    message: Maybe[str] = None
    """Where it is not complete: what happened and the remedy, as the app printed it"""
    node: str
    """The Dataset node"""
    entities: dict[str, str]
    """Those that all its inputs share"""
    group_by: dict[str, str] | None = None
    """`{"group": "patient"}` where the node is fitted once a group"""
    contrasts: tuple[GroupContrastRecord, ...]
    """The group contrasts"""
    warnings: tuple[str, ...]
    """Sentences"""
    regions: tuple[RegionsRecord, ...] = ()
    """Region-of-interest analyses"""
    mask: str
    """Path of the analysis mask"""
    coverage: str | None = None
    """Path of the map of the number of inputs at each voxel"""
    design: str
    """Path of the design; the first column is `participant_id`"""
    contrast_table: str
    """Path of the table of weights"""
    n_voxels: int
    """In the mask"""
    voxel_size_mm: tuple[float, ...]
    """x, y, z"""
    description: str
    """The model in words, a sentence or two"""
    formula: str | None = None
    """`effect ~ 1`"""
    graph: Document | None = None
    """The model as nodes and edges, each with the number of estimates made and passed on: what its picture
    is drawn from"""
    estimator: str
    """In words"""
    made_with: dict[str, str] | None = None
    """What the sidecars of the inputs say, in words, with numbers of maps where they differ"""
    subjects: tuple[MemberRecord, ...]
    """Who is in it, and who is not and why"""
    background: Maybe[str] = None
    """Path of an image to draw on (else the MNI template where the space is MNI's)"""
    qc: Maybe[str] = None
    """Path of a table with `participant_id` and one column a measure"""
    written: dict[str, int] | None = None
    """As of a participant"""

    @property
    def n_subjects(self) -> int:
        """How many participants are in the model; one may have several rows in it."""
        return len({member.label.split(" ")[0] for member in self.subjects if member.used})
