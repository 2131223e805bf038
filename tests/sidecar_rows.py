"""What every field of the sidecar of a map must be, from the settings, the record and the array.

A quantity or a field without a row here is a fault.
"""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from bidsapp.inference.pvalues import TIE
from bidsapp.participant.noise_record import ORDER_RULE
from bidsapp.records.maps import LEAST_SQUARES, SCORE_T
from bidsapp.version import __version__
from bidsapp.vocabulary.noise import NOISE_MODELS
from bidsapp.vocabulary.quantities import QUANTITIES as WORDS
from bidsapp.vocabulary.statistics import STATISTICS
from bidsapp.vocabulary.thresholds import TAILS

# Variance groups of the test data in the order of their numbers.
GROUPS = ("control", "patient")
ANY, SQUARE = (-np.inf, np.inf), "(V)^2"
# Quantity -> its unit where the inputs are in V and the effect in W, and the values that it can have.
QUANTITIES = {
    "effect": ("W", ANY),
    "detectable": ("W", (0, np.inf)),
    "variance": ("(W)^2", (0, np.inf)),
    "tau2": (SQUARE, (0, np.inf)),
    "sigmasquared": (SQUARE, (0, np.inf)),
    **dict.fromkeys(("t", "z", "score", "mass", "tfce"), ("arbitrary", ANY)),
    **dict.fromkeys(("F", "cochranq", "logp"), ("arbitrary", (0, np.inf))),
    **dict.fromkeys(("p", "q", "pGG", "pcochranq"), ("probability", (0, 1))),
    **dict.fromkeys(("d", "g", "gLow", "gHigh"), ("standard deviations", ANY)),
    **dict.fromkeys(
        ("partialrsquare", "tdp", "robustweight", "epsilonGG", "rsquare"), ("fraction", (0, 1.0001))
    ),
    **dict.fromkeys(("n", "coverage", "dof"), ("count", (0, np.inf))),
    "size": ("count", ANY),
    "isquared": ("percent", (0, 100)),
    **dict.fromkeys([f"ar{order}" for order in range(1, 13)], ("arbitrary", (-2, 2))),
    "tsnr": ("arbitrary", ANY),
}
# Fields of what an automatic model goes by.
AUTOMATIC = ("Confounds", "HighPassPeriod", "HRFModel")
UNITS = {"percent": "% signal change", "none": "image units"}


def of_shuffles(name):
    return lambda c: c.contrast["permutation"][name]


def asked(part, name):
    return lambda c: getattr(getattr(c.settings, part), name)


def chosen(name, words):
    return lambda c: words[getattr(c.settings.permutation, name)]


def yes(value):
    return lambda c: value


def is_signed(c):
    return c.contrast["test"] in ("t", "z")


def is_two_sided(c):
    return c.settings.group.tail == "two" and is_signed(c)


def alternative(c):
    return TAILS[c.settings.group.tail] if is_signed(c) else "upper tail"


def tails(c):
    if not is_signed(c):
        return "upper tail"
    return "largest absolute value of both tails" if is_two_sided(c) else f"{c.settings.group.tail} tail"


def rule(c):
    """Return the threshold that a map belongs to, or None."""
    found = [
        one
        for one in c.contrast["thresholds"]
        if c.path in (one.get("surviving"), one.get("p_map"), one.get("share_map"))
    ]
    return found[0] if found else None


def correction(c):
    if c.desc.startswith("permUnc"):
        return "none"
    kinds = {"fdr": "FDR", "ari": "TDP"}
    return next((kind for start, kind in kinds.items() if c.desc.startswith(start)), "FWE")


def inference(c):
    label = c.desc.removesuffix("Pos").removesuffix("Neg")
    by_label = {row.threshold: row.inference for row in STATISTICS.values()}
    observed = {"size": "clusterSize", "mass": "clusterMass", "tfce": "tfce", "score": "voxel"}
    return by_label.get(label) or observed[c.stat]


def scale(c):
    on_t = c.contrast["permutation"]["statistic"] in ("t", SCORE_T, LEAST_SQUARES["t"])
    return "t" if on_t and c.settings.permutation.cluster_scale == "t" else "z"


def steps(c):
    n_steps = c.settings.permutation.tfce_steps
    return f"{n_steps} steps of each maximum" if n_steps else "exact integral"


def interval(c):
    """Return the limits where they may stand and hold alpha."""
    low, high = c.sidecar["ResamplingInterval"]
    counted = not of_shuffles("exact")(c)
    return [low, high] if counted and low < c.settings.group.alpha < high else None


def mode(c):
    wanted = c.settings.permutation.block_mode
    return c.sidecar["ShuffleMode"] if wanted == "auto" else wanted


def forming(c):
    found = (one["forming"] for one in c.contrast["thresholds"] if one["method"] in ("maxMass", "maxSize"))
    return next(filter(None, found))


def estimation(c):
    if c.contrast["test"] == "z":
        members = dict(words.split("=") for words in c.settings.group.conjunction)[c.contrast["name"]]
        how = "by the minimum statistic (Nichols et al. 2005), on the subjects' effects"
        return f"conjunction of {members.replace(',', ', ')} {how}"
    return f"{c.record['estimator']}, on the subjects' effects"


def n_subjects(c):
    if c.contrast and c.stat != "coverage":
        return len({one["subject"] for one in c.contrast["inputs"]})
    return len({one["label"].split(" ")[0] for one in c.record["subjects"] if one["used"]})


def input_facts(field):
    return lambda c: json.loads((c.out / str(c.input).replace(".nii.gz", ".json")).read_text())[field]


def is_corrected(c):
    return NOISE_MODELS[c.settings.run.noise_model].is_corrected


def order(c):
    """Return for how many lags a run has a map."""
    return sum(stat.startswith("ar") for stat in c.run["model_fit"])


def noise_model(c):
    """Return the noise model: of a run as it was fitted, with its order."""
    return f"ar{order(c)}-reml" if c.run and is_corrected(c) else c.settings.run.noise_model


def median_dof(c):
    """Return the median of the map of degrees of freedom, or the only ones."""
    path = c.estimate["maps"].get("dof")
    dof = c.results[path] if path else np.ravel(c.estimate["dof"])[-1]
    return float(np.nanmedian(dof))


def digest(c):
    """Return the digest of the nodes of a model file without their contrasts."""
    nodes = json.loads((c.out / c.record["model"]["path"]).read_text())["Nodes"]
    for node in nodes:
        node.pop("Contrasts", None)
        node.pop("DummyContrasts", None)
    kept = [node for node in nodes if node["Level"] != "Dataset"]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def noise_left(c):
    return c.run["noise"]["check"]["groups"]


def largest(c, group):
    expected = c.run["noise"]["check"]["autocorrelation"]
    pairs = zip(group["autocorrelation"], expected, strict=True)
    return round(max((own - other for own, other in pairs), key=abs), 4)


def warnings(c):
    same = (one for one in c.record["estimates"] if c.run and one["runs"] == [c.run["label"]])
    return (c.estimate or next(same))["warnings"]


def conditions(c):
    """Return condition -> weight of a run's contrast; of an F test the conditions of all its rows."""
    (run, *_) = c.record["runs"]
    weights = next(one for one in run["contrasts"] if one["name"] == c.estimate["contrast"])["weights"]
    rows = [weights] if isinstance(weights, dict) else weights
    return {name: value for row in rows for name, value in row.items()}


# Field -> what it must be, from the context of a map. A field that is None is left out of sidecars.
COMMON = {
    "Description": lambda c: c.meaning,
    "Units": lambda c: c.unit,
    "SkullStripped": yes(True),
    "Resolution": yes("that of the input images"),
    "SpatialReference": yes("MNI152NLin2009cAsym"),
    "TaskGLMVersion": yes(__version__),
    "DegreesOfFreedom": lambda c: (c.contrast or c.estimate)["dof"],
    "Test": lambda c: (c.contrast or c.estimate)["test"],
}
OF_RUNS = {
    "SmoothingFWHM": asked("run", "smoothing_fwhm"),
    "Scaling": asked("run", "scaling"),
    "NoiseModel": noise_model,
    "NoiseSmoothingFWHM": asked("run", "noise_smoothing_fwhm"),
    "FixedEffects": asked("run", "fixed_effects"),
    "DerivativeBoost": asked("run", "derivative_boost"),
    "Confounds": asked("model", "confounds"),
    "HighPassPeriod": asked("model", "high_pass"),
    "HRFModel": lambda c: " + ".join(c.settings.model.hrf_model.split("+")),
    "MissingCondition": asked("model", "missing_condition"),
    "ModelName": lambda c: c.record["model"]["name"],
    "ModelDigest": digest,
}
OF_SUBJECTS = {
    **OF_RUNS,
    "NodeName": lambda c: c.estimate["node"] if c.estimate else "runLevel",
    "NodeLevel": lambda c: (c.estimate["level"] if c.estimate else "run").capitalize(),
    "ContrastName": lambda c: c.estimate["contrast"],
    "AlternativeHypothesis": lambda c: "two-sided" if c.estimate["test"] == "t" else "upper tail",
    "EstimationMethod": lambda c: c.estimate["method"],
    "Runs": lambda c: c.estimate["runs"],
    "ConditionList": lambda c: list(conditions(c)),
    "Weights": lambda c: list(conditions(c).values()) if c.estimate["test"] == "t" else None,
    "Warnings": warnings,
    "NoiseOrder": order,
    "NoiseModelRequested": asked("run", "noise_model"),
    "NoiseOrderRule": lambda c: ORDER_RULE if c.settings.run.noise_model == "auto" else None,
    "DegreesOfFreedomMethod": lambda c: (
        "Satterthwaite, restricted information" if is_corrected(c) else "volumes less the rank of the design"
    ),
    "VarianceCorrection": lambda c: "Kenward-Roger, linear" if is_corrected(c) else "none",
    "ResidualDegreesOfFreedom": lambda c: c.run["dof"],
    "NoiseAtLimitShare": lambda c: c.run["noise"]["at_limit"],
    "NoiseUncertaintyShare": lambda c: c.run["noise"]["share"],
    "NoisePortmanteauOutside": lambda c: {name: one["outside"] for name, one in noise_left(c).items()},
    "NoiseAutocorrelationLeft": lambda c: {name: largest(c, one) for name, one in noise_left(c).items()},
    "DegreesOfFreedomMedian": median_dof,
}
# Of the maps of one run only.
OF_NOISE = tuple(OF_SUBJECTS)[tuple(OF_SUBJECTS).index("NoiseOrder") :]
OF_GROUPS = {
    **{field: input_facts(field) for field in OF_RUNS},
    "NodeName": lambda c: c.record["node"],
    "NodeLevel": yes("Dataset"),
    "ContrastName": lambda c: c.contrast["name"],
    "InputContrast": lambda c: c.contrast["input_contrast"],
    "Estimand": lambda c: c.contrast["estimand"]["text"],
    "EstimandWeights": lambda c: c.contrast["estimand"]["weights"],
    "AlternativeHypothesis": alternative,
    "EstimationMethod": estimation,
    "NumberOfSubjects": n_subjects,
    "GroupSmoothingFWHM": asked("group", "group_smoothing_fwhm"),
    "ResampledInputs": yes(["sub-02"]),
    "MainThreshold": lambda c: c.contrast["thresholds"][0]["method"],
    "MainThresholdDeclared": lambda c: c.settings.group.main_threshold is not None,
    "Power": yes(0.8),
    "HeightThreshold": lambda c: c.contrast["detectable"]["height"],
    "HeightThresholdT": lambda c: c.contrast["detectable"]["t"],
    "HeightThresholdP": lambda c: c.contrast["detectable"]["p"],
    "Correction": correction,
    "Inference": inference,
    "Permutations": of_shuffles("n_shuffles"),
    "Exact": of_shuffles("exact"),
    "Scheme": of_shuffles("scheme"),
    "SchemeReason": lambda c: c.sidecar["SchemeReason"] or None,
    "Seed": asked("permutation", "seed"),
    "DistinctArrangements": of_shuffles("n_distinct"),
    "SmallestP": of_shuffles("smallest_p"),
    "ResamplingInterval": interval,
    "Statistic": of_shuffles("statistic"),
    "Family": of_shuffles("family"),
    "IncompleteVoxels": of_shuffles("incomplete_voxels"),
    "NullHypothesis": yes("shuffles keep what is exchangeable when the contrast is zero (Freedman-Lane)"),
    "PValue": yes("share of shuffles at or above the observed value, the observed one among them"),
    "TieTolerance": yes(TIE),
    "TwoSided": is_two_sided,
    "Tails": tails,
    "ShuffleMode": mode,
    "ClusterFormingP": asked("permutation", "cluster_forming_p"),
    "ClusterFormingTail": yes("one-sided, in each tested tail"),
    "ClusterFormingRelation": yes("at or above"),
    "ClusterFormingThreshold": forming,
    "ClusterConnectivity": asked("permutation", "connectivity"),
    "ClusterMass": chosen(
        "cluster_mass", {"excess": "sum above the threshold", "raw": "sum of the statistic"}
    ),
    "ClusterScale": scale,
    "TFCE": steps,
    "TFCEScale": scale,
    "TFCEConnectivity": yes(6),
    "TFCEExtentPower": chosen("tfce_preset", {"volume": 0.5, "surface": 1.0}),
    "TFCEHeightPower": yes(2.0),
    "TailApproximation": asked("permutation", "tail_approximation"),
    "StopWhenDecided": asked("permutation", "stop_when_decided"),
    "ExchangeabilityBlocks": lambda c: c.settings.permutation.exchangeability_blocks is not None,
    "VarianceGroups": lambda c: c.settings.group.variance_groups is not None,
}
# What no map may lack.
ALWAYS = tuple(COMMON)[:5]
OF_EVERY_RUN = tuple(field for field in OF_RUNS if field != "ModelDigest")
ALWAYS_OF_SUBJECTS = (*OF_EVERY_RUN, "NodeName", "NodeLevel", "TaskGLMVersion")
ALWAYS_OF_GROUPS = (
    *(*OF_EVERY_RUN, "NodeName", "NodeLevel", "TaskGLMVersion", "ContrastName", "Test"),
    *("EstimationMethod", "AlternativeHypothesis", "NumberOfSubjects", "GroupSmoothingFWHM", "MainThreshold"),
)
# Fields that a map of another statistic must not have.
FOREIGN = {
    "maxT": ("Cluster", "TFCE"),
    "maxSize": ("TFCE", "ClusterMass"),
    "maxMass": ("TFCE",),
    "maxTFCE": ("Cluster",),
    "permUnc": ("Cluster", "TFCE", "Family", "TailApproximation"),
}


def find_faults(call):
    """Return what of the sidecars of a `Call` is not as it must be."""
    return [fault for context in find_contexts(call) for fault in faults(context)]


def find_contexts(call):
    """Return what is known of every map of a call."""
    contexts = []
    for record in call.records:
        make = contexts_of_group if record["kind"] == "group" else contexts_of_subjects
        contexts += [complete(context, call) for context in make(record, call)]
    assert contexts
    return contexts


def maps_below(call, folder):
    return [path for path in call.results if path.startswith(folder) and path.endswith("_statmap.nii.gz")]


def contexts_of_group(record, call):
    for path in maps_below(call, "group/"):
        names = [one for one in record["contrasts"] if f"_contrast-{label_of(one['name'])}_" in path]
        contrast = names[0] if names else None
        inputs = (contrast or record["contrasts"][0])["inputs"]
        known = {"contrast": contrast, "estimate": None, "run": None, "input": call.out / inputs[0]["effect"]}
        yield SimpleNamespace(path=path, record=record, group=True, **known)


def contexts_of_subjects(record, call):
    estimates = {path: one for one in record["estimates"] for path in one["maps"].values()}
    fits = {path: run for run in record["runs"] for path in run["model_fit"].values()}
    runs = {run["label"]: run for run in record["runs"]}
    for path in maps_below(call, f"sub-{record['subject']}/"):
        estimate = estimates.get(path)
        of_run = estimate and estimate["level"] == "run"
        run = runs[estimate["runs"][0]] if of_run else fits.get(path)
        known = {"contrast": None, "estimate": estimate, "run": run, "input": None}
        yield SimpleNamespace(path=path, record=record, group=False, **known)


def label_of(name):
    words = "".join(one if one.isalnum() else " " for one in name).split()
    return words[0] + "".join(word[0].upper() + word[1:] for word in words[1:])


def complete(c, call):
    parts = dict(part.split("-", 1) for part in Path(c.path).name.split("_") if "-" in part)
    c.stat, c.desc, c.settings, c.results = parts["stat"], parts.get("desc", ""), call.settings, call.results
    c.sidecar = json.loads((call.out / c.path.replace(".nii.gz", ".json")).read_text())
    c.out = call.out
    c.values, c.unit = call.results[c.path], unit_of(c)
    meaning, number = WORDS[base_of(c.stat)].words, c.stat.removeprefix("tau2")
    numbered = base_of(c.stat) == "tau2" and number
    # Maps of shuffling are said by their quantity.
    found = rule(c) if c.contrast and not (c.stat == "logp" and "Permutations" in c.sidecar) else None
    if c.stat == "score":
        meaning = f"shuffled statistic: {c.contrast['permutation']['statistic']}"
    c.meaning = (
        found["title"] if found else f"{meaning} of group {GROUPS[int(number) - 1]}" if numbered else meaning
    )
    return c


def base_of(stat):
    """Return the quantity of a label: the variances of groups have their numbers behind."""
    return "tau2" if stat.startswith("tau2") else stat


def unit_of(c):
    """Return the unit that the quantity of a map must have."""
    unit = UNITS["percent" if c.group else c.settings.run.scaling]
    is_slope = bool(c.contrast) and c.contrast["name"].endswith(" age")
    effect = f"{unit} per unit of age" if is_slope else unit
    return QUANTITIES[base_of(c.stat)][0].replace("V", unit).replace("W", effect)


def faults(c):
    """Return what of a sidecar is not as it must be."""
    rows = COMMON | (OF_GROUPS if c.group else OF_SUBJECTS)
    always = ALWAYS_OF_GROUPS if c.group else ALWAYS_OF_SUBJECTS
    needed = [*ALWAYS, *(always if c.stat != "coverage" else ()), *["Correction"] * bool(c.desc)]
    if not c.group and not c.record["model"]["automatic"]:
        needed = [field for field in needed if field not in AUTOMATIC] + ["ModelDigest"]
    found = [f"{field} is missing" for field in needed if field not in c.sidecar]
    for field, value in c.sidecar.items():
        if field not in rows:
            found.append(f"no row for the field {field}")
        elif not is_equal(value, rows[field](c)):
            found.append(f"{field} is {value!r}, not {rows[field](c)!r}")
        if field.startswith(FOREIGN.get(c.desc, ("-",))):
            found.append(f"{field} is of another statistic")
        if field in OF_NOISE and not c.run:
            found.append(f"{field} is of a single run")
    low, high = QUANTITIES[base_of(c.stat)][1]
    values = c.values[np.isfinite(c.values)]
    if values.size and not (values.min() >= low and values.max() <= high):
        found.append(f"values from {values.min()} to {values.max()}")
    return [f"{c.path}: {fault}" for fault in found]


def is_equal(value, other):
    """Return whether a field is as it must be; maps are float32."""
    if isinstance(value, float) and isinstance(other, float):
        return bool(np.isclose(value, other, rtol=1e-6, atol=0))
    return value == other
