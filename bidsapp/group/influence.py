"""The table of what each input does to a group model, with what is known of its quality."""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp import names
from bidsapp.group.fit import FittedGroup
from bidsapp.outputs.saved.files import find_record
from bidsapp.outputs.saved.participant import SubjectRecord
from bidsapp.outputs.tables import write_table
from bidsapp.records.arrays import Numbers
from bidsapp.records.maps import EffectStack
from bidsapp.records.plan import DatasetFit
from bidsapp.stats.group.influence import flag_outliers, measure_influence

logger = logging.getLogger(__name__)

# As the record of a participant names it.
DISPLACEMENT = "framewise_displacement"
DESCRIPTIONS = {
    "participant_id": "Row of the design",
    "leverage": "Diagonal of the hat matrix",
    "cooks_distance": "Cook's distance, mean over voxels",
    "residual_rms": "Root mean square over voxels of the studentised deleted residuals; 1 is expected",
    "residual_large": "Share of voxels with a deleted residual beyond 3.29",
    "correlation": "Correlation over voxels with what the model of the other inputs predicts",
    "coverage": "Share of the voxels that at least half of the inputs cover",
    "mean_variance": "Mean over voxels of the variance map",
    "mean_fd": "Mean framewise displacement of the runs in mm",
    "flag": "What is unusual: beyond 3.5 robust standard deviations and large in itself",
}


def write_influence(fit: DatasetFit, fitted: FittedGroup, output_dir: Path) -> str | None:
    """Write the table of a fit, warn of flagged inputs, and return its path.

    A fit whose inputs are not its rows (several maps a subject and contrast) has no table.
    """
    stack = fitted.stack
    if len(stack.effect) != len(fitted.design.matrix):
        return None
    measures = measure_influence(stack.effect, fitted.design.matrix)
    flags = flag_outliers(measures)
    frame = pd.DataFrame(
        {
            "participant_id": fit.design.rows,
            "leverage": measures.leverage,
            "cooks_distance": measures.cooks_distance,
            "residual_rms": measures.residual_rms,
            "residual_large": measures.residual_large,
            "correlation": measures.correlation,
            "coverage": np.nan if stack.shares is None else _by_row(stack.shares, len(flags)),
            "mean_variance": _mean_variances(stack),
            "mean_fd": [_mean_displacement(subject, output_dir) for subject in fit.subjects],
            "flag": flags,
        }
    )
    fitted.warnings.extend(
        f"{fit.contrast or fit.node}: {words}" for words in _in_words(fit.design.rows, flags)
    )
    path = names.table_path(fit.entities, "influence", node=fit.node, contrast=fit.contrast or "all")
    columns = {name: {"Description": text} for name, text in DESCRIPTIONS.items()}
    write_table(output_dir / path, frame, columns)
    return path


def _in_words(rows: Iterable[str], flags: Iterable[str]) -> list[str]:
    """Return a sentence for each thing that is unusual, with the inputs of which it is."""
    found: dict[str, list[str]] = {}
    for label, flag in zip(rows, flags, strict=True):
        found.setdefault(flag, []).append(label)
    found.pop("", None)
    verbs = {flag: "is" if len(labels) == 1 else "are" for flag, labels in found.items()}
    return [
        f"{', '.join(labels)} {verbs[flag]} unusual ({flag}): look at the maps and the table of influence, "
        "and see what remains without (--exclude-participant-label)"
        for flag, labels in found.items()
    ]


def _by_row(shares: Numbers, n_rows: int) -> Numbers:
    """Return the shares of the rows; of several maps a subject the smallest."""
    smallest: Numbers = shares.reshape(n_rows, -1).min(axis=1)
    return smallest


def _mean_variances(stack: EffectStack) -> list[float]:
    if stack.variance is None:
        return [np.nan] * len(stack.effect)
    means = []
    for row in stack.variance:
        known = row[np.isfinite(row)]
        means.append(known.mean(dtype=float) if known.size else np.nan)
    return means


def _mean_displacement(subject: str, output_dir: Path) -> float:
    """Return the mean framewise displacement of a subject's runs from its record, NaN where unknown."""
    record = find_record(output_dir / names.record_path(subject.removeprefix("sub-")), SubjectRecord)
    series = [(run.motion or {}).get(DISPLACEMENT, ()) for run in record.runs] if record else []
    values = [value for one in series for value in one if value is not None]
    return float(np.mean(values)) if values else np.nan
