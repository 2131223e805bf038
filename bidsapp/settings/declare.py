"""How a choice is declared, and how its value is read and checked, whoever gives it.

Flags, the configuration file and callers in Python all end in the constructor of a `Part`: what one of them
may give, all may, and what one is refused, all are.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args, get_origin

from bidsapp.errors import SettingsError, did_you_mean

Value = TypeVar("Value")
Setting: TypeAlias = Field[Any]
# What a setting declares of itself.
Details: TypeAlias = Mapping[str, Any]
KINDS: dict[object, str] = {bool: "flag", int: "int", float: "float", Path | None: "path"}
KINDS_IN_WORDS = {"int": "a whole number", "float": "a number"}


def option(default: Value, text: str, **details: object) -> Value:
    """Declare a setting: its default, its help text and how a value is read; its type is the annotation.

    ``details``: ``kind``, where the annotation does not say it ("labels" for lists by spaces or commas whose
    ``prefix-`` is optional, "label", "list", "paths", "repeat", "words", "names" for words that may be left
    out, "memory", "share"), ``aliases``, ``choices`` where they are no ``Literal``, ``metavar``, ``prefix``,
    ``level`` where one level alone reads it; of numbers ``least`` and ``most`` (allowed) or ``between`` (both
    not allowed) and ``hint``, a function that says what a number beyond them may have been meant as.
    """
    return field(default=default, metadata={"help": text, **details})


@dataclass(frozen=True)
class Part:
    """A part of the settings.

    Raises
    ------
    SettingsError
        A value that cannot be read as the setting's kind, or is out of its range or choices.
    """

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            # The default is as it shall be; a list without labels, which no default is, is refused.
            if type(value) is not type(setting.default) or value != setting.default:
                object.__setattr__(self, setting.name, read_value(setting, value))


def flag_of(name: str) -> str:
    """Return the flag of a setting."""
    return "--" + name.replace("_", "-")


def near(word: object, known: Iterable[str]) -> str:
    """Return the end of a sentence on a word that is not known: the nearest that is."""
    return did_you_mean(word, known, ".", ", did you mean")


def kind_of(setting: Setting) -> str:
    """Return how a value is read, a name in ``READERS``."""
    return str(setting.metadata.get("kind") or KINDS.get(setting.type, "text"))


def choices_of(setting: Setting) -> tuple[Any, ...]:
    """Return the values that a setting can have; empty where it is free."""
    types = (setting.type, *get_args(setting.type))
    literal = next((get_args(one) for one in types if get_origin(one) is Literal), ())
    return tuple(setting.metadata.get("choices", literal))


def read_value(setting: Setting, value: object) -> object:
    """Return a value as its setting holds it.

    Raises
    ------
    SettingsError
    """
    kind, flag = kind_of(setting), flag_of(setting.name)
    try:
        if value is None or (kind != "names" and isinstance(value, bool) != (kind == "flag")):
            raise ValueError(value)
        read = READERS[kind](value, {**setting.metadata, "flag": flag})
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{flag}: cannot read {value!r} as {KINDS_IN_WORDS.get(kind, kind)}.") from error
    _check_range(flag, read, setting.metadata)
    _check_choice(flag, read, choices_of(setting))
    return read


def _check_range(flag: str, value: Any, details: Details) -> None:
    """Refuse a number that nobody can mean; written so that NaN is refused too."""
    if "least" in details and not value >= details["least"]:
        raise SettingsError(f"{flag}: {value} is less than {details['least']}.")
    if "most" in details and value > details["most"]:
        raise SettingsError(f"{flag}: {value:g} is more than {details['most']}.")
    if "between" in details:
        low, high = details["between"]
        if not low < value < high:
            raise SettingsError(f"{flag}: {value:g} is not between {low} and {high}.{details['hint'](value)}")


def as_percent(value: float) -> str:
    """Return what to write where percent were meant."""
    return f" For {value:g} % write {value / 100:g}." if 1 <= value <= 100 else ""


def as_z(value: float) -> str:
    """Return the one-sided p-value of a number that z or t was meant by."""
    p = math.erfc(value / math.sqrt(2)) / 2
    return f" {value:g} looks like a z or t value; as a p-value it is {p:.2g}." if value > 1 else ""


def _check_choice(flag: str, value: object, choices: Iterable[object]) -> None:
    known = [str(choice) for choice in choices]
    for word in value if isinstance(value, tuple) else [value]:
        if known and str(word) not in known:
            raise SettingsError(f"{flag}: {word!r} is not one of {', '.join(known)}{near(word, known)}")


def _read_int(value: Any, _details: Details) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)


def _read_float(value: Any, _details: Details) -> float:
    number = float(value)
    if math.isinf(number):
        raise ValueError(value)
    return number


def _read_share(value: object, details: Details) -> str:
    """Read ``all``, or a number above 0: of inputs, or below 1 a share of them."""
    text = str(value)
    # Digits alone: neither nan nor inf is a number of inputs.
    if text != "all" and not (re.fullmatch(r"[0-9.]+(e-?[0-9]+)?", text.strip().lower()) and float(text) > 0):
        raise SettingsError(f"{details['flag']}: {text!r} is neither all nor a number above 0.")
    return text


def _read_label(value: object, details: Details) -> str:
    return re.sub(rf"^{details.get('prefix', '')}-", "", str(value).strip(), flags=re.IGNORECASE)


def _read_labels(value: object, details: Details) -> tuple[str, ...]:
    """Return the labels of a list separated by blanks, commas or both, each once."""
    words = [word for item in _as_list(value) for word in re.split(r"[\s,]+", str(item))]
    labels = dict.fromkeys(label for word in words if (label := _read_label(word, details)))
    if not labels:
        # All would be analysed where a script's list happens to be empty.
        raise SettingsError(f"{details['flag']}: no label is given. Name one, or leave the flag out.")
    return tuple(labels)


def _read_memory(value: object, details: Details) -> float:
    if isinstance(value, float):  # in GB, as a setting has it
        return _read_float(value, details)
    match = re.fullmatch(r"([0-9.]+)\s*([kmgt]?)i?b?", str(value).strip().lower())
    if not match:
        raise ValueError(value)
    # A bare number counts as GB; of 512 and more nobody means GB.
    unit = match[2] or ("g" if float(match[1]) < 512 else "m")
    return float(match[1]) * {"k": 1e-6, "m": 1e-3, "g": 1.0, "t": 1e3}[unit]


def _read_list(value: object, _details: Details) -> tuple[str, ...]:
    words = (word.strip() for item in _as_list(value) for word in str(item).split(","))
    return tuple(filter(None, words))


def _read_words(value: object, _details: Details) -> tuple[str, ...]:
    return tuple(str(item) for item in _as_list(value))


def _read_names(value: object, details: Details) -> tuple[str, ...]:
    """Read words; in a configuration file also true, for all, and false."""
    if isinstance(value, bool):
        return ("all",) if value else ()
    return _read_words(value, details)


def _as_list(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else [value]


READERS: dict[str, Callable[[Any, Details], object]] = {
    "text": lambda value, _details: str(value),
    "int": _read_int,
    "float": _read_float,
    "path": lambda value, _details: Path(value),
    "flag": lambda value, _details: value,
    "label": _read_label,
    "labels": _read_labels,
    "list": _read_list,
    "paths": _read_words,
    "repeat": _read_words,
    "words": _read_words,
    "names": _read_names,
    "memory": _read_memory,
    "share": _read_share,
}
