"""Synthetic runs, events and participants on which published models are planned; no image is made."""

import json
import zlib

import numpy as np
import pandas as pd

from bidsapp.inputs.dataset.open import Dataset
from bidsapp.inputs.estimates import EstimateFile
from bidsapp.records.maps import EstimateKey, Run

MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
CONFOUNDS = [
    *MOTION,
    *(f"{name}_derivative1" for name in MOTION),
    "framewise_displacement",
    "csf",
    "white_matter",
    *(f"a_comp_cor_{k:02d}" for k in range(6)),
    *(f"cosine{k:02d}" for k in range(4)),
]
SUBJECTS = ("01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12")
ENOUGH = 60


def make_events(columns, levels, seed=0):
    """Return an events table: every level several times, numbers for the other columns.

    Parameters
    ----------
    columns : sequence of str
    levels : dict of str to list of str
        The columns that hold texts.
    """
    rng = np.random.default_rng(seed)
    n_events = max([ENOUGH, *(4 * len(values) for values in levels.values())])
    table = {
        "onset": np.arange(n_events) * 8.0 + rng.uniform(0, 3, n_events),
        "duration": np.full(n_events, 2.0),
    }
    for name in columns:
        if name not in table:
            table[name] = rng.uniform(0.2, 3.0, n_events)
    for name, values in levels.items():
        table[name] = rng.permutation(np.resize(np.array(values, object), n_events))
    return pd.DataFrame(table)


def companion(folder, study, task):
    """Return the columns and text levels of the events that a published model was written for."""
    details = json.loads((folder / f"{study}_basic-details.json").read_text())["Tasks"][task]
    columns = [name for name in details["column_names"] if name not in ("onset", "duration")]
    texts = {name for name, kind in details["column_data_types"].items() if kind == "object"}
    levels = {name: ["one", "two"] for name in columns if name in texts}
    if details["trial_type_values"]:
        levels["trial_type"] = details["trial_type_values"]
    return columns, levels


def make_dataset(folder, events, *, tasks=("task",), sessions=(None,), runs=("1", "2"), subjects=SUBJECTS):
    """Write events and confounds, and return the dataset that an index of it would give."""
    found = []
    confounds = folder / "confounds.tsv"
    n_volumes = int(events["onset"].max() / 2) + 15
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(n_volumes, len(CONFOUNDS))), columns=CONFOUNDS)
    table.to_csv(confounds, sep="\t", index=False, na_rep="n/a")
    path = folder / f"task-{tasks[0]}_events.tsv"
    events.to_csv(path, sep="\t", index=False, na_rep="n/a")
    for subject in subjects:
        for task in tasks:
            for session in sessions:
                for run in runs:
                    parts = {"sub": subject, "ses": session, "task": task, "run": run, "space": "MNI"}
                    entities = {key: value for key, value in parts.items() if value is not None}
                    bold = folder / "_".join(f"{k}-{v}" for k, v in entities.items())
                    found.append(Run(entities, bold, None, path, confounds, 2.0, 1.0, "StartTime", n_volumes))
    return Dataset(tuple(found), None, folder, {"fmriprep": folder}, (), (), {})


def make_participants(subjects=SUBJECTS):
    """Return participants with sex, age and groups, every combination present."""
    rng = np.random.default_rng(3)
    return {
        subject: {
            "sex": "MF"[zlib.crc32(subject.encode()) % 2] if len(subjects) < 4 else "MF"[index % 2],
            "age": str(20 + int(rng.integers(30))),
            "fake_patient_grp": str(index // 2 % 4 + 1),
            "group": ("patient", "control")[index // 2 % 2],
        }
        for index, subject in enumerate(subjects)
    }


def estimates_of(plan, folder):
    """Return the files that a participant plan would leave behind."""
    files = []
    for subject in plan.subjects:
        for fit in [*subject.runs, *subject.combinations]:
            for contrast in fit.contrasts:
                if contrast.test == "F":
                    continue
                level = getattr(fit, "level", "run")
                key = EstimateKey(fit.node, level, contrast.name, tuple(fit.entities.items()))
                files.append(EstimateFile(key, folder / contrast.name, folder / "v", 100.0))
    return tuple(files)


def named_by_model(document):
    """Return the columns and text levels of the events that a model speaks of.

    Companions of models whose events were prepared by a script describe the events before that script;
    what it made is known only from the model.
    """
    node = document["Nodes"][0]
    steps = node.get("Transformations", {}).get("Instructions", [])
    origin, produced, levels = _followed(steps)
    columns = []
    factors = {name for step in steps if step["Name"] == "Factor" for name in step["Input"]}
    for word in _words(node, steps):
        base, _, level = word.partition(".")
        if word in produced or "*" in word or word == "1":
            continue
        if base not in factors:
            columns.append(word)
        elif level and "." not in level and (base in origin or base not in produced):
            levels.setdefault(origin.get(base, base), []).append(level)
    return columns, {name: list(dict.fromkeys(values)) for name, values in levels.items()}


def _followed(steps):
    """Return which column each copy comes from, the names that steps make, and the levels they replace."""
    origin, produced, levels = {}, set(), {}
    for step in steps:
        inputs, outputs = step.get("Input", []), step.get("Output", [])
        for source, target in zip(inputs, outputs, strict=False):
            produced.add(target)
            if step["Name"] in ("Copy", "Rename"):
                origin[target] = origin.get(source, source)
        for name in inputs if step["Name"] == "Replace" else ():
            levels.setdefault(origin.get(name, name), []).extend(step["Replace"])
            produced |= {f"{name}.{value}" for value in step["Replace"].values()}
    return origin, produced, levels


def _words(node, steps):
    words = list(node["Model"]["X"])
    words += [name for rule in node.get("Contrasts", []) for name in rule["ConditionList"]]
    for step in steps:
        words += step["Input"] if step["Name"] in ("Convolve", "Assign", "Demean", "Scale") else []
    return dict.fromkeys(map(str, words))
