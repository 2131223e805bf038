"""Every choice a user has, as frozen dataclasses with the defaults.

A field is declared once, with its type, default, range and help; the command line, the configuration file,
the saved settings and the descriptors are made from these declarations (``declare.py``). The flag of a field
is its name with dashes: ``n_permutations`` is ``--n-permutations`` (``--n_permutations`` works too).
"""

from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_type_hints

from bidsapp.settings.declare import Part, as_percent, as_z, option
from bidsapp.vocabulary.estimators import ESTIMATORS
from bidsapp.vocabulary.noise import NOISE_MODELS
from bidsapp.vocabulary.statistics import STATISTICS
from bidsapp.vocabulary.thresholds import BY_WORD, FLAGS

# No brain is wider: what is meant is in another unit, and such a kernel would take all memory.
MOST_SMOOTHING_MM = 200
EXPORTS = ("neurovault", "nidm", "bundle")


@dataclass(frozen=True)
class Selection(Part):
    """Which files are analysed."""

    participant_label: tuple[str, ...] = option(
        (), "Participants to analyse (default: all).", kind="labels", prefix="sub"
    )
    exclude_participant_label: tuple[str, ...] = option(
        (), "Participants to leave out.", kind="labels", prefix="sub"
    )
    session_label: tuple[str, ...] = option(
        (), "Sessions (default: all).", kind="labels", prefix="ses", aliases=("--session-id",)
    )
    task_label: tuple[str, ...] = option(
        (),
        "Tasks (default: all that have events).",
        kind="labels",
        prefix="task",
        aliases=("--task-id", "-t"),
    )
    run_label: tuple[str, ...] = option((), "Runs (default: all).", kind="labels", prefix="run")
    space: str | None = option(
        None,
        "Space of the images (default: the only one there, else MNI152NLin2009cAsym).",
        kind="label",
        prefix="space",
    )
    res: str | None = option(
        None,
        "Resolution label of the images, none for those without one (needed where a run has several).",
        kind="label",
        prefix="res",
    )
    bids_filter_file: Path | None = option(
        None, "JSON file of pybids filters by kind of file: bold, mask, events, confounds, effect, variance."
    )
    bids_database_dir: Path | None = option(
        None, "Folder of a pybids database to use, made when absent.", level="participant"
    )
    derivatives: tuple[str, ...] = option(
        (),
        "[NAME=]PATH of the preprocessed images (default: BIDS_DIR/derivatives/*, or BIDS_DIR itself).",
        kind="paths",
        aliases=("-d",),
    )
    estimates: tuple[str, ...] = option(
        (),
        "Group level: folders of effect and variance maps (default: OUTPUT_DIR); results of another program "
        "as feat:PATH, spm:PATH, afni:PATH or fitlins:PATH, where * may stand for a part of a name; or a "
        "table (.tsv) with the columns participant_id, path, contrast (docs/other-programs.md).",
        kind="paths",
        level="group",
        metavar="[PROGRAM:]PATH",
    )
    estimates_pattern: str | None = option(
        None,
        "How the paths of another program say whose results they are: a text with {participant}, and "
        "perhaps {session}, {task}, {run} (default: sub-{participant}, ses-{session}, ...).",
        level="group",
        metavar="PATTERN",
    )


@dataclass(frozen=True)
class ModelOptions(Part):
    """Which model is fitted; all but ``model`` describe the automatic one."""

    model: str = option(
        "auto", "BIDS Stats Model file, or auto: made from the events.", aliases=("-m",), metavar="FILE|auto"
    )
    contrast: tuple[str, ...] = option(
        (),
        'Automatic model: a contrast (repeatable), for example "conflict=incongruent - congruent".',
        kind="repeat",
        metavar="NAME=EXPRESSION",
        level="participant",
    )
    confounds: str = option(
        "motion6",
        "Automatic model: confound strategy, parts joined by +; all but none also model volumes before the "
        "steady state.",
        metavar="STRATEGY",
        level="participant",
    )
    high_pass: float = option(
        128.0,
        "Automatic model: period of the high-pass filter in seconds (0: none).",
        least=0,
        metavar="SECONDS",
        level="participant",
    )
    hrf_model: str = option("spm", "Automatic model: haemodynamic response.", level="participant")
    missing_condition: Literal["drop", "error", "zero"] = option(
        "drop",
        "When a run lacks a condition: drop the contrasts that need it in that run, stop with an error, "
        "or count the condition as zero.",
    )
    invalid_contrasts: Literal["error", "drop"] = option(
        "error",
        "When a contrast of the model can never be made (a name that nothing has, weights that do not fit): "
        "stop with an error, or drop it with a warning and make the others.",
    )


@dataclass(frozen=True)
class RunOptions(Part):
    """How a run is fitted."""

    noise_model: str = option(
        "auto",
        "Noise of a run: autoregressive by restricted likelihood, with variance and degrees of freedom "
        "corrected for its estimation; auto takes the order from the repetition time (lags up to 4 s), "
        "arN-reml has order N (ar2 to ar6, too). To compare: ar1-reml, first order without the correction; "
        "ar1, nilearn's estimator; ols, white.",
        choices=tuple(NOISE_MODELS),
    )
    scaling: Literal["percent", "none"] = option(
        "percent", "Unit of the effects: percent of the voxel's mean, or none (the images' own)."
    )
    smoothing_fwhm: float = option(
        6.0,
        "Full width at half maximum of the smoothing of the BOLD images in mm (0: none).",
        least=0,
        most=MOST_SMOOTHING_MM,
        metavar="MM",
    )
    noise_smoothing_fwhm: float = option(
        0.0,
        "Smoothing of the map of noise coefficients in mm (0: none), over voxels of like mean intensity: not "
        "across the edges of tissue.",
        least=0,
        most=MOST_SMOOTHING_MM,
        metavar="MM",
    )
    fixed_effects: Literal["precision", "equal"] = option(
        "precision",
        "How the runs of a subject are combined: weighted by the precision of their estimates, or equally.",
    )
    derivative_boost: bool = option(
        False, "Let t contrasts of conditions compare amplitudes that count derivative columns in."
    )
    residuals: bool = option(False, "Write the residual series of every run.")


@dataclass(frozen=True)
class GroupOptions(Part):
    """How the group is analysed."""

    group_smoothing_fwhm: float = option(
        0.0,
        "Smoothing of the subjects' effect maps in mm before the group level (0: none).",
        least=0,
        most=MOST_SMOOTHING_MM,
        metavar="MM",
    )
    group_design: tuple[str, ...] = option(
        (),
        "Group model instead of the model's Dataset nodes: one-sample | paired A B | repeated-measures "
        "FACTOR=LEVEL,LEVEL ... | two-sample COLUMN | anova COLUMN | covariate COLUMN ... | "
        "covariate-by-group COLUMN ... (a slope in each group). A, B: contrasts of the subjects, or labels "
        "such as ses-pre ses-post, compared in every contrast, A minus B. COLUMN: of participants.tsv or "
        "phenotype/. Every contrast whose name holds one level of each FACTOR is a cell; levels may also be "
        "labels: ses-pre,ses-post.",
        kind="words",
        metavar="WORD",
    )
    formula: str | None = option(
        None,
        "Group model instead of the model's Dataset nodes, as a formula of R over columns of "
        'participants.tsv or phenotype/, for example "~ group * age + site": factors are columns of texts '
        "and C(code); also poly(), scale(), center(), log(), I(age ** 2). Each term has a test of type III.",
        metavar="FORMULA",
    )
    group_contrast: tuple[str, ...] = option(
        (),
        "With --formula: a contrast (repeatable) over means of levels, slopes and columns, for example "
        '"patient - control" or "d=patient:age - control:age". With --group-design: a contrast over the '
        'columns of the design, for example "d=group.a - group.b", or over the cells and levels of repeated '
        'measures, for example "faces=(FF + UF) / 2 - SF" (beside groups or covariates both: every contrast '
        "over columns is made of every contrast over cells). Rows of an F test are separated by semicolons.",
        kind="repeat",
        metavar="[NAME=]EXPRESSION",
    )
    select_contrasts: tuple[str, ...] = option(
        (),
        "Contrasts of the subjects that are analysed, by name or wildcard (default: all, but an automatic "
        "AMinusB beside one that is B - A only where both are named).",
        kind="words",
        metavar="CONTRAST",
    )
    error_term: Literal["partitioned", "pooled"] = option(
        "partitioned",
        "Repeated measures: partitioned (one map a subject and contrast; several rows by a multivariate "
        "test), or pooled (one model of all cells with a column a subject; several rows by one F with "
        "Greenhouse-Geisser's degrees of freedom).",
    )
    weights: Literal["equal", "size"] = option(
        "equal",
        "With --group-design: how an effect within subjects is averaged over groups: equal (every group "
        "counts the same, as in type III tests) or size (every subject does).",
    )
    conjunction: tuple[str, ...] = option(
        (),
        "Conjunction (minimum statistic) of group contrasts of one node (repeatable), for example "
        '"both=faces,houses".',
        kind="repeat",
        metavar="NAME=CONTRAST,CONTRAST",
    )
    group_estimator: str = option(
        "ols",
        "Estimator of the group level: ols; with the variance maps reml (mixed effects, Knapp-Hartung), "
        "flame1 (the same variance between subjects, t as FSL), dl (DerSimonian-Laird), fixed (fixed "
        "effects); huber (robust); sandwich (CR2, for several inputs of a subject).",
        choices=tuple(ESTIMATORS),
    )
    variance_groups: str | None = option(
        None,
        "Column of participants.tsv whose values are groups with a variance of their own (ols: Welch's "
        "tests; reml, flame1: a variance between subjects each).",
        metavar="COLUMN",
    )
    min_subjects: str = option(
        "all",
        "Analyse voxels with data of at least so many inputs: a number, or a fraction below 1.",
        kind="share",
        metavar="N|FRACTION",
    )
    allow_mixed_settings: bool = option(
        False,
        "Analyse maps together that were made with different settings (smoothing, noise model, model, ...); "
        "they are refused otherwise.",
    )
    mask: str | None = option(
        None,
        "Analyse only inside this image, or inside grey-matter (nilearn's MNI152 template above 0.2).",
        metavar="FILE|grey-matter",
    )
    resample: bool = option(
        False, "Resample maps and masks that are on another grid to that of the first map."
    )
    roi: tuple[str, ...] = option(
        (),
        "Regions (repeatable): an atlas as --atlas names them, or a label image with an optional table of "
        "names (index, name). Mean effects of each subject, group tests, false discovery rate over regions.",
        kind="repeat",
        metavar="ATLAS|IMAGE[,LABELS.tsv]",
    )
    alpha: float = option(0.05, "Error rate of every corrected threshold.", between=(0, 1), hint=as_percent)
    tail: Literal["two", "positive", "negative"] = option("two", "Alternative hypothesis.")
    main_threshold: str | None = option(
        None,
        f"Threshold that findings, pictures and tables go by: {', '.join(FLAGS)} (default: the "
        "first of them that the settings allow). The report says whether it was declared.",
        choices=tuple(BY_WORD),
    )
    atlas: tuple[str, ...] = option(
        ("aal", "harvard_oxford", "talairach_ba"),
        "Atlases that label clusters and peaks: aal, aicha, desikan_killiany, destrieux, harvard_oxford, "
        "juelich, marsatlas, neuromorphometrics, talairach_ba, talairach_gyrus, or an own NIfTI image with a "
        "table (index, name) of the same name.",
        kind="list",
        metavar="NAME|PATH",
    )


@dataclass(frozen=True)
class PermutationOptions(Part):
    """Permutation inference."""

    n_permutations: int = option(
        1000, "Number of shuffles, the observed one among them (0: none; fewer where fewer exist).", least=0
    )
    cluster_forming_p: float = option(
        0.001, "Cluster-forming threshold, as the one-sided uncorrected p-value.", between=(0, 0.5), hint=as_z
    )
    seed: int = option(0, "Seed of the random numbers.", least=0, aliases=("--random-seed",))
    statistics: tuple[str, ...] = option(
        tuple(STATISTICS),
        "Statistics whose maximum over the map is followed: height, extent, mass (of clusters), tfce.",
        kind="list",
        choices=tuple(STATISTICS),
        aliases=("--permutation-statistics",),
        metavar="STATISTIC",
    )
    exchangeability_blocks: str | None = option(
        None,
        "Column of participants.tsv whose values are blocks (sites, families) that rows are shuffled within, "
        "or that are shuffled whole (PALM's -eb).",
        metavar="COLUMN",
    )
    block_mode: Literal["auto", "within", "whole"] = option(
        "auto",
        "within: rows change places, or signs, in their block (sites); whole: blocks of one size change "
        "places, or signs, as a whole (families); auto: within, unless the effect lies between the blocks.",
    )
    shuffle_scheme: Literal["auto", "sign-flip", "permutation", "both"] = option(
        "auto",
        "How rows are shuffled; auto: sign flips for effects on a mean or between variance groups, else "
        "permutations.",
    )
    connectivity: Literal[6, 18, 26] = option(
        26,
        "Neighbours that make a cluster, everywhere: voxels that share a face (6), an edge (18), a corner "
        "(26). TFCE has 6.",
        kind="int",
    )
    cluster_mass: Literal["excess", "raw"] = option(
        "excess",
        "Mass of a cluster: the sum of the statistic above the threshold, or raw: the whole statistic.",
    )
    cluster_scale: Literal["t", "z"] = option(
        "t", "What cluster mass and TFCE of t tests are computed on (F, v, G: z)."
    )
    tfce_preset: Literal["volume", "surface"] = option(
        "volume", "Powers of TFCE: volume (E 0.5, H 2) or surface (E 1, H 2)."
    )
    tfce_steps: int = option(
        0, "TFCE by so many steps of each map's maximum, as PALM does with 100 (0: exact).", least=0
    )
    tail_approximation: Literal["none", "gpd", "gamma"] = option(
        "none",
        "Corrected p beyond what shuffles can count: a generalised Pareto tail, or a gamma distribution.",
    )
    stop_when_decided: bool = option(
        False, "Stop shuffling once hardly a corrected p can cross alpha any more."
    )
    across_contrasts: tuple[str, ...] = option(
        (),
        "Correct family-wise errors by shuffling over these contrasts of a group model together, by their "
        "names in the report; without names (or with all) over all but the means of groups that a "
        "--group-design makes of itself.",
        kind="names",
        metavar="CONTRAST",
    )


@dataclass(frozen=True)
class Control(Part):
    """How the app runs; nothing here changes a result."""

    work_dir: Path | None = option(
        None, "Folder for temporary files (default: inside OUTPUT_DIR, removed at the end).", aliases=("-w",)
    )
    n_cpus: int = option(
        0, "Processors to use (0: all that the job may use).", least=0, aliases=("--nprocs", "--nthreads")
    )
    mem_gb: float = option(
        0.0,
        "Memory to stay below in GB; a unit may be given (0: all that the job may use).",
        kind="memory",
        least=0,
        aliases=("--mem",),
    )
    dask_scheduler: str | None = option(
        None,
        "Group level: spread the shuffles and the blocks of voxels over the workers of this Dask cluster, "
        "named by the address of its scheduler or by its scheduler file.",
        metavar="ADDRESS|FILE",
        level="group",
    )
    dry_run: Literal["text", "json"] | None = option(None, "Print the plan, as text or json, and stop.")
    list_participants: Literal["all", "unfinished"] | None = option(
        None,
        "Print the labels of the participants, one a line, and stop; =unfinished leaves out those with "
        "complete results of the same settings.",
    )
    reports_only: bool = option(False, "Only rebuild the reports from the maps.")
    report_min_cluster: int = option(
        1,
        "Leave clusters of fewer voxels out of the tables and still pictures of the group's reports, which "
        "say so; files and results keep them.",
        least=1,
        metavar="VOXELS",
        level="group",
    )
    export: tuple[str, ...] = option(
        (),
        "Also write results as zips to OUTPUT_DIR/group/export, without network: neurovault (one a contrast, "
        "for its upload), nidm (one a contrast, NIDM results), bundle (all that a reviewer needs, in one). "
        "With --reports-only, of the results that are there.",
        kind="labels",
        choices=EXPORTS,
        level="group",
    )
    stop_on_first_crash: bool = option(
        False, "Stop at the first participant that fails.", level="participant"
    )
    skip_bids_validation: bool = option(
        False, "Accepted for compatibility; the app checks what it reads.", aliases=("--skip-bids-validator",)
    )
    notrack: bool = option(False, "Accepted for compatibility; nothing is ever sent.")


@dataclass(frozen=True, kw_only=True)
class Choices:
    """All that a user chooses but the folders and the levels, which is what records keep."""

    selection: Selection = Selection()
    model: ModelOptions = ModelOptions()
    run: RunOptions = RunOptions()
    group: GroupOptions = GroupOptions()
    permutation: PermutationOptions = PermutationOptions()
    control: Control = Control()


@dataclass(frozen=True)
class Settings(Choices):
    """All settings of one call of the app."""

    bids_dir: Path
    output_dir: Path
    levels: tuple[str, ...]


# The parts that one level alone reads.
LEVEL_OF_PART = {"run": "participant", "group": "group", "permutation": "group"}
PARTS: dict[str, type[Part]] = get_type_hints(Choices)


def find_unread(names: Collection[str], levels: Collection[str]) -> dict[str, list[str]]:
    """Return the level that reads a setting -> the settings of these names that no level of a call reads."""
    unread: dict[str, list[str]] = {}
    for part, of_part in PARTS.items():
        for setting in fields(of_part):
            level = setting.metadata.get("level", LEVEL_OF_PART.get(part))
            if setting.name in names and level and level not in levels:
                unread.setdefault(level, []).append(setting.name)
    return unread
