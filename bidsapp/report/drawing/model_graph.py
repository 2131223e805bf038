"""A model as a picture: a box for each step, the first one on top, and an arrow for what leads on."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from bidsapp.errors import some_names
from bidsapp.records.documents import Document
from bidsapp.report.drawing import svg

# Of a box its width, the room to the next one and to the row below, a line of its words, and its margin.
WIDE, GAP, RISE, LINE, PAD = 264.0, 36.0, 44.0, 15.0, 9.0
# Of the words above a box, which stand on one side of the arrow that ends there.
SMALL, MAX_BESIDE = 12.5, 28
# More contrasts and values than these make a picture that nobody reads; the model file has them all.
MAX_CONTRASTS, MAX_VALUES, MAX_CHARACTERS = 6, 3, 44
# Left, top and height of the box of a node.
Box: TypeAlias = tuple[float, float, float]
# So that words stay readable where they lie on an arrow.
HALO: dict[str, svg.Value] = {"stroke": "var(--panel,#ffffff)", "stroke_width": 3, "paint_order": "stroke"}


def draw_model_graph(graph: Document) -> svg.Figure:
    """Return the picture of a model.

    Parameters
    ----------
    graph : dict
        As from ``plan.graph.describe_graph``.
    """
    rows, labels = _rows(graph), _labels(graph)
    places, height = _places(rows, labels)
    width = max(len(row) for row in rows) * (WIDE + GAP) + GAP
    pairs = dict.fromkeys((edge["source"], edge["destination"]) for edge in graph["edges"])
    arrows = "".join(_arrow(places, *pair, width) for pair in pairs)
    arrows += "".join(_beside(places, name, lines, graph) for name, lines in labels.items())
    boxes = "".join(_box(node, *places[node["name"]]) for node in graph["nodes"])
    steps = ", then ".join(f"{node['level']} {node['name']}" for row in rows for node in row)
    ground = svg.rectangle(0, 0, width, height, fill="var(--panel,#ffffff)")
    return svg.Figure(
        ground + _arrow_head() + arrows + boxes, width, height, f"Model {graph['name']}: {steps}", {}
    )


def _rows(graph: Document) -> list[list[Document]]:
    """Return the nodes in rows: each one below everything that leads to it."""
    depth = {node["name"]: 0 for node in graph["nodes"]}
    for node in graph["nodes"]:
        for edge in graph["edges"]:
            if edge["destination"] == node["name"]:
                depth[node["name"]] = max(depth[node["name"]], depth[edge["source"]] + 1)
    levels = sorted(set(depth.values()))
    return [[node for node in graph["nodes"] if depth[node["name"]] == level] for level in levels]


def _places(
    rows: Sequence[Sequence[Document]], labels: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Box], float]:
    """Return the left, top and height of each box by its node's name, and the height of all."""
    places, top = {}, 8.0 - RISE
    most = max(len(row) for row in rows)
    for row in rows:
        top += RISE + SMALL * max(len(labels.get(node["name"], ())) for node in row)
        tall = max(_tall(node) for node in row)
        left = GAP + (most - len(row)) * (WIDE + GAP) / 2
        for index, node in enumerate(row):
            places[node["name"]] = (left + index * (WIDE + GAP), top, _tall(node))
        top += tall
    return places, top + 8.0


def _tall(node: Document) -> float:
    return LINE * (1 + len(_words(node))) + 2 * PAD


def _words(node: Document) -> list[str]:
    """Return the lines of a box below its title."""
    grouped = f"for each {', '.join(node['group_by'])}" if node["group_by"] else "for all together"
    contrasts = node["contrasts"][:MAX_CONTRASTS]
    more = len(node["contrasts"]) - len(contrasts)
    made = [] if node["estimates"] is None else [_counted(node["estimates"]) + " made"]
    lines = [grouped, f"X: {', '.join(node['x'])}", *(f"• {name}" for name in contrasts)]
    return lines + ([f"and {more} more contrast{'s' * (more > 1)}"] if more else []) + made


def _counted(number: int) -> str:
    return f"{number:,} estimate{'' if number == 1 else 's'}"


def _box(node: Document, left: float, top: float, tall: float) -> str:
    frame = svg.rectangle(left, top, WIDE, tall, rx=6, fill="var(--panel,#ffffff)", stroke=svg.ACCENT)
    first = top + PAD + LINE * 0.75
    title = svg.text(
        left + PAD, first, svg.cut(f"{node['level']}: {node['name']}", 32), size=12, font_weight=600
    )
    lines = [
        svg.text(left + PAD, first + LINE * (index + 1), svg.cut(words, MAX_CHARACTERS), size=10.5)
        for index, words in enumerate(_words(node))
    ]
    return frame + title + "".join(lines)


def _arrow(places: Mapping[str, Box], source: str, destination: str, width: float) -> str:
    """Return an arrow; it goes beside the boxes where it passes over a row."""
    (left, top, tall), (to_left, to_top, _) = places[source], places[destination]
    x, y, to_x = left + WIDE / 2, top + tall, to_left + WIDE / 2
    passes_over = any(y < other[1] < to_top - RISE for other in places.values())
    aside = (width - 10 if x >= width / 2 else 10) if passes_over else None
    near, far = (x, to_x) if aside is None else (aside, aside)
    middle = y + RISE / 2
    bends = f"M{x:.1f} {y:.1f}C{near:.1f} {middle:.1f} {far:.1f} {middle:.1f} {to_x:.1f} {to_top - 7:.1f}"
    return svg.tag("path", d=bends, fill="none", stroke=svg.FAINT, stroke_width=1.3, marker_end="url(#led)")


def _labels(graph: Document) -> dict[str, list[str]]:
    """Return the lines of words above each box: what passes to it, a line for each part of an edge."""
    labels: dict[str, list[str]] = {}
    for edge in graph["edges"]:
        lines = labels.setdefault(edge["destination"], [])
        sources = {other["source"] for other in graph["edges"] if other["destination"] == edge["destination"]}
        counted = [] if edge["estimates"] is None else [_counted(edge["estimates"])]
        rules = [f"{key} {some_names(values, MAX_VALUES)}" for key, values in edge["filter"].items()]
        said = [*counted, *rules]
        if len(sources) > 1 and said:
            said[0] = f"{said[0]} of {edge['source']}"
        if lines and said:
            said[0] = f"and {said[0]}"
        lines += said
    return labels


def _beside(places: Mapping[str, Box], name: str, lines: Sequence[str], graph: Document) -> str:
    """Return the words above a box, on the side of its arrow that the arrow does not come from."""
    left, top, _ = places[name]
    first = next(edge["source"] for edge in graph["edges"] if edge["destination"] == name)
    at, anchor = (left + WIDE / 2 - 7, "end") if places[first][0] > left else (left + WIDE / 2 + 7, "start")
    bottom = top - 10 - SMALL * (len(lines) - 1)
    return "".join(
        svg.text(
            at,
            bottom + SMALL * index,
            svg.cut(words, MAX_BESIDE),
            size=10,
            fill=svg.FAINT,
            anchor=anchor,
            **HALO,
        )
        for index, words in enumerate(lines)
    )


def _arrow_head() -> str:
    tip = svg.tag("path", d="M0 0L8 4L0 8z", fill=svg.FAINT)
    size = {"markerWidth": 8, "markerHeight": 8, "refX": 1, "refY": 4}
    return svg.tag("defs", svg.tag("marker", tip, id="led", orient="auto", **size))
