"""Which participants a call would analyse, from file names alone: for job schedulers."""

import json
from functools import cache

from bidsapp.errors import EXIT_OK
from bidsapp.inputs.roots import find_roots, subject_labels
from bidsapp.inputs.selection import natural_key
from bidsapp.outputs.earlier import is_whole, read_record
from bidsapp.outputs.names import record_path, subject_report_path
from bidsapp.provenance import describe_settings

BOLD = "*_bold.nii*"
# What one participant's results are made with; the other choices are the group's, or change nothing.
RESULT_PARTS = ("model", "run")


def show_participants(settings):
    """Print the labels of the participants, one a line, and return the exit code."""
    for label in list_participants(settings):
        print(label)
    return EXIT_OK


def list_participants(settings):
    """Return the labels of the participants with preprocessed BOLD and events of the chosen tasks.

    With ``--list-participants=unfinished``: those without complete results of the same settings.
    """
    raw, derivatives = find_roots(settings.bids_dir, settings.selection.derivatives)
    labels = {label for root in derivatives.values() for label in subject_labels(root)}
    chosen = settings.selection
    labels = labels & set(chosen.participant_label or labels) - set(chosen.exclude_participant_label)
    labels = [
        label
        for label in sorted(labels, key=natural_key)
        if any(_has_runs(root, raw, label, chosen) for root in derivatives.values())
    ]
    if settings.control.list_participants == "unfinished":
        labels = [label for label in labels if not _is_complete(label, settings)]
    return labels


def _has_runs(derivative, raw, label, selection):
    """Tell whether a subject has preprocessed BOLD of the chosen session and a chosen task with events."""
    found = {
        (_entity(path, "ses"), _entity(path, "task"))
        for folder in ("func", "ses-*/func")
        for path in derivative.glob(f"sub-{label}/{folder}/{BOLD}")
    }
    return any(
        (not selection.session_label or session in selection.session_label)
        and (not selection.task_label or task in selection.task_label)
        and any(_has_events(root, label, task) for root in (raw, derivative))
        for session, task in found
    )


def _has_events(root, label, task):
    folders = (f"sub-{label}/{inner}" for inner in ("", "func/", "ses-*/", "ses-*/func/"))
    return _has_common_events(root, task) or any(
        True for folder in folders for _ in root.glob(f"{folder}*task-{task}_*events.tsv")
    )


@cache
def _has_common_events(root, task):
    return any(True for _ in root.glob(f"*task-{task}_*events.tsv"))


def _entity(path, key):
    parts = (part.partition("-") for part in path.name.split("_"))
    return next((value for name, _, value in parts if name == key), None)


def _is_complete(label, settings):
    path = settings.output_dir / record_path(label)
    record = read_record(path)
    wanted = json.loads(json.dumps(describe_settings(settings), default=str))
    same = all(record.get("settings", {}).get(part) == wanted[part] for part in RESULT_PARTS)
    reported = (settings.output_dir / subject_report_path(label)).is_file()
    return same and reported and is_whole(path, record)
