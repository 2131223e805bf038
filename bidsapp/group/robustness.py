"""Does a result hold: its highest peaks by other estimators and without each subject, with the cut-off kept.

Nothing is shuffled again, and the mask stays as it is.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from bidsapp import names
from bidsapp.errors import ModelError
from bidsapp.group.fit import FittedGroup, refit, score_variances
from bidsapp.group.repeated import SubjectTest, subjects_of
from bidsapp.group.shuffling import leave_out
from bidsapp.group.write import GroupResult
from bidsapp.inference.recount import make_counter
from bidsapp.outputs.saved.group import GroupContrastRecord
from bidsapp.outputs.tables import write_table
from bidsapp.records.arrays import Labels, Maps, Mask
from bidsapp.records.documents import Document
from bidsapp.records.maps import GroupEstimate, InferenceOptions
from bidsapp.records.plan import DatasetFit
from bidsapp.stats.group.consistency import count_agreeing
from bidsapp.stats.group.leave_one_out import leave_each_out
from bidsapp.stats.linear import reduce_rows
from bidsapp.tables.peaks import find_points
from bidsapp.vocabulary.estimators import ESTIMATORS

# Rows of a table: column -> values of all peaks.
Rows: TypeAlias = dict[str, Any]

N_PEAKS = 6
# What the estimator of the maps is compared with.
OTHERS = ("ols", "reml", "huber")
PLACE = ["peak_x", "peak_y", "peak_z"]
SEVERAL = "several scores of a subject are tested together, which least squares alone does"
UNEQUAL = "rows of a subject are not independent, and the sandwich alone allows for that here"
NO_VARIANCES = "inputs have no variance maps"
SAME_RUNS = "the cells of a subject are of the same runs, and no file holds the covariance of their errors"
NO_GROUPS = "it knows no variances for each group"
NOT_FOLLOWED = "it is counted for least squares of one map a subject with one variance alone"
SIZE = "What survives without each subject goes by the cut-off of all ({:.6g}, {}), without new shuffling"
COLUMNS = {
    "peak_x": "Position of the peak, from left to right, in mm; n/a: the row is of the whole map",
    "peak_y": "Position of the peak, from posterior to anterior, in mm",
    "peak_z": "Position of the peak, from inferior to superior, in mm",
    "estimator": "Estimator; that of the maps comes first",
    "left_out": "Subject that is left out; n/a: none",
    "statistic": "t or F",
    "dof": "Denominator degrees of freedom",
    "n_agree": "Subjects (or pairs of subjects: Compared) that go the way of the effect",
    "n_compared": "Subjects (or pairs) there are",
    "n_voxels": "Voxels that survive the main threshold",
}


def write_robustness(
    record: GroupContrastRecord,
    result: GroupResult,
    fitted: FittedGroup,
    index: int,
    options: InferenceOptions,
    output_dir: Path,
) -> str | None:
    """Write the table of a contrast whose peaks are written; return its path, None where there are none."""
    fit, threshold = result.fit, result.thresholds[0]
    peaks = find_highest(record, output_dir)
    if peaks is None:
        return None
    points = find_points(peaks.to_numpy(float), result.stack.geometry)
    own, others, missing = _lay_out(fit, fitted, index, points, options.tail)
    # Rows of subjects that no score stands for are tested by the sandwich.
    is_own = bool(fitted.tests) and fitted.tests[index].weights is None
    estimator = "sandwich" if is_own else fitted.estimator
    frames = [
        peaks.assign(estimator=name, **_described(peak_fit.fit()))
        for name, peak_fit in ((estimator, own), *others.items())
    ]
    unit, agree, compared = _agreeing(fitted, own, index)
    frames[0] = frames[0].assign(n_agree=agree, n_compared=compared)
    frames += [
        peaks.assign(estimator=estimator, left_out=subject, **_described(own.fit(subject)))
        for subject in own.labels
    ]
    sizes, words = _sizes(result, fitted, index, options)
    table = pd.concat([*frames, pd.DataFrame({"estimator": estimator} | sizes)], ignore_index=True)
    path = names.table_path(
        fit.entities, "robustness", node=fit.node, contrast=result.contrast.name, desc=threshold.name
    )
    about: Document = {name: {"Description": text} for name, text in COLUMNS.items()}
    about |= {
        "Statistic": result.estimate.test,
        "Threshold": threshold.description,
        "Survives": bool(threshold.surviving.any()),
        "Compared": unit,
        "NotFitted": missing,
        "SurvivingSize": words,
    }
    write_table(output_dir / path, table.reindex(columns=list(COLUMNS)), about)
    return path


def find_highest(record: GroupContrastRecord, output_dir: Path) -> pd.DataFrame | None:
    """Return the places of the highest peaks of the main threshold, else of the whole map; None without any.

    The highest of each cluster comes first.
    """
    main = record.thresholds[0]
    path = main.peaks or record.strongest
    if path is None:
        return None
    peaks = pd.read_csv(output_dir / path, sep="\t")
    order = np.lexsort((-peaks[main.statistic].abs(), peaks["peak"] > 1))
    return peaks.iloc[order[:N_PEAKS]][PLACE].reset_index(drop=True)


@dataclass(frozen=True, slots=True, eq=False)
class _PeakFit:
    """A contrast of a fit at a few voxels; ``subjects`` is the subject of each row of the design."""

    fitted: FittedGroup
    subjects: Labels
    effects: Maps
    variances: Maps | None
    tail: str

    @property
    def labels(self) -> list[str]:
        return list(dict.fromkeys(self.subjects.tolist()))

    def fit(self, left_out: str | None = None) -> GroupEstimate | None:
        """Return the estimate without a subject; None where the others cannot make it."""
        rows: Mask = self.subjects != left_out
        part = replace(self.fitted, design=self.fitted.design.keep_rows(rows))
        variances = None if self.variances is None else self.variances[rows]
        try:
            return refit(part, self.effects[..., rows, :], variances, self.tail)[0]
        except ModelError:
            return None


def _described(estimate: GroupEstimate | None) -> Rows:
    return {} if estimate is None else {"statistic": estimate.statistic, "dof": estimate.dof}


def _lay_out(
    fit: DatasetFit, fitted: FittedGroup, index: int, points: Labels, tail: str
) -> tuple[_PeakFit, dict[str, _PeakFit], dict[str, str]]:
    """Return the fit at the points as the maps have it, by other estimators, and why by others it is not."""
    contrasts = (fitted.design.contrasts[index],)
    one = replace(fitted, design=replace(fitted.design, contrasts=contrasts))
    vectors = fitted.scores is not None and fitted.scores.ndim == 3
    effects = (fitted.data.transpose(1, 0, 2) if vectors else fitted.stack.effect)[..., points]
    subjects = np.array(fit.subjects)
    variances, reason = _variances(fit, fitted, index, points)
    # Rows that scores are made of are fitted without their variances.
    own = _PeakFit(one, subjects, effects, None if vectors or fitted.tests else variances, tail)
    others = [name for name in OTHERS if name != fitted.estimator]
    test = fitted.tests[index] if fitted.tests else None
    why = _why_alone(fitted, test)
    if why:
        return own, {}, dict.fromkeys(others, why)
    base = own
    if test is not None:
        scored = replace(one, design=replace(test.design, contrasts=(test.contrast,)), tests=())
        data = test.data(effects, subjects_of(fitted.design))
        base = _PeakFit(scored, np.unique(subjects), data, variances, tail)
    found, missing = {}, {}
    for name in others:
        words = ESTIMATORS[name]
        if words.needs_variances and variances is None:
            missing[name] = reason
        elif base.fitted.design.variance_groups is not None and not words.allows_variance_groups:
            missing[name] = NO_GROUPS
        else:
            found[name] = replace(base, fitted=replace(base.fitted, estimator=name))
    return own, found, missing


def _why_alone(fitted: FittedGroup, test: SubjectTest | None) -> str:
    """Return why no other estimator can be set beside that of the maps, empty where others can."""
    if fitted.data.ndim == 3 or (test is not None and test.n_maps > 1):
        return SEVERAL
    return UNEQUAL if fitted.design.has_repeats and (test is None or test.weights is None) else ""


def _variances(fit: DatasetFit, fitted: FittedGroup, index: int, points: Labels) -> tuple[Maps | None, str]:
    """Return the variances of one map a subject at some points; None, and why, where they are unknown."""
    stack, weights = fitted.stack, None
    if fitted.cells is not None and fit.within is not None:
        stack, weights = fitted.cells, fit.within.weights
    elif fitted.tests:
        weights = fitted.tests[index].weights
    if stack.variance is None:
        return None, NO_VARIANCES
    variance = stack.variance[:, points]
    if weights is None or len(weights) > 1:
        return variance, ""
    if max(Counter(entry.key.entities for entry in fit.inputs).values()) > 1:
        return None, SAME_RUNS
    if fitted.tests:
        variance = variance[np.argsort(subjects_of(fitted.design), kind="stable")]
    return score_variances(weights, variance, weights.shape[1]), ""


def _agreeing(
    fitted: FittedGroup, own: _PeakFit, index: int
) -> tuple[str | None, Labels | float, Labels | float]:
    """Return what is counted and how many go the way of the effect; None and NaN where there is no way."""
    data, design = own.effects, own.fitted.design
    contrast = design.contrasts[0]
    test = fitted.tests[index] if fitted.tests else None
    if test is not None:
        data, design, contrast = test.data(data, subjects_of(design)), test.design, test.contrast
    if _why_alone(fitted, test) or contrast.test != "t":
        return None, np.nan, np.nan
    return count_agreeing(data, design.matrix, np.atleast_2d(contrast.weights)[0])


def _sizes(
    result: GroupResult, fitted: FittedGroup, index: int, options: InferenceOptions
) -> tuple[Rows, str]:
    """Return how many voxels survive with all subjects and without each, and how that was counted."""
    threshold = result.thresholds[0]
    whole = int(np.count_nonzero(threshold.surviving))
    nobody: Rows = {"n_voxels": [whole]}
    test = fitted.tests[index] if fitted.tests else None
    grouped = fitted.design.variance_groups is not None
    if fitted.estimator != "ols" or grouped or _why_alone(fitted, test):
        return nobody, NOT_FOLLOWED
    count, why = make_counter(threshold, result.stack.geometry, options.tail, result.inference)
    if count is None:
        return nobody, why
    data, design, contrast, _ = fitted.to_shuffle(index)
    subjects = np.array(result.fit.subjects)
    labels = subjects if len(subjects) == len(data) else np.unique(subjects)
    data = leave_out(data, result.estimate.statistic)
    weights = reduce_rows(np.atleast_2d(contrast.weights))
    sizes = [count(found) for found in leave_each_out(data, design.matrix, weights)]
    rows: Rows = {"left_out": [None, *labels.tolist()], "n_voxels": [whole, *sizes]}
    return rows, SIZE.format(threshold.cutoff, threshold.scale)
