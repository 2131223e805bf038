"""Zips that are the same bytes for the same content."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from bidsapp.errors import InputError
from bidsapp.outputs.files import replacing

# The first that a zip can tell; those of the files would differ between copies of the same results.
TIME = (1980, 1, 1, 0, 0, 0)
PACKED = (".gz", ".zip", ".png")


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files, name -> content, in the order of their names."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, TIME)
            entry.external_attr, entry.create_system = 0o644 << 16, 3
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(PACKED) else zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])


def read_bytes(folder: Path, path: str) -> bytes:
    """Return the content of a file of the output folder.

    Raises
    ------
    InputError
    """
    try:
        return (folder / path).read_bytes()
    except OSError as error:
        message = f"{folder / path} cannot be exported ({error.strerror}). Run the group level again."
        raise InputError(message) from error


def digest(content: bytes, kind: str = "sha256") -> str:
    """Return a digest as hexadecimal digits."""
    return hashlib.new(kind, content).hexdigest()
