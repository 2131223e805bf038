"""Plan the fits of the run level: which runs go together, and the design of each."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bidsapp.design.contrasts import expand_rules, find_column, make_contrasts, near_match, without_absent
from bidsapp.design.run import RunDesign, make_run_design
from bidsapp.errors import AppError, Caution, InputError, some_names
from bidsapp.inputs.tables.event_times import check_times
from bidsapp.inputs.tables.events import REQUIRED, TRIAL_TYPE, read_events
from bidsapp.inputs.tables.read import read_header
from bidsapp.plan.participant.confounds import choose_confounds
from bidsapp.plan.participant.invalid import NameFault
from bidsapp.plan.participant.masks import with_model_mask
from bidsapp.plan.participant.recordings import choose_recordings
from bidsapp.records.arrays import Mask, Numbers
from bidsapp.records.collect import collect
from bidsapp.records.documents import Document
from bidsapp.records.maps import Design, Run
from bidsapp.records.model import INTERCEPT, SHORT_NAMES, ContrastRule, Node, long_names
from bidsapp.records.plan import RunFit
from bidsapp.stats.linear import find_rank

# Runs that a note names, of all that it is about.
MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class Prepared:
    """The runs of one fit with their designs, before contrasts are made."""

    runs: tuple[Run, ...]
    made: tuple[RunDesign, ...]
    events: tuple[pd.DataFrame | None, ...]
    keep: Mask


def group_runs(node: Node, runs: Sequence[Run]) -> tuple[list[tuple[Run, ...]], list[str]]:
    """Return the runs of each model of a Run node, and notes.

    A node that groups by run fits every image by itself; one that does not joins the images that share
    its GroupBy. Subjects are never joined.
    """
    notes = []
    if "subject" not in node.group_by:
        notes.append(f"{node.where}.GroupBy lacks 'subject': a Run node never joins subjects")
    if "run" in node.group_by:
        return [(run,) for run in runs], notes
    names = ["sub", *(SHORT_NAMES.get(name, name) for name in node.group_by)]
    groups = collect((tuple(run.entities.get(name) for name in names), run) for run in runs)
    if any(len(group) > 1 for group in groups.values()):
        notes.append(
            f"{node.where}.GroupBy lacks 'run': the runs of each group are joined in one model, with "
            "their own intercepts, filters and confounds"
        )
    return [tuple(group) for group in groups.values()], notes


def prepare(node: Node, runs: Sequence[Run]) -> Prepared:
    """Return the designs of the runs of one fit.

    Raises
    ------
    AppError
        The message names the run.
    """
    prepared = []
    for run in runs:
        try:
            prepared.append(_prepare_one(node, run))
        except AppError as error:
            raise type(error)(f"{run.label}: {error}") from error
    used, made, events, keep = zip(*prepared, strict=True)
    return Prepared(used, made, events, np.concatenate(keep))


def _prepare_one(node: Node, run: Run) -> tuple[Run, RunDesign, pd.DataFrame | None, Mask]:
    """Return a run with the recordings that it uses, its design, its events and the volumes to keep."""
    events = read_events(run.events) if run.events else None
    if run.n_volumes < 2:
        raise InputError(f"has {run.n_volumes} volumes; a run level model needs more.")
    frame_times = run.start_time + run.repetition_time * np.arange(run.n_volumes)
    chosen = choose_confounds(node, run)
    known = {str(name) for table in (events, chosen.table) if table is not None for name in table.columns}
    recorded = choose_recordings(chosen.node, run, frame_times, known)
    made = make_run_design(
        chosen.node, events, chosen.table, frame_times, long_names(run.entities), recorded.table
    )
    notes = list(run.notes)
    if events is not None:
        notes += events.attrs["notes"]
        notes += check_times(events, run) if len(events) and made.conditions else ()
    # A recording without names matters only where a name is not found.
    notes += [*chosen.notes, *recorded.notes, *(recorded.nameless if made.missing else ()), *made.notes]
    return replace(run, recordings=recorded.files), replace(made, notes=tuple(notes)), events, chosen.keep


def check_missing(
    node: Node, prepared: Sequence[Prepared], elsewhere: Collection[str] = ()
) -> list[NameFault]:
    """Return what the model asks for and no run has, as `NameFault`.

    Parameters
    ----------
    prepared : list of Prepared
    elsewhere : collection of str
        Levels and columns that occur in events of the dataset that are not analysed now.
    """
    designs = [design for fit in prepared for design in fit.made]
    columns = list(dict.fromkeys(name for design in designs for name in design.design.columns))
    named = list(dict.fromkeys(name for design in designs for name in design.x_columns))
    files = [run.confounds for fit in prepared for run in fit.runs if run.confounds]
    without = "" if files else " (nor a confounds file)"
    there = [*named, *elsewhere, *(read_header(files[0]) if files else ())]
    faults, rules = [], expand_rules(node, columns)
    taken = {name for design in designs for name in design.taken}

    def say(name: str, more: str = "") -> str:
        return f"no run has {name!r}{more}. {near_match(name, there)}"

    for name, where in _missing_everywhere(designs).items():
        if name in taken or not _occurs(name, elsewhere):
            words = f"the Transformations leave no {name!r}." if name in taken else say(name, without)
            needing = tuple(rule.name for rule in rules if name in rule.conditions)
            faults.append(NameFault(f"{where}: {words}", needing))
    known = {*columns, *(name for design in designs for name in design.missing)}
    for rule, condition in ((one, name) for one in rules for name in one.conditions):
        if find_column(condition, known) is None and not _occurs(condition, elsewhere):
            where = f"{rule.where}.ConditionList (contrast {rule.name!r})"
            faults.append(NameFault(f"{where}: {say(condition)}", (rule.name,)))
    return list(dict.fromkeys(faults))


def find_respellings(node: Node, prepared: Iterable[Prepared]) -> list[str]:
    """Return notes on conditions that stand for a column of another spelling."""
    columns = dict.fromkeys(name for fit in prepared for made in fit.made for name in made.design.columns)
    notes = []
    for rule in node.contrasts:
        for condition in rule.conditions:
            column = find_column(condition, columns)
            if column not in (None, condition):
                notes.append(f"contrast {rule.name!r}: there is no {condition!r}; it is read as {column!r}")
    return notes


def find_idle_queries(prepared: Iterable[Prepared]) -> list[str]:
    """Return notes on queries that keep no event of any run, or every event of every run."""
    counts: dict[tuple[str, str, str], tuple[int, int]] = {}
    for made in (made for fit in prepared for made in fit.made):
        for where, query, name, kept, total in made.filtered:
            before = counts.get((where, query, name), (0, 0))
            counts[where, query, name] = (before[0] + kept, before[1] + total)
    return [
        f"{where}: {query!r} keeps {'none' if kept == 0 else 'all'} of the {total} events of {name!r}"
        for (where, query, name), (kept, total) in counts.items()
        if kept in (0, total)
    ]


def _missing_everywhere(designs: Sequence[RunDesign]) -> dict[str, str]:
    if not designs:
        return {}
    names = set.intersection(*(set(design.missing) for design in designs))
    return {name: where for name, where in designs[0].missing.items() if name in names}


def _occurs(name: str, elsewhere: Collection[str]) -> bool:
    return any(name == other or name.endswith(f".{other}") for other in elsewhere)


def make_run_fit(node: Node, prepared: Prepared, columns: Sequence[str], missing_condition: str) -> RunFit:
    """Return the fit of one group of runs.

    Parameters
    ----------
    columns : tuple of str
        What X gives in any run, which dummy contrasts without a list are made for.

    Raises
    ------
    InputError
        As many columns as volumes.
    """
    design = join_designs(prepared)
    label = " + ".join(run.label for run in prepared.runs)
    rank, n_kept = find_rank(design.matrix[prepared.keep]), int(prepared.keep.sum())
    if rank >= n_kept:
        raise InputError(
            f"{label}: the design has {n_kept} volumes and rank {rank}: nothing is left to "
            "estimate the noise from. Use fewer confounds or a slower filter, or censor less."
        )
    kept = Design(design.matrix[prepared.keep], design.columns)
    rules = expand_rules(node, columns)
    if node.own.get("PartialF"):
        rules = [without_absent(rule, kept.columns) for rule in rules]
    contrasts, skipped = make_contrasts(rules, kept, missing_condition)
    first = prepared.made[0]
    return RunFit(
        node=node.name,
        runs=tuple(with_model_mask(run, node.options.mask) for run in prepared.runs),
        entities=_shared_entities(prepared.runs),
        design=design,
        contrasts=contrasts,
        skipped=skipped,
        conditions=tuple(dict.fromkeys(name for made in prepared.made for name in made.conditions)),
        confounds=first.confounds if len(prepared.made) == 1 else _prefixed_confounds(prepared),
        keep=prepared.keep,
        descriptions=describe_columns(design.columns, prepared),
        events=_events_used(prepared),
        high_pass_hz=node.options.high_pass_hz,
        aggregate=node.options.aggregate,
        asked={rule.name: _asked(rule) for rule in rules},
        responses=first.responses if len(prepared.made) == 1 else (),
        notes=tuple(dict.fromkeys(note for made in prepared.made for note in made.notes)),
    )


def _asked(rule: ContrastRule) -> dict[str, float]:
    """Return condition -> weight of a t contrast; of an F test whose rows are conditions, row -> weight."""
    if rule.test != "F":
        return dict(zip(rule.conditions, rule.weights[0], strict=True))
    rows = [{n: w for n, w in zip(rule.conditions, row, strict=True) if w} for row in rule.weights]
    return {name: weight for row in rows for name, weight in row.items()} if max(map(len, rows)) == 1 else {}


def note_rare_conditions(fits: Sequence[RunFit]) -> list[Caution]:
    """Return a warning on each condition of an F test that some runs lack.

    Parameters
    ----------
    fits : sequence of RunFit
        Those of one model.
    """
    tests = dict.fromkeys(c.name for fit in fits for c in fit.contrasts if c.test == "F")
    notes = []
    for test in tests:
        rows = [fit.asked.get(test, {}) for fit in fits]
        for condition in dict.fromkeys(name for row in rows for name in row):
            there = [fit.label for fit, row in zip(fits, rows, strict=True) if condition in row]
            if len(there) < len(fits):
                have = f"{len(there)} of {len(fits)} runs have {condition} ({some_names(there, MAX_NAMED)})"
                lack = f"{test} tests the other conditions, and contrasts that need it are not made"
                notes.append(Caution(f"{have}: in the others {lack}"))
    return notes


def join_designs(prepared: Prepared) -> Design:
    """Return one design over the runs of a fit: conditions are shared, everything else is each run's own."""
    if len(prepared.made) == 1:
        return prepared.made[0].design
    lengths = [len(made.design.matrix) for made in prepared.made]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    columns: dict[str, Numbers] = {}
    for index, made in enumerate(prepared.made):
        for name, values in zip(made.design.columns, made.design.matrix.T, strict=True):
            key = name if name in made.conditions else _own_name(prepared.runs[index], index, name)
            column = columns.setdefault(key, np.zeros(starts[-1]))
            column[starts[index] : starts[index + 1]] = values
    return Design(np.column_stack(list(columns.values())), tuple(columns))


def _own_name(run: Run, index: int, name: str) -> str:
    part = "_".join(f"{key}-{run.entities[key]}" for key in ("ses", "task", "run") if key in run.entities)
    return f"{name}_{part or index + 1}"


def _prefixed_confounds(prepared: Prepared) -> tuple[str, ...]:
    return tuple(
        _own_name(prepared.runs[index], index, name)
        for index, made in enumerate(prepared.made)
        for name in made.confounds
    )


def _shared_entities(runs: Sequence[Run]) -> dict[str, str]:
    first = runs[0].entities
    return {key: value for key, value in first.items() if all(run.entities.get(key) == value for run in runs)}


def describe_columns(columns: Iterable[str], prepared: Prepared) -> dict[str, str]:
    """Return what each column of a design is, in words."""
    conditions = {name for made in prepared.made for name in made.conditions}
    confounds = {*_prefixed_confounds(prepared), *(name for made in prepared.made for name in made.confounds)}
    recorded = {name for made in prepared.made for name in made.recorded}
    known = dict.fromkeys(confounds, "confound") | dict.fromkeys(conditions, "made from the events")
    known |= dict.fromkeys(recorded, "from a recording, at the volumes")
    return {
        name: known.get(name, "intercept" if name.startswith(INTERCEPT) else "filter") for name in columns
    }


def _events_used(prepared: Prepared) -> tuple[Document, ...]:
    used: list[Document] = []
    for events in prepared.events:
        if events is not None:
            times = {name: pd.to_numeric(events[name]).astype(float) for name in REQUIRED}
            table = pd.DataFrame(times | {TRIAL_TYPE: events.get(TRIAL_TYPE, "event")}).astype(object)
            rows = table.where(table.notna(), None).to_dict("records")
            used += [{str(name): value for name, value in row.items()} for row in rows]
    return tuple(used)
