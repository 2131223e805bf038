"""The errors a user can fix, the exit code each one ends the app with, and the notes that are warnings.

AppError
    InputError     the dataset (files, tables, images)
    ModelError     the model file
    SettingsError  the command line or configuration file

Exit codes follow the BIDS execution specification; see README.
"""

import difflib
import errno
import logging
import resource
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

# So many lines of a file are told where a note is on many.
MAX_LINES = 6
# So many faults are told where a dataset has many.
MAX_FAULTS_SHOWN = 20
# So many names are told where another was meant.
MAX_NAMES = 12
# Characters of a name that are compared with others: the time grows with their square.
MAX_SEARCHED = 80
EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_NOT_BIDS = 16
EXIT_UNKNOWN_LEVEL = 17
EXIT_NOTHING_SELECTED = 18
EXIT_USAGE = 64
EXIT_DATA = 65
EXIT_NO_INPUT = 66
EXIT_CANNOT_CREATE = 73
EXIT_IO = 74
# Beyond it the number of the signal that ended the app, as shells count.
EXIT_SIGNAL = 128
FAULT = "This is a fault of TaskGLM: report it."
# A limit of the process (-1: none) -> what every job needs of it.
SMALL_LIMITS = {
    resource.RLIMIT_AS: (1_500_000_000, "bytes of address space"),
    resource.RLIMIT_NOFILE: (64, "open files"),
}
# Where nothing can be written: full, over the quota, read-only, larger than a file may be.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


class AppError(Exception):
    """An error with a remedy: the message says what, where, and what to do."""

    exit_code = EXIT_FAILURE

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code


class Stopped(KeyboardInterrupt):
    """A signal asks the app to end; ``number`` is that of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class InputError(AppError):
    """A fault of the dataset."""

    exit_code = EXIT_DATA


class ModelError(AppError):
    """A fault of the model file."""

    exit_code = EXIT_DATA


class SettingsError(AppError):
    """A fault of the command line or configuration file."""

    exit_code = EXIT_USAGE


class Caution(str):
    """A note that results depend on: a warning on the terminal and in the sidecars of what it touches."""

    __slots__ = ()


class ModelNote(str):
    """A note on what of a model was read otherwise than written; ``lines`` are those of its file, from 1."""

    __slots__ = ("lines",)
    lines: Sequence[int]

    def __new__(cls, words: str, lines: Sequence[int] = (), file: str = "model") -> Self:
        """Return the note, with its file and lines before the words."""
        shown = ", ".join(map(str, lines[:MAX_LINES])) + (", ..." if len(lines) > MAX_LINES else "")
        where = f"{file}, line{'s' if len(lines) > 1 else ''} {shown}: " if lines else ""
        note = super().__new__(cls, where + words)
        note.lines = lines
        return note


class ModelCaution(ModelNote, Caution):
    """A note on a model that is a warning."""

    __slots__ = ()


def in_words(error: BaseException) -> str:
    """Return an error in words; of one that is no fault of the user, where it was raised."""
    if isinstance(error, AppError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}."
    if isinstance(error, MemoryError) or "can't start new thread" in str(error):
        return (
            "no more memory, threads or processes may be had. Raise the limits of the job, or lower --n-cpus."
        )
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}, line {frame.lineno}"
    small = _small_limits()
    remedy = f"The job may use {small} only: raise its limits." if small else FAULT
    return f"unexpected {type(error).__name__}: {error} ({where}). {remedy}"


def _small_limits() -> str:
    """Return the limits of the job that libraries fail under, each in its own way; empty without any."""
    limits = {kind: resource.getrlimit(kind)[0] for kind in SMALL_LIMITS}
    return " and ".join(
        f"{limits[kind]:,} {words}"
        for kind, (least, words) in SMALL_LIMITS.items()
        if 0 < limits[kind] < least
    )


def exit_code_of(error: BaseException) -> int:
    """Return the exit code that an error ends the app with."""
    if isinstance(error, AppError):
        return error.exit_code
    if isinstance(error, OSError):
        if error.errno in UNWRITABLE:
            return EXIT_CANNOT_CREATE
        is_input = isinstance(error, FileNotFoundError | PermissionError) and error.filename is not None
        return EXIT_NO_INPUT if is_input else EXIT_IO
    return EXIT_FAILURE


def check_output(error: Exception) -> None:
    """Raise an error again where the output folder can not be written: nobody else has a chance then."""
    if exit_code_of(error) == EXIT_CANNOT_CREATE:
        raise error


def in_lines(faults: Sequence[str]) -> str:
    """Return faults as lines: as many as anybody reads, and how many more there are."""
    more = len(faults) - MAX_FAULTS_SHOWN
    return "\n".join([*faults[:MAX_FAULTS_SHOWN], *([f"... and {more} more faults."] if more > 0 else [])])


def near_names(
    name: object, known: Iterable[object], *, n: int = 1, cutoff: float = 0.6, fold: bool = False
) -> list[str]:
    """Return the known names that are nearest to a name; with ``fold`` capitals are no difference."""
    plain = str.casefold if fold else str
    spelled = {plain(word): word for word in reversed(list(map(str, known)))}
    found = difflib.get_close_matches(plain(str(name)[:MAX_SEARCHED]), spelled, n=n, cutoff=cutoff)
    return [spelled[word] for word in found]


def did_you_mean(
    name: object, known: Iterable[object], otherwise: str = "", begin: str = "Did you mean"
) -> str:
    """Return a question after the known name that is nearest, or what to say where none is near."""
    near = near_names(name, known)
    return f"{begin} {near[0]!r}?" if near else otherwise


def near_or_there(name: object, known: Iterable[object]) -> str:
    """Return a sentence: the nearest of the names, in any case, or which there are."""
    words = list(map(str, known))
    near = near_names(name, words, fold=True)
    return f"Did you mean {near[0]!r}?" if near else tell_names(words)


def near_or_known(name: object, known: Iterable[object]) -> str:
    """Return the end of a sentence: the near matches of a name, in any case, or else what is known."""
    words = list(map(str, known))
    near = near_names(name, words, n=3, fold=True)
    if near:
        return f"; did you mean {' or '.join(map(repr, near))}?"
    return f"; known are {first_names(words)}" if words else "."


def some_names(names: Iterable[object], most: int = 6) -> str:
    """Return names, and how many more there are than the first of them."""
    words = list(map(str, names))
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def first_names(names: Iterable[object]) -> str:
    """Return the end of a sentence: names, the first of many."""
    words = list(map(str, names))
    return ", ".join(words[:MAX_NAMES]) + (", ..." if len(words) > MAX_NAMES else ".")


def tell_names(names: Iterable[object]) -> str:
    """Return a sentence with the names that there are, the first of many, or that there are none."""
    names = list(names)
    return f"There are: {first_names(names)}" if names else "There are none."


def by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Return reason -> the names that have it, of name -> reason."""
    found: dict[str, list[str]] = {}
    for name, why in reasons.items():
        found.setdefault(why, []).append(name)
    return found


def about(label: str, note: str) -> str:
    """Return a note with what it is about before it; a caution stays one."""
    return type(note)(f"{label}: {note}")


def find_cautions(notes: Iterable[str]) -> list[Caution]:
    """Return the notes that are warnings, each once."""
    return [note for note in dict.fromkeys(notes) if isinstance(note, Caution)]


def log_notes(logger: logging.Logger, notes: Iterable[str]) -> None:
    """Log notes, cautions as warnings."""
    for note in notes:
        logger.log(logging.WARNING if isinstance(note, Caution) else logging.INFO, "%s", note)
