"""A zip a contrast for NeuroVault: its maps, and what NeuroVault asks of them."""

import json
import math
import posixpath
from pathlib import Path

import numpy as np

from bidsapp.errors import InputError
from bidsapp.names import export_path
from bidsapp.outputs.describe import express
from bidsapp.outputs.exports.archive import read_bytes, write_zip
from bidsapp.outputs.results import GroupResults
from bidsapp.outputs.saved.group import GroupContrastRecord, GroupRecord
from bidsapp.records.documents import Document
from bidsapp.vocabulary.quantities import QUANTITIES

# NeuroVault's names of the maps that it takes; of other quantities it has none.
MAP_TYPES = {"t": "T", "F": "F", "z": "Z", "p": "P", "effect": "U", "variance": "V"}
# Of the templates that NeuroVault knows; any other MNI template is its GenericMNI.
TEMPLATES = ("MNI152NLin2009cAsym",)
# NeuroVault keeps no more of a text field.
MOST_CHARACTERS = 200
README = """\
Maps of the group contrast {name}, for https://neurovault.org.

images.json has the fields of each map, collection.json those of the collection, by the names of NeuroVault's
programming interface. Numbers are those of the results' record. Fields that are null are yours to say, first
of all cognitive_paradigm_cogatlas, the task by its identifier in the Cognitive Atlas
(https://cognitiveatlas.org).

By hand: make a collection, add each map with its fields. Or by a program, with a token of your account
(NeuroVault's settings, "Personal access tokens") and `pip install pynv`, in the folder of these files:

    import json
    from pynv import Client
    api = Client(access_token="...")
    fields = {{k: v for k, v in json.load(open("collection.json")).items() if v is not None}}
    collection = api.create_collection(fields.pop("name"), **fields)
    for image in json.load(open("images.json")):
        image = {{k: v for k, v in image.items() if v is not None}}
        api.add_image(collection["id"], image.pop("file"), **image)

All contrasts of a model are of one collection: make it once.
"""


def write_neurovault(model: GroupResults) -> list[Path]:
    """Write the zips of a group model; return their paths.

    Raises
    ------
    InputError
        The maps are in a space that NeuroVault does not take, or one of them cannot be read.
    """
    record = model.record
    space = record.entities.get("space", "")
    if not space.startswith("MNI"):
        message = (
            f"--export neurovault: NeuroVault takes maps in MNI space; {model.name} is in {space or 'no'!r}."
        )
        raise InputError(f"{message} Analyse images in MNI space, or leave neurovault out.")
    return [_write_contrast(model, contrast) for contrast in record.contrasts]


def _write_contrast(model: GroupResults, contrast: GroupContrastRecord) -> Path:
    record = model.record
    maps = {quantity: path for quantity, path in contrast.maps.items() if quantity in MAP_TYPES}
    images = [describe_image(model, contrast, quantity, path) for quantity, path in maps.items()]
    files = {posixpath.basename(path): read_bytes(model.folder, path) for path in maps.values()}
    texts = {
        "README.txt": README.format(name=contrast.name),
        "collection.json": _json(describe_collection(record)),
        "images.json": _json(images),
    }
    path = model.folder / export_path(record.entities, "neurovault", node=record.node, contrast=contrast.name)
    write_zip(path, files | {name: text.encode() for name, text in texts.items()})
    return path


def describe_image(model: GroupResults, contrast: GroupContrastRecord, quantity: str, path: str) -> Document:
    """Return the fields of a map, by NeuroVault's names of a ``StatisticMap``; None is left to say."""
    record, dof = model.record, contrast.dof
    estimation = model.describe(path).get("EstimationMethod", record.estimator)
    said = [
        f"{QUANTITIES[quantity].words.capitalize()} of the contrast {contrast.name}",
        f"estimand: {contrast.estimand.text}" if contrast.estimand else "",
        f"unit of the effect: {contrast.units}" if contrast.units else "",
        f"degrees of freedom: {', '.join(map(str, dof)) if isinstance(dof, list) else dof}",
        record.description.rstrip(".?"),
        f"estimation: {estimation}",
    ]
    return {
        "file": posixpath.basename(path),
        "name": f"{contrast.name}: {QUANTITIES[quantity].words}"[:MOST_CHARACTERS],
        "description": ". ".join(filter(None, said)) + ".",
        "map_type": MAP_TYPES[quantity],
        "modality": "fMRI-BOLD",
        "analysis_level": "G",
        "number_of_subjects": contrast.n_subjects,
        "statistic_parameters": dof if quantity == "t" and not isinstance(dof, list) else None,
        "smoothness_fwhm": noise_fwhm_mm(record, contrast),
        "target_template_image": _template(record),
        "contrast_definition": _definition(contrast)[:MOST_CHARACTERS],
        "cognitive_paradigm_cogatlas": None,
        "cognitive_contrast_cogatlas": None,
        "cognitive_paradigm_description_url": None,
    }


def noise_fwhm_mm(record: GroupRecord, contrast: GroupContrastRecord) -> float | None:
    """Return the width of the noise in mm, the geometric mean of the axes; None where it is not recorded."""
    if contrast.smoothness is None:
        return None
    widths = np.multiply(contrast.smoothness.fwhm_voxels, record.voxel_size_mm)
    return float(math.prod(widths) ** (1 / len(widths)))


def describe_collection(record: GroupRecord) -> Document:
    """Return the fields of the collection, by NeuroVault's names of a ``Collection``."""
    made = record.made_with or {}
    sizes = set(record.voxel_size_mm)
    smoothing, period = _number(made.get("smoothing (mm)")), _number(made.get("high-pass filter (s)"))
    return {
        "name": f"{record.model.name}: {record.node}"[:MOST_CHARACTERS],
        "description": record.description,
        "private": True,
        "DOI": None,
        "software_package": "TaskGLM",
        "software_version": record.versions.get("taskglm"),
        "coordinate_space": "mni",
        "target_template_image": record.entities["space"],
        "target_resolution": sizes.pop() if len(sizes) == 1 else None,
        "used_smoothing": None if smoothing is None else smoothing > 0,
        "smoothing_fwhm": smoothing,
        "hemodynamic_response_function": made.get("response"),
        "used_high_pass_filter": None if period is None else period > 0,
        "high_pass_filter_method": f"cosines, period {period:g} s" if period else None,
        "autocorrelation_model": made.get("noise model"),
        "group_model_type": "regression",
        "group_estimation_type": record.estimator[:MOST_CHARACTERS],
        "group_inference_type": (
            "fixedeffects" if record.choices.group.group_estimator == "fixed" else "randommixedeffects"
        ),
    }


def _template(record: GroupRecord) -> str:
    space = record.entities["space"]
    return space if space in TEMPLATES else "GenericMNI"


def _definition(contrast: GroupContrastRecord) -> str:
    """Return what is subtracted from what, in terms of the conditions and of the group's columns."""
    inputs = express(contrast.input_weights) if contrast.input_weights else contrast.input_contrast
    estimand = contrast.estimand.text if contrast.estimand else contrast.group_contrast
    return f"{inputs}: {estimand}" if inputs else estimand


def _number(text: str | None) -> float | None:
    """Return a fact of the inputs as a number; None where inputs differ, or do not say it."""
    try:
        return float(text or "")
    except ValueError:
        return None


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
