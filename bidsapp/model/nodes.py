"""Turn the shape of a node into its record, checking what its parts mean."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from bidsapp.errors import did_you_mean, near_names, some_names
from bidsapp.model.faults import Spot
from bidsapp.model.instructions import make_instructions, read_delays
from bidsapp.model.respelled import respell_conditions
from bidsapp.model.schema import ContrastShape, DummyShape, ModelShape, NodeShape, OptionsShape, ResponseShape
from bidsapp.model.software import check_software
from bidsapp.model.text import check_name, read_columns, read_weights
from bidsapp.model.wildcards import is_wildcard, match_name, match_names
from bidsapp.names import make_label
from bidsapp.records.model import (
    HRF_MODELS,
    INTERCEPT,
    SHORT_NAMES,
    ContrastRule,
    DummyRule,
    ModelSettings,
    Node,
    ResponseRule,
)

GROUPINGS = (*SHORT_NAMES, "contrast")
# Patterns are compared with every condition; names are searched for a near match only so far.
MAX_PATTERNS, MAX_CONDITIONS = 100, 2000
MAX_SEARCHED, MAX_UNKNOWN = 200, 12
MAX_LISTED = 8


def make_node(shape: NodeShape, spot: Spot) -> Node:
    """Return the record of a node; faults and notes of it are kept by its place."""
    check_name(shape.Name, spot.at("Name"))
    model = spot.at("Model")
    x = read_columns(shape.Model.X, model.at("X"))
    if not x:
        model.at("X").fault("is empty; name a column, or 1 for the intercept.")
    _drop_repeats(shape.Name, x, shape.Model.X, model.at("X"))
    _drop_repeats(shape.Name, shape.GroupBy, shape.GroupBy, spot.at("GroupBy"))
    n_patterns = sum(map(is_wildcard, x))
    if n_patterns > MAX_PATTERNS:
        model.at("X").fault(f"has {n_patterns:,} wildcards; at most {MAX_PATTERNS} are accepted.")
    hrf = _response(shape.Model.HRF, model.at("HRF"))
    _check_grouping(shape, spot.at("GroupBy"))
    _check_formula(shape.Model.Formula, model.at("Formula"))
    check_software(shape, model.at("Software"))
    if shape.Level != "Run":
        _refuse_run_keys(shape.Model, model)
    node = Node(
        level=shape.Level,
        name=shape.Name,
        group_by=tuple(dict.fromkeys(shape.GroupBy)),
        x=tuple(dict.fromkeys(x)),
        type=shape.Model.Type,
        transformations=make_instructions(shape.Transformations, spot.at("Transformations")),
        formula=shape.Model.Formula,
        hrf=hrf,
        options=_settings(shape.Model.Options, model.at("Options")),
        software=shape.Model.Software or {},
        contrasts=_contrasts(shape.Contrasts or (), spot.at("Contrasts")),
        dummy=_dummy(shape.DummyContrasts, spot.at("DummyContrasts", "Contrasts")),
        where=spot.where,
    )
    tests = [rule.test for rule in node.contrasts] + ([node.dummy.test] if node.dummy else [])
    if "pass" in tests:
        spot.note(f"{shape.Name}: the test 'pass' is read as 't': maps of t are written as well")
    if not node.formula and n_patterns <= MAX_PATTERNS:
        node = respell_conditions(node, _Columns(node.x), spot)
    _check_conditions(node, spot)
    return node


def _drop_repeats(node: str, names: Sequence[str], written: Sequence[Any], spot: Spot) -> None:
    """Write a list of names without those that stand there more than once, with a note."""
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled and len(names) == len(written):
        once: dict[str, Any] = {}
        for name, item in zip(names, written, strict=True):
            once.setdefault(name, item)
        words = f"{node}: {spot.path[-1]} has {some_names(doubled, MAX_LISTED)} more than once: taken once"
        spot.correct(list(once.values()), words)


def _refuse_run_keys(shape: ModelShape, spot: Spot) -> None:
    """Refuse what only runs have: series to filter, events to convolve, images to mask."""
    options = shape.Options.model_dump(exclude_none=True, exclude={"Description"}) if shape.Options else {}
    asked = [["Options", key] for key, value in options.items() if value not in ("none", [], {})]
    for where in [*asked, *([["HRF"]] if shape.HRF else [])]:
        spot.at(*where).fault("belongs to a Run node; nothing reads it here. Move it there, or remove it.")


def _response(shape: ResponseShape | None, spot: Spot) -> ResponseRule | None:
    if shape is None:
        return None
    name, parameters = _spell_response(shape, spot)
    delays = _read_delays(name, parameters, spot)
    if name not in HRF_MODELS:
        hint = did_you_mean(name, HRF_MODELS, begin=" Did you mean")
        spot.at("Model").fault(f"is {shape.Model!r:.60}; there are {', '.join(HRF_MODELS)}.{hint}")
    elif parameters:
        listed = some_names(parameters, MAX_LISTED)
        spot.at("Parameters").fault(f"{listed}: the response {name!r} takes no such parameter.")
    if name == "fir" and delays is None:
        spot.at("Parameters").fault("the model 'fir' needs fir_delays, a list of whole numbers of volumes.")
    if len(shape.Variables) > MAX_CONDITIONS or sum(map(is_wildcard, shape.Variables)) > MAX_PATTERNS:
        spot.at("Variables").fault(f"has more than {MAX_CONDITIONS:,} names or {MAX_PATTERNS} wildcards.")
        return None
    for index, variable in enumerate(shape.Variables):
        check_name(variable, spot.at("Variables", index))
    return ResponseRule(tuple(shape.Variables), name, read_delays(delays, spot.at("Parameters")))


def _read_delays(name: str, parameters: dict[str, Any], spot: Spot) -> Any:
    """Take the delays out of the parameters of a response; only those of fir count."""
    given = [key for key in ("fir_delays", "FIRDelays") if key in parameters]
    delays = next((parameters.pop(key) for key in given), None)
    if given and name in HRF_MODELS and name != "fir":
        words = f"{given[0]} are of the model 'fir' alone: not used"
        spot.at("Parameters").correct(dict(parameters), words)
        return None
    return delays


def _spell_response(shape: ResponseShape, spot: Spot) -> tuple[str, dict[str, Any]]:
    """Return the name of a response as HRF_MODELS spells it, where it has one, and its parameters."""
    parts = [part.strip().lower() for part in shape.Model.replace("_", " ").split("+")]
    name = " + ".join(part.removesuffix("s") if part.startswith("derivative") else part for part in parts)
    parameters = dict(shape.Parameters or {})
    unread = ""
    if name in ("doublegamma", "double gamma", "canonical"):
        name = "spm"
        if parameters:
            unread = f"; its Parameters ({some_names(parameters, MAX_LISTED)}) are not used"
            spot.at("Parameters").correct({}, f"the HRF {shape.Model!r} is read as 'spm'{unread}")
            parameters = {}
    if name in HRF_MODELS and name != shape.Model:
        spot.at("Model").correct(name, f"the HRF {shape.Model!r} is read as {name!r}{unread}")
    return name, parameters


def _settings(shape: OptionsShape | None, spot: Spot) -> ModelSettings:
    if shape is None:
        return ModelSettings()
    for key in ("HighPassFilterCutoffHz", "LowPassFilterCutoffHz"):
        value = getattr(shape, key)
        if value is not None and not 0 < value < 100:
            hint = f" Is it a period? Then write {1 / value:.4g}." if value >= 100 else ""
            spot.at(key).fault(f"is {value:g}; it must be a frequency in Hz above 0.{hint}")
    high, low = shape.HighPassFilterCutoffHz, shape.LowPassFilterCutoffHz
    if high is not None and low is not None and high >= low:
        spot.fault(f"the high-pass cut-off {high:g} Hz is not below the low-pass cut-off {low:g} Hz.")
    if shape.ReplaceVariables not in (None, "none", [], {}):
        spot.at("ReplaceVariables").fault(
            "is not supported: a column is the same in every voxel. Leave it out, and its columns out of X."
        )
    return ModelSettings(high, low, shape.Mask, shape.Aggregate or "none")


def _contrasts(shapes: Iterable[ContrastShape], spot: Spot) -> tuple[ContrastRule, ...]:
    rules: list[ContrastRule] = []
    labels: dict[str, str] = {}
    for index, shape in enumerate(shapes):
        here = spot.at(index)
        check_name(shape.Name, here.at("Name"))
        label = make_label(shape.Name)
        if label in labels:
            other = labels[label]
            message = (
                "is the name of an earlier contrast."
                if other == shape.Name
                else (f"{shape.Name!r} and {other!r} give the same file name label {label!r}.")
            )
            here.at("Name").fault(f"{message} Rename one.")
        labels[label] = shape.Name
        conditions = read_columns(shape.ConditionList, here.at("ConditionList"))
        if len(set(conditions)) < len(conditions):
            here.at("ConditionList").fault("names a condition twice.")
        weights = read_weights(shape.Weights, shape.Test, len(shape.ConditionList), here.at("Weights"))
        rules.append(ContrastRule(shape.Name, conditions, weights, shape.Test, here.where))
    return tuple(rules)


def _dummy(shape: DummyShape | None, spot: Spot) -> DummyRule | None:
    if shape is None:
        return None
    names = None if shape.Contrasts is None else read_columns(shape.Contrasts, spot)
    if sum(map(is_wildcard, names or ())) > MAX_PATTERNS:
        spot.fault(f"has more than {MAX_PATTERNS} wildcards.")
    return DummyRule(shape.Test, names)


def _check_grouping(shape: NodeShape, spot: Spot) -> None:
    """Note names that are misspelt entities, and at Run nodes all that are no entities of a file."""
    known = tuple(SHORT_NAMES) if shape.Level == "Run" else GROUPINGS
    for index, name in enumerate(shape.GroupBy):
        check_name(name, spot.at(index))
        near = near_names(name, known, cutoff=0.6 if shape.Level == "Run" else 0.85)
        if name not in known and near:
            spot.at(index).fault(f"{name!r}: did you mean {near[0]!r}?")
        elif name not in known and shape.Level == "Run":
            spot.at(index).fault(f"{name!r} is no entity, which runs are grouped by: {', '.join(known)}.")


def _check_formula(formula: str | None, spot: Spot) -> None:
    if formula is None:
        return
    if len(formula) > 2000:
        spot.fault("is longer than 2,000 characters.")
    elif not re.search(r"(?<![\w.])[01](?![\w.])", formula):
        spot.fault("has neither 0 nor 1; say whether the model has an intercept ('1 + ...' or '0 + ...').")


def _check_conditions(node: Node, spot: Spot) -> None:
    """Note conditions that no column of X can be, as far as X tells without the data."""
    if node.formula or sum(map(is_wildcard, node.x)) > MAX_PATTERNS:
        return
    contrasts = [
        (rule.conditions, spot.at("Contrasts", i, "ConditionList")) for i, rule in enumerate(node.contrasts)
    ]
    if node.dummy and node.dummy.contrasts:
        contrasts.append((node.dummy.contrasts, spot.at("DummyContrasts", "Contrasts")))
    n_conditions = sum(len(conditions) for conditions, _ in contrasts)
    if n_conditions > MAX_CONDITIONS:
        message = f"name {n_conditions:,} conditions; at most {MAX_CONDITIONS:,} are accepted."
        spot.at("Contrasts").fault(message)
        return
    known = _Columns(node.x)
    patterns = [name for name in (node.dummy.contrasts or () if node.dummy else ()) if is_wildcard(name)]
    for pattern in patterns[:MAX_PATTERNS]:
        # A dummy contrast is made for whatever a pattern matches.
        known.seen[pattern] = pattern in known or bool(match_names(pattern, node.x))
    items = ((name, here.at(i)) for conditions, here in contrasts for i, name in enumerate(conditions))
    unknown = ((name, here) for name, here in items if name not in known)
    for name, here in islice(unknown, MAX_UNKNOWN):
        x = node.x[:MAX_SEARCHED]
        if not _may_be_level(name, node) or near_names(name, x, cutoff=0.75):
            hint = did_you_mean(name, x, f"X has {some_names(node.x, MAX_LISTED)}.")
            here.fault(f"{1 if name == INTERCEPT else repr(name)} is not in X. {hint}")


class _Columns:
    """What the entries of X may become: their levels if they are factors, the parts of their responses."""

    def __init__(self, x: Iterable[str]) -> None:
        self.plain = {name for name in x if not is_wildcard(name)}
        self.patterns = [name for name in x if is_wildcard(name)]
        self.seen: dict[str, bool] = {}

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        if name not in self.seen:
            origins = _origins(name)
            self.seen[name] = not self.plain.isdisjoint(origins) or any(
                match_name(pattern, origin) for pattern in self.patterns for origin in origins
            )
        return self.seen[name]


def _origins(name: str) -> set[str]:
    """Return the entries of X that a column may come from."""
    found = {name, re.sub(r"_(derivative|dispersion|delay_\d+)$", "", name)}
    found |= {name[: match.start()] for match in re.finditer(r"[.\[]", name)}
    return {other.removeprefix("C(").removesuffix(")") for other in found} | found


def _may_be_level(name: str, node: Node) -> bool:
    """Whether a condition may be a level of a column of X without its name, which only the data can tell."""
    return node.level != "Run" and "." not in name and name != INTERCEPT and set(node.x) != {INTERCEPT}
