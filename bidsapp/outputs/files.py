"""Atomic writes: a file is complete under its name, or it is not there."""

import fcntl
import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bidsapp.errors import EXIT_CANNOT_CREATE, InputError

logger = logging.getLogger(__name__)
TEMPORARY_PREFIX = ".unfinished-"


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; rename it to ``path`` when the block succeeds.

    The temporary name keeps the extension, which decides how some libraries write. Several processes may
    write the same path, on several machines: each has its own temporary file and the last rename wins. (A
    process number would not do: in containers it is the same for many.)
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{path.name}"
    try:
        yield temporary
        temporary.replace(path)
        logger.debug("wrote %s", path)
    except OSError as error:
        message = (
            f"cannot write {path}: {error.strerror or error}. Check the folder's permissions and free space."
        )
        raise InputError(message, exit_code=EXIT_CANNOT_CREATE) from error
    finally:
        # Where nothing can be removed either, that is not the error to tell.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def holding(lock: Path) -> Iterator[None]:
    """Hold a lock while the block runs; another process that wants it waits, on any machine that sees it.

    The file is there only as long as it is held. A file system without locks lets nobody wait.
    """
    make_folder(lock.parent)
    while True:
        with lock.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("%s: another job is at work there; waiting for it", lock.stem.lstrip("."))
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                logger.debug("no locks for %s", lock)
            # Who held it may have removed it meanwhile.
            if not _is_of(file.fileno(), lock):
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_of(number: int, path: Path) -> bool:
    """Whether an open file is the one of this name."""
    try:
        return path.stat().st_ino == os.fstat(number).st_ino
    except FileNotFoundError:
        return False


def make_folder(path: Path | str) -> None:
    """Make a folder and its parents; a clear error where that is not allowed."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot create the folder {path}: {error.strerror}. Choose another output or work folder."
        raise InputError(message, exit_code=EXIT_CANNOT_CREATE) from error


def write_text(path: Path | str, text: str) -> None:
    """Write text as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: object) -> None:
    """Write content as indented JSON; the order of keys is kept, NaN becomes null."""
    write_text(path, json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path | str) -> dict[str, Any]:
    """Return the object in a JSON file of the output folder; empty where there is no file, or no object.

    Raises
    ------
    InputError
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        message = f"{path} is not a readable JSON file ({error}). Remove it, and run its stage again."
        raise InputError(message) from error
    return content if isinstance(content, dict) else {}


def remove_unfinished(folder: Path | str) -> None:
    """Remove the temporary files that a killed process left below a folder."""
    for path in Path(folder).rglob(f"{TEMPORARY_PREFIX}*"):
        path.unlink(missing_ok=True)


def _plain(value: object) -> object:
    """Return value made of plain JSON types; numpy scalars and arrays, paths and tuples are converted."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value
