"""The model that is made from the events when none is given."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TypeAlias

from bidsapp.design.transformers.expressions import linear_weights
from bidsapp.design.transformers.variables import TIMES, is_number
from bidsapp.errors import Caution, InputError, ModelError, SettingsError
from bidsapp.inputs.dataset.selection import natural_key
from bidsapp.inputs.tables.events import TRIAL_TYPE
from bidsapp.inputs.tables.read import spell_levels
from bidsapp.model.json_text import format_json
from bidsapp.model.read import parse_model
from bidsapp.model.strategy import MOTION_SUFFIXES, motion_columns, parse_strategy
from bidsapp.names import is_plain, make_label
from bidsapp.records.documents import Document
from bidsapp.records.model import HRF_MODELS, Model
from bidsapp.settings.parts import ModelOptions

# Columns of the events -> their levels.
Levels: TypeAlias = Mapping[str, Collection[str]]
# What --model says for it.
AUTO = "auto"
# So many regressors, and their contrasts, are still looked at one by one.
MAX_CONDITIONS = 60
# With more conditions, all pairs would be more contrasts than anybody looks at.
MAX_PAIRED = 4
# A column with more values is a measure, or a description of single trials.
FEW_LEVELS = 20
# The one regressor of events without a trial type, and the onset that every event is later than.
ALL_EVENTS = "task"
BEFORE_ALL = -1e6
F_NAME = "effectsOfInterest"
# Names of fMRIPrep from 1.2 on, and before.
NON_STEADY_COLUMNS = ("non_steady_state_outlier*", "NonSteadyStateOutlier*")


def make_automatic_models(
    levels: Mapping[str, Levels], options: ModelOptions, sessions: Mapping[str, bool]
) -> list[Model]:
    """Return the automatic model of each task.

    Parameters
    ----------
    levels : dict of str to dict
        Task -> the columns of its events and their levels, as from `find_levels`.
    options : ModelOptions
        A contrast of the user belongs to the tasks that have its conditions.
    sessions : dict of str to bool
        Task -> whether it has several sessions.

    Raises
    ------
    SettingsError, InputError
    """
    own: dict[str, list[str]] = {task: [] for task in levels}
    refusals: dict[str, list[SettingsError]] = {}
    for task, columns in levels.items():
        for text in options.contrast:
            try:
                _read_contrast(text, _conditions(columns, task)[0])
                own[task].append(text)
            except SettingsError as error:
                refusals.setdefault(text, []).append(error)
    for errors in refusals.values():
        if len(errors) == len(levels):
            raise errors[0]
    return [
        make_automatic_model(
            columns, task, replace(options, contrast=tuple(own[task])), sessions=sessions[task]
        )
        for task, columns in levels.items()
    ]


def make_automatic_model(
    levels: Levels, task: str, options: ModelOptions, *, sessions: bool = False
) -> Model:
    """Return the model made from the events of a task.

    One regressor a trial type; each against baseline, all pairwise differences of up to MAX_PAIRED
    conditions, an F test of all conditions, and the user's own contrasts.

    Parameters
    ----------
    levels : dict of str to set of str
        The columns of the events and their levels, as from `find_levels`.
    options : ModelOptions
    sessions : bool
        Whether there are several sessions, which are then kept apart.

    Raises
    ------
    SettingsError, InputError
    """
    if "onset" not in levels:
        raise InputError(f"task-{task} has no events file with an onset column, which --model auto needs.")
    columns, steps = _conditions(levels, task)
    hrf, group_by = check_hrf(options.hrf_model), ["session", "contrast"] if sessions else ["contrast"]
    document = {
        "Name": f"{task} auto",
        "BIDSModelVersion": "1.0.0",
        "Description": "Made by TaskGLM from the events; copy it, change it, and give it with --model.",
        "Input": {"task": [task]},
        "Nodes": [
            _run_node(columns, steps, hrf, options),
            mean_node("Subject", ["subject", *group_by], Type="meta", Software={"TaskGLM": {"JointF": True}}),
            mean_node("Dataset", group_by),
        ],
    }
    name = f"the automatic model of task-{task}"
    model = parse_model(format_json(document), name, markup_is_text=True)
    more = [*note_labels(columns), *_note_on_one_condition(levels, task)]
    return replace(model, notes=(*model.notes, *more))


def _note_on_one_condition(levels: Levels, task: str) -> list[str]:
    """Return a caution where the events have no trial types: conditions may stand in another column."""
    if levels.get(TRIAL_TYPE):
        return []
    what = f"{TRIAL_TYPE} is n/a in every row" if TRIAL_TYPE in levels else f"no column {TRIAL_TYPE}"
    others = [
        f"{name} ({len(values)} values)"
        for name, values in levels.items()
        if _may_be_conditions(name, values)
    ]
    may = f" Columns that may hold conditions: {', '.join(others)}." if others else ""
    return [
        Caution(
            f"task-{task}: the events have {what}: all events are one condition, {ALL_EVENTS!r}.{may} To use "
            "another column, name it in a model file (python -m bidsapp.model new writes one to begin with)."
        )
    ]


def _may_be_conditions(name: str, values: Collection[str]) -> bool:
    measures = (value for value in values if is_number(value) and not float(value).is_integer())
    return name not in TIMES and 2 <= len(values) <= FEW_LEVELS and not any(measures)


def check_hrf(name: str) -> str:
    """Return the name of a response as HRF_MODELS spells it; raise SettingsError for an unknown one."""
    spelled = " + ".join(part.strip() for part in name.lower().split("+"))
    if spelled not in HRF_MODELS or spelled == "fir":
        known = ", ".join(model for model in HRF_MODELS if model != "fir")
        raise SettingsError(f"--hrf-model {name!r} is not known; there are {known}. FIR needs a model file.")
    return spelled


def _conditions(levels: Levels, task: str) -> tuple[dict[str, str], list[Document]]:
    """Return condition name -> column, and the transformations that make the columns."""
    names = sorted(set(spell_levels(levels.get(TRIAL_TYPE, ())).values()), key=natural_key)
    if len(names) > MAX_CONDITIONS:
        raise InputError(
            f"task-{task} has {len(names)} trial types, too many for one regressor each. Write a model that "
            "joins them: python -m bidsapp.model new"
        )
    seen: dict[str, str] = {}
    for name in names:
        # Files would be one, where capitals do not count, of names that differ by these only.
        other = seen.setdefault(make_label(name).lower(), name)
        if other != name:
            raise SameLabelsError(task, other, name)
    if not names:
        step = {"Name": "Threshold", "Input": ["onset"], "Threshold": BEFORE_ALL, "Binarize": True}
        return {ALL_EVENTS: ALL_EVENTS}, [step | {"Output": [ALL_EVENTS]}]
    return {name: f"{TRIAL_TYPE}.{name}" for name in names}, [{"Name": "Factor", "Input": [TRIAL_TYPE]}]


class SameLabelsError(InputError):
    """Two trial types of a task whose files would have one name; ``pair`` holds them."""

    def __init__(self, task: str, first: str, second: str, where: Sequence[str] = ("", "")) -> None:
        """Take the names and, where known, whose files have them."""
        label, other = make_label(first), make_label(second)
        how = "differ by capitals only"
        if first.casefold() != second.casefold():
            names = repr(label) if label == other else f"but for capitals: {label!r}, {other!r}"
            how = f"have the same output name {names}"
        said = " and ".join(
            f"{name!r}{place and f' ({place})'}" for name, place in zip((first, second), where, strict=True)
        )
        super().__init__(
            f"task-{task}: the trial types {said} {how}. Spell them alike in the events files if they are "
            "one condition; if they are two, rename one there, or with Replace in a model file (--model)."
        )
        self.task, self.pair = task, (first, second)


def note_labels(names: Iterable[str]) -> list[str]:
    """Return a note on conditions whose name in files is not what a reader would guess."""
    odd = [f"{name!r} is {make_label(name)!r}" for name in names if not is_plain(name)]
    return [f"in names of files, {', '.join(odd)}"] if odd else []


def _run_node(columns: Mapping[str, str], steps: list[Document], hrf: str, options: ModelOptions) -> Document:
    parts = hrf.split(" + ")
    convolve = {
        "Name": "Convolve",
        "Model": parts[0],
        "Input": list(columns.values()),
        "Derivative": "derivative" in parts,
        "Dispersion": "dispersion" in parts,
    }
    modelled = [f"{c}{suffix}" for c in columns.values() for suffix in ("", *(f"_{p}" for p in parts[1:]))]
    strategy = parse_strategy(options.confounds)
    # Strategies of motion alone, which every derivative has the columns of, are columns of X.
    named = options.confounds in ("none", *MOTION_SUFFIXES)
    x = [column for name in strategy.parts for column in motion_columns(name)] if named else []
    if options.confounds != "none" and "nonsteady" not in strategy.parts:
        # Volumes before the steady state are far off the baseline: left in they bias every effect.
        x += NON_STEADY_COLUMNS
    model: Document = {"Type": "glm", "X": [*modelled, *x, 1]}
    if options.high_pass > 0 and "cosine" not in strategy.parts:
        model["Options"] = {"HighPassFilterCutoffHz": 1.0 / options.high_pass}
    own = {} if named else {"Confounds": strategy.text}
    model["Software"] = {"TaskGLM": {**own, "PartialF": True}}
    return {
        "Level": "Run",
        "Name": "runLevel",
        "GroupBy": ["run", "subject"],
        "Transformations": {"Transformer": "pybids-transforms-v1", "Instructions": [*steps, convolve]},
        "Model": model,
        "Contrasts": make_contrast_list(columns, options.contrast),
    }


def make_contrast_list(columns: Mapping[str, str], asked: Iterable[str]) -> list[Document]:
    """Return the contrasts of the run node, as a model writes them.

    Parameters
    ----------
    columns : dict of str to str
        Condition name -> column.
    asked : sequence of str
        ``NAME=EXPRESSION`` of the user.
    """
    own: dict[str, dict[str, float]] = {}
    for name, weights in (_read_contrast(text, columns) for text in asked):
        if own.setdefault(name, weights) != weights:
            raise SettingsError(f"--contrast {name}: two contrasts have this name. Rename one.")
    contrasts = [_contrast(name, weights, "t") for name, weights in own.items()]
    taken = {make_label(name).lower() for name in own}
    made = [(name, {column: 1.0}) for name, column in columns.items()]
    if len(columns) <= MAX_PAIRED:
        made += [(minus_name(a, b), {columns[a]: 1.0, columns[b]: -1.0}) for a, b in combinations(columns, 2)]
    for name, weights in made:
        # Conditions come first: a difference that has the name of one ("aMinusB") is not made.
        if make_label(name).lower() not in taken:
            taken.add(make_label(name).lower())
            contrasts.append(_contrast(name, weights, "t"))
    if F_NAME.lower() not in taken:
        identity = [[float(row == column) for column in columns] for row in columns]
        conditions = list(columns.values())
        contrasts.append({"Name": F_NAME, "ConditionList": conditions, "Weights": identity, "Test": "F"})
    return contrasts


def minus_name(first: str, second: str) -> str:
    """Return the name of a difference, as nilearn labels it: aMinusB."""
    label = make_label(second)
    return f"{make_label(first)}Minus{label[0].upper()}{label[1:]}"


def _contrast(name: str, weights: Mapping[str, float], test: str) -> Document:
    return {"Name": name, "ConditionList": list(weights), "Weights": list(weights.values()), "Test": test}


def _read_contrast(text: str, columns: Mapping[str, str]) -> tuple[str, dict[str, float]]:
    name, equals, expression = text.partition("=")
    if not equals or not name.strip() or not expression.strip():
        raise SettingsError(
            f'--contrast {text!r}: write NAME=EXPRESSION, for example "conflict=incongruent - congruent".'
        )
    spellings = {**columns, **{column: column for column in columns.values()}}
    try:
        weights = linear_weights(expression, list(spellings))
    except ModelError as error:
        raise SettingsError(f"--contrast {name.strip()}: {error}") from error
    joined: dict[str, float] = {}
    for spelling, weight in weights.items():
        joined[spellings[spelling]] = joined.get(spellings[spelling], 0.0) + weight
    return name.strip(), joined


def mean_node(level: str, group_by: Sequence[str], **model: object) -> Document:
    """Return a node that averages what comes in."""
    return {
        "Level": level,
        "Name": f"{level.lower()}Level",
        "GroupBy": group_by,
        "Model": {"Type": "glm", "X": [1], **model},
        "DummyContrasts": {"Test": "t"},
    }
