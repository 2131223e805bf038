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
    assert "12 estimates; contrast go, stop" in words


def test_names_of_a_model_are_text():
    graph = {"name": "<m>", "nodes": [node("<script>", contrasts=["a & b (t)"])], "edges": []}
    assert "Subject: <script>" in words_of(graph)
    assert "• a & b (t)" in words_of(graph)


def test_long_lists_are_cut_with_their_number():
    words = words_of(
        {"name": "m", "nodes": [node("s", contrasts=[f"c{i} (t)" for i in range(9)])], "edges": []}
    )
    assert "and 3 more contrasts" in words


def test_node_stands_below_everything_that_leads_to_it():
    nodes = [node("run", "Run"), node("subject"), node("dataset", "Dataset")]
    edges = [edge("run", "subject"), edge("run", "dataset"), edge("subject", "dataset")]
    picture = ElementTree.fromstring(draw_model_graph({"name": "m", "nodes": nodes, "edges": edges}).file())
    tops = [float(box.get("y")) for box in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert tops == sorted(tops)
    assert len(set(tops)) == 3
