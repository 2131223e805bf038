"""The parser of the command line, made from ``settings/parts.py``, and the words that it is given."""

import argparse
import json
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import fields
from itertools import takewhile
from typing import Any, NoReturn

from bidsapp.errors import EXIT_UNKNOWN_LEVEL, SettingsError
from bidsapp.settings.declare import Setting, choices_of, flag_of, kind_of, near
from bidsapp.settings.parts import PARTS
from bidsapp.version import __version__

LEVELS = ("participant", "group")
# Flags whose value may be left out: the values, first the one that is then meant.
BARE_VALUES = {"--dry-run": ("text", "json"), "--list-participants": ("all", "unfinished")}
# The same for flags that take any words.
BARE_NAMES = {"--across-contrasts": "all"}
LISTS = ("labels", "list", "paths", "words", "names")
METAVARS = {"labels": "LABEL", "label": "LABEL", "list": "NAME", "paths": "PATH", "path": "PATH"}
METAVARS |= {"int": "N", "float": "X", "memory": "GB"}
EPILOG = """\
Flags may be written with - or _, labels with or without their prefix, lists with spaces or commas.
Exit codes: 0 done; 1 a participant, group model or report failed; 16 not a BIDS dataset; 17 unknown level;
18 nothing selected; 64 wrong usage; 65 faulty data or model; 66 input missing; 73 cannot create output;
74 input/output; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM.
"""


def parse_arguments(argv: Sequence[str]) -> Namespace:
    """Return the parsed arguments; raise SettingsError on wrong usage."""
    parser = make_parser()
    arguments, others = parser.parse_known_args(_fill_in(argv))
    if others:
        known = [flag for action in parser._actions for flag in action.option_strings]
        raise SettingsError(f"unknown argument {others[0]!r}{near(others[0], known)} See --help.")
    unknown = [level for level in arguments.analysis_level if level not in LEVELS]
    if unknown:
        message = (
            f"unknown analysis level {unknown[0]!r}{near(unknown[0], LEVELS)} Levels: {', '.join(LEVELS)}."
        )
        raise SettingsError(message, exit_code=EXIT_UNKNOWN_LEVEL)
    return arguments


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


def _add_flag(group: argparse._ArgumentGroup, setting: Setting) -> None:
    details, kind = setting.metadata, kind_of(setting)
    flags = [flag_of(setting.name), *details.get("aliases", ())]
    options = {"dest": setting.name, "help": details["help"].replace("%", "%%") + _default_text(setting)}
    if kind == "flag":
        group.add_argument(*flags, action="store_true", **options)
        return
    if kind in LISTS:
        options["nargs"] = "+"
    if kind == "repeat":
        options["action"] = "append"
    choices = ",".join(map(str, choices_of(setting)))
    metavar = details.get("metavar") or (f"{{{choices}}}" if choices else METAVARS.get(kind, "TEXT"))
    group.add_argument(*flags, metavar=metavar, **options)


def _default_text(setting: Setting) -> str:
    is_told = setting.default not in (None, (), False) and "(default" not in setting.metadata["help"]
    return f" (default: {setting.default})" if is_told else ""


def _fill_in(argv: Sequence[str]) -> list[str]:
    """Return the arguments, flags with dashes, with the values of flags that may have none.

    Without a value of its own, such a flag would take the analysis level that follows it. Where it takes any
    words, those behind it are its own, unless the level is among them: then they are the app's.
    """
    words = [_with_dashes(word) for word in argv]
    filled: list[str] = []
    while words:
        word = words.pop(0)
        if word in BARE_VALUES:
            is_given = bool(words) and words[0] in BARE_VALUES[word]
            word += "=" + (words.pop(0) if is_given else BARE_VALUES[word][0])
        elif word in BARE_NAMES:
            behind = list(takewhile(lambda other: not other.startswith("-"), words))
            if not behind or not {*filled, *words[len(behind) :]} & set(LEVELS):
                word += f"={BARE_NAMES[word]}"
        filled.append(word)
    return filled


def _with_dashes(argument: str) -> str:
    flag, equals, value = argument.partition("=")
    return flag.replace("_", "-") + equals + value if re.match(r"--[A-Za-z]", argument) else argument
