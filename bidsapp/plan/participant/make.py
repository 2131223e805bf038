"""Plan the participant stage: every look-up, every design, every fault, before an image is read."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from bidsapp.design.contrasts import expand_rules
from bidsapp.design.transformers.variables import TIMES, is_number
from bidsapp.errors import (
    EXIT_NOTHING_SELECTED,
    AppError,
    Caution,
    InputError,
    ModelError,
    SettingsError,
    about,
    by_reason,
    find_cautions,
    in_lines,
    in_words,
)
from bidsapp.inputs.dataset.index import IndexedFile
from bidsapp.inputs.dataset.occurrences import find_holders, find_images, find_levels, find_sessions
from bidsapp.inputs.dataset.open import Dataset, open_dataset
from bidsapp.inputs.dataset.runs import Fault
from bidsapp.inputs.estimates import estimate_folders
from bidsapp.inputs.tables.events import TRIAL_TYPE
from bidsapp.model.read import read_model
from bidsapp.plan.automatic import AUTO, FEW_LEVELS, SameLabelsError, make_automatic_models
from bidsapp.plan.group.foresee import check_dataset_nodes, check_group_options
from bidsapp.plan.mixtures import describe_model_facts
from bidsapp.plan.nodes import check_outputs, is_among
from bidsapp.plan.participant.combine import (
    MIDDLE,
    find_idle_filters,
    find_names,
    name_levels,
    of_one_grid,
    plan_combinations,
    repeats_at_group,
)
from bidsapp.plan.participant.confounds import find_absent
from bidsapp.plan.participant.invalid import NameFault, leave_out_invalid, without_notes_on
from bidsapp.plan.participant.runs import (
    Prepared,
    check_missing,
    find_idle_queries,
    find_respellings,
    group_runs,
    make_run_fit,
    note_rare_conditions,
    prepare,
)
from bidsapp.plan.participant.tables import Tables, level_tables
from bidsapp.records.collect import collect
from bidsapp.records.maps import Run
from bidsapp.records.model import SHORT_NAMES, Model, Node
from bidsapp.records.plan import CombineFit, ParticipantPlan, RunFit, SubjectPlan
from bidsapp.settings.parts import ModelOptions, Selection, Settings

# What has entities: a run, or an image by its name.
HasEntities = TypeVar("HasEntities", Run, IndexedFile)


def make_participant_plan(settings: Settings) -> ParticipantPlan:
    """Return the plan of the participant stage.

    Faults of runs and participants are problems of their `SubjectPlan`.

    Raises
    ------
    InputError, ModelError, SettingsError
        Every fault of the command, the model or the whole dataset, all together.
    """
    plan = _plan(settings)
    if settings.run.derivative_boost:
        _check_boost(plan)
    if "group" in settings.levels:
        check_group_options(settings, plan.subjects)
    return plan


def _plan(settings: Settings) -> ParticipantPlan:
    options, selection, bids_dir = settings.model, settings.selection, settings.bids_dir
    find = partial(open_dataset, bids_dir, for_group="group" in settings.levels)
    if options.model != AUTO:
        model = read_model(options.model, invalid_contrasts=options.invalid_contrasts)
        dataset = find(_for_model(selection, model), needs_events=needs_events(model))
        _check_runs(dataset)
        return _plan_model(model, dataset, options, selection, bids_dir)
    dataset = find(selection)
    _check_runs(dataset)
    tasks = _tasks(dataset)
    models, refused = automatic_models(dataset, options, selection)
    plans = []
    for model in models:
        (task,) = model.input["task"]
        try:
            plans.append(_plan_model(model, _of_task(dataset, task), options, selection, bids_dir))
        except AppError as error:
            refused[task] = error
    if any(not isinstance(error, InputError) for error in refused.values()) or not plans:
        first = next(iter(refused.values()))
        raise type(first)("\n".join(map(str, refused.values())), exit_code=first.exit_code)
    lost = [fault for fault in dataset.faults if fault.entities.get("task", "") not in tasks]
    lost += [
        Fault(f"task-{task}: {str(error).splitlines()[0]}", run.entities)
        for task, error in refused.items()
        for run in dataset.runs
        if run.entities.get("task", "") == task
    ]
    return _join(plans, lost)


def _tasks(dataset: Dataset) -> list[str]:
    return sorted({run.entities.get("task", "") for run in dataset.runs})


def _check_runs(dataset: Dataset) -> None:
    """Raise with the faults of all runs where no run is left."""
    if not dataset.runs:
        _raise_all([*dataset.faults, *reasons_of(dataset)])
        raise InputError("No run can be analysed.", exit_code=EXIT_NOTHING_SELECTED)


def needs_events(model: Model) -> bool:
    """Whether a model is of events: one of confounds alone (resting state) convolves and factors nothing."""
    node = model.nodes[0]
    return bool(node.transformations or node.hrf or any(TRIAL_TYPE in word for word in node.x))


def automatic_models(
    dataset: Dataset, options: ModelOptions, selection: Selection
) -> tuple[list[Model], dict[str, AppError]]:
    """Return one model for each task of the runs, and the errors of tasks without readable events.

    They are made from what the whole dataset holds, so that every participant, analysed alone or with
    others, gets the same.
    """
    levels: dict[str, dict[str, set[str]]] = {}
    refused: dict[str, AppError] = {}
    for task in _tasks(dataset):
        levels[task], faults = find_levels(dataset.roots, [task])
        if faults and not levels[task]:
            del levels[task]
            refused[task] = InputError(in_lines(faults))
    sessions = {task: several_sessions(dataset.roots, task, selection) for task in levels}
    try:
        return make_automatic_models(levels, options, sessions), refused
    except SameLabelsError as error:
        where = [find_holders(dataset.roots, error.task, TRIAL_TYPE, name) for name in error.pair]
        raise SameLabelsError(error.task, *error.pair, where) from error


def several_sessions(roots: Sequence[Path], task: str, selection: Selection) -> bool:
    """Whether a task has several sessions, of those asked for, in the whole dataset."""
    found, wanted = find_sessions(roots, task), selection.session_label
    return sum(not wanted or is_among(label, wanted) for label in found) > 1


def _of_task(dataset: Dataset, task: str) -> Dataset:
    """Return a dataset with the runs and faults of one task only."""
    runs = tuple(run for run in dataset.runs if run.entities.get("task", "") == task)
    faults = tuple(fault for fault in dataset.faults if fault.entities.get("task", "") == task)
    return replace(dataset, runs=runs, faults=faults)


def _join(plans: Sequence[ParticipantPlan], faults: Iterable[Fault]) -> ParticipantPlan:
    """Return one plan of the plans of several tasks, and of faults that belong to none of them."""
    subjects: dict[str, SubjectPlan] = {}
    empty = [SubjectPlan(fault.entities["sub"], (), (), (str(fault),)) for fault in faults]
    for subject in [subject for plan in plans for subject in plan.subjects] + empty:
        known = subjects.get(subject.subject, SubjectPlan(subject.subject, (), ()))
        subjects[subject.subject] = SubjectPlan(
            subject.subject,
            known.runs + subject.runs,
            known.combinations + subject.combinations,
            tuple(dict.fromkeys(known.problems + subject.problems)),
            tuple(dict.fromkeys(known.notes + subject.notes)),
        )
    return replace(
        plans[0],
        documents=tuple(plan.model for plan in plans),
        subjects=tuple(subjects[label] for label in sorted(subjects)),
        notes=tuple(dict.fromkeys(note for plan in plans for note in plan.notes)),
    )


def _plan_model(
    model: Model, dataset: Dataset, options: ModelOptions, selection: Selection, bids_dir: Path
) -> ParticipantPlan:
    """Return the plan of one model.

    A fault of a run ends that run; only where none is left, or the model is at fault, an error is raised.
    """
    node = model.nodes[0]
    if node.level != "Run":
        raise ModelError(
            f"The model {model.name!r} begins at the {node.level} level: nothing is left to do at the "
            "participant level. Run the group level, with --estimates."
        )
    runs, more = choose_runs(model, list(dataset.runs), selection.participant_label)
    groups, joined = group_runs(node, runs)
    notes = [*dataset.notes, *more, *model.notes, *joined]
    prepared, faults = _prepare_all(node, groups)
    faults = [*_faults_of_input(dataset.faults, model), *faults]
    if not prepared:
        _raise_all([*faults, *reasons_of(dataset)])
    node, unknown, left_out = leave_out_invalid(node, _unknown_names(node, prepared, dataset, runs))
    _raise_all(unknown)
    remarks = without_notes_on(model, node)
    notes = [note for note in notes if note in remarks or note not in model.notes]
    model = replace(model, nodes=(node, *model.nodes[1:]), notes=remarks)
    notes += [*left_out, *find_respellings(node, prepared), *find_idle_queries(prepared)]
    of_others = _ask_others(model, dataset, selection)
    subjects, more = _plan_subjects(model, prepared, dataset, options, of_others, faults)
    notes += [*more, *check_dataset_nodes(model, subjects, bids_dir, estimate_folders(selection), of_others)]
    return ParticipantPlan(
        documents=(model,),
        subjects=subjects,
        links={"raw": dataset.raw, **dataset.derivatives},
        notes=tuple(dict.fromkeys(notes)),
    )


def reasons_of(dataset: Dataset) -> list[str]:
    """Return why the participants of a dataset without a usable run have none."""
    return [
        reason if reason.startswith("sub-") else f"sub-{subject}: {reason}"
        for subject, reason in dataset.unusable.items()
    ]


def _for_model(selection: Selection, model: Model) -> Selection:
    """Return the selection, restricted to the tasks of the model where the user names none."""
    return replace(selection, task_label=selection.task_label or tuple(model.input.get("task", ())))


def choose_runs(
    model: Model, runs: list[HasEntities], subjects: Collection[str] = ()
) -> tuple[list[HasEntities], list[str]]:
    """Return the runs that the model's Input is for, and notes on labels that no run has.

    Of ``subjects``, which the user chose, the others are not missed.
    """
    notes = []
    for name, labels in model.input.items():
        short = SHORT_NAMES.get(name, name)
        there = {run.entities.get(short, "") for run in runs}
        # Data without a run (or session) entity has one run, which any list of runs is taken to mean.
        if there == {""}:
            if name != "contrast":
                notes.append(
                    f"the model's Input names {name} {', '.join(labels[:10])}; no file here has a {name}"
                )
            continue
        absent = [label for label in labels if not is_among(label, there)]
        chosen = [run for run in runs if is_among(run.entities.get(short, ""), labels)]
        if not chosen:
            raise InputError(
                f"The model's Input is for {name} {', '.join(labels[:10])}; the runs found have {name} "
                f"{', '.join(sorted(label or 'none' for label in there)[:10])}.",
                exit_code=EXIT_NOTHING_SELECTED,
            )
        if absent and not (subjects and name == "subject"):
            notes.append(f"the model's Input names {name} {', '.join(absent[:10])}, which no run has")
        if len(chosen) < len(runs):
            notes.append(
                f"{len(runs) - len(chosen)} runs are left out: the model's Input is for other {name}s"
            )
        runs = chosen
    return runs, notes


def _faults_of_input(faults: Iterable[Fault], model: Model) -> list[Fault]:
    """Return the faults of the dataset, without those of runs that the model's Input leaves out."""
    wanted = {SHORT_NAMES.get(name, name): labels for name, labels in model.input.items()}
    return [
        fault
        for fault in faults
        if all(
            name not in fault.entities or is_among(fault.entities[name], labels)
            for name, labels in wanted.items()
        )
    ]


def _prepare_all(node: Node, groups: Iterable[Sequence[Run]]) -> tuple[list[Prepared], list[Fault]]:
    """Return the designs of all runs, and the faults of those that have none."""
    prepared: list[Prepared] = []
    faults: list[Fault] = []
    for group in groups:
        try:
            prepared.append(prepare(node, group))
        except Exception as error:  # of one run, whatever it is: the others go on
            faults.append(_fault(error, group))
    absent = find_absent(prepared)
    faults += [Fault(words, prepared[number].runs[0].entities) for number, words in absent.items()]
    return [one for number, one in enumerate(prepared) if number not in absent], faults


def _fault(error: Exception, runs: Sequence[Run]) -> Fault:
    words = in_words(error)
    return Fault(words if isinstance(error, AppError) else f"{runs[0].label}: {words}", runs[0].entities)


def _unknown_names(
    node: Node, prepared: Sequence[Prepared], dataset: Dataset, runs: Sequence[Run]
) -> list[NameFault]:
    """Return faults for names of the model that occur nowhere; events of other participants count."""
    if not check_missing(node, prepared):
        return []
    levels, _ = find_levels(dataset.roots, {run.entities.get("task", "") for run in runs})
    return check_missing(node, prepared, _names_of(levels))


def _names_of(levels: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names that columns of events give a model: themselves, and the levels of texts."""
    names: list[str] = []
    for column, values in levels.items():
        if column in TIMES:
            continue
        names.append(column)
        if len(values) <= FEW_LEVELS or not any(map(is_number, values)):
            names += [f"{column}.{value}" for value in sorted(values)]
    return names


def _plan_subjects(
    model: Model,
    prepared: Sequence[Prepared],
    dataset: Dataset,
    options: ModelOptions,
    of_others: Callable[[], frozenset[str]],
    faults: Iterable[Fault],
) -> tuple[tuple[SubjectPlan, ...], list[str]]:
    """Return the plans of all subjects, in their order, and notes."""
    node, missing_condition = model.nodes[0], options.missing_condition
    columns = tuple(dict.fromkeys(name for fit in prepared for made in fit.made for name in made.x_columns))
    fits: list[RunFit] = []
    faults, made_with = list(faults), describe_model_facts(model, options)
    for group in prepared:
        try:
            fit = make_run_fit(node, group, columns, missing_condition)
            fits.append(replace(fit, made_with=made_with))
        except Exception as error:  # of one run, whatever it is: the others go on
            faults.append(_fault(error, group.runs))
    if not fits:
        _raise_all([*faults, *reasons_of(dataset)])
    notes = note_rare_conditions(fits)
    _raise_all(_never_made(node, columns, fits))
    if missing_condition == "error":
        _raise_all(_lost_contrasts(fits))
    problems = collect(
        [*dataset.unusable.items(), *((fault.entities["sub"], str(fault)) for fault in faults)]
    )
    tables = level_tables(dataset.raw)
    subjects, more = _combine_all(model, fits, problems, tables, missing_condition, of_others)
    check_outputs(fit for one in subjects for fit in one.fits)
    return subjects, [*notes, *more, *find_idle_filters(model, subjects), *_empty_nodes(model, subjects)]


def _combine_all(
    model: Model,
    fits: Sequence[RunFit],
    problems: Mapping[str, list[str]],
    tables: Tables,
    missing_condition: str,
    of_others: Callable[[], frozenset[str]],
) -> tuple[tuple[SubjectPlan, ...], list[str]]:
    subjects, refused = [], []
    notes: list[str] = []
    elsewhere, by_subject = find_names(fits, tables), collect((fit.entities["sub"], fit) for fit in fits)
    for subject in sorted({*by_subject, *problems}):
        run_fits, own = by_subject.get(subject, []), problems.get(subject, [])
        try:
            combine = partial(plan_combinations, model, run_fits, missing_condition, tables)
            try:
                combined, more, said = combine(elsewhere)
            except ModelError:
                combined, more, said = combine(elsewhere | of_others())
        except Exception as error:  # of one subject, whatever it is: the others go on
            combined, more, said = [], [f"sub-{subject}: {in_words(error)}"], []
            refused.append(error)
        combined, mixed = of_one_grid(run_fits, combined)
        notes += [*said, *repeats_at_group(model, [*run_fits, *combined])]
        run_fits = [replace(fit, notes=(*fit.notes, *find_cautions(model.notes))) for fit in run_fits]
        remarks = [
            note if note in model.notes else about(fit.label, note)
            for fit in run_fits
            for note in [*fit.notes, *_not_made(fit.skipped)]
        ]
        remarks += _lost_in_combinations(subject, combined)
        own = [*own, *more, *mixed, *_without_contrast(run_fits)]
        subjects.append(
            SubjectPlan(subject, tuple(run_fits), tuple(combined), tuple(own), tuple(dict.fromkeys(remarks)))
        )
    if refused and len(refused) == len(by_subject):
        raise refused[0]
    return tuple(subjects), notes


def _ask_others(model: Model, dataset: Dataset, selection: Selection) -> Callable[[], frozenset[str]]:
    """Return what gives the conditions and levels of a whole dataset, whoever is analysed now."""

    @cache
    def of_others() -> frozenset[str]:
        images, _ = choose_runs(model, find_images(dataset.roots, selection))
        levels, _ = find_levels(dataset.roots, {image.entities.get("task", "") for image in images})
        tables = level_tables(dataset.raw)
        return name_levels([image.entities for image in images], tables).union(_names_of(levels))

    return of_others


def _lost_contrasts(fits: Iterable[RunFit]) -> list[str]:
    """Return a fault for each run that can not make all contrasts."""
    faults = []
    for fit in (fit for fit in fits if fit.skipped):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in fit.skipped.items())
        faults.append(
            f"{fit.label}: contrasts can not be made ({reasons}). Leave the run out, or use "
            "--missing-condition drop."
        )
    return faults


def _lost_in_combinations(subject: str, combined: Iterable[CombineFit]) -> list[str]:
    """Return cautions on the contrasts that the combinations of a subject can not make, by node."""
    skipped: dict[str, dict[str, str]] = {}
    for fit in combined:
        skipped.setdefault(fit.node, {}).update(fit.skipped)
    return [
        about(f"sub-{subject} {node}", note) for node, lost in skipped.items() for note in _not_made(lost)
    ]


def _not_made(skipped: Mapping[str, str]) -> list[Caution]:
    """Return a caution on the contrasts that can not be made, one a reason."""
    return [
        Caution(f"not made: {', '.join(names)}: {reason}") for reason, names in by_reason(skipped).items()
    ]


def _without_contrast(run_fits: Sequence[RunFit]) -> list[str]:
    """Return a problem where none of a subject's runs makes any contrast, though the model has some."""
    if any(fit.contrasts for fit in run_fits) or not any(fit.skipped for fit in run_fits):
        return []
    reasons = [f"{fit.label}: {'; '.join(dict.fromkeys(fit.skipped.values()))}" for fit in run_fits]
    return [f"no run can make any contrast ({', '.join(reasons)})."]


def _check_boost(plan: ParticipantPlan) -> None:
    """Refuse to combine boosted effects of one run: nobody knows how they vary together."""
    for fit in [fit for subject in plan.subjects for fit in subject.combinations]:
        if fit.shares_runs:
            raise SettingsError(
                f"--derivative-boost: {fit.node!r} combines several contrasts of one run, whose covariance "
                "is not known for boosted effects. Write the contrast into the Run node, or leave the option "
                "out."
            )


def _empty_nodes(model: Model, subjects: Sequence[SubjectPlan]) -> list[Caution]:
    """Return a caution on every Session and Subject node that nothing enters."""
    made = {fit.node for subject in subjects for fit in subject.combinations}
    return [
        Caution(
            f"nothing enters {node.name!r}: have the nodes before it contrasts, and does the Filter of its "
            "edge let them pass?"
        )
        for node in model.nodes
        if node.level in MIDDLE and node.name not in made
    ]


def _never_made(node: Node, columns: Sequence[str], fits: Sequence[RunFit]) -> list[str]:
    """Return a fault where no run can make any contrast of the node."""
    if expand_rules(node, columns) and fits and not any(fit.contrasts for fit in fits):
        name, reason = next(iter(fits[0].skipped.items()))
        return [f"{node.where}: no run can make any contrast. {fits[0].label}, contrast {name!r}: {reason}."]
    return []


def _raise_all(faults: Iterable[str]) -> None:
    """Raise one error with all faults."""
    faults = list(dict.fromkeys(faults))
    if not faults:
        return
    kind = ModelError if all(fault.startswith("Nodes[") for fault in faults) else InputError
    raise kind(in_lines(faults))
