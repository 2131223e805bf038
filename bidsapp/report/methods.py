"""The methods text, made from the records: exact numbers, conventions, versions, citations.

A text is a list of paragraphs. ``[@key]`` cites a work of ``references``; several: ``[@a; @b]``.
"""

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
SCHEMES = {"sign-flip": "sign flips", "permutation": "permutations", "both": "permutations with sign flips"}
TAILS = {"two": "two-sided", "positive": "one-sided (positive)", "negative": "one-sided (negative)"}
SCORES = (
    " The flipped values were the subjects' scores: effects times the weights that the estimator gives under "
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
    volumes, interval = _span(run["n_volumes"] for run in runs), _span(run["repetition_time"] for run in runs)
    sources = sorted({f"{short(run['start_time'])} s ({run['start_time_source']})" for run in runs})
    n_confounds = _span(len(run["confounds"]) for run in runs)
    noise = sorted({run["noise_model"] for run in runs})
    whose = f" of {n_subjects} subjects" if n_subjects > 1 else ""
    sentences = [
        _smoothing(options.get("smoothing_fwhm") or 0),
        f"Each of the {len(runs)} runs{whose} ({volumes} volumes, repetition time {interval} s) was fitted "
        "by a general linear model.",
        _regressors(model) if record["model"].get("automatic") else "",
        f"Regressors were sampled at k × TR + {' or '.join(sources)} for volume k, counted from 0.",
        f"{n_confounds} confound regressors entered the design of each run: {_listing(runs)}.",
        *(NOISE.get(name, f"The noise model was {name}.") for name in noise),
        "Effects are in percent of each voxel's mean signal." if options.get("scaling") == "percent" else "",
    ]
    return " ".join(filter(None, sentences))


def _smoothing(fwhm):
    if not fwhm:
        return "The images were not smoothed."
    return (
        f"The images were smoothed with a Gaussian kernel of {short(fwhm)} mm (full width at half maximum)."
    )


def _regressors(model):
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
    methods = ", ".join(sorted({e["method"] for e in combined}))
    n_runs = _span(len(e["runs"]) for e in combined)
    return (
        f"The estimates of the runs of a subject were combined ({methods}; "
        f"{n_runs} runs): fixed effects weight each run by the inverse of its sampling "
        "variance and use its real degrees of freedom; the estimate of a single run was taken as it is."
    )


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
        f"{len(left)} left out: {'; '.join(left)}." if left else "",
        "Standardised effects are Hedges' g [@hedges1981]."
        if any("g" in c["maps"] for c in record["contrasts"])
        else "",
    ]
    return " ".join(filter(None, sentences))


def _inference(record):
    contrasts = [c for c in record["contrasts"] if c["thresholds"]]
    if not contrasts:
        return None
    rules = {t["method"]: t for c in contrasts for t in c["thresholds"]}
    tails = " and ".join(dict.fromkeys(TAILS[rule["tail"]] for rule in rules.values()))
    listed = "; ".join(_rule(method, rule) for method, rule in rules.items())
    permutation = next((c["permutation"] for c in contrasts if c.get("permutation")), None)
    shuffles = f" {_permutation(permutation)}" if permutation else ""
    return f"Tests were {tails}. Thresholds: {listed}.{shuffles}"


def _rule(method, rule):
    cite = f" [@{CITED[method]}]" if method in CITED else ""
    forming = (
        f"clusters formed at {rule['statistic']} = {short(rule['forming'])}" if rule.get("forming") else ""
    )
    alpha = "" if str(rule["alpha"]) in rule["title"] else f"α = {rule['alpha']}"
    details = ", ".join(filter(None, [alpha, forming]))
    return f"{rule['title']}{f' ({details})' if details else ''}{cite}"


def _permutation(permutation):
    number, scheme = permutation["n_shuffles"], SCHEMES.get(permutation["scheme"], permutation["scheme"])
    every, drawn = f"all {number} possible {scheme}", f"{number} randomly drawn {scheme}"
    shuffles = every if permutation["exact"] else f"{drawn} (seed {permutation['seed']})"
    what = SCORES if "scores" in permutation.get("statistic", "") else ""
    return (
        f"Null distributions came from {shuffles}, the observed data among them [@nichols2002; @winkler2014]."
        f"{what}"
    )


def _tables(record, atlases):
    named = "; ".join(f"{title} ({citation})" for title, citation in atlases)
    labels = f" Anatomical labels are from {named}." if named else ""
    return (
        "Clusters are sets of surviving voxels of one sign that touch (faces, edges or corners), numbered by "
        "size; peaks are local extremes at least 8 mm apart. Coordinates are in mm of the space "
        f"{record['entities'].get('space', 'of the images')}.{labels}"
    )


def _span(values):
    values = sorted(set(values))
    return short(values[0]) if len(values) == 1 else f"{short(values[0])} to {short(values[-1])}"
