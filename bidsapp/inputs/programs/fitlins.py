"""FitLins: maps named as BIDS statistical maps, in a folder ``node-<name>`` for each node of the model."""

from pathlib import Path

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
    return [file for file in found if file.path not in several], notes


FITLINS = Program(
    words="FitLins",
    results="map named sub-*_contrast-*_stat-effect_statmap",
    units="effects are as its estimator scales them (nilearn: in percent of the mean of the voxel)",
    find=find,
    read=read,
)
