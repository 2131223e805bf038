"""Read the instructions of a node: which transformer, with which arguments."""

import json
from collections.abc import Sequence
from typing import Any

from bidsapp.errors import did_you_mean
from bidsapp.model.faults import Spot
from bidsapp.model.schema import TransformationsShape
from bidsapp.model.text import check_name, is_plain_number, read_boolean
from bidsapp.records.documents import Document
from bidsapp.records.model import MATLAB_SET, REQUIRED_ARGUMENTS, TRANSFORMER_SETS, Instruction

# Far more than any model has: steps copy and split columns, so that a hostile one could fill the memory.
MAX_INSTRUCTIONS, MAX_NAMES = 500, 5000
# A column for each condition and delay: a response of 200 s at a TR of 2 s has so many.
MAX_FIR_DELAYS = 100
# A query or a prefix; expressions are parsed in a time that grows with their length.
MAX_TEXT = 1000
# A double of this size keeps six decimals.
MAX_NUMBER = 1e9
NAMES = ("Input", "Output", "Target", "Other", "By", "GroupBy")
BOOLEANS = {
    "Convolve": ("Derivative", "Dispersion"),
    "Threshold": ("Binarize", "Above", "Signed"),
    "Scale": ("Demean", "Rescale"),
    "Lag": ("Difference",),
    "LabelIdenticalRows": ("Cumulative",),
    "Mean": ("OmitNan",),
    "StdDev": ("OmitNan",),
}
CHOICES = {
    "Model": ("spm", "glover", "fir"),
    "Constraint": ("none", "drop_one", "mean_zero"),
    "ReplaceNa": ("before", "after", "off", None),
    "Attribute": ("value", "amplitude", "onset", "duration", "all"),
    "InputAttr": ("amplitude", "onset", "duration"),
    "TargetAttr": ("amplitude", "onset", "duration"),
    "Mode": ("nearest", "reflect", "constant"),
}
NUMBERS = ("Threshold", "Shift", "Order", "Constant")
# Of fast physiological recordings.
MAX_RATE_HZ = 1000.0
TEXTS = ("Query", "Sep", "OutputPrefix", "OutputSuffix")


def make_instructions(shape: TransformationsShape | None, spot: Spot) -> tuple[Instruction, ...]:
    """Return the instructions of a Transformations block; another program's set is a fault."""
    if shape is None:
        return ()
    if shape.Transformer not in TRANSFORMER_SETS:
        spot.at("Transformer").fault(
            f"{shape.Transformer!r:.60} is no known set of transformers. There are "
            f"{' and '.join(TRANSFORMER_SETS)} (also called bidspm, cpp_spm).",
        )
        return ()
    if len(shape.Instructions) > MAX_INSTRUCTIONS:
        spot.at("Instructions").fault(f"has more than {MAX_INSTRUCTIONS} steps.")
        return ()
    lists = [value for table in shape.Instructions for value in table.values() if isinstance(value, list)]
    n_names = sum(map(len, lists))
    if n_names > MAX_NAMES:
        spot.at("Instructions").fault(f"name {n_names:,} variables; at most {MAX_NAMES:,} are accepted.")
        return ()
    steps = [
        _instruction(table, shape.Transformer, spot.at("Instructions", index))
        for index, table in enumerate(shape.Instructions)
    ]
    return tuple(step for step in steps if step is not None)


def read_delays(delays: Any, spot: Spot) -> tuple[int, ...]:
    """Return FIR delays in volumes as whole numbers."""
    if delays is None:
        return ()
    whole = isinstance(delays, list) and all(map(_is_count, delays))
    if not whole or len(set(delays)) != len(delays) or not 0 < len(delays) <= MAX_FIR_DELAYS:
        spot.fault("the delays must be different whole numbers of volumes, 0 or more.")
        return ()
    return tuple(int(delay) for delay in delays)


def _is_count(value: Any) -> bool:
    return is_plain_number(value) and 0 <= value < 1000 and value == int(value)


def _instruction(table: Document, transformer: str, spot: Spot) -> Instruction | None:
    name, known = table.get("Name"), TRANSFORMER_SETS[transformer]
    if not isinstance(name, str) or name not in known:
        hint = did_you_mean(name, known, f"There are {', '.join(known)}.")
        hint = f"It is one of {MATLAB_SET}." if str(name) in TRANSFORMER_SETS[MATLAB_SET] else hint
        spot.at("Name").fault(f"there is no transformer {name!r:.60} in {transformer}. {hint}")
        return None
    arguments = {key: value for key, value in table.items() if key not in ("Name", "Description")}
    _check_keys(name, arguments, known[name], spot)
    for key, value in arguments.items():
        arguments[key] = read = _argument(name, key, value, spot.at(key))
        if isinstance(value, str) and isinstance(read, (str, bool)) and read != value:
            spot.at(key).correct(read, f"{key} {value!r} is read as {json.dumps(read)}")
    _check_values(name, arguments, spot)
    if name == "Convolve":
        arguments["FIRDelays"] = read_delays(arguments.get("FIRDelays"), spot.at("FIRDelays"))
    if name == "Replace" and transformer == MATLAB_SET:
        arguments["Replace"] = _read_rules(arguments["Replace"], spot.at("Replace"))
    elif name == "Replace" and not isinstance(arguments["Replace"], dict):
        spot.at("Replace").fault("must be an object that maps old values to new ones.")
    elif name == "Replace" and arguments.get("Attribute") == "all":
        spot.at("Attribute").fault("must be one of value, onset, duration.")
    return Instruction(name, arguments, spot.where, transformer)


def _argument(name: str, key: str, value: Any, spot: Spot) -> Any:
    """Return the value of an argument in the form that the transformers take."""
    if key in NAMES:
        return _names(value, spot)
    if key in CHOICES:
        value = value.lower() if isinstance(value, str) else value
        if value not in CHOICES[key]:
            spot.fault(f"is {value!r:.40}, but must be one of {', '.join(map(str, CHOICES[key]))}.")
    elif key in BOOLEANS.get(name, ()):
        value = read_boolean(value)
        if value is None:
            spot.fault("must be true or false.")
    return value


def _read_rules(value: Any, spot: Spot) -> list[tuple[Any, Any]]:
    """Return the rules of a Replace as (old, new), from objects with key and value or from pybids' table."""
    if isinstance(value, dict) and set(value) != {"key", "value"}:
        return list(value.items())
    rules = value if isinstance(value, list) else [value]
    if all(isinstance(rule, dict) and set(rule) == {"key", "value"} for rule in rules):
        pairs = [(rule["key"], rule["value"]) for rule in rules]
        if all(isinstance(item, (str, int, float)) for pair in pairs for item in pair):
            return pairs
    spot.fault("must be a list of objects with key and value, each a text or a number.")
    return []


def _check_keys(name: str, arguments: Document, known: Sequence[str], spot: Spot) -> None:
    for key in arguments:
        if key not in known:
            hint = did_you_mean(key, known, f"It takes {', '.join(known)}.")
            spot.at(key).fault(f"{name} has no such argument. {hint}")
    needed = [key for key in ("Input", *REQUIRED_ARGUMENTS.get(name, ())) if key in known]
    for key in needed:
        if arguments.get(key) in (None, [], ""):
            spot.fault(f"{name} needs {key}.")
            arguments[key] = []


def _check_values(name: str, arguments: Document, spot: Spot) -> None:
    """Check the arguments that are numbers, texts and tables."""
    for key in NUMBERS:
        value = arguments.get(key, 0)
        if not is_plain_number(value) or abs(value) > MAX_NUMBER:
            spot.at(key).fault("must be a number.")
    rate = arguments.get("SamplingRate")
    if rate not in (None, "TR") and not (is_plain_number(rate) and 1 / MAX_RATE_HZ <= rate <= MAX_RATE_HZ):
        spot.at("SamplingRate").fault(f'must be "TR", or a number of Hz up to {MAX_RATE_HZ:g}.')
    for key in TEXTS:
        value = arguments.get(key, "")
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            spot.at(key).fault("must be a text.")
    if arguments.get("Value", []) != [] and not _is_number_or_text(arguments["Value"]):
        spot.at("Value").fault("must be a number.")
    weights = arguments.get("Weights", [])
    if not isinstance(weights, list) or not all(isinstance(w, (int, float)) for w in weights):
        spot.at("Weights").fault("must be a list of numbers.")


def _is_number_or_text(value: Any) -> bool:
    """Whether a value is a finite number, or a text of one."""
    try:
        return not isinstance(value, bool) and abs(float(value)) <= MAX_NUMBER
    except (TypeError, ValueError):
        return False


def _names(value: Any, spot: Spot) -> tuple[str, ...]:
    """Return a text or a list of texts as a tuple."""
    items = value if isinstance(value, list) else [value]
    for index, item in enumerate(items):
        here = spot.at(index) if isinstance(value, list) else spot
        if isinstance(item, str):
            check_name(item, here)
        else:
            here.fault("must be the name of a variable.")
    return tuple(item for item in items if isinstance(item, str))
