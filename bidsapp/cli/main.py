"""The command line: arguments to settings, settings to a stage, errors to an exit code.

The only place that exits, prints or configures logging.
"""

import importlib
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from bidsapp import errors
from bidsapp.cli.parser import LEVELS, parse_arguments
from bidsapp.errors import AppError, SettingsError
from bidsapp.settings.config import NAMES, make_parts, read_config
from bidsapp.settings.declare import flag_of
from bidsapp.settings.parts import GroupOptions, Settings, find_unread

logger = logging.getLogger("bidsapp")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app with the arguments (default: those of the process) and return its exit code."""
    open_closed_streams()
    use_any_terminal()
    try:
        arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
        configure_logging(arguments.verbose - arguments.quiet)
        settings = make_settings(arguments)
        _warn_of_unread(arguments, settings.levels)
        code = run(settings)
        # Now, while a full device can still be told of.
        sys.stdout.flush()
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, errors.Stopped) else signal.SIGINT
        name = signal.Signals(number).name
        _say(f"stopped by {name}: what is finished is kept; the same command goes on from there")
        return errors.EXIT_SIGNAL + number
    except BrokenPipeError:
        return _without_output()
    except Exception as error:
        logger.debug("traceback", exc_info=not isinstance(error, AppError))
        _say(f"error: {errors.in_words(error)}")
        _without_output()
        return errors.exit_code_of(error)
    return code


def open_closed_streams() -> None:
    """Open what the caller closed of standard input, output and error: no other file may be these."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Never closed: they last as long as the process.
    sys.stdout, sys.stderr = sys.stdout or os.fdopen(1, "w"), sys.stderr or os.fdopen(2, "w")


def _say(words: str) -> None:
    """Print a last message; an error that cannot be told is no reason for another."""
    with suppress(OSError):
        print(words, file=sys.stderr)


def _without_output() -> int:
    """Let Python end without writing what standard output cannot take, and return the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return errors.EXIT_IO


def _warn_of_unread(arguments: Namespace, levels: Collection[str]) -> None:
    """Warn of flags that only the other level reads; a configuration file may serve both."""
    for level, names in find_unread(_given(arguments), levels).items():
        flags = ", ".join(map(flag_of, names))
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
    have_home()
    codes: list[int]
    if settings.control.list_participants:
        return int(_stage("cli.listing").show_participants(settings))
    names_atlases = (settings.group.atlas, settings.group.roi) != (GroupOptions().atlas, GroupOptions().roi)
    # The stage does it when its turn comes: after all participants, or never.
    if (
        "group" in settings.levels
        and names_atlases
        and (len(settings.levels) > 1 or settings.control.dry_run)
    ):
        _stage("group.check").check_ahead(settings.group)
    if settings.control.dry_run:
        more = {"foretell": _stage("group.foretell").foretell} if "group" in settings.levels else {}
        codes = [_stage("plan").show_plans(settings, _stage("job.finished").find_work, **more)]
    else:
        with work_folder(settings.control.work_dir or settings.output_dir) as folder:
            codes = [_stage(f"{level}.stage").run_stage(settings, folder) for level in settings.levels]
    return max(codes)


def _stage(name: str) -> ModuleType:
    # Imported when needed: --help and --version must not wait for the scientific libraries.
    return importlib.import_module(f"bidsapp.{name}")


def have_home() -> None:
    """Name a home folder where the user has none that may be entered: libraries look for it early."""
    with suppress(RuntimeError):
        if os.access(Path.home(), os.X_OK):
            return
    os.environ["HOME"] = "/"


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


def make_settings(arguments: Namespace) -> Settings:
    """Return the settings: flags, then the configuration file, then the defaults."""
    return Settings(
        Path(arguments.bids_dir),
        Path(arguments.output_dir),
        tuple(level for level in LEVELS if level in arguments.analysis_level),
        **make_parts(read_config(arguments.config_file) | _given(arguments)),
    )


def _given(arguments: Namespace) -> dict[str, object]:
    return {name: value for name, value in vars(arguments).items() if name in NAMES}


def configure_logging(level: int) -> None:
    """Show messages on standard error: warnings when quiet, one line a unit of work, files too with -v."""
    threshold = logging.WARNING if level <= -1 else (logging.DEBUG if level >= 1 else logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger.handlers[:] = [handler]
    logger.setLevel(threshold)
    logger.propagate = False
