"""The two fits of the participant stage: a run, and estimates combined. What is fitted is written at once."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bidsapp import names
from bidsapp.design.diagnostics import Diagnosis
from bidsapp.errors import about, find_cautions
from bidsapp.inputs.dataset.anatomy import find_anatomy
from bidsapp.inputs.images.read import intersect_masks
from bidsapp.inputs.tables.confounds import read_motion
from bidsapp.job.threads import map_in_threads
from bidsapp.outputs.describe import describe_estimate, describe_run
from bidsapp.outputs.estimates import write_estimate, write_fit_maps
from bidsapp.outputs.images import write_mask
from bidsapp.outputs.saved.participant import EstimateRecord, LeftOutRecord, RunRecord
from bidsapp.outputs.tables import write_contrasts, write_design
from bidsapp.participant.noise_record import caution_of_noise, describe_noise, noise_fields, review_noise
from bidsapp.participant.responses import RunCurves, keep_curves
from bidsapp.participant.series import fit_series, open_blocks, write_residuals
from bidsapp.records.arrays import Matrix
from bidsapp.records.documents import Document
from bidsapp.records.maps import Contrast, Estimate, EstimateKey, Geometry, JointEstimate
from bidsapp.records.plan import CombineFit, RunFit, SubjectPlan
from bidsapp.settings.parts import RunOptions
from bidsapp.stats.run.derivative_boost import estimate_boosted_t
from bidsapp.stats.run.fixed_effects import combine_joint_estimates, combine_with_shares
from bidsapp.stats.run.glm import FittedRun, correlate_contrasts, estimate_f, estimate_t
from bidsapp.stats.run.maps import make_f_maps, make_t_maps
from bidsapp.stats.run.shared_noise import Part, RunContrasts, combine_dependent, join_parts, share_noise
from bidsapp.version import __version__

UNITS = {"percent": "% signal change", "none": "image units"}


@dataclass(frozen=True)
class Fitted:
    """An estimate with its key, geometry, record, what it was made from, and the curves of its run."""

    key: EstimateKey
    geometry: Geometry
    estimate: Estimate | JointEstimate
    record: EstimateRecord
    parts: tuple[Part, ...] = ()
    curves: RunCurves | None = None


def fit_run(
    fit: RunFit, options: RunOptions, output_dir: Path, n_threads: int
) -> tuple[list[Fitted], RunRecord, list[str]]:
    """Fit one run, write its estimates, and return them with the run's record.

    Parameters
    ----------
    fit : RunFit
    options : RunOptions
    output_dir : Path
    n_threads : int

    Returns
    -------
    fitted : list of Fitted
        One for each contrast that this run can make.
    record : RunRecord
    notes : list of str
        What the user should know of the run, as far as its series tells it.
    """
    run, planned = fit.runs[0], fit.notes
    geometry, model, fit, without, residuals = fit_series(fit, options, n_threads)
    made = [(contrast, estimate(model, contrast, fit, options)) for contrast in fit.contrasts]
    quality = assess_contrasts(fit)
    noise = describe_noise(model, options.noise_model, [estimate.dof for _, estimate in made])
    noise = replace(noise, check=review_noise(residuals, model, fit, geometry))
    repetition_time = min(run.repetition_time for run in fit.runs)
    fit = replace(fit, notes=(*fit.notes, *caution_of_noise(noise, repetition_time)))
    fields = sidecar_fields(fit.node, "run", fit.entities, warnings_of(fit), options)
    fields |= noise_fields(noise) | fit.made_with
    files, paths = write_run(fit, model, geometry, output_dir, quality, fields), None
    if options.residuals:
        read = partial(
            open_blocks, fit, geometry=geometry, without=without, options=options, n_threads=n_threads
        )
        paths = write_residuals(fit, model, geometry, options, output_dir, read)
    details = {
        "units": UNITS[options.scaling],
        "method": describe_method(fit, options),
        "runs": [fit.label],
        "made_with": fit.made_with,
        "warnings": warnings_of(fit),
    }

    curves = keep_curves(fit, model, geometry)

    def write(item: tuple[Contrast, Estimate | JointEstimate]) -> Fitted:
        contrast, estimate = item
        key = EstimateKey(fit.node, "run", contrast.name, tuple(fit.entities.items()))
        record = describe_estimate(key, estimate, asked=fit.asked.get(contrast.name), **details)
        more = noise_fields(noise, estimate)
        entry = Fitted(key, geometry, estimate, record, curves=curves)
        return write_fitted(entry, options, output_dir, more)

    fitted = map_in_threads(write, made, n_threads)
    if not options.derivative_boost:  # boosted effects are no weighted sums
        fitted = add_parts(fitted, model, fit)
    record = RunRecord(
        **describe_run(run, fit),
        **files,
        residuals=None if paths is None else tuple(paths),
        noise_model=noise.model,
        noise=noise,
        motion={name: tuple(values) for name, values in read_motion(run.confounds).items()},
        anatomy=_from_output(find_anatomy(run), output_dir),
        vif=dict(quality["VarianceInflation"]),
    )
    return fitted, record, [about(fit.label, note) for note in fit.notes if note not in planned]


def _from_output(path: Path | None, output_dir: Path) -> str | None:
    return Path(os.path.relpath(path, output_dir)).as_posix() if path else None


def add_parts(fitted: list[Fitted], model: FittedRun, fit: RunFit) -> list[Fitted]:
    """Return the t estimates of a run with what they share, F estimates as they are."""
    estimates = [item.estimate for item in fitted if isinstance(item.estimate, Estimate)]
    if not estimates:
        return fitted
    is_t = [isinstance(item.estimate, Estimate) for item in fitted]
    contrasts = [contrast for contrast, wanted in zip(fit.contrasts, is_t, strict=True) if wanted]
    by_voxel = [estimate.dof for estimate in estimates if isinstance(estimate.dof, np.ndarray)]
    run = RunContrasts(
        label=fit.label,
        variances=tuple(estimate.variance for estimate in estimates),
        correlations=correlate_contrasts(model, contrasts),
        bins=model.noise.bins,
        dof=tuple(by_voxel) if by_voxel else float(model.dof),
    )
    numbers = iter(range(len(contrasts)))
    return [
        replace(item, parts=(Part(run, {next(numbers): 1.0}),)) if t else item
        for item, t in zip(fitted, is_t, strict=True)
    ]


def warnings_of(fit: RunFit) -> list[str]:
    """Return what the results of a run depend on, for the sidecars of its maps."""
    return [str(about(fit.label, note)) for note in find_cautions(fit.notes)]


def describe_method(fit: RunFit, options: RunOptions) -> str:
    """Return how a run is estimated, in words."""
    regions = {
        "none": "",
        "mean": " of the mean of each region",
        "pca": " of the first component of each region",
    }
    boost = ", derivative boost" if options.derivative_boost else ""
    return f"run GLM{regions[fit.aggregate]}{boost}"


def estimate(
    model: FittedRun, contrast: Contrast, fit: RunFit, options: RunOptions
) -> Estimate | JointEstimate:
    """Return the estimate of a contrast of a fitted run."""
    if contrast.test == "F":
        return estimate_f(model, contrast)
    if options.derivative_boost:
        return estimate_boosted_t(model, contrast, fit.design.matrix)
    return estimate_t(model, contrast)


def assess_contrasts(fit: RunFit) -> dict[str, dict[str, float]]:
    """Return how well the design can estimate each contrast from the volumes that are kept."""
    diagnosis = Diagnosis(fit.design.matrix[fit.keep])
    measures = {"VarianceInflation": diagnosis.variance_inflation, "Efficiency": diagnosis.efficiency}
    return {
        name: {contrast.name: measure(contrast.weights) for contrast in fit.contrasts}
        for name, measure in measures.items()
    }


def write_run(
    fit: RunFit,
    model: FittedRun,
    geometry: Geometry,
    output_dir: Path,
    quality: Document,
    fields: Document,
) -> Document:
    """Write the mask, design, weights and model-fit maps of a run; return what its record says of them."""
    out, entities = output_dir, fit.entities
    mask = names.mask_path(entities)
    write_mask(out / mask, geometry, space=entities.get("space"), description="Voxels analysed")
    design = names.design_path(entities, node=fit.node)
    write_design(out / design, fit.design, {name: {"Description": d} for name, d in fit.descriptions.items()})
    table = names.contrasts_path(entities, node=fit.node)
    write_contrasts(out / table, fit.contrasts, fit.design.columns, quality)
    maps = {"rsquare": model.r_square, "sigmasquared": model.sigma_square, "tsnr": model.tsnr}
    maps |= {f"ar{order + 1}": values for order, values in enumerate(model.autocorrelation)}
    return {
        "mask": mask,
        "design": design,
        "contrast_table": table,
        "model_fit": write_fit_maps(out, fit.node, entities, maps, geometry, fields),
        "n_voxels": geometry.n_points,
        "dof": float(model.dof),
        "censored": np.flatnonzero(~fit.keep).tolist(),
    }


def combine_fits(
    fit: CombineFit, fitted: Sequence[Fitted], subject: SubjectPlan, options: RunOptions, output_dir: Path
) -> list[Fitted]:
    """Combine estimates of a subject by fixed effects, write and return the results.

    Parameters
    ----------
    fit : CombineFit
    fitted : list of Fitted
        Everything of the subject so far; inputs that are not there (a run failed) are left out.
    subject : SubjectPlan
        Says which runs are left out and why.
    options : RunOptions
    output_dir : Path

    Returns
    -------
    list of Fitted
        Empty where no input is there.
    """
    rows = [index for index, key in enumerate(fit.inputs) for entry in fitted if entry.key == key]
    inputs = [entry for key in fit.inputs for entry in fitted if entry.key == key]
    if not inputs:
        return []
    geometry = intersect_masks([entry.geometry for entry in inputs], [entry.record.mask for entry in inputs])
    inputs = on_common_rows([restrict(entry, geometry) for entry in inputs])
    if not inputs:
        return []
    used = sorted({label for entry in inputs for label in entry.record.runs})
    left_out = describe_left_out(fit, subject.runs, used)
    warnings = [note for entry in inputs for note in entry.record.warnings]
    warnings += [*subject.problems, *(f"{one.run} is left out: {one.reason}" for one in left_out)]
    details = {
        "units": UNITS[options.scaling],
        "method": "passed through" if len(inputs) == 1 else method_in_words(fit, options.fixed_effects),
        "runs": used,
        "left_out": left_out,
        "warnings": list(dict.fromkeys(warnings)),
        "made_with": inputs[0].record.made_with,
    }
    made = []
    for contrast in fit.contrasts:
        method = options.fixed_effects if fit.method == "fixed" else fit.method
        estimate, parts = combine(inputs, fit.design.matrix[rows], contrast, method)
        key = EstimateKey(fit.node, fit.level, contrast.name, tuple(fit.entities.items()))
        asked = inputs[0].record.asked if contrast.name == inputs[0].record.contrast else None
        record = describe_estimate(key, estimate, asked=asked, **details)
        entry = Fitted(key, geometry, estimate, record, parts if fit.goes_on else ())
        made.append(write_fitted(entry, options, output_dir))
    return made


def method_in_words(fit: CombineFit, fixed_effects: str) -> str:
    """Return how the estimates of several inputs are combined."""
    equal = fit.method == "fixed" and fixed_effects == "equal"
    return "fixed effects, equal weights" if equal else fit.method_in_words


def describe_left_out(fit: CombineFit, runs: Iterable[RunFit], used: Sequence[str]) -> list[LeftOutRecord]:
    """Return the runs that could have been inputs of a combination and are not, with the reasons."""
    return [
        LeftOutRecord(
            run=run.label, reason=run.skipped.get(fit.contrast or "", "the run could not be fitted")
        )
        for run in runs
        if run.label not in used and fit.entities.items() <= run.entities.items()
    ]


def combine(
    inputs: Sequence[Fitted], matrix: Matrix, contrast: Contrast, method: str
) -> tuple[Estimate | JointEstimate, tuple[Part, ...]]:
    """Return the combination of inputs on one geometry, and what it was made from.

    Effects are combined for t, joint effects for F. Inputs that share a run are combined with their
    covariance; of the others an F test needs the covariance of its rows too.
    """
    joint = [entry.estimate for entry in inputs if isinstance(entry.estimate, JointEstimate)]
    assert len(joint) in (0, len(inputs)), "inputs of one contrast are all of one kind"
    if joint:
        return combine_joint_estimates(joint, name=contrast.name, method=method), ()
    estimates = [entry.estimate for entry in inputs if isinstance(entry.estimate, Estimate)]
    parts = [entry.parts for entry in inputs]
    if contrast.test == "F":
        return combine_dependent(estimates, parts, matrix, contrast, method=method)[0], ()
    if share_noise(parts):
        estimate, carried = combine_dependent(estimates, parts, matrix, contrast, method=method)
        return estimate, join_parts(parts, carried)
    more = {"method": method, "name": contrast.name}
    estimate, carried = combine_with_shares(estimates, matrix, contrast.weights, **more)
    return estimate, join_parts(parts, carried)


def restrict(entry: Fitted, geometry: Geometry) -> Fitted:
    """Return an entry on a geometry whose points all belong to its own."""
    inside = geometry.mask[entry.geometry.mask]
    estimate = entry.estimate
    dof = estimate.dof[inside] if isinstance(estimate.dof, np.ndarray) else estimate.dof
    parts = tuple(part.restrict(inside) for part in entry.parts)
    inner: Estimate | JointEstimate
    if isinstance(estimate, Estimate):
        inner = Estimate(estimate.contrast, estimate.effect[inside], estimate.variance[inside], dof)
    else:
        covariance = estimate.covariance[..., inside]
        inner = JointEstimate(estimate.contrast, estimate.effect[:, inside], covariance, dof)
    return replace(entry, geometry=geometry, estimate=inner, parts=parts)


def on_common_rows(inputs: list[Fitted]) -> list[Fitted]:
    """Return entries of an F test with the rows that all of them test; none where there is no such row."""
    rows = [list(entry.record.asked or ()) for entry in inputs]
    common = [name for name in rows[0] if all(name in others for others in rows)]
    if not isinstance(inputs[0].estimate, JointEstimate) or all(own == rows[0] for own in rows):
        return inputs
    if not common:
        return []
    return [_keep_rows(entry, own, common) for entry, own in zip(inputs, rows, strict=True)]


def _keep_rows(entry: Fitted, rows: Sequence[str], kept: Sequence[str]) -> Fitted:
    places, estimate = [rows.index(name) for name in kept], entry.estimate
    assert isinstance(estimate, JointEstimate)  # as all inputs of an F test
    covariance = estimate.covariance[np.ix_(places, places)]
    inner = JointEstimate(estimate.contrast, estimate.effect[places], covariance, estimate.dof)
    asked = entry.record.asked or {}
    record = replace(entry.record, asked={name: asked[name] for name in kept})
    return replace(entry, estimate=inner, record=record)


def write_fitted(
    fitted: Fitted, options: RunOptions, output_dir: Path, more_fields: Document | None = None
) -> Fitted:
    """Write the maps of an estimate, with more fields in their sidecars; return it with their paths."""
    estimate, record = fitted.estimate, fitted.record
    is_t = isinstance(estimate, Estimate)
    maps = make_t_maps(estimate) if isinstance(estimate, Estimate) else make_f_maps(estimate)
    fields = sidecar_fields(record.node, record.level, record.entities, record.warnings, options) | {
        "ContrastName": record.contrast,
        "Test": record.test,
        "AlternativeHypothesis": "two-sided" if is_t else "upper tail",
        "EstimationMethod": record.method,
        "DegreesOfFreedom": record.dof,
        "Runs": record.runs,
        "ConditionList": list(record.asked) if record.asked else None,
        "Weights": list(record.asked.values()) if record.asked and is_t else None,
        **(record.made_with or {}),
        **(more_fields or {}),
    }
    paths = write_estimate(output_dir, fitted.key, maps, fitted.geometry, fields)
    if record.level != "run":
        write_mask(output_dir / record.mask, fitted.geometry, space=record.entities.get("space"))
    return replace(fitted, record=replace(record, maps=paths))


def sidecar_fields(
    node: str, level: str, entities: Mapping[str, str], warnings: Sequence[str], options: RunOptions
) -> Document:
    """Return the fields that the sidecars of all maps of a fit share."""
    return {
        "SpatialReference": entities.get("space"),
        "NodeName": node,
        "NodeLevel": level.capitalize(),
        "SmoothingFWHM": options.smoothing_fwhm,
        "Scaling": options.scaling,
        "units": UNITS[options.scaling],
        "NoiseModel": options.noise_model,
        "NoiseSmoothingFWHM": options.noise_smoothing_fwhm,
        "FixedEffects": options.fixed_effects,
        "DerivativeBoost": options.derivative_boost,
        "TaskGLMVersion": __version__,
        "Warnings": warnings or None,
    }
