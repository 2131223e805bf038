"""Find effect and variance maps, ours or another program's; ``inputs.images.stacks`` reads them."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bidsapp.errors import EXIT_NO_INPUT, EXIT_NOTHING_SELECTED, InputError, SettingsError, in_lines
from bidsapp.inputs.dataset.index import (
    IndexedFile,
    close_index,
    find,
    index_folder,
    parse_name,
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
from bidsapp.records.documents import Document
from bidsapp.records.maps import EstimateFile, EstimateKey
from bidsapp.settings.parts import Selection

logger = logging.getLogger(__name__)

MAKE_AGAIN = "The participant level makes damaged maps again: run it for these participants, then the group."
# How messages name the files.
MAPS = "effect maps"
VOLUMES = (".nii.gz", ".nii")
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
    roots = [Path(str(path)).expanduser() for path in selection.estimates] or [output_dir]
    filters = read_filters(selection.bids_filter_file)
    pairs = {}
    for root in roots:
        if not root.is_dir():
            message = (
                f"--estimates: there is no folder {root}. Run the participant level first, or name another."
            )
            raise InputError(message, exit_code=EXIT_NO_INPUT)
        for file, variance in _find_maps(root, filters):
            pairs[file.path] = (file, variance)
    if not pairs:
        raise InputError(
            f"No effect maps (sub-*_contrast-*_stat-effect_statmap.nii.gz) in {', '.join(map(str, roots))}. "
            "Run the participant level first, name their folder with --estimates, or other names with "
            "--bids-filter-file (effect, variance).",
            exit_code=EXIT_NO_INPUT,
        )
    files = _select([file for file, _ in pairs.values()], selection, bids_dir)
    sidecars = _read_sidecars(files, "" if selection.estimates else MAKE_AGAIN)
    estimates = [_describe(file, pairs[file.path][1], sidecars[file.path]) for file in files]
    return tuple(sorted(estimates, key=_order))


def _find_maps(root: Path, filters: Mapping[str, Document]) -> Iterator[tuple[IndexedFile, Path | None]]:
    """Yield every effect map of a subject with the path of its variance map, or None."""
    if "effect" in filters:
        yield from _find_filtered(root, filters)
        return
    for extension in VOLUMES:
        for path in root.rglob(f"*_stat-effect_statmap{extension}"):
            file = parse_name(path)
            if "sub" in file.entities and "contrast" in file.entities:
                yield file, _existing(path, "variance")


def _find_filtered(root: Path, filters: Mapping[str, Document]) -> Iterator[tuple[IndexedFile, Path | None]]:
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
            yield file, by_entities.get(_without_stat(file))


def _without_stat(file: IndexedFile) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, label) for key, label in file.entities.items() if key != "stat"))


def _existing(path: Path, stat: str) -> Path | None:
    other = path.with_name(path.name.replace("_stat-effect_", f"_stat-{stat}_"))
    return other if is_named(other) else None


def _select(files: list[IndexedFile], selection: Selection, bids_dir: Path) -> list[IndexedFile]:
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


def _without_excluded(files: list[IndexedFile], selection: Selection, bids_dir: Path) -> list[IndexedFile]:
    """Return the files without those of excluded participants, who need not have any."""
    excluded = selection.exclude_participant_label
    there = {file.entities["sub"] for file in files}
    absent = set(excluded) - there
    known = there | known_participants(bids_dir, selection, absent) if absent else there
    missing = [label for label in excluded if label not in known]
    if missing:
        raise unknown_labels("sub", missing, sorted(known, key=natural_key), "participant")
    return [file for file in files if file.entities["sub"] not in excluded]


def _describe(file: IndexedFile, variance: Path | None, metadata: Document) -> EstimateFile:
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
        variance=variance,
        dof=float(dof) if isinstance(dof, int | float) and not isinstance(dof, bool) else math.nan,
        dof_map=_existing(file.path, "dof"),
        metadata=metadata,
    )


def _read_sidecars(files: Sequence[IndexedFile], remedy: str) -> dict[Path, Document]:
    """Return the sidecar of every map, {} where there is none; raise with all that cannot be read.

    They name the contrast, and the settings that maps of one group must share.
    """
    found, faults = {}, []
    for file in files:
        path = file.path.with_name(file.path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
        try:
            found[file.path] = read_json(path) if is_named(path) else {}
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError(f"{in_lines(faults)}\n{remedy}".strip())
    return found


def _order(estimate: EstimateFile) -> tuple[list[tuple[str, NaturalKey]], str, str, str]:
    entities = [(name, natural_key(label)) for name, label in estimate.key.entities]
    return entities, estimate.key.node, estimate.key.contrast, str(estimate.effect)
