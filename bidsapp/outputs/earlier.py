"""What an earlier analysis left in the output folder: whether it is whole, and what of it is outdated.

A record names every file of its analysis (docs/records.md). ``top`` is the folder of these files, ``sub-01``
or ``group``: a record is a file that anybody may have edited, so nothing outside of it is ever touched.
"""

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from bidsapp.errors import InputError
from bidsapp.names import sidecar_path
from bidsapp.outputs.files import read_json
from bidsapp.outputs.saved.files import AnyRecord, as_document, find_record
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.outputs.saved.participant import SubjectRecord

# Keys whose paths are inputs, or no paths.
OTHER_KEYS = ("files", "inputs", "anatomy", "background", "settings", "command", "written")
KEPT_SUFFIX = ".before"


def find_finished(path: Path, kind: type[AnyRecord], fingerprint: str) -> AnyRecord | None:
    """Return the record at a path where it is of complete work, made from the same, whose files are whole."""
    record = find_record(path, kind)
    return None if why_again(path, record, fingerprint) else record


def why_again(path: Path, record: SubjectRecord | GroupRecord | None, fingerprint: str) -> str:
    """Return why the work of the record at a path is to be done; empty where it is finished."""
    if record is None:
        return "not done yet"
    if record.status != "complete":
        return f"{record.status} before"
    if record.fingerprint != fingerprint:
        return "an input, the model, a setting or the version changed"
    return _find_damage(path, record.written)


def take_record(path: Path, top: str) -> set[str]:
    """Put a record aside while its work is done again, and return the files below ``top`` that it names.

    It is kept until `drop_record`: where the work is interrupted, the next call still knows its files. Those
    of other versions count, whose records have other keys.
    """
    kept = _kept(path)
    if path.exists():
        path.replace(kept)
    with suppress(InputError):
        return files_of(read_json(kept), top)
    return set()


def drop_record(path: Path) -> None:
    """Remove the record that `take_record` put aside."""
    _kept(path).unlink(missing_ok=True)


def _kept(path: Path) -> Path:
    return path.with_name(path.name + KEPT_SUFFIX)


def files_of(record: object, top: str) -> set[str]:
    """Return the paths below ``top`` that a record names, relative to the output folder."""
    found = (text for text in _texts(as_document(record)) if text.startswith(f"{top}/"))
    return {text for text in found if text.endswith((".nii.gz", ".tsv"))}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in OTHER_KEYS:
                yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def measure_files(output_dir: Path, record: object, top: str) -> dict[str, int]:
    """Return path -> size in bytes of every file that a record names, the sidecars included."""
    paths = [Path(output_dir, name) for name in _with_sidecars(files_of(record, top))]
    return {str(path.relative_to(output_dir)): path.stat().st_size for path in paths if path.is_file()}


def _with_sidecars(paths: Iterable[str]) -> list[str]:
    return sorted({name for path in paths for name in (path, sidecar_path(path))})


def _find_damage(record: Path, sizes: Mapping[str, int] | None) -> str:
    """Return which file is not as it was written; those changed after the record are unpacked."""
    if sizes is None:
        return "an earlier version did not record its files"
    folder = record.parent.parent
    time = record.stat().st_mtime_ns
    found = {name: _stat(folder / name) for name in sizes}
    changed = [name for name, now in found.items() if now is not None and now.st_mtime_ns > time]
    for name, size in sizes.items():
        now = found[name]
        if now is None:
            return f"{name} is missing"
        if now.st_size != size or (name in changed and not _is_readable(folder / name)):
            return f"{name} is damaged"
    if changed:
        # A copy of the folder has times of its own: once is enough to have read it.
        with suppress(OSError):
            record.touch()
    return ""


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _is_readable(path: Path) -> bool:
    """Whether a compressed file is what was packed, by its own check sum; others are taken as they are."""
    if path.suffix != ".gz":
        return True
    try:
        gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error):
        return False
    return True


def remove_outdated(output_dir: Path, before: set[str], after: object, top: str) -> int:
    """Remove the files ``before`` that the record ``after`` does not name; return how many.

    The group stage would take the maps of a participant, and a reader those of the group.
    """
    folder = (Path(output_dir) / top).resolve()
    outdated = before - files_of(after, top)
    for path in _with_sidecars(outdated):
        if Path(output_dir, path).resolve().is_relative_to(folder):
            Path(output_dir, path).unlink(missing_ok=True)
    return len(outdated)
