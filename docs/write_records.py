"""The page docs/records.md, from the classes of the records; `write_usage.py` writes it."""

import re
from inspect import cleandoc
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic.dataclasses import is_pydantic_dataclass

from bidsapp.outputs.saved.common import LEFT_OUT, Record
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.outputs.saved.participant import SubjectRecord

HEAD = """# Records

Each finished unit of work leaves one JSON record in `logs/`. Reports, reruns and `--reports-only` start
from them. A record is written last and atomically: where it is, everything that it names is there too.
`make docs` writes this page from the classes that read and write them, in `bidsapp/outputs/saved/`.

Conventions: every path is relative to the output folder, with `/`; files outside it (inputs) are given as
BIDS URIs or absolute. Numbers are plain numbers, unknown ones `null` (never NaN). Keys marked \\* may be
absent, those marked † in records of earlier versions alone. A reader ignores keys that it does not know.
`tests/report/example.py` writes a complete output folder with all of this.

Beside it, `logs/sub-01_traceback.txt` is what a developer needs to know of an error that should not have
been; it is removed when the participant, or its report, is done without one. While work is done again its
old record stands aside as `....json.before`; files that it names and the new record does not are then
removed.
"""
TABLE = ["| Key | Holds | Meaning |", "| --- | --- | --- |"]
OPTIONAL = r"\*"
WORDS = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    NoneType: "null",
    Any: "anything",
}


def make_page():
    """Return the text of the page."""
    sections = [section(kind) for kind in find_classes(Record, SubjectRecord, GroupRecord)]
    return "\n".join([HEAD, *sections])


def find_classes(*kinds):
    """Return classes and those of the objects in their fields, each once, the outer ones first."""
    found = dict.fromkeys(kinds)
    for kind in kinds:
        inner = [one for field in kind.__pydantic_fields__.values() for one in classes_in(field.annotation)]
        found |= dict.fromkeys(find_classes(*inner))
    return found


def classes_in(annotation):
    """Return the classes of records that an annotation names."""
    if is_pydantic_dataclass(annotation):
        return [annotation]
    return [one for inner in get_args(annotation) for one in classes_in(inner)]


def section(kind):
    """Return the table of a class; what a base class has stands there."""
    head, texts = read_texts(kind)
    rows = [row(name, kind.__pydantic_fields__[name], text) for name, text in texts.items()]
    lines = [
        f"## {title(kind).capitalize()}",
        "",
        head,
        "",
        "| Key | Holds | Meaning |",
        "| --- | --- | --- |",
    ]
    return "\n".join([*lines, *rows, ""]).replace("``", "`")


def read_texts(kind):
    """Return the first line of the docstring of a class, and field -> text of its attributes."""
    head, _, body = cleandoc(kind.__doc__).partition("\n\nAttributes\n----------\n")
    texts = re.findall(r"^(\w+)\n((?:    .*\n?)+)", body, re.MULTILINE)
    return head, {name: " ".join(text.split()) for name, text in texts}


def row(name, field, text):
    """Return the line of a field."""
    mark = OPTIONAL if LEFT_OUT in field.metadata else "" if field.is_required() else "†"
    holds = in_words(field.annotation)
    return f"| `{name}`{mark} | {holds.removesuffix(' or null') if mark == OPTIONAL else holds} | {text} |"


def title(kind):
    """Return what a class is called: ``GroupContrastRecord`` is "group contrast"."""
    name = re.sub(r"(?<=\w)(?=[A-Z])", " ", kind.__name__.removesuffix("Record")).lower()
    return name or "common to both kinds"


def in_words(annotation):
    """Return what a field holds."""
    if annotation in WORDS:
        return WORDS[annotation]
    if is_pydantic_dataclass(annotation):
        return f"[{title(annotation)}](#{title(annotation).replace(' ', '-')})"
    inner = [in_words(one) for one in get_args(annotation) if one is not Ellipsis]
    if get_origin(annotation) in (list, tuple, dict):
        kind, last = "object" if get_origin(annotation) is dict else "list", inner[-1]
        return f"{kind} of ({last})" if " or " in last else f"{kind} of {last}"
    return " or ".join(dict.fromkeys(inner))
