"""Fingerprints of what a unit of work was made from: how a rerun knows that nothing changed."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bidsapp.version import __version__


def make_fingerprint(*parts):
    """Return a digest of the app's version, settings, tables, arrays and files.

    Parameters
    ----------
    *parts : dict, list, str, number, ndarray, dataclass or Path
        A path stands for its name, size and time of change, not for its content.
    """
    digest = hashlib.sha256(__version__.encode())
    for part in parts:
        digest.update(_as_bytes(part))
    return digest.hexdigest()[:32]


def read_finished(path, fingerprint):
    """Return the record at ``path`` where it is complete, unchanged and all its files are there, or None."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("fingerprint") != fingerprint:
        return None
    output_dir = Path(path).parent.parent
    complete = record.get("status") == "complete" and all((output_dir / f).exists() for f in record["files"])
    return record if complete else None


def _as_bytes(part):
    if isinstance(part, Path):
        found = part.stat()
        return f"{part.name} {found.st_size} {found.st_mtime_ns}".encode()
    if isinstance(part, np.ndarray):
        return str(part.shape).encode() + np.ascontiguousarray(part).tobytes()
    if hasattr(part, "__dataclass_fields__"):
        part = asdict(part)
    return json.dumps(part, sort_keys=True, default=str).encode()
