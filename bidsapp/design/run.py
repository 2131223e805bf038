"""The design of one run: events and confounds to columns at the volumes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bidsapp.design.coding import fit_formula
from bidsapp.design.convolution import convolve_variable, response_names, sample_variable
from bidsapp.design.filters import high_pass_columns, low_pass_columns
from bidsapp.design.formula import formula_words
from bidsapp.design.transformers.transform import transform
from bidsapp.design.transformers.variables import TIMES, Filtered, Namespace, Variable, as_values
from bidsapp.errors import Caution, InputError, ModelError
from bidsapp.model.wildcards import is_wildcard, match_names
from bidsapp.records.arrays import Numbers
from bidsapp.records.maps import Design
from bidsapp.records.model import INTERCEPT, Node
from bidsapp.records.plan import Response

# fMRIPrep writes these columns only for runs with such volumes: that there are none is no news.
ONLY_WHERE_NEEDED = ("non_steady_state_outlier", "nonsteadystateoutlier", "motion_outlier")


@dataclass(frozen=True, slots=True)
class RunDesign:
    """The design of one run, and how it came about.

    Attributes
    ----------
    x_columns : tuple of str
        The columns that X named; filters and an added intercept are not among them.
    conditions, confounds : tuple of str
        Columns that come from the events or recordings, and from the confounds file.
    recorded : tuple of str
        Those of the conditions that come from recordings as they are.
    missing : dict of str to str
        Names that the model asks for and this run does not have, and where the model asks.
    notes : tuple of str
    filtered : tuple of Filtered
    responses : tuple of Response
        Of conditions with several columns.
    """

    design: Design
    x_columns: tuple[str, ...]
    conditions: tuple[str, ...]
    confounds: tuple[str, ...]
    missing: dict[str, str]
    notes: tuple[str, ...]
    recorded: tuple[str, ...] = ()
    filtered: tuple[Filtered, ...] = ()
    taken: tuple[str, ...] = ()
    responses: tuple[Response, ...] = ()


def find_confounds(node: Node, available: Sequence[str]) -> list[str]:
    """Return the columns of a confounds file that a node may use, in the order of the file.

    Parameters
    ----------
    available : sequence of str
    """
    words: list[str] = [*node.x, *(node.hrf.variables if node.hrf else ())]
    words += formula_words(node.formula) if node.formula else []
    for instruction in node.transformations:
        for key in ("Input", "Other", "By", "Target"):
            words += instruction.arguments.get(key, ())
    found = {name for word in set(words) for name in match_names(word, available)}
    return [name for name in available if name in found]


def make_run_design(
    node: Node,
    events: pd.DataFrame | None,
    confounds: pd.DataFrame | None,
    frame_times: Numbers,
    labels: Mapping[str, str] | None = None,
    recordings: pd.DataFrame | None = None,
) -> RunDesign:
    """Return the design of a run.

    Parameters
    ----------
    node : Node
    events : DataFrame or None
        With onset and duration in seconds and further columns.
    confounds : DataFrame or None
        One row a volume; only columns without missing values.
    frame_times : ndarray, shape (n_volumes,)
        Seconds; at least 2.
    labels : dict, optional
        The run's entities by their long names.
    recordings : DataFrame, optional
        One row a volume: columns of physiological or stimulus recordings.

    Raises
    ------
    ModelError
        A transformation or formula that can not be applied.
    InputError
        Values that no design can have.
    """
    namespace = Namespace({}, np.asarray(frame_times, float), dict(labels or {}))
    _add_events(namespace, events)
    from_confounds, from_recordings = (_add_dense(namespace, table) for table in (confounds, recordings))
    given = Namespace(dict(namespace.variables))
    transform(namespace, node.transformations)
    responses = _convolve_block(namespace, node)
    if node.formula:
        columns = _formula_columns(namespace, node, node.formula)
    else:
        columns = _x_columns(namespace, node, responses)
    named = tuple(columns)
    if INTERCEPT not in columns:
        columns[INTERCEPT] = np.ones(len(frame_times))
        namespace.notes.append("X has no 1: an intercept is added, as images have a mean")
    _add_filters(columns, node, namespace)
    matrix = np.column_stack(list(columns.values()))
    if not np.isfinite(matrix).all():
        bad = [name for name, column in columns.items() if not np.isfinite(column).all()]
        raise InputError(f"the columns {', '.join(bad)} have values that are not finite.")
    named_confounds = tuple(name for name in named if name in from_confounds)
    return RunDesign(
        design=Design(matrix, tuple(columns)),
        x_columns=named,
        conditions=tuple(name for name in named if name not in from_confounds and name != INTERCEPT),
        confounds=named_confounds,
        missing=dict(namespace.missing),
        taken=tuple(name for name in namespace.missing if given.find(name)),
        notes=tuple(dict.fromkeys(namespace.notes)),
        recorded=tuple(name for name in named if name in from_recordings),
        filtered=tuple(namespace.filtered),
        responses=_responses(namespace, columns),
    )


def _responses(namespace: Namespace, columns: Collection[str]) -> tuple[Response, ...]:
    """Return the responses that several columns of the design make up as they were convolved."""
    found = []
    for response, made in namespace.responses.values():
        kept = [name for name in made if name in columns and namespace.variables.get(name) is made[name]]
        if len(kept) > 1:
            places = [response.columns.index(name) for name in kept]
            found.append(replace(response, columns=tuple(kept), shapes=response.shapes[:, places]))
    return tuple(found)


def _add_events(namespace: Namespace, events: pd.DataFrame | None) -> None:
    if events is None or not len(events):
        return
    onset, duration = (as_values(events[key].to_numpy()) for key in TIMES)
    if onset.dtype == object or duration.dtype == object:
        raise InputError("onset and duration must be numbers.")
    there = ~np.isnan(onset)
    if not there.all():
        namespace.notes.append(Caution(f"{(~there).sum()} events without an onset are left out"))
    impulses = np.isnan(duration[there])
    if impulses.any():
        note = f"{impulses.sum()} events without a duration are taken as impulses"
        # Of events some of which have a duration, it is more likely to be unknown than zero.
        namespace.notes.append(Caution(note) if (duration[there] > 0).any() else note)
    onset, duration = onset[there], np.nan_to_num(duration[there])
    for name in events.columns:
        values = events[name].to_numpy()[there]
        namespace.variables[str(name)] = Variable(
            str(name), as_values(values), onset, duration, np.arange(len(onset))
        )


def _add_dense(namespace: Namespace, table: pd.DataFrame | None) -> set[str]:
    """Add the columns of a table with one row a volume that have a new name; return these names."""
    added: set[str] = set()
    if table is None:
        return added
    for name in table.columns:
        if name not in namespace.variables:
            namespace.variables[name] = Variable(name, np.asarray(table[name], float))
            added.add(name)
    return added


def _convolve_block(namespace: Namespace, node: Node) -> dict[str, list[str]]:
    """Convolve the variables of the HRF block; return the columns that each gave."""
    responses: dict[str, list[str]] = {}
    if node.hrf is None:
        return responses
    for pattern in node.hrf.variables:
        for name in namespace.require(pattern, f"{node.where}.Model.HRF.Variables"):
            variable = namespace.variables[name]
            if name in responses:
                continue
            if not variable.is_sparse:
                namespace.notes.append(f"HRF leaves {name!r} as it is: it is a series, or convolved, already")
                continue
            if variable.is_text:
                raise ModelError(f"{node.where}.Model.HRF.Variables: {name!r} holds texts. Use Factor first.")
            made = convolve_variable(variable, name, node.hrf.model, node.hrf.fir_delays, namespace)
            responses[name] = response_names(name, node.hrf.model, node.hrf.fir_delays)
            namespace.variables.update(made)
    return responses


def _x_columns(namespace: Namespace, node: Node, responses: Mapping[str, list[str]]) -> dict[str, Numbers]:
    """Return the columns of X in its order, by name."""
    columns: dict[str, Numbers] = {}
    n_volumes = len(namespace.volume_times)
    for word in node.x:
        if word == INTERCEPT:
            columns[INTERCEPT] = np.ones(n_volumes)
            continue
        for name in _names_of(namespace, node, word):
            for column in responses.get(name, [name]):
                columns.setdefault(column, _sampled(namespace, column))
    return columns


def _names_of(namespace: Namespace, node: Node, word: str) -> list[str]:
    """Return the variables of a word of X; a text column stands for its levels."""
    where = f"{node.where}.Model.X"
    if is_wildcard(word):
        names = namespace.find(word)
        if not names and not word.lower().startswith(ONLY_WHERE_NEEDED):
            namespace.notes.append(f"no column matches {word!r} of X")
        return [name for name in names if not namespace.variables[name].is_text and name not in TIMES]
    names = namespace.require(word, where)
    if names and namespace.variables[names[0]].is_text:
        return namespace.make_levels(names[0])
    return names


def _sampled(namespace: Namespace, name: str) -> Numbers:
    variable = namespace.variables[name]
    if variable.is_sparse:
        namespace.notes.append(f"{name!r} is not convolved: its events enter X as they are")
    return sample_variable(variable, namespace.volume_times)


def _formula_columns(namespace: Namespace, node: Node, formula: str) -> dict[str, Numbers]:
    words = [*formula_words(formula), *(word for word in node.x if word != INTERCEPT)]
    values = {}
    for word in dict.fromkeys(words):
        for name in namespace.find(word):
            if not namespace.variables[name].is_text:
                values[name] = _sampled(namespace, name)
    made = fit_formula(formula, values, len(namespace.volume_times))
    return dict(zip(made.names, made.matrix.T, strict=True))


def _add_filters(columns: dict[str, Numbers], node: Node, namespace: Namespace) -> None:
    """Add the cosine columns of the high-pass and low-pass filters of Options."""
    times, options = namespace.volume_times, node.options
    if options.high_pass_hz is not None:
        if any(name.startswith("cosine") for name in columns):
            namespace.notes.append("X has cosine columns: HighPassFilterCutoffHz adds no second filter")
        else:
            columns.update(high_pass_columns(options.high_pass_hz, times))
    if options.low_pass_hz is not None:
        columns.update(low_pass_columns(options.low_pass_hz, times))
