"""Results in the output folder of participants that the dataset does not hold any more."""

from bidsapp.inputs.roots import labels_at, labels_without_bold
from bidsapp.inputs.selection import natural_key

GONE = "in neither the dataset nor its derivatives any more"
NOT_PREPROCESSED = "without preprocessed data any more"
NOT_LISTED = "not in participants.tsv"
EXCLUDED = "excluded now"


def find_leftovers(labels, settings, people=None):
    """Return notes on participants with results that are not of the dataset, or are excluded in this call.

    Parameters
    ----------
    labels : collection of str
        Of the participants with results.
    settings : Settings
    people : dict, optional
        Label -> row of participants.tsv; a table that lists less than half of the labels says nothing.

    Returns
    -------
    list of str
        None about participants that the call names.
    """
    raw, derived = labels_at(settings)
    people, unprocessed = people or {}, labels_without_bold(labels, settings)
    listed = 2 * len(people.keys() & set(labels)) >= len(labels)
    found = {}
    for label in sorted(set(labels) - set(settings.selection.participant_label), key=natural_key):
        if label in settings.selection.exclude_participant_label:
            found.setdefault(EXCLUDED, []).append(label)
        elif (raw or derived) and label not in raw | derived:
            found.setdefault(GONE, []).append(label)
        elif label in unprocessed:
            found.setdefault(NOT_PREPROCESSED, []).append(label)
        elif people and listed and label not in people:
            found.setdefault(NOT_LISTED, []).append(label)
    return [_in_words(reason, who) for reason, who in found.items()]


def _in_words(reason, labels):
    who, are = ", ".join(f"sub-{label}" for label in labels), "is" if len(labels) == 1 else "are"
    return (
        f"{who} {are} {reason}, but the output folder holds results of an earlier call, which enter the "
        f"group: remove them, or give the group level --exclude-participant-label {' '.join(labels)}."
    )
