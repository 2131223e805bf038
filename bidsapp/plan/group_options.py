"""What the settings of the group level say of planned fits: who is excluded, who shares a variance."""

from collections import Counter
from dataclasses import replace

from bidsapp.errors import SettingsError
from bidsapp.inputs.exclusions import read_exclusions


def exclude_listed(entries, settings):
    """Return the estimates that no ``exclude.json`` leaves out, and subject -> reason for those left out.

    The file is looked for in the output folder, the BIDS folder and the folders of estimates.
    """
    folders = [settings.output_dir, settings.bids_dir, *settings.selection.estimates]
    rules = read_exclusions(*folders)
    kept, excluded = [], {}
    for entry in entries:
        entities = dict(entry.key.entities)
        reason = next((rule.reason for rule in rules if rule.applies_to(entities)), None)
        if reason is None:
            kept.append(entry)
        else:
            excluded[f"sub-{entities.get('sub')}"] = f"excluded: {reason}"
    return tuple(kept), excluded


def add_variance_groups(fit, people, column):
    """Return a fit with the variance group of each row; every row needs a value, every group two rows.

    Raises
    ------
    SettingsError
    """
    if column is None:
        return fit
    values = read_column(fit, people, column, "--variance-groups")
    alone = [value for value, count in Counter(values).items() if count < 2]
    if alone:
        raise SettingsError(
            f"--variance-groups {column}: {', '.join(alone)} has one subject, which gives no variance."
        )
    return replace(fit, variance_groups=values)


def add_blocks(fit, people, column):
    """Return a fit with the exchangeability block of each row.

    Raises
    ------
    SettingsError
        Also where every block has a single row: nothing could be shuffled within it.
    """
    if column is None:
        return fit
    values = read_column(fit, people, column, "--exchangeability-blocks")
    if len(set(values)) in (1, len(values)):
        what = "all rows are in one block" if len(set(values)) == 1 else "every block has a single row"
        raise SettingsError(f"--exchangeability-blocks {column}: {what}. Leave the option out.")
    return replace(fit, blocks=values)


def read_column(fit, people, column, flag):
    """Return the value of a participants column for every row of a fit, as text."""
    if not any(column in row for row in people.values()):
        known = sorted({name for row in people.values() for name in row})
        raise SettingsError(f"{flag}: no column {column!r} in participants.tsv; {', '.join(known)}.")
    values = [people.get(subject.removeprefix("sub-"), {}).get(column) for subject in fit.subjects]
    missing = [subject for subject, value in zip(fit.subjects, values, strict=True) if not _is_known(value)]
    if missing:
        raise SettingsError(
            f"{flag} {column}: no value for {', '.join(missing)}. Add it, or leave them out "
            "(--exclude-participant-label)."
        )
    return tuple(str(value) for value in values)


def single_levels(fit):
    """Return notes on columns of a factor that one row alone has."""
    notes = []
    for name, column in zip(fit.design.columns, fit.design.matrix.T, strict=True):
        is_factor = set(column.tolist()) <= {0.0, 1.0} and not name.startswith("subject.")
        if is_factor and 0 < column.sum() < 2 and len(column) > 1:
            row = fit.design.rows[int(column.argmax())]
            notes.append(
                f"{fit.node}, {fit.contrast or 'all contrasts'}: {row} alone has {name}; the fit of that "
                "row is perfect and it has no influence on the error."
            )
    return notes


def _is_known(value):
    return value is not None and value == value and str(value) not in ("", "n/a")
