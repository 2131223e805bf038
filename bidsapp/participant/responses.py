"""The response of each condition that has several columns, at the strongest voxel of its contrast."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from bidsapp.outputs.saved.participant import ResponseRecord
from bidsapp.records.arrays import Labels, Map, Maps, Mask, Matrix, Numbers
from bidsapp.records.maps import Contrast, Estimate, Geometry, JointEstimate
from bidsapp.records.plan import Response, RunFit
from bidsapp.stats.linear import is_estimable
from bidsapp.stats.run.fixed_effects import combine_with_shares
from bidsapp.stats.run.glm import FittedRun, estimate_curve
from bidsapp.stats.run.maps import make_f_maps, make_t_maps

if TYPE_CHECKING:
    from bidsapp.participant.fit import Fitted

LEVELS = ("subject", "session", "run")
PROBABILITY, DIGITS = 0.95, 6


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A condition of a run: its columns in the design, and their effects, (n_columns, n_voxels)."""

    response: Response
    columns: Labels
    effects: Maps


@dataclass(frozen=True, slots=True, eq=False)
class RunCurves:
    """What of a run is kept until its contrasts are combined: the voxel is known then.

    ``model`` has no parameters any more; ``curves`` is by condition.
    """

    label: str
    geometry: Geometry
    contrasts: tuple[Contrast, ...]
    model: FittedRun
    curves: dict[str, Curve]


def keep_curves(fit: RunFit, model: FittedRun, geometry: Geometry) -> RunCurves | None:
    """Return what is kept of a run, None where no condition has several columns that can be estimated."""
    matrix, curves = fit.design.matrix[fit.keep], {}
    for response in fit.responses:
        columns = np.array([fit.design.columns.index(name) for name in response.columns])
        if is_estimable(matrix, np.eye(matrix.shape[1])[columns]):
            effects = (model.model.to_basis[columns] @ model.parameters.T).astype(np.float32)
            curves[response.name] = Curve(response, columns, effects)
    if not curves:
        return None
    return RunCurves(fit.label, geometry, fit.contrasts, model.without_parameters(), curves)


def describe_responses(fitted: Sequence["Fitted"], method: str) -> tuple[ResponseRecord, ...]:
    """Return the records of the responses of a subject.

    Parameters
    ----------
    fitted : sequence of Fitted
        All estimates; the responses are at voxels of those of the last level.
    method : {"precision", "equal"}
        How runs are weighed.
    """
    runs = {entry.curves.label: entry.curves for entry in fitted if entry.curves is not None}
    if not runs:
        return ()
    level = next(level for level in LEVELS if any(entry.record.level == level for entry in fitted))
    last = [entry for entry in fitted if entry.record.level == level]
    found = []
    for _, group in groupby(last, key=lambda entry: (entry.key.node, entry.key.entities)):
        entries = list(group)
        for name in dict.fromkeys(name for run in runs.values() for name in run.curves):
            record = _describe(name, entries, runs.values(), method)
            found += [record] if record else []
    return tuple(found)


def _describe(
    name: str, entries: Iterable["Fitted"], runs: Iterable[RunCurves], method: str
) -> ResponseRecord | None:
    """Return the response of a condition at the strongest voxel of one of these estimates."""
    ranked = []
    for order, entry in enumerate(entries):
        parts = [run for run in runs if run.label in entry.record.runs and name in run.curves]
        share = max((_share(run, name, entry.record.contrast) for run in parts), default=(False, 0))
        if share[1]:
            ranked.append((*share, -order, entry, parts))
    if not ranked:
        return None
    *_, entry, parts = max(ranked, key=lambda each: each[:3])
    strongest = _find_strongest(entry.estimate)
    if strongest is None:
        return None
    point, z = strongest
    place = np.flatnonzero(entry.geometry.mask)[point]
    responses = [run.curves[name].response for run in parts]
    # Of longer events there are more points; with another repetition time they lie elsewhere.
    n = min(len(response.seconds) for response in responses)
    seconds = responses[0].seconds[:n]
    parts = [run for run in parts if np.array_equal(run.curves[name].response.seconds[:n], seconds)]
    shapes = [run.curves[name].response.shapes[:n] for run in parts]
    rows = np.any([np.any(each != 0, axis=1) for each in shapes], axis=0)
    own = [_follow(run, run.curves[name], each[rows], place) for run, each in zip(parts, shapes, strict=True)]
    estimate, _ = combine_with_shares(own, method=method)
    half = stats.t.ppf((1 + PROBABILITY) / 2, estimate.dof) * np.sqrt(estimate.variance)
    return ResponseRecord(
        condition=name,
        node=entry.record.node,
        entities=entry.record.entities,
        contrast=entry.record.contrast,
        position=_plain(entry.geometry.coordinates()[point]),
        z=_plain([z])[0],
        units=entry.record.units,
        duration=float(np.median([response.duration for response in responses])),
        delays=np.array_equal(shapes[0], np.eye(n)),
        seconds=_plain(seconds),
        effect=_fill(estimate.effect, rows),
        low=_fill(estimate.effect - half, rows),
        high=_fill(estimate.effect + half, rows),
        runs={run.label: _fill(each.effect, rows) for run, each in zip(parts, own, strict=True)},
    )


def _share(run: RunCurves, name: str, contrast: str) -> tuple[bool, int]:
    """Return whether a contrast is of a condition's columns alone, and of how many of them."""
    for own in run.contrasts:
        if own.name == contrast:
            used = np.flatnonzero(np.any(np.atleast_2d(own.weights) != 0, axis=0))
            common = int(np.isin(used, run.curves[name].columns).sum())
            return common == len(used), common
    return False, 0


def _find_strongest(estimate: Estimate | JointEstimate) -> tuple[int, float] | None:
    """Return the point whose z is farthest from zero (of F: the highest), and z; None where there is none."""
    is_t = isinstance(estimate, Estimate)
    z = make_t_maps(estimate)["z"] if isinstance(estimate, Estimate) else make_f_maps(estimate)["z"]
    height = np.abs(z) if is_t else z
    point = int(np.argmax(np.where(np.isfinite(height), height, -np.inf)))
    return (point, float(z[point])) if np.isfinite(z[point]) else None


def _follow(run: RunCurves, curve: Curve, shapes: Matrix, place: int) -> Estimate:
    """Return the points of a response in a run; ``place`` is a flat index of its grid."""
    voxel = int(np.searchsorted(np.flatnonzero(run.geometry.mask), place))
    return estimate_curve(run.model, curve.columns, curve.effects[:, voxel], shapes, voxel)


def _fill(values: Map, rows: Mask) -> tuple[float, ...]:
    """Return points as a record holds them, 0 where no column says anything."""
    filled = np.zeros(len(rows))
    filled[rows] = values
    return _plain(filled)


def _plain(values: Iterable[float] | Numbers) -> tuple[float, ...]:
    """Return numbers as a record holds them, to some digits."""
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)
