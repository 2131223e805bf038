"""What ``--estimates`` names besides folders of maps, PROGRAM:PATH and tables, and whose each result is."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bidsapp.errors import (
    EXIT_NO_INPUT,
    InputError,
    SettingsError,
    in_lines,
    near_or_known,
    near_or_there,
)
from bidsapp.inputs.fetched import is_named
from bidsapp.inputs.programs import PROGRAMS
from bidsapp.inputs.programs.found import FoundMap, Program, Results, make_found
from bidsapp.inputs.tables.read import read_table

# What a pattern or a column of a table may name -> the entity.
PLACEHOLDERS = {"participant": "sub", "session": "ses", "task": "task", "run": "run"}
COLUMNS = {"participant_id": "sub", "session": "ses", "task": "task", "run": "run"}
LABEL = "[0-9A-Za-z+]+"
BY_DEFAULT = tuple(f"{entity}-{{{name}}}" for name, entity in PLACEHOLDERS.items())


@dataclass(frozen=True, slots=True)
class Source:
    """A word of ``--estimates``; ``program`` is None of a folder or table of maps."""

    text: str
    program: Program | None
    path: Path

    @property
    def is_table(self) -> bool:
        """Whether it is a table of paths."""
        return self.path.suffix == ".tsv"

    @property
    def folder(self) -> Path:
        """The folder of what it names, without the parts of patterns: tables of participants may be there."""
        fixed = self.path if self.path.exists() else _fixed_part(self.path)
        return fixed.parent if fixed.is_file() else fixed


def read_source(text: str) -> Source:
    """Return a word of ``--estimates``; SettingsError where it begins with a program that is not known."""
    path = Path(text).expanduser()
    name, colon, rest = text.partition(":")
    if not colon or path.exists() or "/" in name:
        return Source(text, None, path)
    if name not in PROGRAMS:
        hint = near_or_known(name, PROGRAMS)
        raise SettingsError(f"--estimates {text}: there is no such path, nor a program {name!r}{hint}")
    return Source(text, PROGRAMS[name], Path(rest).expanduser())


@dataclass(frozen=True, slots=True)
class Row:
    """One result, or one map, with what a table says of it; entities None: its path says whose it is."""

    path: Path
    entities: dict[str, str] | None = None
    contrast: str | None = None
    variance: Path | None = None
    dof: float = math.nan


def read_results(source: Source, pattern: str | None) -> Results:
    """Return the maps that a program's source, or a table, names, with whose they are, and notes.

    Parameters
    ----------
    source : Source
    pattern : str or None
        Text with ``{participant}``, and others of PLACEHOLDERS, that is looked for in paths.

    Raises
    ------
    InputError, SettingsError
        With the faults of all results.
    """
    found: list[FoundMap] = []
    notes: list[str] = []
    faults: list[str] = []
    rows = (
        _find_rows(source, source.program) if source.program and not source.is_table else _read_table(source)
    )
    for row in rows:
        try:
            maps, more = _read_row(row, source, pattern)
        except InputError as error:
            faults.append(str(error))
            continue
        found += maps
        notes += more
    faults += _find_doubles(found)
    if not found and not faults:
        faults = [f"--estimates {source.text}: no effect is left. {'; '.join(dict.fromkeys(notes))}."]
    if faults:
        raise InputError(in_lines(faults))
    if source.program:
        notes.append(f"{source.program.words}: {source.program.units}; effects are taken as they are")
    return found, list(dict.fromkeys(notes))


def _find_rows(source: Source, program: Program) -> list[Row]:
    """Return the results of a program in a folder, or wherever the path, with * in it, leads."""
    path, fixed = source.path, source.folder
    there = [path] if path.exists() else sorted(fixed.glob(str(path.relative_to(fixed))))
    found = [result for place in there for result in program.find(place)]
    if not found:
        what = f"{program.results} in it" if there else "such path"
        raise InputError(f"--estimates {source.text}: there is no {what}.", exit_code=EXIT_NO_INPUT)
    return list(map(Row, dict.fromkeys(found)))


def _read_row(row: Row, source: Source, pattern: str | None) -> Results:
    """Return the maps of a row with their entities, and notes."""
    if source.program is None:
        if not row.contrast:
            raise InputError(f"{source.path}: {row.path} has no contrast. Name it in a column 'contrast'.")
        if not is_named(row.path):
            raise InputError(f"{row.path}, in {source.path}, is not there. Correct its path.")
        found = make_found(row.path, row.contrast, variance=row.variance, dof=row.dof)
        return [replace(found, entities=row.entities or {})], []
    results = source.program.find(row.path) if source.is_table else [row.path]
    if len(results) != 1:
        said = f"holds {len(results)} of them" if results else f"is, or holds, no {source.program.results}"
        raise InputError(f"{row.path}, in {source.path}, {said}. Correct its path.")
    maps, notes = source.program.read(results[0])
    if row.contrast:
        names = [str(found.metadata.get("ContrastName")) for found in maps]
        maps = [found for found, name in zip(maps, names, strict=True) if name == row.contrast]
        if not maps:
            hint = near_or_there(row.contrast, names)
            raise InputError(f"{row.path} has no contrast {row.contrast!r}. {hint}")
    if row.entities is None and any("sub" not in found.entities for found in maps):
        row = replace(row, entities=find_entities(row.path, source.folder, pattern))
    return [replace(found, entities={**found.entities, **(row.entities or {})}) for found in maps], notes


def find_entities(path: Path, folder: Path, pattern: str | None) -> dict[str, str]:
    """Return whose a result is, by its path: below the folder that was named, else anywhere in it.

    Raises
    ------
    InputError
        Nobody, or two labels of one entity.
    SettingsError
        The pattern names no participant, or something that is not known.
    """
    patterns = [_compile(text) for text in ([pattern] if pattern else BY_DEFAULT)]
    if pattern is not None and "{participant}" not in pattern:
        raise SettingsError(f"--estimates-pattern {pattern!r} names no {{participant}}: sub-{{participant}}.")
    inner = (
        path.relative_to(folder).as_posix() if path != folder and path.is_relative_to(folder) else path.name
    )
    entities: dict[str, str] = {}
    for name, entity in PLACEHOLDERS.items():
        labels: dict[str, None] = {}
        for text in (inner, path.as_posix()):
            matches = (match for one in patterns if name in one.groupindex for match in one.finditer(text))
            labels = labels or {match[name]: None for match in matches}
        if len(labels) > 1:
            raise InputError(
                f"{path} could be of {name} {' or '.join(labels)}. Say which part of the path counts "
                "(--estimates-pattern), or name a table (.tsv) with the columns participant_id and path."
            )
        if labels:
            entities[entity] = next(iter(labels))
    if "sub" not in entities:
        raise InputError(
            f"{path}: whose it is cannot be seen, for {pattern or 'sub-{participant}'} is not in its path. "
            "Say how labels stand in it (--estimates-pattern 'subj{participant}_'), or name a table (.tsv) "
            "with the columns participant_id and path."
        )
    return entities


def _compile(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression: whole words, with * for anything within a name."""
    parts = re.split(r"\{(.*?)\}", pattern)
    names, where = parts[1::2], f"--estimates-pattern {pattern!r}"
    for name in names:
        if name not in PLACEHOLDERS:
            raise SettingsError(f"{where}: {{{name}}} is not known{near_or_known(name, PLACEHOLDERS)}")
        if names.count(name) > 1:
            raise SettingsError(f"{where} names {{{name}}} twice. Name it once.")
    parts[::2] = [re.escape(part).replace(r"\*", "[^/]*") for part in parts[::2]]
    parts[1::2] = [f"(?P<{name}>{LABEL})" for name in names]
    text = "".join(parts)
    return re.compile(rf"(?<![0-9A-Za-z]){text}(?![0-9A-Za-z+])")


def _find_doubles(found: Iterable[FoundMap]) -> list[str]:
    """Return a fault for each participant with two maps of one contrast, with both files."""
    seen: dict[object, FoundMap] = {}
    faults: dict[str, None] = {}
    for one in found:
        contrast = one.metadata.get("ContrastName", one.entities.get("contrast"))
        key = (contrast, *sorted(one.entities.items()))
        other = seen.setdefault(key, one)
        if other is not one:
            whose = "_".join(
                f"{entity}-{one.entities[entity]}"
                for entity in PLACEHOLDERS.values()
                if entity in one.entities
            )
            faults[
                f"{whose} has two maps of {contrast!r}: {other.path} and {one.path}. Name one of them, by a "
                "path with * or a table (.tsv)."
            ] = None
    return list(faults)


def _read_table(source: Source) -> list[Row]:
    """Return the rows of a table; its paths are relative to its folder."""
    path = source.path
    table = read_table(path)
    for name in ("participant_id", "path"):
        if name not in table.columns:
            raise InputError(f"{path} has no column {name!r}. {near_or_there(name, table.columns)}")
    rows = []
    for number, cells in enumerate(table.to_dict("records"), start=2):
        said = {str(name): value for name, value in cells.items() if value is not None}
        missing = [name for name in ("participant_id", "path") if name not in said]
        if missing:
            raise InputError(f"{path}, row {number}: no {missing[0]}. Fill it in, or remove the row.")
        rows.append(_read_cells(path, number, said))
    return rows


def _read_cells(path: Path, number: int, said: Mapping[str, str]) -> Row:
    entities = {
        COLUMNS[name]: said[name].removeprefix(f"{COLUMNS[name]}-") for name in COLUMNS if name in said
    }
    bad = [label for label in entities.values() if not re.fullmatch(LABEL, label)]
    if bad:
        raise InputError(f"{path}, row {number}: {bad[0]!r} is no label. Use letters and digits.")
    try:
        dof = float(said.get("dof", "nan"))
    except ValueError:
        raise InputError(f"{path}, row {number}: dof {said['dof']!r} is not a number. Correct it.") from None
    variance = path.parent / said["variance"] if "variance" in said else None
    return Row(path.parent / said["path"], entities, said.get("contrast"), variance, dof)


def _fixed_part(path: Path) -> Path:
    """Return the folder before the first part of a path with a sign of patterns in it."""
    parts = path.parts
    wild = next((place for place, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts))
    return Path(*parts[:wild])
