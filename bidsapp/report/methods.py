"""The methods text, made from the records: exact numbers, conventions, versions, citations.

A text is a list of paragraphs. ``[@key]`` cites a work of ``references``; several: ``[@a; @b]``.
"""

import re
from itertools import groupby

from bidsapp.report.drawing.scale import short

BUILDS_ON = {
    "nilearn": "abraham2014",
    "numpy": "harris2020",
    "scipy": "virtanen2020",
    "pybids": "yarkoni2019",
}
CITED = {
    "fdrBH": "benjamini1995",
    "fdrBKY": "benjamini2006",
    "holm": "holm1979",
    "maxT": "nichols2002",
    "maxSize": "nichols2002",
    "maxMass": "nichols2002",
    "maxTFCE": "smith2009",
    "rftPeak": "worsley1996",
    "rftSize": "friston1994",
    "ari": "rosenblatt2018",
}
NOISE = {
    "ols": "Serial correlation was not modelled (ordinary least squares).",
    "ar1": (
        "Serial correlation was modelled in every voxel as a first-order autoregressive process "
        "and removed by prewhitening [@worsley2002]."
    ),
    "ar1-reml": (
        "Serial correlation was modelled in every voxel as a first-order autoregressive process, its "
        "coefficient estimated by restricted maximum likelihood, and removed by prewhitening [@worsley2002]."
    ),
    **{
        f"ar{order}": (
            f"Serial correlation was modelled in every voxel as an autoregressive process of order {order}, "
            "its coefficients corrected for bias, and removed by prewhitening [@worsley2002]."
        )
        for order in range(2, 7)
    },
}
PERCENT = (
    "Effects are in percent of each voxel's mean signal, for a regressor of height 1: responses have an area "
    "of 1, so that is the change that a long event would end in, not the peak of a short one."
)
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
TOUCHING = {6: "share a face", 18: "share a face or an edge", 26: "touch (faces, edges or corners)"}
STOPPED = "Shuffling stopped once more shuffles would hardly have changed a decision."
APPROXIMATED = {
    "gpd": "p-values below 0.1 are from a generalised Pareto distribution fitted to the tail of each null.",
    "gamma": "p-values are from a gamma distribution fitted to each null.",
}
TAILS = {"two": "two-sided", "positive": "one-sided (positive)", "negative": "one-sided (negative)"}
SCORES = (
    "The flipped values were the subjects' scores: effects times the weights that the estimator gives under "
    "the null hypothesis, which no flip changes."
)


def describe_participant(record, n_subjects=1):
    """Return the paragraphs on the run and subject level of one subject's record.

    ``n_subjects`` is their number where the record holds the runs and estimates of several.
    """
    paragraphs = [_software(record), *([_run_level(record, n_subjects)] if record["runs"] else [])]
    combined = [e for e in record["estimates"] if e["level"] != "run"]
    return [*paragraphs, _combination(combined)] if combined else paragraphs


def describe_group(record, atlases=()):
    """Return the paragraphs on a Dataset node; ``atlases`` are (title, citation) pairs."""
    inference = _inference(record)
    tables = _tables(record, atlases)
    return [_software(record), _group_model(record), *([inference] if inference else []), tables]


def count_subjects(record):
    """Return the number of subjects in a group model; a subject may have several rows in it."""
    return len({s["label"].split(" ")[0] for s in record["subjects"] if s["used"]})


def _software(record):
    versions = record["versions"]
    used = [name for name in BUILDS_ON if name in versions]
    builds = ", ".join(f"{name} {versions[name]} [@{BUILDS_ON[name]}]" for name in used)
    return (
        f"The analysis was done with TaskGLM {versions.get('taskglm', '')}, a BIDS App "
        f"[@gorgolewski2016bids; @gorgolewski2017apps] in Python {versions.get('python', '')}"
        f"{' that builds on ' + builds if builds else ''}."
    )


def _run_level(record, n_subjects):
    settings, runs = record["settings"], record["runs"]
    options, model = settings.get("run", {}), settings.get("model", {})
    fwhm = options.get("noise_smoothing_fwhm") or 0
    volumes, interval = _span(run["n_volumes"] for run in runs), _span(run["repetition_time"] for run in runs)
    sources = sorted({f"{short(run['start_time'])} s ({run['start_time_source']})" for run in runs})
    n_confounds = _span(len(run["confounds"]) for run in runs)
    noise = sorted({run["noise_model"] for run in runs})
    whose = f" of {n_subjects} subjects" if n_subjects > 1 else ""
    sentences = [
        _smoothing(options.get("smoothing_fwhm") or 0),
        f"Each of the {len(runs)} runs{whose} ({volumes} volumes, repetition time {interval} s) was fitted "
        "by a general linear model.",
        _regressors(record),
        f"Regressors were sampled at k × TR + {' or '.join(sources)} for volume k, counted from 0.",
        f"{n_confounds} confound regressors entered the design of each run: {_listing(runs)}.",
        _censoring(runs, model),
        *(NOISE.get(name, f"The noise model was {name}.") for name in noise),
        f"Its coefficients were smoothed with {short(fwhm)} mm within the mask." if fwhm else "",
        "Amplitudes joined each response with its derivatives (derivative boost)."
        if options.get("derivative_boost")
        else "",
        PERCENT if options.get("scaling") == "percent" else "",
    ]
    return " ".join(filter(None, sentences))


def _censoring(runs, model):
    """Return how many volumes were censored; a strategy that censors is named even where it found none."""
    n_censored = sum(len(run.get("censored", ())) for run in runs)
    strategy = model.get("confounds") or ""
    if not n_censored and "scrub" not in strategy:
        return ""
    n_volumes = sum(run["n_volumes"] for run in runs)
    by = f" by the strategy {strategy}" if "scrub" in strategy else ""
    return f"{n_censored} of {n_volumes} volumes were censored{by}, each with a regressor of its own."


def _smoothing(fwhm):
    if not fwhm:
        return "The images were not smoothed."
    return (
        f"The images were smoothed with a Gaussian kernel of {short(fwhm)} mm (full width at half maximum)."
    )


def _regressors(record):
    model, source = record["settings"].get("model", {}), record["model"]
    if not source.get("automatic"):
        return f"The regressors are those of the BIDS Stats Model {source['name']} ({source['path']})."
    period = model.get("high_pass") or 0
    drift = f"cosines down to a period of {short(period)} s modelled slow drifts"
    hrf = model.get("hrf_model", "spm")
    cite = " [@friston1998]" if hrf.startswith("spm") else ""
    return (
        f"There was one regressor a condition, convolved with the {hrf} haemodynamic response function"
        f"{cite}; {drift if period else 'slow drifts were not modelled'}."
    )


def _listing(runs):
    names = list(dict.fromkeys(name for run in runs for name in run["confounds"]))
    return ", ".join(names) if names else "none"


def _combination(combined):
    methods = sorted({e["method"] for e in combined})
    n_runs = _span(len(e["runs"]) for e in combined)
    listed = "; ".join(COMBINED.get(method, method) for method in methods)
    return f"The estimates of the runs of a subject ({n_runs} runs) were combined: {listed}."


def _group_model(record):
    used = count_subjects(record)
    left = [f"{s['label']} ({s['reason']})" for s in record["subjects"] if not s["used"]]
    size = " × ".join(short(v) for v in record["voxel_size_mm"])
    fwhm = record["settings"].get("group", {}).get("group_smoothing_fwhm") or 0
    smoothed = f" after smoothing with {short(fwhm)} mm (full width at half maximum)" if fwhm else ""
    sentences = [
        record["description"],
        f"The model ({record.get('formula') or record['node']}) was fitted by {record['estimator']} in "
        f"{record['n_voxels']} voxels of {size} mm to the effects of {used} subjects{smoothed}.",
        _subjects_of_contrasts(record),
        _coverage(record["settings"].get("group", {}).get("min_subjects", "all")),
        f"{len(left)} left out: {'; '.join(left)}." if left else "",
        "Standardised effects are Hedges' g [@hedges1981]."
        if any("g" in c["maps"] for c in record["contrasts"])
        else "",
    ]
    return " ".join(filter(None, sentences))


def _subjects_of_contrasts(record):
    sizes = sorted({contrast["n_subjects"] for contrast in record["contrasts"]})
    if len(sizes) < 2:
        return ""
    fewer = [f"{c['name']} {c['n_subjects']}" for c in record["contrasts"] if c["n_subjects"] < sizes[-1]]
    return f"Fewer subjects have these contrasts: {', '.join(fewer)}."


def _coverage(needed):
    if needed == "all":
        return "Voxels with data of all subjects of a contrast were analysed."
    share = f"{needed} subjects" if float(needed) >= 1 else f"a share of {needed} of the subjects"
    return (
        f"Voxels with data of at least {share} of a contrast were analysed, each with the subjects that it "
        "has; shuffling needs data of all."
    )


def _inference(record):
    contrasts = [c for c in record["contrasts"] if any(not t["reason"] for t in c["thresholds"])]
    if not contrasts:
        return None
    ordered = sorted(contrasts, key=lambda contrast: contrast["test"] != "t")
    rules = {}
    for rule in (t for c in ordered for t in c["thresholds"] if not t["reason"]):
        rules.setdefault(rule["method"], rule)
    tests = {contrast["test"] for contrast in contrasts}
    tails = list(dict.fromkeys(TAILS[rule["tail"]] for rule in rules.values())) if tests - {"F"} else []
    tails += ["of F the upper tail"] if "F" in tests else []
    listed = "; ".join(_rule(method, rule) for method, rule in rules.items())
    shuffling = _shuffling(contrasts, record["settings"].get("permutation", {}))
    return f"Tests were {', '.join(tails)}. Thresholds: {listed}. {shuffling}".strip()


def _shuffling(contrasts, options):
    """Return how the nulls came about, for which contrasts, and the conventions behind them."""
    done = [c for c in contrasts if c.get("permutation")]
    if not done:
        return ""
    named = sorted((_permutation(c["permutation"]), c["name"]) for c in done)
    groups = [(how, [name for _, name in some]) for how, some in groupby(named, key=lambda pair: pair[0])]
    left = [c["name"] for c in contrasts if not c.get("permutation") and c["test"] != "z"]
    named = len(groups) > 1 or left
    nulls = "; ".join(f"{how} ({', '.join(names)})" if named else how for how, names in groups)
    sentences = [
        f"Null distributions came from {nulls}, the observed data among them [@nichols2002; @winkler2014].",
        f"Not shuffled: {', '.join(left)}." if left else "",
        SCORES if any("scores" in c["permutation"].get("statistic", "") for c in done) else "",
        APPROXIMATED.get(options.get("tail_approximation"), ""),
        STOPPED if options.get("stop_when_decided") else "",
        _mass_and_enhancement(options),
        _across(contrasts, options),
    ]
    return " ".join(filter(None, sentences))


def _mass_and_enhancement(options):
    mass = "whole statistic" if options.get("cluster_mass") == "raw" else "statistic above the threshold"
    powers = "extent 1 and height 2" if options.get("tfce_preset") == "surface" else "extent 0.5 and height 2"
    scale = "z" if options.get("cluster_scale") == "z" else "t (other statistics as z)"
    return (
        f"The mass of a cluster is the sum of the {mass}; threshold-free cluster enhancement has the powers "
        f"{powers} and 6 neighbours; both are of {scale}."
    )


def _across(contrasts, options):
    if options.get("across_contrasts") or len(contrasts) < 2:
        return "Family-wise errors by shuffling are over all contrasts together." * (len(contrasts) > 1)
    return f"Thresholds are for one contrast each; that there are {len(contrasts)} is not corrected for."


def _rule(method, rule):
    cite = f" [@{CITED[method]}]" if method in CITED else ""
    # Contrasts may have different numbers of voxels.
    title = re.sub(r"over \d+ points", "over the voxels tested", rule["title"])
    alpha = "" if str(rule["alpha"]) in title else f" (α = {rule['alpha']})"
    return f"{title}{alpha}{cite}"


def _permutation(permutation):
    number, scheme = permutation["n_shuffles"], SCHEMES.get(permutation["scheme"], permutation["scheme"])
    every, drawn = f"all {number} possible {scheme}", f"{number} randomly drawn {scheme}"
    return every if permutation["exact"] else f"{drawn} (seed {permutation['seed']})"


def _tables(record, atlases):
    named = "; ".join(f"{title} ({citation})" for title, citation in atlases)
    labels = f" Anatomical labels are from {named}." if named else ""
    connectivity = record["settings"].get("permutation", {}).get("connectivity", 26)
    return (
        f"Clusters are sets of surviving voxels of one sign that {TOUCHING[connectivity]}, numbered by "
        "size; peaks are local extremes at least 8 mm apart. Coordinates are in mm of the space "
        f"{record['entities'].get('space', 'of the images')}.{labels}"
    )


def _span(values):
    values = sorted(set(values))
    return short(values[0]) if len(values) == 1 else f"{short(values[0])} to {short(values[-1])}"
