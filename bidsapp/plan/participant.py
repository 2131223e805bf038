"""Plan the participant stage: every look-up, every design, every fault, before an image is read."""

from dataclasses import replace

from bidsapp.design.contrasts import expand_rules
from bidsapp.design.run import TIMES
from bidsapp.errors import EXIT_NOTHING_SELECTED, AppError, InputError, ModelError, SettingsError
from bidsapp.inputs.dataset import open_dataset
from bidsapp.inputs.model import read_model
from bidsapp.inputs.occurrences import find_holders, find_levels, find_sessions
from bidsapp.model_records import SHORT_NAMES
from bidsapp.plan.automatic import EVENT_COLUMN, SameLabelsError, make_automatic_models
from bidsapp.plan.combine import MIDDLE, plan_combinations, repeats_at_group
from bidsapp.plan.confounds import find_absent
from bidsapp.plan.mixtures import describe_model_facts
from bidsapp.plan.nodes import same_value
from bidsapp.plan.runs import check_missing, find_respellings, group_runs, make_run_fit, prepare
from bidsapp.plan.tables import level_tables
from bidsapp.plan_records import ParticipantPlan, SubjectPlan

AUTO = "auto"
MAX_FAULTS_SHOWN = 20
# A column of numbers with more values than this is a measure, not a condition.
FEW_LEVELS = 20


def make_participant_plan(settings):
    """Return the plan of the participant stage.

    Raises
    ------
    InputError, ModelError, SettingsError
        Every fault that the user can fix, all together.
    """
    if settings.model.model != AUTO:
        model = read_model(settings.model.model)
        dataset = open_dataset(_for_model(settings, model), needs_events=needs_events(model))
        return _plan_model(model, dataset, settings)
    dataset = open_dataset(settings)
    plans, faults = [], []
    for model in automatic_models(dataset, settings):
        try:
            plans.append(_plan_model(model, _of_task(dataset, model.input["task"]), settings))
        except AppError as error:
            faults.append(error)
    if faults:
        raise type(faults[0])("\n".join(map(str, faults)), exit_code=faults[0].exit_code)
    return _join(plans)


def needs_events(model):
    """Whether a model is of events: one of confounds alone (resting state) convolves and factors nothing."""
    node = model.nodes[0]
    return bool(node.transformations or node.hrf or any(EVENT_COLUMN in word for word in node.x))


def automatic_models(dataset, settings):
    """Return one model for each task of the runs.

    They are made from what the whole dataset holds, so that every participant, analysed alone or with
    others, gets the same.
    """
    tasks = sorted({run.entities.get("task", "") for run in dataset.runs})
    if not tasks:
        raise InputError("No run can be analysed.", exit_code=EXIT_NOTHING_SELECTED)
    levels = {task: find_levels(dataset.raw, [task]) for task in tasks}
    sessions = {task: several_sessions(dataset.raw, task, settings.selection) for task in tasks}
    try:
        return make_automatic_models(levels, settings.model, sessions)
    except SameLabelsError as error:
        where = [find_holders(dataset.raw, error.task, EVENT_COLUMN, name) for name in error.pair]
        raise SameLabelsError(error.task, *error.pair, where) from error


def several_sessions(raw, task, selection):
    """Whether a task has several sessions, of those asked for, in the whole dataset."""
    found, wanted = find_sessions(raw, task), selection.session_label
    return sum(not wanted or any(same_value(label, one) for one in wanted) for label in found) > 1


def _of_task(dataset, tasks):
    """Return a dataset with the runs and faults of one task only."""
    runs = tuple(run for run in dataset.runs if run.entities.get("task", "") in tasks)
    faults = tuple(fault for fault in dataset.faults if fault.entities.get("task", tasks[0]) in tasks)
    return replace(dataset, runs=runs, faults=faults)


def _join(plans):
    """Return one plan of the plans of several tasks."""
    subjects = {}
    for plan in plans:
        for subject in plan.subjects:
            known = subjects.get(subject.subject, SubjectPlan(subject.subject, (), ()))
            subjects[subject.subject] = SubjectPlan(
                subject.subject,
                known.runs + subject.runs,
                known.combinations + subject.combinations,
                tuple(dict.fromkeys(known.problems + subject.problems)),
                known.notes + subject.notes,
            )
    return replace(
        plans[0],
        documents=tuple(plan.model for plan in plans),
        subjects=tuple(subjects[label] for label in sorted(subjects)),
        notes=tuple(dict.fromkeys(note for plan in plans for note in plan.notes)),
    )


def _plan_model(model, dataset, settings):
    """Return the plan of one model."""
    runs, more = choose_runs(model, list(dataset.runs))
    notes = [*dataset.notes, *more, *model.notes]
    node = model.nodes[0]
    if node.level != "Run":
        raise ModelError(
            f"The model {model.name!r} begins at the {node.level} level: nothing is left to do at the "
            "participant level. Run the group level, with --estimates."
        )
    prepared, faults = _prepare_all(node, runs, notes)
    faults = [*_faults_of_input(dataset.faults, model), *faults, *find_absent(prepared)]
    if not faults:
        faults += _unknown_names(node, prepared, dataset, runs)
    _raise_all(faults)
    notes += find_respellings(node, prepared)
    subjects, notes = _plan_subjects(model, prepared, dataset, settings, notes)
    return ParticipantPlan(
        documents=(model,),
        subjects=subjects,
        links={"raw": dataset.raw, **dataset.derivatives},
        notes=tuple(dict.fromkeys(notes)),
    )


def _for_model(settings, model):
    """Return the settings, restricted to the tasks of the model where the user names none."""
    tasks = model.input.get("task", ()) if model else ()
    if settings.selection.task_label or not tasks:
        return settings
    return replace(settings, selection=replace(settings.selection, task_label=tuple(tasks)))


def choose_runs(model, runs):
    """Return the runs that the model's Input is for, and notes on labels that no run has."""
    notes = []
    for name, labels in model.input.items():
        short = SHORT_NAMES.get(name, name)
        there = {str(run.entities.get(short, run.metadata.get(name, ""))) for run in runs}
        absent = [
            label for label in labels if not any(same_value(_label(short, label), value) for value in there)
        ]
        chosen = [
            run
            for run in runs
            if any(
                same_value(_label(short, label), run.entities.get(short, run.metadata.get(name, "")))
                for label in labels
            )
        ]
        # Data without a run (or session) entity has one run, which any list of runs is taken to mean.
        if there == {""}:
            continue
        if not chosen:
            raise InputError(
                f"The model's Input is for {name} {', '.join(labels[:10])}; the runs found have {name} "
                f"{', '.join(sorted(there)[:10])}.",
                exit_code=EXIT_NOTHING_SELECTED,
            )
        if absent:
            notes.append(f"the model's Input names {name} {', '.join(absent[:10])}, which no run has")
        if len(chosen) < len(runs):
            notes.append(
                f"{len(runs) - len(chosen)} runs are left out: the model's Input is for other {name}s"
            )
        runs = chosen
    return runs, notes


def _faults_of_input(faults, model):
    """Return the faults of the dataset, without those of runs that the model's Input leaves out."""
    wanted = {SHORT_NAMES.get(name, name): labels for name, labels in model.input.items()}
    return [
        str(fault)
        for fault in faults
        if all(
            name not in fault.entities
            or any(same_value(_label(name, label), fault.entities[name]) for label in labels)
            for name, labels in wanted.items()
        )
    ]


def _label(short, label):
    return label.removeprefix(f"{short}-")


def _prepare_all(node, runs, notes):
    """Return the designs of all runs, and the faults met."""
    groups, more = group_runs(node, runs)
    notes += more
    prepared, faults = [], []
    for group in groups:
        try:
            prepared.append(prepare(node, group))
        except ModelError as error:
            faults.append(str(error))
            if len(faults) > MAX_FAULTS_SHOWN:
                break
        except AppError as error:
            faults.append(str(error))
    return prepared, faults


def _unknown_names(node, prepared, dataset, runs):
    """Return faults for names of the model that occur nowhere; events of other participants count."""
    faults = check_missing(node, prepared)
    if not faults:
        return []
    levels = find_levels(dataset.raw, {run.entities.get("task", "") for run in runs})
    elsewhere = _names_of(levels)
    return check_missing(node, prepared, elsewhere)


def _names_of(levels):
    """Return the names that columns of events give a model: themselves, and the levels of texts."""
    names = []
    for column, values in levels.items():
        if column in TIMES:
            continue
        texts = all(_is_text(value) for value in values)
        names += [
            column,
            *(f"{column}.{value}" for value in sorted(values) if texts or len(values) <= FEW_LEVELS),
        ]
    return names


def _is_text(value):
    try:
        float(value)
    except ValueError:
        return True
    return False


def _plan_subjects(model, prepared, dataset, settings, notes):
    node, missing_condition = model.nodes[0], settings.model.missing_condition
    columns = tuple(dict.fromkeys(name for fit in prepared for made in fit.made for name in made.x_columns))
    fits, faults, made_with = {}, [], describe_model_facts(model, settings.model)
    for group in prepared:
        try:
            fit = replace(make_run_fit(node, group, columns, missing_condition), made_with=made_with)
            fits.setdefault(group.runs[0].entities["sub"], []).append(fit)
        except AppError as error:
            faults.append(str(error))
    _raise_all(faults)
    tables = level_tables(dataset.raw)
    subjects = [SubjectPlan(subject, (), (), (reason,)) for subject, reason in dataset.unusable.items()]
    for subject, run_fits in fits.items():
        combined, problems = plan_combinations(model, run_fits, missing_condition, tables)
        _check_boost(combined, settings)
        notes = [*notes, *repeats_at_group(model, [*run_fits, *combined])]
        remarks = [f"{fit.label}: {note}" for fit in run_fits for note in fit.notes]
        subjects.append(
            SubjectPlan(subject, tuple(run_fits), tuple(combined), tuple(problems), tuple(remarks))
        )
    _raise_all(_never_made(node, columns, fits))
    notes = [*notes, *_empty_nodes(model, subjects)]
    return tuple(sorted(subjects, key=lambda plan: plan.subject)), notes


def _check_boost(combined, settings):
    """Refuse to combine boosted effects of one run: nobody knows how they vary together."""
    for fit in combined if settings.run.derivative_boost else ():
        if fit.shares_runs or any(contrast.test == "F" for contrast in fit.contrasts):
            raise SettingsError(
                f"--derivative-boost: {fit.node!r} combines several contrasts of one run, whose covariance "
                "is not known for boosted effects. Write the contrast into the Run node, or leave the option "
                "out."
            )


def _empty_nodes(model, subjects):
    """Return a note on every Session and Subject node that nothing enters."""
    made = {fit.node for subject in subjects for fit in subject.combinations}
    return [
        f"nothing enters {node.name!r}: have the nodes before it contrasts, and does the Filter of its edge "
        "let them pass?"
        for node in model.nodes
        if node.level in MIDDLE and node.name not in made
    ]


def _never_made(node, columns, fits):
    """Return a fault where no run can make any contrast of the node."""
    every = [fit for group in fits.values() for fit in group]
    if expand_rules(node, columns) and every and not any(fit.contrasts for fit in every):
        name, reason = next(iter(every[0].skipped.items()))
        return [f"{node.where}: no run can make any contrast. {every[0].label}, contrast {name!r}: {reason}."]
    return []


def _raise_all(faults):
    """Raise one error with all faults."""
    faults = list(dict.fromkeys(faults))
    if not faults:
        return
    shown = faults[:MAX_FAULTS_SHOWN]
    if len(faults) > len(shown):
        shown.append(f"... and {len(faults) - len(shown)} more faults.")
    kind = ModelError if all(fault.startswith("Nodes[") for fault in faults) else InputError
    raise kind("\n".join(shown))
