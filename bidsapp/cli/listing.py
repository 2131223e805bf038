"""Which participants a call would analyse, for job schedulers: from file names alone.

With ``--list-participants=unfinished`` those with results are planned too: run, dry run and list agree.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from bidsapp.errors import EXIT_OK, AppError
from bidsapp.inputs.dataset.index import parse_name
from bidsapp.inputs.dataset.open import choose_subjects
from bidsapp.inputs.dataset.roots import find_roots
from bidsapp.inputs.dataset.selection import keep_labels, natural_key
from bidsapp.job.finished import find_work
from bidsapp.names import record_path
from bidsapp.plan import make_participant_plan
from bidsapp.settings.parts import Selection, Settings

logger = logging.getLogger(__name__)
BOLD, FOLDERS = "*_bold.nii*", ("func", "ses-*/func")


def show_participants(settings: Settings) -> int:
    """Print the labels of the participants, one a line, and return the exit code."""
    for label in list_participants(settings):
        print(label)
    return EXIT_OK


def list_participants(settings: Settings) -> list[str]:
    """Return the labels of the participants with preprocessed BOLD and events of the chosen tasks.

    With ``--list-participants=unfinished``: those whose results the participant level would make or mend.
    """
    raw, derivatives = find_roots(settings.bids_dir, settings.selection.derivatives)
    _check_labels(tuple(derivatives.values()), settings.selection)
    labels, absent = choose_subjects(raw, derivatives, settings.selection)
    dropped = {"without preprocessed data": absent}
    listed: list[str] = []
    for label in sorted(labels, key=natural_key):
        reason = _why_not(label, raw, derivatives.values(), settings.selection)
        (dropped.setdefault(reason, []) if reason else listed).append(label)
    if settings.control.list_participants == "unfinished":
        done = _find_finished(listed, settings)
        dropped["complete"] = [label for label in listed if label in done]
        listed = [label for label in listed if label not in done]
    for reason, who in dropped.items():
        if who:
            logger.info("not listed, %s: %s", reason, ", ".join(who))
    return listed


def _check_labels(derivatives: Iterable[Path], selection: Selection) -> None:
    """Raise where no participant has a session or task that is asked for."""
    wanted = {"ses": selection.session_label, "task": selection.task_label}
    if not any(wanted.values()):
        return
    places = (f"sub-*/{folder}/{BOLD}" for folder in FOLDERS)
    files = [parse_name(path) for place in places for root in derivatives for path in root.glob(place)]
    for entity, labels in wanted.items():
        keep_labels(files, entity, labels)


def _why_not(label: str, raw: Path, derivatives: Iterable[Path], selection: Selection) -> str:
    """Return why a participant is not listed, or ""."""
    if any(_has_runs(root, raw, label, selection) for root in derivatives):
        return ""
    return "without preprocessed BOLD and events of the tasks, sessions and runs analysed"


def _has_runs(derivative: Path, raw: Path, label: str, selection: Selection) -> bool:
    """Tell whether a subject has preprocessed BOLD of the chosen session and a chosen task with events."""
    paths = (path for folder in FOLDERS for path in derivative.glob(f"sub-{label}/{folder}/{BOLD}"))
    names = (parse_name(path).entities for path in paths)
    found = {(entities.get("ses"), entities.get("task")) for entities in names}
    return any(
        (not selection.session_label or session in selection.session_label)
        and (not selection.task_label or task in selection.task_label)
        and any(_has_events(root, label, task) for root in (raw, derivative))
        for session, task in found
    )


def _has_events(root: Path, label: str, task: str | None) -> bool:
    folders = (f"sub-{label}/{inner}" for inner in ("", "func/", "ses-*/", "ses-*/func/"))
    return _has_common_events(root, task) or any(
        True for folder in folders for _ in root.glob(f"{folder}*task-{task}_*events.tsv")
    )


@cache
def _has_common_events(root: Path, task: str | None) -> bool:
    return any(True for _ in root.glob(f"*task-{task}_*events.tsv"))


def _find_finished(labels: Sequence[str], settings: Settings) -> set[str]:
    """Return the labels of those whose results the participant level would leave as they are."""
    recorded = [label for label in labels if (settings.output_dir / record_path(label)).is_file()]
    if not recorded:
        return set()
    chosen = replace(settings.selection, participant_label=tuple(recorded))
    try:
        work = find_work(make_participant_plan(replace(settings, selection=chosen)), settings)
    except AppError as error:
        logger.warning("what is finished cannot be told, so all are listed: %s", error)
        return set()
    return {label for label in recorded if not work[f"sub-{label}"]}
