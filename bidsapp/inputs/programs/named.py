"""Maps with the names of statistical maps in BIDS: ours, FitLins', nilearn's."""

from collections.abc import Iterator
from pathlib import Path

from bidsapp.inputs.dataset.index import parse_name
from bidsapp.inputs.fetched import is_named
from bidsapp.inputs.programs.found import FoundMap

VOLUMES = (".nii.gz", ".nii")


def find_named(root: Path) -> Iterator[FoundMap]:
    """Yield every effect map of a subject in a folder."""
    for extension in VOLUMES:
        for path in root.rglob(f"*_stat-effect_statmap{extension}"):
            file = parse_name(path)
            if "sub" in file.entities and "contrast" in file.entities:
                yield FoundMap(
                    path, file.entities, file.suffix, file.extension, find_beside(path, "variance")
                )


def find_beside(path: Path, stat: str) -> Path | None:
    """Return the map of another quantity beside an effect map, or None."""
    other = path.with_name(path.name.replace("_stat-effect_", f"_stat-{stat}_"))
    return other if other != path and is_named(other) else None
