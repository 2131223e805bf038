"""A model as a picture: a box for each step, the first one on top, and an arrow for what leads on."""

from bidsapp.report.drawing import svg

WIDE, GAP, RISE, LINE, PAD = 264.0, 36.0, 62.0, 15.0, 9.0
# More contrasts and values than these make a picture that nobody reads; the model file has them all.
MAX_CONTRASTS, MAX_VALUES, MAX_CHARACTERS = 6, 3, 44
# So that words stay readable where they lie on an arrow.
HALO = {"stroke": "var(--panel,#ffffff)", "stroke_width": 3, "paint_order": "stroke"}


def draw_model_graph(graph: dict) -> svg.Figure:
    """Return the picture of a model.

    Parameters
    ----------
    graph : dict
        As from ``plan.graph.describe_graph``.
    """
    rows = _rows(graph)
    places, height = _places(rows)
    width = max(len(row) for row in rows) * (WIDE + GAP) + GAP
    arrows = "".join(_arrow(places, edges, width) for edges in _parallel(graph["edges"]))
    boxes = "".join(_box(node, *places[node["name"]]) for node in graph["nodes"])
    steps = ", then ".join(f"{node['level']} {node['name']}" for row in rows for node in row)
    return svg.Figure(_arrow_head() + arrows + boxes, width, height, f"Model {graph['name']}: {steps}", {})


def _rows(graph):
    """Return the nodes in rows: each one below everything that leads to it."""
    depth = {node["name"]: 0 for node in graph["nodes"]}
    for node in graph["nodes"]:
        for edge in graph["edges"]:
            if edge["destination"] == node["name"]:
                depth[node["name"]] = max(depth[node["name"]], depth[edge["source"]] + 1)
    levels = sorted(set(depth.values()))
    return [[node for node in graph["nodes"] if depth[node["name"]] == level] for level in levels]


def _places(rows):
    """Return the left, top and height of each box by its node's name, and the height of all."""
    places, top = {}, 8.0
    most = max(len(row) for row in rows)
    for row in rows:
        tall = max(_tall(node) for node in row)
        left = GAP + (most - len(row)) * (WIDE + GAP) / 2
        for index, node in enumerate(row):
            places[node["name"]] = (left + index * (WIDE + GAP), top, _tall(node))
        top += tall + RISE
    return places, top - RISE + 8.0


def _tall(node):
    return LINE * (1 + len(_words(node))) + 2 * PAD


def _words(node):
    """Return the lines of a box below its title."""
    grouped = f"for each {', '.join(node['group_by'])}" if node["group_by"] else "for all together"
    contrasts = node["contrasts"][:MAX_CONTRASTS]
    more = len(node["contrasts"]) - len(contrasts)
    made = [] if node["estimates"] is None else [_counted(node["estimates"]) + " made"]
    lines = [grouped, f"X: {', '.join(node['x'])}", *(f"• {name}" for name in contrasts)]
    return lines + ([f"and {more} more contrasts"] if more else []) + made


def _counted(number):
    return f"{number:,} estimate{'' if number == 1 else 's'}"


def _box(node, left, top, tall):
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


def _parallel(edges):
    """Return the edges between the same two nodes together, as they share one arrow."""
    pairs = {}
    for edge in edges:
        pairs.setdefault((edge["source"], edge["destination"]), []).append(edge)
    return list(pairs.values())


def _arrow(places, edges, width):
    """Return one arrow; it goes beside the boxes where it passes over a row."""
    (left, top, tall), (to_left, to_top, _) = (places[edges[0][end]] for end in ("source", "destination"))
    x, y, to_x = left + WIDE / 2, top + tall, to_left + WIDE / 2
    passes_over = any(y < other[1] < to_top - RISE for other in places.values())
    aside = (width - 10 if x >= width / 2 else 10) if passes_over else None
    near, far = (x, to_x) if aside is None else (aside, aside)
    middle = (y + to_top) / 2
    bends = f"M{x:.1f} {y:.1f}C{near:.1f} {middle:.1f} {far:.1f} {middle:.1f} {to_x:.1f} {to_top - 7:.1f}"
    curve = svg.tag("path", d=bends, fill="none", stroke=svg.FAINT, stroke_width=1.3, marker_end="url(#led)")
    words = [label for label in map(_label, edges) if label]
    at = (x + to_x) / 2 if aside is None else 0.25 * x + 0.75 * aside
    lines = [
        svg.text(
            at + 5, middle + LINE * (index - (len(words) - 1) / 2) + 3, line, size=10, fill=svg.FAINT, **HALO
        )
        for index, line in enumerate(words)
    ]
    return curve + "".join(lines)


def _label(edge):
    rules = [f"{key} {_some(values)}" for key, values in edge["filter"].items()]
    counted = [] if edge["estimates"] is None else [_counted(edge["estimates"])]
    return svg.cut("; ".join([*counted, *rules]), 2 * MAX_CHARACTERS)


def _some(values):
    more = f" and {len(values) - MAX_VALUES} more" if len(values) > MAX_VALUES else ""
    return ", ".join(map(str, values[:MAX_VALUES])) + more


def _arrow_head():
    tip = svg.tag("path", d="M0 0L8 4L0 8z", fill=svg.FAINT)
    size = {"markerWidth": 8, "markerHeight": 8, "refX": 1, "refY": 4}
    return svg.tag("defs", svg.tag("marker", tip, id="led", orient="auto", **size))
