"""Checks of the names, numbers and column lists that a model is made of."""

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeGuard

from bidsapp.model.faults import Spot
from bidsapp.records.documents import Document
from bidsapp.records.model import INTERCEPT

# Names become parts of file names, of which file systems take 255 bytes.
MAX_NAME = 200
# More columns than most runs have volumes: they could not be told apart.
MAX_COLUMNS = 2000
# C0 and C1 controls, and the marks that reorder or hide text.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
MARKUP = re.compile(
    r"<\s*[/!]?\s*[a-zA-Z][^<>]*>|<\s*(script|iframe|img|svg|object|embed|style|link)\b", re.I
)
CLIMBING = re.compile(r"\.\.[/\\]|[/\\]\.\.")


def objects(value: Any) -> list[Document]:
    """Return the objects of a list; nothing where the value is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def table_at(value: Any, *keys: str) -> Document:
    """Return the object under keys, one inside the other; an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def list_at(value: Any, *keys: str) -> list[Any]:
    """Return the list under keys, one inside the other; an empty one where there is none."""
    *outer, last = keys
    found = table_at(value, *outer).get(last)
    return found if isinstance(found, list) else []


def is_plain_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def find_only(value: Any) -> Any:
    """Return the one value of a list, or a value that stands by itself; None for none or several."""
    if isinstance(value, list):
        return value[0] if len(value) == 1 else None
    return value


def check_name(name: str, spot: Spot) -> None:
    """Note a name that no person writes: empty, endless, with control characters, markup or a path."""
    if not name.strip():
        spot.fault("is empty; give it a name.")
    elif len(name) > MAX_NAME:
        spot.fault(f"has {len(name)} characters; at most {MAX_NAME} are accepted.")
    elif CONTROLS.search(name):
        spot.fault(f"{name!r} has control characters.")
    elif MARKUP.search(name) and not spot.faults.markup_is_text:
        spot.fault(f"{name!r} has markup; write plain text.")
    elif CLIMBING.search(name):
        spot.fault(f"{name!r} looks like a path; write plain text.")


def read_columns(items: Sequence[Any], spot: Spot) -> tuple[str, ...]:
    """Return the column names of a list of X or ConditionList; the number 1 is the intercept."""
    if len(items) > MAX_COLUMNS:
        spot.fault(f"has {len(items):,} entries; at most {MAX_COLUMNS:,} are accepted.")
        return ()
    names = []
    for index, item in enumerate(items):
        if item in (1, "1") and not isinstance(item, bool):
            names.append(INTERCEPT)
        elif isinstance(item, str):
            check_name(item, spot.at(index))
            names.append(item)
        else:
            spot.at(index).fault(f"is {item!r:.40}; a column is a name, or 1 for the intercept.")
    return tuple(names)


def read_weights(
    weights: Sequence[Any], test: str, n_conditions: int, spot: Spot
) -> tuple[tuple[float, ...], ...]:
    """Return weights as rows of numbers; a fault is noted where they do not fit the conditions."""
    nested = [isinstance(item, list) for item in weights]
    if any(nested) and not all(nested):
        spot.fault("mixes numbers and lists.")
        return ()
    if any(nested) and test != "F" and len(weights) > 1:
        spot.fault(f"has {len(weights)} rows; a {test} test has one. Use Test 'F', or one list of numbers.")
        return ()
    rows = weights if any(nested) else [weights]
    if len(rows) > MAX_COLUMNS:
        spot.fault(f"has {len(rows):,} rows.")
        return ()
    return tuple(
        _read_row(row, n_conditions, spot.at(index) if any(nested) else spot)
        for index, row in enumerate(rows)
    )


def _read_row(row: Sequence[Any], n_conditions: int, spot: Spot) -> tuple[float, ...]:
    if len(row) != n_conditions:
        spot.fault(f"has {len(row)} weights for {n_conditions} conditions. Give one weight for each.")
        return ()
    numbers = []
    for index, item in enumerate(row):
        number = read_number(item)
        if number is None:
            spot.at(index).fault(f'is {item!r:.40}; a weight is a number or a fraction such as "1/3".')
        else:
            numbers.append(number)
    if len(numbers) == len(row) and not any(numbers):
        spot.fault("has only zeros; such a contrast tests nothing.")
    return tuple(numbers)


def read_number(item: Any) -> float | None:
    """Return a weight as a float, or None."""
    if isinstance(item, bool) or not isinstance(item, (int, float, str)):
        return None
    if isinstance(item, str) and not re.fullmatch(
        r"\s*[+-]?(\d{1,9}(\.\d{0,18})?|\.\d{1,18})(\s*/\s*\d{1,9})?\s*", item
    ):
        return None
    try:
        top, _, bottom = str(item).partition("/") if isinstance(item, str) else (item, "", "")
        number = float(Fraction(top) / Fraction(bottom) if bottom else Fraction(top))
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if abs(number) < 1e9 else None


def read_boolean(value: Any) -> bool | None:
    """Return a boolean, also one written as text ("true", "False"); None when it is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return bool(value) if value in (0, 1) else None
