"""What maps of participants must be, computed again from others of the output folder by other means.

The F of several runs rests on covariances that no file holds: its z and p alone are computed again.
"""

import io
import json

import numpy as np
import pandas as pd
from scipy import stats

# Maps are float32; z of a p of 1e-30 has lost three more digits.
RELATIVE, ABSOLUTE = 2e-4, 2e-5


def find_differences(call):
    """Return the paths of maps of a `Call` that do not follow from the others, with what they are."""
    found = []
    for record in call.records:
        for estimate in record["estimates"]:
            maps = {stat: call.results[path] for stat, path in estimate["maps"].items()}
            wanted = statistics_of(maps, estimate)
            if estimate["test"] == "F" and is_plain(call, estimate):
                wanted["F"] = f_of_run(estimate, record, call.results)
            found += [
                f"{estimate['maps'][stat]}: {stat}"
                for stat, values in wanted.items()
                if not np.allclose(maps[stat], values, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
            ]
        for run in record["runs"]:
            found += [
                f"{path}: residuals" for path in run.get("residuals", []) if not are_left(run, path, call)
            ]
    return found


def statistics_of(maps, estimate):
    """Return the statistic of a t test, and z and p of both tests."""
    dof = maps["dof"] if "dof" in maps else np.ravel(estimate["dof"])[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        if estimate["test"] == "F":
            p = stats.f.sf(maps["F"], estimate["dof"][0], dof)
            return {"p": p, "z": stats.norm.isf(p)}
        t = maps["effect"] / np.sqrt(maps["variance"])
        p = 2 * stats.t.sf(np.abs(t), dof)
        return {"t": t, "p": p, "z": np.sign(t) * stats.norm.isf(p / 2)}


def is_plain(call, estimate):
    """Whether an estimate is of one run, by ordinary least squares."""
    run = call.settings.run
    return estimate["level"] == "run" and run.noise_model == "ols" and not run.derivative_boost


def f_of_run(estimate, record, results):
    """Return F of a run from the effects of its rows, the variance of the noise and the design."""
    (run,) = (one for one in record["runs"] if one["label"] == estimate["runs"][0])
    contrasts = {one["name"]: one["weights"] for one in run["contrasts"]}
    rows = contrasts[estimate["contrast"]]
    effects = [
        results[one["maps"]["effect"]]
        for weights in rows
        for one in record["estimates"]
        if one["runs"] == estimate["runs"] and one["level"] == "run" and contrasts[one["contrast"]] == weights
    ]
    design = pd.read_csv(io.StringIO(results[run["design"]]), sep="\t").drop(run["censored"])
    weights = np.array([[row.get(name, 0.0) for name in design.columns] for row in rows])
    inverse = np.linalg.inv(weights @ np.linalg.pinv(design.T @ design) @ weights.T)
    quadratic = np.einsum("i...,ij,j...->...", effects, inverse, effects)
    return quadratic / len(rows) / results[run["model_fit"]["sigmasquared"]]


def are_left(run, path, call):
    """Whether residuals are without what the design holds, and of the variance that the model found."""
    residuals = np.nan_to_num(call.results[path])
    design = pd.read_csv(io.StringIO(call.results[run["design"]]), sep="\t").to_numpy(float)
    design[run["censored"]] = 0
    size = np.sqrt((residuals**2).sum(axis=-1, keepdims=True) * (design**2).sum(axis=0))
    sums = (residuals**2).sum(axis=-1) / run["dof"]
    variance = np.nan_to_num(call.results[run["model_fit"]["sigmasquared"]])
    return bool(
        (np.abs(residuals @ design) <= 1e-4 * size + 1e-9).all()
        and np.allclose(sums, variance, rtol=RELATIVE)
        and not residuals[..., run["censored"]].any()
    )


# Field -> what it must be in the sidecar of residuals, from the run and the settings.
RESIDUALS = {
    "Description": lambda run, s: "data less the fitted model, before whitening; zero in dropped volumes",
    "RepetitionTime": lambda run, s: run["repetition_time"],
    "StartTime": lambda run, s: run["start_time"],
    "NodeName": lambda run, s: run["node"],
    "Scaling": lambda run, s: s.run.scaling,
    "SmoothingFWHM": lambda run, s: s.run.smoothing_fwhm,
    "SkullStripped": lambda run, s: True,
    "TaskName": lambda run, s: run["entities"]["task"],
}


def sidecars_of_residuals(call):
    """Return the sidecar of every residual series with what it must be."""
    return [
        (
            json.loads((call.out / path.replace(".nii.gz", ".json")).read_text()),
            {field: value(run, call.settings) for field, value in RESIDUALS.items()},
        )
        for record in call.records
        for run in record["runs"]
        for path in run.get("residuals", [])
    ]
