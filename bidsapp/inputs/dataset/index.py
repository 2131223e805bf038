"""The index of a dataset: which files there are, by pybids, and which of them apply to a run.

Entities are kept by their short names as spelled in the file's name (``run`` may be "01"); two indices
are the same when their numbers are (``run-01`` and ``run-1``).
"""

import json
import logging
import math
import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeGuard

from bids.layout import BIDSLayout, BIDSLayoutIndexer, Query

from bidsapp.errors import (
    EXIT_CANNOT_CREATE,
    EXIT_NO_INPUT,
    EXIT_NOT_BIDS,
    InputError,
    SettingsError,
    near_or_known,
)
from bidsapp.inputs.fetched import check_fetched, is_named
from bidsapp.records.documents import Document
from bidsapp.records.model import LONG_NAMES

logger = logging.getLogger(__name__)

# pybids indexes every file it meets (14-20 s for 100 subjects of fMRIPrep); these are never asked for.
IGNORED = (
    r"^/(?!sub-)[^/.]+$",
    r"^/(?!sub-)[^/]+/",
    r"/(anat|figures|dwi|perf|fmap|beh|eeg|meg|pet|log|logs|sourcedata)(/|$)",
    r"\.(html|svg|h5|txt|png|csv|surf\.gii|shape\.gii|label\.gii)$",
)
# Entities that count: their labels are equal when the numbers are.
INDICES = ("run", "echo")
KINDS = ("bold", "mask", "events", "confounds", "effect", "variance")
# The entities that pybids knows by their long names alone, which filter files may name by the short ones.
PYBIDS_NAMES = {key: LONG_NAMES[key] for key in ("sub", "ses", "acq", "ce", "rec", "dir")}


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file with the entities, suffix and extension of its name."""

    path: Path
    entities: dict[str, str]
    suffix: str
    extension: str


def parse_name(path: Path | str) -> IndexedFile:
    """Return the file with what its name says."""
    path = Path(path)
    stem, dot, extension = path.name.partition(".")
    parts = stem.split("_")
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    suffix = parts[-1] if "-" not in parts[-1] else ""
    return IndexedFile(path, entities, suffix, dot + extension)


def is_label(text: str) -> bool:
    """Whether a text can be the label of an entity: letters and digits, as of BIDS; also "+"."""
    return re.fullmatch(r"[0-9A-Za-z+]+", text) is not None


def find_stray_part(file: IndexedFile) -> str | None:
    """Return the part of a file's name that is neither entity nor suffix, as of a label with "_"; or None."""
    parts = file.path.name.partition(".")[0].split("_")[:-1]
    # fMRIPrep before 1.2 wrote task-x_bold_space-y_preproc.
    alone = next((part for part in parts if "-" not in part and part != "bold"), None)
    return alone or next(
        (f"{key}-{label}" for key, label in file.entities.items() if not is_label(label)), None
    )


def same_label(entity: str, first: str, second: str) -> bool:
    """Whether two labels of an entity mean the same."""
    if first == second:
        return True
    counted = entity in INDICES and first.isdecimal() and second.isdecimal()
    return counted and int(first) == int(second)


def applies(file: IndexedFile, entities: Mapping[str, str]) -> bool:
    """Whether every entity in the file's name is among these entities, with the same label."""
    return all(
        key in entities and same_label(key, label, entities[key]) for key, label in file.entities.items()
    )


def most_specific(
    files: Iterable[IndexedFile], entities: Mapping[str, str], ignoring: Collection[str] = ()
) -> list[IndexedFile]:
    """Return the files that apply to these entities and are most specific: deepest, then most entities.

    Parameters
    ----------
    files : iterable of IndexedFile
    entities : dict
    ignoring : sequence of str
        Entities of the files that do not count, such as ``desc``.
    """
    found = []
    for file in files:
        labels = {key: label for key, label in file.entities.items() if key not in ignoring}
        if applies(IndexedFile(file.path, labels, file.suffix, file.extension), entities):
            found.append(((len(file.path.parts), len(labels)), file))
    best = max((rank for rank, _ in found), default=None)
    return [file for rank, file in found if rank == best]


def inherited_metadata(sidecars: Iterable[IndexedFile], entities: Mapping[str, str]) -> Document:
    """Return the metadata of the sidecars that apply, the more specific ones overriding the others."""
    applying = [file for file in sidecars if applies(file, entities)]
    metadata: Document = {}
    for file in sorted(applying, key=lambda file: (len(file.path.parts), len(file.entities))):
        metadata |= read_json(file.path)
    return metadata


def read_json(path: Path) -> Document:
    """Return the object in a JSON file; InputError names the file and the line of a fault."""
    check_fetched(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        content = json.loads(text, object_pairs_hook=partial(_as_dict, Path(path)))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    except (OSError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path} is not valid JSON (line {error.lineno}: {error.msg}). Correct it."
        ) from error
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"{path} cannot be read ({error}). Correct it.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a JSON object ({{...}}), not a {type(content).__name__}.")
    return content


def _as_dict(path: Path, pairs: Sequence[tuple[str, object]]) -> Document:
    """Return an object of a JSON file; of keys that are there twice the last counts, with a warning."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        _warn_of_doubled(path, next(name for name in names if names.count(name) > 1))
    return found


@cache
def _warn_of_doubled(path: Path, name: str) -> None:
    """Warn once of a file that is read for many runs."""
    logger.warning("%s: %r is there twice, and the last one counts. Remove the other.", path, name)


def is_finite(value: object) -> TypeGuard[float]:
    """Whether a value of a JSON file is a number, and a finite one."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def read_filters(path: Path | None) -> dict[str, Document]:
    """Return the filters of a ``--bids-filter-file``: kind of file -> pybids entity -> wanted values.

    ``null`` asks for files without the entity, "*" for files with any value of it.
    """
    if path is None:
        return {}
    if not is_named(path):
        raise SettingsError(f"--bids-filter-file: there is no file {path}.", exit_code=EXIT_NO_INPUT)
    filters: dict[str, Document] = {}
    for kind, wanted in read_json(path).items():
        if kind not in KINDS:
            raise SettingsError(f"{path}: unknown kind of file {kind!r}{near_or_known(kind, KINDS)}")
        if not isinstance(wanted, dict):
            raise SettingsError(f"{path}: {kind!r} must hold an object of entities and values.")
        filters[kind] = {str(PYBIDS_NAMES.get(key, key)): _query_value(item) for key, item in wanted.items()}
    return filters


def _query_value(value: object) -> object:
    if value is None:
        return Query.NONE
    if value == "*":
        return Query.ANY
    if isinstance(value, list):
        return [_query_value(item) for item in value]
    return value


def index_folder(root: Path, subjects: Collection[str] | None, database: Path | None = None) -> BIDSLayout:
    """Index a dataset with pybids, without metadata.

    Parameters
    ----------
    root : Path
    subjects : collection of str, or None
        Labels of the subjects to index (None: all). A database always holds all.
    database : Path, optional
        Folder of a pybids database, made when absent.

    Returns
    -------
    BIDSLayout
        Close it with `close_index`.
    """
    ignore = [re.compile(pattern) for pattern in IGNORED]
    if subjects is not None and database is None:
        labels = "|".join(re.escape(label) for label in subjects)
        ignore.append(re.compile(rf"^/sub-(?!({labels})(/|_|$))"))
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=ignore)
    options = {"validate": False, "config": ["bids", "derivatives"], "indexer": indexer}
    read_description(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if database is not None:
                database.mkdir(parents=True, exist_ok=True)
            layout = BIDSLayout(str(root), database_path=database and str(database), **options)
        except OSError as error:
            if database is None:
                place = error.filename or root
                message = f"{place} cannot be read ({error.strerror}). Check its permissions."
                raise InputError(message, exit_code=EXIT_NO_INPUT) from error
            message = f"--bids-database-dir: cannot use {database} ({error.strerror}). Name another folder."
            raise SettingsError(message, exit_code=EXIT_CANNOT_CREATE) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            message = f"{root} cannot be indexed as a BIDS dataset: {error}"
            raise InputError(message, exit_code=EXIT_NOT_BIDS) from error
    indexed = Path(str(layout.root)).resolve()
    if indexed != Path(root).resolve():
        raise SettingsError(
            f"--bids-database-dir: {database} indexes {indexed}, not {root}. Name another folder."
        )
    return layout


def close_index(layout: BIDSLayout) -> None:
    """Release the database of an index."""
    layout.connection_manager.session.close()
    layout.connection_manager.engine.dispose()


def find(layout: BIDSLayout, **query: object) -> list[IndexedFile]:
    """Return the indexed files that answer a pybids query."""
    found = layout.get(return_type="filename", invalid_filters="allow", **query)
    return [parse_name(path) for path in found]


def read_description(root: Path) -> Document:
    """Return the dataset description of a folder, {} where there is none."""
    path = Path(root) / "dataset_description.json"
    return read_json(path) if is_named(path) else {}
