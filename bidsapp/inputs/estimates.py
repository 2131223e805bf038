"""Find effect and variance maps, ours or another program's; ``inputs.images.stacks`` reads them."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bidsapp.errors import (
    EXIT_NO_INPUT,
    EXIT_NOTHING_SELECTED,
    InputError,
    SettingsError,
    in_lines,
    log_notes,
)
from bidsapp.inputs.dataset.index import (
    IndexedFile,
    close_index,
    find,
    index_folder,
    read_filters,
    read_json,
)
from bidsapp.inputs.dataset.roots import known_participants
from bidsapp.inputs.dataset.selection import (
    NaturalKey,
    choose_resolution,
    choose_space,
    is_native,
    keep_labels,
    keep_selected,
    natural_key,
    space_of,
    unknown_labels,
)
from bidsapp.inputs.fetched import is_named
from bidsapp.inputs.programs import PROGRAMS
from bidsapp.inputs.programs.found import FoundMap
from bidsapp.inputs.programs.named import VOLUMES, find_beside, find_named
from bidsapp.inputs.programs.sources import read_results, read_source
from bidsapp.records.documents import Document
from bidsapp.records.maps import EstimateFile, EstimateKey
from bidsapp.settings.parts import Selection

logger = logging.getLogger(__name__)

MAKE_AGAIN = "The participant level makes damaged maps again: run it for these participants, then the group."
# How messages name the files.
MAPS = "effect maps"
# Entities that say which map it is, not what it was made from.
MAP_ENTITIES = ("node", "contrast", "stat", "desc", "label")


def find_estimates(selection: Selection, bids_dir: Path, output_dir: Path) -> tuple[EstimateFile, ...]:
    """Return the estimates of single subjects, sorted: in ``selection.estimates``, else in the output folder.

    All levels and nodes are returned (a subject's runs and their combination); no image is read.

    Raises
    ------
    InputError, SettingsError
        No folder or map, no such label, a native space, several resolutions and none chosen.
    """
    filters = read_filters(selection.bids_filter_file)
    if selection.estimates_pattern and not any(read_source(text).program for text in selection.estimates):
        raise SettingsError(
            "--estimates-pattern is for results of another program (--estimates "
            f"{', '.join(f'{name}:PATH' for name in PROGRAMS)}). Leave it out."
        )
    found = {
        (file.path, file.reading.effect): file
        for text in selection.estimates or [str(output_dir)]
        for file in _find_maps(text, selection, filters)
    }
    if not found:
        raise InputError(
            "No effect maps (sub-*_contrast-*_stat-effect_statmap.nii.gz) in "
            f"{', '.join(selection.estimates or [str(output_dir)])}. "
            "Run the participant level first, name their folder with --estimates (of another program as "
            f"{', '.join(f'{name}:FOLDER' for name in PROGRAMS)}), or other names with --bids-filter-file "
            "(effect, variance).",
            exit_code=EXIT_NO_INPUT,
        )
    files = _select(list(found.values()), selection, bids_dir)
    files = _read_sidecars(files, "" if selection.estimates else MAKE_AGAIN)
    estimates = map(_describe, files)
    return tuple(sorted(estimates, key=_order))


def estimate_folders(selection: Selection) -> list[Path]:
    """Return the folders of ``selection.estimates``, which may also hold tables and records."""
    return [read_source(text).folder for text in selection.estimates]


def _find_maps(text: str, selection: Selection, filters: Mapping[str, Document]) -> Iterable[FoundMap]:
    """Return every effect map of a subject that a word of ``--estimates`` names."""
    source = read_source(text)
    if source.program or source.is_table:
        found, notes = read_results(source, selection.estimates_pattern)
        log_notes(logger, notes)
        return found
    if not source.path.is_dir():
        raise InputError(
            f"--estimates: there is no folder {source.path}. Run the participant level first, or name "
            "another.",
            exit_code=EXIT_NO_INPUT,
        )
    return _find_filtered(source.path, filters) if "effect" in filters else find_named(source.path)


def _find_filtered(root: Path, filters: Mapping[str, Document]) -> Iterator[FoundMap]:
    """Find maps by the user's pybids filters; a variance map is that of the same entities."""
    layout = index_folder(root, None)
    try:
        effects, variances = (
            find(layout, **{"extension": list(VOLUMES), **filters[kind]}) if kind in filters else []
            for kind in ("effect", "variance")
        )
    finally:
        close_index(layout)
    by_entities = {_without_stat(file): file.path for file in variances}
    for file in effects:
        if "sub" in file.entities:
            variance = by_entities.get(_without_stat(file))
            yield FoundMap(file.path, file.entities, file.suffix, file.extension, variance)


def _without_stat(file: IndexedFile) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, label) for key, label in file.entities.items() if key != "stat"))


def _select(files: list[FoundMap], selection: Selection, bids_dir: Path) -> list[FoundMap]:
    """Return the files with the labels, space and resolution asked for."""
    files = _without_excluded(files, selection, bids_dir)
    files = keep_selected(keep_labels(files, "sub", selection.participant_label, MAPS), selection, MAPS)
    if not files:
        raise InputError("No effect map has these labels together.", exit_code=EXIT_NOTHING_SELECTED)
    if any("space" in file.entities for file in files) or selection.space:
        space, note = choose_space(files, selection.space, MAPS)
        logger.info("%s", note)
        files = [file for file in files if space_of(file) == space]
        if is_native(space):
            raise SettingsError(
                f"The maps are in space {space}, which differs between participants, so a group cannot be "
                "analysed. Run the participant level in a standard space (--space)."
            )
    else:
        logger.info("the names of the maps say no space; they are taken to be in one standard space")
    files, note = choose_resolution(files, selection.res, _map_identity, MAPS)
    if note:
        logger.info("%s", note)
    return files


def _map_identity(file: IndexedFile) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in sorted(file.entities.items()) if pair[0] not in ("res", "desc"))


def _without_excluded(files: list[FoundMap], selection: Selection, bids_dir: Path) -> list[FoundMap]:
    """Return the files without those of excluded participants, who need not have any."""
    excluded = selection.exclude_participant_label
    there = {file.entities["sub"] for file in files}
    absent = set(excluded) - there
    known = there | known_participants(bids_dir, selection, absent) if absent else there
    missing = [label for label in excluded if label not in known]
    if missing:
        raise unknown_labels("sub", missing, sorted(known, key=natural_key), "participant")
    return [file for file in files if file.entities["sub"] not in excluded]


def _describe(file: FoundMap) -> EstimateFile:
    metadata = file.metadata
    folder = next((part for part in file.path.parts if part.startswith("node-")), "node-")
    labels = file.entities
    contrast = labels.get("contrast") or labels.get("desc") or labels.get("label") or file.suffix
    key = EstimateKey(
        node=str(metadata.get("NodeName") or labels.get("node") or folder.removeprefix("node-")),
        level=str(metadata.get("NodeLevel") or "").lower(),
        contrast=str(metadata.get("ContrastName") or contrast),
        entities=tuple((name, label) for name, label in labels.items() if name not in MAP_ENTITIES),
    )
    dof: object = metadata.get("DegreesOfFreedom")
    return EstimateFile(
        key=key,
        effect=file.path,
        variance=file.variance,
        dof=float(dof) if isinstance(dof, int | float) and not isinstance(dof, bool) else math.nan,
        dof_map=file.dof_map or find_beside(file.path, "dof"),
        metadata=metadata,
        reading=file.reading,
    )


def _read_sidecars(files: Sequence[FoundMap], remedy: str) -> list[FoundMap]:
    """Return the maps with what their sidecars say besides; raise with all that cannot be read.

    They name the contrast, and the settings that maps of one group must share.
    """
    found, faults = [], []
    for file in files:
        path = file.path.with_name(file.path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
        try:
            said = (read_json(path) if is_named(path) else {}) | file.metadata
        except InputError as error:
            faults.append(str(error))
            continue
        found.append(replace(file, metadata=said))
    if faults:
        raise InputError(f"{in_lines(faults)}\n{remedy}".strip())
    return found


def _order(estimate: EstimateFile) -> tuple[list[tuple[str, NaturalKey]], str, str, str]:
    entities = [(name, natural_key(label)) for name, label in estimate.key.entities]
    return entities, estimate.key.node, estimate.key.contrast, str(estimate.effect)
