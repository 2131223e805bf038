"""SPM: contrasts of a first level by the names in its ``SPM.mat``."""

from pathlib import Path
from typing import Any

import numpy as np

from bidsapp.errors import InputError
from bidsapp.inputs.dataset.selection import natural_key
from bidsapp.inputs.fetched import check_fetched, is_named
from bidsapp.inputs.images.read import READ_FAULTS, reason_of
from bidsapp.inputs.programs.found import PLAIN, FoundMap, Program, Results, make_found
from bidsapp.records.maps import Reading

FILE = "SPM.mat"
UNITS = "arbitrary (grand mean 100)"
# What a damaged or foreign file raises, besides scipy's MatReadError.
FAULTS: tuple[type[Exception], ...] = (*READ_FAULTS, TypeError, LookupError, AttributeError)


def find(root: Path) -> list[Path]:
    """Return the ``SPM.mat`` in a folder."""
    if root.is_file():
        return [root] if root.suffix == ".mat" else []
    return sorted(root.rglob(FILE), key=lambda path: natural_key(str(path)))


def read(path: Path) -> Results:
    """Return the t contrasts of an ``SPM.mat`` by their names.

    Only names of files are taken from it, and looked for beside it.
    """
    spm = _load(path)
    found: list[FoundMap] = []
    notes: list[str] = []
    try:
        contrasts = _get(spm, "xCon")
        if contrasts is None:
            raise InputError(
                f"{path} has no contrast. Define and estimate contrasts in SPM, or leave it out."
            )
        for number, contrast in enumerate(np.atleast_1d(contrasts), start=1):
            name = str(_get(contrast, "name") or f"contrast {number}").strip()
            if str(_get(contrast, "STAT")) != "T":
                notes.append(f"{name} is no t contrast, and has no effect: it is left out")
            elif not _name_of_file(_get(contrast, "Vcon")):
                notes.append(f"{name} is not estimated yet: it is left out")
            else:
                found.append(_read_contrast(path, spm, contrast, name))
    except FAULTS as error:
        raise InputError(
            f"{path} is not as SPM writes it ({reason_of(error)}). Estimate it again."
        ) from error
    return found, notes


def _read_contrast(path: Path, spm: Any, contrast: Any, name: str) -> FoundMap:
    """Return the effect of a contrast; its variance is that of the residuals times what the design makes it.

    Where SPM.mat or the folder lacks either, it comes from the map of t.
    """
    effect, residuals, statistic = (
        path.with_name(_name_of_file(_get(*place)) or other)
        for place, other in (
            ((contrast, "Vcon"), FILE),
            ((spm, "VResMS"), "ResMS.nii"),
            ((contrast, "Vspm"), "spmT.nii"),
        )
    )
    if not is_named(effect):
        raise InputError(f"{effect}, the map of {name!r} in {path}, is missing. Copy it, or make it again.")
    weights, spread = np.asarray(_get(contrast, "c"), float).ravel(), _get(spm, "xX", "Bcov")
    variance, reading = None, PLAIN
    if spread is not None and np.size(spread) == len(weights) ** 2 and is_named(residuals):
        matrix = np.asarray(spread, float).reshape(len(weights), -1)
        variance, reading = residuals, Reading(factor=float(weights @ matrix @ weights))
    elif is_named(statistic):
        variance, reading = statistic, Reading(variance_from="t")
    return make_found(
        effect,
        name,
        variance=variance,
        dof=float(_get(spm, "xX", "erdf")),
        reading=reading,
        Units=UNITS,
        Software=str(_get(spm, "SPMid") or "SPM"),
    )


def _load(path: Path) -> Any:
    """Return the variable SPM of a file, as numpy's records."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    check_fetched(path)
    faults: tuple[type[Exception], ...] = (*FAULTS, MatReadError)
    try:
        return loadmat(path, variable_names=["SPM"], squeeze_me=True)["SPM"]
    except NotImplementedError as error:
        raise InputError(
            f"{path} has MATLAB's format 7.3, which is not read. Save it in MATLAB once more: "
            "load SPM.mat; save('SPM.mat', 'SPM', '-v7')."
        ) from error
    except faults as error:
        raise InputError(
            f"{path} is no SPM.mat, or is truncated or corrupt ({reason_of(error)}). Copy it again, or "
            "estimate the model again."
        ) from error


def _get(record: Any, *names: str) -> Any:
    """Return a field of a field of a record; None where there is none, or it is empty."""
    for name in names:
        fields = getattr(getattr(record, "dtype", None), "names", None) or ()
        if name not in fields:
            return None
        record = record[name]
        if isinstance(record, np.ndarray) and record.dtype == object and record.ndim == 0:
            record = record.item()
    return None if isinstance(record, np.ndarray) and record.size == 0 else record


def _name_of_file(record: Any) -> str | None:
    """Return the name of an image's file without its folder, which may be one of another machine."""
    text = str(_get(record, "fname") or "").replace("\\", "/").rsplit("/", 1)[-1].split(",")[0].strip()
    return text if text.strip(".") else None


SPM = Program(
    words="SPM",
    results="file SPM.mat",
    units=(
        "SPM scales each session to a grand mean of 100, by its own estimate of it: effects are near percent "
        "for a regressor whose peak is 1"
    ),
    find=find,
    read=read,
)
