"""What the maps of participants were made with, and whether those of one group were made alike.

The sidecar of each map says it, so that maps that were moved, or made by several calls, can be compared.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bidsapp.errors import InputError, some_names
from bidsapp.model.strategy import parse_strategy
from bidsapp.plan.automatic import AUTO, check_hrf
from bidsapp.plan.nodes import Entry
from bidsapp.records.collect import collect
from bidsapp.records.documents import Document
from bidsapp.records.model import Model
from bidsapp.records.plan import DatasetFit
from bidsapp.settings.parts import ModelOptions

# Sidecar field -> in words.
MADE_WITH = {
    "ModelName": "model",
    "ModelDigest": "content of the model",
    "ConditionList": "conditions of the contrast",
    "Weights": "weights of the contrast",
    "Confounds": "confounds",
    "HighPassPeriod": "high-pass filter (s)",
    "HRFModel": "response",
    "MissingCondition": "missing conditions",
    "SmoothingFWHM": "smoothing (mm)",
    "NoiseModel": "noise model",
    "NoiseSmoothingFWHM": "smoothing of the noise model (mm)",
    "Scaling": "scaling",
    "FixedEffects": "weights of runs",
    "DerivativeBoost": "derivative boost",
    "TaskGLMVersion": "version of TaskGLM",
    "Software": "software",
}
# Those that differ between contrasts.
OF_CONTRAST = ("ConditionList", "Weights")
MAX_NAMED = 12
WAYS_OUT = (
    "Run the participant level again with the same settings for all, name the participants to analyse "
    "(--participant-label, --exclude-participant-label), or, if it is meant, give --allow-mixed-settings."
)


def describe_model_facts(model: Model, options: ModelOptions) -> Document:
    """Return what of a model decides the numbers of the maps, as sidecar fields.

    The flags that made an automatic model, which grows with the trial types of a dataset; else a digest of
    all nodes before the group, without their contrasts.
    """
    facts = {"ModelName": model.name, "MissingCondition": options.missing_condition}
    if options.model == AUTO:
        return facts | {
            "Confounds": parse_strategy(options.confounds).text,
            "HighPassPeriod": options.high_pass,
            "HRFModel": check_hrf(options.hrf_model),
        }
    nodes = [node for node in json.loads(model.text)["Nodes"] if node["Level"].lower() != "dataset"]
    kept = [{k: v for k, v in node.items() if not k.endswith("Contrasts")} for node in nodes]
    text = json.dumps(kept, sort_keys=True)
    return facts | {"ModelDigest": hashlib.sha256(text.encode()).hexdigest()[:12]}


def check_mixtures(fits: Sequence[DatasetFit], *, allowed: bool) -> list[DatasetFit]:
    """Return the fits, with a note on each whose maps were made with different settings.

    Parameters
    ----------
    fits : sequence of DatasetFit
    allowed : bool
        Whether maps made differently may be analysed together.

    Raises
    ------
    InputError
        They may not; all contrasts and settings are named together.
    """
    noted: list[DatasetFit] = []
    faults: dict[str, list[str]] = {}
    for fit in fits:
        found = find_mixtures(fit.inputs)
        if found:
            faults.setdefault("; ".join(found), []).append(fit.contrast or "all contrasts")
            fit = replace(
                fit, notes=(*fit.notes, f"the maps were made with different settings: {'; '.join(found)}")
            )
        noted.append(fit)
    if faults and not allowed:
        said = [f"{', '.join(dict.fromkeys(names))}: {text}." for text, names in faults.items()]
        raise InputError("\n".join(["The maps were made with different settings.", *said, WAYS_OUT]))
    return noted


def find_mixtures(entries: Sequence[Entry]) -> list[str]:
    """Return the settings in which estimates of one contrast differ, each with who has which, in words."""
    by_contrast = collect((entry.key.contrast, entry) for entry in entries)
    found = [text for group in by_contrast.values() for text in _differences(group)]
    return list(dict.fromkeys(found))


def _differences(entries: Sequence[Entry]) -> list[str]:
    found = []
    for field, words in MADE_WITH.items():
        values: dict[str, dict[str, None]] = {}
        for entry in entries:
            value = _read(entry, field)
            if value is not None:
                values.setdefault(_shown(value), {})[f"sub-{entry.key.entity('sub')}"] = None
        if len(values) > 1:
            most = max(values, key=lambda value: len(values[value]))
            n_most = len(values.pop(most))
            others = [f"{value} in {some_names(who, MAX_NAMED)}" for value, who in values.items()]
            found.append(f"{words} {most} in {n_most} participants, {', '.join(others)}")
    return found


def shared_facts(entries: Sequence[Entry]) -> Document:
    """Return the sidecar fields in which all estimates agree, whatever their contrast, with the value."""
    found = {}
    for field in MADE_WITH:
        values = [_read(entry, field) for entry in entries]
        if field not in OF_CONTRAST and values[0] is not None and all(value == values[0] for value in values):
            found[field] = values[0]
    return found


def describe_facts(entries: Sequence[Entry]) -> dict[str, str]:
    """Return what estimates were made with: words to the value, or to how many estimates have each."""
    found = {}
    for field, words in MADE_WITH.items():
        values = Counter(_shown(value) for one in entries if (value := _read(one, field)) is not None)
        if values and field not in OF_CONTRAST:
            several = ", ".join(f"{value} ({count} maps)" for value, count in values.items())
            found[words] = next(iter(values)) if len(values) == 1 else several
    return found


def _read(entry: Entry, field: str) -> Any:
    """Return a field of a sidecar; of the noise of a run what was asked for, as its order goes by the run."""
    return entry.metadata.get(f"{field}Requested", entry.metadata.get(field))


def _shown(value: Any) -> str:
    return (
        f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    )
