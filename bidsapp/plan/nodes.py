"""How estimates travel through the nodes of a model: edges, filters, grouping, names of outputs."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from bidsapp.design.contrasts import expand_rules, find_column, make_contrasts, near_match
from bidsapp.design.group.marginal import Margins, over_columns
from bidsapp.design.group.matrix import GroupDesign
from bidsapp.design.transformers.variables import aliases, level_name
from bidsapp.errors import ModelError
from bidsapp.names import check_labels, make_label, map_path
from bidsapp.records.collect import collect
from bidsapp.records.documents import Document
from bidsapp.records.maps import Contrast, Design, EstimateKey
from bidsapp.records.model import (
    INTERCEPT,
    LONG_NAMES,
    MEAN_OVER_GROUPS,
    NO_NAMES,
    SHORT_NAMES,
    ContrastRule,
    Model,
    Node,
)
from bidsapp.records.plan import CombineFit, DatasetFit, RunFit

NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{0,30})?")
# Entities that a node averages over unless it groups by them.
AVERAGED = {"run": "run", "ses": "session"}


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Fit: TypeAlias = RunFit | CombineFit | DatasetFit


class Entry(Protocol):
    """An estimate of a subject at the group level: of a file, expected, or made from several."""

    @property
    def key(self) -> EstimateKey:
        """What identifies it."""

    @property
    def metadata(self) -> Document:
        """The fields of its sidecar."""


@dataclass(frozen=True, slots=True)
class Flow(Generic[T_co]):
    """An estimate on its way: its key or file, its test, and everything that can be asked of it.

    ``labels`` holds its entities by their long names, ``contrast``, and what tables say of it.
    """

    item: T_co
    test: str
    labels: Document


AnyFlow: TypeAlias = Flow[object]
# The values of GroupBy and the flows that have them.
Group: TypeAlias = tuple[Document, Sequence[Flow[T]]]
# The contrasts of a group, their own names, and the reasons of those left out.
Outputs: TypeAlias = tuple[tuple[Contrast, ...], dict[str, str], dict[str, str]]


def incoming(
    model: Model, node: Node, made: Mapping[str, Sequence[Flow[T]]]
) -> tuple[list[Flow[T]], list[str]]:
    """Return the flows that enter a node, and notes.

    Parameters
    ----------
    made : dict of str to list of Flow
        What each node so far has made. F contrasts end where they are made, unless the node asks for
        the joint F.
    """
    joint = wants_joint_f(node)
    ended = {name: [flow for flow in flows if flow.test != "F" or joint] for name, flows in made.items()}
    return follow_edges(model, node, lambda source: ended.get(source, ()))


def follow_edges(
    model: Model, node: Node, flows_from: Callable[[str], Iterable[Flow[T]]]
) -> tuple[list[Flow[T]], list[str]]:
    """Return the flows that the edges of a model lead into a node, each once, and a note on overlaps.

    Parameters
    ----------
    flows_from : callable
        The flows of a node's name.
    """
    entering: dict[int, Flow[T]] = {}
    again: dict[str, None] = {}
    for edge in model.edges_into(node.name):
        for flow in flows_from(edge.source):
            if passes(flow, edge.filter):
                if id(flow) in entering:
                    again[str(flow.labels["contrast"])] = None
                entering[id(flow)] = flow
    notes = [f"several edges lead {', '.join(again)} into {node.name!r}: each estimate enters once"]
    return list(entering.values()), notes if again else []


def leave_out_unplaced(node: Node, flows: Sequence[Flow[T]]) -> tuple[list[Flow[T]], dict[str, str]]:
    """Return the flows that have a value of every column of GroupBy, and subject -> reason for the others.

    Entities that an image may lack (a session, say) are values even where they are absent.
    """
    columns = [name for name in node.group_by if name not in SHORT_NAMES and name != "contrast"]
    kept: list[Flow[T]] = []
    left_out: dict[str, str] = {}
    for flow in flows:
        absent = [name for name in columns if name in flow.labels and is_absent(flow.labels[name])]
        if absent:
            reason = f"no value of {', '.join(absent)}, which {node.name!r} groups by"
            left_out[f"sub-{flow.labels['subject']}"] = reason
        else:
            kept.append(flow)
    return kept, left_out


def is_absent(value: object) -> bool:
    """Whether a value of a table is missing."""
    return value is None or value != value or value == ""


def wants_joint_f(node: Node) -> bool:
    """Whether a node joins the F contrasts of its inputs."""
    return bool(node.own.get("JointF")) and node.level in ("Session", "Subject")


def passes(flow: AnyFlow, rule: Mapping[str, Iterable[str]]) -> bool:
    """Whether a flow passes the filter of an edge: every variable has one of its values."""
    return all(
        any(_passes_one(key, flow.labels.get(key), value) for value in values) for key, values in rule.items()
    )


def _passes_one(key: str, label: object, value: str) -> bool:
    """Whether a label is a value of a filter; a contrast may go by its last name, or by its label."""
    if same_value(label, value):
        return True
    if key != "contrast":
        return False
    return make_label(str(label)) == make_label(value) or str(label).endswith(f" {value}")


def same_value(first: object, second: object) -> bool:
    """Whether two labels are the same; numbers by their value (1 is 01, and 1.0 of a table)."""
    one, other = ("" if value is None else str(value) for value in (first, second))
    if NUMBER.fullmatch(one) and NUMBER.fullmatch(other):
        return Fraction(one) == Fraction(other)
    return one == other


def is_among(label: object, values: Iterable[object]) -> bool:
    """Whether a label is the same as one of these."""
    return any(same_value(label, value) for value in values)


def group_flows(node: Node, flows: Sequence[Flow[T]], always: Sequence[str] = ()) -> list[Group[T]]:
    """Return the groups of a node: a list of (values of GroupBy, flows), in the order met.

    Raises
    ------
    ModelError
        A variable of GroupBy that no input has.
    """
    names = [*dict.fromkeys((*always, *node.group_by))]
    for name in names:
        if name not in SHORT_NAMES and flows and not any(name in flow.labels for flow in flows):
            known = sorted({key for flow in flows for key in flow.labels})
            raise ModelError(
                f"{node.where}.GroupBy: {name!r} is neither an entity nor a column here. "
                f"{near_match(name, known)}"
            )
    groups = collect(
        ((tuple((name, flow.labels.get(name)) for name in names), flow.test == "F"), flow) for flow in flows
    )
    return [(dict(values), members) for (values, _), members in groups.items()]


def output_entities(node: Node, members: Iterable[AnyFlow], varying: Collection[str]) -> dict[str, str]:
    """Return the entities that name the outputs of a group.

    An entity is kept when all inputs of every group share it, and the node does not average over it.

    Parameters
    ----------
    varying : set of str
        As from `varying_entities`, of all groups of the node.
    """
    first, *others = map(_entities, members)
    averaged = {short for short, name in AVERAGED.items() if name not in node.group_by}
    dropped = averaged | {key for key in varying if LONG_NAMES.get(key, key) not in node.group_by}
    return {
        key: value
        for key, value in first.items()
        if key not in dropped and all(other.get(key) == value for other in others)
    }


def varying_entities(groups: Iterable[Group[Any]]) -> set[str]:
    """Return the entities in which the inputs of any group, as from `group_flows`, differ."""
    varying: set[str] = set()
    for _, group in groups:
        first, *others = map(_entities, group)
        varying |= {key for key, value in first.items() if any(other.get(key) != value for other in others)}
    return varying


def _entities(flow: AnyFlow) -> dict[str, str]:
    return {short: flow.labels[name] for name, short in SHORT_NAMES.items() if flow.labels.get(name)}


def incoming_contrast(node: Node, members: Iterable[AnyFlow]) -> str | None:
    """Return the one contrast that comes into a group, or None when X tells the contrasts apart.

    Raises
    ------
    ModelError
        Several contrasts and nothing that tells them apart.
    """
    names: list[str] = sorted({flow.labels["contrast"] for flow in members})
    if len(names) == 1:
        return names[0]
    told_apart = {"contrast", *names} & {part for word in node.x for part in (word, word.split(".")[0])}
    if told_apart or node.formula:
        return None
    raise ModelError(
        f"{node.where}.GroupBy: {len(names)} contrasts ({', '.join(names[:5])}) come into one model, and X "
        f"does not tell them apart. Add 'contrast' to GroupBy of {node.name!r}."
    )


def find_levels(flows: Iterable[AnyFlow], node: Node | None = None) -> frozenset[str]:
    """Return the names that levels of what flows have would have as columns: ``session.pre``.

    Of a node, those of the columns that its X or its Formula speaks of.
    """
    said = None if node is None else " ".join([*node.x, node.formula or ""])
    pairs = {
        (key, value)
        for flow in flows
        for key, value in flow.labels.items()
        if (said is None or key in said) and not is_absent(value)
    }
    return frozenset(f"{key}.{level_name(value)}" for key, value in pairs)


def make_outputs(
    node: Node,
    group_design: GroupDesign,
    contrast: str | None,
    missing_condition: str,
    levels: Collection[str] = (),
) -> Outputs:
    """Return the contrasts of a node's group, named as its outputs.

    On the intercept, and averaged over groups, an output keeps the name of the incoming contrast, unless a
    Dataset node gives it another; otherwise the node's own name follows it.

    Parameters
    ----------
    levels : collection of str
        Names of levels that other groups of the node may have, as from `find_levels`; a contrast that needs
        one that is not here is not made here.

    Returns
    -------
    contrasts : tuple of Contrast
    names : dict of str to str
        Output name to the node's own name of the contrast ("1" on the intercept).
    skipped : dict of str to str

    Raises
    ------
    ModelError
        A condition that is no column of the design.
    """
    design = group_design.design
    margins = Margins(group_design.formula) if group_design.formula else None
    rules, invalid = _rules_with_levels(node, design.columns, levels, margins)
    rules = [_weigh_groups(rule, node, design) for rule in rules]
    made, skipped = make_contrasts(rules, design, missing_condition)
    skipped |= invalid
    # As they are written: the mean over levels of a formula keeps its name, whatever its columns are.
    by_rule = {rule.name: rule for rule in expand_rules(node, design.columns)}
    contrasts: list[Contrast] = []
    names: dict[str, str] = {}
    for item in made:
        own = "1" if _is_mean(by_rule[item.name]) else item.name
        unnamed = node.level != "Dataset" or item.name in NO_NAMES
        name = output_name(contrast, "1" if own in ("1", MEAN_OVER_GROUPS) and unnamed else item.name)
        if name in names:
            name = output_name(contrast, item.name)
        names[name] = own
        contrasts.append(Contrast(name, item.test, item.columns, item.weights))
    return tuple(contrasts), names, {output_name(contrast, name): reason for name, reason in skipped.items()}


def _rules_with_levels(
    node: Node, columns: Sequence[str], elsewhere: Collection[str], margins: Margins | None
) -> tuple[list[ContrastRule], dict[str, str]]:
    """Return the contrasts of a node over the columns of its design, and the reasons of those left out."""
    rules: list[ContrastRule] = []
    invalid: dict[str, str] = {}
    for written in expand_rules(node, columns):
        rule = over_columns(written, margins) if margins else written
        try:
            rules.append(_with_levels(rule, columns))
        except ModelError as error:
            absent = [name for name in rule.conditions if _is_elsewhere(name, columns, elsewhere)]
            if absent:
                invalid[rule.name] = f"no {', '.join(absent)} here"
                continue
            if node.invalid_contrasts != "drop":
                raise
            invalid[rule.name] = str(error)
    return rules, invalid


def _is_elsewhere(name: str, columns: Sequence[str], elsewhere: Collection[str]) -> bool:
    """Whether a name is no column here, but that of a level which other groups have."""
    if find_column(name, columns) is not None:
        return False
    # Of a cell, one level may be missing.
    return any(
        spelling in elsewhere
        or any(level.endswith((f".{part}", f".{part.lstrip('0')}")) for level in elsewhere)
        for part in name.split(":")
        for spelling in (part, *aliases(part))
    )


def _weigh_groups(rule: ContrastRule, node: Node, design: Design) -> ContrastRule:
    """Return a rule; an average over groups weighs them by the subjects they have here, if so asked."""
    if rule.name != MEAN_OVER_GROUPS or node.own.get("GroupWeights") != "size":
        return rule
    sizes = design.matrix[:, [design.columns.index(name) for name in rule.conditions]].sum(axis=0)
    return replace(rule, weights=(tuple((sizes / sizes.sum()).tolist()),))


def _with_levels(rule: ContrastRule, columns: Sequence[str]) -> ContrastRule:
    """Return a rule whose conditions are columns.

    A factor with one column stands for that column, and so does a level without the name of its factor.
    """
    conditions = []
    for name in rule.conditions:
        levels = [column for column in columns if column.startswith((f"{name}.", f"{name}[", f"C({name})["))]
        levels = levels or [
            column for column in columns if column.endswith((f".{name}", f".{name.lstrip('0')}"))
        ]
        found = find_column(name, columns)
        if found is None and len(levels) != 1:
            raise ModelError(
                f"{rule.where} (contrast {rule.name!r}): {name!r} is no column of the design. "
                f"{near_match(name, columns)}"
            )
        conditions.append(found or levels[0])
    return replace(rule, conditions=tuple(conditions))


def output_name(contrast: str | None, own: str) -> str:
    """Return the name of an output: the incoming contrast's, the node's own, or both."""
    if contrast is None:
        return own
    return contrast if own in ("1", INTERCEPT, contrast) else f"{contrast} {own}"


def _is_mean(rule: ContrastRule) -> bool:
    """Whether a contrast is the plain mean: the intercept, with weight 1 and a name that says no more."""
    return rule.conditions == (INTERCEPT,) and rule.weights == ((1.0,),) and rule.test != "F"


def check_outputs(fits: Iterable[Fit]) -> None:
    """Raise ModelError where two contrasts of a node, or two nodes, would have the same files.

    Parameters
    ----------
    fits : iterable of RunFit, CombineFit or DatasetFit
    """
    contrasts: dict[str, dict[str, None]] = {}
    written: dict[str, int] = {}
    for fit in fits:
        names = contrasts.setdefault(fit.node, {})
        names |= dict.fromkeys([*(item.name for item in fit.contrasts), *fit.skipped])
        for item in fit.contrasts:
            path = map_path(fit.entities, node=fit.node, contrast=item.name, stat="effect")
            written[path] = written.get(path, 0) + 1
    check_labels(contrasts, "the nodes")
    for node, names in contrasts.items():
        check_labels(names, f"node {node!r}: the contrasts")
    twice = next((path for path, count in written.items() if count > 1), None)
    if twice:
        raise ModelError(
            f"{written[twice]} fits of one node would write {twice}: what tells them apart is in no name. "
            "Group by entities that file names have, or make a node for each (Filter of its edge)."
        )


def explain_missing(missing: Mapping[str, str], columns: Sequence[str], given: Collection[str]) -> list[str]:
    """Return what the model asks for and none of the inputs has, with a near match for each.

    Parameters
    ----------
    missing : dict of str to str
        Name -> where the model asks for it.
    columns : sequence of str
        What there is, here or elsewhere.
    given : collection of str
        The columns before the transformations of the node: what is missing of them was taken away.
    """
    return [
        f"{where}: the Transformations leave no {name!r}."
        if name in given
        else f"{where}: there is no {name!r}. {near_match(name, columns)}"
        for name, where in missing.items()
        if name in given or find_column(name, columns) is None
    ]
