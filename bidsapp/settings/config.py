"""Settings that a file holds: the configuration file, and a record's."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from bidsapp.errors import EXIT_NO_INPUT, SettingsError
from bidsapp.settings.declare import Part, kind_of, near
from bidsapp.settings.parts import PARTS, Choices

NAMES = [setting.name for part in PARTS.values() for setting in fields(part)]


def read_config(path: str | None) -> dict[str, object]:
    """Return the settings of a configuration file, by their names; none without a file.

    Raises
    ------
    SettingsError
        A file that cannot be read, or a name that is no setting.
    """
    import tomllib  # not for --help

    if path is None:
        return {}
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        message = f"cannot read the configuration file {path}: {error.strerror}."
        raise SettingsError(message, exit_code=EXIT_NO_INPUT) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}.") from error
    given = {name.replace("-", "_"): value for name, value in content.items()}
    for name in given:
        if name not in NAMES:
            raise SettingsError(f"{path}: unknown setting {name!r}{near(name, NAMES)}")
    return given


def make_parts(given: Mapping[str, object]) -> dict[str, Any]:
    """Return the parts of the settings by their names, from values by the names of their settings."""
    parts = {}
    for name, part in PARTS.items():
        own = given.keys() & {setting.name for setting in fields(part)}
        parts[name] = part(**{one: given[one] for one in own})
    return parts


def read_saved(saved: Mapping[str, Mapping[str, Any]]) -> Choices:
    """Return the settings that a record keeps under ``settings``, part -> name -> value.

    What an older record lacks has its default, what is not known any more is left out, and nothing is
    refused: what was allowed then is told as it was.
    """
    return Choices(**{name: _read_part(part, saved.get(name, {})) for name, part in PARTS.items()})


def _read_part(of_part: type[Part], saved: Mapping[str, Any]) -> Any:
    part = of_part()
    for setting in fields(of_part):
        value = saved.get(setting.name, setting.default)
        if kind_of(setting) == "path" and value is not None:
            value = Path(value)
        vars(part)[setting.name] = tuple(value) if isinstance(value, list) else value
    return part
