"""The wildcards of models: ``*`` is any text, ``?`` any one character, nothing else is special.

No regular expression with several ``.*`` is made of a pattern that a stranger wrote: it might never end.
"""

import re
from collections.abc import Iterable


def is_wildcard(text: str) -> bool:
    """Whether a word of the model has ``*`` or ``?`` in it."""
    return "*" in text or "?" in text


def match_name(pattern: str, name: str) -> bool:
    """Whether a pattern stands for a name; the time is at most their lengths multiplied."""
    if "*" not in pattern:
        return len(pattern) == len(name) and _find(pattern, name, 0) == 0
    first, *middle, last = re.sub(r"\*+", "*", pattern).split("*")
    end = len(name) - len(last)
    if end < len(first) or _find(first, name[: len(first)], 0) != 0 or _find(last, name[end:], 0) != 0:
        return False
    position = len(first)
    for part in middle:
        found = _find(part, name[:end], position)
        if found < 0:
            return False
        position = found + len(part)
    return True


def match_names(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names that a pattern stands for."""
    return [name for name in names if match_name(pattern, name)]


def _find(part: str, text: str, start: int) -> int:
    """Return where a part without ``*`` first stands in a text, -1 where it does not."""
    if "?" not in part:
        return text.find(part, start)
    for position in range(start, len(text) - len(part) + 1):
        if all(wanted in ("?", there) for wanted, there in zip(part, text[position:], strict=False)):
            return position
    return -1
