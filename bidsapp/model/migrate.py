"""Bring an older model into today's form, saying what was changed.

Legacy models (``Steps``, lower-case levels, a plain list of transformations, FEMA, no version) and the
slips that published models share (a task as plain text, keys in another case, ``skip``) have one meaning
only; whatever could mean two things is left for the reader to refuse. Values of a wrong type pass
through untouched.
"""

import re
from collections.abc import Mapping
from typing import Any

from bidsapp.model.drafts import (
    drop_templates,
    place_run_keys,
    read_edges,
    read_entities,
    read_input,
    read_intercepts,
    read_lists,
    read_older_keys,
    read_version,
)
from bidsapp.model.higher_contrasts import place_contrasts
from bidsapp.model.notes import Notes
from bidsapp.model.remarks import state_meanings
from bidsapp.model.schema import KEYS
from bidsapp.model.software import read_software
from bidsapp.model.text import find_only, list_at, objects, read_boolean, table_at
from bidsapp.records.documents import Document
from bidsapp.records.model import LEVELS, MATLAB_SET, PYBIDS_SET, TRANSFORMER_SETS, TRANSFORMERS

# What models call the transformers of bids-matlab, with or without a version.
MATLAB_NAMES = re.compile(r"(bidspm|cpp[_-]?spm|bids[_-]?matlab)([ _-]?v?\d[\w.-]*)?", re.IGNORECASE)
# What bids-matlab's own documents call by two names.
OTHER_NAMES = {"std": "StdDev"}
MAX_SET_NAME = 60
TYPES = ("glm", "meta")
RENAMED = {
    "ConditionList": ("Condition_list", "condition_list", "Conditions"),
    "Contrasts": ("Conditions", "ConditionList"),
    "Test": ("Type", "ContrastType"),
    "Nodes": ("Steps", "Blocks"),
    "Input": ("Inputs",),
    "X": ("Variables",),
    "Type": ("ModelType",),
}
GROUPING = {
    "Run": ["run", "subject"],
    "Session": ["subject", "session", "contrast"],
    "Subject": ["subject", "contrast"],
    "Dataset": ["contrast"],
}


def migrate(document: Document, notes: Notes, name: str = "model") -> None:
    """Bring a model (a parsed JSON object) into today's form in place, noting what is changed.

    A model without a name gets ``name``.
    """
    legacy = "Nodes" not in document and any(key.lower() in ("steps", "blocks") for key in document)
    _rename_keys(document, "", notes)
    if "BIDSModelVersion" not in document:
        document["BIDSModelVersion"] = "1.0.0"
        notes.append("BIDSModelVersion is missing: read as 1.0.0")
    if "Name" not in document:
        document["Name"] = name
        notes.append(f"the model has no Name: named after its file, {name!r}")
    read_version(document, notes)
    read_input(document, notes)
    if isinstance(document.get("Nodes"), dict):
        notes.append("Nodes is one object: read as a list of one", document, "Nodes")
        document["Nodes"] = notes.adopt([document["Nodes"]], document, "Nodes")
    for edge in objects(document.get("Edges")):
        _rename_keys(edge, "Edges", notes)
    read_edges(document, notes)
    nodes = objects(document.get("Nodes"))
    for node in nodes:
        _migrate_node(node, notes)
    place_run_keys(nodes, notes)
    read_lists(document, notes)
    read_entities(document, notes)
    read_intercepts(nodes, notes)
    if legacy:
        _migrate_steps(document, nodes, notes)
    _name_nodes(nodes, notes)
    if isinstance(document.get("Nodes"), list):
        place_contrasts(document, notes)
    state_meanings(nodes, notes)


def _migrate_node(node: Document, notes: Notes) -> None:
    _rename_keys(node, "Nodes", notes)
    level = str(node.get("Level", "")).capitalize()
    level = "Subject" if level == "Participant" else "Dataset" if level == "Group" else level
    if level in LEVELS and level != node["Level"]:
        notes.respell(node, "Level", level)
    if "GroupBy" not in node and level in GROUPING:
        node["GroupBy"] = list(GROUPING[level])
        notes.append(f"a {level} node has no GroupBy: read as {node['GroupBy']}", node)
    drop_templates(node, notes)
    _migrate_transformations(node, notes)
    if level != "Run":
        _complete_higher_model(node, level, notes)
    if isinstance(node.get("Model"), dict):
        _migrate_model(node, level, notes)
    _migrate_contrasts(node, notes)


def _complete_higher_model(node: Document, level: str, notes: Notes) -> None:
    """Give a node above the runs the model that it has where it names none: the mean."""
    if "Model" not in node:
        node["Model"] = notes.adopt({"X": [1]}, node)
        notes.append(f"a {level} node has no Model: read as X [1]", node)
    model = node["Model"]
    if isinstance(model, dict) and not any(key.lower() in ("x", "variables", "formula") for key in model):
        model["X"] = [1]
        notes.append(f"a {level} node has no X: read as [1]", model)


def _migrate_model(node: Document, level: str, notes: Notes) -> None:
    model = node["Model"]
    _rename_keys(model, "Model", notes)
    read_older_keys(node, notes)
    for key in ("HRF", "Options"):
        _rename_keys(model.get(key), key, notes)
    _migrate_type(node, level, notes)
    read_software(node, notes)


def _migrate_type(node: Document, level: str, notes: Notes) -> None:
    """Complete and spell the type of a model; a test FEMA asks for meta, and a Run node is always glm."""
    model, written = node["Model"], node["Model"].get("Type")
    fixed = level != "Run" and _tests_are_fixed_effects(node)
    if "Type" not in model:
        model["Type"] = "meta" if fixed else "glm"
        notes.append(f"Model.Type is missing in a {level} node: read as {model['Type']!r}", model)
        return
    known = {name: name for name in TYPES}.get(str(written).lower(), written)
    if known != written:
        notes.respell(model, "Type", known)
    if known == "meta" and level == "Run":
        known = "glm"
        notes.append("Type 'meta' of a Run node is read as 'glm': a series has no variances", model, "Type")
    elif known == "glm" and fixed:
        known = "meta"
        notes.append("Type 'glm' beside the test FEMA is read as 'meta': FEMA wins", model, "Type")
    model["Type"] = known


def _migrate_contrasts(node: Document, notes: Notes) -> None:
    contrasts = node.get("Contrasts")
    if isinstance(contrasts, list):
        if {} in contrasts:
            contrasts[:] = [contrast for contrast in contrasts if contrast != {}]
            notes.append("an empty contrast {} was left out", contrasts)
        for contrast in objects(contrasts):
            _rename_keys(contrast, "Contrasts", notes)
            _migrate_test(contrast, notes)
            if isinstance(contrast.get("Name"), int):
                contrast["Name"] = str(contrast["Name"])
        contrasts[:] = _without_repeats(contrasts, notes)
    _migrate_dummy(node, notes)


def _without_repeats(contrasts: list[Any], notes: Notes) -> list[Any]:
    """Return contrasts without those that stand there word for word again under their name."""
    first: dict[str, Any] = {}
    kept = []
    for contrast in contrasts:
        name = str(contrast.get("Name")) if isinstance(contrast, dict) else None
        if name is not None and first.setdefault(name, contrast) == contrast and first[name] is not contrast:
            notes.append(f"contrast {name!r:.60} stands there twice: it is taken once", contrast)
        else:
            kept.append(contrast)
    return kept


def _migrate_dummy(node: Document, notes: Notes) -> None:
    for key in [key for key in node if _plain(key) == "autocontrasts" and "AutoContrasts" not in node]:
        notes.rename(node, key, "AutoContrasts")
    if "AutoContrasts" in node and "DummyContrasts" not in node:
        _migrate_automatic(node, notes)
    dummy = node.get("DummyContrasts")
    if isinstance(dummy, list):
        dummy = node["DummyContrasts"] = {"Contrasts": dummy, "Test": "t"}
        notes.append(
            "DummyContrasts are a plain list: read as Contrasts with the test t", node, "DummyContrasts"
        )
    if isinstance(dummy, dict):
        _rename_keys(dummy, "DummyContrasts", notes)
        _migrate_test(dummy, notes)


def _migrate_automatic(node: Document, notes: Notes) -> None:
    """Read AutoContrasts: a list of columns, true for every column of X, false for none."""
    automatic = node["AutoContrasts"]
    if not isinstance(automatic, (list, str, bool)):
        return
    as_boolean = None if isinstance(automatic, list) else read_boolean(automatic)
    automatic = automatic if as_boolean is None else as_boolean
    if automatic is False:
        notes.append("AutoContrasts false: no dummy contrasts", node, "AutoContrasts")
    else:
        listed = {} if automatic is True else {"Contrasts": automatic}
        node["DummyContrasts"] = notes.adopt(listed | {"Test": "t"}, node, "AutoContrasts")
        of = " of every column of X" if automatic is True else ""
        notes.append(f"AutoContrasts are read as DummyContrasts{of} with the test t", node, "AutoContrasts")
    del node["AutoContrasts"]


def _migrate_test(contrast: Document, notes: Notes) -> None:
    test = contrast.get("Test")
    if test is None:
        rows = list_at(contrast, "Weights")
        contrast["Test"] = "F" if rows and isinstance(rows[0], list) else "t"
        notes.append(f"a contrast has no Test: read as {contrast['Test']!r}", contrast)
    elif test in ("skip", "FEMA", "T", "f", "Skip", "Pass"):
        spelled = {"skip": "pass", "Skip": "pass", "Pass": "pass", "f": "F"}
        notes.respell(contrast, "Test", spelled.get(test, "t"))


def _tests_are_fixed_effects(node: Document) -> bool:
    """Return whether every contrast of a node has the test FEMA."""
    rules = [*objects(node.get("Contrasts")), node.get("DummyContrasts")]
    tests = [rule.values() for rule in rules if isinstance(rule, dict) and rule]
    return bool(tests) and all("FEMA" in values for values in tests)


def _migrate_transformations(node: Document, notes: Notes) -> None:
    steps = node.get("Transformations")
    if steps is None:
        return
    if steps in ({}, []):
        del node["Transformations"]
        return
    if isinstance(steps, list):
        steps = node["Transformations"] = {"Transformer": PYBIDS_SET, "Instructions": steps}
        notes.append(f"Transformations are a plain list: read as {PYBIDS_SET}", node, "Transformations")
    if isinstance(steps, dict):
        _rename_keys(steps, "Transformations", notes)
        name = steps.get("Transformer")
        if isinstance(name, str) and MATLAB_NAMES.fullmatch(name[:MAX_SET_NAME]) and name != MATLAB_SET:
            steps["Transformer"] = MATLAB_SET
            notes.append(f"Transformer {name!r} is read as the set of {MATLAB_SET}", steps, "Transformer")
        elif isinstance(name, str) and name != name.lower() in TRANSFORMER_SETS:
            notes.respell(steps, "Transformer", name.lower())
        known = TRANSFORMER_SETS.get(str(steps.get("Transformer")), TRANSFORMERS)
        listed = steps.get("Instructions")
        for instruction in objects([listed] if isinstance(listed, dict) else listed):
            _migrate_instruction(instruction, known, notes)


def _migrate_instruction(instruction: Document, known: Mapping[str, tuple[str, ...]], notes: Notes) -> None:
    """Spell the transformer and its arguments as their set does; pybids ignores case."""
    names = OTHER_NAMES | {name.lower(): name for name in known}
    if "name" in instruction and "Name" not in instruction:
        notes.rename(instruction, "name", "Name")
    name = instruction.get("Name")
    if not isinstance(name, str):
        return
    plain = name.lower().replace("_", "")
    better = names.get(plain.removesuffix("hrf"), names.get(plain, name))
    if better != name:
        notes.append(f"the transformer {name!r} is read as {better!r}", instruction, "Name")
        instruction["Name"] = name = better
    arguments = {argument.lower(): argument for argument in known.get(name, ())}
    arguments |= {"inputs": "Input", "outputs": "Output"}
    for key in list(instruction):
        argument = arguments.get(key.lower().replace("_", ""))
        if argument and argument != key and key != "Name":
            notes.rename(instruction, key, argument)
    if name == "Convolve" and "FIRDelays" in instruction and instruction.get("Model") != "fir":
        notes.append("FIRDelays are of the model 'fir' alone: not used", instruction, "FIRDelays")
        del instruction["FIRDelays"]


def _migrate_steps(document: Document, nodes: list[Document], notes: Notes) -> None:
    """Chain legacy steps: what a step names in its dummy contrasts is what it takes from the step before."""
    notes.append("the legacy Steps are read as Nodes, one after the other", document, "Nodes")
    edges = []
    _split_by_session(nodes, notes)
    nodes[:] = [node for node in nodes if node not in ({},)]
    nodes.sort(key=lambda node: LEVELS.index(node["Level"]) if node.get("Level") in LEVELS else 0)
    document["Nodes"] = nodes
    _name_nodes(nodes, notes)
    for source, node in zip(nodes, nodes[1:], strict=False):
        wanted = table_at(node, "DummyContrasts").pop("Contrasts", None)
        edge = {"Source": source.get("Name"), "Destination": node.get("Name")}
        if isinstance(wanted, list):
            edge["Filter"] = {"contrast": wanted}
        edges.append(edge)
    if "Edges" not in document and edges:
        document["Edges"] = edges


def _split_by_session(nodes: list[Document], notes: Notes) -> None:
    """Turn a step that only splits one contrast by one column into a factor of the step that follows it."""
    for step, following in zip(nodes, nodes[1:], strict=False):
        splits = objects(list_at(step, "Transformations", "Instructions"))
        if step.get("Level") != "Session" or len(splits) != 1 or "DummyContrasts" in step:
            continue
        contrast, by = (find_only(splits[0].get(key)) for key in ("Input", "By"))
        if splits[0].get("Name") != "Split" or not (isinstance(contrast, str) and isinstance(by, str)):
            continue
        following["Transformations"] = {
            "Transformer": PYBIDS_SET,
            "Instructions": [{"Name": "Factor", "Input": [by]}],
        }
        _replace_prefix(following.get("Model"), f"{contrast}.", f"{by}.")
        for rule in objects(following.get("Contrasts")):
            _replace_prefix(rule, f"{contrast}.", f"{by}.")
        notes.append(f"the step that splits {contrast!r} by {by!r} is read as a Factor of {by!r}", step)
        step.clear()


def _replace_prefix(table: Any, old: str, new: str) -> None:
    """Rename the columns of a model's X or a contrast's ConditionList that begin with a prefix."""
    for key in ("X", "ConditionList"):
        names = list_at(table, key)
        for index, name in enumerate(names):
            if isinstance(name, str) and name.startswith(old):
                names[index] = new + name.removeprefix(old)


def _name_nodes(nodes: list[Document], notes: Notes) -> None:
    taken = {node["Name"] for node in nodes if isinstance(node.get("Name"), str)}
    for node in nodes:
        if "Name" not in node and node.get("Level") in LEVELS:
            base = name = node["Level"].lower()
            number = 1
            while name in taken:
                number += 1
                name = f"{base}{number}"
            taken.add(name)
            node["Name"] = name
            notes.append(f"a {node['Level']} node has no Name: named {name!r}", node)


def _rename_keys(table: Any, kind: str, notes: Notes) -> None:
    """Give keys that differ by case, underscores or an old name their name of today."""
    if not isinstance(table, dict):
        return
    for key in KEYS[kind]:
        if key in table:
            continue
        names = [_plain(name) for name in (key, *RENAMED.get(key, ()))]
        candidates = [name for name in table if _plain(name) in names and name not in KEYS[kind]]
        old = min(candidates, key=lambda name: names.index(_plain(name)), default=None)
        if old is not None:
            notes.rename(table, old, key)


def _plain(key: str) -> str:
    return str(key).lower().replace("_", "")
