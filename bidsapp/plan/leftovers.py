"""Results in the output folder of participants that the dataset does not hold any more."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bidsapp.errors import by_reason
from bidsapp.inputs.dataset.roots import labels_at, labels_without_bold
from bidsapp.inputs.dataset.selection import natural_key
from bidsapp.records.documents import Document
from bidsapp.settings.parts import Selection

GONE = "in neither the dataset nor its derivatives any more"
NOT_PREPROCESSED = "without preprocessed data any more"
NOT_LISTED = "not in participants.tsv"
EXCLUDED = "excluded now"


def find_leftovers(
    labels: Collection[str],
    bids_dir: Path,
    selection: Selection,
    people: Mapping[str, Document] | None = None,
) -> dict[str, str]:
    """Return which participants with results are not of the dataset, or are excluded in this call.

    Parameters
    ----------
    labels : collection of str
        Of the participants with results.
    bids_dir : Path
    selection : Selection
    people : dict, optional
        Label -> row of participants.tsv; a table that lists less than half of the labels says nothing.

    Returns
    -------
    dict of str to str
        Label -> why; without participants that the call names.
    """
    raw, derived = labels_at(bids_dir, selection)
    known, unprocessed = people or {}, labels_without_bold(labels, bids_dir, selection)
    listed = 2 * len(known.keys() & set(labels)) >= len(labels)
    found = {}
    for label in sorted(set(labels) - set(selection.participant_label), key=natural_key):
        if label in selection.exclude_participant_label:
            found[label] = EXCLUDED
        elif (raw or derived) and label not in raw | derived:
            found[label] = GONE
        elif label in unprocessed:
            found[label] = NOT_PREPROCESSED
        elif known and listed and label not in known:
            found[label] = NOT_LISTED
    return found


def describe_leftovers(found: Mapping[str, str]) -> list[str]:
    """Return a note for each reason, from label -> why."""
    return [_in_words(why, labels) for why, labels in by_reason(found).items()]


def _in_words(reason: str, labels: Sequence[str]) -> str:
    who, are = ", ".join(f"sub-{label}" for label in labels), "is" if len(labels) == 1 else "are"
    return (
        f"{who} {are} {reason}, but the output folder holds results, which enter the group: remove them, or "
        f"give the group level --exclude-participant-label {' '.join(labels)}."
    )
