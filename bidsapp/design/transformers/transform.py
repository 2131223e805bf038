"""Transformations on the variables of a run or of the inputs of a node: those of pybids-transforms-v1.

Semantics follow pybids 0.22 where models rely on them (`Threshold` keeps values that equal the
threshold), and differ where pybids fails: missing values are never events, and a variable that a run does
not have is noted, not fatal.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from bidsapp.design.convolution import convolve_variable, sample_variable
from bidsapp.design.transformers import matlab, rearrange
from bidsapp.design.transformers.expressions import evaluate_query
from bidsapp.design.transformers.rearrange import Transformer, each, find_pairs
from bidsapp.design.transformers.variables import (
    Namespace,
    Variable,
    is_missing,
    level_name,
)
from bidsapp.errors import ModelError
from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.records.documents import Document
from bidsapp.records.model import MATLAB_SET, PYBIDS_SET, Instruction

# The values of an input and the arguments to other values.
OnValues: TypeAlias = Callable[[Numbers, Document], Numbers]


def transform(namespace: Namespace, instructions: Iterable[Instruction]) -> None:
    """Apply instructions in order; the namespace is changed."""
    for instruction in instructions:
        try:
            SETS[instruction.transformer][instruction.name](
                namespace, instruction.arguments, instruction.where
            )
            namespace.add({})
        except ModelError as error:
            raise ModelError(f"{instruction.where} ({instruction.name}): {error}") from error


def _on_values(function: OnValues) -> Transformer:
    """Return a transformer that maps the values of each input."""
    return each(
        lambda namespace, variable, arguments, where: variable.with_values(
            _by_groups(function, variable, namespace, arguments)
        )
    )


def _by_groups(function: OnValues, variable: Variable, namespace: Namespace, arguments: Document) -> Numbers:
    """Apply a function within the groups of GroupBy, or to all rows."""
    values = variable.numbers
    labels = [
        [level_name(value) for value in namespace.variables[name].values.tolist()]
        for pattern in arguments.get("GroupBy", ())
        for name in namespace.find(pattern)
        if len(namespace.variables[name].values) == len(variable.values)
    ]
    if not labels:
        return function(values, arguments)
    groups = np.array(["\x1f".join(row) for row in zip(*labels, strict=True)])
    result = values.copy()
    for group in np.unique(groups):
        result[groups == group] = function(values[groups == group], arguments)
    return result


def _scale(values: Numbers, arguments: Document) -> Numbers:
    replace_na = arguments.get("ReplaceNa")
    if replace_na == "before":
        values = np.nan_to_num(values)
    if arguments.get("Demean", True):
        values = values - _mean(values)
    if arguments.get("Rescale", True):
        there = values[~np.isnan(values)]
        spread = np.std(there, ddof=1) if len(there) > 1 else 0.0
        # A constant column has no scale; it stays as it is (zero when demeaned).
        values = values / spread if spread > 0 else values
    return np.nan_to_num(values) if replace_na == "after" else values


def _mean(values: Numbers) -> float:
    there = values[~np.isnan(values)]
    return there.mean() if len(there) else 0.0


def _threshold(values: Numbers, arguments: Document) -> Numbers:
    cut = float(arguments.get("Threshold", 0.0))
    if not arguments.get("Signed", True):
        cut, values = abs(cut), np.abs(values)
    keep = values >= cut if arguments.get("Above", True) else values <= cut
    kept = np.where(keep, 1.0 if arguments.get("Binarize", False) else values, 0.0)
    return np.where(np.isnan(values), np.nan, kept)


def _lag(values: Numbers, arguments: Document) -> Numbers:
    # Imported when needed: few models have lags, and every plan would wait for it.
    from scipy import ndimage

    shift = arguments.get("Shift", 1)
    options: Document = {
        "order": int(min(max(arguments.get("Order", 3), 0), 5)),
        "mode": arguments.get("Mode", "nearest"),
        "cval": arguments.get("Constant", 0.0),
    }
    shifted: Numbers = ndimage.shift(np.nan_to_num(values), shift, **options)
    if not arguments.get("Difference", False):
        return shifted
    difference: Numbers = values - shifted if shift >= 0 else shifted - values
    return difference


def _combine(join: Callable[[Matrix, Numbers], Numbers], absent_counts: bool) -> Transformer:
    """Return a transformer that joins its inputs into one output.

    ``absent_counts``: whether the result exists when an input does not (an absent condition is zero).
    """

    def apply(namespace: Namespace, arguments: Document, where: str) -> None:
        output: str = arguments["Output"][0]
        found = [_operands(namespace, pattern, where) for pattern in arguments["Input"]]
        variables = [variable for group in found for variable in group]
        if not variables or (absent_counts and not all(found)):
            namespace.missing.setdefault(output, where)
            return
        rows, values = align(variables, namespace)
        weights = arguments.get("Weights", np.ones(len(values)))
        if len(weights) != len(values):
            raise ModelError(f"has {len(weights)} weights for {len(values)} inputs.")
        namespace.variables[output] = rows.with_values(join(values, np.array(weights, float)), output)

    return apply


def _operands(namespace: Namespace, pattern: str, where: str) -> list[Variable]:
    """Return the variables of an operand, which may be a comparison such as ``face_type==famous``."""
    names = namespace.find(pattern)
    if names:
        return [namespace.variables[name] for name in names]
    column = next((name for name in namespace.variables if pattern.startswith(name)), None)
    if column is None or not any(sign in pattern for sign in ("==", "!=", "<", ">")):
        namespace.missing.setdefault(pattern, where)
        return []
    variable = namespace.variables[max((n for n in namespace.variables if pattern.startswith(n)), key=len)]
    there = ~is_missing(variable.values)
    values = np.where(variable.values == None, "", variable.values) if variable.is_text else variable.values  # noqa: E711
    # What stands to the right is a text, unless it is a number.
    pattern = re.sub(r"([!=]=)\s*([A-Za-z_]\w*)\s*$", r"\1 '\2'", pattern)
    passed = evaluate_query(pattern, {variable.name: values})
    return [variable.with_values((passed & there).astype(float), pattern)]


def align(variables: Sequence[Variable], namespace: Namespace) -> tuple[Variable, Matrix]:
    """Return common rows of variables and their values on them, shape (n_variables, n_rows).

    Events are joined by onset, where an event that a variable does not have counts as zero; as soon as
    one variable is dense, all are sampled at the volumes.
    """
    numbers = [variable.numbers for variable in variables]
    if any(not variable.is_sparse for variable in variables):
        sampled = [
            sample_variable(variable, namespace.volume_times) if variable.is_sparse else values
            for variable, values in zip(variables, numbers, strict=True)
        ]
        return Variable("", np.zeros(len(sampled[0]))), np.array(sampled)
    first, events = variables[0], [variable.events for variable in variables]
    if all(np.array_equal(onset, events[0][0]) for onset, _ in events):
        return first, np.array(numbers)
    onsets = np.unique(np.concatenate([onset for onset, _ in events]))
    values, durations = np.zeros((len(variables), len(onsets))), np.zeros(len(onsets))
    for index, (onset, duration) in enumerate(events):
        places = np.searchsorted(onsets, onset)
        values[index, places] = numbers[index]
        np.maximum.at(durations, places, duration)
    return Variable("", values[0], onsets, durations), values


def _orthogonalize(namespace: Namespace, arguments: Document, where: str) -> None:
    others = [name for pattern in arguments["Other"] for name in namespace.require(pattern, where)]
    if not others:
        return
    for variable, target in find_pairs(namespace, arguments, where):
        rows, values = align([variable, *(namespace.variables[name] for name in others)], namespace)
        target_values, rest = np.nan_to_num(values[0]), np.nan_to_num(values[1:]).T
        full = np.column_stack([np.ones(len(rest)), rest])
        weights = np.linalg.lstsq(full, target_values, rcond=None)[0]
        namespace.variables[target] = rows.with_values(target_values - rest @ weights[1:], target)


def _convolve(namespace: Namespace, arguments: Document, where: str) -> None:
    model = arguments.get("Model", "spm")
    if model != "fir":
        model += " + derivative" if arguments.get("Derivative") or arguments.get("Dispersion") else ""
        model += " + dispersion" if arguments.get("Dispersion") else ""
    delays = arguments.get("FIRDelays", ())
    if model == "fir" and not delays:
        raise ModelError("the model 'fir' needs FIRDelays, a list of whole numbers of volumes.")
    if namespace.frame_times is None:
        raise ModelError("there is nothing to convolve above the run level.")
    for variable, target in find_pairs(namespace, arguments, where):
        if variable.is_text:
            raise ModelError(f"{variable.name!r} holds texts. Use Factor before Convolve.")
        made = convolve_variable(variable, target, model, delays, namespace)
        namespace.add(made)


TRANSFORMERS = {
    "And": _combine(lambda values, _: np.all(np.nan_to_num(values) != 0, axis=0), True),
    "Assign": rearrange.assign,
    "Convolve": _convolve,
    "Copy": each(lambda namespace, variable, arguments, where: variable),
    "Delete": rearrange.delete,
    "Demean": _on_values(lambda values, _: values - _mean(values)),
    "DropNA": each(lambda namespace, variable, arguments, where: variable.rows(~is_missing(variable.values))),
    "Factor": rearrange.make_factor,
    "Filter": rearrange.filter_events,
    "Group": rearrange.group,
    "Lag": _on_values(_lag),
    "Not": _on_values(lambda values, _: np.where(np.isnan(values), np.nan, values == 0)),
    "Or": _combine(lambda values, _: np.any(np.nan_to_num(values) != 0, axis=0), False),
    "Orthogonalize": _orthogonalize,
    "Product": _combine(lambda values, _: np.prod(values, axis=0), True),
    "Rename": rearrange.rename,
    "Replace": rearrange.replace_values,
    "Resample": each(rearrange.to_grid),
    "Scale": _on_values(_scale),
    "Select": rearrange.select,
    "Split": rearrange.split,
    "Sum": _combine(lambda values, weights: weights @ np.nan_to_num(values), False),
    "Threshold": _on_values(_threshold),
    "ToDense": each(rearrange.to_grid),
}
# What the two sets have in common means the same.
SETS = {PYBIDS_SET: TRANSFORMERS, MATLAB_SET: TRANSFORMERS | matlab.TRANSFORMERS}
