"""What is finished: one answer for the stages, ``--dry-run`` and ``--list-participants=unfinished``."""

from collections.abc import Iterable
from pathlib import Path

from bidsapp import names
from bidsapp.job.resume import make_fingerprint
from bidsapp.outputs.earlier import why_again
from bidsapp.outputs.saved.files import find_record
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.outputs.saved.participant import SubjectRecord
from bidsapp.records.maps import Reading
from bidsapp.records.plan import DatasetFit, DatasetModel, GroupPlan, ParticipantPlan, SubjectPlan
from bidsapp.settings.parts import RunOptions, Settings


def fingerprint_subject(subject: SubjectPlan, models: Iterable[str], options: RunOptions) -> str:
    """Return the digest of everything that a subject's results depend on."""
    parts = [*models, options, list(subject.problems), list(subject.notes)]
    for fit in subject.runs:
        parts += [fit.design.matrix, list(fit.design.columns), sorted(fit.skipped)]
        parts += [contrast.weights for contrast in fit.contrasts]
        parts += [path for run in fit.runs for path in (run.bold, run.mask) if path]
    return make_fingerprint(*parts)


def fingerprint_model(model: DatasetModel, plan: GroupPlan, settings: Settings) -> str:
    """Return the digest of everything that the results of a Dataset node depend on."""
    texts = [document.text for document in plan.documents]
    parts = [part for fit in model.fits for part in _parts_of(fit)]
    return make_fingerprint(*texts, settings.group, settings.permutation, *parts)


def _parts_of(fit: DatasetFit) -> list[object]:
    files = [path for entry in fit.inputs for path in (entry.effect, entry.variance) if path]
    within = [] if fit.within is None else [fit.within.weights, *fit.within.cells]
    weights = [contrast.weights for contrast in fit.contrasts]
    readings = [entry.reading for entry in fit.inputs if entry.reading != Reading()]
    return [fit.design.matrix, *weights, *fit.variance_groups, *fit.blocks, *within, *files, *readings]


def find_work(plan: ParticipantPlan | GroupPlan, settings: Settings) -> dict[str, str]:
    """Return why each participant or group model of a plan is to be done, empty where it is finished.

    Returns
    -------
    dict of str to str
        ``sub-01`` or the name of a node, with its entities -> reason.
    """
    found = {}
    if isinstance(plan, GroupPlan):
        for model in plan.models:
            path = settings.output_dir / names.group_record_path(model.entities, model.node)
            record = find_record(path, GroupRecord)
            label = " ".join([model.node, *(f"{key}-{value}" for key, value in model.entities.items())])
            found[label] = why_again(path, record, fingerprint_model(model, plan, settings))
        return found
    texts = [document.text for document in plan.documents]
    for subject in plan.subjects:
        path = settings.output_dir / names.record_path(subject.subject)
        fingerprint = fingerprint_subject(subject, texts, settings.run)
        why = why_again(path, find_record(path, SubjectRecord), fingerprint)
        unreported = "its report is missing" if needs_report(subject.subject, settings.output_dir) else ""
        found[f"sub-{subject.subject}"] = why or unreported
    return found


def needs_report(subject: str, output_dir: Path) -> bool:
    """Tell whether a finished subject has no report, or one that an error ended."""
    page, log = names.subject_report_path(subject), names.traceback_path(subject)
    return not (output_dir / page).exists() or (output_dir / log).exists()
