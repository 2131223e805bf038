"""What the settings of the group level say of planned fits: who is excluded, who shares a variance."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from bidsapp.design.transformers.variables import is_number
from bidsapp.errors import (
    Caution,
    InputError,
    SettingsError,
    by_reason,
    in_lines,
    near_or_there,
    some_names,
    tell_names,
)
from bidsapp.inputs.images.group_masks import GREY_MATTER, check_mask
from bidsapp.inputs.images.read import read_header, whole_grid
from bidsapp.inputs.images.stacks import find_other_grids
from bidsapp.inputs.tables.exclusions import read_exclusions
from bidsapp.names import check_labels, make_label
from bidsapp.plan.group.people import People
from bidsapp.records.documents import Document
from bidsapp.records.maps import EstimateFile, Geometry
from bidsapp.records.plan import DatasetFit, DatasetModel
from bidsapp.settings.parts import GroupOptions, PermutationOptions
from bidsapp.stats.linear import find_redundant_columns
from bidsapp.vocabulary.estimators import ESTIMATORS
from bidsapp.vocabulary.thresholds import BY_WORD

# Columns of the participants that may tell groups of another variance: levels at most, rows of each at least.
MOST_LEVELS, FEWEST_ROWS = 6, 4
# Values further from the median, in median absolute deviations, are more often codes or slips than measures.
MOST_DEVIATIONS = 6


def exclude_listed(
    entries: Iterable[EstimateFile], folders: Iterable[Path]
) -> tuple[tuple[EstimateFile, ...], dict[str, str]]:
    """Return the estimates that no ``exclude.json`` of some folders leaves out, and why the others are."""
    rules = read_exclusions(*folders)
    kept: list[EstimateFile] = []
    excluded: dict[str, str] = {}
    for entry in entries:
        entities = dict(entry.key.entities)
        reason = next((rule.reason for rule in rules if rule.applies_to(entities)), None)
        if reason is None:
            kept.append(entry)
        else:
            excluded[f"sub-{entities.get('sub')}"] = f"excluded: {reason}"
    return tuple(kept), excluded


def add_variance_groups(fit: DatasetFit, people: People, column: str | None) -> DatasetFit:
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
    check_labels(sorted(set(values)), f"--variance-groups {column}: the values")
    return replace(fit, variance_groups=values)


def add_blocks(fit: DatasetFit, people: People, column: str | None) -> DatasetFit:
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


def _rows_of(fit: DatasetFit, people: People) -> list[Document]:
    """Return the columns of the participant of each row of a fit."""
    return [people.get(subject.removeprefix("sub-"), {}) for subject in fit.subjects]


def find_factors(fit: DatasetFit, people: People) -> dict[str, list[str]]:
    """Return the columns of the participants with a few levels of several rows each: column -> row labels."""
    rows, found = _rows_of(fit, people), {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        counts = Counter(map(str, values)).values()
        if None not in values and 1 < len(counts) <= MOST_LEVELS and min(counts) >= FEWEST_ROWS:
            found[name] = [f"{name}.{value}" for value in values]
    return found


def check_column(people: People, column: str, flag: str) -> None:
    """Raise SettingsError where the participants have no such column."""
    known = dict.fromkeys(name for row in people.values() for name in row)
    if column not in known:
        hint = near_or_there(column, known)
        raise SettingsError(f"{flag}: no column {column!r} in participants.tsv. {hint}")


def read_column(fit: DatasetFit, people: People, column: str, flag: str) -> tuple[str, ...]:
    """Return the value of a participants column for every row of a fit, as text."""
    check_column(people, column, flag)
    values = [row.get(column) for row in _rows_of(fit, people)]
    missing = [subject for subject, value in zip(fit.subjects, values, strict=True) if value is None]
    if missing:
        raise SettingsError(
            f"{flag} {column}: no value for {', '.join(missing)}. Add it, or leave them out "
            "(--exclude-participant-label)."
        )
    return tuple(str(value) for value in values)


def redundant_columns(fit: DatasetFit) -> list[str]:
    """Return a note on columns that the others make up, constant ones beside an intercept among them."""
    redundant = find_redundant_columns(fit.design.matrix, fit.design.columns)
    names = [name for name in redundant if not name.startswith("subject.")]
    if not names:
        return []
    return [
        f"{', '.join(names)} says nothing that the columns before do not say (constant or collinear); "
        "contrasts that need it are left out."
    ]


def single_levels(fit: DatasetFit) -> list[str]:
    """Return notes on columns of a factor that one row alone has."""
    end = "the fit of that row is perfect, so it says nothing of the error"
    if fit.levels:
        alone = {name: rows[0] for name, rows in fit.levels.items() if len(rows) == 1}
        return [Caution(f"{fit.design.rows[row]} alone has {name}; {end}") for name, row in alone.items()]
    notes = []
    for name, column in zip(fit.design.columns, fit.design.matrix.T, strict=True):
        is_factor = set(column.tolist()) <= {0.0, 1.0} and not name.startswith("subject.")
        if is_factor and 0 < column.sum() < 2 and len(column) > 1:
            row = fit.design.rows[int(column.argmax())]
            notes.append(f"{row} alone has {name}; {end}.")
    return notes


def add_notes(fit: DatasetFit, people: People) -> DatasetFit:
    """Return a fit with what a reader must know of its design."""
    found = [*redundant_columns(fit), *single_levels(fit), *unusual_values(fit, people)]
    return replace(fit, notes=(*fit.notes, *found))


def without_row(fit: DatasetFit, people: People) -> dict[str, str]:
    """Return subject -> reason for those left out of a fit because participants.tsv has no row of them."""
    return {
        subject: "no row in participants.tsv"
        for subject, reason in fit.excluded.items()
        if people and reason.startswith("no value for") and subject.removeprefix("sub-") not in people
    }


def unusual_values(fit: DatasetFit, people: People) -> list[Caution]:
    """Return cautions on values of covariates far from all others, as codes of missing values are."""
    cautions, rows = [], _rows_of(fit, people)
    there = {name for row in rows for name in row}
    for name, column in zip(fit.design.columns, fit.design.matrix.T, strict=True):
        # A product (``age:group.a``), 0 in most rows, is told of by the column of participants in it.
        name = next((part for part in name.split(":") if part in there), name)
        raw = [row.get(name) for row in rows]
        numbers = all(map(is_number, raw))
        values = np.array(raw if numbers else column, float)
        distance = np.abs(values - np.median(values))
        spread = np.median(distance)
        if spread == 0 and numbers:
            # More than half have one value: the mean deviation of the others, and the step of whole numbers,
            # so that codes of groups (0 and 1) are no measures far apart.
            spread = np.maximum((distance.sum() - distance) / max(len(distance) - 1, 1), 1.0)
        lonely = (values < 0) & (np.count_nonzero(values > 0) == len(values) - 1) if numbers else False
        for row in np.flatnonzero((distance > MOST_DEVIATIONS * spread) & (spread > 0) | lonely):
            cautions.append(
                Caution(
                    f"{fit.subjects[row]}: the {name} of {values[row]:g} is far from that of all others "
                    f"(median {np.median(values):g}). If it stands for a missing value, write n/a"
                )
            )
    return list(dict.fromkeys(cautions))


def gather_notes(model: DatasetModel) -> list[str]:
    """Return who is left out of the fits of a DatasetModel, and their notes, the same words only once."""
    contrasts: dict[str, list[str]] = {}
    for fit in model.fits:
        said = [
            f"{', '.join(who)} {'is' if len(who) == 1 else 'are'} left out: {reason}."
            for reason, who in by_reason(fit.excluded).items()
        ]
        said += [
            f"{name.removeprefix(f'{fit.contrast} ')} is not made: {reason}."
            for name, reason in fit.skipped.items()
        ]
        for words in (*said, *fit.notes):
            contrasts.setdefault(words.replace("..", "."), []).append(fit.contrast or "all contrasts")
    where = {
        words: "" if len(names) == len(model.fits) else f" ({', '.join(names)})"
        for words, names in contrasts.items()
    }
    return [f"{model.node}{place}: {words}" for words, place in where.items()]


def read_conjunctions(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the name of each conjunction with the contrasts in it.

    Raises
    ------
    SettingsError
        Not of the form NAME=CONTRAST,CONTRAST.
    """
    found = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        members = tuple(part.strip() for part in rest.split(",") if part.strip())
        if not equals or not name.strip() or len(set(members)) < 2:
            raise SettingsError(
                f"--conjunction {text!r}: write NAME=CONTRAST,CONTRAST, two contrasts or more."
            )
        if name.strip() in found:
            raise SettingsError(f"--conjunction: {name.strip()!r} is given twice. Rename one.")
        found[name.strip()] = members
    return found


def count_needed(text: str, n_inputs: int) -> int:
    """Return how many inputs a voxel needs: ``all``, a number, or a fraction below 1."""
    if text == "all":
        return n_inputs
    value = float(text)
    needed = math.ceil(value * n_inputs - 1e-9) if value < 1 else int(value)
    return min(max(needed, 1), n_inputs)


def check_declared(wanted: str | None, chosen: PermutationOptions) -> None:
    """Raise SettingsError for a single shuffle, and a main threshold that the other settings do not give."""
    if chosen.n_permutations == 1:
        raise SettingsError("--n-permutations 1: that is the data as they are. Ask for more, or 0 for none.")
    row = BY_WORD[wanted] if wanted else None
    if row is None or row.needs != "shuffles":
        return
    if not chosen.n_permutations:
        raise SettingsError(
            f"--main-threshold {wanted} goes by shuffles, and --n-permutations is 0. Change one."
        )
    if row.statistic and row.statistic not in chosen.statistics:
        raise SettingsError(
            f"--main-threshold {wanted} needs the statistic {row.statistic}, and --statistics has only "
            f"{', '.join(chosen.statistics)}. Add it there, or choose another threshold."
        )


def find_grids(fits: Iterable[DatasetFit]) -> list[Geometry]:
    """Return the grids that the fits are made on, all of their voxels; an unreadable file is told later."""
    grids: dict[tuple[tuple[int, ...], bytes], Geometry] = {}
    for entry in (entry for fit in fits for entry in fit.inputs[:1]):
        with suppress(InputError):
            header = read_header(entry.effect)
            key = (header.shape[:3], header.affine.tobytes())
            grids.setdefault(key, whole_grid(header.shape, header.affine))
    return list(grids.values())


def check_grids(fits: Sequence[DatasetFit], *, resample: bool) -> list[DatasetFit]:
    """Return the fits with whose maps are resampled, by the headers of the effect maps alone.

    Raises
    ------
    InputError
        Maps of one fit are on different grids, and may not be resampled. All are named.
    """
    found: list[DatasetFit] = []
    faults: dict[str, None] = {}
    for fit in fits:
        placed = []
        for entry in fit.inputs:
            with suppress(InputError):  # who reads the file tells it
                header = read_header(entry.effect)
                placed.append((entry, header.shape[:3], header.affine))
        if resample:
            # The grid that is taken counts as most.
            others = tuple(find_other_grids([*placed[:1] * len(placed), *placed]))
            note = (
                f"the maps of {some_names(others)} are resampled to the grid of {fit.subjects[0]}, linearly"
            )
            fit = replace(fit, resampled=others, notes=(*fit.notes, *[note] * bool(others)))
        else:
            faults |= dict.fromkeys(find_other_grids(placed).values())
        found.append(fit)
    if faults:
        raise InputError(f"{in_lines(list(faults))}\n--resample brings all maps to the grid of the first.")
    return found


def estimator_of(method: str, wanted: str) -> str:
    """Return the estimator of a fit: a node of type meta has fixed effects, unless others are asked for."""
    return "fixed" if method == "meta" and wanted == "ols" else wanted


def check_variances(fit: DatasetFit, options: GroupOptions) -> None:
    """Raise SettingsError where an estimator lacks variance maps, or cannot have variance groups."""
    estimator = ESTIMATORS[estimator_of(fit.method, options.group_estimator)]
    where = f"{fit.node}, {fit.contrast or 'all contrasts'}: the estimator {estimator.name}"
    # The multivariate test of several rows within subjects uses neither.
    if fit.n_scores > 1:
        return
    if fit.variance_groups and not estimator.allows_variance_groups:
        known = ", ".join(row.name for row in ESTIMATORS.values() if row.allows_variance_groups)
        raise SettingsError(f"{where} knows no --variance-groups; {known} do (--group-estimator).")
    subjects = {entry.key.entity("sub") for entry in fit.inputs}
    having = {entry.key.entity("sub") for entry in fit.inputs if entry.variance}
    if estimator.needs_variances and len(having) < count_needed(options.min_subjects, len(subjects)):
        lacking = some_names(sorted(f"sub-{label}" for label in subjects - having))
        raise SettingsError(
            f"{where} needs variance maps, and there are none of {lacking}. Put them beside the effect maps "
            "(of other programs: docs/other-programs.md), or use --group-estimator ols in a node of type glm."
        )


def check_options(fits: Sequence[DatasetFit], options: GroupOptions) -> None:
    """Raise where an option of the group level cannot be followed, before an image is read.

    Raises
    ------
    InputError, SettingsError
    """
    largest = max(len(fit.subjects) for fit in fits)
    if options.min_subjects != "all" and float(options.min_subjects) > largest:
        raise SettingsError(
            f"--min-subjects {options.min_subjects}: the largest group has {largest} inputs. Ask for fewer, "
            "or all."
        )
    if options.mask not in (None, GREY_MATTER):
        check_mask(options.mask, find_grids(fits), resample=options.resample)
    for fit in fits:
        check_variances(fit, options)
    check_conjunctions(fits, options.conjunction)


def check_conjunctions(fits: Sequence[DatasetFit], wanted: Sequence[str]) -> None:
    """Raise SettingsError where no node makes the contrasts of a conjunction, or one has its name."""
    nodes: dict[tuple[str, tuple[tuple[str, str], ...]], set[str]] = {}
    for fit in fits:
        names = {item.name for item in fit.contrasts if item.test == "t" and fit.n_scores == 1}
        nodes.setdefault((fit.node, tuple(fit.entities.items())), set()).update(names)
    taken = {make_label(item.name) for fit in fits for item in fit.contrasts}
    for name, members in read_conjunctions(wanted).items():
        if make_label(name) in taken:
            raise SettingsError(
                f"--conjunction {name}: a contrast has this name, and its files too. Choose another."
            )
        taken.add(make_label(name))
        if not any(names.issuperset(members) for names in nodes.values()):
            raise SettingsError(
                f"--conjunction {name}: no node makes the t contrasts {', '.join(members)}. "
                f"{tell_names(sorted(set().union(*nodes.values())))}"
            )
