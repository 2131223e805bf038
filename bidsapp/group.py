"""The group stage: read the subjects' estimates, fit every group model, test it, write tables and reports."""

import logging
from dataclasses import replace

import numpy as np

from bidsapp.environment import find_memory_gb
from bidsapp.errors import EXIT_FAILURE, EXIT_OK, AppError, SettingsError
from bidsapp.group_conjunctions import Conjunctions
from bidsapp.group_influence import write_influence
from bidsapp.group_models import ESTIMATOR_WORDS, fit_inputs, read_inputs
from bidsapp.group_outputs import ContrastWriter, GroupResult, write_fit, write_shared
from bidsapp.group_regions import write_regions
from bidsapp.inference.permutation import permute
from bidsapp.inference.thresholds import THRESHOLDS
from bidsapp.outputs import names
from bidsapp.outputs.files import write_json
from bidsapp.participant import prepare_output
from bidsapp.plan import make_group_plan
from bidsapp.progress import Progress
from bidsapp.provenance import Stopwatch, common_record, is_finished, make_fingerprint
from bidsapp.records import Evidence, InferenceOptions
from bidsapp.report.pages import write_group_report, write_overview
from bidsapp.stats.distributions import z_to_log_p
from bidsapp.workers import group_workers, threads_of_a_test

logger = logging.getLogger(__name__)


def run_stage(settings, work_dir):
    """Run the group stage and return its exit code."""
    failures = []
    if not settings.control.reports_only:
        with group_workers(settings):
            failures = run_models(make_group_plan(settings), settings)
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
        conjunctions = Conjunctions(settings)
        for fit in model.fits:
            fitted = fit_inputs(fit, read_inputs(fit, settings), settings)
            stacks.append(replace(fitted.stack, effect=None, variance=None))
            write_fit(fit, fitted.stack, settings)
            shared = write_influence(fit, fitted, settings)
            content["warnings"] += [w for w in fitted.warnings if w not in content["warnings"]]
            for result in analyse(fit, fitted, settings):
                content["contrasts"].append(ContrastWriter(result, settings).write() | shared)
                content["warnings"] += result.warnings
                conjunctions.add(result)
            regions = write_regions(fit, fitted, settings)
            content["regions"] = content.get("regions", []) + regions
        for result in conjunctions.conjoin():
            content["contrasts"].append(ContrastWriter(result, settings).write())
        content |= write_shared(model, stacks, settings, estimator=ESTIMATOR_WORDS[fitted.estimator])
    common = common_record("group", plan, settings, fingerprint, watch)
    about = {"status": "complete", "node": model.node, "entities": model.entities, "group_by": model.group_by}
    write_json(path, common | about | content)
    for warning in content["warnings"]:
        logger.warning("%s", warning)
    untested = [entry for entry in content["contrasts"] if "permutation" not in entry]
    failed = [warning for warning in content["warnings"] if "not shuffled" not in warning]
    if settings.permutation.n_permutations and failed and len(untested) == len(content["contrasts"]):
        raise SettingsError(f"no contrast could be tested by shuffling: {failed[0]}")
    return f"{model.node}: {len(content['contrasts'])} contrasts, {watch.seconds:.0f} s"


def analyse(fit, fitted, settings):
    """Yield the result of every contrast of a fit."""
    stack = fitted.stack
    for contrast, estimate in zip(fit.contrasts, fitted.estimates, strict=True):
        inference, warnings = None, []
        if settings.permutation.n_permutations and fitted.no_shuffling:
            warnings = [f"{contrast.name}: not shuffled, {fitted.no_shuffling}"]
        elif settings.permutation.n_permutations:
            try:
                inference = shuffle(fitted, contrast, settings)
            except SettingsError as error:
                # The other contrasts may have more subjects, and the maps of this one are right.
                warnings = [f"{contrast.name}: {error}"]
        evidence = make_evidence(estimate, inference, stack.geometry, settings)
        thresholds = [make(evidence, settings.group.alpha) for make in THRESHOLDS.values()]
        # The first is the main one of tables and figures: one that could be computed.
        thresholds.sort(key=lambda threshold: bool(threshold.reason))
        words = ESTIMATOR_WORDS[fitted.estimator]
        yield GroupResult(fit, contrast, stack, estimate, inference, thresholds, warnings, words)


def shuffle(fitted, contrast, settings):
    """Return the permutation inference of a contrast; rows of one subject are shuffled among themselves."""
    design = fitted.design
    repeated = len(np.unique(design.clusters)) < len(design.clusters)
    options = InferenceOptions(
        n_shuffles=settings.permutation.n_permutations,
        seed=settings.permutation.seed,
        alpha=settings.group.alpha,
        tail=settings.group.tail,
        cluster_forming_p=settings.permutation.cluster_forming_p,
        blocks=design.clusters if repeated else None,
        block_mode="within" if repeated else "auto",
        variance_groups=design.variance_groups,
        n_threads=threads_of_a_test(settings),
        memory_gb=find_memory_gb(settings.control.mem_gb),
    )
    stack = fitted.stack
    return permute(stack.effect, design.matrix, contrast.weights, stack.geometry, options)


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
    within = [] if fit.within is None else [fit.within.weights, *fit.within.cells]
    weights = [contrast.weights for contrast in fit.contrasts]
    return [fit.design.matrix, *weights, *fit.variance_groups, *within, *files]
