"""What a subject's record says of its runs and estimates (see docs/records.md)."""

import math
from collections.abc import Mapping
from typing import Any

from bidsapp.names import mask_path
from bidsapp.outputs.saved.common import Dof
from bidsapp.outputs.saved.participant import (
    ContrastRecord,
    EstimateRecord,
    EventRecord,
    FilesRecord,
    SkippedRecord,
)
from bidsapp.records.documents import Document
from bidsapp.records.maps import Contrast, Estimate, EstimateKey, JointEstimate, Run
from bidsapp.records.plan import RunFit

# A weight below this part of the largest is rounding.
ROUNDING = 1e-9


def express(weights: Mapping[str, float]) -> str:
    """Return a sum of names with weights as one writes it: ``A - 0.5 B``."""
    text = ""
    for name, weight in weights.items():
        sign = "-" if weight < 0 else "+"
        size = "" if abs(abs(weight) - 1) < ROUNDING else f"{abs(weight):.4g} "
        text += f" {sign} {size}{name}"
    return text.strip().removeprefix("+ ")


def describe_contrast(contrast: Contrast) -> ContrastRecord:
    """Return what a record says of a contrast: its weights by column, those that are not 0."""
    rows = [
        {name: float(weight) for name, weight in zip(contrast.columns, row, strict=True) if weight}
        for row in contrast.weights
    ]
    weights = rows[0] if contrast.test == "t" else rows
    return ContrastRecord(name=contrast.name, test=contrast.test, weights=weights)


def describe_run(run: Run, fit: RunFit) -> Document:
    """Return the fields of a run's record that are known before it is fitted.

    Parameters
    ----------
    run : Run
    fit : RunFit
    """
    kinds = ("bold", "mask", "events", "confounds")
    files = {kind: str(getattr(run, kind)) if getattr(run, kind) else None for kind in kinds}
    return {
        "label": run.label,
        "entities": run.entities,
        "node": fit.node,
        "files": FilesRecord(**files, recordings=tuple(str(file.path) for file in run.recordings)),
        "repetition_time": run.repetition_time,
        "start_time": run.start_time,
        "start_time_source": run.start_time_source,
        "n_volumes": run.n_volumes,
        "confounds": fit.confounds,
        "events": tuple(EventRecord(**event) for event in fit.events),
        "contrasts": tuple(map(describe_contrast, fit.contrasts)),
        "skipped": tuple(SkippedRecord(contrast=name, reason=why) for name, why in fit.skipped.items()),
    }


def describe_estimate(key: EstimateKey, estimate: Estimate | JointEstimate, **details: Any) -> EstimateRecord:
    """Return the record of an estimate whose maps are not written; ``details`` are its other fields."""
    entities = dict(key.entities)
    return EstimateRecord(
        node=key.node,
        level=key.level,
        entities=entities,
        contrast=key.contrast,
        test="t" if isinstance(estimate, Estimate) else "F",
        dof=describe_dof(estimate),
        maps={},
        mask=mask_path(entities, node=None if key.level == "run" else key.node),
        **details,
    )


def describe_dof(estimate: Estimate | JointEstimate) -> Dof:
    """Return the degrees of freedom as plain values: a number, two for F, None where they differ by voxel."""
    dof = estimate.dof
    value = None if getattr(dof, "ndim", 0) else (float(dof) if math.isfinite(dof) else None)
    return value if estimate.effect.ndim == 1 else [len(estimate.effect), value]
