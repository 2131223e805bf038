"""What templates, MATLAB's writer and older drafts of the specification leave in a model, in today's form.

Each has one meaning. What could mean two things, or is there beside its form of today, is left for the
reader to refuse.
"""

import re
from typing import Any, TypeAlias, TypeGuard, get_args, get_origin

from pydantic import BaseModel

from bidsapp.model.notes import Notes
from bidsapp.model.schema import DocumentShape
from bidsapp.model.text import is_plain_number, list_at, objects, table_at
from bidsapp.records.documents import Document
from bidsapp.records.model import LONG_NAMES, SHORT_NAMES

# Where a value is, its table and its key there.
Found: TypeAlias = tuple[str, Document, str]
OLDER_KEYS = {"src": "Source", "dst": "Destination", "groupby": "GroupBy"}
SECONDS = ("high_pass_filter_cutoff_secs", "HighPassFilterCutoffSecs")
RUN_KEYS = ("HRF", "Options")
# A bare "intercept" is a column of that name as well, which is read where names are.
OLD_INTERCEPT = re.compile(r"@(?i:intercept)|Intercept|INTERCEPT")
RESPONSE_KEYS = ("HRF_variables", "HRFVariables")
ENTITY_NAMES = {name: name for name in (*SHORT_NAMES, "contrast")} | LONG_NAMES


def drop_private(value: Any) -> Any:
    """Return a value without the keys that begin with ``_`` or ``$``: comments, and what editors read."""
    if isinstance(value, dict):
        return {key: drop_private(item) for key, item in value.items() if not str(key).startswith(("_", "$"))}
    return [drop_private(item) for item in value] if isinstance(value, list) else value


def read_input(document: Document, notes: Notes) -> None:
    """Give the entities of Input their long names in small letters; other keys stay, to be refused."""
    _spell_entities(table_at(document, "Input"), notes)


def _spell_entities(table: Document, notes: Notes) -> None:
    for key in list(table):
        name = ENTITY_NAMES.get(key.lower(), key)
        if name not in table:
            notes.rename(table, key, name)


def read_entities(document: Document, notes: Notes) -> None:
    """Give the entities of GroupBy, and of Filters of edges, their long names in small letters."""
    for node in objects(document.get("Nodes")):
        groups = list_at(node, "GroupBy")
        for index, group in enumerate(groups):
            name = ENTITY_NAMES.get(group.lower(), group) if isinstance(group, str) else group
            if name != group:
                groups[index] = name
                notes.append(f"GroupBy {group!r} is read as {name!r}", node, "GroupBy")
    for edge in objects(document.get("Edges")):
        _spell_entities(table_at(edge, "Filter"), notes)


def read_lists(document: Document, notes: Notes) -> None:
    """Put single values into lists where lists belong; MATLAB writes a list of one without its brackets."""
    found: list[Found] = []
    _list_fields(document, DocumentShape, "", found)
    entities = table_at(document, "Input")
    for key, value in entities.items():
        if isinstance(value, str) or is_plain_number(value):
            entities[key] = [value]
            found.append((f"Input.{key}", entities, key))
    shown = ", ".join(here for here, *_ in found)
    for _, table, key in found:
        notes.append(f"one value stands where a list belongs, read as a list of one: {shown}", table, key)


def _list_fields(table: Document, shape: type[BaseModel], path: str, found: list[Found]) -> None:
    for name, field in shape.model_fields.items():
        value, kind = table.get(name), _kind_of(field.annotation)
        here = f"{path}.{name}".lstrip(".")
        if value is None or kind is None:
            continue
        if get_origin(kind) is list and not isinstance(value, list):
            table[name] = value = [value]
            found.append((here, table, name))
        _list_inner(value, kind, here, found)


def _list_inner(value: Any, kind: Any, here: str, found: list[Found]) -> None:
    inner = get_args(kind)[-1] if get_args(kind) else kind
    if isinstance(value, list) and _is_shape(inner):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                _list_fields(item, inner, f"{here}[{index}]", found)
    elif isinstance(value, dict) and _is_shape(kind):
        _list_fields(value, kind, here, found)
    elif isinstance(value, dict) and get_origin(inner) is list:
        for key, item in value.items():
            if not isinstance(item, list):
                value[key] = [item]
                found.append((f"{here}.{key}", value, key))


def _kind_of(annotation: Any) -> Any:
    """Return the kind of a field beside None."""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    if get_origin(annotation) in (list, dict):
        return annotation
    return kinds[0] if len(kinds) == 1 else annotation if _is_shape(annotation) else None


def _is_shape(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def read_intercepts(nodes: list[Document], notes: Notes) -> None:
    """Write 1 for the intercepts of older models of pybids, ``Intercept`` and ``@intercept``."""
    for node in nodes:
        rules = objects(node.get("Contrasts"))
        for table, key in [(table_at(node, "Model"), "X"), *((rule, "ConditionList") for rule in rules)]:
            words = list_at(table, key)
            for index, word in enumerate(words):
                if isinstance(word, str) and OLD_INTERCEPT.fullmatch(word):
                    words[index] = 1
                    notes.append(f"{word!r} is read as the intercept, 1", table, key)


def drop_templates(node: Document, notes: Notes) -> None:
    """Leave out the parts of a template that nobody filled in."""
    model, options = table_at(node, "Model"), table_at(node, "Model", "Options")
    places = [(node, "Transformations"), (model, "Software"), (model, "Mask"), (model, "HRF")]
    places += [(options, key) for key in ("Mask", *SECONDS)]
    if node.get("Level") != "Run":
        places.append((model, "X"))
    dropped = []
    for table, key in places:
        if key in table and _is_blank(table[key]):
            del table[key]
            dropped.append(key)
    dropped += _drop_blank_steps(node) + _drop_blank_contrasts(node)
    if dropped:
        where = node.get("Name") or node.get("Level")
        notes.append(f"{where}: {', '.join(dropped)} not filled in: as if absent", node)


def _drop_blank_steps(node: Document) -> list[str]:
    steps = list_at(node, "Transformations") or list_at(node, "Transformations", "Instructions")
    dropped = []
    for step in objects(steps):
        names = [step[key] for key in ("Input", "Inputs") if key in step]
        if names and names[0] != [] and _is_blank(names):
            steps.remove(step)
            dropped.append(f"the input of {step.get('Name', 'a transformation')}")
    return dropped


def _drop_blank_contrasts(node: Document) -> list[str]:
    contrasts, dummy, dropped = list_at(node, "Contrasts"), node.get("DummyContrasts"), []
    for item in objects(contrasts):
        if item and _is_blank(item, ignoring="Test"):
            contrasts.remove(item)
            dropped.append("a contrast")
    listed = dummy.get("Contrasts") if isinstance(dummy, dict) else dummy
    if listed not in (None, []) and _is_blank(listed):
        del node["DummyContrasts"]
        dropped.append("DummyContrasts")
    return dropped


def _is_blank(value: Any, ignoring: str | None = None) -> bool:
    """Return whether nothing is written in a value but empty texts."""
    if isinstance(value, dict):
        return all(_is_blank(item) for key, item in value.items() if key != ignoring)
    if isinstance(value, list):
        return all(map(_is_blank, value))
    return value is None or (isinstance(value, str) and not value.strip())


def place_run_keys(nodes: list[Document], notes: Notes) -> None:
    """Leave out the HRF and the Options of higher nodes that only repeat those of the runs.

    Templates have them in every node, where nothing reads them. A response to columns of the one Run node,
    which has none itself, moves there, as models for SPM mean it. Others are there to be refused; without
    any Run node they had nobody to speak to.
    """
    models = [(node, node["Model"]) for node in nodes if isinstance(node.get("Model"), dict)]
    of_runs = [model for node, model in models if node.get("Level") == "Run"]
    for node, model in models:
        found = [key for key in RUN_KEYS if model.get(key)] if node.get("Level") != "Run" else []
        moves = len(of_runs) == 1 and _responds_to(model, of_runs[0])
        for key in found:
            name = node.get("Name", node.get("Level"))
            if moves:
                of_runs[0][key] = model[key]
                notes.append(f"{name}: {key} is read as that of the Run node, which has none", model, key)
                del model[key]
            elif _is_repeated(model[key], key, of_runs):
                notes.append(f"{name}: {key} repeats a Run node's, and is not used here", model, key)
                del model[key]


def _responds_to(model: Document, run: Document) -> bool:
    """Whether a higher node has the response of a Run node's columns, which has none of its own."""
    names, x = list_at(model, "HRF", "Variables"), list_at(run, "X")
    return bool(names) and all(name in x for name in names) and not any(run.get(key) for key in RUN_KEYS)


def _is_repeated(value: Any, key: str, of_runs: list[Document]) -> bool:
    if not of_runs or any(model.get(key) == value for model in of_runs):
        return True
    if key != "Options" or not isinstance(value, dict):
        return False
    known = [model[key] for model in of_runs if isinstance(model.get(key), dict)]
    return any(all(options.get(name) == item for name, item in value.items()) for options in known)


def is_unfilled(node: Document) -> bool:
    """Return whether a node is a template: its X, or what it convolves, has names that are empty texts."""
    names = [*list_at(node, "Model", "X"), *list_at(node, "Model", "HRF", "Variables")]
    return any(item in ("", " ") for item in names)


def read_version(document: Document, notes: Notes) -> None:
    """Read a version that is a number or begins with v."""
    version = document.get("BIDSModelVersion")
    plain = version.removeprefix("v") if isinstance(version, str) else version
    if is_plain_number(plain):
        plain = str(plain)
    if plain != version:
        notes.respell(document, "BIDSModelVersion", plain)


def read_older_keys(node: Document, notes: Notes) -> None:
    """Read what drafts and the predecessors of today's programs called otherwise in a node's Model."""
    model = node.get("Model")
    if not isinstance(model, dict):
        return
    for key in RESPONSE_KEYS:
        if key in model and "HRF" not in model:
            names = model.pop(key)
            model["HRF"] = {"Variables": names, "Model": "spm"}
            notes.append(f"{key!r} is read as HRF, with the model 'spm'", model, key)
    if "Mask" in model and "Mask" not in (model.get("Options") or {}):
        model.setdefault("Options", {})["Mask"] = model.pop("Mask")
        notes.append("Model.Mask is read as Model.Options.Mask", model, "Mask")
    options = table_at(model, "Options")
    for key in SECONDS:
        seconds = options.get(key)
        if is_plain_number(seconds) and seconds > 0 and "HighPassFilterCutoffHz" not in options:
            del options[key]
            options["HighPassFilterCutoffHz"] = 1.0 / seconds
            words = f"{key} {seconds:g} is read as HighPassFilterCutoffHz {1.0 / seconds:.6g}"
            notes.append(words, options, key)


def read_edges(document: Document, notes: Notes) -> None:
    """Read older names of an edge's ends, and a grouping at an edge as that of the node it leads to."""
    if document.get("Edges") == []:
        notes.append("Edges is empty: as if absent", document, "Edges")
        del document["Edges"]
    by_name = {str(node.get("Name")): node for node in objects(document.get("Nodes"))}
    for edge in objects(document.get("Edges")):
        for old in list(edge):
            new = OLDER_KEYS.get(str(old).lower())
            if new and new not in edge:
                notes.rename(edge, old, new)
        if "GroupBy" in edge:
            _pass_grouping(edge, by_name.get(str(edge.get("Destination")), {}), notes)


def _pass_grouping(edge: Document, target: Document, notes: Notes) -> None:
    """Give the grouping of an edge to the node it leads to; another one there leaves both, to be refused."""
    if target and target.get("GroupBy", edge["GroupBy"]) == edge["GroupBy"]:
        target["GroupBy"] = edge.pop("GroupBy")
        words = f"GroupBy of an edge is read as that of the node {edge['Destination']!r}"
        notes.append(words, edge, "GroupBy")
