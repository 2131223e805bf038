"""Sidecars of maps and the description of the output dataset."""

import os
from collections.abc import Mapping
from pathlib import Path

from bidsapp.errors import EXIT_CANNOT_CREATE, SettingsError
from bidsapp.outputs.files import read_json, write_json, write_text
from bidsapp.records.documents import Document
from bidsapp.version import __version__
from bidsapp.vocabulary.quantities import QUANTITIES

APP_NAME = "TaskGLM"
BIDS_VERSION = "1.11.0"
# Names that the released specification does not know yet; the patterns are those that the validator honours.
BIDSIGNORE = "*.html\nfigures\ngroup\nlogs\n*_statmap.*\n*_design.*\n*_contrasts.*\n*_clusters.*\n*_peaks.*\n"


def map_sidecar(
    stat: str,
    *,
    units: str | None = None,
    effect_units: str | None = None,
    group: str | None = None,
    **fields: object,
) -> Document:
    """Return the sidecar of a map; fields that are None are left out.

    Parameters
    ----------
    stat : str
        The quantity: a key of ``QUANTITIES``.
    group : str, optional
        The group whose quantity it is.
    units, effect_units : str, optional
        The unit of the inputs, and that of the effect where it is another.
    **fields
        Further fields; ``Description`` may be among them.
    """
    quantity = QUANTITIES[stat]
    units = units or "unit of the inputs"
    content = {
        "Description": f"{quantity.words} of group {group}" if group else quantity.words,
        "Units": quantity.unit.format(input=units, effect=effect_units or units),
        "SkullStripped": True,
        "Resolution": "that of the input images",
    }
    return {**content, **{key: value for key, value in fields.items() if value is not None}}


def write_dataset_description(output_dir: Path | str, links: Mapping[str, Path]) -> None:
    """Write ``dataset_description.json`` and ``.bidsignore`` of the output folder.

    Links to the input datasets are relative, so that the same analysis gives the same bytes elsewhere.
    Fields that somebody added to an existing description are kept. Nothing is written when nothing
    changes, so that many jobs may share the folder.

    Raises
    ------
    SettingsError
        The folder holds the dataset of another program.
    """
    path = Path(output_dir) / "dataset_description.json"
    before = read_json(path)
    names = [entry.get("Name") for entry in before.get("GeneratedBy", [])]
    if before and APP_NAME not in names:
        message = (
            f"{output_dir} holds another dataset, {before.get('Name')!r}, made by {names or 'nobody named'}. "
            "Choose an empty output folder."
        )
        raise SettingsError(message, exit_code=EXIT_CANNOT_CREATE)
    relative = {name: os.path.relpath(target, output_dir) for name, target in links.items()}
    after = before | {
        "Name": before.get("Name", "TaskGLM - task-fMRI statistics"),
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [_generated_by()],
        "DatasetLinks": before.get("DatasetLinks", {}) | relative,
        "HowToAcknowledge": "See logs/CITATION.md.",
    }
    if after != before:
        write_json(path, after)
    ignore = Path(output_dir) / ".bidsignore"
    if not ignore.exists():
        write_text(ignore, BIDSIGNORE)
        write_text(
            Path(output_dir) / "README",
            f"Statistical maps of task fMRI, made by {APP_NAME}. Open index.html.\n",
        )


def _generated_by() -> Document:
    entry: Document = {"Name": APP_NAME, "Version": __version__}
    image = os.environ.get("TASKGLM_CONTAINER")
    if image:
        entry["Container"] = {"Type": "docker" if Path("/.dockerenv").exists() else "oci", "Tag": image}
    return entry
