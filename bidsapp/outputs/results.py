"""Reads an output folder back: the records of finished work, their maps and tables (docs/records.md)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import nibabel as nib
import numpy as np
import pandas as pd

from bidsapp.errors import InputError
from bidsapp.names import GROUP_RECORDS, SUBJECT_RECORDS, record_path, sidecar_path
from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.records.documents import Document

# The keys that may be absent, by the list that holds the objects (docs/records.md); read as None.
OPTIONAL = {
    None: ("message", "command", "group_by", "formula", "graph", "coverage", "background", "qc"),
    "runs": ("motion", "vif", "anatomy"),
    "estimates": ("left_out", "units"),
    "subjects": ("coverage", "covariates"),
    "contrasts": (
        "design", "excluded", "units", "input_units", "inputs", "influence", "nulls", "permutation",
        "discoveries", "estimand", "main_threshold",
    ),
    "thresholds": (
        "scale", "reason", "forming", "forming_p", "surviving", "p_map", "labels", "peak_effects", "clusters",
        "peaks",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A map as a volume: values, shape (x, y, z), and voxel indices to mm."""

    values: Numbers
    affine: Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """One record of an output folder and what it names.

    ``record`` is the JSON object; see docs/records.md.
    """

    folder: Path
    record: Document

    @property
    def name(self) -> str:
        """What the record is about: ``sub-01``, or the node of a group record."""
        return f"sub-{self.record['subject']}" if "subject" in self.record else self.record["node"]

    def has(self, path: str | None) -> TypeGuard[str]:
        """Whether a path of the record is given and there."""
        return (self.folder / path).is_file() if path else False

    def read_map(self, path: str) -> Volume:
        """Return a map of the record as a Volume of float32."""
        return _read_volume(self.folder / path)

    def read_table(self, path: str) -> pd.DataFrame:
        """Return a table of the record; ``n/a`` is missing."""
        return pd.read_csv(self.folder / path, sep="\t", na_values="n/a", keep_default_na=False)

    def describe(self, path: str) -> Document:
        """Return the column descriptions of a table: its JSON sidecar, empty where there is none."""
        sidecar = self.folder / sidecar_path(path)
        return json.loads(sidecar.read_text(encoding="utf-8")) if sidecar.is_file() else {}


def read_subject_results(output_dir: Path | str, subject: str) -> Results:
    """Return the results of one subject."""
    return _read_record(Path(output_dir), record_path(subject))


def read_all_subject_results(output_dir: Path | str) -> list[Results]:
    """Return the results of every subject that has a record, in the order of their labels."""
    return _read_all(Path(output_dir), SUBJECT_RECORDS)


def read_group_results(output_dir: Path | str) -> list[Results]:
    """Return the results of every Dataset node that has a record, in the order of their names."""
    return _read_all(Path(output_dir), GROUP_RECORDS)


def _read_all(folder: Path, pattern: str) -> list[Results]:
    found = []
    for path in sorted(folder.glob(pattern)):
        try:
            found.append(_read_record(folder, str(path.relative_to(folder))))
        except InputError:
            # Taken away since, by a job that does its subject again; anything else is a fault.
            if path.exists():
                raise
    return found


def _read_record(folder: Path, path: str) -> Results:
    try:
        record = json.loads((folder / path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"{folder / path} is not there. Run the stage that writes it before its report."
        raise InputError(message) from error
    except json.JSONDecodeError as error:
        message = f"{folder / path} is not valid JSON ({error}). Remove it and run its stage again."
        raise InputError(message) from error
    return Results(folder, _complete(record))


def _complete(entry: Document, kind: str | None = None) -> Document:
    """Return an object of a record with None for the keys that may be absent and are."""
    full = {**dict.fromkeys(OPTIONAL.get(kind, ())), **entry}
    for name, value in full.items():
        if name in OPTIONAL and isinstance(value, list):
            full[name] = [_complete(item, name) if isinstance(item, dict) else item for item in value]
    return full


def _read_volume(path: Path) -> Volume:
    try:
        image = nib.load(path)
        if not isinstance(image, nib.spatialimages.SpatialImage):
            raise nib.filebasedimages.ImageFileError("not a volume")
        values = np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, nib.filebasedimages.ImageFileError) as error:
        raise InputError(f"{path} cannot be read ({error}). Run its stage again.") from error
    return Volume(values, image.affine)
