"""FitLins: maps named as BIDS statistical maps, in a folder ``node-<name>`` for each node of the model."""

from dataclasses import replace
from pathlib import Path

from bidsapp.inputs.dataset.index import read_description
from bidsapp.inputs.programs.found import Program, Results
from bidsapp.inputs.programs.named import find_beside, find_named


def find(root: Path) -> list[Path]:
    """Return the folder itself, where it holds maps."""
    return [root] if next(find_named(root), None) else []


def read(root: Path) -> Results:
    """Return the effects of t contrasts; those of an F contrast are several in a file."""
    found = list(find_named(root))
    several = {file.path for file in found if find_beside(file.path, "F") and not find_beside(file.path, "t")}
    names = dict.fromkeys(file.entities["contrast"] for file in found if file.path in several)
    notes = [f"{name} is an F contrast, which has no effect: it is left out" for name in names]
    said = {"Software": _read_software(root)}
    return [replace(file, metadata=said) for file in found if file.path not in several], notes


def _read_software(root: Path) -> str:
    """Return name and version, of the description of the dataset that a folder is, or is part of."""
    found = next(filter(None, map(read_description, (root, root.parent))), {})
    listed = found.get("GeneratedBy")
    made = listed[0] if isinstance(listed, list) and listed else found.get("PipelineDescription")
    version = made.get("Version") if isinstance(made, dict) else None
    return f"FitLins {version}" if version else "FitLins"


FITLINS = Program(
    words="FitLins",
    results="map named sub-*_contrast-*_stat-effect_statmap",
    units="effects are as its estimator scales them (nilearn: in percent of the mean of the voxel)",
    find=find,
    read=read,
)
