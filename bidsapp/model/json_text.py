"""Read JSON that a stranger may have written, and say on which line a value stands.

Python's parser recurses with the depth of the text and accepts NaN and repeated keys; all three are
refused here, before they can do harm.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TypeAlias

from bidsapp.errors import ModelError
from bidsapp.records.documents import Document

# Keys and positions from the outermost value inwards; a Place is one that is kept.
JsonPath: TypeAlias = Sequence[str | int]
Place: TypeAlias = tuple[str | int, ...]
# The largest of 315 published models has 18,000 characters; none is deeper than 10.
MAX_CHARACTERS = 500_000
MAX_DEPTH = 40
# What an editor shows beside its margin.
LINE_WIDTH = 100
# Ends at the end of the text when a string is not closed, so that scanning stays linear.
STRING = r'"(?:[^"\\]|\\.?)*(?:"|\Z)'
BRACKETS = re.compile(STRING + r"|[\[\]{}]", re.DOTALL)
TOKENS = re.compile(STRING + r"|[\[\]{}:,]|[^\s\[\]{}:,\"]+", re.DOTALL)


def parse_json(text: str, name: str) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    ModelError
        Not JSON, too large, too deep, a key twice, or a number that is not finite; the message names the
        file ``name`` and the line.
    """
    if len(text) > MAX_CHARACTERS:
        raise ModelError(f"{name} has {len(text):,} characters; a model has less than {MAX_CHARACTERS:,}.")
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise ModelError(f"{name} is empty.")
    _check_depth(text, name)
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        what = f"{error.msg[0].lower()}{error.msg[1:]}.{_hint(text, error.pos, name)}"
        message = f"{name}, line {error.lineno}, column {error.colno}: not JSON: {what}"
        raise ModelError(message) from error
    except ValueError as error:
        raise ModelError(f"{name}, line {_line_of_fault(text)}: {error}") from error


def _line_of_fault(text: str) -> int:
    """Return the line of the first value that is no number for JSON, or whose key was there before."""
    seen = set()
    for here, start in _values(text):
        token = TOKENS.match(text, start)
        word = token[0] if token else ""
        if tuple(here) in seen or word.lstrip("-") in ("NaN", "Infinity") or _is_too_large(word):
            break
        seen.add(tuple(here))
    return text.count("\n", 0, start) + 1


def drop_extra_commas(text: str) -> tuple[str, tuple[int, ...]]:
    """Return a text with a blank for every comma after the last item of a list or object, and their lines.

    MATLAB's readers accept such commas.
    """
    found, comma, before, last = [], 0, "", ""
    for token in TOKENS.finditer(text[:MAX_CHARACTERS]):
        if token[0] in "}]" and last == "," and before not in "[{,:":
            found.append(comma)
        if token[0] == ",":
            comma, before = token.start(), last
        last = token[0]
    lines = tuple(text.count("\n", 0, position) + 1 for position in found)
    for position in found:
        text = f"{text[:position]} {text[position + 1 :]}"
    return text, lines


def lines_of(text: str, paths: Sequence[JsonPath]) -> list[int]:
    """Return the line on which the value of each path begins, that of the nearest parent if it has none.

    Parameters
    ----------
    paths : sequence of sequences of str and int
        Keys and positions from the outermost value inwards.
    """
    wanted = {tuple(path)[:depth] for path in paths for depth in range(len(path) + 1)}
    positions: dict[Place, int] = {}
    for here, start in _values(text):
        if tuple(here) in wanted:
            positions.setdefault(tuple(here), start)
    lines = []
    for path in paths:
        known = (tuple(path)[:depth] for depth in range(len(path), -1, -1))
        position = next((positions[part] for part in known if part in positions), 0)
        lines.append(text.count("\n", 0, position) + 1)
    return lines


def _values(text: str) -> Iterator[tuple[list[str | int], int]]:
    """Yield the path and the position of every value of a JSON text, without recursion."""
    here: list[str | int] = []
    awaits_key: list[bool] = []
    for token in TOKENS.finditer(text):
        symbol = token[0]
        if symbol in "}]":
            del here[-1:], awaits_key[-1:]
        elif symbol == ",":
            _next_item(here, awaits_key)
        elif symbol == ":":
            continue
        elif awaits_key and awaits_key[-1]:
            here[-1], awaits_key[-1] = _key(symbol), False
        else:
            yield here, token.start()
            if symbol in "{[":
                here.append("" if symbol == "{" else 0)
                awaits_key.append(symbol == "{")


def _next_item(here: list[str | int], awaits_key: list[bool]) -> None:
    if here and isinstance(here[-1], int):
        here[-1] += 1
    elif here:
        awaits_key[-1] = True


def format_json(value: Any, indent: int = 0) -> str:
    """Return JSON text in which whatever fits on a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= LINE_WIDTH or not isinstance(value, (dict, list)) or not value:
        return line
    inner = " " * (indent + 2)
    if isinstance(value, list):
        parts = [format_json(item, indent + 2) for item in value]
        opening, closing = "[]"
    else:
        keys = ((json.dumps(key, ensure_ascii=False), item) for key, item in value.items())
        parts = [f"{key}: {format_json(item, indent + 2)}" for key, item in keys]
        opening, closing = "{}"
    return f"{opening}\n{inner}" + f",\n{inner}".join(parts) + f"\n{' ' * indent}{closing}"


def show_path(path: JsonPath) -> str:
    """Return a path as a user reads it: ``Nodes[0].Model.X``."""
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else str(part)
    return shown or "the model"


def _check_depth(text: str, name: str) -> None:
    depth = 0
    for token in BRACKETS.finditer(text):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        if depth > MAX_DEPTH:
            line = text.count("\n", 0, token.start()) + 1
            raise ModelError(f"{name}, line {line}: nested deeper than {MAX_DEPTH} levels; a model never is.")


def _unique_keys(pairs: list[tuple[str, Any]]) -> Document:
    table = dict(pairs)
    if len(table) < len(pairs):
        for key, value in pairs:
            if table[key] != value:
                raise ValueError(
                    f"the key {key!r} stands twice in one object, with different values. Keep one."
                )
    return table


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number that JSON or a model knows.")


def _is_too_large(word: str) -> bool:
    try:
        return abs(float(word)) == float("inf")
    except ValueError:
        return False


def _finite(digits: str) -> float:
    number = float(digits)
    if _is_too_large(digits):
        raise ValueError(f"the number {digits[:20]} is too large.")
    return number


def _key(token: str) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        return token


def _hint(text: str, position: int, name: str) -> str:
    """Return what is wrong most probably where a text stops to be JSON."""
    before, there = text[:position].rstrip(), text[position : position + 2]
    if name.lower().endswith((".yaml", ".yml")):
        return " A model is a JSON file; write what stands in this YAML file as JSON."
    if there in ("//", "/*") or there[:1] == "#":
        return " JSON has no comments: use Description, or a key that begins with _."
    if there[:1] == "'":
        return ' Texts stand in double quotes: "..."'
    if before.endswith(",") and there[:1] in (",", "}", "]"):
        return " Is there a comma too many before it?"
    return ""
