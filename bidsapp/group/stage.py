"""The group stage: read the subjects' estimates, fit every group model, test it, write tables and reports."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from bidsapp import names
from bidsapp.errors import EXIT_FAILURE, EXIT_OK, AppError, InputError, check_output, log_notes
from bidsapp.group.anatomy import write_mean_anatomy
from bidsapp.group.check import check_settings
from bidsapp.group.conjunctions import Conjunctions
from bidsapp.group.detectable import make_detectable
from bidsapp.group.fit import FittedGroup, estimator_in_words, fit_inputs, read_inputs
from bidsapp.group.influence import write_influence
from bidsapp.group.inputs import check_inputs, without_maps
from bidsapp.group.main_threshold import choose_main, order_thresholds
from bidsapp.group.regions import write_regions
from bidsapp.group.robustness import write_robustness
from bidsapp.group.shuffling import (
    Shuffled,
    ShuffleMonitor,
    blocks_of_rows,
    correct_family,
    find_smoothness,
    leave_out,
    make_evidence,
    make_options,
    mark_statistic,
    shuffle_contrast,
)
from bidsapp.group.warnings import warn_of_data
from bidsapp.group.write import ContrastWriter, GroupResult, write_fit, write_shared, write_tested
from bidsapp.inference.thresholds import THRESHOLDS
from bidsapp.inputs.estimates import MAKE_AGAIN, estimate_folders
from bidsapp.job.environment import find_memory_gb
from bidsapp.job.finished import fingerprint_model
from bidsapp.job.output_folder import prepare_output
from bidsapp.job.progress import Steps
from bidsapp.job.resume import Stopwatch, common_record, describe_call
from bidsapp.job.workers import group_workers, threads_of_a_test
from bidsapp.outputs.earlier import (
    drop_record,
    find_finished,
    measure_files,
    remove_outdated,
    take_record,
)
from bidsapp.outputs.exports.write import remove_exports, write_exports
from bidsapp.outputs.remarks import group_remarks
from bidsapp.outputs.saved.files import write_record
from bidsapp.outputs.saved.group import GroupContrastRecord, GroupRecord, RegionsRecord
from bidsapp.plan import make_group_plan
from bidsapp.plan.group.options import gather_notes
from bidsapp.records.documents import Document
from bidsapp.records.maps import InferenceOptions
from bidsapp.records.plan import DatasetFit, DatasetModel, GroupPlan
from bidsapp.report.pages import write_group_report, write_overview
from bidsapp.settings.parts import Settings

Fitted: TypeAlias = tuple[DatasetFit, FittedGroup, list[Shuffled]]

logger = logging.getLogger(__name__)
GROUP = names.top_folder({})


def run_stage(settings: Settings, work_dir: Path) -> int:
    """Run the group stage and return its exit code."""
    failures = []
    with Steps() as steps:
        if not settings.control.reports_only:
            with group_workers(settings.control.dask_scheduler):
                failures = run_models(make_group_plan(settings), settings, steps)
        try:
            tell = steps.begin("writing the report", "contrasts")
            write_group_report(settings.output_dir, tell, min_cluster=settings.control.report_min_cluster)
        except AppError as error:
            check_output(error)
            failures.append(str(error))
    write_overview(settings.output_dir)
    if settings.control.export:
        try:
            for path in write_exports(settings):
                logger.info("Exported %s", path)
        except AppError as error:
            check_output(error)
            failures.append(str(error))
    for failure in failures:
        logger.error("%s", failure)
    report = settings.output_dir / names.GROUP_REPORT
    if report.is_file():
        logger.info("Open %s", report)
    return EXIT_FAILURE if failures else EXIT_OK


def run_models(plan: GroupPlan, settings: Settings, steps: Steps) -> list[str]:
    """Run every group model; return the failures in words. A model that fails does not stop the others."""
    log_notes(logger, plan.notes)
    n_threads, memory_gb = threads_of_a_test(settings.control), find_memory_gb(settings.control.mem_gb)
    options = make_options(settings.permutation, settings.group, n_threads, memory_gb)
    check_settings(plan, settings.group, options)
    prepare_output(plan, settings.output_dir)
    failures = []
    for number, model in enumerate(plan.models, 1):
        try:
            line, faults = run_model(model, plan, settings, options, steps)
        except AppError as error:
            check_output(error)
            line, faults = f"{model.node}: failed", [str(error)]
        failures += [f"{model.node}: {fault}" for fault in faults]
        logger.info("%s (%d of %d)", line, number, len(plan.models))
    return failures


def run_model(
    model: DatasetModel, plan: GroupPlan, settings: Settings, options: InferenceOptions, steps: Steps
) -> tuple[str, list[str]]:
    """Run the fits of one Dataset node and write its record; return the progress line and what failed."""
    path = settings.output_dir / names.group_record_path(model.entities, model.node)
    fingerprint = fingerprint_model(model, plan, settings)
    finished = find_finished(path, GroupRecord, fingerprint)
    if finished:
        _warn(finished)
        return f"{model.node}: finished before, nothing changed", []
    before = take_record(path, GROUP)
    with Stopwatch() as watch:
        found = fit_model(model, settings, options, steps)
    record = None
    if found.contrasts:
        record = GroupRecord(
            **common_record("group", describe_call("group", plan, settings), fingerprint, watch),
            status="partial" if found.failures else "complete",
            message=" ".join(found.failures) or None,
            node=model.node,
            entities=model.entities,
            group_by=model.group_by,
            contrasts=tuple(found.contrasts),
            warnings=tuple(found.warnings),
            regions=tuple(found.regions),
            **found.shared,
        )
    n_removed = remove_outdated(settings.output_dir, before, record, GROUP)
    n_removed += remove_exports(settings.output_dir)
    if n_removed:
        logger.info("%s: %d files of an earlier analysis are removed", model.node, n_removed)
    if record:
        write_record(path, replace(record, written=measure_files(settings.output_dir, record, GROUP)))
    drop_record(path)
    if record:
        _warn(record)
    return f"{model.node}: {len(found.contrasts)} contrasts, {watch.seconds:.0f} s", found.failures


def _warn(record: GroupRecord) -> None:
    for remark in group_remarks(record):
        logger.warning("%s", remark)


@dataclass
class Findings:
    """What a Dataset node gave, for its record.

    ``shared`` are the fields of what all of its contrasts share; ``failures`` names contrasts whose maps
    cannot be read.
    """

    contrasts: list[GroupContrastRecord] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    regions: list[RegionsRecord] = field(default_factory=list)
    shared: Document = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def fit_model(model: DatasetModel, settings: Settings, options: InferenceOptions, steps: Steps) -> Findings:
    """Fit, test and write everything of a Dataset node."""
    found, fits, stacks = Findings(), [], []
    estimators: dict[str, list[str]] = {}
    group, output_dir = settings.group, settings.output_dir
    conjunctions = Conjunctions(group, options)
    done: Iterable[Fitted] = fit_each(model.fits, settings, options, found.failures, steps)
    if any(fit.family for fit in model.fits):
        # p-values of several contrasts are corrected together: all maps are held until the last is shuffled.
        done = list(done)
        correct_family(find_family(done))
    n_contrasts = sum(len(fit.contrasts) for fit in model.fits)
    for fit, fitted, shuffled in done:
        steps.begin(f"influence of each input on {_name(fit)}")
        fits.append(replace(fit, notes=(*fit.notes, *fitted.stack.notes)))
        stacks.append(without_maps(fitted.stack))
        estimators.setdefault(estimator_in_words(fitted), []).append(_name(fit))
        write_fit(fit, fitted.stack, output_dir)
        influence = write_influence(fit, fitted, output_dir)
        found.warnings += [*fitted.warnings, *warn_of_data(fit, fitted, shuffled)]
        for index, result in enumerate(analyse(fit, fitted, shuffled, group.main_threshold, options, steps)):
            place = f"{result.contrast.name} ({len(found.contrasts) + 1} of {n_contrasts})"
            steps.begin(f"writing {place}")
            record = ContrastWriter(result, group, options, output_dir).write(influence)
            steps.begin(f"robustness of {place}")
            robustness = write_robustness(record, result, fitted, index, options, output_dir)
            found.contrasts.append(replace(record, robustness=robustness))
            found.warnings += result.warnings
            conjunctions.add(result)
        found.regions += write_regions(fit, fitted, group, output_dir)
    for result in conjunctions.conjoin():
        found.contrasts.append(ContrastWriter(result, group, options, output_dir).write())
    model = replace(model, fits=tuple(fits))
    warnings = [*gather_notes(model), *found.warnings, *check_inputs(fits, stacks)]
    found.warnings = gather(warnings, found.contrasts)
    if fits:
        found.shared = write_shared(model, stacks, output_dir, estimator=join_estimators(estimators))
        roots = estimate_folders(settings.selection) or [output_dir]
        found.shared["background"] = write_mean_anatomy(model, roots, output_dir)
    return found


def join_estimators(estimators: Mapping[str, Sequence[str]]) -> str:
    """Return the estimators of a model, from words -> contrasts; where they differ, of which contrasts."""
    if len(estimators) == 1:
        return next(iter(estimators))
    return "; ".join(f"{words} ({', '.join(names)})" for words, names in estimators.items())


def find_family(done: Iterable[Fitted]) -> dict[str, Shuffled]:
    """Return the contrasts whose p-values are corrected together, by their names."""
    return {
        contrast.name: one
        for fit, _, shuffled in done
        for contrast, one in zip(fit.contrasts, shuffled, strict=True)
        if contrast.name in fit.family
    }


def fit_each(
    fits: Sequence[DatasetFit],
    settings: Settings,
    options: InferenceOptions,
    failures: list[str],
    steps: Steps,
) -> Iterator[Fitted]:
    """Yield every fit whose inputs can be read, what came out of it, and the `Shuffled` of its contrasts.

    One after another: the maps of a fit are in memory until the next is asked for. Why a fit cannot be made
    is added to ``failures``.
    """
    n_contrasts, number = sum(len(fit.contrasts) for fit in fits), 0
    for fit in fits:
        try:
            tell = steps.begin(f"reading the maps of {_name(fit)}", "maps")
            stack = read_inputs(fit, settings.group, tell)
        except InputError as error:
            again = "" if settings.selection.estimates else f" {MAKE_AGAIN}"
            failures.append(f"{_name(fit)}: {error}{again}")
            continue
        write_tested(fit, stack, settings.group, settings.output_dir)
        flips = settings.permutation.n_permutations > 0
        tell = steps.begin(f"fitting {_name(fit)}", "voxels")
        fitted = fit_inputs(fit, stack, settings.group, flips=flips, tell=tell)
        logger.info("%s: %s", _name(fit), estimator_in_words(fitted))
        shuffled = []
        for index, contrast in enumerate(fit.contrasts):
            number += 1
            path = settings.output_dir / names.shuffle_state_path(fit.entities, fit.node, contrast.name)
            tell = steps.begin(
                f"shuffling {contrast.name} ({number} of {n_contrasts})",
                "shuffles",
                at_most=options.stop_when_decided,
                rest=n_contrasts - number,
            )
            shuffled.append(_shuffle(index, fit, fitted, options, ShuffleMonitor(path, tell)))
        yield fit, fitted, shuffled


def _name(fit: DatasetFit) -> str:
    """Return how messages name a fit."""
    return fit.contrast or "all contrasts"


def analyse(
    fit: DatasetFit,
    fitted: FittedGroup,
    shuffled: Sequence[Shuffled],
    declared: str | None,
    options: InferenceOptions,
    steps: Steps,
) -> Iterator[GroupResult]:
    """Yield the result of every contrast of a fit."""
    stack = fitted.stack
    smoothness = None
    for index, (contrast, estimate, one) in enumerate(
        zip(fit.contrasts, fitted.estimates, shuffled, strict=True)
    ):
        inference = one.inference
        steps.begin(f"thresholds of {contrast.name}")
        if smoothness is None or fitted.tests:
            smoothness = find_smoothness(*fitted.errors_of(index), stack.geometry)
        evidence = make_evidence(estimate, inference, stack.geometry, options, smoothness)
        thresholds = [make(evidence, options.alpha) for make in THRESHOLDS.values()]
        main = choose_main(declared, () if inference is None else options.statistics)
        thresholds = order_thresholds(thresholds, main)
        # Pages leave out the other thresholds that warn of themselves, and say why.
        said = one.warnings_of(contrast)
        said += [f"{contrast.name}: {thresholds[0].name}: {note}" for note in thresholds[0].warnings]
        words = estimator_in_words(fitted, index)
        found = make_detectable(estimate, evidence, thresholds[0], options.alpha)
        yield GroupResult(
            fit, contrast, stack, estimate, inference, thresholds, said, main, words, found, smoothness
        )


def gather(warnings: Iterable[str], contrasts: Iterable[GroupContrastRecord]) -> list[str]:
    """Return warnings of the same words for several contrasts as one; they begin with the contrast."""
    names = {name for one in contrasts for name in (one.name, one.input_contrast) if name}
    found: dict[str, dict[str, None]] = {}
    for warning in warnings:
        name = max((name for name in names if warning.startswith(f"{name}: ")), key=len, default="")
        found.setdefault(warning.removeprefix(f"{name}: "), {})[name] = None
    return [": ".join(filter(None, (", ".join(filter(None, where)), text))) for text, where in found.items()]


def _shuffle(
    index: int, fit: DatasetFit, fitted: FittedGroup, options: InferenceOptions, monitor: ShuffleMonitor
) -> Shuffled:
    if not options.n_shuffles:
        return Shuffled()
    if fitted.no_shuffling:
        return Shuffled(refusal=f"Not shuffled: {fitted.no_shuffling}.")
    data, design, contrast, statistic = fitted.to_shuffle(index)
    data = leave_out(data, fitted.estimates[index].statistic)
    place = (fitted.stack.geometry, blocks_of_rows(fit, design))
    try:
        inference = shuffle_contrast(data, design, contrast, place, options, monitor)
    except AppError as error:
        # The other contrasts may have more subjects, and the maps of this one are right.
        return Shuffled(refusal=f"{contrast.name}: {error}")
    return Shuffled(mark_statistic(inference, statistic) if statistic else inference)
