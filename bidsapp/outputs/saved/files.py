"""The reader and the writer of records."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass

from bidsapp.errors import InputError
from bidsapp.outputs.files import write_json
from bidsapp.outputs.saved.common import LEFT_OUT, Record
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.outputs.saved.participant import SubjectRecord

AnyRecord = TypeVar("AnyRecord", SubjectRecord, GroupRecord)
UNREADABLE = "{} cannot be read as a record ({}). Remove it and run its stage again."


def read_record(path: Path, kind: type[AnyRecord]) -> AnyRecord:
    """Return the record at a path.

    Raises
    ------
    InputError
        There is none, or it lacks what every record of its kind has.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError as error:
        message = f"{path} is not there. Run the stage that writes it before its report."
        raise InputError(message) from error
    except OSError as error:
        raise InputError(UNREADABLE.format(path, error.strerror)) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        words = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        raise InputError(UNREADABLE.format(path, words)) from error


def find_record(path: Path, kind: type[AnyRecord]) -> AnyRecord | None:
    """Return the record at a path, None where there is none that can be read."""
    try:
        return read_record(path, kind)
    except InputError:
        return None


def write_record(path: Path, record: Record) -> None:
    """Write a record; its keys are in the order of the class."""
    write_json(path, as_document(record))


def as_document(value: Any) -> Any:
    """Return a record, or what is in one, as its file has it."""
    kind = type(value)
    if is_pydantic_dataclass(kind):
        pairs = ((name, field, getattr(value, name)) for name, field in kind.__pydantic_fields__.items())
        return {
            name: as_document(item)
            for name, field, item in pairs
            if item is not None or LEFT_OUT not in field.metadata
        }
    if isinstance(value, dict):
        return {key: as_document(item) for key, item in value.items()}
    return [as_document(item) for item in value] if isinstance(value, list | tuple) else value
