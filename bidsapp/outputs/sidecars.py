"""Sidecars of maps and the description of the output dataset."""

import json
import os
from pathlib import Path

from bidsapp.errors import EXIT_CANNOT_CREATE, InputError, SettingsError
from bidsapp.outputs.files import write_json, write_text
from bidsapp.version import __version__

APP_NAME = "TaskGLM"
BIDS_VERSION = "1.11.0"
# Names that the released specification does not know yet; the patterns are those that the validator honours.
BIDSIGNORE = "*.html\nfigures\ngroup\nlogs\n*_statmap.*\n*_design.*\n*_contrasts.*\n*_clusters.*\n*_peaks.*\n"
# What a map holds, by the label of its quantity, and its unit: {effect} is that of the effect, {input} that
# of the inputs, which differs where an effect is one unit of a covariate.
MAP_MEANING = {
    "effect": ("contrast of parameter estimates", "{effect}"),
    "variance": ("sampling variance of the effect", "({effect})^2"),
    "t": ("t statistic", "arbitrary"),
    "F": ("F statistic", "arbitrary"),
    "z": ("z value of the statistic's p-value, with the sign of the effect", "arbitrary"),
    "p": ("uncorrected p-value", "probability"),
    "n": ("number of inputs that the voxel was fitted with", "count"),
    "q": ("p-value adjusted for the false discovery rate", "probability"),
    "d": ("effect over the residual standard deviation (Cohen's d)", "standard deviations"),
    "g": ("Hedges' g, the effect d corrected for few inputs", "standard deviations"),
    "gLow": ("lower limit of the 95 % confidence interval of Hedges' g", "standard deviations"),
    "gHigh": ("upper limit of the 95 % confidence interval of Hedges' g", "standard deviations"),
    "partialrsquare": ("share of the remaining variance that the contrast explains", "fraction"),
    "tau2": ("variance between inputs", "({input})^2"),
    "isquared": ("share of the variance of effects that lies between inputs (I squared)", "percent"),
    "cochranq": ("heterogeneity of the inputs (Cochran's Q)", "arbitrary"),
    "pcochranq": ("p-value of Cochran's Q", "probability"),
    "robustweight": ("smallest weight that the robust fit gives to an input", "fraction"),
    "epsilonGG": ("Greenhouse and Geisser's estimate of sphericity", "fraction"),
    "pGG": ("uncorrected p-value of F with Greenhouse-Geisser's dof", "probability"),
    "size": ("number of voxels of the cluster", "count"),
    "mass": ("mass of the cluster", "arbitrary"),
    "tfce": ("threshold-free cluster enhancement", "arbitrary"),
    "logp": ("minus log10 of the p-value", "arbitrary"),
    "score": ("shuffled statistic, where it is not that of the estimator", "arbitrary"),
    "dof": ("degrees of freedom", "count"),
    "rsquare": ("share of variance that the model explains (R squared)", "fraction"),
    "sigmasquared": ("residual variance of the whitened model", "({input})^2"),
    "ar1": ("first autoregressive coefficient of the noise", "arbitrary"),
    **{f"ar{k}": (f"autoregressive coefficient {k} of the noise", "arbitrary") for k in range(2, 13)},
    "tsnr": ("temporal signal-to-noise ratio: mean over standard deviation over time", "arbitrary"),
    "coverage": ("number of inputs with data", "count"),
}


def map_sidecar(stat, *, units=None, effect_units=None, group=None, **fields):
    """Return the sidecar of a map; fields that are None are left out.

    Parameters
    ----------
    stat : str
        The quantity: a key of ``MAP_MEANING``.
    group : str, optional
        The group whose quantity it is.
    units, effect_units : str, optional
        The unit of the inputs, and that of the effect where it is another.
    **fields
        Further fields; ``Description`` may be among them.
    """
    description, unit = MAP_MEANING[stat]
    units = units or "unit of the inputs"
    content = {
        "Description": f"{description} of group {group}" if group else description,
        "Units": unit.format(input=units, effect=effect_units or units),
        "SkullStripped": True,
        "Resolution": "that of the input images",
    }
    return {**content, **{key: value for key, value in fields.items() if value is not None}}


def write_dataset_description(output_dir, links):
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
    before = _read_description(path)
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


def _read_description(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable JSON file ({error}). Remove it or choose another folder."
        ) from error
    return content if isinstance(content, dict) else {}


def _generated_by():
    entry = {"Name": APP_NAME, "Version": __version__}
    image = os.environ.get("TASKGLM_CONTAINER")
    if image:
        entry["Container"] = {"Type": "docker" if Path("/.dockerenv").exists() else "oci", "Tag": image}
    return entry
