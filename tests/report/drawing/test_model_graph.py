from xml.etree import ElementTree

from bidsapp.report.drawing.model_graph import draw_model_graph


def node(name, level="Subject", **more):
    described = {"group_by": ["subject"], "x": ["1"], "contrasts": [], "type": "glm", "estimates": None}
    return {"name": name, "level": level, **described, **more}


def edge(source, destination, estimates=None, **rule):
    return {"source": source, "destination": destination, "filter": rule, "estimates": estimates}


def words_of(graph):
    picture = ElementTree.fromstring(draw_model_graph(graph).file())
    return [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]


def test_filters_and_numbers_stand_at_their_edges():
    nodes = [node("run", "Run"), node("all", "Dataset")]
    words = words_of(
        {"name": "m", "nodes": nodes, "edges": [edge("run", "all", 12, contrast=["go", "stop"])]}
    )
    assert "12 estimates" in words
    assert "contrast go, stop" in words


def test_words_of_edges_stand_apart_and_inside_the_picture():
    """Above the box that an edge leads to: neither over each other nor beyond the column of the box."""
    names = [f"dataset{i}" for i in range(4)]
    long = {f"contrast of {i}": [f"a long name number {k}" for k in range(9)] for i in range(2)}
    nodes = [node("run", "Run"), *(node(name, "Dataset") for name in names)]
    edges = [edge("run", name, 7, **long) for name in names] + [edge("run", names[0], 3)]
    figure = draw_model_graph({"name": "m", "nodes": nodes, "edges": edges})
    picture = ElementTree.fromstring(figure.file())
    words = [t for t in picture.iter("{http://www.w3.org/2000/svg}text") if t.get("font-size") == "10"]
    assert len(words) == 13
    places = [(float(t.get("x")), float(t.get("y")), t.get("text-anchor"), t.text) for t in words]
    assert len({place[:2] for place in places}) == len(places)
    for x, y, anchor, text in places:
        end = x + 5.6 * len(text) * (-1 if anchor == "end" else 1)
        assert 0 < end < figure.width
        assert 0 < y < figure.height


def test_edges_of_several_sources_are_told_apart():
    nodes = [node("run", "Run"), node("subject"), node("all", "Dataset")]
    edges = [edge("run", "subject", 8), edge("run", "all", 5), edge("subject", "all", 1)]
    words = words_of({"name": "m", "nodes": nodes, "edges": edges})
    assert {"8 estimates", "5 estimates of run", "and 1 estimate of subject"} <= set(words)


def test_names_of_a_model_are_text():
    graph = {"name": "<m>", "nodes": [node("<script>", contrasts=["a & b (t)"])], "edges": []}
    assert "Subject: <script>" in words_of(graph)
    assert "• a & b (t)" in words_of(graph)


def test_long_lists_are_cut_with_their_number():
    words = words_of(
        {"name": "m", "nodes": [node("s", contrasts=[f"c{i} (t)" for i in range(9)])], "edges": []}
    )
    assert "and 3 more contrasts" in words
    words = words_of(
        {"name": "m", "nodes": [node("s", contrasts=[f"c{i} (t)" for i in range(7)])], "edges": []}
    )
    assert "and 1 more contrast" in words


def test_node_stands_below_everything_that_leads_to_it():
    nodes = [node("run", "Run"), node("subject"), node("dataset", "Dataset")]
    edges = [edge("run", "subject"), edge("run", "dataset"), edge("subject", "dataset")]
    picture = ElementTree.fromstring(draw_model_graph({"name": "m", "nodes": nodes, "edges": edges}).file())
    _, *boxes = picture.iter("{http://www.w3.org/2000/svg}rect")
    tops = [float(box.get("y")) for box in boxes]
    assert tops == sorted(tops)
    assert len(set(tops)) == 3
