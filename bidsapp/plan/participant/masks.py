"""The mask that a model asks for by Options.Mask: an entity filter over the masks beside the BOLD image.

Segmentations (``dseg``) count where the filter names them: Options.Aggregate takes their labels as regions.
"""

from dataclasses import replace

from bidsapp.errors import InputError
from bidsapp.inputs.dataset.index import IndexedFile, parse_name
from bidsapp.records.documents import Document
from bidsapp.records.maps import Run
from bidsapp.records.model import SHORT_NAMES

# Entities that a mask must share with its series where its name has them.
SHARED = ("sub", "ses", "task", "acq", "run", "space", "res")


def with_model_mask(run: Run, mask_filter: Document | None) -> Run:
    """Return the run with the mask of a model's filter; unchanged where the model has none.

    Parameters
    ----------
    run : Run
    mask_filter : dict or None
        Entity (long or short name, or ``suffix``) to a label or a list of labels.

    Raises
    ------
    InputError
        No mask or several masks beside the image match.
    """
    if not mask_filter:
        return run
    suffixes = ("mask", "dseg") if "dseg" in mask_filter.get("suffix", ()) else ("mask",)
    beside = sorted(
        path
        for suffix in suffixes
        for path in run.bold.parent.glob(f"sub-{run.entities['sub']}*_{suffix}.nii*")
    )
    found = [
        file.path for file in map(parse_name, beside) if _belongs(file, run) and _matches(file, mask_filter)
    ]
    if len(found) == 1:
        return replace(run, mask=found[0])
    said = ", ".join(f"{key} {value}" for key, value in mask_filter.items())
    if not found:
        names = ", ".join(path.name for path in beside[:5]) or "none"
        raise InputError(
            f"{run.label}: no mask matches Options.Mask ({said}); masks beside the image: {names}."
        )
    names = ", ".join(path.name for path in found[:5])
    raise InputError(f"{run.label}: several masks match Options.Mask ({said}): {names}. Name more entities.")


def _belongs(file: IndexedFile, run: Run) -> bool:
    return all(file.entities.get(key, run.entities.get(key)) == run.entities.get(key) for key in SHARED)


def _matches(file: IndexedFile, mask_filter: Document) -> bool:
    said = {**file.entities, "suffix": file.suffix}
    return all(
        said.get(SHORT_NAMES.get(key, key))
        in [str(label) for label in (value if isinstance(value, list) else [value])]
        for key, value in mask_filter.items()
    )
