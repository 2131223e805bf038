"""Writes the exports that are asked for."""

from pathlib import Path

from bidsapp.errors import InputError
from bidsapp.names import EXPORTED
from bidsapp.outputs.exports.bundle import write_bundle
from bidsapp.outputs.exports.neurovault import write_neurovault
from bidsapp.outputs.exports.nidm import write_nidm
from bidsapp.outputs.exports.places import Places
from bidsapp.outputs.results import read_all_subject_results, read_group_results
from bidsapp.settings.parts import Settings


def write_exports(settings: Settings) -> list[Path]:
    """Write the exports of the settings from the results of their output folder; return the paths.

    Raises
    ------
    InputError
        There are no finished results of a group, or a file of theirs cannot be read.
    """
    folder = settings.output_dir
    models = read_group_results(folder)
    if not models:
        message = (
            f"--export: {folder} has no finished results of a group. Run the group level first; without "
            "--reports-only it is run before the export."
        )
        raise InputError(message)
    kinds, paths = settings.control.export, []
    if "neurovault" in kinds:
        paths += [path for model in models for path in write_neurovault(model)]
    if "nidm" in kinds:
        paths += [path for model in models for path in write_nidm(model)]
    if "bundle" in kinds:
        people = (results.record for results in read_all_subject_results(folder))
        places = Places(folder, settings.bids_dir, [*(model.record for model in models), *people])
        paths.append(write_bundle(models, places))
    return paths


def remove_exports(output_dir: Path) -> int:
    """Remove the exports of an output folder, whose results change; return how many."""
    found = list((output_dir / EXPORTED).glob("*.zip"))
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
