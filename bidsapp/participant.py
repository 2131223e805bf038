"""The participant stage: fit every planned run, combine the runs of each subject, write both."""

import logging

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from bidsapp.environment import count_cpus, find_memory_gb
from bidsapp.errors import EXIT_FAILURE, EXIT_OK, AppError
from bidsapp.fitting import combine_fits, fit_run
from bidsapp.memory import count_workers, forecast_gb, peak_gb
from bidsapp.outputs import names
from bidsapp.outputs.files import remove_unfinished, write_json, write_text
from bidsapp.outputs.sidecars import write_dataset_description
from bidsapp.plan import make_participant_plan
from bidsapp.progress import Progress
from bidsapp.provenance import Stopwatch, common_record, is_finished, make_fingerprint
from bidsapp.report.pages import write_overview, write_subject_report

logger = logging.getLogger(__name__)


def run_stage(settings, work_dir):
    """Run the participant stage and return its exit code."""
    plan = make_participant_plan(settings)
    for note in plan.notes:
        logger.info("%s", note)
    prepare_output(plan, settings)
    failures = [failure for failure in run_subjects(plan, settings) if failure]
    for failure in failures:
        logger.error("%s", failure)
    write_overview(settings.output_dir)
    return EXIT_FAILURE if failures else EXIT_OK


def prepare_output(plan, settings):
    """Write what the whole output folder shares: its description and the model used."""
    write_dataset_description(settings.output_dir, plan.links)
    path = settings.output_dir / names.model_path(plan.model_name)
    if not path.exists() or path.read_text(encoding="utf-8") != plan.model_text:
        write_text(path, plan.model_text)


def run_subjects(plan, settings):
    """Yield the failure of each subject, in words, or None; subjects run side by side."""
    n_cpus, limit = count_cpus(settings.control.n_cpus), find_memory_gb(settings.control.mem_gb)
    n_workers, forecast = count_workers(plan.subjects, settings, n_cpus, limit)
    logger.info(
        "%d subjects, %d side by side with %d threads each; forecast: %.2f GB each, limit %.1f GB",
        len(plan.subjects),
        n_workers,
        n_cpus // n_workers,
        forecast,
        limit,
    )
    if forecast > limit:
        logger.warning("One subject may need more than the limit of %.1f GB. Raise --mem-gb.", limit)
    progress = Progress(len(plan.subjects), "participant")
    jobs = (delayed(try_subject)(s, plan, settings, n_cpus // n_workers) for s in plan.subjects)
    for message, failure in Parallel(n_jobs=n_workers, return_as="generator_unordered")(jobs):
        progress.advance(message)
        yield failure
        if failure and settings.control.stop_on_first_crash:
            break
    progress.close()


def try_subject(subject, plan, settings, n_threads):
    """Run one subject; return its progress line and, where something failed, the reason."""
    label = f"sub-{subject.subject}"
    path = settings.output_dir / names.record_path(subject.subject)
    fingerprint = fingerprint_of(subject, plan, settings)
    if settings.control.reports_only:
        write_subject_report(settings.output_dir, subject.subject)
        return f"{label}: report made", None
    if is_finished(path, fingerprint):
        return f"{label}: finished before, nothing changed", None
    remove_unfinished(settings.output_dir / label)
    path.unlink(missing_ok=True)
    forecast = forecast_gb(subject, settings, n_threads)
    with Stopwatch() as watch, threadpool_limits(1):
        content, failures = run_subject(subject, settings, n_threads)
    status = ("partial" if content["estimates"] else "failed") if failures else "complete"
    common = common_record("participant", plan, settings, fingerprint, watch)
    message = {"message": " ".join(failures)} if failures else {}
    write_json(path, common | {"status": status, "subject": subject.subject} | message | content)
    write_subject_report(settings.output_dir, subject.subject)
    counts = f"{len(content['runs'])} runs, {len(content['estimates'])} estimates"
    return (
        f"{label}: {status}, {counts}, {watch.seconds:.0f} s, "
        f"peak {peak_gb():.2f} GB (forecast {forecast:.2f})",
        f"{label}: {' '.join(failures)}" if failures else None,
    )


def run_subject(subject, settings, n_threads):
    """Fit the runs of a subject and combine them.

    Returns
    -------
    content : dict
        What the subject's record says of runs and estimates.
    failures : list of str
        A run that fails is named here; the others go on.
    """
    failures = list(subject.problems)
    fitted, runs = [], []
    for fit in subject.runs:
        try:
            estimates, run_record = fit_run(fit, settings, n_threads)
        except AppError as error:
            failures.append(str(error))
            continue
        fitted += estimates
        runs.append(run_record)
    for fit in subject.combinations:
        fitted += combine_fits(fit, fitted, subject.runs, settings)
    return {
        "runs": runs,
        "estimates": [entry.record for entry in fitted],
        "warnings": list(subject.notes),
    }, failures


def fingerprint_of(subject, plan, settings):
    """Return the digest of everything that a subject's results depend on."""
    parts = [plan.model_text, settings.run, list(subject.problems)]
    for fit in subject.runs:
        parts += [fit.design.matrix, list(fit.design.columns), sorted(fit.skipped)]
        parts += [contrast.weights for contrast in fit.contrasts]
        parts += [path for run in fit.runs for path in (run.bold, run.mask) if path]
    return make_fingerprint(*parts)
