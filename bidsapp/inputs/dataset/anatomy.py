"""The anatomical image of a run, to draw maps on; and its tissues."""

from pathlib import Path

import numpy as np

from bidsapp.inputs.dataset.index import parse_name
from bidsapp.inputs.images.read import read_volume
from bidsapp.records.arrays import Labels, Matrix
from bidsapp.records.maps import Run

# A preprocessed T1w without a space in its name is in its own: that of images called space-T1w.
OWN_SPACE = "T1w"
T1W = ("anat/*_desc-preproc_T1w.nii*", "ses-*/anat/*_desc-preproc_T1w.nii*")
REFERENCES = ("_boldref", "_desc-preproc_boldref", "_desc-coreg_boldref")
# Labels of a discrete segmentation, as BIDS has them.
TISSUES = {1: "grey matter", 2: "white matter", 3: "cerebrospinal fluid"}
SEGMENTATIONS = ("anat/*_dseg.nii*", "ses-*/anat/*_dseg.nii*")


def find_anatomy(run: Run) -> Path | None:
    """Return the path of the T1w image or else the BOLD reference in the space of a run, or None.

    Parameters
    ----------
    run : Run
    """
    root, space = _find_root(run), run.entities.get("space")
    if space and root is not None:
        files = [parse_name(path) for pattern in T1W for path in sorted(root.glob(pattern))]
        found = [file for file in files if file.entities.get("space", OWN_SPACE) == space]
        if found:
            # In the resolution of the run where there are several.
            return min(found, key=lambda file: file.entities.get("res") != run.entities.get("res")).path
    stem = run.bold.name.split("_desc-preproc_bold")[0]
    beside = (run.bold.with_name(f"{stem}{name}.nii{end}") for name in REFERENCES for end in (".gz", ""))
    return next((path for path in beside if path.is_file()), None)


def find_brain_mask(t1w: Path) -> Path | None:
    """Return the path of the brain mask of a preprocessed T1w image, or None."""
    path = t1w.with_name(t1w.name.replace("_desc-preproc_T1w", "_desc-brain_mask"))
    return path if path != t1w and path.is_file() else None


def find_segmentation(run: Run) -> Path | None:
    """Return the path of the segmentation into TISSUES in the space of a run, or None.

    Parameters
    ----------
    run : Run
    """
    root = _find_root(run)
    found = [path for pattern in SEGMENTATIONS for path in sorted(root.glob(pattern))] if root else []
    for file in map(parse_name, found):
        if "desc" not in file.entities and file.entities.get("space", OWN_SPACE) == run.entities.get("space"):
            return file.path
    return None


def read_tissues(path: Path, places: Matrix) -> Labels:
    """Return the label of the voxel of a segmentation that each place lies in; 0 outside of its volume.

    Parameters
    ----------
    path : Path
    places : ndarray, shape (n_places, 3)
        In mm.
    """
    values, affine = read_volume(path)
    inverse = np.linalg.pinv(affine)
    index = np.rint(places @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    inside = ((index >= 0) & (index < values.shape)).all(axis=1)
    labels = np.zeros(len(places), int)
    labels[inside] = np.nan_to_num(values[tuple(index[inside].T)]).astype(int)
    return labels


def _find_root(run: Run) -> Path | None:
    subject = f"sub-{run.entities['sub']}"
    return next((parent for parent in run.bold.parents if parent.name == subject), None)
