"""What a model does, as a graph: its steps, what leads from one to the next, how many estimates pass."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from bidsapp.names import make_label
from bidsapp.plan.group.within import subject_contrasts
from bidsapp.plan.nodes import Entry, Flow, passes
from bidsapp.plan.participant.combine import flows_of
from bidsapp.records.collect import collect
from bidsapp.records.documents import Document
from bidsapp.records.maps import EstimateKey
from bidsapp.records.model import INTERCEPT, Edge, Model, Node
from bidsapp.records.plan import ParticipantPlan

# An estimate that is planned, or the file of one that was made.
PlannedOrMade: TypeAlias = Flow[EstimateKey] | Flow[Entry]
# Label of a node -> its flows.
Made: TypeAlias = dict[str, list[PlannedOrMade]]


def describe_graph(model: Model, flows: Iterable[PlannedOrMade] | None = None) -> Document:
    """Return the nodes and edges of a model as plain values.

    Parameters
    ----------
    flows : iterable of Flow, optional
        The estimates that the nodes make, or made; without them nothing is counted.

    Returns
    -------
    dict
        ``name``; ``nodes``: each with its name, level, type, grouping, columns of X and contrasts, and in
        ``estimates`` how many effects it makes (None where they are not counted); ``edges``: source,
        destination, filter, and in ``estimates`` how many pass.
    """
    # F tests end where they are made, and do not count.
    made = None if flows is None else collect((_node_of(flow), flow) for flow in flows if flow.test != "F")
    return {
        "name": model.name,
        "nodes": [_describe_node(node, made) for node in model.nodes],
        "edges": [_describe_edge(edge, made) for edge in model.edges],
    }


def planned_flows(plan: ParticipantPlan, people: Mapping[str, Document]) -> list[Flow[EstimateKey]]:
    """Return the estimates that a participant plan will make, with the columns of participants.tsv.

    Parameters
    ----------
    people : dict of str to dict
        Subject label to its columns.
    """
    return [
        replace(flow, labels=people.get(subject.subject, {}) | flow.labels)
        for subject in plan.subjects
        for flow in flows_of(*subject.fits)
    ]


def _node_of(flow: PlannedOrMade) -> str:
    key = flow.item if isinstance(flow.item, EstimateKey) else flow.item.key
    return make_label(key.node)


def _describe_node(node: Node, made: Made | None) -> Document:
    counted = None
    if made is not None and node.level != "Dataset":
        counted = len(made.get(make_label(node.name), ()))
    return {
        "name": node.name,
        "level": node.level,
        "type": node.type,
        "group_by": list(node.group_by),
        "x": ["1" if word == INTERCEPT else word for word in node.x],
        "contrasts": _contrasts(node),
        "estimates": counted,
    }


def _contrasts(node: Node) -> list[str]:
    names = [f"{rule.name} ({rule.test})" for rule in node.contrasts]
    names += [f"{name} ({within.test} within subjects)" for name, within in subject_contrasts(node).items()]
    if node.dummy is None:
        return names
    if node.dummy.contrasts is None:
        return [*names, f"each column ({node.dummy.test})"]
    return names + [f"{name} ({node.dummy.test})" for name in node.dummy.contrasts]


def _describe_edge(edge: Edge, made: Made | None) -> Document:
    counted = None
    if made is not None:
        flows = made.get(make_label(edge.source), ())
        counted = sum(passes(flow, edge.filter) for flow in flows)
    return {
        "source": edge.source,
        "destination": edge.destination,
        "filter": {key: list(values) for key, values in edge.filter.items()},
        "estimates": counted,
    }
