"""The command line: arguments to settings, settings to a stage, errors to an exit code.

The only place that exits, prints or configures logging. The flags are made from ``settings/parts.py``.
"""

import argparse
import importlib
import json
import logging
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import Field, fields
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

from bidsapp import errors
from bidsapp.errors import AppError, SettingsError, did_you_mean
from bidsapp.settings.parts import (
    PARTS,
    Control,
    GroupOptions,
    ModelOptions,
    PermutationOptions,
    RunOptions,
    Selection,
    Settings,
    find_unread,
)
from bidsapp.version import __version__

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LEVELS = ("participant", "group")
# Flags whose value may be left out: the values, first the one that is then meant.
BARE_VALUES = {"--dry-run": ("text", "json"), "--list-participants": ("all", "unfinished")}
# The same for flags that take any words.
BARE_NAMES = {"--across-contrasts": "all"}
EPILOG = """\
Flags may be written with - or _, labels with or without their prefix, lists with spaces or commas.
Exit codes: 0 done; 1 a participant, group model or report failed; 16 not a BIDS dataset; 17 unknown level;
18 nothing selected; 64 wrong usage; 65 faulty data or model; 66 input missing; 73 cannot create output;
74 input/output.
"""
logger = logging.getLogger("bidsapp")
# What a setting declares of itself (`settings.parts.option`).
Details: TypeAlias = Mapping[str, Any]
Part = TypeVar("Part", bound="DataclassInstance")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app with the arguments (default: those of the process) and return its exit code."""
    use_any_terminal()
    try:
        arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
        configure_logging(arguments.verbose - arguments.quiet)
        settings = make_settings(arguments)
        _warn_of_unread(arguments, settings.levels)
        return run(settings)
    except AppError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return errors.EXIT_IO
    except KeyboardInterrupt:
        print(
            "interrupted: finished participants are kept; the same command goes on from there",
            file=sys.stderr,
        )
        return errors.EXIT_FAILURE


def _warn_of_unread(arguments: Namespace, levels: Collection[str]) -> None:
    """Warn of flags that only the other level reads; a configuration file may serve both."""
    for level, names in find_unread(_given(arguments), levels).items():
        flags = ", ".join("--" + name.replace("_", "-") for name in names)
        hint = " Run that level with it, then this one." if level == "participant" else ""
        logger.warning(
            "%s: read by the %s level only, so nothing here is done with it.%s", flags, level, hint
        )


def use_any_terminal() -> None:
    """Write signs that a terminal lacks by their numbers, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def run(settings: Settings) -> int:
    """Run the levels that the settings name and return the exit code."""
    from bidsapp.job.environment import work_folder

    check_folders(settings)
    codes: list[int]
    if settings.control.list_participants:
        codes = [_stage("cli.listing").show_participants(settings)]
    elif settings.control.dry_run:
        codes = [_stage("plan").show_plans(settings)]
    else:
        with work_folder(settings.control.work_dir or settings.output_dir) as folder:
            codes = [_stage(f"{level}.stage").run_stage(settings, folder) for level in settings.levels]
    return max(codes)


def _stage(name: str) -> ModuleType:
    # Imported when needed: --help and --version must not wait for the scientific libraries.
    return importlib.import_module(f"bidsapp.{name}")


def check_folders(settings: Settings) -> None:
    """Raise where the input folder is missing or the output folder would lie inside the input."""
    bids_dir, output_dir = settings.bids_dir, settings.output_dir
    if not bids_dir.is_dir():
        message = (
            f"the BIDS folder {bids_dir} does not exist. Give the folder that holds dataset_description.json."
        )
        raise errors.InputError(message, exit_code=errors.EXIT_NO_INPUT)
    inputs = [bids_dir, *(Path(entry.rpartition("=")[2]) for entry in settings.selection.derivatives)]
    output = output_dir.resolve()
    for folder in map(Path.resolve, inputs):
        if output == folder or (folder in output.parents and folder / "derivatives" not in output.parents):
            better = folder / "derivatives" / "taskglm"
            message = (
                f"the output folder {output_dir} lies inside the input {folder}. Use for example {better}."
            )
            raise SettingsError(message)


# Arguments -> settings


def parse_arguments(argv: Sequence[str]) -> Namespace:
    """Return the parsed arguments; raise SettingsError on wrong usage."""
    parser = make_parser()
    words = [_with_dashes(argument) for argument in _join_values(_fill_in_names(argv))]
    arguments, others = parser.parse_known_args(words)
    if others:
        known = [flag for action in parser._actions for flag in action.option_strings]
        raise SettingsError(f"unknown argument {others[0]!r}{_near(others[0], known)} See --help.")
    unknown = [level for level in arguments.analysis_level if level not in LEVELS]
    if unknown:
        message = (
            f"unknown analysis level {unknown[0]!r}{_near(unknown[0], LEVELS)} Levels: {', '.join(LEVELS)}."
        )
        raise SettingsError(message, exit_code=errors.EXIT_UNKNOWN_LEVEL)
    return arguments


def make_settings(arguments: Namespace) -> Settings:
    """Return the settings: flags, then the configuration file, then the defaults."""
    given = {**_read_config(arguments.config_file), **_given(arguments)}
    return Settings(
        Path(arguments.bids_dir),
        Path(arguments.output_dir),
        tuple(level for level in LEVELS if level in arguments.analysis_level),
        selection=make_part(Selection, given),
        model=make_part(ModelOptions, given),
        run=make_part(RunOptions, given),
        group=make_part(GroupOptions, given),
        permutation=make_part(PermutationOptions, given),
        control=make_part(Control, given),
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}. See --help.")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = _Parser(
        prog="run.py",
        description="TaskGLM: task-fMRI statistics on fMRIPrep derivatives, from runs to the group.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("bids_dir", help="Folder of the BIDS dataset, or of the fMRIPrep derivatives.")
    parser.add_argument("output_dir", help="Folder of the results.")
    parser.add_argument("analysis_level", nargs="+", metavar="{participant,group}", help="Level, or both.")
    for title, part in PARTS.items():
        group = parser.add_argument_group(title)
        for setting in fields(part):
            _add_flag(group, setting)
    control = parser.add_argument_group("messages and help")
    control.add_argument(
        "--config-file", metavar="TOML", default=None, help="Settings, by the names of the flags."
    )
    control.add_argument(
        "-v", "--verbose", action="count", default=0, help="Also name each file that this process writes."
    )
    control.add_argument(
        "--quiet", action="store_const", const=2, default=0, help="Only warnings and errors."
    )
    control.add_argument("--version", action="version", version=f"TaskGLM {__version__}")
    control.add_argument(
        "--bids-exec-spec", action=_ShowDescriptor, nargs=0, help="Print the Boutiques descriptor and exit."
    )
    return parser


class _ShowDescriptor(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        from bidsapp.cli.descriptor import make_descriptor

        print(json.dumps(make_descriptor(parser), indent=2))
        parser.exit()


def _add_flag(group: argparse._ArgumentGroup, setting: Field[Any]) -> None:
    details = setting.metadata
    kind = details["kind"]
    flags = ["--" + setting.name.replace("_", "-"), *details.get("aliases", ())]
    options = {"dest": setting.name, "help": details["help"].replace("%", "%%") + _default_text(setting)}
    if kind == "flag":
        group.add_argument(*flags, action="store_true", **options)
        return
    if kind in ("labels", "list", "paths", "words", "names"):
        options["nargs"] = "+"
    if kind == "repeat":
        options["action"] = "append"
    metavar = details.get("metavar") or _metavar(kind, details)
    group.add_argument(*flags, metavar=metavar, **options)


def _metavar(kind: str, details: Details) -> str:
    if details.get("choices"):
        return "{" + ",".join(map(str, details["choices"])) + "}"
    words = {"labels": "LABEL", "label": "LABEL", "list": "NAME", "paths": "PATH", "path": "PATH"}
    return words.get(kind, {"int": "N", "float": "X", "memory": "GB"}.get(kind, "TEXT"))


def _default_text(setting: Field[Any]) -> str:
    default = setting.default
    return (
        ""
        if default in (None, (), False) or "(default" in setting.metadata["help"]
        else f" (default: {default})"
    )


def _fill_in_names(argv: Sequence[str]) -> list[str]:
    """Return the arguments with the value of a flag that takes words and has none.

    Words behind it are its own, unless the level is among them: then they are the app's.
    """
    filled = []
    for place, word in enumerate(argv):
        filled.append(word)
        if word.replace("_", "-") not in BARE_NAMES:
            continue
        behind = list(takewhile(lambda other: not other.startswith("-"), argv[place + 1 :]))
        others = [*argv[:place], *argv[place + 1 + len(behind) :]]
        if not behind or not any(level in others for level in LEVELS):
            filled[-1] += f"={BARE_NAMES[word.replace('_', '-')]}"
    return filled


def _join_values(argv: Sequence[str]) -> list[str]:
    """Return the arguments with ``--dry-run json`` as one: the value of such a flag may be left out."""
    joined: list[str] = []
    for word in argv:
        flag = joined[-1].replace("_", "-") if joined else ""
        if word in BARE_VALUES.get(flag, ()):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _with_dashes(argument: str) -> str:
    if not re.match(r"--[A-Za-z]", argument):
        return argument
    flag, equals, value = argument.partition("=")
    flag = flag.replace("_", "-")
    # Without a value of its own, such a flag would take the analysis level that follows it.
    if not equals and flag in BARE_VALUES:
        equals, value = "=", BARE_VALUES[flag][0]
    return flag + equals + value


def _given(arguments: Namespace) -> dict[str, object]:
    names = {setting.name for part in PARTS.values() for setting in fields(part)}
    return {name: value for name, value in vars(arguments).items() if name in names}


def _read_config(path: str | None) -> dict[str, object]:
    import tomllib

    if path is None:
        return {}
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        message = f"cannot read the configuration file {path}: {error.strerror}."
        raise SettingsError(message, exit_code=errors.EXIT_NO_INPUT) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}.") from error
    known = [setting.name for part in PARTS.values() for setting in fields(part)]
    given = {name.replace("-", "_"): value for name, value in content.items()}
    for name in given:
        if name not in known:
            raise SettingsError(f"{path}: unknown setting {name!r}{_near(name, known)}")
    return given


def make_part(part: type[Part], given: Mapping[str, object]) -> Part:
    """Return a part of the settings with the values that are given, each read and checked."""
    values = {
        setting.name: _read_value(setting, given[setting.name])
        for setting in fields(part)
        if setting.name in given
    }
    return part(**values)


def _read_value(setting: Field[Any], value: object) -> object:
    details = setting.metadata
    flag = "--" + setting.name.replace("_", "-")
    read = READERS[details["kind"]]
    try:
        value = read(value, {**details, "flag": flag})
    except (ValueError, TypeError) as error:
        what = {"int": "a whole number", "float": "a number"}.get(details["kind"], details["kind"])
        raise SettingsError(f"{flag}: cannot read {value!r} as {what}.") from error
    _check_range(flag, value, details)
    choices = details.get("choices")
    if choices and value is not None and value not in choices:
        choices = [str(choice) for choice in choices]
        raise SettingsError(
            f"{flag}: {value!r} is not one of {', '.join(choices)}{_near(str(value), choices)}"
        )
    return value


def _check_range(flag: str, value: Any, details: Details) -> None:
    """Refuse a number that nobody can mean; written so that NaN is refused too."""
    if "least" in details and not value >= details["least"]:
        raise SettingsError(f"{flag}: {value} is less than {details['least']}.")
    if "between" in details:
        low, high = details["between"]
        if not low < value < high:
            percent = f" For {value:g} % write {value / 100:g}." if high <= value <= 100 else ""
            raise SettingsError(f"{flag}: {value:g} is not between {low} and {high}.{percent}")


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


def _read_memory(value: object, _details: Details) -> float:
    match = re.fullmatch(r"([0-9.]+)\s*([kmgt]?)i?b?", str(value).strip().lower())
    if not match:
        raise ValueError(value)
    # A bare number counts as GB; of 512 and more nobody means GB.
    unit = match[2] or ("g" if float(match[1]) < 512 else "m")
    return float(match[1]) * {"k": 1e-6, "m": 1e-3, "g": 1.0, "t": 1e3}[unit]


def _read_flag(value: object, _details: Details) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _read_names(value: object, _details: Details) -> tuple[str, ...]:
    """Read words; in a configuration file also true, for all, and false."""
    if isinstance(value, bool):
        return ("all",) if value else ()
    return tuple(str(item) for item in _as_list(value))


def _as_list(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else [value]


READERS: dict[str, Callable[[Any, Details], object]] = {
    "text": lambda value, _details: str(value),
    "int": lambda value, _details: int(value),
    "float": lambda value, _details: float(value),
    "path": lambda value, _details: Path(value),
    "flag": _read_flag,
    "label": _read_label,
    "labels": _read_labels,
    "list": lambda value, _details: tuple(
        word.strip() for item in _as_list(value) for word in str(item).split(",") if word.strip()
    ),
    "paths": lambda value, _details: tuple(str(item) for item in _as_list(value)),
    "repeat": lambda value, _details: tuple(str(item) for item in _as_list(value)),
    "words": lambda value, _details: tuple(str(item) for item in _as_list(value)),
    "names": _read_names,
    "memory": _read_memory,
}


def _near(word: str, known: Iterable[str]) -> str:
    return did_you_mean(word, known, ".", ", did you mean")


# Messages


def configure_logging(level: int) -> None:
    """Show messages on standard error: warnings when quiet, one line a unit of work, files too with -v."""
    threshold = logging.WARNING if level <= -1 else (logging.DEBUG if level >= 1 else logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger.handlers[:] = [handler]
    logger.setLevel(threshold)
    logger.propagate = False
