"""The transformations that rearrange variables: their names, levels, events and values."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from bidsapp.design.transformers.expressions import evaluate_query
from bidsapp.design.transformers.variables import (
    Namespace,
    Values,
    Variable,
    as_values,
    factor_levels,
    is_missing,
    level_name,
    level_names,
)
from bidsapp.errors import ModelError
from bidsapp.model.wildcards import is_wildcard
from bidsapp.records.arrays import Mask
from bidsapp.records.documents import Document

# A transformer changes the namespace, by the arguments of an instruction at a JSON path.
Transformer: TypeAlias = Callable[[Namespace, Document, str], None]
# What it makes of one variable; what puts that into the namespace.
Change: TypeAlias = Callable[[Namespace, Variable, Document, str], Variable]
Put: TypeAlias = Callable[[Namespace, Variable], None]
# Levels multiply with every variable that a split is by.
MAX_PARTS = 1000


def find_pairs(namespace: Namespace, arguments: Document, where: str) -> list[tuple[Variable, str]]:
    """Return (input variable, name of the output) of every input that is there."""
    inputs, outputs = arguments["Input"], arguments.get("Output", ())
    if outputs and len(outputs) != len(inputs):
        raise ModelError(
            f"has {len(inputs)} inputs and {len(outputs)} outputs. Give one output for each input."
        )
    prefix, suffix = arguments.get("OutputPrefix", ""), arguments.get("OutputSuffix", "")
    pairs = []
    for index, pattern in enumerate(inputs):
        names = namespace.require(pattern, where)
        if outputs and (is_wildcard(pattern) or len(names) > 1) and len(names) > 1:
            raise ModelError(f"{pattern!r} stands for {len(names)} variables, but has one output.")
        for name in names:
            target = outputs[index] if outputs else name
            pairs.append((namespace.variables[name], f"{prefix}{target}{suffix}"))
    return pairs


def each(change: Change, put: Put | None = None) -> Transformer:
    """Return a transformer that makes a variable of each input and puts it into the place of the output."""

    def apply(namespace: Namespace, arguments: Document, where: str) -> None:
        for variable, target in find_pairs(namespace, arguments, where):
            made = change(namespace, variable, arguments, where)
            made = made.with_values(made.values, target)
            if put is None:
                namespace.variables[target] = made
            else:
                put(namespace, made)

    return apply


def make_factor(namespace: Namespace, arguments: Document, where: str) -> None:
    """Replace a variable by an indicator for each of its levels."""
    sep, constraint = arguments.get("Sep", "."), arguments.get("Constraint", "none")
    for variable, target in find_pairs(namespace, arguments, where):
        levels = factor_levels(variable.with_values(variable.values, target), sep)
        names = [level.name for level in levels]
        reference = (
            f"{target}{sep}{level_name(arguments['RefLevel'])}"
            if arguments.get("RefLevel") is not None
            else None
        )
        if constraint != "none" and len(levels) > 1:
            reference = reference if reference in names else names[0]
            base = next(level.values for level in levels if level.name == reference)
            fill = -1.0 / (len(levels) - 1)
            levels = [level for level in levels if level.name != reference]
            if constraint == "mean_zero":
                levels = [level.with_values(np.where(base == 1, fill, level.values)) for level in levels]
        made_before = [level.name for level in levels if _is_convolved(namespace, level)]
        if made_before:
            raise ModelError(
                f"Factor would make {made_before[0]!r} anew, which is convolved already. Put Factor before."
            )
        if target == variable.name:
            namespace.variables.pop(variable.name)
        namespace.add({level.name: level for level in levels})


def _is_convolved(namespace: Namespace, level: Variable) -> bool:
    """Whether an indicator of events has the name of a series over volumes."""
    other = namespace.variables.get(level.name)
    return level.is_sparse and other is not None and not other.is_sparse


def assign(namespace: Namespace, arguments: Document, where: str) -> None:
    """Give one variable's amplitude, onset or duration to another; an event that gets none is no event."""
    targets = arguments["Target"]
    inputs = arguments["Input"] * len(targets) if len(arguments["Input"]) == 1 else arguments["Input"]
    outputs = arguments.get("Output") or targets
    if not len(inputs) == len(targets) == len(outputs):
        raise ModelError(
            f"has {len(inputs)} inputs and {len(targets)} targets. Give one input for each target."
        )
    for source_name, target_name, output in zip(inputs, targets, outputs, strict=True):
        source, target = namespace.require(source_name, where), namespace.require(target_name, where)
        if source and target:
            made = _assigned(
                namespace.variables[source[0]], namespace.variables[target[0]], arguments, namespace
            )
            name = output if arguments.get("Output") else target[0]
            namespace.variables[name] = replace(made, name=name)


def _assigned(source: Variable, target: Variable, arguments: Document, namespace: Namespace) -> Variable:
    if not source.is_sparse or not target.is_sparse:
        raise ModelError(f"{source.name!r} and {target.name!r} must both be columns of the events.")
    found = source.at_rows_of(target)
    if found is None:
        raise ModelError(
            f"{source.name!r} has {len(source.values)} events and {target.name!r} {len(target.values)}, "
            "not the same ones."
        )
    (onset, duration), (to_onset, to_duration) = found.events, target.events
    taken = {"amplitude": found.values, "onset": onset, "duration": duration}
    given = as_values(taken[arguments.get("InputAttr", "amplitude")])
    if given.dtype == object:
        raise ModelError(f"{source.name!r} holds texts, not numbers.")
    attribute = arguments.get("TargetAttr", "amplitude")
    parts = {"amplitude": target.values.astype(float), "onset": to_onset, "duration": to_duration}
    concerned = parts["amplitude"] != 0
    lost = concerned & np.isnan(given) & ~np.isnan(parts["amplitude"])
    if attribute == "duration" and (given[concerned] < 0).any():
        lost |= concerned & (given < 0)
    if lost.any():
        namespace.notes.append(
            f"{lost.sum()} of {concerned.sum()} events of {target.name!r} are left out: "
            f"{source.name!r} gives no {attribute}"
        )
    others = ~concerned & (np.nan_to_num(given) != 0)
    if attribute == "amplitude" and others.any():
        namespace.notes.append(
            f"{source.name!r} gives an amplitude also to the {others.sum()} events at which "
            f"{target.name!r} is 0: a Product of both keeps those of the latter alone"
        )
    parts[attribute] = np.where(lost | np.isnan(given), 0.0, given) if attribute != "amplitude" else given
    parts["amplitude"] = np.where(lost, np.nan, parts["amplitude"])
    return replace(target, values=parts["amplitude"], onset=parts["onset"], duration=parts["duration"])


def rename(namespace: Namespace, arguments: Document, where: str) -> None:
    """Rename variables."""
    for variable, target in find_pairs(namespace, arguments, where):
        del namespace.variables[variable.name]
        namespace.removed.add(variable.name)
        namespace.variables[target] = variable.with_values(variable.values, target)


def delete(namespace: Namespace, arguments: Document, where: str) -> None:
    """Remove variables."""
    for variable, _ in find_pairs(namespace, arguments, where):
        namespace.variables.pop(variable.name, None)
        namespace.removed.add(variable.name)


def select(namespace: Namespace, arguments: Document, where: str) -> None:
    """Remove all variables but these."""
    kept = {variable.name: variable for variable, _ in find_pairs(namespace, arguments, where)}
    namespace.variables.clear()
    namespace.variables.update(kept)


def group(namespace: Namespace, arguments: Document, where: str) -> None:
    """Give a list of variables a name, which ``@name`` then stands for."""
    namespace.groups[arguments["Output"][0]] = [
        name for pattern in arguments["Input"] for name in namespace.require(pattern, where)
    ]


def replace_values(namespace: Namespace, arguments: Document, where: str) -> None:
    """Replace amplitudes, onsets or durations by others."""
    table = {
        level_name(_number_or_text(old)): _number_or_text(new) for old, new in arguments["Replace"].items()
    }
    attribute = arguments.get("Attribute", "value")
    for variable, target in find_pairs(namespace, arguments, where):
        if attribute in ("value", "amplitude"):
            namespace.variables[target] = variable.with_values(_replaced(variable.values, table), target)
        elif variable.is_sparse:
            times: dict[str, Values] = dict(zip(("onset", "duration"), variable.events, strict=True))
            times[attribute] = as_values(_replaced(times[attribute], table))
            if times[attribute].dtype == object:
                raise ModelError(f"the new {attribute} must be a number.")
            namespace.variables[target] = replace(variable, name=target, **times)


def _replaced(values: Values, table: Mapping[str, object]) -> Values:
    return np.array([table.get(level_name(value), value) for value in values.tolist()], object)


def _number_or_text(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def filter_events(namespace: Namespace, arguments: Document, where: str) -> None:
    """Keep the events that satisfy a query."""
    query = arguments["Query"]
    absent = [by for by in arguments.get("By", ()) if not namespace.require(by, where)]
    for variable, target in find_pairs(namespace, arguments, where):
        if absent:
            namespace.variables.pop(target, None)
            continue
        kept = variable.rows(_passing(query, variable, namespace, where))
        namespace.variables[target] = kept.with_values(kept.values, target)


def _passing(query: str, variable: Variable, namespace: Namespace, where: str) -> Mask:
    """Return which rows of a variable satisfy a query over all variables that have the same rows."""
    passed = evaluate_query(query, namespace.columns_at(variable))
    events = ~is_missing(variable.values) & (variable.values != 0)
    namespace.filtered.append((where, query, variable.name, int((passed & events).sum()), int(events.sum())))
    return passed


def split(namespace: Namespace, arguments: Document, where: str) -> None:
    """Split variables by the levels of others, or of an entity of the run.

    A part has only its own events; a variable without events is zero in the rows of other parts.
    """
    for variable, target in find_pairs(namespace, arguments, where):
        made = {target: variable.with_values(variable.numbers)}
        for by in dict.fromkeys(arguments["By"]):
            made = {
                f"{name}.{by}[{level}]": _part(part, inside)
                for name, part in made.items()
                for level, inside in _levels_of(namespace, by, part, where)
            }
            if len(made) > MAX_PARTS:
                raise ModelError(f"{variable.name!r} splits into more than {MAX_PARTS} parts.")
        if target == variable.name:
            namespace.variables.pop(variable.name, None)
        namespace.add({name: replace(part, name=name) for name, part in made.items()})


def _part(variable: Variable, inside: Mask) -> Variable:
    if variable.is_sparse:
        return variable.rows(inside)
    return variable.with_values(np.where(inside, variable.values, 0.0))


def _levels_of(namespace: Namespace, by: str, variable: Variable, where: str) -> list[tuple[str, Mask]]:
    """Return the levels of a splitting variable, or of an entity of the run, with their rows."""
    if by not in namespace.variables and by in namespace.labels:
        return [(namespace.labels[by], np.ones(len(variable.values), bool))]
    names = namespace.require(by, where)
    if not names:
        return []
    whole = namespace.variables[names[0]]
    splitting = whole.at_rows_of(variable)
    if splitting is None:
        raise ModelError(f"{by!r} and {variable.name!r} have different numbers of rows.")
    prefix = f"{whole.name}."
    rows = {level.name.removeprefix(prefix): level.values == 1 for level in factor_levels(splitting)}
    nothing = np.zeros(len(variable.values), bool)
    return [(name, rows.get(name, nothing)) for name in level_names(whole)]


def to_grid(namespace: Namespace, variable: Variable, arguments: Document, where: str) -> Variable:
    """Return events on a regular grid of times, and a dense variable on a coarser one.

    Onsets and ends are rounded to the grid, and an event lasts at least one step of it. Without a rate, or
    with "TR", nothing changes: everything is sampled at the volumes when it enters X.
    """
    rate = arguments.get("SamplingRate")
    if not isinstance(rate, (int, float)) or namespace.frame_times is None:
        return variable
    return _on_grid(variable, 1.0 / rate) if variable.is_sparse else _coarser(variable, 1.0 / rate, namespace)


def _on_grid(variable: Variable, step: float) -> Variable:
    begins, duration = variable.events
    onset = np.round(begins / step) * step
    ends = np.round((begins + duration) / step) * step
    return replace(variable, onset=onset, duration=np.maximum(ends - onset, step))


def _coarser(variable: Variable, step: float, namespace: Namespace) -> Variable:
    """Return a dense variable as a line between its values at every step; unchanged where steps are short."""
    times = namespace.volume_times
    if step <= np.min(np.diff(times)):
        return variable
    grid = np.arange(times[0], times[-1] + step, step)
    known = np.interp(grid, times, np.nan_to_num(variable.values))
    return variable.with_values(np.interp(times, grid, known))
