"""Read a BIDS Stats Model: strictly, with the line and path of every fault, all faults together."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bidsapp.errors import EXIT_NO_INPUT, InputError, ModelError, ModelNote, did_you_mean
from bidsapp.inputs.fetched import check_fetched
from bidsapp.model.drafts import drop_private, is_unfilled
from bidsapp.model.faults import Faults, Spot
from bidsapp.model.graph import make_edges, sort_nodes
from bidsapp.model.invalid_contrasts import drop_contrasts
from bidsapp.model.json_text import (
    MAX_CHARACTERS,
    drop_extra_commas,
    format_json,
    parse_json,
)
from bidsapp.model.migrate import migrate
from bidsapp.model.nodes import make_node
from bidsapp.model.notes import Notes
from bidsapp.model.schema import KEYS, DocumentShape
from bidsapp.model.text import MAX_NAME, check_name, list_at
from bidsapp.names import make_label
from bidsapp.records.documents import Document
from bidsapp.records.model import SHORT_NAMES, Edge, Model, Node

# Each is compared with all others; of 315 published models none has more than five.
MAX_NODES = 100
RANDOM_EFFECTS = "random effects of a model are not computed."
RANDOM_KEYS = ("VarianceComponents", "ErrorDistribution")
# What models call the types that the specification does not have.
OTHER_TYPES = dict.fromkeys(("fixedeffects", "ffx", "fema", "metaanalysis"), "Did you mean 'meta'?") | (
    dict.fromkeys(("mlm", "lmm", "mixed", "mixedeffects", "randomeffects"), RANDOM_EFFECTS.capitalize())
)
VERSIONS = re.compile(r"[01](\.\d{1,3}){0,2}([a-z0-9.-]{0,10})?")


def read_model(path: Path | str, **options: Any) -> Model:
    """Return the model of a file; ``options`` are those of `parse_model`.

    Raises
    ------
    InputError
        The file can not be read.
    ModelError
        Every fault of the model, with line and path.
    """
    path = Path(path)
    check_fetched(path)
    try:
        if path.stat().st_size > 4 * MAX_CHARACTERS:
            raise ModelError(f"{path.name} is larger than any model; is it the right file?")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"The model {path} can not be read: {error.strerror or error}.", exit_code=EXIT_NO_INPUT
        ) from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path.name} is not UTF-8 text at byte {error.start}. Save it as UTF-8.") from error
    if "\0" in text:
        raise ModelError(f"{path.name} has bytes of value 0: it is UTF-16, or no text. Save it as UTF-8.")
    return parse_model(text, path.name, **options)


def parse_model(
    text: str,
    name: str = "model",
    *,
    markup_is_text: bool = False,
    invalid_contrasts: str = "error",
) -> Model:
    """Return the model of a JSON text; ``name`` stands for the file in messages.

    Parameters
    ----------
    markup_is_text : bool
        Accept names such as ``<b>``: for models that are made from the labels of a dataset. Nobody writes
        them into a model file, where they are refused.
    invalid_contrasts : {"error", "drop"}
        What becomes of contrasts that have faults.

    Raises
    ------
    ModelError
    """
    faults = Faults(name, text, markup_is_text=markup_is_text)
    text, lines = drop_extra_commas(text)
    document = parse_json(text, name)
    _check_outline(document, faults)
    extra = [ModelNote("a comma too many is left out", lines, name)] if lines else []
    notes = Notes(document)
    faults.origin = notes.origin
    migrate(document, notes, Path(name).name.partition(".")[0].removesuffix("_smdl"))
    while True:
        try:
            shape, nodes, edges, entities = _read_parts(document, faults, notes)
            break
        except ModelError:
            if invalid_contrasts != "drop" or not drop_contrasts(document, faults, notes):
                raise
    return Model(
        name=shape.Name,
        nodes=tuple(replace(node, invalid_contrasts=invalid_contrasts) for node in nodes),
        edges=edges,
        input=entities,
        description=shape.Description or "",
        text=format_json(document) + "\n",
        notes=(*extra, *notes.finish(text, name)),
    )


def _read_parts(
    document: Document, faults: Faults, notes: Notes
) -> tuple[DocumentShape, tuple[Node, ...], tuple[Edge, ...], dict[str, tuple[str, ...]]]:
    """Return the shape of a model in today's form, its nodes in order, its edges and its input."""
    document = drop_private(document)
    _check_filled(document, faults)
    shape, spot = _check_shape(document, faults), Spot(faults, notes)
    if not VERSIONS.fullmatch(shape.BIDSModelVersion):
        version = shape.BIDSModelVersion[:40]
        spot.at("BIDSModelVersion").fault(f"{version!r} is not a version; write '1.0.0'.")
    check_name(shape.Name, spot.at("Name"))
    nodes = [make_node(node, spot.at("Nodes", index)) for index, node in enumerate(shape.Nodes)]
    _check_unique(nodes, faults)
    edges = make_edges(shape.Edges, nodes, spot.at("Edges"))
    entities = _make_input(shape.Input, spot.at("Input"))
    faults.raise_any()
    ordered = sort_nodes(nodes, edges, spot.at("Edges"))
    faults.raise_any()
    return shape, ordered, edges, entities


def _check_outline(document: Any, faults: Faults) -> None:
    """Refuse at once what is no model, or too large to be looked at closely."""
    if not isinstance(document, dict):
        kind = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
        this = kind.get(type(document), "a number")
        raise ModelError(f"{faults.name}: a model is a JSON object, {{...}}; this is {this}.")
    nodes = next((document[key] for key in document if key.lower() in ("nodes", "steps", "blocks")), None)
    if isinstance(nodes, list) and len(nodes) > MAX_NODES:
        faults.add(["Nodes"], f"has {len(nodes):,} nodes; at most {MAX_NODES} are accepted.")
    if nodes is None:
        faults.add([], "has no Nodes; is this a BIDS Stats Model?")
    if nodes == []:
        faults.add(["Nodes"], "is empty; a model has at least one node.")
    faults.raise_any()


def _check_filled(document: Document, faults: Faults) -> None:
    """Refuse a template in one line, before its empty names are refused one by one."""
    for index, node in enumerate(list_at(document, "Nodes")):
        if isinstance(node, dict) and is_unfilled(node):
            faults.add(["Nodes", index, "Model"], "is a template that is not filled in: it has empty names.")
    faults.raise_any()


def _check_shape(document: Document, faults: Faults) -> DocumentShape:
    try:
        return DocumentShape.model_validate(document)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            faults.add(fault["loc"], _explain(fault))
        faults.raise_any()
        raise


def _explain(fault: ErrorDetails) -> str:
    """Return a fault found by pydantic in plain words."""
    path, kind = fault["loc"], fault["type"]
    if kind == "extra_forbidden" and path[-1] in RANDOM_KEYS:
        return f"{RANDOM_EFFECTS} Leave it out; Factor of subject in X accounts for rows of one subject."
    if kind == "extra_forbidden":
        under = next((part for part in reversed(path[:-1]) if isinstance(part, str)), "")
        known = KEYS.get(under, ())
        hint = did_you_mean(path[-1], known, f"known keys are {', '.join(known)}.", "did you mean")
        return f"unknown key; {hint}"
    if kind == "missing":
        return "is missing."
    if kind == "literal_error":
        return _explain_choice(fault["input"], fault["ctx"]["expected"], is_type=path[-1] == "Type")
    wanted = {
        "string_type": "a text",
        "list_type": "a list",
        "dict_type": "an object",
        "model_type": "an object",
        "float_type": "a number",
    }
    return f"is {_short(fault['input'])}, but must be {wanted.get(kind, kind)}."


def _explain_choice(value: Any, allowed: str, *, is_type: bool) -> str:
    """Return that a value is none of those allowed, with the one that was meant."""
    plain = re.sub(r"[\W_]", "", str(value)[:MAX_NAME].lower())
    if is_type and plain in OTHER_TYPES:
        hint = OTHER_TYPES[plain]
    else:
        hint = did_you_mean(value, re.findall(r"'(\w+)'", allowed))
    return f"is {_short(value)}, but must be {allowed}. {hint}".rstrip()


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _check_unique(nodes: Sequence[Node], faults: Faults) -> None:
    names = {}
    for index, node in enumerate(nodes):
        label = make_label(node.name)
        if label not in names:
            names[label] = node.name
            continue
        same = names[label] == node.name
        why = (
            "is the name of an earlier node"
            if same
            else f"and {names[label]!r} give the same file name label {label!r}"
        )
        faults.add(["Nodes", index, "Name"], f"{node.name!r} {why}. Rename one.")


def _make_input(entities: Document | None, spot: Spot) -> dict[str, tuple[str, ...]]:
    """Return entity (long name) -> labels, without the prefixes of file names."""
    table = {}
    for key, values in (entities or {}).items():
        values = values if isinstance(values, list) else [values]
        if key not in (*SHORT_NAMES, "contrast"):
            there = f"there are {', '.join(SHORT_NAMES)}."
            hint = did_you_mean(key.lower(), SHORT_NAMES, there, "did you mean")
            spot.at(key).fault(f"is no entity; {hint}")
        elif not all(map(_is_label, values)):
            spot.at(key).fault("must be a list of labels.")
        else:
            values = [int(value) if isinstance(value, float) else value for value in values]
            table[key] = tuple(str(value).removeprefix(f"{SHORT_NAMES.get(key)}-") for value in values)
    return table


def _is_label(value: Any) -> bool:
    """Whether a value is a text or a whole number, which labels may be written as."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, str) or (whole and not isinstance(value, bool))
