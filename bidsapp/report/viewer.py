"""The data of the interactive viewer: NiiVue (as nilearn ships it), the anatomy and the maps, packed.

All of it is gzip in base64: small, and unpacked by the browser only when somebody opens the viewer.
"""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files

import nibabel as nib
import numpy as np
from markupsafe import Markup
from scipy.ndimage import zoom

from bidsapp.outputs.results import Volume
from bidsapp.outputs.saved.group import ThresholdRecord
from bidsapp.records.arrays import Matrix
from bidsapp.records.documents import Document
from bidsapp.report.drawing.background import Background
from bidsapp.report.drawing.glass import upright
from bidsapp.report.render import render

# z and t to a hundredth: finer than anybody can see, and half the bytes of float32.
SLOPE, LARGEST = 0.01, 327.0
ANATOMY_STEP_MM = 2.0
# What a page may weigh; contrasts whose maps would go beyond it have no viewer.
MAX_PAGE_BYTES = 14_500_000
# The bits of the mask.
MAX_METHODS = 16


def pack_contrast(
    statistic: str,
    volume: Volume,
    thresholds: Sequence[tuple[ThresholdRecord, Volume]],
    *,
    limit: float,
    start: Sequence[float],
    strips: Mapping[str, str],
) -> Markup:
    """Return the data of one contrast as JSON text that is safe inside a script element.

    Parameters
    ----------
    statistic : str
        The name of the map's values: "z", "t", "F".
    volume : Volume
    thresholds : list of (ThresholdRecord, Volume)
        A threshold of the record (its cut-off only if on the scale of the map), and its surviving values.
    limit : float
        The value of the strongest colour.
    start : sequence of float
        Where the cross hair begins, in mm.
    strips : dict of str to str
        "x,y,z" to an SVG of the subjects' effects there.
    """
    values, affine = upright(np.nan_to_num(volume.values), volume.affine)
    coded = np.rint(np.clip(values, -LARGEST, LARGEST) / SLOPE).astype(np.int16)
    mask = np.zeros(coded.shape, np.uint16)
    for bit, (_, kept) in enumerate(thresholds[:MAX_METHODS]):
        mask |= (upright(np.nan_to_num(kept.values), kept.affine)[0] != 0).astype(np.uint16) << np.uint16(bit)
    data = {
        "statistic": statistic,
        "signed": bool((values < 0).any()),
        "limit": limit,
        "slope": SLOPE,
        "start": [float(v) for v in start],
        "grid": {
            "shape": list(coded.shape),
            "step": np.diag(affine)[:3].tolist(),
            "corner": affine[:3, 3].tolist(),
        },
        "map": _pack_image(coded, affine),
        "mask": _pack_image(mask, affine),
        "methods": [_method(t, bit) for bit, (t, _) in enumerate(thresholds[:MAX_METHODS])],
        "strips": _pack(json.dumps(strips).encode()),
    }
    return Markup(json.dumps(data, ensure_ascii=True).replace("<", "\\u003c"))


def render_viewer(
    background: Background | None, contrasts: Sequence[tuple[str, Markup]], size: int
) -> Markup:
    """Return the viewer's HTML, or nothing when there is no contrast.

    Parameters
    ----------
    size : int
        Bytes of the rest of the page.
    background : Background
    contrasts : list of (anchor, data)
        Data as from ``pack_contrast``.
    """
    if not contrasts or background is None:
        return Markup("")
    library, anatomy, kept = _library(), _pack_anatomy(background), []
    size += len(library) + len(anatomy)
    for anchor, data in contrasts:
        if size + len(data) <= MAX_PAGE_BYTES:
            size += len(data)
            kept.append((anchor, data))
    return render("viewer.html", library=library, anatomy=anatomy, contrasts=kept)


def _method(threshold: ThresholdRecord, bit: int) -> Document:
    return {
        "key": threshold.method,
        "title": threshold.title,
        "cutoff": threshold.cutoff,
        "forming": threshold.forming,
        "bit": bit,
    }


def _pack_anatomy(background: Background) -> Markup:
    steps = np.diag(background.affine)[:3]
    factors = np.minimum(steps / ANATOMY_STEP_MM, 1.0)
    values = zoom(background.values, factors, order=1)
    affine = np.diag([*(steps * np.array(background.values.shape) / values.shape), 1.0])
    affine[:3, 3] = background.affine[:3, 3] + (np.diag(affine)[:3] - steps) / 2
    return _pack_image((np.clip(values, 0, 1) * 255).astype(np.uint8), affine)


def _pack_image(values: np.ndarray, affine: Matrix) -> Markup:
    image = nib.Nifti1Image(values, affine)
    return _pack(image.to_bytes())


@lru_cache(maxsize=1)
def _library() -> Markup:
    """Return NiiVue as nilearn ships it; packed once."""
    return Markup(_pack(files("nilearn").joinpath("_assets/js/niivue.umd.js").read_bytes()))


def _pack(content: bytes) -> Markup:
    # A fixed time makes equal content equal bytes.
    return Markup(base64.b64encode(gzip.compress(content, 9, mtime=0)).decode())
