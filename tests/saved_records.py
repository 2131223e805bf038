"""Records with what a test says of them, and something empty in every other field that has to be there."""

from typing import get_args, get_origin

from pydantic import TypeAdapter
from pydantic.dataclasses import is_pydantic_dataclass

EMPTY = {str: "", int: 0, float: 0.0, bool: False, tuple: (), list: [], dict: {}}


def make(kind, **given):
    """Return a record, or an object of one, from fields as a file has them."""
    return TypeAdapter(kind).validate_python(fill(kind, given))


def fill(kind, given):
    """Return ``given`` with all that a file must have."""
    pairs = [(name, field, inner_of(field.annotation)) for name, field in kind.__pydantic_fields__.items()]
    wanted = {name: empty(field.annotation, inner) for name, field, inner in pairs if field.is_required()}
    return wanted | {name: filled(given[name], inner) for name, _, inner in pairs if name in given}


def filled(value, inner):
    if inner is None or value is None or is_pydantic_dataclass(type(value)):
        return value
    if isinstance(value, dict):
        return fill(inner, value)
    return [filled(item, inner) for item in value]


def inner_of(annotation):
    """Return the class of the objects in a field, or None."""
    if is_pydantic_dataclass(annotation):
        return annotation
    found = (inner_of(inner) for inner in get_args(annotation) if get_origin(annotation) is not dict)
    return next((inner for inner in found if inner), None)


def empty(annotation, inner):
    if annotation is inner:
        return fill(inner, {})
    kinds = [annotation] if (get_origin(annotation) or annotation) in EMPTY else get_args(annotation)
    return None if type(None) in kinds else EMPTY[get_origin(kinds[0]) or kinds[0]]
