"""FSL's FEAT: first levels (``.feat``) and the levels above them (``.gfeat``)."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bidsapp.errors import InputError
from bidsapp.inputs.dataset.selection import natural_key
from bidsapp.inputs.fetched import check_fetched, is_named
from bidsapp.inputs.images.read import AFFINE_TOLERANCE_MM, read_header
from bidsapp.inputs.programs.found import FoundMap, Program, Results, make_found
from bidsapp.inputs.programs.named import VOLUMES

UNITS = "arbitrary (grand mean 10000)"
SUFFIXES = (".feat", ".gfeat")


def find(root: Path) -> list[Path]:
    """Return the folders that FEAT made in a folder; those of runs within a ``.gfeat`` are parts of it."""
    found = []
    for text, folders, _ in os.walk(root):
        path = Path(text)
        if path.suffix in SUFFIXES:
            found.append(path)
            folders.clear()
    return sorted(found, key=lambda path: natural_key(str(path)))


def read(folder: Path) -> Results:
    """Return the copes of a FEAT folder by the names of their contrasts."""
    if is_named(folder / "design.lev"):
        return _read_higher(folder), []
    if folder.suffix == ".feat":
        names, stats = _read_names(folder / "design.con"), _find_stats(folder)
        return _read_copes(folder, stats, lambda number: names.get(number, f"cope{number}")), []
    lower = sorted(folder.glob("cope*.feat"), key=lambda path: natural_key(path.name))
    if not lower:
        raise InputError(f"{folder} has no cope1.feat: the analysis did not finish. Run it again.")
    found: list[FoundMap] = []
    for inner in lower:
        found += _read_higher(inner)
    return found, []


def _read_higher(folder: Path) -> list[FoundMap]:
    """Return the copes of one lower contrast: named after it, and after their own where there are several."""
    names = _read_names(folder / "design.con")
    lower = _read_text(folder / "design.lev").strip() or folder.stem

    def name(number: int) -> str:
        return lower if len(names) < 2 else f"{lower}: {names.get(number, f'cope{number}')}"

    return _read_copes(folder, folder / "stats", name)


def _read_copes(folder: Path, stats: Path, name: Callable[[int], str]) -> list[FoundMap]:
    named = map(_COPE.fullmatch, (path.name for path in stats.glob("cope*")))
    numbers = sorted({int(match[1]) for match in named if match})
    if not numbers:
        raise InputError(f"{stats} has no cope1: the analysis did not finish. Run it again.")
    dof = _read_text(folder / "stats" / "dof").strip()
    version = re.search(r"set fmri\(version\) (\S+)", _read_text(folder / "design.fsf"))
    software = f"FSL FEAT {version[1]}" if version else "FSL FEAT"
    found = []
    for number in numbers:
        cope, variance, dof_map = (
            _find_image(stats / f"{stem}{number}") for stem in ("cope", "varcope", "tdof_t")
        )
        if cope is not None:
            found.append(
                make_found(
                    cope,
                    name(number),
                    variance=variance,
                    dof=float(dof) if re.fullmatch(r"\d+(\.\d+)?", dof) else np.nan,
                    dof_map=dof_map,
                    Units=UNITS,
                    Software=software,
                )
            )
    return found


def _find_stats(folder: Path) -> Path:
    """Return the folder of the copes of a first level in standard space.

    Raises
    ------
    InputError
        They are in the space of the run only.
    """
    registered, own = folder / "reg_standard" / "stats", folder / "stats"
    if _find_image(registered / "cope1"):
        return registered
    cope, standard = _find_image(own / "cope1"), _find_image(folder / "reg" / "standard")
    # Runs that were in standard space before have an image of their own grid as "standard".
    if cope and standard and not _same_grid(cope, standard):
        raise InputError(
            f"{folder}: its copes are in the space of the run. Bring them to standard space, "
            f"featregapply {folder}, which makes reg_standard/stats; or combine the runs of each participant "
            "in a .gfeat and name those."
        )
    return own


def _same_grid(first: Path, second: Path) -> bool:
    one, other = read_header(first), read_header(second)
    near = np.allclose(one.affine, other.affine, rtol=0, atol=AFFINE_TOLERANCE_MM)
    return one.shape[:3] == other.shape[:3] and near


def _find_image(stem: Path) -> Path | None:
    """Return the image with this path but for its extension, or None."""
    paths = (stem.with_name(stem.name + extension) for extension in VOLUMES)
    return next(filter(is_named, paths), None)


def _read_names(path: Path) -> dict[int, str]:
    """Return number -> name of the contrasts in a ``design.con``; without those that have none."""
    found = re.findall(r"^/ContrastName(\d+)[ \t]+(\S.*?)\s*$", _read_text(path), re.MULTILINE)
    return {int(number): name for number, name in found}


def _read_text(path: Path) -> str:
    """Return the text of a small file, empty where there is none."""
    if not is_named(path):
        return ""
    check_fetched(path)
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}).") from error


_COPE = re.compile(r"cope(\d+)\.nii(\.gz)?")
FEAT = Program(
    words="FSL FEAT",
    results="folder .feat or .gfeat",
    units=(
        "FEAT scales a run to a grand mean of 10000: an effect of 100 is 1 % of it, for a regressor whose "
        "height is 1"
    ),
    find=find,
    read=read,
)
