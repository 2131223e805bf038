"""The graph of a model: edges between nodes, checked to be a tree of levels, and an order to compute in."""

from collections.abc import Collection, Sequence

from bidsapp.errors import did_you_mean, near_names, some_names
from bidsapp.model.faults import Spot
from bidsapp.model.schema import EdgeShape
from bidsapp.records.model import LEVELS, SHORT_NAMES, Edge, Node

VARIABLES = ("contrast", *SHORT_NAMES)
# Far more than any model has; the work of checking them grows with their product.
MAX_EDGES, MAX_VALUES = 1000, 5000


def make_edges(shapes: list[EdgeShape] | None, nodes: Sequence[Node], spot: Spot) -> tuple[Edge, ...]:
    """Return the edges of a model; without any, each node feeds the next one of the list."""
    names = [node.name for node in nodes]
    if shapes is None:
        return tuple(Edge(source, target) for source, target in zip(names, names[1:], strict=False))
    if len(shapes) > MAX_EDGES:
        spot.fault(f"has {len(shapes):,} edges; at most {MAX_EDGES:,} are accepted.")
        return ()
    n_values = sum(len(values) for shape in shapes for values in (shape.Filter or {}).values())
    if n_values > MAX_VALUES:
        spot.fault(f"have Filters of {n_values:,} values; at most {MAX_VALUES:,} are accepted.")
        return ()
    edges = []
    for index, shape in enumerate(shapes):
        here = spot.at(index)
        for key in ("Source", "Destination"):
            _check_known(getattr(shape, key), names, here.at(key))
        if shape.Source == shape.Destination:
            here.fault(f"leads from {shape.Source!r} to itself.")
        target = next((node for node in nodes if node.name == shape.Destination), None)
        for key in shape.Filter or ():
            _check_variable(key, target, here.at("Filter", key))
        values = {key: tuple(map(str, value)) for key, value in (shape.Filter or {}).items()}
        edges.append(Edge(shape.Source, shape.Destination, values))
    return tuple(edges)


def sort_nodes(nodes: Sequence[Node], edges: Sequence[Edge], spot: Spot) -> tuple[Node, ...]:
    """Return the nodes in an order in which sources come first; the order of the file otherwise.

    A fault is noted for a cycle, for several roots, and for an edge that leads to a lower level.
    """
    waiting = {node.name: {edge.source for edge in edges if edge.destination == node.name} for node in nodes}
    roots = [name for name, sources in waiting.items() if not sources]
    if len(roots) > 1:
        spot.fault(f"the nodes {_listed(roots)} have no incoming edge; only one, the first step, may.")
    ordered = []
    while waiting:
        ready = [name for name, sources in waiting.items() if not sources & waiting.keys()]
        if not ready:
            spot.fault(f"the edges between {_listed(waiting)} form a circle.")
            return ()
        ordered += ready
        for name in ready:
            del waiting[name]
    by_name = {node.name: node for node in nodes}
    _check_levels(by_name, edges, spot)
    return tuple(by_name[name] for name in ordered)


def _check_levels(by_name: dict[str, Node], edges: Sequence[Edge], spot: Spot) -> None:
    for index, edge in enumerate(edges):
        source, target = by_name[edge.source], by_name[edge.destination]
        if target.level == "Run":
            spot.at(index).fault(
                f"the Run node {target.name!r} has {source.name!r} before it; a Run node reads images."
            )
        elif LEVELS.index(target.level) < LEVELS.index(source.level):
            spot.at(index).fault(
                f"leads down from {source.level} {source.name!r} to {target.level} {target.name!r}."
            )


def _check_variable(key: str, target: Node | None, spot: Spot) -> None:
    """Note a variable of a Filter that no estimate can have; Dataset nodes know columns of participants."""
    columns = target is None or target.level == "Dataset"
    near = near_names(key, VARIABLES, cutoff=0.85 if columns else 0.6)
    if key not in VARIABLES and near:
        spot.fault(f"{key[:80]!r}: did you mean {near[0]!r}?")
    elif key not in VARIABLES and not columns:
        spot.fault(f"is no entity; there are contrast, {', '.join(SHORT_NAMES)}.")


def _check_known(name: str, names: Sequence[str], spot: Spot) -> None:
    if name not in names:
        hint = did_you_mean(name, names, f"The nodes are {_listed(names)}.")
        spot.fault(f"no node is named {name[:200]!r}. {hint}")


def _listed(names: Collection[str]) -> str:
    return some_names(map(repr, names), 5)
