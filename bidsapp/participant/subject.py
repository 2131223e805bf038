"""One subject: fit its runs, combine them, write both. Worker processes import this, not the planning."""

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TypeAlias, TypeVar

from threadpoolctl import threadpool_limits

from bidsapp import names
from bidsapp.errors import AppError, Caution, check_output, find_cautions, in_words
from bidsapp.job.finished import fingerprint_subject, needs_report
from bidsapp.job.resume import Stopwatch, common_record
from bidsapp.job.threads import end_with_parent, map_in_threads
from bidsapp.outputs.earlier import (
    drop_record,
    find_finished,
    measure_files,
    remove_outdated,
    take_record,
)
from bidsapp.outputs.files import holding, remove_unfinished, write_text
from bidsapp.outputs.remarks import subject_remarks
from bidsapp.outputs.saved.files import write_record
from bidsapp.outputs.saved.participant import ResponseRecord, RunRecord, SubjectRecord
from bidsapp.participant.fit import Fitted, combine_fits, fit_run
from bidsapp.participant.responses import describe_responses
from bidsapp.plan.memory import Shares, forecast_gb, peak_gb
from bidsapp.records.documents import Document
from bidsapp.records.plan import CombineFit, RunFit, SubjectPlan
from bidsapp.report.pages import write_subject_report
from bidsapp.settings.parts import RunOptions

Work = TypeVar("Work")
# The estimates of a run, its record (None: it failed) and notes.
AttemptedRun: TypeAlias = tuple[list[Fitted], RunRecord | None, list[str]]


@dataclass(frozen=True, slots=True)
class Job:
    """What all subjects of a call share.

    Attributes
    ----------
    output_dir : Path
    options : RunOptions
    shares : Shares
    models : tuple of str
        The texts of the model documents.
    about : dict
        What every record says of the call (``resume.describe_call``).
    reports_only : bool
        Whether only reports are made.
    main : int
        The number of the process that hands out the subjects.
    """

    output_dir: Path
    options: RunOptions
    shares: Shares
    models: tuple[str, ...]
    about: Document
    reports_only: bool = False
    main: int = field(default_factory=os.getpid)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a subject ended: its progress line, the reason where something failed, and cautions met."""

    message: str
    failure: str | None = None
    cautions: tuple[str, ...] = ()


def try_subject(subject: SubjectPlan, job: Job) -> Outcome:
    """Run one subject and return its outcome; whatever error it meets ends this subject only."""
    if os.getpid() != job.main:
        end_with_parent()
    label = f"sub-{subject.subject}"
    log = job.output_dir / names.traceback_path(subject.subject)
    try:
        with holding(job.output_dir / names.lock_path(subject.subject)):
            outcome, crashes = treat_subject(subject, job)
    except Exception as error:
        check_output(error)
        crashes = [error]
        outcome = Outcome(f"{label}: not finished", _named(label, in_words(error)))
    if not crashes:
        log.unlink(missing_ok=True)
        return outcome
    write_text(log, "\n".join("".join(traceback.format_exception(error)) for error in crashes))
    return replace(outcome, failure=f"{outcome.failure} The traceback is in {log}.")


def _named(label: str, words: str) -> str:
    return words if words.startswith(f"{label} ") else f"{label}: {words}"


def treat_subject(subject: SubjectPlan, job: Job) -> tuple[Outcome, list[Exception]]:
    """Fit a subject, or only make its report, or nothing; return its outcome and the crashes met."""
    label = f"sub-{subject.subject}"
    output_dir, path = job.output_dir, job.output_dir / names.record_path(subject.subject)
    fingerprint = fingerprint_subject(subject, job.models, job.options)
    if job.reports_only:
        write_subject_report(output_dir, subject.subject)
        return Outcome(f"{label}: report made"), []
    top = names.top_folder({"sub": subject.subject})
    finished = find_finished(path, SubjectRecord, fingerprint)
    if finished:
        if needs_report(subject.subject, output_dir):
            write_subject_report(output_dir, subject.subject)
        return _outcome(f"{label}: finished before, nothing changed", finished), []
    remove_unfinished(output_dir / top)
    before = take_record(path, top)
    forecast = forecast_gb(subject, job.options, job.shares.runs, job.shares.threads)
    with Stopwatch() as watch, threadpool_limits(1):
        runs, fitted, responses, failures, crashes = run_subject(subject, job)
    made = [record for _, record, _ in runs if record is not None]
    notes = [note for *_, own in runs for note in own]
    message = " ".join(failures) or None
    record = SubjectRecord(
        **common_record("participant", job.about, fingerprint, watch),
        status=("partial" if fitted else "failed") if failures else "complete",
        subject=subject.subject,
        message=message,
        runs=tuple(made),
        estimates=tuple(entry.record for entry in fitted),
        responses=responses,
        warnings=(*subject.notes, *notes),
        cautions=tuple(find_cautions(notes)),
    )
    remove_outdated(output_dir, before, record, top)
    write_record(path, replace(record, written=measure_files(output_dir, record, top)))
    drop_record(path)
    outcome = _outcome(
        f"{label}: {record.status}, {len(made)} runs, {len(fitted)} estimates, {watch.seconds:.0f} s, "
        f"peak {peak_gb():.2f} GB (forecast {forecast:.2f})",
        record,
        _named(label, message) if message else None,
    )
    return _report(outcome, crashes, subject.subject, output_dir)


def _outcome(message: str, record: SubjectRecord, failure: str | None = None) -> Outcome:
    """Return the outcome of work, now or before, with what its record is to warn of, each kind once."""
    return Outcome(message, failure, tuple(map(Caution, subject_remarks(record, record.cautions))))


def _report(
    outcome: Outcome, crashes: list[Exception], subject: str, output_dir: Path
) -> tuple[Outcome, list[Exception]]:
    """Make the report of a finished subject; an error of it costs nothing else of what is said."""
    try:
        write_subject_report(output_dir, subject)
    except Exception as error:
        check_output(error)
        words = _named(f"sub-{subject}", in_words(error))
        said = f"{outcome.failure} {words}" if outcome.failure else words
        return replace(outcome, failure=said), [*crashes, error]
    return outcome, crashes


def run_subject(
    subject: SubjectPlan, job: Job
) -> tuple[list[AttemptedRun], list[Fitted], tuple[ResponseRecord, ...], list[str], list[Exception]]:
    """Fit the runs of a subject and combine them.

    Returns
    -------
    runs : list of AttemptedRun
    fitted : list of Fitted
        All estimates, those of the runs first.
    responses : tuple of ResponseRecord
    failures : list of str
        A run or combination that fails is named here; the others go on.
    crashes : list of Exception
        Those of the failures that are no fault of the input.
    """
    errors: list[tuple[str, Exception]] = []
    options, output_dir, shares = job.options, job.output_dir, job.shares

    def attempt(label: str, work: Callable[[], Work], instead: Work) -> Work:
        try:
            return work()
        except Exception as error:
            check_output(error)
            errors.append((label, error))
            return instead

    def fit(run: RunFit) -> AttemptedRun:
        nothing: AttemptedRun = [], None, []
        return attempt(run.label, lambda: fit_run(run, options, output_dir, shares.threads), nothing)

    def combine(combination: CombineFit) -> list[Fitted]:
        label = f"{combination.node}, {combination.contrast or 'all contrasts'}"
        return attempt(label, lambda: combine_fits(combination, fitted, subject, options, output_dir), [])

    results = map_in_threads(fit, subject.runs, shares.runs)
    fitted = [entry for entries, *_ in results for entry in entries]
    # Inputs of a node are of the runs, or of nodes before it.
    for _, fits in groupby(subject.combinations, key=lambda combination: combination.node):
        made = map_in_threads(combine, list(fits), shares.runs * shares.threads)
        fitted += [entry for entries in made for entry in entries]
    nothing: tuple[ResponseRecord, ...] = ()
    method = options.fixed_effects
    responses = attempt(
        "the responses of the conditions", lambda: describe_responses(fitted, method), nothing
    )
    words = [in_words(e) if isinstance(e, AppError) else f"{label}: {in_words(e)}" for label, e in errors]
    crashes = [error for _, error in errors if not isinstance(error, AppError)]
    return results, fitted, responses, [*subject.problems, *dict.fromkeys(words)], crashes
