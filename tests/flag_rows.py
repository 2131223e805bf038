"""A row for each flag: two calls that differ in it alone, and what of their results may differ.

``{maps}``, ``{one}``, ``{work}``, ``{model}``: the group maps, those of one contrast, an empty folder, and a
model file.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """A flag, its words, and what becomes of the results.

    Attributes
    ----------
    base : dict
        What both calls have besides, flag -> words.
    only : tuple of str, optional
        Patterns of all kinds of results that may differ.
    kept : tuple of str
        Where ``only`` is not given: the kinds that may not, where all others must.
    inside : tuple of str
        Kinds that differ only in which voxels have a value.
    says : dict
        Fields of the sidecars of corrected maps; of a plan, its aspects.
    needed : bool
        Whether the call without the flag fails.
    """

    flag: str
    words: list
    base: dict = field(default_factory=dict)
    only: tuple | None = None
    kept: tuple = ()
    inside: tuple = ()
    says: dict = field(default_factory=dict)
    needed: bool = False

    def __str__(self):
        return " ".join([self.flag, *self.words])

    @property
    def flags(self):
        """The flags of the second call."""
        return self.base | {self.flag: self.words}


GROUP = {
    "--group-design": ["paired", "A", "B"],
    "--n-permutations": ["64"],
    "--cluster-forming-p": ["0.05"],
    "--atlas": ["aal"],
}
ONE = {"--estimates": ["{one}"]}
ONE_SAMPLE = {"--group-design": ["one-sample"]}
TWO_SAMPLE = ONE | {"--group-design": ["two-sample", "group"]}
REPEATED = {"--group-design": ["repeated-measures", "cond=A,B,C"], "--group-contrast": ["x=A - B; B - C"]}
PAIRED_GROUPS = {"--group-design": ["paired", "A", "B", "two-sample", "group"]}
FAMILIES = {"--exchangeability-blocks": ["family"], "--alpha": ["0.2"]}
MANY = ONE | {
    "--group-design": ["covariate", "age"],
    "--statistics": ["height"],
    "--n-permutations": ["3000"],
}
SHIFTED = {"--mask": ["{maps}/code/shifted.nii.gz"]}
# What does not depend on the values of the maps.
DESIGN = ("contrasts", "coverage", "design")
SIZES = ("d", "g", "gLow", "gHigh", "partialrsquare")
FITTED = ("effect", "variance", "t", "z", *SIZES, "influence", "mask *")
VOXELWISE = ("effect", "variance", "t", "z", "p", *SIZES)
OF_MAIN = ("found strongest", "found robustness", "found detectable")
FOUND = ("cut max*", "found max*", *OF_MAIN)
SHUFFLED = ("logp max*", "logp permUnc", "nullmax", "q fdrPermutation", *FOUND)
MASS = ("logp maxMass", "cut maxMass", "found maxMass", "mass", "nullmax")
SIZE = ("logp maxSize", "cut maxSize", "found maxSize", "size", "nullmax")
TFCE = ("logp maxTFCE", "cut maxTFCE", "found maxTFCE", *OF_MAIN[:2], "tfce", "nullmax")
CLUSTERS = (*MASS, *SIZE, "cut ari", "tdp ari", "cut rftSize", "logp rftSize")
NO_CLUSTERS = tuple("-" + kind for kind in (*MASS, *SIZE, *TFCE) if not kind.startswith(("found", "null")))

GROUP_ROWS = [
    Row("--group-smoothing-fwhm", ["12"], kept=(*DESIGN, "mask *"), says={"GroupSmoothingFWHM": 12.0}),
    Row("--group-design", ["two-sample", "group"], only=("+*", "-*", "found *")),
    Row(
        "--group-contrast",
        ["sum=group.patient + group.control"],
        TWO_SAMPLE,
        only=("+*", "found *", "contrasts"),
    ),
    Row("--select-contrasts", ["A"], ONE_SAMPLE, only=("-*", "found *")),
    Row("--error-term", ["pooled"], REPEATED, only=("+*", "-*", "found *")),
    # Influence is on a fit, whatever is asked of it.
    Row("--weights", ["size"], PAIRED_GROUPS, kept=("coverage", "design", "mask *", "influence")),
    Row(
        "--conjunction",
        ["both=A,B"],
        ONE_SAMPLE,
        only=("+p", "+z", "+q fdr*", "+logp *", "+tdp ari", "+cut *", "found *", "+discoveries"),
    ),
    # Influence is that on the least-squares fit, whatever the estimator and the variances.
    Row("--group-estimator", ["reml"], ONE | ONE_SAMPLE, kept=(*DESIGN, "mask *", "influence")),
    Row("--variance-groups", ["group"], TWO_SAMPLE, kept=(*DESIGN, "effect", "mask *", "influence")),
    # Influence leaves out voxels that lack an input: it is of the same voxels as before.
    Row("--min-subjects", ["7"], kept=(*DESIGN, "influence"), inside=VOXELWISE),
    Row("--mask", ["{maps}/code/back.nii.gz"], kept=DESIGN, inside=VOXELWISE),
    Row("--resample", [], SHIFTED, needed=True, only=("+*", "found *")),
    Row("--roi", ["{maps}/code/halves.nii.gz"], only=("+regions halves",)),
    # The adaptive rate takes the number of true null hypotheses from what it rejects at alpha.
    Row("--alpha", ["0.2"], only=("cut *", "found *", "discoveries", "q fdrBKY", "tdp ari")),
    # z keeps the sign of the effect, whatever the tail.
    Row("--tail", ["positive"], kept=(*DESIGN, *FITTED)),
    Row("--tail", ["negative"], kept=(*DESIGN, *FITTED)),
    Row("--main-threshold", ["uncorrected"], only=OF_MAIN, says={"MainThreshold": "uncorrected"}),
    Row("--report-min-cluster", ["20"], only=()),
    Row("--export", ["neurovault", "nidm", "bundle"], only=()),
    Row("--atlas", ["harvard_oxford"], only=("found *", "discoveries")),
    Row("--n-permutations", ["128"], only=SHUFFLED, says={"Permutations": 128}),
    # The uncorrected threshold is the cluster-forming one; each peak has the size of its cluster there.
    Row(
        "--cluster-forming-p",
        ["0.01"],
        only=(*CLUSTERS, "found *"),
        says={"ClusterFormingP": 0.01},
    ),
    Row("--seed", ["5"], only=SHUFFLED, says={"Seed": 5}),
    Row("--statistics", ["height"], only=(*NO_CLUSTERS, "found *", *OF_MAIN, "nullmax")),
    Row(
        "--exchangeability-blocks", ["site"], TWO_SAMPLE, only=SHUFFLED, says={"ExchangeabilityBlocks": True}
    ),
    Row("--block-mode", ["whole"], FAMILIES, only=SHUFFLED, says={"ShuffleMode": "whole"}),
    Row("--shuffle-scheme", ["both"], TWO_SAMPLE, only=SHUFFLED, says={"Scheme": "both"}),
    # Clusters of every threshold are told apart by it, TFCE is not.
    Row("--connectivity", ["6"], only=(*CLUSTERS, "found *"), says={"ClusterConnectivity": 6}),
    Row("--cluster-mass", ["raw"], only=MASS, says={"ClusterMass": "sum of the statistic"}),
    Row("--cluster-scale", ["z"], only=(*MASS, *TFCE), says={"ClusterScale": "z", "TFCEScale": "z"}),
    Row("--tfce-preset", ["surface"], only=TFCE, says={"TFCEExtentPower": 1.0}),
    Row("--tfce-steps", ["20"], only=TFCE, says={"TFCE": "20 steps of each maximum"}),
    Row("--tail-approximation", ["gamma"], only=("logp max*", *FOUND), says={"TailApproximation": "gamma"}),
    Row("--stop-when-decided", [], MANY, only=SHUFFLED, says={"StopWhenDecided": True}),
    # The table of the null is of each contrast, the p of all.
    Row("--across-contrasts", [], ONE_SAMPLE, only=("logp max*", *FOUND)),
]

RUN = {"--noise-model": ["ols"]}
COLOURED = {"--noise-model": ["ar2"]}
BASIS = {"--hrf-model": ["spm+derivative"], "--run-label": ["1"]}
OF_RUN = ("run contrasts", "run design", "run mask *", "mask *")
RUN_ROWS = [
    Row("--noise-model", ["auto"], kept=(*OF_RUN, "run tsnr")),
    # Each run has a scale of its own, so the runs of a subject get other weights; their own t is as it was.
    Row(
        "--scaling",
        ["none"],
        only=("*effect", "*variance", "run sigmasquared", "t", "F", "z", "p", "dof"),
    ),
    Row("--smoothing-fwhm", ["24"], kept=OF_RUN),
    Row("--noise-smoothing-fwhm", ["40"], COLOURED, kept=(*OF_RUN, "run tsnr")),
    # Two runs of the same degrees of freedom have the same together, with any weights: these have others.
    Row("--fixed-effects", ["equal"], COLOURED, only=("effect", "variance", "t", "F", "z", "p", "dof")),
    Row("--derivative-boost", [], BASIS, only=tuple(f"{w}{k}" for w in ("", "run ") for k in VOXELWISE[:5])),
    Row("--residuals", [], only=("+run bold residuals",)),
]
# Nothing of a result depends on these; the last two are accepted for compatibility.
HOW_TO_RUN = {
    "--work-dir": ["{work}"],
    "--n-cpus": ["2"],
    "--mem-gb": ["2"],
    "--skip-bids-validation": [],
    "--notrack": [],
}

SELECT = {"--res": ["2"]}
# Of these the aspects of the plan differ; ``{choices}`` is a dataset in which everything can be chosen.
PLAN_ROWS = [
    Row("--participant-label", ["02"], only=("sub",), says={"sub": {"02"}}),
    Row("--exclude-participant-label", ["01"], only=("sub",), says={"sub": {"02"}}),
    Row("--session-label", ["b"], only=("ses",), says={"ses": {"b"}}),
    Row("--task-label", ["y"], only=("task",), says={"task": {"y"}}),
    Row("--run-label", ["1"], only=("run", "skipped", "dof"), says={"run": {"1"}}),
    Row("--space", ["T1w"], only=("space",), says={"space": {"T1w"}}),
    Row("--res", ["1"], only=("res",), says={"res": {"1"}}),
    Row("--bids-filter-file", ["{choices}/filter.json"], only=("run", "skipped", "dof"), says={"run": {"1"}}),
    Row("--bids-database-dir", ["{work}/database"], only=()),
    Row("--derivatives", ["{choices}/elsewhere"], only=("sub", "skipped", "dof"), says={"sub": {"01"}}),
    Row("--model", ["{choices}/model.json"], only=("columns", "contrasts", "dof", "skipped")),
    Row("--contrast", ["mean=(go + stop) / 2"], only=("contrasts", "skipped")),
    Row("--confounds", ["motion12"], only=("columns", "dof")),
    Row("--high-pass", ["60"], only=("columns", "dof")),
    Row("--hrf-model", ["spm+derivative"], only=("columns", "dof")),
    Row(
        "--invalid-contrasts",
        ["drop"],
        {"--model": ["{choices}/invalid.json"]},
        needed=True,
        only=("*",),
        says={"contrasts": {"motion"}},
    ),
    # What is of one condition alone is not made where it is missing, whatever it counts as.
    Row("--missing-condition", ["zero"], only=("skipped",), says={"skipped": {"stop"}}),
]

# What the rows above leave out: other quantities, and other words of sidecars.
FEW = {"--n-permutations": ["32"], "--statistics": ["height"]}
FURTHER_GROUPS = [
    *(ONE | ONE_SAMPLE | FEW | {"--group-estimator": [name]} for name in ("flame1", "fixed")),
    TWO_SAMPLE | FEW | {"--group-estimator": ["sandwich"]},
    ONE | ONE_SAMPLE | {"--group-estimator": ["huber"], "--cluster-scale": ["z"]},
    ONE | ONE_SAMPLE | {"--group-estimator": ["dl"], "--tail": ["negative"], "--n-permutations": ["0"]},
    TWO_SAMPLE | {"--variance-groups": ["group"], "--group-estimator": ["reml"]},
    ONE | {"--group-design": ["anova", "family"], "--n-permutations": ["32"]},
    MANY | {"--n-permutations": ["100"], "--across-contrasts": []},
    {"--estimates": ["{one}/../moved"], "--resample": []} | ONE_SAMPLE | {"--n-permutations": ["0"]},
]
FURTHER_RUNS = [
    {"--model": ["{model}"]},
    {"--residuals": [], "--scaling": ["none"]},
]
