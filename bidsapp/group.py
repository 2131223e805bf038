"""The group stage: read the subjects' estimates, fit every group model, test it, write tables and reports."""

import logging
from dataclasses import replace

import numpy as np

from bidsapp.environment import count_cpus, find_memory_gb
from bidsapp.errors import EXIT_FAILURE, EXIT_OK, AppError, SettingsError
from bidsapp.group_outputs import ContrastWriter, GroupResult, write_fit, write_shared
from bidsapp.inference.permutation import permute
from bidsapp.inference.thresholds import THRESHOLDS
from bidsapp.inputs.estimates import read_stack
from bidsapp.outputs import names
from bidsapp.outputs.files import write_json
from bidsapp.participant import prepare_output
from bidsapp.plan import make_group_plan
from bidsapp.progress import Progress
from bidsapp.provenance import Stopwatch, common_record, is_finished, make_fingerprint
from bidsapp.records import Evidence, GroupDesign, InferenceOptions
from bidsapp.report.pages import write_group_report, write_overview
from bidsapp.stats.distributions import z_to_log_p
from bidsapp.stats.group_estimators import fit_group

logger = logging.getLogger(__name__)


def run_stage(settings, work_dir):
    """Run the group stage and return its exit code."""
    failures = [] if settings.control.reports_only else run_models(make_group_plan(settings), settings)
    for failure in failures:
        logger.error("%s", failure)
    write_group_report(settings.output_dir)
    write_overview(settings.output_dir)
    return EXIT_FAILURE if failures else EXIT_OK


def run_models(plan, settings):
    """Run every group model; return the failures in words. A model that fails does not stop the others."""
    for note in plan.notes:
        logger.info("%s", note)
    prepare_output(plan, settings)
    progress = Progress(len(plan.models), "group model")
    failures = []
    for model in plan.models:
        try:
            progress.advance(run_model(model, plan, settings))
        except AppError as error:
            failures.append(f"{model.node}: {error}")
            progress.advance(f"{model.node}: failed")
    progress.close()
    return failures


def run_model(model, plan, settings):
    """Run the fits of one Dataset node and write its record; return the progress line."""
    path = settings.output_dir / names.group_record_path(model.entities, model.node)
    parts = [part for fit in model.fits for part in parts_of(fit)]
    fingerprint = make_fingerprint(plan.model_text, settings.group, settings.permutation, *parts)
    if is_finished(path, fingerprint):
        return f"{model.node}: finished before, nothing changed"
    path.unlink(missing_ok=True)
    with Stopwatch() as watch:
        content, stacks = {"contrasts": [], "warnings": []}, []
        for fit in model.fits:
            stack = read_stack(fit.inputs)
            stacks.append(replace(stack, effect=None, variance=None))
            write_fit(fit, stack, settings)
            for result in analyse(fit, stack, settings):
                content["contrasts"].append(ContrastWriter(result, settings).write())
                content["warnings"] += result.warnings
        content |= write_shared(model, stacks, settings)
    common = common_record("group", plan, settings, fingerprint, watch)
    about = {"status": "complete", "node": model.node, "entities": model.entities, "group_by": model.group_by}
    write_json(path, common | about | content)
    for warning in content["warnings"]:
        logger.warning("%s", warning)
    untested = [entry for entry in content["contrasts"] if "permutation" not in entry]
    if settings.permutation.n_permutations and len(untested) == len(content["contrasts"]):
        raise SettingsError(f"no contrast could be tested by shuffling: {content['warnings'][0]}")
    return f"{model.node}: {len(content['contrasts'])} contrasts, {watch.seconds:.0f} s"


def analyse(fit, stack, settings):
    """Yield the result of every contrast of a fit."""
    design = GroupDesign(fit.design.matrix, fit.contrasts)
    estimates = fit_group(stack.effect, stack.variance, design, tail=settings.group.tail)
    for contrast, estimate in zip(fit.contrasts, estimates, strict=True):
        inference, warnings = None, []
        if settings.permutation.n_permutations:
            try:
                inference = shuffle(fit, contrast, stack, settings)
            except SettingsError as error:
                # The other contrasts may have more subjects, and the maps of this one are right.
                warnings = [f"{contrast.name}: {error}"]
        evidence = make_evidence(estimate, inference, stack.geometry, settings)
        thresholds = [make(evidence, settings.group.alpha) for make in THRESHOLDS.values()]
        # The first is the main one of tables and figures: one that could be computed.
        thresholds.sort(key=lambda threshold: bool(threshold.reason))
        yield GroupResult(fit, contrast, stack, estimate, inference, thresholds, warnings)


def shuffle(fit, contrast, stack, settings):
    """Return the permutation inference of a contrast."""
    options = InferenceOptions(
        n_shuffles=settings.permutation.n_permutations,
        seed=settings.permutation.seed,
        alpha=settings.group.alpha,
        tail=settings.group.tail,
        cluster_forming_p=settings.permutation.cluster_forming_p,
        n_threads=count_cpus(settings.control.n_cpus),
        memory_gb=find_memory_gb(settings.control.mem_gb),
    )
    return permute(stack.effect, fit.design.matrix, contrast.weights, stack.geometry, options)


def make_evidence(estimate, inference, geometry, settings):
    """Return the maps of a contrast that thresholds are applied to."""
    signed = estimate.test == "t"
    tail = settings.group.tail if signed else "positive"
    finite = estimate.dof[np.isfinite(estimate.dof)]
    return Evidence(
        test=estimate.test,
        statistic=estimate.statistic,
        z=estimate.z,
        log_p=z_to_log_p(estimate.z, tail=tail),
        dof=(float(estimate.dof_numerator), float(finite.min(initial=np.inf))),
        tail=tail,
        geometry=geometry,
        inference=inference,
        cluster_forming_p=settings.permutation.cluster_forming_p,
    )


def parts_of(fit):
    """Return everything that the results of a fit depend on, for its fingerprint."""
    files = [path for entry in fit.inputs for path in (entry.effect, entry.variance) if path]
    return [fit.design.matrix, *(contrast.weights for contrast in fit.contrasts), *files]
