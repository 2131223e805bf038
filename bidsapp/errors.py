"""The errors a user can fix, and the exit code each one ends the app with.

AppError
    InputError     the dataset (files, tables, images)
    ModelError     the model file
    SettingsError  the command line or configuration file

Exit codes follow the BIDS execution specification; see README.
"""

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
