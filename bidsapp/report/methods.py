"""The methods text, made from the records: exact numbers, conventions, versions, citations.

A text is a list of paragraphs, a paragraph the sentences of a tuple of functions, each of which takes a
record and returns "" where it has nothing to say. ``[@key]`` cites a work of ``references``;
several: ``[@a; @b]``.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import PurePath
from typing import Any, TypeAlias

from bidsapp.outputs.saved.group import (
    GroupContrastRecord,
    GroupRecord,
    PermutationRecord,
    ThresholdRecord,
)
from bidsapp.outputs.saved.participant import RunRecord, SubjectRecord
from bidsapp.records.maps import OTHER_STATISTICS, SCORE_T
from bidsapp.report.drawing.scale import short
from bidsapp.report.noise_text import say_noise, say_noise_smoothing
from bidsapp.report.numbers import count
from bidsapp.vocabulary.estimators import ESTIMATORS
from bidsapp.vocabulary.statistics import STATISTICS
from bidsapp.vocabulary.thresholds import THRESHOLDS, words_of_tail

PERCENT = (
    "Effects are in percent of each voxel's mean signal, for a regressor of height 1: responses have an area "
    "of 1, so that is the change that a long event would end in, not the peak of a short one."
)
SCALING = {"percent": PERCENT, "none": "Effects are in the units of the images."}
MODES = {"within": " within {}", "whole": " of whole {}"}
SCHEMES = {"sign-flip": "sign flips", "permutation": "permutations", "both": "permutations with sign flips"}
COMBINED = {
    "fixed effects": (
        "fixed effects, each run weighted by the inverse of its sampling variance, with Satterthwaite's "
        "degrees of freedom"
    ),
    "fixed effects, equal weights": (
        "fixed effects, all runs weighted alike, with Satterthwaite's degrees of freedom"
    ),
    "ordinary least squares": "ordinary least squares over the runs, whose own variances were not used",
    "passed through": "the estimate of a single run was taken as it is",
}
# By what a method's name holds, what was fitted in place of the voxels.
REGIONS = {
    "of the mean of each region": " to the mean series of each region",
    "of the first component of each region": " to the first principal component of each region",
}
TOUCHING = {6: "share a face", 18: "share a face or an edge", 26: "touch (faces, edges or corners)"}
STOPPED = "Shuffling stopped once more shuffles would hardly have changed a decision."
MASS = {"excess": "statistic above the threshold", "raw": "whole statistic"}
POWERS = {"volume": "extent 0.5 and height 2", "surface": "extent 1 and height 2"}
APPROXIMATED = {
    "none": "",
    "gpd": "p-values below 0.1 are from a generalised Pareto distribution fitted to the tail of each null.",
    "gamma": "p-values are from a gamma distribution fitted to each null.",
}
OTHERS = sorted(OTHER_STATISTICS - {SCORE_T})
SCORES = (
    "The flipped values were the subjects' scores: effects times the weights that the estimator gives under "
    "the null hypothesis, which no flip changes."
)

Sentence: TypeAlias = Callable[[Any], str]


def describe_participant(record: SubjectRecord) -> list[str]:
    """Return the paragraphs on the run and subject level of a record; it may hold the runs of several."""
    return _paragraphs([SOFTWARE, RUN_LEVEL if record.runs else (), COMBINATION], record)


def describe_group(record: GroupRecord, atlases: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Return the paragraphs on a Dataset node; ``atlases`` are (title, citation) pairs."""
    tables = (*TABLES, lambda _: say_labels(atlases))
    return _paragraphs([SOFTWARE, GROUP_MODEL, INFERENCE, tables], record)


def _paragraphs(parts: Iterable[Sequence[Sentence]], record: SubjectRecord | GroupRecord) -> list[str]:
    texts = (" ".join(filter(None, (say(record) for say in part))) for part in parts)
    return [text for text in texts if text]


def say_software(record: SubjectRecord | GroupRecord) -> str:
    """Say which programs made the results."""
    versions = record.versions
    used = {"numpy": "harris2020", "scipy": "virtanen2020"}
    used |= {"pybids": "yarkoni2019"} if isinstance(record, SubjectRecord) and record.runs else {}
    builds = ", ".join(f"{name} {versions[name]} [@{key}]" for name, key in used.items() if name in versions)
    return (
        f"The analysis was done with TaskGLM {versions.get('taskglm', '')}, a BIDS App "
        f"[@gorgolewski2016bids; @gorgolewski2017apps] in Python {versions.get('python', '')}"
        f"{' that builds on ' + builds if builds else ''}."
    )


def say_smoothing(record: SubjectRecord) -> str:
    """Say how the images of the runs were smoothed."""
    kernel = _kernel(record.choices.run.smoothing_fwhm)
    return f"The images were smoothed with {kernel}." if kernel else "The images were not smoothed."


def say_runs(record: SubjectRecord) -> str:
    """Say what was fitted."""
    runs = record.runs
    n_subjects = len({run.entities.get("sub") for run in runs})
    volumes, interval = _span(run.n_volumes for run in runs), _span(run.repetition_time for run in runs)
    whose = f" of {n_subjects} subjects" if n_subjects > 1 else ""
    methods = {e.method for e in record.estimates}
    region = next((words for mark, words in REGIONS.items() if any(mark in method for method in methods)), "")
    return (
        f"Each of the {len(runs)} runs{whose} ({volumes} volumes, repetition time {interval} s) was fitted "
        f"by a general linear model{region}."
    )


def say_regressors(record: SubjectRecord) -> str:
    """Say where the regressors and the drifts came from."""
    model, source = record.choices.model, record.model
    if not source.automatic:
        return f"The regressors are those of the BIDS Stats Model {source.name} ({source.path})."
    drift = f"cosines down to a period of {short(model.high_pass)} s modelled slow drifts"
    cite = " [@friston1998]" if model.hrf_model.startswith("spm") else ""
    return (
        f"There was one regressor a condition, convolved with the {model.hrf_model} haemodynamic response "
        f"function{cite}; {drift if model.high_pass else 'slow drifts were not modelled'}."
    )


def say_times(record: SubjectRecord) -> str:
    """Say when the regressors were sampled."""
    runs = record.runs
    sources = sorted({f"{short(run.start_time)} s ({run.start_time_source})" for run in runs})
    return f"Regressors were sampled at k × TR + {' or '.join(sources)} for volume k, counted from 0."


def say_confounds(record: SubjectRecord) -> str:
    """Say which confounds entered."""
    n_confounds = _span(len(run.confounds) for run in record.runs)
    return f"{n_confounds} confound regressors entered the design of each run: {_listing(record.runs)}."


def say_censoring(record: SubjectRecord) -> str:
    """Say how many volumes were censored; a strategy that censors is named even where it found none."""
    runs, strategy = record.runs, record.choices.model.confounds
    n_censored = sum(len(run.censored) for run in runs)
    censors = "scrub" in strategy and record.model.automatic
    if not n_censored and not censors:
        return ""
    n_volumes = sum(run.n_volumes for run in runs)
    by = f" by the strategy {strategy}" if censors else ""
    return f"{n_censored} of {n_volumes} volumes were censored{by}, each with a regressor of its own."


def say_boost(record: SubjectRecord) -> str:
    """Say that amplitudes count derivatives in; an automatic model may have none to count."""
    chosen = record.choices
    has_none = record.model.automatic and "derivative" not in chosen.model.hrf_model
    if has_none or not chosen.run.derivative_boost:
        return ""
    return "Amplitudes joined each response with its derivatives (derivative boost)."


def say_scaling(record: SubjectRecord) -> str:
    """Say the unit of the effects."""
    return SCALING[record.choices.run.scaling]


def say_combination(record: SubjectRecord) -> str:
    """Say how the runs of a subject were combined."""
    combined = [e for e in record.estimates if e.level != "run"]
    if not combined:
        return ""
    methods = sorted({e.method for e in combined})
    n_runs = _span(len(e.runs) for e in combined)
    listed = "; ".join(COMBINED.get(method, method) for method in methods)
    return f"The estimates of the runs of a subject ({n_runs} runs) were combined: {listed}."


def say_group_model(record: GroupRecord) -> str:
    """Say the model, its estimator and its data."""
    size = " × ".join(short(v) for v in record.voxel_size_mm)
    return (
        f"{record.description} The model ({record.formula or record.node}) was fitted by "
        f"{_estimator(record)} in {record.n_voxels:,} voxels of {size} mm to the effects of "
        f"{count(record.n_subjects, 'subject')}."
    )


def say_group_smoothing(record: GroupRecord) -> str:
    """Say how maps were smoothed before the group model."""
    kernel = _kernel(record.choices.group.group_smoothing_fwhm)
    return f"Before, the subjects' maps were smoothed with {kernel}." if kernel else ""


def say_inputs(record: GroupRecord) -> str:
    """Say what the subjects' maps were made with, as their sidecars have it."""
    facts = "; ".join(f"{words} {value}" for words, value in (record.made_with or {}).items())
    return f"The subjects' maps were made with {facts}." if facts else ""


def say_fewer_subjects(record: GroupRecord) -> str:
    """Say which contrasts have fewer subjects than the others."""
    sizes = sorted({contrast.n_subjects for contrast in record.contrasts})
    if len(sizes) < 2:
        return ""
    fewer = [f"{c.name} {c.n_subjects}" for c in record.contrasts if c.n_subjects < sizes[-1]]
    return f"Fewer subjects have these contrasts: {', '.join(fewer)}."


def say_coverage(record: GroupRecord) -> str:
    """Say which voxels were analysed."""
    needed = record.choices.group.min_subjects
    if needed == "all":
        return "Voxels with data of all subjects of a contrast were analysed."
    share = f"{needed} subjects" if float(needed) >= 1 else f"a share of {needed} of the subjects"
    incomplete = any(c.permutation.incomplete_voxels for c in record.contrasts if c.permutation)
    return (
        f"Voxels with data of at least {share} of a contrast were analysed, each with the subjects that it "
        f"has{', in shuffles too' * incomplete}."
    )


def say_mask(record: GroupRecord) -> str:
    """Say what the search was confined to."""
    mask = record.choices.group.mask
    if mask == "grey-matter":
        return "They were confined to grey matter (MNI152 template of nilearn above 0.2 [@abraham2014])."
    return f"They were confined to the mask {PurePath(mask).name}." if mask else ""


def say_left_out(record: GroupRecord) -> str:
    """Say who was left out, and why."""
    left = [f"{s.label} ({s.reason})" for s in record.subjects if not s.used]
    return f"{len(left)} left out: {'; '.join(left)}." if left else ""


def say_effect_sizes(record: GroupRecord) -> str:
    """Say what standardised effects are, where there are any."""
    found = any("g" in contrast.maps for contrast in record.contrasts)
    return "Standardised effects are Hedges' g [@hedges1981]." if found else ""


def say_tests(record: GroupRecord) -> str:
    """Say the alternative hypotheses, of which contrasts where they differ."""
    kinds: dict[str, list[str]] = {}
    for one in _tested(record):
        tail = words_of_tail(one.test, one.thresholds[0].tail)
        kinds.setdefault(f"of {one.test}, {tail}", []).append(one.name)
    said = [f"{kind} ({', '.join(names)})" if len(kinds) > 1 else kind for kind, names in kinds.items()]
    return f"Tests were {'; '.join(said)}." if said else ""


def say_conjunctions(record: GroupRecord) -> str:
    """Say which contrasts are conjunctions, and of what."""
    named = [f"{c.name} ({c.group_contrast})" for c in record.contrasts if c.test == "z"]
    return f"Conjunctions are by the minimum statistic [@nichols2005]: {', '.join(named)}." if named else ""


def say_main_threshold(record: GroupRecord) -> str:
    """Say which threshold the results go by, and whether it was declared."""
    chosen: dict[str, list[str]] = {}
    for contrast in record.contrasts:
        rule = contrast.main
        if contrast.main_threshold and rule:
            failed = f", not computed ({rule.reason})" if rule.reason else ""
            words = f"{_rule(rule)}{failed} ({contrast.main_threshold.words})"
            chosen.setdefault(words, []).append(contrast.name)
    named = [
        f"for {', '.join(names)} {words}" if len(chosen) > 1 else words for words, names in chosen.items()
    ]
    return f"The main threshold was {'; '.join(named)}." if named else ""


def say_thresholds(record: GroupRecord) -> str:
    """Say all thresholds that were computed."""
    listed = "; ".join(_rule(rule) for rule in _rules(record).values())
    return f"Thresholds: {listed}." if listed else ""


def say_nulls(record: GroupRecord) -> str:
    """Say how the null distributions came about, for which contrasts."""
    done = _shuffled(record)
    if not done:
        return ""
    named = sorted((_permutation(permutation, record), name) for name, permutation in done)
    groups = [(how, [name for _, name in some]) for how, some in groupby(named, key=lambda pair: pair[0])]
    is_named = len(groups) > 1 or say_not_shuffled(record)
    nulls = "; ".join(f"{how} ({', '.join(names)})" if is_named else how for how, names in groups)
    return f"Null distributions came from {nulls}, the observed data among them [@nichols2002; @winkler2014]."


def say_not_shuffled(record: GroupRecord) -> str:
    """Say which contrasts were not shuffled, where others were."""
    left = [c.name for c in _tested(record) if not c.permutation and c.test != "z"]
    return f"Not shuffled: {', '.join(left)}." if left and _shuffled(record) else ""


def say_scores(record: GroupRecord) -> str:
    """Say what was shuffled where it is not the statistic of the maps."""
    names: dict[str | None, list[str]] = {}
    for name, permutation in _shuffled(record):
        names.setdefault(permutation.statistic, []).append(name)
    said = [f"The shuffled statistic of {', '.join(names[s])} was {s}." for s in OTHERS if s in names]
    return " ".join([SCORES] * (SCORE_T in names) + said)


def say_approximation(record: GroupRecord) -> str:
    """Say that p is from a fitted curve."""
    return APPROXIMATED[record.choices.permutation.tail_approximation] if _shuffled(record) else ""


def say_stopping(record: GroupRecord) -> str:
    """Say that shuffling stopped early."""
    options = record.choices.permutation
    asked = options.n_permutations if options.stop_when_decided else 0
    return STOPPED if any(one.n_shuffles < asked and not one.exact for _, one in _shuffled(record)) else ""


def say_statistics(record: GroupRecord) -> str:
    """Say the conventions of the statistics of the map, of those that have some."""
    options, rules = record.choices.permutation, _rules(record)
    steps = options.tfce_steps
    fields = {
        "mass": MASS[options.cluster_mass],
        "powers": POWERS[options.tfce_preset],
        "by": f"summed over {steps} steps of each map's maximum" if steps else "as the exact integral",
    }
    used = [row.says for row in STATISTICS.values() if row.says and row.threshold in rules]
    return " ".join(says.format(**fields, scale=_scale(record)) for says in used)


def say_family(record: GroupRecord) -> str:
    """Say over how many contrasts errors are controlled."""
    tested, shuffled = _tested(record), _shuffled(record)
    contrasts = [c for c in tested if not c.descriptive]
    if len(tested) < 2:
        return ""
    families = dict.fromkeys(permutation.family for _, permutation in shuffled)
    said = [family for family in families if family[:1].isdigit()]
    if said:
        return f"Family-wise errors by shuffling are over {'; '.join(said)}. {_alone(tested)}".strip()
    if record.choices.permutation.across_contrasts and shuffled:
        return "Family-wise errors by shuffling are over all contrasts together."
    each = "Thresholds are for one contrast each"
    several = f"; that there are {len(contrasts)} is not corrected for" if len(contrasts) > 1 else ""
    return f"{each}{several}. {describe_means(tested)}".strip()


def _alone(contrasts: Iterable[GroupContrastRecord]) -> str:
    """Return which contrasts are in no family, and that means of groups are descriptive."""
    out = [c for c in contrasts if not (c.permutation and c.permutation.family[:1].isdigit())]
    named = ", ".join(c.name for c in out)
    words = f"Not in it, and for one contrast each: {named}." if out else ""
    return f"{words} {describe_means(out)}".strip()


def describe_means(contrasts: Iterable[GroupContrastRecord]) -> str:
    """Say which contrasts are means of groups, which count as no hypothesis."""
    means = ", ".join(c.name for c in contrasts if c.descriptive)
    return f"Means of groups are descriptive and not counted: {means}." if means else ""


def say_clusters(record: GroupRecord) -> str:
    """Say what clusters, peaks and coordinates of the tables are."""
    connectivity = record.choices.permutation.connectivity
    return (
        f"Clusters are sets of surviving voxels of one sign that {TOUCHING[connectivity]}, numbered by "
        "size; peaks are local extremes at least 8 mm apart. Coordinates are in mm of the space "
        f"{record.entities.get('space', 'of the images')}."
    )


def say_labels(atlases: Sequence[tuple[str, str]]) -> str:
    """Say where anatomical labels are from."""
    named = "; ".join(f"{title} ({citation})" for title, citation in atlases)
    return f"Anatomical labels are from {named}." if named else ""


# Every sentence of the text, by paragraph.
SOFTWARE = (say_software,)
RUN_LEVEL = (
    say_smoothing,
    say_runs,
    say_regressors,
    say_times,
    say_confounds,
    say_censoring,
    say_noise,
    say_noise_smoothing,
    say_boost,
    say_scaling,
)
COMBINATION = (say_combination,)
GROUP_MODEL = (
    say_group_model,
    say_inputs,
    say_group_smoothing,
    say_fewer_subjects,
    say_coverage,
    say_mask,
    say_left_out,
    say_effect_sizes,
    say_conjunctions,
)
INFERENCE = (
    say_tests,
    say_main_threshold,
    say_thresholds,
    say_nulls,
    say_not_shuffled,
    say_scores,
    say_approximation,
    say_stopping,
    say_statistics,
    say_family,
)
TABLES = (say_clusters,)


def _kernel(fwhm: float) -> str:
    """Return a smoothing in words; empty where there was none."""
    return f"a Gaussian kernel of {short(fwhm)} mm (full width at half maximum)" if fwhm else ""


def _tested(record: GroupRecord) -> list[GroupContrastRecord]:
    """Return the contrasts with any threshold that was computed."""
    return [c for c in record.contrasts if any(not t.reason for t in c.thresholds)]


def _shuffled(record: GroupRecord) -> list[tuple[str, PermutationRecord]]:
    """Return the names of the contrasts that were shuffled, and how."""
    return [(c.name, c.permutation) for c in _tested(record) if c.permutation]


def _rules(record: GroupRecord) -> dict[str, ThresholdRecord]:
    """Return method -> threshold of all that were computed, the words of t contrasts first."""
    rules: dict[str, ThresholdRecord] = {}
    for contrast in sorted(_tested(record), key=lambda contrast: contrast.test != "t"):
        for rule in contrast.thresholds:
            if not rule.reason:
                rules.setdefault(rule.method, rule)
    return rules


def _scale(record: GroupRecord) -> str:
    """Return what cluster mass and TFCE were computed on."""
    scales = {permutation.scale for _, permutation in _shuffled(record)}
    return "t (other statistics as z)" if len(scales) > 1 else scales.pop()


def _listing(runs: Iterable[RunRecord]) -> str:
    names = list(dict.fromkeys(name for run in runs for name in run.confounds))
    return ", ".join(names) if names else "none"


def _rule(rule: ThresholdRecord) -> str:
    method = rule.method
    work = THRESHOLDS[method].cites if method in THRESHOLDS else None
    cite = f" [@{work}]" if work else ""
    return f"{rule.rule}{cite}"


def _estimator(record: GroupRecord) -> str:
    """Return the estimator of a record, which may name several, with the works on it."""
    words = record.estimator
    for row in ESTIMATORS.values():
        works = "; ".join(f"@{work}" for work in row.cites)
        words = words.replace(row.words, f"{row.words} [{works}]") if works else words
    return words


def _permutation(permutation: PermutationRecord, record: GroupRecord) -> str:
    number, name = permutation.n_shuffles, permutation.scheme
    chosen = record.choices
    column, groups = chosen.permutation.exchangeability_blocks, chosen.group.variance_groups
    blocks = f"blocks ({column})" if column else f"variance groups ({groups})" if groups else "subjects"
    scheme = SCHEMES.get(name, name) + MODES.get(permutation.mode or "", "").format(blocks)
    every, drawn = f"all {number} possible {scheme}", f"{number} randomly drawn {scheme}"
    return every if permutation.exact else f"{drawn} (seed {permutation.seed})"


def _span(values: Iterable[float]) -> str:
    values = sorted(set(values))
    return short(values[0]) if len(values) == 1 else f"{short(values[0])} to {short(values[-1])}"
