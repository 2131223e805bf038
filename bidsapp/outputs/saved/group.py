"""The record of a Dataset node."""

import re

from bidsapp.outputs.saved.common import Dof, Maybe, Number, Record, Weights, saved
from bidsapp.records.documents import Document
from bidsapp.vocabulary.thresholds import TAILS, UPPER_TAIL

# What titles say of the tail that is tested.
OF_TAIL = re.compile(rf", ({'|'.join(map(re.escape, (*TAILS.values(), UPPER_TAIL)))})(?=;|,|$)")


@saved
class ExcludedRecord:
    """A participant who is left out of a contrast.

    Attributes
    ----------
    subject
        ``sub-01``.
    reason
        Why.
    """

    subject: str
    reason: str


@saved
class EstimandRecord:
    """What is averaged over what.

    Attributes
    ----------
    text
        In words.
    weights
        For each row of the contrast: group -> cell -> weight.
    subjects
        Group -> how many participants.
    slope
        Of a slope of a formula: with what, and in which levels; else empty.
    """

    text: str
    weights: list[dict[str, dict[str, float]]]
    subjects: dict[str, int]
    slope: str = ""


@saved
class InputRecord:
    """The maps of a participant that enter a contrast.

    Attributes
    ----------
    subject
        ``sub-01``.
    effect
        Path, as all from the output folder; of one volume of several with its number (``stats.nii.gz[3]``).
    variance
        Path of what the variance is read from: of results of SPM and AFNI the map of residuals, or of t.
    contrast
        The contrast of the participant whose maps they are; ``faces ses-pre`` where sessions are compared.
    """

    subject: str
    effect: str
    variance: str | None
    contrast: Maybe[str] = None


@saved
class MainThresholdRecord:
    """How the main threshold was chosen.

    Attributes
    ----------
    method
        ``method`` of the threshold.
    declared
        Whether the user named it.
    words
        How it was chosen.
    """

    method: str
    declared: bool
    words: str


@saved
class NullRecord:
    """The null distribution of the maximum of a statistic; its cut-off is that of the threshold.

    Attributes
    ----------
    statistic
        ``method`` of the threshold.
    title
        ``largest statistic of each shuffle``.
    column
        Of the table.
    observed
        The value of the observed data.
    table
        Path of the table.
    """

    statistic: str
    title: str
    column: str
    observed: Number
    table: str


@saved
class PermutationRecord:
    """How a contrast was shuffled.

    Attributes
    ----------
    n_shuffles
        The observed data among them.
    n_distinct
        How many different arrangements exist.
    exact
        Whether all of them were used.
    scheme
        ``sign-flip``, ``permutation`` or ``both``.
    mode
        ``free``, ``within`` or ``whole`` blocks.
    words
        All of it in a sentence, as the log has it.
    scheme_reason
        Why this scheme.
    statistic
        What was shuffled: ``t``, or ``t of the subjects' scores`` where the signs of scores were flipped.
    scale
        ``t`` or ``z``, what cluster mass and TFCE are of.
    seed
        Of the random numbers.
    smallest_p
        That the test can give.
    family
        Over which contrasts p is corrected, and how.
    incomplete_voxels
        How many voxels were shuffled without some of the participants.
    warnings
        Sentences.
    """

    n_shuffles: int
    n_distinct: int | float
    exact: bool
    scheme: str
    mode: str | None = None
    words: str | None = None
    scheme_reason: str | None = None
    statistic: str | None = None
    scale: str = "t"
    seed: int
    smallest_p: float | None = None
    family: str = ""
    incomplete_voxels: int = 0
    warnings: tuple[str, ...] = ()


@saved
class ThresholdRecord:
    """What survives a threshold.

    Attributes
    ----------
    method
        ``uncorrected``, ``fdrBH``, ``bonferroni``, ``maxT``, ``maxTFCE``, ``ari``, ...: the ``desc-`` of its
        files.
    title
        In words, with its error rate.
    alpha
        The error rate.
    tail
        ``two``, ``positive`` or ``negative``.
    statistic
        Key in ``maps`` that is drawn and cut: ``z``, ``t`` or ``F``.
    cutoff
        The smallest value that survives (by shuffling: that would).
    scale
        What ``cutoff`` is a value of: a key of ``maps`` where the rule is a cut-off of that map, ``tfce``,
        ...
    forming
        Of clusters by shuffling: the cluster-forming cut-off.
    forming_scale
        What ``forming`` is a value of: ``t``, ``z``, or in words what was shuffled in place of ``statistic``.
    forming_p
        Its one-sided p.
    reason
        Why the threshold could not be computed; empty where it was.
    warnings
        Sentences.
    n_voxels
        Surviving voxels, both signs.
    n_clusters
        Their clusters.
    surviving
        Path of the map of surviving values (0 elsewhere), where the rule is no plain cut-off.
    p_map
        Path of the map of corrected p as -log10, or of q.
    share_map
        Path of the map of the share of truly active voxels in the cluster of each voxel.
    clusters
        Path of the table of clusters, null where nothing survives.
    peaks
        Path of the table of peaks.
    labels
        Path of the image of cluster labels.
    peak_effects
        Path of the table of every participant's effect at every peak.
    """

    method: str
    title: str
    alpha: float
    tail: str
    statistic: str
    cutoff: float | None
    scale: str | None = None
    forming: float | None = None
    forming_scale: Maybe[str] = None
    forming_p: float | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    n_voxels: int
    n_clusters: int
    surviving: Maybe[str] = None
    p_map: Maybe[str] = None
    share_map: Maybe[str] = None
    clusters: str | None = None
    peaks: str | None = None
    labels: Maybe[str] = None
    peak_effects: Maybe[str] = None

    @property
    def words(self) -> str:
        """Its title, with the error rate where that does not say it."""
        return self.title if f"{self.alpha:g}" in self.title else f"{self.title}, α = {self.alpha:g}"

    @property
    def rule(self) -> str:
        """Its words without the tail that is tested: what contrasts of different tests may share."""
        return OF_TAIL.sub("", self.words)

    @property
    def unusable(self) -> str:
        """Why it cannot be used, whatever survives it; empty where it can."""
        return f"not computed, {self.reason}" if self.reason else " ".join(self.warnings)


@saved
class DetectableRecord:
    """The smallest effect that a t contrast finds with some power, in the unit of its effect.

    Attributes
    ----------
    power
        Of 1.
    height
        The threshold that a voxel by itself must reach for it, in words.
    t
        Its cut-off; null where degrees of freedom differ between voxels.
    p
        The one-sided p of the cut-off, where that is what is given.
    quarter
        An effect of this size or more is found in a quarter of the voxels.
    half
        In half of them.
    three_quarters
        In three quarters of them.
    """

    power: float
    height: str
    t: float | None = None
    p: float | None = None
    quarter: float
    half: float
    three_quarters: float


@saved
class SmoothnessRecord:
    """How smooth the noise is, which random-field theory goes by.

    Attributes
    ----------
    fwhm_voxels
        Full width at half maximum along the axes of the grid.
    resels
        Resel counts of dimension 0 to 3.
    n_voxels
        Of the search volume.
    """

    fwhm_voxels: tuple[float, ...]
    resels: tuple[float, ...]
    n_voxels: int


@saved
class GroupContrastRecord:
    """A contrast of a group model; a conjunction has test ``z`` and no effect.

    Attributes
    ----------
    name
        As in file names before it became a label.
    input_contrast
        The contrast of the participants; null where several come in.
    input_weights
        Of that contrast, where the sidecars of all inputs say the same: condition -> weight.
    design
        Path of its design.
    coverage
        Path of the map of its number of inputs.
    excluded
        Who is left out of it.
    group_contrast
        The contrast over the group design (``1`` for the mean).
    descriptive
        Of a mean of a group that the design brought along: no hypothesis, and in no family unless named.
    test
        ``t``, ``F``, or ``z`` of a conjunction.
    dof
        As of an estimate.
    weights
        Column -> weight, or a list of these (F).
    estimand
        What it estimates; null of conjunctions.
    n_subjects
        Participants.
    units
        Of the effect, which may be for one unit of a covariate; null where inputs do not say it, or differ.
    input_units
        Of the inputs.
    maps
        ``effect``, ``variance``, ``t``, ``z``, ``p``, ``g``, ... -> path; F tests have no effect.
    inputs
        What it is made from.
    tested
        Path of their effects as they are tested, a volume an input; left out where these are their files'.
    main_threshold
        How its main threshold was chosen; null in records of earlier versions.
    nulls
        Null distributions.
    permutation
        How it was shuffled.
    discoveries
        Path of a table: at least how much of each atlas region is active.
    thresholds
        In the order to be shown; the first is the main one.
    strongest
        Path of a table of the strongest peaks of the whole map, where nothing survives the main threshold.
    detectable
        The smallest effect that it could have found; ``maps`` has its map.
    smoothness
        Of its residuals.
    influence
        Path of a table with ``participant_id`` and measures of influence.
    robustness
        Path of a table: the highest peaks by other estimators and without each participant.
    """

    name: str
    input_contrast: str | None
    input_weights: Maybe[dict[str, float]] = None
    design: str | None = None
    coverage: str | None = None
    excluded: tuple[ExcludedRecord, ...] = ()
    group_contrast: str
    descriptive: bool = False
    test: str
    dof: Dof
    weights: Weights
    estimand: EstimandRecord | None = None
    n_subjects: int
    units: str | None = None
    input_units: str | None = None
    maps: dict[str, str]
    inputs: tuple[InputRecord, ...] = ()
    tested: Maybe[str] = None
    main_threshold: MainThresholdRecord | None = None
    nulls: Maybe[tuple[NullRecord, ...]] = None
    permutation: Maybe[PermutationRecord] = None
    discoveries: Maybe[str] = None
    thresholds: tuple[ThresholdRecord, ...]
    strongest: Maybe[str] = None
    detectable: Maybe[DetectableRecord] = None
    smoothness: Maybe[SmoothnessRecord] = None
    influence: Maybe[str] = None
    robustness: Maybe[str] = None

    @property
    def main(self) -> ThresholdRecord | None:
        """The main threshold, None where there is none."""
        return next(iter(self.thresholds), None)

    @property
    def usable(self) -> tuple[ThresholdRecord, ...]:
        """The thresholds that pages show: the main one, and those of the others that can be used."""
        return tuple(one for one in self.thresholds if one == self.main or not one.unusable)


@saved
class RegionsRecord:
    """A region-of-interest analysis.

    Attributes
    ----------
    atlas
        Key of the atlas.
    title
        Its title.
    contrast
        The contrast of the participants; null where several come in.
    table
        Path.
    """

    atlas: str
    title: str | None = None
    contrast: str | None
    table: str


@saved
class MemberRecord:
    """A row of the design, or a participant who is in none.

    Attributes
    ----------
    label
        ``sub-01``.
    used
        Whether it is in a model.
    reason
        Why it is in none, or is left out of some contrasts.
    coverage
        Share of the mask's voxels with data.
    covariates
        Column -> value.
    """

    label: str
    used: bool
    reason: str = ""
    coverage: Maybe[float] = None
    covariates: Document | None = None


@saved
class GroupRecord(Record):
    """``logs/task-x_space-y_node-z_group.json``: a Dataset node.

    Attributes
    ----------
    message
        Where it is not complete: what happened and the remedy, as the app printed it.
    node
        The Dataset node.
    entities
        Those that all its inputs share.
    group_by
        ``{"group": "patient"}`` where the node is fitted once a group.
    contrasts
        The group contrasts.
    warnings
        Sentences.
    regions
        Region-of-interest analyses.
    mask
        Path of the analysis mask.
    coverage
        Path of the map of the number of inputs at each voxel.
    design
        Path of the design; the first column is ``participant_id``.
    contrast_table
        Path of the table of weights.
    n_voxels
        In the mask.
    voxel_size_mm
        x, y, z.
    description
        The model in words, a sentence or two.
    formula
        ``effect ~ 1``.
    graph
        The model as nodes and edges, each with the number of estimates made and passed on: what its picture
        is drawn from.
    estimator
        In words.
    made_with
        What the sidecars of the inputs say, in words, with numbers of maps where they differ.
    groups
        Of a formula: level of its first factor -> participants.
    subjects
        Who is in it, and who is not and why.
    background
        Path of an image to draw on, beside the MNI template where the space is MNI's: the participants' mean
        T1w image.
    qc
        Path of a table with ``participant_id`` and one column a measure.
    written
        As of a participant.
    """

    message: Maybe[str] = None
    node: str
    entities: dict[str, str]
    group_by: dict[str, str] | None = None
    contrasts: tuple[GroupContrastRecord, ...]
    warnings: tuple[str, ...]
    regions: tuple[RegionsRecord, ...] = ()
    mask: str
    coverage: str | None = None
    design: str
    contrast_table: str
    n_voxels: int
    voxel_size_mm: tuple[float, ...]
    description: str
    formula: str | None = None
    graph: Document | None = None
    estimator: str
    made_with: dict[str, str] | None = None
    groups: dict[str, list[str]] | None = None
    subjects: tuple[MemberRecord, ...]
    background: Maybe[str] = None
    qc: Maybe[str] = None
    written: dict[str, int] | None = None

    @property
    def n_subjects(self) -> int:
        """How many participants are in the model; one may have several rows in it."""
        return len({member.label.split(" ")[0] for member in self.subjects if member.used})
