"""What the group stage writes of each contrast: maps, thresholds, tables, nulls, its part of the record."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp import names
from bidsapp.group.detectable import Detectable
from bidsapp.group.discoveries import COLUMNS as DISCOVERY_COLUMNS
from bidsapp.group.discoveries import make_discoveries
from bidsapp.group.estimands import describe_estimand
from bidsapp.group.shuffling import describe_shuffles
from bidsapp.group.write_tables import TableWriter, is_template
from bidsapp.inference.conventions import conventions_of
from bidsapp.inference.pvalues import p_interval
from bidsapp.outputs.describe import describe_contrast
from bidsapp.outputs.estimates import write_described_map
from bidsapp.outputs.files import write_json
from bidsapp.outputs.images import write_mask, write_series
from bidsapp.outputs.saved.files import as_document
from bidsapp.outputs.saved.group import (
    ExcludedRecord,
    GroupContrastRecord,
    InputRecord,
    MainThresholdRecord,
    MemberRecord,
    NullRecord,
    PermutationRecord,
    SmoothnessRecord,
    ThresholdRecord,
)
from bidsapp.outputs.sidecars import map_sidecar
from bidsapp.outputs.tables import write_contrasts, write_design, write_table
from bidsapp.plan.mixtures import describe_facts, shared_facts
from bidsapp.records.arrays import Map
from bidsapp.records.documents import Document
from bidsapp.records.maps import (
    OTHER_STATISTICS,
    Contrast,
    EffectStack,
    EstimateFile,
    Geometry,
    GroupEstimate,
    Inference,
    InferenceOptions,
    Smoothness,
    Threshold,
)
from bidsapp.records.plan import DatasetFit, DatasetModel
from bidsapp.settings.parts import GroupOptions
from bidsapp.tables.atlas import read_atlases
from bidsapp.version import __version__
from bidsapp.vocabulary.statistics import STATISTICS
from bidsapp.vocabulary.thresholds import THRESHOLDS, words_of_tail

# Beyond it, -log10 p says nothing that float32 readers could use.
MAX_LOGP = 300.0
# A sentence names no more columns of a design.
MAX_NAMED = 8


@dataclass(frozen=True)
class GroupResult:
    """Everything that was computed of one group contrast."""

    fit: DatasetFit
    contrast: Contrast
    stack: EffectStack
    estimate: GroupEstimate
    inference: Inference | None
    thresholds: list[Threshold]
    warnings: list[str]
    main: MainThresholdRecord
    estimator: str = "ordinary least squares"
    detectable: Detectable | None = None
    smoothness: Smoothness | None = None


class ContrastWriter:
    """Writes the files of one group contrast; all their names and sidecars share its entities and fields.

    Parameters
    ----------
    result : GroupResult
    group : GroupOptions
    options : InferenceOptions
    output_dir : Path
    """

    def __init__(
        self, result: GroupResult, group: GroupOptions, options: InferenceOptions, output_dir: Path
    ) -> None:
        self._result, self._group, self._options, self._out = result, group, options, output_dir
        self._name = result.contrast.name
        self._maps = collect_maps(result)
        self._statistic = next(name for name in ("F", "t", "z") if name in self._maps)
        # A conjunction weighs nothing.
        weighs = result.estimate.test != "z"
        self._estimand = describe_estimand(result.fit, result.contrast) if weighs else None
        # What was decided at the participant level. This level has a version of its own.
        self._made_with = shared_facts(result.fit.inputs) | {"TaskGLMVersion": __version__}
        self._tables = TableWriter(result, self._maps, group, options.connectivity, output_dir)

    def write(self, influence: str | None = None) -> GroupContrastRecord:
        """Write everything and return the record of the contrast; ``influence`` is the path of that table."""
        result, fit, name, inference = self._result, self._result.fit, self._name, self._result.inference
        return GroupContrastRecord(
            name=name,
            input_contrast=fit.contrast,
            input_weights=input_weights(fit),
            design=group_design_path(fit),
            coverage=_coverage_path(fit),
            excluded=tuple(ExcludedRecord(subject=s, reason=why) for s, why in fit.excluded.items()),
            group_contrast=fit.group_contrasts.get(name, "1"),
            descriptive=name in fit.descriptive,
            test=result.estimate.test,
            dof=_common_dof(result.estimate),
            weights=describe_contrast(result.contrast).weights,
            estimand=self._estimand,
            n_subjects=len(set(result.stack.labels)),
            units=effect_units(fit, result.contrast),
            input_units=input_units(fit),
            maps={stat: self.write_map(stat, values) for stat, values in self._maps.items()}
            | self._write_detectable(),
            detectable=None if result.detectable is None else result.detectable.describe(),
            smoothness=None if result.smoothness is None else describe_smoothness(result.smoothness),
            inputs=tuple(
                describe_input(entry, self._out, cell)
                for entry, cell in zip(fit.inputs, fit.input_cells, strict=True)
            ),
            tested=tested_path(fit, self._group),
            main_threshold=result.main,
            nulls=None if inference is None else self.write_inference(inference),
            permutation=None if inference is None else describe_permutation(inference),
            discoveries=self.write_discoveries(),
            thresholds=tuple(map(self.write_threshold, result.thresholds)),
            strongest=self._tables.write_strongest(self._statistic),
            influence=influence,
        )

    def _path(self, stat: str, desc: str | None = None) -> str:
        fit = self._result.fit
        return names.map_path(fit.entities, node=fit.node, contrast=self._name, stat=stat, desc=desc)

    def write_map(self, stat: str, values: Map, desc: str | None = None, **fields: object) -> str:
        """Write a map of the contrast and return its path."""
        result = self._result
        path = self._path(stat, desc)
        # Estimators number the variance groups.
        quantity, _, number = stat.partition("_")
        shared = {
            "group": variance_levels(result.fit)[int(number) - 1] if number else None,
            "units": input_units(result.fit),
            "effect_units": effect_units(result.fit, result.contrast),
            "SpatialReference": result.fit.entities.get("space"),
            "ContrastName": result.contrast.name,
            "InputContrast": result.fit.contrast,
            "Estimand": self._estimand and self._estimand.text,
            "EstimandWeights": self._estimand and self._estimand.weights,
            "Test": result.estimate.test,
            "NodeName": result.fit.node,
            "NodeLevel": "Dataset",
            "EstimationMethod": f"{result.estimator}, on the subjects' effects",
            "DegreesOfFreedom": _common_dof(result.estimate),
            "MainThreshold": result.main.method,
            "MainThresholdDeclared": result.main.declared,
            "AlternativeHypothesis": words_of_tail(result.estimate.test, self._group.tail),
            "NumberOfSubjects": len(set(result.stack.labels)),
            "GroupSmoothingFWHM": self._group.group_smoothing_fwhm,
            "ResampledInputs": list(result.fit.resampled) or None,
            **self._made_with,
        }
        write_described_map(
            self._out, path, values, result.stack.geometry, map_sidecar(quantity, **shared | fields)
        )
        return path

    def _write_detectable(self) -> dict[str, str]:
        found = self._result.detectable
        if found is None:
            return {}
        return {"detectable": self.write_map("detectable", found.values, **found.fields)}

    def write_inference(self, inference: Inference) -> tuple[NullRecord, ...]:
        """Write the maps of a test by shuffling and its null distributions; return the records of these."""
        for name, found in inference.statistics.items():
            words = STATISTICS[name]
            about = {"Inference": words.inference, **shuffle_fields(inference, name)}
            desc = words.threshold + tail_suffix(inference)
            self.write_map("logp", minus_log10(found.p_fwe), desc, Correction="FWE", **about)
            is_score = about["Statistic"] in OTHER_STATISTICS and words.observed is None
            stat = "score" if is_score else words.observed
            if stat:
                what = {"Description": f"shuffled statistic: {about['Statistic']}"} if is_score else {}
                self.write_map(stat, found.observed, **about, **what)
        if inference.p is not None:
            desc = "permUnc" + tail_suffix(inference)
            self.write_map(
                "logp", minus_log10(inference.p), desc, Correction="none", **shuffle_fields(inference)
            )
        return self._write_nulls(inference)

    def _write_nulls(self, inference: Inference) -> tuple[NullRecord, ...]:
        table, columns, about, nulls = self._table_path("nullmax"), {}, {}, []
        for name, found in inference.statistics.items():
            label, title = STATISTICS[name].threshold, STATISTICS[name].largest
            columns[label] = found.null_max
            about[label] = {"Description": f"{title}, the observed one first"}
            observed = float(found.null_max[0])
            nulls.append(
                NullRecord(statistic=label, title=title, column=label, observed=observed, table=table)
            )
        write_table(self._out / table, pd.DataFrame(columns), about)
        return tuple(nulls)

    def _table_path(self, kind: str) -> str:
        fit = self._result.fit
        return names.table_path(fit.entities, kind, node=fit.node, contrast=self._name)

    def write_discoveries(self) -> str | None:
        """Write how much of every atlas region is active; return the path, None where no region is."""
        result = self._result
        if not is_template(result.fit.entities):
            return None
        atlases = read_atlases(self._group.atlas)
        frame = make_discoveries(result.estimate, result.stack.geometry, atlases, self._options)
        if not len(frame):
            return None
        path = self._table_path("discoveries")
        write_table(self._out / path, frame, {name: DISCOVERY_COLUMNS[name] for name in frame.columns})
        return path

    def write_threshold(self, threshold: Threshold) -> ThresholdRecord:
        """Write the maps and tables of a threshold and return its record."""
        words, inference, statistic = THRESHOLDS[threshold.name], self._result.inference, self._statistic
        record = ThresholdRecord(
            method=threshold.name,
            title=threshold.description,
            alpha=threshold.alpha,
            tail=self._group.tail,
            statistic=statistic,
            cutoff=float(threshold.cutoff) if np.isfinite(threshold.cutoff) else None,
            scale=threshold.scale,
            **(formed_at(inference) if inference and words.statistic and words.is_formed else {}),
            forming_p=self._options.cluster_forming_p if words.is_formed else None,
            reason=threshold.reason,
            warnings=threshold.warnings,
            n_voxels=int(np.count_nonzero(threshold.surviving)),
            n_clusters=0,
            surviving=self._write_surviving(threshold, statistic),
            p_map=self._write_adjusted(threshold),
            share_map=self._write_shares(threshold),
        )
        return self._tables.write(threshold, record)

    def _write_surviving(self, threshold: Threshold, statistic: str) -> str | None:
        words = THRESHOLDS[threshold.name]
        if not words.is_written or threshold.reason:
            return None
        surviving = np.where(threshold.surviving, self._maps[statistic], 0.0)
        fields = {"Correction": words.controls, "Description": threshold.description}
        return self.write_map(statistic, surviving, f"{threshold.name} thr", **fields)

    def _write_adjusted(self, threshold: Threshold) -> str | None:
        """Write the q or corrected p of a threshold; return its path, None where it has none."""
        words, inference, adjusted = THRESHOLDS[threshold.name], self._result.inference, threshold.adjusted
        if threshold.reason or adjusted is None:
            return None
        fields = {"Correction": words.controls, "Description": threshold.description}
        if words.statistic and inference is not None:
            # With the test by shuffling.
            return self._path("logp", threshold.name + tail_suffix(inference))
        if words.controls == "FDR":
            if words.needs == "shuffles" and inference is not None:
                fields |= shuffle_fields(inference)
            return self.write_map("q", adjusted, threshold.name, **fields)
        return (
            self.write_map("logp", minus_log10(adjusted), threshold.name, **fields)
            if words.controls == "FWE"
            else None
        )

    def _write_shares(self, threshold: Threshold) -> str | None:
        """Write the share of active voxels of the clusters of a threshold; None of one that tells none."""
        words = THRESHOLDS[threshold.name]
        if words.controls != "TDP" or threshold.reason or threshold.adjusted is None:
            return None
        fields = {"Correction": words.controls, "Description": threshold.description}
        return self.write_map("tdp", 1 - threshold.adjusted, threshold.name, **fields)


def formed_at(inference: Inference) -> Document:
    """Return at which value clusters are formed, and what it is a value of, as fields of a record."""
    said = inference.conventions
    is_other = said["Statistic"] in OTHER_STATISTICS and said["ClusterScale"] != "z"
    scale = said["Statistic"] if is_other else said["ClusterScale"]
    return {"forming": inference.forming, "forming_scale": scale}


def describe_smoothness(smoothness: Smoothness) -> SmoothnessRecord:
    """Return what a record says of the smoothness of the residuals."""
    return SmoothnessRecord(
        fwhm_voxels=tuple(smoothness.fwhm_voxels.tolist()),
        resels=tuple(smoothness.resels.tolist()),
        n_voxels=smoothness.n_points,
    )


def describe_permutation(inference: Inference) -> PermutationRecord:
    """Return what a record says of how a contrast was shuffled."""
    said = inference.conventions
    return PermutationRecord(
        n_shuffles=inference.n_shuffles,
        n_distinct=inference.n_distinct,
        exact=inference.exact,
        scheme=inference.scheme,
        mode=said["ShuffleMode"],
        words=describe_shuffles(inference),
        scheme_reason=said["SchemeReason"],
        statistic=said["Statistic"],
        scale=said["TFCEScale"],
        seed=inference.options.seed,
        smallest_p=inference.smallest_p,
        family=said["Family"],
        incomplete_voxels=said["IncompleteVoxels"],
        warnings=inference.warnings,
    )


def write_shared(
    model: DatasetModel, stacks: Sequence[EffectStack], output_dir: Path, *, estimator: str
) -> Document:
    """Write what all contrasts of a Dataset node share and return the fields of its record.

    The mask holds the voxels that any contrast was tested in; design and weights are those of the fit with
    the most subjects, the first of them.

    Parameters
    ----------
    model : DatasetModel
    stacks : list of EffectStack
        Of each fit; the effects are not used.
    output_dir : Path
    estimator : str
        In words.
    """
    out, entities = output_dir, model.entities
    fit = max(model.fits, key=lambda fit: len(fit.subjects))
    affine = stacks[0].geometry.affine
    geometry = Geometry(np.any([stack.geometry.mask for stack in stacks], axis=0), affine)
    mask = names.mask_path(entities, node=model.node)
    words = "Voxels that a contrast was tested in"
    write_mask(out / mask, geometry, space=entities.get("space"), description=words)
    weights = names.contrasts_path(entities, node=model.node)
    estimands = {one.name: as_document(describe_estimand(fit, one)) for one in fit.contrasts}
    write_contrasts(out / weights, fit.contrasts, fit.design.columns, {"Estimands": estimands})
    return {
        "mask": mask,
        "coverage": _coverage_path(fit),
        "design": group_design_path(fit),
        "contrast_table": weights,
        "n_voxels": geometry.n_points,
        "voxel_size_mm": np.sqrt(np.square(affine[:3, :3]).sum(axis=0)).round(6).tolist(),
        "description": describe_model(model.fits),
        "formula": fit.formula or None,
        "groups": describe_groups(model) or None,
        "graph": fit.graph,
        "estimator": estimator,
        "made_with": describe_facts([entry for fit in model.fits for entry in fit.inputs]),
        "subjects": describe_subjects(model),
    }


def describe_groups(model: DatasetModel) -> dict[str, list[str]]:
    """Return the levels of a formula's first factor with the participants that have them; else nothing."""
    groups: dict[str, list[str]] = {}
    for fit in model.fits:
        placed: set[int] = set()
        for name, rows in fit.levels.items():
            # Its levels come first, and have every row once.
            if len(placed) < len(fit.subjects):
                groups[name] = list(
                    dict.fromkeys([*groups.get(name, []), *(fit.subjects[row] for row in rows)])
                )
                placed.update(rows)
    return groups


def group_design_path(fit: DatasetFit) -> str:
    """Return the path of the design of a fit."""
    return names.design_path(fit.entities, node=fit.node, contrast=fit.contrast)


def write_fit(fit: DatasetFit, stack: EffectStack, output_dir: Path) -> None:
    """Write the design of a fit and its coverage."""
    descriptions = {name: {"Description": "Column of the group design"} for name in fit.design.columns}
    write_design(output_dir / group_design_path(fit), fit.design, descriptions)
    write_coverage(fit, stack, output_dir)


def write_tested(fit: DatasetFit, stack: EffectStack, group: GroupOptions, output_dir: Path) -> None:
    """Write effects of the inputs as they are tested, a volume an input, where this level changes them."""
    path = tested_path(fit, group)
    if path is None:
        return
    space, n = fit.entities.get("space"), len(stack.effect)
    write_series(
        output_dir / path, [stack.effect], stack.geometry, n_volumes=n, repetition_time=0.0, space=space
    )
    sidecar = {
        "Description": "Effects of the inputs as they are tested, in their order, smoothed and resampled",
        "Units": input_units(fit) or "unit of the inputs",
        "GroupSmoothingFWHM": group.group_smoothing_fwhm,
        "ResampledInputs": list(fit.resampled),
        "Inputs": [_relative(entry.effect, output_dir, entry.reading.effect) for entry in fit.inputs],
        "SpatialReference": space,
    }
    write_json(output_dir / names.sidecar_path(path), sidecar)


def tested_path(fit: DatasetFit, group: GroupOptions) -> str | None:
    """Return the path of the effects as they are tested; None where each is a file of the inputs."""
    alone = all(entry.reading.effect is None for entry in fit.inputs)
    if not group.group_smoothing_fwhm and not group.resample and alone:
        return None
    return names.tested_effects_path(fit.entities, node=fit.node, contrast=fit.contrast or "all")


def write_coverage(fit: DatasetFit, stack: EffectStack, output_dir: Path) -> None:
    """Write how many inputs have data in each voxel, over all voxels that any has, where that was counted."""
    coverage = stack.coverage
    if coverage is None:
        return
    everywhere = Geometry(np.greater(coverage, 0), stack.geometry.affine)
    path = _coverage_path(fit)
    fields: Document = {
        "SpatialReference": fit.entities.get("space"),
        "NumberOfSubjects": len(set(stack.labels)),
    }
    sidecar = map_sidecar("coverage", NodeName=fit.node, **fields)
    write_described_map(output_dir, path, coverage[everywhere.mask].astype(np.float32), everywhere, sidecar)


def _coverage_path(fit: DatasetFit) -> str:
    return names.coverage_path(fit.entities, node=fit.node, contrast=fit.contrast or "all")


def describe_model(fits: Sequence[DatasetFit]) -> str:
    """Return the model of a node in a sentence or two; what is asked of it is said of each contrast."""
    within = [(str(fit.contrast), fit.within.cells) for fit in fits if fit.within]
    if not within:
        return _describe_between(fits)
    names = ", ".join(dict.fromkeys(name for name, _ in within))
    cells = dict.fromkeys(cell for _, own in within for cell in own)
    return (
        f"Repeated measures: contrasts within subjects ({names}) of {len(cells)} cells "
        f"({', '.join(cells)}). {_describe_between(fits)}"
    )


def _describe_between(fits: Sequence[DatasetFit]) -> str:
    """Return the model over subjects in a sentence: that of the fit with the most of them."""
    fit = max(fits, key=lambda fit: len(fit.subjects))
    n_subjects, n_rows = len(set(fit.subjects)), len(fit.subjects)
    if fit.design.matrix.shape[1] == 1 and (fit.design.matrix == 1).all():
        return f"One-sample model: the mean over {n_subjects} subjects."
    who = f"{n_subjects} subjects" if n_subjects == n_rows else f"{n_rows} maps of {n_subjects} subjects"
    columns = fit.design.columns
    named = f"the columns {', '.join(columns)}" if len(columns) <= MAX_NAMED else f"{len(columns)} columns"
    return f"General linear model of {who} with {named}. {fit.coding}".strip()


def describe_subjects(model: DatasetModel) -> tuple[MemberRecord, ...]:
    """Return who is in the model and who is not, and why; a subject may be in some contrasts only."""
    missing: defaultdict[str, list[str]] = defaultdict(list)
    covariates: dict[str, dict[str, float]] = {}
    for fit in model.fits:
        for label, reason in fit.excluded.items():
            missing[label].append(f"{fit.contrast}: {reason}")
        covariates |= {label: fit.covariates.get(label, {}) for label in fit.design.rows}
    return tuple(
        MemberRecord(
            label=label,
            used=label in covariates,
            reason="; ".join(missing[label]),
            covariates=covariates.get(label, {}),
        )
        for label in sorted(missing.keys() | covariates)
    )


def collect_maps(result: GroupResult) -> dict[str, Map]:
    """Return the maps of a contrast by their stat label."""
    estimate = result.estimate
    if estimate.test == "z":
        maps = {}
    elif estimate.test == "t":
        variance = {} if estimate.variance is None else {"variance": estimate.variance}
        maps = {"effect": estimate.effect, **variance, "t": estimate.statistic}
    else:
        maps = {"F": estimate.statistic}
    more = {stat: values for stat, values in estimate.maps.items() if stat != "n" or np.ptp(values)}
    if _varies(estimate.dof):
        more["dof"] = estimate.dof
    return maps | {"z": estimate.z, "p": estimate.p, **more}


def variance_levels(fit: DatasetFit) -> list[str]:
    """Return the variance groups of a fit in the order of their numbers."""
    return sorted(set(fit.variance_groups))


def input_weights(fit: DatasetFit) -> dict[str, float] | None:
    """Return condition -> weight of the participants' contrast; None where sidecars do not say, or differ."""
    said = [(entry.metadata.get("ConditionList"), entry.metadata.get("Weights")) for entry in fit.inputs]
    names, weights = said[0] if said and all(one == said[0] for one in said) else (None, None)
    if (
        fit.contrast is None
        or fit.within
        or not names
        or not weights
        or len(names) != len(weights)
        or isinstance(weights[0], list)
    ):
        return None
    return {name.removeprefix("trial_type."): float(w) for name, w in zip(names, weights, strict=True) if w}


def input_units(fit: DatasetFit) -> str | None:
    """Return the unit of the inputs' effects; None where no sidecar says it, or they differ."""
    units = {entry.metadata.get("Units") for entry in fit.inputs}
    return next(iter(units)) if len(units) == 1 else None


def effect_units(fit: DatasetFit, contrast: Contrast) -> str | None:
    """Return the unit of a contrast's effect: of a slope that of the inputs for one unit of the covariate."""
    units = input_units(fit)
    columns = dict(zip(fit.design.columns, fit.design.matrix.T, strict=True))
    used = [name for name, weights in zip(contrast.columns, contrast.weights.T, strict=True) if weights.any()]
    slopes = [name for name in used if not set(columns[name].tolist()) <= {0.0, 1.0}]
    if not units or not slopes or len(slopes) < len(used):
        return units
    return f"{units} per unit of {' or '.join(slopes)}"


def _varies(values: Map) -> bool:
    known = values[np.isfinite(values)]
    return bool(known.size > 0 and np.ptp(known) > 0)


def shuffle_fields(inference: Inference, name: str | None = None) -> Document:
    """Return the sidecar fields that state how the p of a statistic (None: uncorrected) came about."""
    counted = not inference.exact and (name is None or inference.options.tail_approximation == "none")
    return {
        "Permutations": inference.n_shuffles,
        "Exact": inference.exact,
        "Scheme": inference.scheme,
        "Seed": inference.options.seed,
        "DistinctArrangements": inference.n_distinct,
        "SmallestP": inference.smallest_p,
        # The 95 % interval (Clopper & Pearson) of a p that comes out as alpha; only where p counts draws.
        "ResamplingInterval": resampling_interval(inference) if counted else None,
        **conventions_of(inference, name),
    }


def resampling_interval(inference: Inference) -> list[float]:
    """Return the 95 % confidence limits of a p-value that is estimated at alpha."""
    lower, upper = p_interval(inference.options.alpha, inference.n_shuffles)
    return [round(float(lower), 6), round(float(upper), 6)]


def tail_suffix(inference: Inference) -> str:
    """Return what names of one-sided maps end in; two-sided maps and F are unmarked."""
    if inference.conventions.get("TwoSided") or inference.test not in ("t", "v"):
        return ""
    return {"positive": "Pos", "negative": "Neg"}.get(inference.options.tail, "")


def minus_log10(p: Map) -> Map:
    """Return -log10 p, finite."""
    with np.errstate(divide="ignore"):
        return np.minimum(-np.log10(p), MAX_LOGP)


def describe_input(entry: EstimateFile, output_dir: Path, cell: str) -> InputRecord:
    """Return the files of one input of a group model, relative to the output folder."""
    return InputRecord(
        subject=f"sub-{entry.key.entity('sub')}",
        effect=_relative(entry.effect, output_dir, entry.reading.effect),
        variance=_relative(entry.variance, output_dir, entry.reading.variance) if entry.variance else None,
        contrast=cell,
    )


def _relative(path: Path, output_dir: Path, volume: int | None) -> str:
    """Return a path from the output folder; of one volume of several with its number, as AFNI has it."""
    return Path(os.path.relpath(path, output_dir)).as_posix() + ("" if volume is None else f"[{volume}]")


def _common_dof(estimate: GroupEstimate) -> float | list[float | None] | None:
    dof = np.unique(estimate.dof[np.isfinite(estimate.dof)])
    value = float(dof[0]) if len(dof) == 1 else None
    return value if estimate.test in ("t", "z") else [estimate.dof_numerator, value]
