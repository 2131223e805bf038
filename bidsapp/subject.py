"""One subject: fit its runs, combine them, write both. Worker processes import this, not the planning."""

from itertools import groupby

from threadpoolctl import threadpool_limits

from bidsapp.errors import AppError
from bidsapp.fitting import combine_fits, fit_run
from bidsapp.memory import forecast_gb, peak_gb
from bidsapp.outputs import names
from bidsapp.outputs.earlier import drop_record, is_finished, measure_files, remove_outdated, take_record
from bidsapp.outputs.files import remove_unfinished, write_json
from bidsapp.provenance import Stopwatch, common_record, make_fingerprint
from bidsapp.report.pages import write_subject_report
from bidsapp.threads import map_in_threads


def try_subject(subject, plan, settings, shares):
    """Run one subject; return its progress line and, where something failed, the reason."""
    label = f"sub-{subject.subject}"
    path = settings.output_dir / names.record_path(subject.subject)
    fingerprint = fingerprint_of(subject, plan, settings)
    if settings.control.reports_only:
        write_subject_report(settings.output_dir, subject.subject)
        return f"{label}: report made", None
    top = names.top_folder({"sub": subject.subject})
    if is_finished(path, fingerprint):
        if not (settings.output_dir / names.subject_report_path(subject.subject)).exists():
            write_subject_report(settings.output_dir, subject.subject)
        return f"{label}: finished before, nothing changed", None
    remove_unfinished(settings.output_dir / top)
    before = take_record(path)
    forecast = forecast_gb(subject, settings, shares.runs, shares.threads)
    with Stopwatch() as watch, threadpool_limits(1):
        content, failures = run_subject(subject, settings, shares)
    status = ("partial" if content["estimates"] else "failed") if failures else "complete"
    common = common_record("participant", plan, settings, fingerprint, watch)
    message = {"message": " ".join(failures)} if failures else {}
    remove_outdated(settings.output_dir, before, content, top)
    content["written"] = measure_files(settings.output_dir, content, top)
    write_json(path, common | {"status": status, "subject": subject.subject} | message | content)
    drop_record(path)
    write_subject_report(settings.output_dir, subject.subject)
    counts = f"{len(content['runs'])} runs, {len(content['estimates'])} estimates"
    found = "".join(f"; {note}" for note in content["warnings"][len(subject.notes) :])
    return (
        f"{label}: {status}, {counts}, {watch.seconds:.0f} s, "
        f"peak {peak_gb():.2f} GB (forecast {forecast:.2f}){found}",
        f"{label}: {' '.join(failures)}" if failures else None,
    )


def run_subject(subject, settings, shares):
    """Fit the runs of a subject and combine them.

    Returns
    -------
    content : dict
        What the subject's record says of runs and estimates.
    failures : list of str
        A run that fails is named here; the others go on.
    """

    def fit(run):
        try:
            return *fit_run(run, settings, shares.threads), None
        except AppError as error:
            return [], None, [], str(error)

    results = map_in_threads(fit, subject.runs, shares.runs)
    fitted = [entry for entries, *_ in results for entry in entries]
    # Inputs of a node are of the runs, or of nodes before it.
    for _, fits in groupby(subject.combinations, key=lambda combination: combination.node):
        made = map_in_threads(
            lambda combination, inputs=tuple(fitted): combine_fits(
                combination, inputs, subject.runs, settings
            ),
            list(fits),
            shares.runs * shares.threads,
        )
        fitted += [entry for entries in made for entry in entries]
    return {
        "runs": [record for _, record, *_ in results if record is not None],
        "estimates": [entry.record for entry in fitted],
        "warnings": [*subject.notes, *(note for _, _, notes, _ in results for note in notes)],
    }, [*subject.problems, *(failure for *_, failure in results if failure)]


def fingerprint_of(subject, plan, settings):
    """Return the digest of everything that a subject's results depend on."""
    parts = [*(model.text for model in plan.documents), settings.run, list(subject.problems)]
    for fit in subject.runs:
        parts += [fit.design.matrix, list(fit.design.columns), sorted(fit.skipped)]
        parts += [contrast.weights for contrast in fit.contrasts]
        parts += [path for run in fit.runs for path in (run.bold, run.mask) if path]
    return make_fingerprint(*parts)
