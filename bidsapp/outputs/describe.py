"""What a subject's record says of its runs and estimates (see docs/records.md)."""

import math

from bidsapp.outputs.saved.files import as_document
from bidsapp.outputs.saved.participant import ContrastRecord
from bidsapp.records.documents import Document
from bidsapp.records.maps import Contrast, Estimate, JointEstimate, Run
from bidsapp.records.plan import RunFit


def describe_contrast(contrast: Contrast) -> ContrastRecord:
    """Return what a record says of a contrast: its weights by column, those that are not 0."""
    rows = [
        {name: float(weight) for name, weight in zip(contrast.columns, row, strict=True) if weight}
        for row in contrast.weights
    ]
    weights = rows[0] if contrast.test == "t" else rows
    return ContrastRecord(name=contrast.name, test=contrast.test, weights=weights)


def describe_run(run: Run, fit: RunFit) -> Document:
    """Return what is known of a run before it is fitted.

    Parameters
    ----------
    run : Run
    fit : RunFit
    """
    files = {kind: getattr(run, kind) for kind in ("bold", "mask", "events", "confounds")}
    return {
        "label": run.label,
        "entities": run.entities,
        "node": fit.node,
        "files": {kind: str(path) if path else None for kind, path in files.items()}
        | {"recordings": [str(file.path) for file in run.recordings]},
        "repetition_time": run.repetition_time,
        "start_time": run.start_time,
        "start_time_source": run.start_time_source,
        "n_volumes": run.n_volumes,
        "confounds": list(fit.confounds),
        "events": list(fit.events),
        "contrasts": [as_document(describe_contrast(contrast)) for contrast in fit.contrasts],
        "skipped": [{"contrast": name, "reason": reason} for name, reason in fit.skipped.items()],
    }


def describe_dof(estimate: Estimate | JointEstimate) -> float | list[float | None] | None:
    """Return the degrees of freedom as plain values: a number, two for F, None where they differ by voxel."""
    dof = estimate.dof
    value = None if getattr(dof, "ndim", 0) else (float(dof) if math.isfinite(dof) else None)
    return value if estimate.effect.ndim == 1 else [len(estimate.effect), value]
