"""The errors a user can fix, the exit code each one ends the app with, and the notes that are warnings.

AppError
    InputError     the dataset (files, tables, images)
    ModelError     the model file
    SettingsError  the command line or configuration file

Exit codes follow the BIDS execution specification; see README.
"""

import difflib
import logging
import traceback
from pathlib import Path

# So many lines of a file are told where a note is on many.
MAX_LINES = 6
# So many faults are told where a dataset has many.
MAX_FAULTS_SHOWN = 20
# So many names are told where another was meant.
MAX_NAMES = 12
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


class AppError(Exception):
    """An error with a remedy: the message says what, where, and what to do."""

    exit_code = EXIT_FAILURE

    def __init__(self, message, *, exit_code=None):
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code


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

    def __new__(cls, words, lines=(), file="model"):
        """Return the note, with its file and lines before the words."""
        shown = ", ".join(map(str, lines[:MAX_LINES])) + (", ..." if len(lines) > MAX_LINES else "")
        where = f"{file}, line{'s' if len(lines) > 1 else ''} {shown}: " if lines else ""
        note = super().__new__(cls, where + words)
        note.lines = lines
        return note


class ModelCaution(ModelNote, Caution):
    """A note on a model that is a warning."""

    __slots__ = ()


def in_words(error):
    """Return an error in words; of one that is no fault of the user, where it was raised."""
    if isinstance(error, AppError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}, line {frame.lineno}"
    return f"unexpected {type(error).__name__}: {error} ({where}). This is a fault of TaskGLM: report it."


def in_lines(faults):
    """Return faults as lines: as many as anybody reads, and how many more there are."""
    more = len(faults) - MAX_FAULTS_SHOWN
    return "\n".join([*faults[:MAX_FAULTS_SHOWN], *([f"... and {more} more faults."] if more > 0 else [])])


def did_you_mean(name, known):
    """Return the end of a sentence: the near matches of a name, or else what is known, the first of many."""
    known = [str(item) for item in known]
    # Capitals are no difference: ONSET is near onset.
    spelled = {item.casefold(): item for item in reversed(known)}
    near = [spelled[key] for key in difflib.get_close_matches(str(name).casefold(), spelled, n=3, cutoff=0.6)]
    if near:
        return f"; did you mean {' or '.join(map(repr, near))}?"
    return f"; known are {first_names(known)}" if known else "."


def first_names(names):
    """Return the end of a sentence: names, the first of many."""
    names = list(map(str, names))
    return ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else ".")


def tell_names(names):
    """Return a sentence with the names that there are, the first of many, or that there are none."""
    names = list(names)
    return f"There are: {first_names(names)}" if names else "There are none."


def about(label, note):
    """Return a note with what it is about before it; a caution stays one."""
    return type(note)(f"{label}: {note}")


def find_cautions(notes):
    """Return the notes that are warnings, each once."""
    return [note for note in dict.fromkeys(notes) if isinstance(note, Caution)]


def log_notes(logger, notes):
    """Log notes, cautions as warnings."""
    for note in notes:
        logger.log(logging.WARNING if isinstance(note, Caution) else logging.INFO, "%s", note)
