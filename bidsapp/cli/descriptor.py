"""The Boutiques descriptor of the command line, made from its parser."""

from argparse import Action, ArgumentParser
from dataclasses import fields

from bidsapp import errors
from bidsapp.cli.parser import LEVELS
from bidsapp.records.documents import Document
from bidsapp.settings.declare import Details, choices_of, kind_of
from bidsapp.settings.parts import PARTS
from bidsapp.version import __version__

SCHEMA_VERSION = "0.5"
BIDS_APPLICATION_VERSION = "0.1.0"
FLAG_CLASSES = ("_StoreTrueAction", "_StoreConstAction", "_CountAction")
KIND_TYPES = {"int": "Number", "float": "Number", "path": "File"}
# Boutiques checks that a File is there; these may be made by the app.
MADE_BY_THE_APP = ("output_dir", "work_dir", "bids_database_dir")
EXIT_CODES = {
    errors.EXIT_FAILURE: "A participant, group model or report failed; the others are finished.",
    errors.EXIT_NOT_BIDS: "The input is not a BIDS dataset.",
    errors.EXIT_UNKNOWN_LEVEL: "Unknown analysis level.",
    errors.EXIT_NOTHING_SELECTED: "The selection leaves nothing to analyse.",
    errors.EXIT_USAGE: "Wrong usage.",
    errors.EXIT_DATA: "Faulty data or model.",
    errors.EXIT_NO_INPUT: "An input is missing.",
    errors.EXIT_CANNOT_CREATE: "The output cannot be created.",
    errors.EXIT_IO: "Input or output failed.",
}


def make_descriptor(parser: ArgumentParser) -> Document:
    """Return the descriptor of a parser as plain values."""
    inputs = [
        _describe_input(action)
        for action in parser._actions
        if type(action).__name__ in (*FLAG_CLASSES, "_StoreAction", "_AppendAction")
    ]
    return {
        "name": "TaskGLM",
        "description": parser.description,
        "tool-version": __version__,
        "schema-version": SCHEMA_VERSION,
        "command-line": " ".join(["/app/run.py", *(entry["value-key"] for entry in inputs)]),
        "container-image": {"type": "docker", "image": f"taskglm:{__version__}"},
        "inputs": inputs,
        "output-files": [
            {
                "id": "results",
                "name": "Results",
                "description": "Maps, tables and reports as BIDS derivatives.",
                "path-template": "[OUTPUT_DIR]",
            }
        ],
        "error-codes": [{"code": code, "description": text} for code, text in EXIT_CODES.items()],
        "suggested-resources": {"cpu-cores": 1, "ram": 4},
        "tags": {"domain": ["neuroinformatics", "fmri", "bids"]},
        "custom": {"BIDSApplicationVersion": BIDS_APPLICATION_VERSION},
    }


def _describe_input(action: Action) -> Document:
    positional = not action.option_strings
    declared = {setting.name: setting for part in PARTS.values() for setting in fields(part)}
    setting = declared.get(action.dest)
    details: Details = setting.metadata if setting else {}
    kind = kind_of(setting) if setting else "path" if positional or action.dest == "config_file" else "text"
    entry = {
        "id": action.dest,
        "name": action.dest.replace("_", " "),
        "description": (action.help or "").replace("%%", "%"),
        "value-key": f"[{action.dest.upper()}]",
        "type": "Flag" if type(action).__name__ in FLAG_CLASSES else _type_of(action, kind),
        "optional": not positional,
    }
    if not positional:
        entry["command-line-flag"] = action.option_strings[0]
    if action.nargs == "+":
        entry |= {"list": True, "min-list-entries": 1}
    if kind == "int":
        entry["integer"] = True
    limits = _describe_range(details) if entry["type"] == "Number" else {}
    choices = choices_of(setting) if setting else LEVELS if action.dest == "analysis_level" else ()
    return entry | limits | ({"value-choices": [str(choice) for choice in choices]} if choices else {})


def _type_of(action: Action, kind: str) -> str:
    if action.dest in MADE_BY_THE_APP or action.dest == "analysis_level":
        return "String"
    return KIND_TYPES.get(kind, "String")


def _describe_range(details: Details) -> Document:
    if "between" in details:
        low, high = details["between"]
        return {"minimum": low, "exclusive-minimum": True, "maximum": high, "exclusive-maximum": True}
    return {"minimum": details["least"]} if "least" in details else {}
