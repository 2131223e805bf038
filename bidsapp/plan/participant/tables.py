"""What the tables of a level say of an input: scans.tsv for Session nodes, sessions.tsv for Subject."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from bidsapp.inputs.fetched import is_named
from bidsapp.inputs.tables.read import read_table
from bidsapp.plan.nodes import same_value
from bidsapp.records.documents import Document

# The columns that the table of a node's level has for what an estimate can be asked for.
Tables: TypeAlias = Callable[[str, Document], Document]
# What was read: path -> rows.
Cache: TypeAlias = dict[Path, list[Document]]


def level_tables(raw: Path | str) -> Tables:
    """Return a function that gives the columns of an input: ``tables(level, labels) -> dict``."""
    cache: Cache = {}
    return partial(_columns, Path(raw), cache)


def _columns(raw: Path, cache: Cache, level: str, labels: Document) -> Document:
    subject, session = f"sub-{labels.get('subject')}", labels.get("session")
    if level == "Session":
        folder = raw / subject / f"ses-{session}" if session else raw / subject
        names = [subject, f"ses-{session}"] if session else [subject]
        rows = _read(cache, folder / f"{'_'.join(names)}_scans.tsv")
        found = [row for row in rows if _is_scan_of(row.get("filename", ""), labels)]
    else:
        rows = _read(cache, raw / subject / f"{subject}_sessions.tsv")
        found = [row for row in rows if session and same_value(_bare(row.get("session_id", "")), session)]
    return {key: value for key, value in found[0].items() if key not in labels} if found else {}


def _read(cache: Cache, path: Path) -> list[Document]:
    if path not in cache:
        rows = read_table(path).to_dict("records") if is_named(path) else []
        cache[path] = [{str(name): value for name, value in row.items()} for row in rows]
    return cache[path]


def _is_scan_of(filename: object, labels: Document) -> bool:
    name = Path(str(filename)).name
    parts = dict(part.split("-", 1) for part in name.split("_") if "-" in part)
    wanted = {"task": labels.get("task"), "run": labels.get("run")}
    return "_bold" in name and all(
        value is None or same_value(parts.get(key, ""), value) for key, value in wanted.items()
    )


def _bare(label: object) -> str:
    return str(label).removeprefix("ses-")
