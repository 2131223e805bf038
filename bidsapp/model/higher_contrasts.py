"""Contrasts of higher nodes beside X [1] that name what comes from below, as models of other programs do.

A node whose X is 1 has one column, the intercept, over whatever comes in. Where its contrasts name columns of
the run, they are made in each run and combined; where its dummy contrasts name incoming contrasts, only
those are passed on. Both are written into the model in today's form.
"""

from collections.abc import Callable

from bidsapp.model.notes import Notes
from bidsapp.model.subject_tests import find_tested, is_column, make_subject_test, own_contrasts
from bidsapp.model.text import list_at, objects, table_at
from bidsapp.model.wildcards import is_wildcard
from bidsapp.records.documents import Document

INTERCEPTS = (1, "1")


def place_contrasts(document: Document, notes: Notes) -> None:
    """Move contrasts to where they can be made, and turn lists of dummy contrasts into filters of edges.

    Parameters
    ----------
    document : dict
        A model in today's form, but for these.
    """
    nodes = [node for node in document["Nodes"] if _is_whole(node)]
    if len(nodes) < len(document["Nodes"]) or not nodes:
        return
    runs = [node for node in nodes if node.get("Level") == "Run"]
    for node in nodes:
        if node.get("Level") in ("Session", "Subject") and len(runs) == 1:
            _read_repeated_x(node, runs[0], nodes, notes)
        if node not in runs and node["Model"]["X"] in ([1], ["1"]):
            if len(runs) == 1:
                _move_contrasts(document, nodes, node, notes)
                _filter_dummies(document, nodes, node, notes)
            elif not runs:
                _name_incoming(node, notes)


def _read_repeated_x(node: Document, run: Document, nodes: list[Document], notes: Notes) -> None:
    """Read an X that repeats columns of the runs as [1] where they can not come in as contrasts.

    Templates repeat the model of the run at the node that has the contrasts.
    """
    x, columns = node["Model"]["X"], list(map(str, run["Model"]["X"]))
    names = [item for item in x if item not in INTERCEPTS]
    if len(names) <= 1 or any(str(name) not in columns for name in names):
        return
    if "contrast" not in node["GroupBy"] and all(_may_come_in(str(name), nodes, node) for name in names):
        return
    node["Model"]["X"] = [1]
    steps = " and its Transformations are left out" if node.pop("Transformations", None) else ""
    what = f"X of {node['Name']!r} repeats columns of {run['Name']!r}"
    notes.append(f"{what}: it is read as [1], over what comes in{steps}", node["Model"], "X")
    _write_out_dummies(node, columns, nodes, notes)


def _write_out_dummies(node: Document, columns: list[str], nodes: list[Document], notes: Notes) -> None:
    """Make contrasts of the dummy contrasts of a node that name columns of the runs which do not come in."""
    dummy = table_at(node, "DummyContrasts")
    wanted = list_at(dummy, "Contrasts")
    absent = [name for name in wanted if name in columns and not _may_come_in(name, nodes, node)]
    if not absent:
        return
    dummy["Contrasts"] = [name for name in wanted if name not in absent]
    rules = node["Contrasts"] = node.get("Contrasts") or []
    for name in absent:
        rule = {"Name": name, "ConditionList": [name], "Weights": [1], "Test": dummy.get("Test")}
        rules.append(notes.adopt(rule, dummy, "Contrasts"))


def _name_incoming(node: Document, notes: Notes) -> None:
    """Give a node without runs below it the estimates that its contrasts name as columns."""
    lists = [list_at(rule, "ConditionList") for rule in list_at(node, "Contrasts")]
    names = list(dict.fromkeys(str(item) for one in lists for item in one))
    names += [item for item in list_at(node, "DummyContrasts", "Contrasts") if item not in names]
    if names and not any(name in map(str, INTERCEPTS) for name in names):
        node["Model"]["X"] = names
        node["GroupBy"] = [name for name in node["GroupBy"] if name != "contrast"]
        notes.append(f"X of {node['Name']!r} is read as the incoming contrasts that its contrasts name", node)


def _is_whole(node: Document) -> bool:
    """Return whether a node has the lists and objects that are looked at; another one is refused later."""
    model = node.get("Model") if isinstance(node, dict) else None
    if not isinstance(model, dict) or not isinstance(node.get("Name"), str):
        return False
    rules, software = node.get("Contrasts") or [], model.get("Software") or {}
    return (
        all(isinstance(item, list) for item in (model.get("X"), node.get("GroupBy"), rules))
        and all(isinstance(rule, dict) for rule in rules)
        and isinstance(software, dict)
        and isinstance(software.get("TaskGLM", {}), dict)
    )


def _move_contrasts(document: Document, nodes: list[Document], node: Document, notes: Notes) -> None:
    """Make the contrasts of a node that name run columns in the runs."""
    run, moved = next(other for other in nodes if other["Level"] == "Run"), []
    rules = list(node.get("Contrasts") or ())
    tests = [rule for rule in rules if node["Level"] == "Dataset" and rule.get("Test") == "F"]
    for rule in rules:
        made = _over_columns(rule, run) if rule not in tests else None
        if made is not None:
            node["Contrasts"].remove(rule)
            _add_contrast(run, notes.adopt(made, rule))
            moved.append(made)
            what = f"contrast {made['Name']!r} of {node['Name']!r} names columns of {run['Name']!r}"
            notes.append(f"{what}: it is made in each run and combined", rule)
    cells = _move_tests(run, node, tests, find_tested(node, moved), notes)
    if moved or cells:
        names = list(dict.fromkeys(rule["Name"] for rule in [*moved, *cells]))
        _pass_on(node, moved, names, notes)
        for between in _nodes_between(document, nodes, node):
            _let_pass(document, nodes, between, names, notes)


def _move_tests(
    run: Document, node: Document, tests: list[Document], is_tested: Callable[[str], bool], notes: Notes
) -> list[Document]:
    """Turn F tests of a Dataset node into tests within subjects; return the run contrasts that they need."""
    cells = []
    for rule in tests:
        found = make_subject_test(rule, run, is_tested)
        if found is None:
            continue
        item, made = found
        node["Contrasts"].remove(rule)
        for cell in made:
            _add_contrast(run, notes.adopt(cell, rule))
        cells += made
        _own_software(node).setdefault("SubjectContrasts", []).append(notes.adopt(item, rule))
        what = f"F test {item['Name']!r} of {node['Name']!r} is about several estimates of each subject"
        parts = f"({', '.join(item['Cells'])}), made in each run and combined"
        how = "Hotelling's T2 over subjects tests them together"
        if len(item["Weights"]) == 1:
            what = f"F test {item['Name']!r} of {node['Name']!r} has one row"
            how = "the t over subjects, whose square is the F, tests it"
        notes.append(f"{what} {parts}: {how}", rule)
    return cells


def _pass_on(node: Document, moved: list[Document], names: list[str], notes: Notes) -> None:
    """Let a node pass on contrasts that are made in the runs now, each by itself."""
    if "contrast" not in node["GroupBy"]:
        node["GroupBy"].append("contrast")
        notes.append(f"{node['Name']!r} is grouped by contrast too, for its contrasts come from below", node)
    if any(rule["Test"] == "F" for rule in moved):
        _own_software(node).setdefault("JointF", True)
    dummy = node.get("DummyContrasts")
    if not isinstance(dummy, dict):
        node["DummyContrasts"] = notes.adopt({"Contrasts": names, "Test": "t"}, node)
    elif isinstance(dummy.get("Contrasts"), list):
        dummy["Contrasts"] = [*dummy["Contrasts"], *names]


def _own_software(node: Document) -> Document:
    """Return what the Software of a node says to TaskGLM, to be added to."""
    software = node["Model"]["Software"] = node["Model"].get("Software") or {}
    own: Document = software.setdefault("TaskGLM", {})
    return own


def _over_columns(rule: Document, run: Document) -> Document | None:
    """Return a contrast over the columns of a run, or None where it names something else."""
    conditions, weights = list_at(rule, "ConditionList"), rule.get("Weights")
    if not (conditions and isinstance(weights, list) and isinstance(rule.get("Name"), str)):
        return None
    if any(item in INTERCEPTS or not isinstance(item, str) for item in conditions):
        return None
    own = own_contrasts(run)
    if all(is_column(item, run) for item in conditions):
        return dict(rule)
    if len(conditions) == 1 and conditions[0] in own and weights in ([1], [[1]]):
        return {**own[conditions[0]], "Name": rule["Name"]}
    return None


def _add_contrast(run: Document, rule: Document) -> None:
    """Add a contrast to a run node, unless it makes the same already."""
    own = run.setdefault("Contrasts", [])
    if rule not in own:
        own.append(rule)


def _edges(document: Document, nodes: list[Document]) -> list[Document]:
    """Return the edges of a model; without any, each node feeds the next one of the list."""
    if not isinstance(document.get("Edges"), list):
        names = [node["Name"] for node in nodes]
        pairs = zip(names, names[1:], strict=False)
        document["Edges"] = [{"Source": source, "Destination": target} for source, target in pairs]
    return objects(document["Edges"])


def _nodes_between(document: Document, nodes: list[Document], node: Document) -> list[Document]:
    """Return the nodes through which estimates of the runs come to a node."""
    between, waiting = [], [node["Name"]]
    edges = _edges(document, nodes)
    while waiting:
        target = waiting.pop()
        sources = {edge.get("Source") for edge in edges if edge.get("Destination") == target}
        found = [other for other in nodes if other["Name"] in sources and other not in between]
        found = [other for other in found if other["Level"] != "Run"]
        between += found
        waiting += [other["Name"] for other in found]
    return between


def _let_pass(
    document: Document, nodes: list[Document], node: Document, names: list[str], notes: Notes
) -> None:
    """Let contrasts through a node on their way up."""
    dummy = node.get("DummyContrasts")
    if not isinstance(dummy, dict):
        node["DummyContrasts"] = notes.adopt({"Test": "t"}, node)
    elif isinstance(dummy.get("Contrasts"), list) and node["Model"]["X"] in ([1], ["1"]):
        dummy["Contrasts"] = [*dummy["Contrasts"], *names]
    for edge in _edges(document, nodes):
        wanted = list_at(edge, "Filter", "contrast")
        if edge.get("Destination") == node["Name"]:
            wanted += [name for name in names if name not in wanted]


def _filter_dummies(document: Document, nodes: list[Document], node: Document, notes: Notes) -> None:
    """Turn dummy contrasts that name incoming contrasts into a filter of the edges that lead here."""
    dummy = table_at(node, "DummyContrasts")
    wanted = list_at(dummy, "Contrasts")
    if not wanted or any(item in INTERCEPTS for item in wanted):
        return
    # What cannot come in stays, to be refused as a column that X does not have.
    if not all(_may_come_in(str(item), nodes, node) for item in wanted):
        return
    for edge in _edges(document, nodes):
        if edge.get("Destination") == node["Name"]:
            rules = edge.setdefault("Filter", {})
            before = rules.get("contrast")
            rules["contrast"] = [item for item in wanted if not isinstance(before, list) or item in before]
    names = ", ".join(map(str, wanted))
    words = f"DummyContrasts of {node['Name']!r} name incoming contrasts: only {names} pass to it"
    notes.append(words, dummy, "Contrasts")
    del dummy["Contrasts"]


def _may_come_in(name: str, nodes: list[Document], node: Document) -> bool:
    """Whether other nodes may make a contrast of a name, as far as can be told without the data."""
    names = []
    for other in (other for other in nodes if other is not node):
        dummy, x = other.get("DummyContrasts"), other["Model"]["X"]
        listed = dummy.get("Contrasts") if isinstance(dummy, dict) else []
        made = listed if isinstance(listed, list) else x
        if made is x and (other["Model"].get("Formula") or other.get("Transformations")):
            return True
        names += [*made, *(rule.get("Name") for rule in other.get("Contrasts") or ())]
    texts = [str(item) for item in names]
    return any(
        is_wildcard(text)
        or name.startswith(text)
        or text.endswith(f" {name}")
        or _plain(text) == _plain(name)
        for text in texts
    )


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
