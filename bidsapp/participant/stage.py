"""The participant stage: plan it, run every subject side by side, write the overview."""

import logging
from collections.abc import Iterator
from pathlib import Path

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from bidsapp import names
from bidsapp.errors import EXIT_FAILURE, EXIT_OK, SettingsError, find_cautions, log_notes, some_names
from bidsapp.job.environment import count_cpus, find_memory_gb
from bidsapp.job.output_folder import prepare_output
from bidsapp.job.progress import Progress
from bidsapp.job.resume import describe_call
from bidsapp.outputs.remarks import Remark, gather_remarks
from bidsapp.participant.subject import Job, try_subject
from bidsapp.plan import make_participant_plan
from bidsapp.plan.leftovers import describe_leftovers, find_leftovers
from bidsapp.plan.memory import Shares, share_out
from bidsapp.records.plan import ParticipantPlan
from bidsapp.report.pages import write_overview
from bidsapp.settings.parts import Settings
from bidsapp.stats.noise.models import warn_of_size

logger = logging.getLogger(__name__)
MOST_IN_OVERVIEW = 200
# So many unfinished participants are told where a worker was killed.
MOST_NAMED = 20


def run_stage(settings: Settings, work_dir: Path) -> int:
    """Run the participant stage and return its exit code."""
    plan = make_participant_plan(settings)
    log_notes(logger, plan.notes)
    for remark in gather_cautions(plan):
        logger.warning("%s", remark)
    if not settings.selection.participant_label:
        found = find_leftovers(labels_with_maps(settings.output_dir), settings.bids_dir, settings.selection)
        for note in describe_leftovers(found):
            logger.warning("%s", note)
    for note in warn_of_noise_models(plan, settings.run.noise_model):
        logger.warning("%s", note)
    shares = share_job(plan, settings)
    prepare_output(plan, settings.output_dir)
    failures = [failure for failure in run_subjects(plan, settings, shares) if failure]
    for failure in failures:
        logger.error("%s", failure)
    keep_overview(settings.output_dir)
    logger.info("Open %s", settings.output_dir / names.OVERVIEW_REPORT)
    return EXIT_FAILURE if failures else EXIT_OK


def gather_cautions(plan: ParticipantPlan) -> list[Remark]:
    """Return what is said of runs and participants alone, what is alike in several of them once."""
    cautions = find_cautions(note for subject in plan.subjects for note in subject.notes)
    runs = [fit.label for subject in plan.subjects for fit in subject.runs]
    subjects = [f"sub-{subject.subject}" for subject in plan.subjects]
    places = {label: [label] for label in (*runs, *subjects)}
    return gather_remarks([note for note in cautions if note not in plan.notes], places)


def warn_of_noise_models(plan: ParticipantPlan, noise_model: str) -> list[str]:
    """Return what is wrong with a noise model at the repetition times of a plan."""
    times = {run.repetition_time for subject in plan.subjects for fit in subject.runs for run in fit.runs}
    return [note for note in (warn_of_size(noise_model, time) for time in sorted(times)) if note]


def keep_overview(output_dir: Path) -> None:
    """Write the overview of all subjects, again while other jobs finish subjects in the same folder.

    A large folder gets its overview by the group stage: not from each of its thousands of jobs.
    """
    seen, now = None, _finished_records(output_dir)
    while seen != now and len(now) <= MOST_IN_OVERVIEW:
        seen = now
        write_overview(output_dir)
        now = _finished_records(output_dir)


def _finished_records(output_dir: Path) -> list[tuple[str, int]]:
    return sorted((path.name, _time_of(path)) for path in Path(output_dir).glob(names.SUBJECT_RECORDS))


def labels_with_maps(output_dir: Path) -> set[str]:
    """Return the labels of the participants whose maps the output folder holds."""
    folders = [path for path in Path(output_dir).glob("sub-*") if any(path.rglob(names.MAPS))]
    return {folder.name.removeprefix("sub-") for folder in folders}


def _time_of(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # another job does its subject again
        return 0


def share_job(plan: ParticipantPlan, settings: Settings) -> Shares:
    """Return how processors and memory of the job are shared out.

    Raises
    ------
    SettingsError
        One subject needs more memory than there is.
    """
    n_cpus, limit = count_cpus(settings.control.n_cpus), find_memory_gb(settings.control.mem_gb)
    shares = share_out(plan.subjects, settings.run, n_cpus, limit)
    logger.info(
        "%d subjects, %d side by side with %d runs at once, %d threads each; forecast: %.2f GB a subject, "
        "limit %.1f GB",
        len(plan.subjects),
        shares.subjects,
        shares.runs,
        shares.threads,
        shares.forecast_gb,
        limit,
    )
    if shares.forecast_gb > limit:
        raise SettingsError(
            f"one participant needs about {shares.forecast_gb:.2f} GB, and the limit is {limit:.2f} GB. "
            "Raise --mem-gb, or the memory of the job."
        )
    return shares


def run_subjects(plan: ParticipantPlan, settings: Settings, shares: Shares) -> Iterator[str | None]:
    """Yield the failure of each subject, in words, or None; subjects run side by side."""
    progress = Progress(len(plan.subjects), "participant")
    models = tuple(document.text for document in plan.documents)
    about, only = describe_call("participant", plan, settings), settings.control.reports_only
    job = Job(settings.output_dir, settings.run, shares, models, about, reports_only=only)
    calls = (delayed(try_subject)(subject, job) for subject in plan.subjects)
    left = {f"sub-{subject.subject}": None for subject in plan.subjects}
    try:
        for outcome in Parallel(n_jobs=shares.subjects, return_as="generator_unordered")(calls):
            left.pop(outcome.message.partition(":")[0], None)
            log_notes(logger, outcome.cautions)
            progress.advance(outcome.message)
            yield outcome.failure
            if outcome.failure and settings.control.stop_on_first_crash:
                break
    except TerminatedWorkerError:
        yield (
            "a worker process was killed, most likely as the memory of the job was used up. Not finished: "
            f"{some_names(left, MOST_NAMED)}. Lower --n-cpus or --mem-gb, or raise the memory of the job; "
            "the same command goes on with these."
        )
    progress.close()
