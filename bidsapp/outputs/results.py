"""Reads an output folder back: the records of finished work, their maps and tables (docs/records.md)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeAlias, TypeGuard

import nibabel as nib
import numpy as np
import pandas as pd

from bidsapp.errors import InputError
from bidsapp.names import GROUP_RECORDS, SUBJECT_RECORDS, record_path, sidecar_path
from bidsapp.outputs.files import read_json
from bidsapp.outputs.saved.files import AnyRecord, read_record
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.outputs.saved.participant import SubjectRecord
from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.records.documents import Document


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A map as a volume: values, shape (x, y, z), and voxel indices to mm."""

    values: Numbers
    affine: Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Results(Generic[AnyRecord]):
    """One record of an output folder and what it names."""

    folder: Path
    record: AnyRecord

    @property
    def name(self) -> str:
        """What the record is about: ``sub-01``, or the node of a group record."""
        record = self.record
        return f"sub-{record.subject}" if isinstance(record, SubjectRecord) else record.node

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
        return read_json(self.folder / sidecar_path(path))


SubjectResults: TypeAlias = Results[SubjectRecord]
GroupResults: TypeAlias = Results[GroupRecord]


def read_subject_results(output_dir: Path | str, subject: str) -> SubjectResults:
    """Return the results of one subject."""
    folder = Path(output_dir)
    return Results(folder, read_record(folder / record_path(subject), SubjectRecord))


def read_all_subject_results(output_dir: Path | str) -> list[SubjectResults]:
    """Return the results of every subject that has a record, in the order of their labels."""
    return _read_all(Path(output_dir), SUBJECT_RECORDS, SubjectRecord)


def read_group_results(output_dir: Path | str) -> list[GroupResults]:
    """Return the results of every Dataset node that has a record, in the order of their names."""
    return _read_all(Path(output_dir), GROUP_RECORDS, GroupRecord)


def _read_all(folder: Path, pattern: str, kind: type[AnyRecord]) -> list[Results[AnyRecord]]:
    found = []
    for path in sorted(folder.glob(pattern)):
        try:
            found.append(Results(folder, read_record(path, kind)))
        except InputError:
            # Taken away since, by a job that does its subject again; anything else is a fault.
            if path.exists():
                raise
    return found


def _read_volume(path: Path) -> Volume:
    try:
        image = nib.load(path)
        if not isinstance(image, nib.spatialimages.SpatialImage):
            raise nib.filebasedimages.ImageFileError("not a volume")
        values = np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, nib.filebasedimages.ImageFileError) as error:
        raise InputError(f"{path} cannot be read ({error}). Run its stage again.") from error
    return Volume(values, image.affine)
